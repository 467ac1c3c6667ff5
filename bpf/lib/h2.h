/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/*
 * HTTP/2 (RFC 9113) seen in packets: frames are followed by their lengths in both directions, and
 * header blocks read. A request is a stream that the client opens; its answer is the first block of
 * the server's there with a status that is not informational.
 */
#pragma once

#include "h2_count.h"
#include "hpack.h"
#include "segment.h"

#define H2_PREFACE 24
#define H2_HEAD 9 /* of a frame */
#define H2_PRIORITY 5
#define H2_PROMISED 4

enum h2_type {
	H2_DATA = 0,
	H2_HEADERS = 1,
	H2_RST_STREAM = 3,
	H2_SETTINGS = 4,
	H2_PUSH_PROMISE = 5,
	H2_CONTINUATION = 9,
};

enum h2_flag {
	H2_ACK = 1,
	H2_END_HEADERS = 4,
	H2_PADDED = 8,
	H2_PRIORITISED = 32,
};

static __always_inline __u32 h2_length(const struct h2_side *side)
{
	return side->head[0] << 16 | side->head[1] << 8 | side->head[2];
}

static __always_inline int h2_bears_block(__u8 type)
{
	return type == H2_HEADERS || type == H2_PUSH_PROMISE || type == H2_CONTINUATION;
}

static __always_inline void h2_begin_block(struct h2_packet *packet)
{
	struct h2_side *side = packet->side;
	struct h2_head *head = &packet->h2->request;

	side->opened = side->head[3];
	side->hpack.seen = 0;
	side->hpack.status = 0;
	side->hpack.is_grpc = 0;
	side->hpack.grpc = 0;
	if (!packet->reply)
		__builtin_memset(head, 0, sizeof(*head));
}

/* A frame's head is complete. Returns 1 if it cannot be one. */
static __always_inline int h2_begin_frame(struct h2_packet *packet)
{
	struct h2_side *side = packet->side;
	__u8 type = side->head[3], flags = side->head[4];
	__u32 stream = bpf_ntohl(*(__be32 *)(side->head + 5)) & 0x7fffffff, ahead;

	side->left = h2_length(side);
	side->block = 0;
	side->padded = 0;
	side->before = 0;
	/* Both sides begin with their settings. */
	if (!side->begun && (type != H2_SETTINGS || flags & H2_ACK || stream))
		return 1;
	side->begun = 1;
	if (side->opened ? type != H2_CONTINUATION || stream != side->stream
			 : type == H2_CONTINUATION)
		return 1;
	side->stream = stream;
	if (!h2_bears_block(type))
		return 0;
	if (type != H2_CONTINUATION) {
		if (!stream || (type == H2_PUSH_PROMISE && !packet->reply))
			return 1;
		h2_begin_block(packet);
		side->padded = !!(flags & H2_PADDED);
		if (type == H2_PUSH_PROMISE)
			side->before = H2_PROMISED;
		else if (flags & H2_PRIORITISED)
			side->before = H2_PRIORITY;
	}
	ahead = side->padded + side->before;
	side->block = side->left - ahead;
	return side->left < ahead;
}

static __always_inline int h2_end_frame(struct h2_packet *packet)
{
	struct h2_side *side = packet->side;
	__u8 type = side->head[3], opened = side->opened;

	side->have = 0;
	if (type == H2_RST_STREAM)
		h2_drop(packet, side->stream);
	if (!h2_bears_block(type) || !(side->head[4] & H2_END_HEADERS))
		return 0;
	side->opened = 0;
	if (side->hpack.phase != HPACK_FIELD)
		return 1;
	if (opened != H2_HEADERS)
		return 0;
	if (packet->reply)
		h2_answered(packet, side->stream);
	else
		h2_asked(packet, side->stream);
	return 0;
}

/* All of a frame's head that is at hand, or a byte of it. Returns how much. */
static __always_inline __u32 h2_read_head(struct h2_packet *packet)
{
	struct h2_side *side = packet->side;
	__u32 have = side->have;

	if (!have && packet->left >= H2_HEAD) {
		if (bpf_skb_load_bytes(packet->skb, packet->at, side->head, H2_HEAD))
			return 0;
		side->have = H2_HEAD;
		return H2_HEAD;
	}
	barrier_var(have);
	if (have >= H2_HEAD || bpf_skb_load_bytes(packet->skb, packet->at, side->head + have, 1))
		return 0;
	side->have = have + 1;
	return 1;
}

/* Returns 1 if it is longer than what it pads. */
static __always_inline int h2_read_padding(struct h2_packet *packet)
{
	struct h2_side *side = packet->side;
	__u8 padding = 0;

	side->padded = 0;
	if (bpf_skb_load_bytes(packet->skb, packet->at, &padding, 1) || padding > side->block)
		return 1;
	side->block -= padding;
	return 0;
}

/* Returns how many bytes were read; 0: they make no sense. */
static __noinline __u32 h2_read_block(struct h2_packet *packet)
{
	struct h2_side *side = packet->side;
	struct h2_scratch *scratch = packet->scratch;
	struct hpack_reading reading = {
		.hpack = &side->hpack, .head = &packet->h2->request, .bytes = scratch->bytes};
	__u32 left = packet->left < side->block ? packet->left : side->block;

	reading.size = load_some(packet->skb, packet->at, left, scratch->bytes);
	hpack_read(&reading);
	side->block -= reading.at;
	return reading.broken ? 0 : reading.at;
}

/* Some of a frame behind its head. Returns how many bytes; 0: they make no sense. */
static __always_inline __u32 h2_read_payload(struct h2_packet *packet)
{
	struct h2_side *side = packet->side;
	__u32 some;

	if (side->padded)
		return !h2_read_padding(packet);
	if (side->before) {
		some = packet->left < side->before ? packet->left : side->before;
		side->before -= some;
		return some;
	}
	if (side->block)
		return h2_read_block(packet);
	return packet->left < side->left ? packet->left : side->left;
}

static long h2_read_next(__u32 index __attribute__((unused)), void *context)
{
	struct h2_packet *packet = context;
	struct h2_side *side = packet->side;
	int is_head = side->have < H2_HEAD;
	__u32 used;

	if (!packet->left)
		return 1;
	if (is_head) {
		used = h2_read_head(packet);
		side->lost |= !used;
		if (side->have == H2_HEAD)
			side->lost |= h2_begin_frame(packet);
	} else {
		used = h2_read_payload(packet);
		side->lost |= !used;
		side->left -= used;
	}
	if (!side->lost && side->have == H2_HEAD && !side->left)
		side->lost |= h2_end_frame(packet);
	packet->at += used;
	packet->left -= used;
	return !!side->lost;
}

/* What is missing may be the midst of a frame whose bytes mean nothing here. Returns 1: it is. */
static __always_inline int h2_step_over(struct h2_side *side, __u32 gap)
{
	if (side->have != H2_HEAD || side->padded || side->before || side->block ||
	    gap >= side->left)
		return 0;
	side->left -= gap;
	return 1;
}

/* Reads what is new in a packet. Returns 1 if from here on nothing can be read. */
static __always_inline int h2_follow(struct h2_packet *packet, const struct said *segment)
{
	struct h2_side *side = packet->side;
	__u32 from = side->next - segment->seq;

	if (side->lost || !segment->size)
		return 0;
	if ((__s32)from < 0) {
		side->lost = !h2_step_over(side, -from);
		from = 0;
	}
	if (from >= segment->size)
		return 0;
	packet->at = segment->at + from;
	packet->left = segment->size - from;
	side->next = segment->seq + segment->size;
	if (!side->lost)
		bpf_loop(H2_STEPS, h2_read_next, packet, 0);
	side->lost |= !!packet->left;
	return side->lost;
}

/* --- a connection --- */

/* A client has sent the preface, or a server its settings before that. */
static __noinline struct h2_talk *h2_begin(const struct ct_key *key)
{
	static const struct h2_talk fresh;
	struct h2_talk *h2;

	if (bpf_map_update_elem(&h2_talks, key, &fresh, BPF_ANY))
		return 0;
	h2 = bpf_map_lookup_elem(&h2_talks, key);
	if (!h2)
		return 0;
	h2->id = (__u64)bpf_get_prandom_u32() << 32 ^ bpf_ktime_get_ns();
	h2->side[0].hpack.table = h2->id;
	h2->side[1].hpack.table = ~h2->id;
	h2->side[0].hpack.wanted = 1 << H2_METHOD | 1 << H2_PATH | 1 << H2_AUTHORITY;
	h2->side[1].hpack.wanted = 1 << H2_STATUS | 1 << H2_CONTENT_TYPE | 1 << H2_GRPC_STATUS;
	return h2;
}

/* Returns 1 if there is no room for what is known of it. */
static __noinline int h2_greet(const struct ct_key *key, const struct said *segment)
{
	struct h2_talk *h2 = bpf_map_lookup_elem(&h2_talks, key);

	if (!h2 || !h2->early) {
		h2 = h2_begin(key);
		if (!h2)
			return 1;
		h2->side[1].next = segment->ack;
	}
	h2->early = 0;
	h2->side[0].next = segment->seq;
	h2->side[0].have = H2_HEAD; /* as if it were a frame that means nothing */
	h2->side[0].head[3] = 0xff;
	h2->side[0].left = H2_PREFACE;
	return 0;
}

/* A server speaks first, and it may be settings. */
static __noinline struct h2_talk *h2_begin_early(struct __sk_buff *skb, const struct ct_key *key,
						 const struct said *segment)
{
	struct h2_talk *h2;
	__u8 head[H2_HEAD];

	if (segment->size < H2_HEAD || bpf_skb_load_bytes(skb, segment->at, head, sizeof(head)) ||
	    head[0] || head[3] != H2_SETTINGS || head[4])
		return 0;
	h2 = h2_begin(key);
	if (!h2)
		return 0;
	h2->early = 1;
	h2->side[1].next = segment->seq;
	return h2;
}

static __always_inline void h2_watch(struct h2_packet *packet, const struct said *segment,
				     __u32 tcp_flags)
{
	packet->side = &packet->h2->side[packet->reply];
	if (h2_follow(packet, segment))
		h2_lose(packet);
	if (tcp_flags & TCP_RST || (packet->reply && tcp_flags & TCP_FIN))
		h2_drop_all(packet);
}
