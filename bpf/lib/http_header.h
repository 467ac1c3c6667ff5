/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* What a header is for, once its name has come. */
#pragma once

#include "../maps.h"
#include "http_line.h"

static __always_inline int is_name(const struct http_stream *http, const char *name, __u32 size)
{
	if (http->name_length != size)
		return 0;
	for (__u32 i = 0; i < size; i++)
		if (http->header.name[i] != name[i])
			return 0;
	return 1;
}

#define IS_NAME(http, name) is_name(http, name, sizeof(name) - 1)

static __always_inline __u8 kind_of(const struct http_stream *http)
{
	if (IS_NAME(http, "host"))
		return HTTP_SEEN_HOST;
	if (IS_NAME(http, "content-length"))
		return HTTP_SEEN_LENGTH;
	if (IS_NAME(http, "transfer-encoding"))
		return HTTP_SEEN_CHUNKED;
	return IS_NAME(http, "upgrade") ? HTTP_SEEN_UPGRADE : 0;
}

/* What is said twice could be read in two ways. */
static __always_inline __u32 refused_by(__u8 kind)
{
	switch (kind) {
	case HTTP_SEEN_HOST:
		return HTTP_BAD_HOST;
	case HTTP_SEEN_LENGTH:
		return HTTP_BAD_LENGTH;
	case HTTP_SEEN_UPGRADE:
		return HTTP_UPGRADES;
	}
	return HTTP_BAD_TRANSFER;
}

static __always_inline void http_name_begin(struct http_stream *http)
{
	__builtin_memset(http->header.name, 0, sizeof(http->header.name));
	http->name_length = 0;
	http->underscore = 0;
	http->phase = HTTP_NAME;
}

/* A header that rules ask for. Of several with one name all must have the value. */
static __always_inline void http_ask(struct http_stream *http)
{
	const struct http_header *asked;

	if (http->name_length > HTTP_NAME_KEPT)
		return;
	__builtin_memset(http->header.value, 0, sizeof(http->header.value));
	asked = bpf_map_lookup_elem(&http_headers, &http->header);
	if (!asked)
		return;
	http->kind = HTTP_SEEN_ASKED;
	http->value_length = 0;
	http->value_end = 0;
	http->met |= asked->met;
	http->named = asked->of_name;
}

/* Its value is complete. What has come of blanks behind it is none of it. */
static __always_inline void http_answer(struct http_stream *http)
{
	const struct http_header *asked = 0;
	__u32 met;

	for (__u32 i = 0; i < HTTP_VALUE_KEPT; i++)
		if (i >= http->value_end)
			http->header.value[i] = 0;
	if (http->value_end && http->value_end <= HTTP_VALUE_KEPT)
		asked = bpf_map_lookup_elem(&http_headers, &http->header);
	met = asked ? asked->met : 0;
	http->met |= met;
	http->spoilt |= http->named & ~met;
}

static __always_inline __u32 http_asked(struct http_stream *http, __u8 byte)
{
	__u32 at = http->value_length;

	if (!at && is_blank(byte))
		return HTTP_MORE;
	if (at < sizeof(http->header.value))
		http->header.value[at & (sizeof(http->header.value) - 1)] = byte;
	if (at < 255)
		http->value_length = ++at;
	if (!is_blank(byte))
		http->value_end = at;
	return HTTP_MORE;
}

static __always_inline __u32 http_colon(struct http_stream *http)
{
	http->kind = kind_of(http);
	http->matched = 0;
	http->phase = HTTP_VALUE;
	if (!http->kind && http->looks)
		http_ask(http);
	if (!http->kind)
		return HTTP_MORE;
	/* Some take an underscore for a hyphen. */
	if (http->underscore)
		return refuse(http, HTTP_BAD_NAME);
	if (http->kind == HTTP_SEEN_ASKED)
		return HTTP_MORE;
	if (http->seen & http->kind)
		return refuse(http, refused_by(http->kind));
	http->seen |= http->kind;
	return HTTP_MORE;
}
