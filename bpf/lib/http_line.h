/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/*
 * The first line of a request. A path is taken only in its normal form (RFC 3986, 6.2.2), so that a
 * rule sees what the server sees.
 */
#pragma once

#include "../abi.h"
#include <bpf/bpf_helpers.h>

enum byte_class {
	TOKEN = 1,
	PATH = 2, /* but for %, which begins an escape */
	QUERY = 4,
	VALUE = 8,
	HOST = 16,
	HEX = 32,
	WORD = 64, /* letters, digits and what joins them, but no dots */
};

#define DOT (TOKEN | PATH | QUERY | VALUE | HOST)
#define LETTER (DOT | WORD)
#define MARK_ALL (TOKEN | PATH | QUERY | VALUE)
#define IN_TARGET (PATH | QUERY | VALUE)

static const __u8 byte_classes[256] = {
	['\t'] = VALUE,
	[' '] = VALUE,
	['!'] = MARK_ALL,
	['"'] = QUERY | VALUE,
	['#'] = TOKEN | VALUE,
	['$'] = MARK_ALL,
	['%'] = TOKEN | QUERY | VALUE,
	['&' ... '\''] = MARK_ALL,
	['(' ... ')'] = IN_TARGET,
	['*' ... '+'] = MARK_ALL,
	[','] = IN_TARGET,
	['-'] = LETTER,
	['.'] = DOT,
	['/'] = IN_TARGET,
	['0' ... '9'] = LETTER | HEX,
	[':'] = IN_TARGET | HOST,
	[';'] = IN_TARGET,
	['<'] = QUERY | VALUE,
	['='] = IN_TARGET,
	['>' ... '?'] = QUERY | VALUE,
	['@'] = IN_TARGET,
	['A' ... 'F'] = LETTER | HEX,
	['G' ... 'Z'] = LETTER,
	['['] = QUERY | VALUE | HOST,
	['\\'] = QUERY | VALUE,
	[']'] = QUERY | VALUE | HOST,
	['^'] = TOKEN | QUERY | VALUE,
	['_'] = LETTER,
	['`'] = TOKEN | QUERY | VALUE,
	['a' ... 'f'] = LETTER | HEX,
	['g' ... 'z'] = LETTER,
	['{'] = QUERY | VALUE,
	['|'] = TOKEN | QUERY | VALUE,
	['}'] = QUERY | VALUE,
	['~'] = MARK_ALL,
	[0x80 ... 0xff] = VALUE,
};

/* In `matched`: how much of a value has come; BEHIND once blanks follow it. */
#define BEHIND 255

static __always_inline int is_of(__u8 byte, __u8 classes)
{
	return byte_classes[byte] & classes;
}

static __always_inline __u8 lower(__u8 byte)
{
	return byte >= 'A' && byte <= 'Z' ? byte + 32 : byte;
}

static __always_inline __u8 hex_value(__u8 byte)
{
	return byte <= '9' ? byte - '0' : lower(byte) - 'a' + 10;
}

static __always_inline int is_blank(__u8 byte)
{
	return byte == ' ' || byte == '\t';
}

static __always_inline __u32 refuse(struct http_stream *http, __u32 why)
{
	http->phase = HTTP_ENDED;
	http->refusal = why;
	return HTTP_REFUSED;
}

static __always_inline void http_begin(struct http_stream *http)
{
	http->left = 0;
	http->length = 0;
	http->seen = 0;
	http->met = 0;
	http->spoilt = 0;
	http->method_length = 0;
	http->host_length = 0;
	http->path_length = 0;
	__builtin_memset(http->method, 0, sizeof(http->method));
	__builtin_memset(http->host, 0, sizeof(http->host));
	http->segment = 0;
	http->escape = 0;
	http->last = 0;
	http->twice = 0;
	http->phase = HTTP_METHOD;
}

static __always_inline __u32 http_method(struct http_stream *http, __u8 byte)
{
	if (byte == ' ' && http->method_length) {
		http->phase = HTTP_PATH;
		return HTTP_MORE;
	}
	/* Others may not know where a longer one ends. */
	if (!is_of(byte, TOKEN) || http->method_length >= sizeof(http->method) - 1)
		return refuse(http, HTTP_BAD_METHOD);
	http->method[http->method_length++ & (sizeof(http->method) - 1)] = byte;
	return HTTP_MORE;
}

enum segment {
	SEGMENT_EMPTY,
	SEGMENT_DOT,
	SEGMENT_DOTS,
	SEGMENT_NAME,
};

static __always_inline int is_dots(const struct http_stream *http)
{
	return http->segment == SEGMENT_DOT || http->segment == SEGMENT_DOTS;
}

static __always_inline int is_unreserved(__u8 byte)
{
	return (is_of(byte, LETTER) && is_of(byte, HOST) && byte != ':' && byte != '[' &&
		byte != ']') ||
	       byte == '~';
}

/* An escaped byte that has a plain form, that is none, or that somebody may take for another. */
static __always_inline int is_disguise(const struct http_stream *http, __u8 byte)
{
	if (byte < 0x20 || byte == 0x7f || byte == '/' || byte == '\\' || is_unreserved(byte))
		return 1;
	if (byte == 0xc0 || byte == 0xc1 || byte >= 0xf5)
		return 1;
	if ((http->last == 0xe0 && byte >= 0x80 && byte < 0xa0) ||
	    (http->last == 0xf0 && byte >= 0x80 && byte < 0x90))
		return 1;
	return byte == ';' && is_dots(http);
}

static __always_inline __u32 http_escape(struct http_stream *http, __u8 byte)
{
	if (!is_of(byte, HEX))
		return refuse(http, HTTP_AMBIGUOUS_PATH);
	if (http->escape == 1) {
		http->digit = hex_value(byte) << 4;
		http->escape = 2;
		return HTTP_MORE;
	}
	byte = http->digit | hex_value(byte);
	http->escape = 0;
	if (is_disguise(http, byte))
		return refuse(http, HTTP_AMBIGUOUS_PATH);
	http->last = byte;
	http->twice = byte == '%';
	http->segment = SEGMENT_NAME;
	return HTTP_MORE;
}

static __always_inline __u32 http_segment(struct http_stream *http, __u8 byte)
{
	if (http->twice) { /* %25 that is followed by two digits */
		if (http->twice == 2 && is_of(byte, HEX))
			return refuse(http, HTTP_AMBIGUOUS_PATH);
		http->twice = is_of(byte, HEX) ? 2 : 0;
	}
	http->last = 0;
	if (byte == '/') {
		if (http->path_length && (http->segment == SEGMENT_EMPTY || is_dots(http)))
			return refuse(http, HTTP_AMBIGUOUS_PATH);
		http->segment = SEGMENT_EMPTY;
	} else if (byte == '.') {
		http->segment = http->segment < SEGMENT_DOTS ? http->segment + 1 : SEGMENT_NAME;
	} else if (byte == ';' && is_dots(http)) {
		return refuse(http, HTTP_AMBIGUOUS_PATH);
	} else {
		http->segment = SEGMENT_NAME;
	}
	return HTTP_MORE;
}

static __always_inline void http_keep(struct http_stream *http, __u8 byte)
{
	if (http->path_length < sizeof(http->path))
		http->path[http->path_length & (sizeof(http->path) - 1)] = byte;
	http->path_length++;
}

static __always_inline __u32 http_path(struct http_stream *http, __u8 byte)
{
	__u32 outcome = HTTP_MORE;

	if (!http->path_length && byte != '/')
		return refuse(http, HTTP_BAD_TARGET);
	if (http->escape) {
		outcome = http_escape(http, byte);
	} else if (byte == '%') {
		http->escape = 1;
		http->twice = 0;
	} else if (byte == ' ' || byte == '?') {
		if (is_dots(http))
			return refuse(http, HTTP_AMBIGUOUS_PATH);
		http->phase = byte == ' ' ? HTTP_VERSION : HTTP_QUERY;
		http->matched = 0;
		if (byte == ' ')
			return HTTP_MORE;
	} else if (!is_of(byte, PATH)) {
		return refuse(http, HTTP_BAD_TARGET);
	} else {
		outcome = http_segment(http, byte);
	}
	http_keep(http, byte);
	return outcome;
}

static __always_inline __u32 http_query(struct http_stream *http, __u8 byte)
{
	if (byte == ' ') {
		http->phase = HTTP_VERSION;
		return HTTP_MORE;
	}
	if (!is_of(byte, QUERY))
		return refuse(http, HTTP_BAD_TARGET);
	http_keep(http, byte);
	return HTTP_MORE;
}

static __always_inline __u32 http_version(struct http_stream *http, __u8 byte)
{
	static const char wanted[8] = "HTTP/1.";
	__u8 at = http->matched++;

	if (at < 7 && byte == wanted[at & 7])
		return HTTP_MORE;
	if (at == 7 && (byte == '0' || byte == '1')) {
		http->seen |= byte == '0' ? HTTP_SEEN_OLD : 0;
		return HTTP_MORE;
	}
	if (at != 8 || byte != '\r')
		return refuse(http, at == 8 ? HTTP_BAD_LINE : HTTP_BAD_VERSION);
	http->phase = HTTP_LINE_LF;
	return HTTP_MORE;
}
