/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/*
 * HTTP/1.1 (RFC 9112) as a server may read it in one way only: a byte at a time, so that it does
 * not matter where a stream is cut. What could be read in two ways is refused.
 */
#pragma once

#include "http_header.h"
#include "http_run.h"

/* --- headers --- */

static __always_inline __u32 http_name(struct http_stream *http, __u8 byte)
{
	if (byte == ':' && http->name_length)
		return http_colon(http);
	if (!is_of(byte, TOKEN))
		return refuse(http, HTTP_BAD_NAME);
	if (byte == '_')
		http->underscore = 1;
	if (http->name_length < sizeof(http->header.name))
		http->header.name[http->name_length & (sizeof(http->header.name) - 1)] =
			name_bytes[byte];
	if (http->name_length < 255)
		http->name_length++;
	return HTTP_MORE;
}

/* The first byte of a line. */
static __always_inline __u32 http_line(struct http_stream *http, __u8 byte)
{
	if (byte == '\r') {
		http->phase = HTTP_LAST_LF;
		return HTTP_MORE;
	}
	if (is_blank(byte))
		return refuse(http, HTTP_FOLDED);
	http_name_begin(http);
	return http_name(http, byte);
}

static __always_inline __u32 http_host(struct http_stream *http, __u8 byte)
{
	if (!is_of(byte, HOST))
		return refuse(http, HTTP_BAD_HOST);
	if (http->host_length < sizeof(http->host))
		http->host[http->host_length & (sizeof(http->host) - 1)] = byte;
	if (http->host_length < 255)
		http->host_length++;
	http->matched = 1;
	return HTTP_MORE;
}

static __always_inline __u32 http_length(struct http_stream *http, __u8 byte)
{
	if (byte < '0' || byte > '9' || http->matched >= HTTP_DIGITS)
		return refuse(http, HTTP_BAD_LENGTH);
	http->length = http->length * 10 + (byte - '0');
	http->matched++;
	return HTTP_MORE;
}

/*
 * The one word that a value may be. An upgrade to HTTP/2 would carry requests that nobody has read.
 */
static __always_inline __u32 http_word(struct http_stream *http, __u8 byte)
{
	static const char words[2][16] = {"chunked", "websocket"};

	if (lower(byte) != words[http->kind == HTTP_SEEN_UPGRADE][http->matched & 15])
		return refuse(http, refused_by(http->kind));
	http->matched++;
	return HTTP_MORE;
}

/* 0: any. */
static __always_inline __u8 length_of_word(__u8 kind)
{
	if (kind == HTTP_SEEN_CHUNKED)
		return sizeof("chunked") - 1;
	return kind == HTTP_SEEN_UPGRADE ? sizeof("websocket") - 1 : 0;
}

/* What has come of a value may be all of it. */
static __always_inline int is_whole(const struct http_stream *http)
{
	__u8 length = length_of_word(http->kind);

	return http->matched && (!length || http->matched == length || http->matched == BEHIND);
}

static __always_inline __u32 http_value_end(struct http_stream *http)
{
	http->phase = HTTP_VALUE_LF;
	if (http->kind == HTTP_SEEN_ASKED)
		http_answer(http);
	else if (http->kind && !is_whole(http))
		return refuse(http, refused_by(http->kind));
	return HTTP_MORE;
}

static __always_inline __u32 http_value(struct http_stream *http, __u8 byte)
{
	if (byte == '\r')
		return http_value_end(http);
	if (!is_of(byte, VALUE))
		return refuse(http, byte == '\n' ? HTTP_BAD_LINE : HTTP_BAD_VALUE);
	if (!http->kind)
		return HTTP_MORE;
	if (http->kind == HTTP_SEEN_ASKED)
		return http_asked(http, byte);
	if (is_blank(byte)) {
		if (http->matched && !is_whole(http))
			return refuse(http, refused_by(http->kind));
		if (http->matched)
			http->matched = BEHIND;
		return HTTP_MORE;
	}
	if (http->matched == BEHIND)
		return refuse(http, refused_by(http->kind));
	if (http->kind == HTTP_SEEN_HOST)
		return http_host(http, byte);
	return http->kind == HTTP_SEEN_LENGTH ? http_length(http, byte) : http_word(http, byte);
}

/* The head is complete: how long its body is must be beyond doubt. */
static __always_inline __u32 http_head(struct http_stream *http)
{
	int chunked = http->seen & HTTP_SEEN_CHUNKED;

	if (!(http->seen & (HTTP_SEEN_HOST | HTTP_SEEN_OLD)))
		return refuse(http, HTTP_BAD_HOST);
	if (chunked && http->seen & (HTTP_SEEN_LENGTH | HTTP_SEEN_OLD))
		return refuse(http, HTTP_BAD_TRANSFER);
	if (http->seen & HTTP_SEEN_UPGRADE &&
	    (chunked || http->length || http->seen & HTTP_SEEN_OLD))
		return refuse(http, HTTP_UPGRADES);
	http->left = http->length;
	http->matched = 0;
	if (chunked)
		http->phase = HTTP_CHUNK_SIZE;
	else
		http->phase = http->left ? HTTP_BODY : HTTP_START;
	return HTTP_HEAD;
}

/* The server's 101 to the last request, which has asked for it: what follows is no HTTP. */
static __always_inline void http_switch(struct http_stream *http)
{
	if (http->phase == HTTP_START && http->seen & HTTP_SEEN_UPGRADE)
		http->phase = HTTP_OPAQUE;
}

/* --- chunks --- */

static __always_inline __u32 http_chunk_size(struct http_stream *http, __u8 byte)
{
	if (is_of(byte, HEX) && http->matched < HTTP_HEX_DIGITS) {
		http->left = http->left << 4 | hex_value(byte);
		http->matched++;
		return HTTP_MORE;
	}
	if (!http->matched || (byte != ';' && byte != '\r'))
		return refuse(http, HTTP_BAD_CHUNK);
	http->phase = byte == ';' ? HTTP_CHUNK_EXTENSION : HTTP_CHUNK_SIZE_LF;
	return HTTP_MORE;
}

static __always_inline __u32 http_chunk_line(struct http_stream *http, __u8 byte)
{
	if (byte == '\r')
		http->phase = HTTP_CHUNK_SIZE_LF;
	else if (!is_of(byte, VALUE))
		return refuse(http, HTTP_BAD_CHUNK);
	return HTTP_MORE;
}

static __always_inline __u32 http_trailer(struct http_stream *http, __u8 byte)
{
	if (http->phase == HTTP_TRAILER) {
		if (byte != '\r' && !is_of(byte, TOKEN))
			return refuse(http, HTTP_BAD_CHUNK);
		http->phase = byte == '\r' ? HTTP_TRAILER_LAST_LF : HTTP_TRAILER_NAME;
	} else if (http->phase == HTTP_TRAILER_NAME) {
		if (byte == ':')
			http->phase = HTTP_TRAILER_VALUE;
		else if (!is_of(byte, TOKEN))
			return refuse(http, HTTP_BAD_CHUNK);
	} else if (byte == '\r') {
		http->phase = HTTP_TRAILER_LF;
	} else if (!is_of(byte, VALUE)) {
		return refuse(http, HTTP_BAD_CHUNK);
	}
	return HTTP_MORE;
}

/* The last byte of a line, or of a chunk. */
static __always_inline __u32 http_line_end(struct http_stream *http, __u8 byte)
{
	__u8 phase = http->phase;

	if (byte != (phase == HTTP_CHUNK_CR ? '\r' : '\n'))
		return refuse(http, phase >= HTTP_BODY ? HTTP_BAD_CHUNK : HTTP_BAD_LINE);
	http->matched = 0;
	switch (phase) {
	case HTTP_LAST_LF:
		return http_head(http);
	case HTTP_CHUNK_SIZE_LF:
		http->phase = http->left ? HTTP_CHUNK_DATA : HTTP_TRAILER;
		break;
	case HTTP_CHUNK_CR:
		http->phase = HTTP_CHUNK_LF;
		break;
	case HTTP_CHUNK_LF:
		http->phase = HTTP_CHUNK_SIZE;
		break;
	case HTTP_TRAILER_LF:
		http->phase = HTTP_TRAILER;
		break;
	case HTTP_TRAILER_LAST_LF:
		http->phase = HTTP_START;
		return HTTP_END;
	default:
		http->phase = HTTP_LINE;
	}
	return HTTP_MORE;
}

/* --- all of it --- */

/* Whether the next bytes are content, `left` of them. */
static __always_inline int http_is_content(const struct http_stream *http)
{
	return http->phase == HTTP_BODY || http->phase == HTTP_CHUNK_DATA;
}

/* Goes past some content, at most `size` bytes of it. */
static __always_inline __u32 http_skip(struct http_stream *http, __u32 size, __u32 *outcome)
{
	__u32 skipped = http->left < size ? http->left : size;

	http->left -= skipped;
	*outcome = HTTP_MORE;
	if (http->left)
		return skipped;
	if (http->phase == HTTP_BODY) {
		http->phase = HTTP_START;
		*outcome = HTTP_END;
	} else {
		http->phase = HTTP_CHUNK_CR;
	}
	return skipped;
}

/* Head and trailer have a limit, as they are kept until they are complete or are of no use. */
static __always_inline int http_is_too_long(struct http_stream *http)
{
	switch (http->phase) {
	case HTTP_CHUNK_SIZE:
	case HTTP_CHUNK_CR:
	case HTTP_CHUNK_LF:
		http->size = 0;
		return 0;
	}
	return ++http->size > HTTP_HEAD_MAX;
}

/* One byte that is no content. A global function: the verifier looks at it once. */
__noinline __u32 http_step(struct http_stream *http, __u32 next)
{
	__u8 byte = next & 0xff;

	if (!http)
		return HTTP_REFUSED;
	if (http->phase == HTTP_START) {
		http_begin(http);
		http->size = 0;
	}
	if (http_is_too_long(http))
		return refuse(http, HTTP_TOO_LONG);
	switch (http->phase) {
	case HTTP_METHOD:
		return http_method(http, byte);
	case HTTP_PATH:
		return http_path(http, byte);
	case HTTP_QUERY:
		return http_query(http, byte);
	case HTTP_VERSION:
		return http_version(http, byte);
	case HTTP_LINE:
		return http_line(http, byte);
	case HTTP_NAME:
		return http_name(http, byte);
	case HTTP_VALUE:
		return http_value(http, byte);
	case HTTP_CHUNK_SIZE:
		return http_chunk_size(http, byte);
	case HTTP_CHUNK_EXTENSION:
		return http_chunk_line(http, byte);
	case HTTP_TRAILER:
	case HTTP_TRAILER_NAME:
	case HTTP_TRAILER_VALUE:
		return http_trailer(http, byte);
	case HTTP_ENDED:
		return HTTP_REFUSED;
	}
	return http_line_end(http, byte);
}

/* Bytes at hand, and how far they have been read. */
struct http_block {
	struct http_stream *http;
	const __u8 *bytes; /* HTTP_BLOCK of them, and HTTP_WINDOW that mean nothing */
	__u32 size;
	__u32 at;
	__u32 outcome;
};

static long http_read_next(__u32 index __attribute__((unused)), void *context)
{
	struct http_block *block = context;
	__u32 at = block->at, taken;

	if (at >= block->size || at >= HTTP_BLOCK || http_is_content(block->http))
		return 1;
	taken = http_run(block->http, (const void *)(block->bytes + at), block->size - at);
	if (!taken) {
		block->outcome = http_step(block->http, block->bytes[at]);
		taken = 1;
	} else if (block->http->phase == HTTP_ENDED) {
		block->outcome = HTTP_REFUSED;
	}
	block->at = at + taken;
	return block->outcome != HTTP_MORE;
}

/* Until something has come to its end. */
static __always_inline void http_read(struct http_block *block)
{
	block->outcome = HTTP_MORE;
	bpf_loop(HTTP_BLOCK, http_read_next, block, 0);
}
