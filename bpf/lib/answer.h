/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/*
 * Turns a packet into the answer that tells its sender why it falls. Denied: a TCP RST (RFC 9293,
 * 3.5.2), or ICMP administratively prohibited (RFC 1812, 5.2.7.1; RFC 4443, 3.1). Too large: what
 * would fit (RFC 1191, 4; RFC 4443, 3.2). Packets with IP options or extension headers fall
 * without.
 */
#pragma once

#include "conntrack.h"
#include "network.h"
#include "rewrite.h"

#define ANSWER_TTL 64
#define ICMP_PROHIBITED 13
#define ICMP_FRAG_NEEDED 4
#define ICMPV6_PKT_TOOBIG 2
#define IP_DONT_FRAGMENT 0x4000
#define ICMPV6_PROHIBITED 1

struct icmp_header {
	__u8 type, code;
	__be16 checksum;
	__be32 mtu; /* of what is too large, else 0 */
};

struct rst4 {
	struct iphdr ip;
	struct tcp_header tcp;
};

struct rst6 {
	struct ipv6hdr ip;
	struct tcp_header tcp;
};

struct told4 {
	struct iphdr ip;
	struct icmp_header icmp;
	struct iphdr about;
	__u8 start[8];
};

struct told6 {
	struct ipv6hdr ip;
	struct icmp_header icmp;
	struct ipv6hdr about;
	__u8 start[8];
};

/* Of `size` bytes, a multiple of 4, and what the pseudo header adds. */
static __always_inline __be16 checksum_of(void *data, __u32 size, __u64 more)
{
	return fold((__u32)bpf_csum_diff(0, 0, data, size, 0) + more);
}

static __always_inline __u64 pseudo_header(const void *src_and_dst, __u32 size, __u32 length,
					   __u8 proto)
{
	__u64 sum = (__u32)bpf_csum_diff(0, 0, (void *)src_and_dst, size, 0);

	return sum + bpf_htons(length) + bpf_htons(proto);
}

static __always_inline void fill_rst(const struct tcp_header *seen, __u32 payload,
				     struct tcp_header *rst)
{
	__builtin_memset(rst, 0, sizeof(*rst));
	rst->ports.sport = seen->ports.dport;
	rst->ports.dport = seen->ports.sport;
	rst->words = sizeof(*rst) / 4 << TCP_WORDS_SHIFT;
	rst->flags = TCP_RST;
	if (seen->flags & TCP_ACK) {
		rst->seq = seen->ack;
		return;
	}
	rst->flags |= TCP_ACK;
	rst->ack = bpf_htonl(bpf_ntohl(seen->seq) + payload + !!(seen->flags & TCP_SYN) +
			     !!(seen->flags & TCP_FIN));
}

static __always_inline void fill_ip4(const struct iphdr *seen, __u32 length, __u8 proto,
				     struct iphdr *ip)
{
	__builtin_memset(ip, 0, sizeof(*ip));
	ip->version = 4;
	ip->ihl = 5;
	ip->tot_len = bpf_htons(length);
	ip->ttl = ANSWER_TTL;
	ip->protocol = proto;
	ip->saddr = seen->daddr;
	ip->daddr = seen->saddr;
	ip->check = checksum_of(ip, sizeof(*ip), 0);
}

static __always_inline void fill_ip6(const struct ipv6hdr *seen, __u32 length, __u8 proto,
				     struct ipv6hdr *ip)
{
	__builtin_memset(ip, 0, sizeof(*ip));
	ip->version = 6;
	ip->payload_len = bpf_htons(length);
	ip->nexthdr = proto;
	ip->hop_limit = ANSWER_TTL;
	ip->saddr = seen->daddr;
	ip->daddr = seen->saddr;
}

static __always_inline int put(struct __sk_buff *skb, const void *answer, __u32 size)
{
	return bpf_skb_change_tail(skb, sizeof(struct ethhdr) + size, 0) ||
	       bpf_skb_store_bytes(skb, sizeof(struct ethhdr), answer, size, 0);
}

static __always_inline int load(struct __sk_buff *skb, __u32 at, void *to, __u32 size)
{
	return bpf_skb_load_bytes(skb, sizeof(struct ethhdr) + at, to, size);
}

/* A later fragment has the sender's data where an answer would look for ports. */
static __always_inline int is_answered4(const struct iphdr *ip)
{
	return ip->ihl == 5 && !(bpf_ntohs(ip->frag_off) & IP_OFFSET);
}

__noinline int answer_rst4(struct __sk_buff *skb)
{
	struct tcp_header seen;
	struct rst4 rst;
	struct iphdr ip;

	if (load(skb, 0, &ip, sizeof(ip)) || !is_answered4(&ip) ||
	    load(skb, sizeof(ip), &seen, sizeof(seen)))
		return 1;
	if (seen.flags & TCP_RST)
		return 1;
	fill_ip4(&ip, sizeof(rst), IPPROTO_TCP, &rst.ip);
	fill_rst(&seen, bpf_ntohs(ip.tot_len) - sizeof(ip) - (seen.words >> TCP_WORDS_SHIFT) * 4,
		 &rst.tcp);
	rst.tcp.checksum =
		checksum_of(&rst.tcp, sizeof(rst.tcp),
			    pseudo_header(&rst.ip.saddr, 8, sizeof(rst.tcp), IPPROTO_TCP));
	return put(skb, &rst, sizeof(rst));
}

__noinline int answer_rst6(struct __sk_buff *skb)
{
	struct tcp_header seen;
	struct ipv6hdr ip;
	struct rst6 rst;

	if (load(skb, 0, &ip, sizeof(ip)) || ip.nexthdr != IPPROTO_TCP ||
	    load(skb, sizeof(ip), &seen, sizeof(seen)) || seen.flags & TCP_RST)
		return 1;
	fill_ip6(&ip, sizeof(rst.tcp), IPPROTO_TCP, &rst.ip);
	fill_rst(&seen, bpf_ntohs(ip.payload_len) - (seen.words >> TCP_WORDS_SHIFT) * 4, &rst.tcp);
	rst.tcp.checksum =
		checksum_of(&rst.tcp, sizeof(rst.tcp),
			    pseudo_header(&rst.ip.saddr, 32, sizeof(rst.tcp), IPPROTO_TCP));
	return put(skb, &rst, sizeof(rst));
}

#define TCP_CHECKSUM_AT 16
#define TCP_WORDS_AT 12
#define TCP_RESETS 0x14 /* RST, ACK */

/* Returns 0 if a TCP packet is a reset of its own connection now. */
__noinline int become_reset(struct __sk_buff *skb, const struct flow *flow)
{
	__u32 start = sizeof(struct ipv6hdr);
	__be16 before, after;
	__u8 first;

	if (!flow || flow->proto != IPPROTO_TCP)
		return 1;
	if (addr_is_mapped(&flow->src)) {
		if (load(skb, 0, &first, sizeof(first)))
			return 1;
		start = (first & 0xf) * 4;
	}
	if (load(skb, start + TCP_WORDS_AT, &before, sizeof(before)))
		return 1;
	after = (before & bpf_htons(0xf000)) | bpf_htons(TCP_RESETS);
	start += ETH_HLEN;
	return bpf_l4_csum_replace(skb, start + TCP_CHECKSUM_AT, before, after, sizeof(after)) ||
	       bpf_skb_store_bytes(skb, start + TCP_WORDS_AT, &after, sizeof(after), 0);
}

/* `mtu` 0: it is prohibited. */
__noinline int answer_icmp4(struct __sk_buff *skb, __u32 mtu)
{
	struct told4 told = {};

	if (load(skb, 0, &told.about, sizeof(told.about) + sizeof(told.start)) ||
	    !is_answered4(&told.about))
		return 1;
	fill_ip4(&told.about, sizeof(told), IPPROTO_ICMP, &told.ip);
	told.icmp.type = ICMP_DEST_UNREACH;
	told.icmp.code = mtu ? ICMP_FRAG_NEEDED : ICMP_PROHIBITED;
	told.icmp.mtu = bpf_htonl(mtu);
	told.icmp.checksum = checksum_of(&told.icmp, sizeof(told) - sizeof(told.ip), 0);
	return put(skb, &told, sizeof(told));
}

__noinline int answer_icmp6(struct __sk_buff *skb, __u32 mtu)
{
	const __u32 size = sizeof(struct told6) - sizeof(struct ipv6hdr);
	struct told6 told = {};

	if (load(skb, 0, &told.about, sizeof(told.about) + sizeof(told.start)))
		return 1;
	fill_ip6(&told.about, size, IPPROTO_ICMPV6, &told.ip);
	told.icmp.type = mtu ? ICMPV6_PKT_TOOBIG : ICMPV6_DEST_UNREACH;
	told.icmp.code = mtu ? 0 : ICMPV6_PROHIBITED;
	told.icmp.mtu = bpf_htonl(mtu);
	told.icmp.checksum = checksum_of(&told.icmp, size,
					 pseudo_header(&told.ip.saddr, 32, size, IPPROTO_ICMPV6));
	return put(skb, &told, sizeof(told));
}

/* 0 if the packet is its own answer now; its addresses and ports are the other way round. */
static __always_inline int become_answer(struct __sk_buff *skb, const struct flow *flow)
{
	int v4 = addr_is_mapped(&flow->src);

	if (flow->icmp_error)
		return 1;
	if (flow->proto == IPPROTO_TCP)
		return v4 ? answer_rst4(skb) : answer_rst6(skb);
	return v4 ? answer_icmp4(skb, 0) : answer_icmp6(skb, 0);
}

/* IPv4 without DF is cut up on its way. */
static __always_inline int may_fragment(struct __sk_buff *skb, int v4)
{
	__be16 fragment;

	return v4 && (load(skb, 6, &fragment, sizeof(fragment)) ||
		      !(fragment & bpf_htons(IP_DONT_FRAGMENT)));
}
