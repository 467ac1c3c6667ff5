/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/*
 * Several bytes of a head at a time, where each says no more than the one before it. What these
 * take http_step() would have read to the same end; what they do not know they leave to it.
 */
#pragma once

#include "http_header.h"

#define RUN 16
#define EACH 0x0101010101010101ull

/* The compiler must not join the place with how it came about, which the verifier cannot follow. */
#define KEEP(array, at, byte)                                                                      \
	do {                                                                                       \
		__u32 place = (at);                                                                \
		barrier_var(place);                                                                \
		if (place < sizeof(array))                                                         \
			(array)[place] = (byte);                                                   \
	} while (0)

struct http_window {
	__u8 bytes[HTTP_WINDOW];
};

/* Those of a header's name as they are compared, 0 for those that have no place in one. */
static const __u8 name_bytes[256] = {
	['!'] = '!', ['#'] = '#', ['$'] = '$', ['%'] = '%', ['&'] = '&', ['\''] = '\'', ['*'] = '*',
	['+'] = '+', ['-'] = '-', ['.'] = '.', ['^'] = '^', ['_'] = '-', ['`'] = '`',	['|'] = '|',
	['~'] = '~', ['0'] = '0', ['1'] = '1', ['2'] = '2', ['3'] = '3', ['4'] = '4',	['5'] = '5',
	['6'] = '6', ['7'] = '7', ['8'] = '8', ['9'] = '9', ['A'] = 'a', ['B'] = 'b',	['C'] = 'c',
	['D'] = 'd', ['E'] = 'e', ['F'] = 'f', ['G'] = 'g', ['H'] = 'h', ['I'] = 'i',	['J'] = 'j',
	['K'] = 'k', ['L'] = 'l', ['M'] = 'm', ['N'] = 'n', ['O'] = 'o', ['P'] = 'p',	['Q'] = 'q',
	['R'] = 'r', ['S'] = 's', ['T'] = 't', ['U'] = 'u', ['V'] = 'v', ['W'] = 'w',	['X'] = 'x',
	['Y'] = 'y', ['Z'] = 'z', ['a'] = 'a', ['b'] = 'b', ['c'] = 'c', ['d'] = 'd',	['e'] = 'e',
	['f'] = 'f', ['g'] = 'g', ['h'] = 'h', ['i'] = 'i', ['j'] = 'j', ['k'] = 'k',	['l'] = 'l',
	['m'] = 'm', ['n'] = 'n', ['o'] = 'o', ['p'] = 'p', ['q'] = 'q', ['r'] = 'r',	['s'] = 's',
	['t'] = 't', ['u'] = 'u', ['v'] = 'v', ['w'] = 'w', ['x'] = 'x', ['y'] = 'y',	['z'] = 'z',
};

static __always_inline __u64 word_at(const struct http_window *window, __u32 at)
{
	return *(const __u64 *)(window->bytes + at);
}

/* Eight bytes that may all stand in a value; a tab is left to others. */
static __always_inline int is_printable(__u64 word)
{
	__u64 deleted = word ^ (0x7f * EACH);

	return !((((word - 0x20 * EACH) & ~word) | ((deleted - EACH) & ~deleted)) & (0x80 * EACH));
}

/* Of a value at hand nothing more comes: a line's end behind it is taken with it. */
static __always_inline __u32 run_end(struct http_stream *http, const struct http_window *window,
				     __u32 at, __u32 left)
{
	if (at > HTTP_WINDOW - 2 || at + 2 > left || window->bytes[at] != '\r' ||
	    window->bytes[at + 1] != '\n')
		return at;
	http->phase = HTTP_LINE;
	http->matched = 0;
	return at + 2;
}

static __always_inline __u32 run_value(struct http_stream *http, const struct http_window *window,
				       __u32 left)
{
	__u32 at = 0;

	for (__u32 word = 0; word < HTTP_WINDOW / 8; word++) {
		if (left < word * 8 + 8 || !is_printable(word_at(window, word * 8)))
			break;
		at = word * 8 + 8;
	}
	for (__u32 i = 0; i < 8; i++) {
		barrier_var(at);
		if (at >= left || at >= HTTP_WINDOW || !is_of(window->bytes[at], VALUE))
			break;
		at++;
	}
	barrier_var(at);
	return run_end(http, window, at, left);
}

/* From its first byte, or going on; with the colon, if that is at hand. */
static __always_inline __u32 run_name(struct http_stream *http, const struct http_window *window,
				      __u32 left)
{
	__u32 length = http->phase == HTTP_LINE ? 0 : http->name_length, at;

	if (length > 255 - RUN || (http->phase == HTTP_LINE && !name_bytes[window->bytes[0]]))
		return 0;
	if (http->phase == HTTP_LINE)
		http_name_begin(http);
	for (at = 0; at < RUN; at++) {
		__u8 byte = window->bytes[at], kept = name_bytes[byte];

		if (at >= left || !kept)
			break;
		if (byte == '_')
			http->underscore = 1;
		KEEP(http->header.name, length++, kept);
	}
	http->name_length = length;
	if (at >= left || window->bytes[at] != ':' || !length)
		return at;
	http_colon(http);
	return at + 1;
}

static __always_inline __u32 run_host(struct http_stream *http, const struct http_window *window,
				      __u32 left)
{
	__u32 length = http->host_length, at = !length && window->bytes[0] == ' ';

	if (length > 255 - RUN)
		return 0;
	for (__u32 i = 0; i < RUN; i++) {
		barrier_var(at);
		if (at >= left || at >= HTTP_WINDOW || !is_of(window->bytes[at], HOST))
			break;
		KEEP(http->host, length++, window->bytes[at]);
		at++;
	}
	http->host_length = length;
	http->matched = !!length;
	barrier_var(at);
	return length ? run_end(http, window, at, left) : at;
}

/* Letters, digits, and slashes between names of such; with what ends the path. */
static __always_inline __u32 run_path(struct http_stream *http, const struct http_window *window,
				      __u32 left)
{
	__u32 length = http->path_length, at;
	__u8 segment = http->segment;

	if (http->escape || http->twice)
		return 0;
	for (at = 0; at < RUN; at++) {
		__u8 byte = window->bytes[at];

		if (at >= left)
			break;
		if (byte == '/' ? length && segment != SEGMENT_NAME : !length || !is_of(byte, WORD))
			break;
		segment = byte == '/' ? SEGMENT_EMPTY : SEGMENT_NAME;
		KEEP(http->path, length++, byte);
	}
	http->path_length = length;
	http->segment = segment;
	if (at)
		http->last = 0;
	if (!length || at >= left || window->bytes[at] != ' ' || is_dots(http))
		return at;
	http->phase = HTTP_VERSION;
	http->matched = 0;
	return at + 1;
}

static __always_inline __u32 run_query(struct http_stream *http, const struct http_window *window,
				       __u32 left)
{
	__u32 at;

	for (at = 0; at < RUN; at++) {
		if (at >= left || !is_of(window->bytes[at], QUERY))
			break;
		KEEP(http->path, http->path_length + at, window->bytes[at]);
	}
	http->path_length += at;
	return at;
}

/* The method that most have, and the version. */
static __always_inline __u32 run_text(struct http_stream *http, const struct http_window *window,
				      __u32 left)
{
	static const __u8 get[] __attribute__((aligned(8))) = "GET ";
	static const __u8 version[] __attribute__((aligned(8))) = "HTTP/1.1";

	if (http->phase == HTTP_START && left >= 4 &&
	    (__u32)word_at(window, 0) == *(const __u32 *)get) {
		http_begin(http);
		__builtin_memcpy(http->method, get, 3);
		http->method_length = 3;
		http->phase = HTTP_PATH;
		http->size = 0;
		return 4;
	}
	if (http->phase == HTTP_VERSION && !http->matched && left >= 10 &&
	    word_at(window, 0) == *(const __u64 *)version && window->bytes[8] == '\r' &&
	    window->bytes[9] == '\n') {
		http->phase = HTTP_LINE;
		return 10;
	}
	return 0;
}

static __always_inline __u32 run_any(struct http_stream *http, const struct http_window *window,
				     __u32 left)
{
	switch (http->phase) {
	case HTTP_START:
	case HTTP_VERSION:
		return run_text(http, window, left);
	case HTTP_PATH:
		return run_path(http, window, left);
	case HTTP_QUERY:
		return run_query(http, window, left);
	case HTTP_LINE:
	case HTTP_NAME:
		return run_name(http, window, left);
	}
	if (!http->kind)
		return run_value(http, window, left);
	if (http->kind == HTTP_SEEN_HOST && http->matched != BEHIND)
		return run_host(http, window, left);
	return 0;
}

static __always_inline int may_run(const struct http_stream *http)
{
	__u8 phase = http->phase;

	return phase < HTTP_VALUE_LF && phase != HTTP_METHOD && phase != HTTP_LINE_LF &&
	       http->size <= HTTP_HEAD_MAX - HTTP_WINDOW;
}

/* How many of the bytes that are `left` it has read, maybe none. A global function: see above. */
__noinline __u32 http_run(struct http_stream *http, const struct http_window *window, __u32 left)
{
	__u32 taken;

	if (!http || !window || !may_run(http))
		return 0;
	taken = run_any(http, window, left);
	http->size += taken;
	return taken;
}
