/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/*
 * A request becomes the answer to itself: written over its own bytes, of which there must not be
 * one more or less after that. What is left between the last header and the end is blanks.
 */
#pragma once

#include "../abi.h"
#include <bpf/bpf_helpers.h>

#define STATUS_AT 9
#define BLANKS 32

static const char answer_short[] = "HTTP/1.1 403 ";
static const char answer_empty[] = "HTTP/1.1 403 \r\nContent-Length:0";
static const char answer_closing[] = "HTTP/1.1 403 \r\nContent-Length:0\r\nConnection:close";
static const char answer_named[] =
	"HTTP/1.1 403 Forbidden\r\nContent-Length:0\r\nConnection:close\r\n"
	"X-Denied-By: tulle rule set ";
static const char answer_end[] = "\r\n\r\n";
static const char blanks[BLANKS + 1] = "                                ";

struct filling {
	struct __sk_buff *skb;
	__u32 at, end;
};

static long fill_next(__u32 index __attribute__((unused)), void *context)
{
	struct filling *filling = context;
	__u32 size = filling->end - filling->at >= BLANKS ? BLANKS : 1;

	if (filling->at >= filling->end)
		return 1;
	if (size == BLANKS)
		bpf_skb_store_bytes(filling->skb, filling->at, blanks, BLANKS, 0);
	else
		bpf_skb_store_bytes(filling->skb, filling->at, blanks, 1, 0);
	filling->at += size;
	return 0;
}

#define FITS(text, more) (filling->at + sizeof(text) - 1 + (more) <= filling->end)
#define PUT(text)                                                                                  \
	do {                                                                                       \
		if (bpf_skb_store_bytes(filling->skb, filling->at, text, sizeof(text) - 1, 0))     \
			return 1;                                                                  \
		filling->at += sizeof(text) - 1;                                                   \
	} while (0)

#define SET_DIGITS 5

static __always_inline int put_start(struct filling *filling, __u16 set)
{
	char digits[SET_DIGITS];

	if (!FITS(answer_named, SET_DIGITS)) {
		if (FITS(answer_closing, 0))
			PUT(answer_closing);
		else if (FITS(answer_empty, 0))
			PUT(answer_empty);
		else if (FITS(answer_short, 0))
			PUT(answer_short);
		else
			return 1;
		return 0;
	}
	PUT(answer_named);
	for (int i = SET_DIGITS - 1; i >= 0; i--) {
		digits[i] = '0' + set % 10;
		set /= 10;
	}
	if (bpf_skb_store_bytes(filling->skb, filling->at, digits, sizeof(digits), 0))
		return 1;
	filling->at += sizeof(digits);
	return 0;
}

/* Returns 0 if the message is an answer of this status now. */
static __always_inline int write_refusal(struct __sk_buff *skb, __u32 offset, __u32 length,
					 __u16 status, __u16 set)
{
	struct filling filling = {.skb = skb, .at = offset};
	char code[3] = {'4', '0', status == 403 ? '3' : '0'};

	if (length < sizeof(answer_end) || bpf_skb_pull_data(skb, offset + length))
		return 1;
	filling.end = offset + length - (sizeof(answer_end) - 1);
	if (put_start(&filling, set) ||
	    bpf_skb_store_bytes(skb, offset + STATUS_AT, code, sizeof(code), 0))
		return 1;
	if (status == 400 && filling.at - offset > sizeof(answer_closing) &&
	    bpf_skb_store_bytes(skb, offset + STATUS_AT + sizeof(code) + 1, "Malformed", 9, 0))
		return 1;
	bpf_loop(HTTP_HEAD_MAX / BLANKS + BLANKS, fill_next, &filling, 0);
	return filling.at != filling.end ||
	       bpf_skb_store_bytes(skb, filling.end, answer_end, sizeof(answer_end) - 1, 0);
}
