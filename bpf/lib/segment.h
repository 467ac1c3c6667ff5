/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* What a TCP packet says, and its bytes. */
#pragma once

#include "../abi.h"
#include "parse.h"
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

/* What TCP says of a packet's bytes. */
struct said {
	__u32 seq, ack;
	__u32 tcp; /* where its header is in the packet */
	__u32 at;  /* and where its bytes are */
	__u32 size;
	__u16 window;
	__u8 flags;
};

static __always_inline __u32 find_tcp(struct __sk_buff *skb, int v4, __u32 *end)
{
	struct ipv6hdr ip6;
	struct iphdr ip;

	if (v4) {
		if (bpf_skb_load_bytes(skb, ETH_HLEN, &ip, sizeof(ip)) ||
		    ip.frag_off & bpf_htons(IP_OFFSET | IP_MORE_FRAGMENTS))
			return 0;
		*end = ip.tot_len ? ETH_HLEN + bpf_ntohs(ip.tot_len) : skb->len;
		return ETH_HLEN + ip.ihl * 4;
	}
	if (bpf_skb_load_bytes(skb, ETH_HLEN, &ip6, sizeof(ip6)) || ip6.nexthdr != IPPROTO_TCP)
		return 0;
	*end = ip6.payload_len ? ETH_HLEN + sizeof(ip6) + bpf_ntohs(ip6.payload_len) : skb->len;
	return ETH_HLEN + sizeof(ip6);
}

/* Returns 0 if it could be found. */
static __noinline int load_segment(struct __sk_buff *skb, int v4, struct said *segment)
{
	struct tcp_header tcp;
	__u32 end = 0, at = find_tcp(skb, v4, &end);

	if (!at || bpf_skb_load_bytes(skb, at, &tcp, sizeof(tcp)))
		return 1;
	segment->seq = bpf_ntohl(tcp.seq);
	segment->ack = bpf_ntohl(tcp.ack);
	segment->tcp = at;
	segment->flags = tcp.flags;
	segment->window = bpf_ntohs(tcp.window);
	segment->at = at + (tcp.words >> TCP_WORDS_SHIFT) * 4;
	if (end > skb->len || end < segment->at)
		return 1;
	segment->size = end - segment->at;
	return 0;
}

/* Up to HTTP_BLOCK of the bytes that are `left`. Returns how many. */
static __always_inline __u32 load_some(struct __sk_buff *skb, __u32 at, __u32 left, __u8 *bytes)
{
	__u32 size = left < HTTP_BLOCK ? left : HTTP_BLOCK;

	barrier_var(size);
	if (size < 1 || size > HTTP_BLOCK || bpf_skb_load_bytes(skb, at, bytes, size))
		return 0;
	return size;
}
