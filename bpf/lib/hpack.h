/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/*
 * Blocks of header fields (RFC 7541) a byte at a time, so that it does not matter where they are
 * cut. Of the dynamic table only the values are kept that mean something here. Which number an
 * index stands for follows from how many fields were added: one that was evicted, or was too large
 * to be kept at all, is never pointed at.
 */
#pragma once

#include "../maps.h"
#include "huffman.h"
#include <bpf/bpf_helpers.h>

#define HPACK_STATIC 61
#define HPACK_RECENT 64
#define HPACK_SHIFTS 14 /* of a number: it has at most three bytes behind the first */

enum hpack_static {
	HPACK_AUTHORITY = 1,
	HPACK_GET = 2,
	HPACK_POST = 3,
	HPACK_ROOT = 4,
	HPACK_INDEX_HTML = 5,
	HPACK_STATUS_FIRST = 8,
	HPACK_STATUS_LAST = 14,
	HPACK_CONTENT_TYPE = 31,
};

static __always_inline int hpack_wants(const struct hpack *hpack, __u8 field)
{
	return hpack->wanted >> (field & 7) & 1;
}

/* A string that says nothing here can be gone past. */
static __always_inline int hpack_skips(const struct hpack *hpack)
{
	__u8 field = hpack->names ? H2_GRPC_STATUS : hpack->field;

	return hpack->phase == HPACK_STRING && !hpack_wants(hpack, field);
}

static __always_inline const struct hpack_value *hpack_find(const struct hpack *hpack, __u32 index)
{
	__u32 age = index - HPACK_STATIC - 1;
	struct hpack_key key = {.table = hpack->table, .number = hpack->added - age};

	if (age >= hpack->added ||
	    (age < HPACK_RECENT && !(hpack->meaning >> (key.number & (HPACK_RECENT - 1)) & 1)))
		return 0;
	return bpf_map_lookup_elem(&h2_fields, &key);
}

static __always_inline __u8 hpack_field(struct hpack *hpack, __u32 index)
{
	const struct hpack_value *kept;

	if (index > HPACK_STATIC) {
		kept = hpack_find(hpack, index);
		return kept ? kept->field : H2_OTHER;
	}
	if (index == HPACK_AUTHORITY)
		return H2_AUTHORITY;
	if (index == HPACK_GET || index == HPACK_POST)
		return H2_METHOD;
	if (index == HPACK_ROOT || index == HPACK_INDEX_HTML)
		return H2_PATH;
	if (index == HPACK_CONTENT_TYPE)
		return H2_CONTENT_TYPE;
	return index >= HPACK_STATUS_FIRST && index <= HPACK_STATUS_LAST ? H2_STATUS : H2_OTHER;
}

static __always_inline __u16 hpack_status(const struct hpack_value *value)
{
	__u32 first = value->text[0] - '0', second = value->text[1] - '0',
	      third = value->text[2] - '0';

	if (value->length != 3 || first < 1 || first > 5 || second > 9 || third > 9)
		return 0;
	return first * 100 + second * 10 + third;
}

/* Of gRPC, and 1. */
static __always_inline __u8 hpack_grpc(const struct hpack_value *value)
{
	__u32 first = value->text[0] - '0', second = value->text[1] - '0';

	if (value->length == 1 && first <= 9)
		return 1 + first;
	return value->length == 2 && first == 1 && second <= 9 ? 11 + second : 0;
}

static __always_inline int hpack_is_grpc(const struct hpack_value *value)
{
	return value->length >= 16 && !__builtin_memcmp(value->text, "application/grpc", 16);
}

/* A field that stands there twice is of no request that a server accepts: it is not told of. */
static __always_inline void hpack_take(struct hpack *hpack, struct h2_head *head,
				       const struct hpack_value *value)
{
	int again = hpack->seen >> (value->field & 7) & 1;
	__u16 length = again ? 0 : value->length;

	if (!hpack_wants(hpack, value->field))
		return;
	hpack->seen |= 1 << (value->field & 7);
	switch (value->field) {
	case H2_METHOD:
		head->method_length = length <= sizeof(head->method) ? length : 0;
		__builtin_memcpy(head->method, value->text, sizeof(head->method));
		break;
	case H2_PATH:
		head->path_length = length;
		__builtin_memcpy(head->path, value->text, sizeof(head->path));
		break;
	case H2_AUTHORITY:
		head->host_length = length < 255 ? length : 255;
		__builtin_memcpy(head->host, value->text, sizeof(head->host));
		break;
	case H2_STATUS:
		hpack->status = again ? 0 : hpack_status(value);
		break;
	case H2_CONTENT_TYPE:
		hpack->is_grpc = !again && hpack_is_grpc(value);
		break;
	case H2_GRPC_STATUS:
		hpack->grpc = again ? 0 : hpack_grpc(value);
	}
}

/* The field at hand has been added. */
static __always_inline void hpack_keep(struct hpack *hpack)
{
	struct hpack_key key = {.table = hpack->table, .number = ++hpack->added};
	__u64 bit = 1ULL << (key.number & (HPACK_RECENT - 1));

	hpack->meaning &= ~bit;
	if (hpack_wants(hpack, hpack->field) &&
	    !bpf_map_update_elem(&h2_fields, &key, &hpack->value, BPF_ANY))
		hpack->meaning |= bit;
}

static __always_inline void hpack_fresh(struct hpack *hpack, __u8 field)
{
	__builtin_memset(&hpack->value, 0, sizeof(hpack->value));
	hpack->value.field = field;
}

/* Indexes of the static table whose values mean something. */
static __always_inline void hpack_take_static(struct hpack *hpack, struct h2_head *head,
					      __u32 index, __u8 field)
{
	static const __u8 texts[16][12] = {[HPACK_GET] = "GET", [HPACK_POST] = "POST",
					   [HPACK_ROOT] = "/",	[HPACK_INDEX_HTML] = "/index.html",
					   [8] = "200",		[9] = "204",
					   [10] = "206",	[11] = "304",
					   [12] = "400",	[13] = "404",
					   [14] = "500"};
	static const __u8 lengths[16] = {0, 0, 3, 4, 1, 11, 0, 0, 3, 3, 3, 3, 3, 3, 3, 0};

	hpack_fresh(hpack, field);
	__builtin_memcpy(hpack->value.text, texts[index & 15], sizeof(texts[0]));
	hpack->value.length = lengths[index & 15];
	hpack_take(hpack, head, &hpack->value);
}

/* The number at the start of a field has come. Returns 1: it makes no sense. */
static __always_inline int hpack_indexed(struct hpack *hpack, struct h2_head *head)
{
	__u32 index = hpack->number;
	const struct hpack_value *kept;

	hpack->phase = HPACK_FIELD;
	if (hpack->kind == HPACK_RESIZED)
		return 0;
	hpack->field = hpack_field(hpack, index);
	if (hpack->kind != HPACK_INDEXED) {
		hpack->names = !index;
		if (!index)
			hpack->field = H2_OTHER;
		hpack->phase = HPACK_SIZE;
		return 0;
	}
	if (index <= HPACK_STATIC) {
		if (hpack->field)
			hpack_take_static(hpack, head, index, hpack->field);
		return !index;
	}
	kept = hpack_find(hpack, index);
	if (kept)
		hpack_take(hpack, head, kept);
	return index - HPACK_STATIC > hpack->added;
}

static __always_inline int hpack_begin(struct hpack *hpack, struct h2_head *head, __u8 byte)
{
	__u8 mask;

	if (byte & 0x80) {
		hpack->kind = HPACK_INDEXED;
		mask = 0x7f;
	} else if (byte & 0x40) {
		hpack->kind = HPACK_ADDED;
		mask = 0x3f;
	} else if (byte & 0x20) {
		hpack->kind = HPACK_RESIZED;
		mask = 0x1f;
	} else {
		hpack->kind = HPACK_LITERAL;
		mask = 0xf;
	}
	hpack->number = byte & mask;
	hpack->shift = 0;
	if (hpack->number != mask)
		return hpack_indexed(hpack, head);
	hpack->phase = HPACK_INDEX;
	return 0;
}

/* The one name that means something and is not in the static table. */
static __always_inline int hpack_named(struct hpack *hpack)
{
	const struct hpack_value *value = &hpack->value;

	hpack->names = 0;
	hpack->phase = HPACK_SIZE;
	if (!hpack_wants(hpack, H2_GRPC_STATUS))
		return 0;
	if (value->length == 11 && !__builtin_memcmp(value->text, "grpc-status", 11))
		hpack->field = H2_GRPC_STATUS;
	return hpack->huffman && !huffman_ends(hpack->code, hpack->bits);
}

/* A string has come to its end. */
static __always_inline int hpack_close(struct hpack *hpack, struct h2_head *head)
{
	if (hpack->names)
		return hpack_named(hpack);
	hpack->phase = HPACK_FIELD;
	if (hpack_wants(hpack, hpack->field)) {
		if (hpack->huffman && !huffman_ends(hpack->code, hpack->bits))
			return 1;
		hpack_take(hpack, head, &hpack->value);
	}
	if (hpack->kind == HPACK_ADDED)
		hpack_keep(hpack);
	return 0;
}

static __always_inline int hpack_open(struct hpack *hpack, struct h2_head *head)
{
	hpack->left = hpack->number;
	hpack->code = 0;
	hpack->bits = 0;
	hpack_fresh(hpack, hpack->field);
	hpack->phase = HPACK_STRING;
	return hpack->left ? 0 : hpack_close(hpack, head);
}

/* Returns 1 when the number has come to its end, -1 if it is too large. */
static __always_inline int hpack_more(struct hpack *hpack, __u8 byte)
{
	if (hpack->shift > HPACK_SHIFTS)
		return -1;
	hpack->number += (__u32)(byte & 0x7f) << (hpack->shift & 15);
	hpack->shift += 7;
	return !(byte & 0x80);
}

static __always_inline void hpack_say(struct hpack_value *value, __u8 byte)
{
	__u32 place = value->length;

	barrier_var(place);
	if (place < sizeof(value->text))
		value->text[place] = byte;
	if (value->length < 0xffff)
		value->length++;
}

static __always_inline int hpack_text(struct hpack *hpack, __u8 byte)
{
	__u32 code = hpack->code;
	__u8 bits = hpack->bits;
	int symbol;

	if (!hpack->huffman) {
		hpack_say(&hpack->value, byte);
		return 0;
	}
	for (int bit = 7; bit >= 0; bit--) {
		symbol = huffman_next(&code, &bits, byte >> bit);
		if (symbol >= 0)
			hpack_say(&hpack->value, symbol);
		if (bits >= HUFFMAN_LONGEST)
			return 1;
	}
	hpack->code = code;
	hpack->bits = bits;
	return 0;
}

/*
 * One byte, of which hpack_skips() is not true. Returns 1 if nothing can be read any more. A global
 * function: the verifier looks at it once.
 */
__noinline int hpack_step(struct hpack *hpack, struct h2_head *head, __u32 next)
{
	__u8 byte = next & 0xff;
	int ended;

	if (!hpack || !head)
		return 1;
	switch (hpack->phase) {
	case HPACK_FIELD:
		return hpack_begin(hpack, head, byte);
	case HPACK_SIZE:
		hpack->huffman = byte >> 7;
		hpack->number = byte & 0x7f;
		hpack->shift = 0;
		if (hpack->number != 0x7f)
			return hpack_open(hpack, head);
		hpack->phase = HPACK_SIZE_MORE;
		return 0;
	case HPACK_INDEX:
	case HPACK_SIZE_MORE:
		ended = hpack_more(hpack, byte);
		if (ended <= 0)
			return ended < 0;
		return hpack->phase == HPACK_INDEX ? hpack_indexed(hpack, head)
						   : hpack_open(hpack, head);
	}
	if (hpack_text(hpack, byte))
		return 1;
	return --hpack->left ? 0 : hpack_close(hpack, head);
}

/* Bytes of a block, and how far they have been read. */
struct hpack_reading {
	struct hpack *hpack;
	struct h2_head *head;
	const __u8 *bytes; /* HTTP_BLOCK of them */
	__u32 size;
	__u32 at;
	int broken;
};

static long hpack_read_next(__u32 index __attribute__((unused)), void *context)
{
	struct hpack_reading *reading = context;
	struct hpack *hpack = reading->hpack;
	__u32 at = reading->at, taken = 1;

	if (at >= reading->size || at >= HTTP_BLOCK)
		return 1;
	if (hpack_skips(hpack)) {
		taken = reading->size - at;
		if (taken > hpack->left)
			taken = hpack->left;
		hpack->left -= taken;
		if (!hpack->left)
			reading->broken = hpack_close(hpack, reading->head);
	} else {
		reading->broken = hpack_step(hpack, reading->head, reading->bytes[at]);
	}
	reading->at = at + taken;
	return !!reading->broken;
}

static __always_inline void hpack_read(struct hpack_reading *reading)
{
	reading->at = 0;
	reading->broken = 0;
	bpf_loop(HTTP_BLOCK, hpack_read_next, reading, 0);
}
