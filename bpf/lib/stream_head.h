/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* The start of a head is taken out of the stream until the rest of it has come. */
#pragma once

#include "stream_room.h"

/* Bytes on their way between a buffer and what is kept of a head. */
struct keeping {
	struct __sk_buff *skb;
	struct http_held *held;
	__u32 from; /* in the buffer */
	__u32 at;   /* in what is kept */
	__u32 left;
};

static __always_inline __u32 next_size(const struct keeping *keeping)
{
	return keeping->left < HTTP_BLOCK ? keeping->left : HTTP_BLOCK;
}

static __always_inline void move_on(struct keeping *keeping, __u32 size)
{
	keeping->from += size;
	keeping->at += size;
	keeping->left -= size;
}

static long keep_some(__u32 index __attribute__((unused)), void *context)
{
	struct keeping *keeping = context;
	__u32 size = next_size(keeping), at = keeping->at;

	barrier_var(size);
	if (size < 1 || size > HTTP_BLOCK || at > HTTP_HEAD_MAX ||
	    bpf_skb_load_bytes(keeping->skb, keeping->from, keeping->held->bytes + at, size))
		return 1;
	move_on(keeping, size);
	return 0;
}

static long return_some(__u32 index __attribute__((unused)), void *context)
{
	struct keeping *keeping = context;
	__u32 size = next_size(keeping), at = keeping->at;

	barrier_var(size);
	if (size < 1 || size > HTTP_BLOCK || at > HTTP_HEAD_MAX ||
	    bpf_skb_store_bytes(keeping->skb, keeping->from, keeping->held->bytes + at, size, 0))
		return 1;
	move_on(keeping, size);
	return 0;
}

#define KEEP_STEPS (HTTP_HEAD_MAX / HTTP_BLOCK + 2)

/* Adds what is behind `from` to what is kept. Returns 0 if all of it is. */
static __always_inline int keep(const struct bytes *bytes, __u64 cookie, __u32 from)
{
	struct keeping keeping = {.skb = bytes->skb, .from = from, .left = bytes->size - from};
	struct http_held *held = bpf_map_lookup_elem(&http_heads, &cookie);

	if (!held) {
		bytes->room->held.size = 0;
		bpf_map_update_elem(&http_heads, &cookie, &bytes->room->held, BPF_NOEXIST);
		held = bpf_map_lookup_elem(&http_heads, &cookie);
	}
	if (!held)
		return 1;
	keeping.held = held;
	keeping.at = held->size;
	bpf_loop(KEEP_STEPS, keep_some, &keeping, 0);
	held->size = keeping.at;
	bytes->http->held = held->size;
	return keeping.left;
}

/* Puts what is kept before what is at hand. Returns 0 if that is so. */
static __always_inline int give_back(struct __sk_buff *skb, __u64 cookie, struct http_stream *http)
{
	struct http_held *held = bpf_map_lookup_elem(&http_heads, &cookie);
	struct keeping keeping = {.skb = skb, .held = held};

	if (!held || bpf_skb_change_head(skb, held->size, 0))
		return 1;
	keeping.left = held->size;
	bpf_loop(KEEP_STEPS, return_some, &keeping, 0);
	http->held = 0;
	bpf_map_delete_elem(&http_heads, &cookie);
	return keeping.left;
}
