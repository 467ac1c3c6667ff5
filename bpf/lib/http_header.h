/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* What a header is for, once its name has come. */
#pragma once

#include "http_line.h"

static __always_inline int is_name(const struct http_stream *http, const char *name, __u32 size)
{
	if (http->name_length != size)
		return 0;
	for (__u32 i = 0; i < size; i++)
		if (http->name[i] != name[i])
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

static __always_inline __u32 http_colon(struct http_stream *http)
{
	http->kind = kind_of(http);
	http->matched = 0;
	http->phase = HTTP_VALUE;
	if (!http->kind)
		return HTTP_MORE;
	/* Some take an underscore for a hyphen. */
	if (http->underscore)
		return refuse(http, HTTP_BAD_NAME);
	if (http->seen & http->kind)
		return refuse(http, refused_by(http->kind));
	http->seen |= http->kind;
	return HTTP_MORE;
}
