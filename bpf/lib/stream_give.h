/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/*
 * What the server is given of a client's bytes: the start of a head is kept until the rest of it
 * has come, and then goes before that in its packet, which is a longer one at an earlier place.
 */
#pragma once

#include "answer.h"
#include "stream_again.h"

#define SUM_SIZE 256
#define SUM_STEPS 512 /* 128 KiB */

static __always_inline __u32 kept(const struct http_judged *judged)
{
	return judged->talk.next - judged->given;
}

/* --- a packet of another length --- */

struct summing {
	struct __sk_buff *skb;
	__u8 *bytes; /* SUM_SIZE of them, as room */
	__u32 at, left;
	__u64 sum;
};

static long sum_some(__u32 index __attribute__((unused)), void *context)
{
	struct summing *summing = context;
	__u32 size = summing->left < SUM_SIZE ? summing->left : SUM_SIZE;

	if (!summing->left)
		return 1;
	barrier_var(size);
	if (size < SUM_SIZE)
		__builtin_memset(summing->bytes, 0, SUM_SIZE);
	if (size < 1 || size > SUM_SIZE ||
	    bpf_skb_load_bytes(summing->skb, summing->at, summing->bytes, size))
		return 1;
	summing->sum += (__u32)bpf_csum_diff(0, 0, (void *)summing->bytes, SUM_SIZE, 0);
	summing->at += size;
	summing->left -= size;
	return 0;
}

/* Of all that follows the IP header, the TCP header's own field being zero. Returns 0 if so. */
static __always_inline int sum_tcp(struct __sk_buff *skb, struct watching *watching, __u32 end,
				   __u64 *sum)
{
	struct summing summing = {
		.skb = skb, .bytes = watching->bytes, .at = watching->segment.tcp};

	summing.left = end - summing.at;
	bpf_loop(SUM_STEPS, sum_some, &summing, 0);
	*sum += summing.sum;
	return summing.left;
}

static __always_inline int fit_ip4(struct __sk_buff *skb, __u32 end, __u64 *sum, __u32 length)
{
	struct iphdr ip;
	__be16 total = bpf_htons(end - ETH_HLEN);

	if (load(skb, 0, &ip, sizeof(ip)))
		return 1;
	*sum = pseudo_header(&ip.saddr, 8, length, IPPROTO_TCP);
	return bpf_l3_csum_replace(skb, ETH_HLEN + IPV4_CHECKSUM, ip.tot_len, total,
				   sizeof(total)) ||
	       bpf_skb_store_bytes(skb, ETH_HLEN + 2, &total, sizeof(total), 0);
}

static __always_inline int fit_ip6(struct __sk_buff *skb, __u64 *sum, __u32 length)
{
	__be16 payload = bpf_htons(length);
	struct ipv6hdr ip;

	if (load(skb, 0, &ip, sizeof(ip)))
		return 1;
	*sum = pseudo_header(&ip.saddr, 32, length, IPPROTO_TCP);
	return bpf_skb_store_bytes(skb, ETH_HLEN + 4, &payload, sizeof(payload), 0);
}

/* The packet has the bytes that watching->progress says, and is to say so. */
static __noinline int fit(struct __sk_buff *skb, struct watching *watching)
{
	const struct progress *to = &watching->progress;
	__u32 at = watching->segment.tcp, end = watching->segment.at + to->bytes;
	struct tcp_header tcp;
	__u64 sum = 0;
	int v4 = addr_is_mapped(&watching->flow.src);

	if (v4 ? fit_ip4(skb, end, &sum, end - at) : fit_ip6(skb, &sum, end - at))
		return 1;
	if (bpf_skb_load_bytes(skb, at, &tcp, sizeof(tcp)))
		return 1;
	tcp.seq = bpf_htonl(to->seq);
	tcp.ack = bpf_htonl(to->ack);
	tcp.flags = to->flags;
	tcp.checksum = 0;
	if (bpf_skb_store_bytes(skb, at, &tcp, sizeof(tcp), 0) || sum_tcp(skb, watching, end, &sum))
		return 1;
	tcp.checksum = fold(sum);
	return bpf_skb_store_bytes(skb, at, &tcp, sizeof(tcp), 0);
}

/*
 * The kernel makes no packet shorter that is still longer than 16 KiB then; its receiver goes by
 * the length that IP tells.
 */
#define SHORTENED_MAX 15000

static __always_inline int shorten(struct __sk_buff *skb, __u32 size)
{
	return size <= SHORTENED_MAX && bpf_skb_change_tail(skb, size, 0);
}

/* --- heads in pieces --- */

/* Keeps what is behind the part that passes. Returns 0 if all of it is. */
static __always_inline int keep(struct __sk_buff *skb, const struct ct_key *key, __u32 at,
				__u32 size, __u32 before)
{
	struct http_held *held = bpf_map_lookup_elem(&http_heads, key);
	struct http_held *fresh = get_whole();

	if (!held && fresh && !before) {
		bpf_map_update_elem(&http_heads, key, fresh, BPF_NOEXIST);
		held = bpf_map_lookup_elem(&http_heads, key);
	}
	barrier_var(size);
	barrier_var(before);
	if (!held || before > HTTP_HEAD_MAX || size < 1 || size > HTTP_HEAD_MAX ||
	    bpf_skb_load_bytes(skb, at, held->bytes + before, size))
		return 1;
	held->size = before + size;
	return 0;
}

/* The kept start of the head, and the part of the packet that passes with it. */
static __always_inline int put_together(const struct reading *reading, struct http_held *whole,
					__u32 before)
{
	const struct http_held *held = bpf_map_lookup_elem(&http_heads, &reading->watching->key);
	const struct progress *progress = &reading->watching->progress;
	__u32 size = progress->passing;

	barrier_var(size);
	barrier_var(before);
	if (!held || before < 1 || before > HTTP_HEAD_MAX || size < 1 || size > HTTP_PIECE ||
	    bpf_probe_read_kernel(whole->bytes, before, held->bytes) ||
	    bpf_skb_load_bytes(reading->skb, progress->at, whole->bytes + before, size))
		return 1;
	whole->size = before + size;
	return 0;
}

static __always_inline int store_whole(struct __sk_buff *skb, __u32 at, struct http_held *whole)
{
	__u32 size = whole->size;

	barrier_var(size);
	return size < 1 || size > HTTP_WHOLE || bpf_skb_change_tail(skb, at + size, 0) ||
	       bpf_skb_store_bytes(skb, at, whole->bytes, size, 0);
}

/*
 * What passes of the packet is all that it brings now, and what is left of it is kept if it is
 * `clean`: the start of a head and no more. Returns 0 if that is so.
 */
static __noinline int cut_out(const struct reading *reading, int clean)
{
	struct watching *watching = reading->watching;
	struct progress *progress = &watching->progress;
	struct http_judged *judged = reading->judged;
	const struct said *segment = &watching->segment;
	__u32 before = kept(judged), passing = progress->passing;
	__u32 rest = clean ? progress->size - passing : 0;
	struct http_held *whole = get_whole();
	int trimmed;

	progress->bytes = passing + (before ?: progress->at - segment->at);
	progress->seq = before ? judged->given : segment->seq;
	progress->ack = segment->ack;
	trimmed = progress->at + passing < segment->at + segment->size;
	progress->flags = segment->flags & ~(trimmed ? TCP_FIN | TCP_PSH : 0);
	progress->changed = before || trimmed;
	if (!whole || (before && put_together(reading, whole, before)) ||
	    (rest && keep(reading->skb, &watching->key, progress->at + passing, rest, 0)))
		return 1;
	if (before ? store_whole(reading->skb, segment->at, whole)
		   : trimmed && shorten(reading->skb, segment->at + progress->bytes))
		return 1;
	if (before && !rest)
		bpf_map_delete_elem(&http_heads, &watching->key);
	if (progress->heads)
		remember(reading->skb, judged, before ? segment->at : progress->at,
			 before ? judged->given : judged->talk.next, before + progress->heads,
			 before + passing);
	judged->joined |= !!before;
	judged->given = judged->talk.next + passing;
	judged->talk.next = judged->given + rest;
	return 0;
}

static __always_inline int give(const struct reading *reading, int clean)
{
	return cut_out(reading, clean) ||
	       (reading->watching->progress.changed && fit(reading->skb, reading->watching));
}

/* A packet of `size` bytes from `seq` on, which is not the last one. */
static __always_inline void plan(struct watching *watching, __u32 seq, __u32 ack, __u32 size)
{
	watching->progress.seq = seq;
	watching->progress.ack = ack;
	watching->progress.bytes = size;
	watching->progress.flags = watching->segment.flags & ~(TCP_FIN | TCP_PSH);
}

/*
 * The server has lost what the client has been told that it got: it comes again in this packet.
 * Returns 0 if it does.
 */
static __noinline int give_again(struct __sk_buff *skb, struct watching *watching,
				 const struct http_judged *judged)
{
	const struct said *segment = &watching->segment;
	__u32 size = judged->recent_size;

	plan(watching, judged->recent, segment->ack, size);
	barrier_var(size);
	return size < 1 || size > HTTP_RECENT || bpf_skb_change_tail(skb, segment->at + size, 0) ||
	       bpf_skb_store_bytes(skb, segment->at, judged->last, size, 0) || fit(skb, watching);
}

/* The packet goes on with its first bytes alone. Returns 0 if it does. */
static __noinline int trim(struct __sk_buff *skb, struct watching *watching, __u32 size)
{
	const struct said *segment = &watching->segment;

	plan(watching, segment->seq, segment->ack, size);
	return shorten(skb, segment->at + size) || fit(skb, watching);
}

/* The packet goes on without its bytes, to end the server's side of the connection. */
static __always_inline int become_end(struct __sk_buff *skb, struct watching *watching,
				      const struct http_judged *judged, __u8 flags)
{
	plan(watching, judged->given, judged->sent, 0); /* the refusal is not the server's */
	watching->progress.flags = flags;
	return bpf_skb_change_tail(skb, watching->segment.at, 0) || fit(skb, watching);
}
