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
#define ICMP_ECHOREPLY 0
#define ICMP_DEST_UNREACH 3
#define ICMP_REDIRECT 5
#define ICMP_ECHO 8
#define ICMP_TIME_EXCEEDED 11
#define ICMP_PARAMETERPROB 12
#define ICMP_TIMESTAMP 13
#define ICMP_TIMESTAMPREPLY 14
#define ICMPV6_DEST_UNREACH 1
#define ICMPV6_PARAMPROB 4
#define ICMPV6_ECHO_REQUEST 128
#define ICMPV6_ECHO_REPLY 129
#define MLD_FIRST 130
#define ND_SOLICITATION 135
#define ND_LAST 136
#define ND_REDIRECT 137
#define MLD2_REPORT 143

struct cursor {
	void *pos;
	void *end;
};

/* What an IP header says of the packet as a whole. */
struct packet {
	__u32 length; /* in bytes, with the header */
	__u32 id;
	__u16 fragment; /* offset and more-fragments bit */
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

#define TCP_WORDS_SHIFT 4

struct tcp_header {
	struct ports ports;
	__be32 seq, ack;
	__u8 words, flags;
	__be16 window, checksum, urgent;
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
		flow->payload = (tcp->offset >> 4) * 4; /* where it begins, for now */
	}
	return 0;
}

/* The type of query that a message of this type answers; 0 if it answers none. */
static __always_inline __u8 answered_query(int v4, __u8 type)
{
	if (!v4)
		return type == ICMPV6_ECHO_REPLY ? ICMPV6_ECHO_REQUEST : 0;
	if (type == ICMP_TIMESTAMPREPLY)
		return ICMP_TIMESTAMP;
	return type == ICMP_ECHOREPLY ? ICMP_ECHO : 0;
}

/*
 * ICMP has no ports: a ping's id is its client's and its type the server's, so that answers find
 * the ping, and a ping in the other direction is another connection.
 */
static __always_inline void set_query(struct flow *flow, int v4, const struct icmp_start *icmp)
{
	__u8 query = answered_query(v4, icmp->type);

	if (query) {
		flow->sport = bpf_htons(query);
		flow->dport = icmp->id;
	} else {
		flow->sport = icmp->id;
		flow->dport = bpf_htons(icmp->type);
	}
}

static __always_inline __u32 parse_v4_header(struct cursor *cursor, struct flow *flow,
					     struct packet *packet)
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
	packet->length = bpf_ntohs(ip->tot_len);
	packet->fragment = bpf_ntohs(ip->frag_off) & (IP_OFFSET | IP_MORE_FRAGMENTS);
	packet->id = ip->id;
	return 0;
}

/* Skips the extension headers that mean nothing to a verdict; refuses the others. */
static __always_inline __u32 parse_v6_header(struct cursor *cursor, struct flow *flow,
					     struct packet *packet)
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
	packet->length = bpf_ntohs(ip->payload_len) + sizeof(*ip);
	next = ip->nexthdr;
	for (int i = 0; i < MAX_EXTENSIONS; i++) {
		if (next == IPPROTO_FRAGMENT) {
			part = take(cursor, sizeof(*part));
			if (!part)
				return REASON_MALFORMED;
			packet->fragment =
				bpf_ntohs(part->offset) & (IP6_OFFSET | IP6_MORE_FRAGMENTS);
			packet->id = part->id;
			next = part->next;
			if (packet->fragment & IP6_OFFSET)
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
	    next == IPPROTO_DSTOPTS ||
	    (next == IPPROTO_FRAGMENT && !(packet->fragment & IP6_OFFSET)))
		return REASON_UNSUPPORTED_PROTOCOL;
	return 0;
}

/* The tuple of an ICMP error is that of the packet that it is about, in the error's direction. */
static __always_inline __u32 parse_icmp_error(struct cursor *cursor, int v4, struct flow *flow)
{
	struct addr sender = flow->src, receiver = flow->dst;
	struct icmp_start *icmp;
	struct packet packet = {};
	__be16 port;
	__u32 reason;

	reason = v4 ? parse_v4_header(cursor, flow, &packet)
		    : parse_v6_header(cursor, flow, &packet);
	if (reason)
		return reason;
	/* Only the first fragment has ports, and only that is answered (RFC 1122, 3.2.2). */
	if (packet.fragment & (v4 ? IP_OFFSET : IP6_OFFSET))
		return REASON_ICMP_UNRELATED;
	if (flow->proto == (v4 ? IPPROTO_ICMP : IPPROTO_ICMPV6)) {
		icmp = take(cursor, sizeof(*icmp));
		if (!icmp)
			return REASON_MALFORMED;
		set_query(flow, v4, icmp);
	} else {
		reason = parse_transport(cursor, 0, flow);
		if (reason)
			return reason;
	}
	/* A workload speaks for itself only; routers on the way may speak for the far end. */
	flow->src = flow->hook == HOOK_FROM_WORKLOAD ? sender : flow->dst;
	flow->dst = receiver;
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

/* Whether others than the node may be on a workload's link, as on another plugin's bridge. */
static __always_inline int has_neighbours(const struct flow *flow)
{
	const struct state *now;
	__u32 zero = 0;

	if (flow->hook == HOOK_FROM_UPLINK || flow->hook == HOOK_TO_UPLINK)
		return 1;
	now = bpf_map_lookup_elem(&state, &zero);
	return now && now->flags & NODE_CHAINED;
}

/*
 * On the link only: to any other address a router would pass such a packet on. Neighbours ask each
 * other by any address whether they are still there.
 */
static __always_inline int is_discovery(const struct flow *flow, __u8 type)
{
	__u16 prefix = bpf_ntohl(flow->dst.word[0]) >> 16;

	if ((type < MLD_FIRST || type > ND_LAST) && type != MLD2_REPORT)
		return 0;
	if ((type == ND_SOLICITATION || type == ND_LAST) && has_neighbours(flow))
		return 1;
	return (prefix & 0xffc0) == 0xfe80 || (prefix & 0xff0f) == 0xff02;
}

static __always_inline __u32 parse_icmp(struct cursor *cursor, int v4, struct flow *flow)
{
	struct icmp_start *icmp = take(cursor, sizeof(*icmp));

	if (!icmp)
		return REASON_MALFORMED;
	if (is_icmp_error(v4, icmp->type))
		return parse_icmp_error(cursor, v4, flow);
	if (icmp->type == (v4 ? ICMP_REDIRECT : ND_REDIRECT))
		return REASON_UNSUPPORTED_PROTOCOL;
	if (!v4 && is_discovery(flow, icmp->type))
		return REASON_LINK_LOCAL;
	set_query(flow, v4, icmp);
	return 0;
}

static __always_inline struct fragment_key fragment_of(const struct flow *flow, __u32 id)
{
	struct fragment_key key = {
		.src = flow->src,
		.dst = flow->dst,
		.ifindex = flow->ifindex,
		.id = id,
		.proto = flow->proto,
	};

	return key;
}

/* Later fragments carry no ports: the first one leaves them here. */
static __always_inline __u32 recall_fragment(struct flow *flow, __u32 id)
{
	struct fragment_key key = fragment_of(flow, id);
	struct fragment *first = bpf_map_lookup_elem(&fragments, &key);

	if (!first)
		return REASON_FRAGMENT_UNTRACKED;
	flow->sport = first->sport;
	flow->dport = first->dport;
	return 0;
}

static __always_inline void remember_fragment(const struct flow *flow, __u32 id)
{
	struct fragment_key key = fragment_of(flow, id);
	struct fragment first = {.sport = flow->sport, .dport = flow->dport};

	bpf_map_update_elem(&fragments, &key, &first, BPF_ANY);
}

/* Bytes of it that a verdict takes into account. */
static __always_inline __u32 transport_size(__u8 proto)
{
	switch (proto) {
	case IPPROTO_TCP:
		return sizeof(struct tcp_start);
	case IPPROTO_UDP:
	case IPPROTO_SCTP:
		return sizeof(struct ports);
	case IPPROTO_ICMP:
	case IPPROTO_ICMPV6:
		return sizeof(struct icmp_start);
	}
	return 0;
}

/* An Ethernet frame. REASON_LINK_LOCAL: only between the workload and its node. */
static __always_inline __u32 parse_frame(struct cursor cursor, struct flow *flow)
{
	struct ethhdr *eth = take(&cursor, sizeof(*eth));
	struct packet packet = {};
	void *start = cursor.pos;
	__u32 reason, headers;
	int v4;

	if (!eth)
		return REASON_MALFORMED;
	if (eth->h_proto == bpf_htons(ETH_P_ARP))
		return REASON_LINK_LOCAL;
	v4 = eth->h_proto == bpf_htons(ETH_P_IP);
	if (!v4 && eth->h_proto != bpf_htons(ETH_P_IPV6))
		return REASON_UNSUPPORTED_PROTOCOL;
	reason = v4 ? parse_v4_header(&cursor, flow, &packet)
		    : parse_v6_header(&cursor, flow, &packet);
	if (reason)
		return reason;
	if (packet.fragment & (v4 ? IP_OFFSET : IP6_OFFSET)) {
		flow->payload = 1;
		return recall_fragment(flow, packet.id);
	}
	headers = cursor.pos - start;
	/*
	 * What lies beyond the packet's end does not reach the receiver: TCP flags read there could
	 * be others than those that a later fragment brings.
	 */
	if (cursor.pos - start + transport_size(flow->proto) > packet.length)
		return REASON_MALFORMED;
	if (flow->proto == (v4 ? IPPROTO_ICMP : IPPROTO_ICMPV6))
		reason = parse_icmp(&cursor, v4, flow);
	else
		reason = parse_transport(&cursor, 1, flow);
	flow->payload = packet.fragment || headers + flow->payload < packet.length;
	if (!reason && packet.fragment && !flow->icmp_error)
		remember_fragment(flow, packet.id);
	return reason;
}
