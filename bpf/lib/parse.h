/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/*
 * Cursor parsers: packet bytes in, struct flow out. Each returns 0, or the reason to drop.
 * REASON_MALFORMED also means that the headers were not in the linear part yet.
 */
#pragma once

#include "../maps.h"
#include "addr.h"
#include <linux/if_ether.h>
#include <linux/in.h>
#include <linux/ip.h>
#include <linux/ipv6.h>

#define MAX_EXTENSIONS 6
#define IP_MORE_FRAGMENTS 0x2000
#define IP_OFFSET 0x1fff
#define IP6_OFFSET 0xfff8
#define IP6_MORE_FRAGMENTS 0x0001
#define ICMP_DEST_UNREACH 3
#define ICMP_REDIRECT 5
#define ICMP_TIME_EXCEEDED 11
#define ICMP_PARAMETERPROB 12
#define ICMPV6_DEST_UNREACH 1
#define ICMPV6_PARAMPROB 4
#define MLD_FIRST 130
#define ND_LAST 137
#define MLD2_REPORT 143

struct cursor {
	void *pos;
	void *end;
};

struct ports {
	__be16 sport;
	__be16 dport;
};

struct icmp_start {
	__u8 type, code;
	__be16 checksum, id, sequence;
};

struct tcp_start {
	struct ports ports;
	__be32 seq, ack;
	__u8 offset, flags;
};

struct fragment_header {
	__u8 next, reserved;
	__be16 offset;
	__be32 id;
};

static __always_inline void *take(struct cursor *cursor, __u32 size)
{
	void *at = cursor->pos;

	if (at + size > cursor->end)
		return 0;
	cursor->pos = at + size;
	return at;
}

/* Ports and flags; `whole` is 0 for the packet inside an ICMP error, of which 8 bytes are sure. */
static __always_inline __u32 parse_transport(struct cursor *cursor, int whole, struct flow *flow)
{
	struct cursor start = *cursor;
	struct ports *ports;
	struct tcp_start *tcp;

	switch (flow->proto) {
	case IPPROTO_TCP:
	case IPPROTO_UDP:
	case IPPROTO_SCTP:
		ports = take(cursor, sizeof(*ports));
		if (!ports)
			return REASON_MALFORMED;
		flow->sport = ports->sport;
		flow->dport = ports->dport;
		break;
	default:
		return 0;
	}
	if (flow->proto == IPPROTO_TCP && whole) {
		tcp = take(&start, sizeof(*tcp));
		if (!tcp)
			return REASON_MALFORMED;
		flow->tcp_flags = tcp->flags;
	}
	return 0;
}

/* Ping: both directions carry one id, which stands for both ports in conntrack. */
static __always_inline void set_echo(struct flow *flow, __be16 id)
{
	flow->sport = id;
	flow->dport = id;
}

static __always_inline __u32 parse_v4_header(struct cursor *cursor, struct flow *flow,
					     __u16 *fragment, __u32 *id)
{
	struct iphdr *ip = take(cursor, sizeof(*ip));
	__u32 options;

	if (!ip || ip->version != 4 || ip->ihl < 5)
		return REASON_MALFORMED;
	options = ip->ihl * 4 - sizeof(*ip);
	if (options && !take(cursor, options & 0x3f))
		return REASON_MALFORMED;
	flow->src = addr_v4(ip->saddr);
	flow->dst = addr_v4(ip->daddr);
	flow->proto = ip->protocol;
	*fragment = bpf_ntohs(ip->frag_off) & (IP_OFFSET | IP_MORE_FRAGMENTS);
	*id = ip->id;
	return 0;
}

/* Skips the extension headers that mean nothing to a verdict; refuses the others. */
static __always_inline __u32 parse_v6_header(struct cursor *cursor, struct flow *flow,
					     __u16 *fragment, __u32 *id)
{
	struct ipv6hdr *ip = take(cursor, sizeof(*ip));
	struct fragment_header *part;
	struct ipv6_opt_hdr *option;
	__u8 next;

	if (!ip || ip->version != 6)
		return REASON_MALFORMED;
	flow->src = addr_v6(ip->saddr.in6_u.u6_addr32);
	flow->dst = addr_v6(ip->daddr.in6_u.u6_addr32);
	/* On the wire such an address is a forgery (RFC 6890); here it would pass for IPv4. */
	if (addr_is_mapped(&flow->src) || addr_is_mapped(&flow->dst))
		return REASON_MALFORMED;
	next = ip->nexthdr;
	for (int i = 0; i < MAX_EXTENSIONS; i++) {
		if (next == IPPROTO_FRAGMENT) {
			part = take(cursor, sizeof(*part));
			if (!part)
				return REASON_MALFORMED;
			*fragment = bpf_ntohs(part->offset) & (IP6_OFFSET | IP6_MORE_FRAGMENTS);
			*id = part->id;
			next = part->next;
			if (*fragment & IP6_OFFSET)
				break;
		} else if (next == IPPROTO_HOPOPTS || next == IPPROTO_DSTOPTS) {
			option = take(cursor, sizeof(*option));
			if (!option || !take(cursor, option->hdrlen * 8 + 6))
				return REASON_MALFORMED;
			next = option->nexthdr;
		} else {
			break;
		}
	}
	flow->proto = next;
	/* A routing header changes the destination on the way; so would what we cannot read. */
	if (next == IPPROTO_ROUTING || next == IPPROTO_AH || next == IPPROTO_HOPOPTS ||
	    next == IPPROTO_DSTOPTS || (next == IPPROTO_FRAGMENT && !(*fragment & IP6_OFFSET)))
		return REASON_UNSUPPORTED_PROTOCOL;
	return 0;
}

/* The tuple of an ICMP error is that of the packet that it is about, in the error's direction. */
static __always_inline __u32 parse_icmp_error(struct cursor *cursor, int v4, struct flow *flow)
{
	struct addr sender = flow->src;
	struct icmp_start *icmp;
	__u16 fragment = 0;
	__be16 port;
	__u32 id, reason;

	reason = v4 ? parse_v4_header(cursor, flow, &fragment, &id)
		    : parse_v6_header(cursor, flow, &fragment, &id);
	if (reason)
		return reason;
	if (flow->proto == IPPROTO_ICMP || flow->proto == IPPROTO_ICMPV6) {
		icmp = take(cursor, sizeof(*icmp));
		if (!icmp)
			return REASON_MALFORMED;
		set_echo(flow, icmp->id);
	} else {
		reason = parse_transport(cursor, 0, flow);
		if (reason)
			return reason;
	}
	/* A workload speaks for itself only; routers on the way may speak for the far end. */
	if (flow->hook != HOOK_FROM_WORKLOAD)
		sender = flow->dst;
	flow->dst = flow->src;
	flow->src = sender;
	port = flow->sport;
	flow->sport = flow->dport;
	flow->dport = port;
	flow->icmp_error = 1;
	return 0;
}

static __always_inline int is_icmp_error(int v4, __u8 type)
{
	if (v4)
		return type == ICMP_DEST_UNREACH || type == ICMP_TIME_EXCEEDED ||
		       type == ICMP_PARAMETERPROB;
	return type >= ICMPV6_DEST_UNREACH && type <= ICMPV6_PARAMPROB;
}

static __always_inline __u32 parse_icmp(struct cursor *cursor, int v4, struct flow *flow)
{
	struct icmp_start *icmp = take(cursor, sizeof(*icmp));

	if (!icmp)
		return REASON_MALFORMED;
	if (is_icmp_error(v4, icmp->type))
		return parse_icmp_error(cursor, v4, flow);
	if (v4 && icmp->type == ICMP_REDIRECT)
		return REASON_UNSUPPORTED_PROTOCOL;
	if (!v4 &&
	    ((icmp->type >= MLD_FIRST && icmp->type <= ND_LAST) || icmp->type == MLD2_REPORT))
		return REASON_LINK_LOCAL;
	set_echo(flow, icmp->id);
	return 0;
}

/* Later fragments carry no ports: the first one leaves them here. */
static __always_inline __u32 recall_fragment(struct flow *flow, __u32 id)
{
	struct fragment_key key = {
		.src = flow->src, .dst = flow->dst, .id = id, .proto = flow->proto};
	struct fragment *first = bpf_map_lookup_elem(&fragments, &key);

	if (!first)
		return REASON_FRAGMENT_UNTRACKED;
	flow->sport = first->sport;
	flow->dport = first->dport;
	return 0;
}

static __always_inline void remember_fragment(const struct flow *flow, __u32 id)
{
	struct fragment_key key = {
		.src = flow->src, .dst = flow->dst, .id = id, .proto = flow->proto};
	struct fragment first = {.sport = flow->sport, .dport = flow->dport};

	bpf_map_update_elem(&fragments, &key, &first, BPF_ANY);
}

/* An Ethernet frame. REASON_LINK_LOCAL: only between the workload and its node. */
static __always_inline __u32 parse_frame(struct cursor cursor, struct flow *flow)
{
	struct ethhdr *eth = take(&cursor, sizeof(*eth));
	__u32 reason, id = 0;
	__u16 fragment = 0;
	int v4;

	if (!eth)
		return REASON_MALFORMED;
	if (eth->h_proto == bpf_htons(ETH_P_ARP))
		return REASON_LINK_LOCAL;
	v4 = eth->h_proto == bpf_htons(ETH_P_IP);
	if (!v4 && eth->h_proto != bpf_htons(ETH_P_IPV6))
		return REASON_UNSUPPORTED_PROTOCOL;
	reason = v4 ? parse_v4_header(&cursor, flow, &fragment, &id)
		    : parse_v6_header(&cursor, flow, &fragment, &id);
	if (reason)
		return reason;
	if (fragment & (v4 ? IP_OFFSET : IP6_OFFSET))
		return recall_fragment(flow, id);
	if (flow->proto == (v4 ? IPPROTO_ICMP : IPPROTO_ICMPV6))
		reason = parse_icmp(&cursor, v4, flow);
	else
		reason = parse_transport(&cursor, 1, flow);
	if (!reason && fragment)
		remember_fragment(flow, id);
	return reason;
}
