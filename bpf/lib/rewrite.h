/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* Puts a translation into an skb: addresses, ports or ping id, checksums. */
#pragma once

#include "parse.h"
#include <linux/bpf.h>

#define IPV4_CHECKSUM 10
#define TCP_CHECKSUM 16
#define UDP_CHECKSUM 6
#define ICMP_CHECKSUM 2
#define ICMP_ID 4
#define ICMP_ERROR_BODY 8

#ifndef BPF_F_IPV6
#define BPF_F_IPV6 (1ULL << 7)
#endif

/* Where things stand in a packet. */
struct layout {
	__u32 l3, l4;
	int v4;
	int has_l4; /* the first fragment has, later ones have not */
};

/* One's complement sum of what changes, for bpf_l{3,4}_csum_replace. */
static __always_inline __u32 address_change(const struct flow *old, const struct flow *new)
{
	struct addr from[2] = {old->src, old->dst}, to[2] = {new->src, new->dst};

	return bpf_csum_diff((__be32 *)from, sizeof(from), (__be32 *)to, sizeof(to), 0);
}

static __always_inline __u32 find_layout_v4(struct __sk_buff *skb, struct layout *layout)
{
	struct iphdr ip;

	if (bpf_skb_load_bytes(skb, layout->l3, &ip, sizeof(ip)))
		return REASON_NAT_UNSUPPORTED;
	layout->v4 = 1;
	layout->l4 = layout->l3 + ip.ihl * 4;
	layout->has_l4 = !(bpf_ntohs(ip.frag_off) & IP_OFFSET);
	return 0;
}

static __always_inline __u32 find_layout_v6(struct __sk_buff *skb, struct layout *layout,
					    __u8 proto)
{
	struct fragment_header part;
	struct ipv6hdr ip;

	if (bpf_skb_load_bytes(skb, layout->l3, &ip, sizeof(ip)))
		return REASON_NAT_UNSUPPORTED;
	layout->v4 = 0;
	layout->l4 = layout->l3 + sizeof(ip);
	layout->has_l4 = 1;
	if (ip.nexthdr == IPPROTO_FRAGMENT) {
		if (bpf_skb_load_bytes(skb, layout->l4, &part, sizeof(part)))
			return REASON_NAT_UNSUPPORTED;
		layout->l4 += sizeof(part);
		layout->has_l4 = !(bpf_ntohs(part.offset) & IP6_OFFSET);
		ip.nexthdr = part.next;
	}
	return ip.nexthdr == proto ? 0 : REASON_NAT_UNSUPPORTED;
}

static __always_inline int store_addresses(struct __sk_buff *skb, const struct layout *layout,
					   const struct addr *src, const struct addr *dst)
{
	if (layout->v4) {
		__be32 pair[2] = {src->word[3], dst->word[3]};

		return bpf_skb_store_bytes(skb, layout->l3 + 12, pair, sizeof(pair), 0);
	}
	return bpf_skb_store_bytes(skb, layout->l3 + 8, src, sizeof(*src), 0) ||
	       bpf_skb_store_bytes(skb, layout->l3 + 24, dst, sizeof(*dst), 0);
}

static __always_inline int pseudo_change(struct __sk_buff *skb, const struct layout *layout,
					 __u32 at, __u32 change, __u64 flags)
{
	flags |= BPF_F_PSEUDO_HDR;
	if (layout->v4)
		return bpf_l4_csum_replace(skb, at, 0, change, flags);
	/* Kernels that do not know the flag do not need it. */
	return bpf_l4_csum_replace(skb, at, 0, change, flags | BPF_F_IPV6) &&
	       bpf_l4_csum_replace(skb, at, 0, change, flags);
}

static __always_inline int store_port(struct __sk_buff *skb, __u32 at, __u32 checksum, __be16 old,
				      __be16 new, __u64 flags)
{
	if (old == new)
		return 0;
	return bpf_l4_csum_replace(skb, checksum, old, new, flags | sizeof(new)) ||
	       bpf_skb_store_bytes(skb, at, &new, sizeof(new), 0);
}

static __always_inline int rewrite_ports(struct __sk_buff *skb, const struct layout *layout,
					 const struct flow *old, const struct flow *new,
					 __u32 change)
{
	__u32 checksum = layout->l4 + (old->proto == IPPROTO_TCP ? TCP_CHECKSUM : UDP_CHECKSUM);
	__u64 flags = old->proto == IPPROTO_UDP ? BPF_F_MARK_MANGLED_0 : 0;

	return pseudo_change(skb, layout, checksum, change, flags) ||
	       store_port(skb, layout->l4, checksum, old->sport, new->sport, flags) ||
	       store_port(skb, layout->l4 + 2, checksum, old->dport, new->dport, flags);
}

/* A ping's id is the port of the end that asks; its type is the other's and stays. */
static __always_inline int rewrite_query(struct __sk_buff *skb, const struct layout *layout,
					 const struct flow *old, const struct flow *new,
					 __u32 change)
{
	__u32 checksum = layout->l4 + ICMP_CHECKSUM;

	if (!layout->v4 && pseudo_change(skb, layout, checksum, change, 0))
		return 1;
	return store_port(skb, layout->l4 + ICMP_ID, checksum, old->sport, new->sport, 0) ||
	       store_port(skb, layout->l4 + ICMP_ID, checksum, old->dport, new->dport, 0);
}

/*
 * The packet that an ICMP error is about went the other way. IPv4: what its addresses change in the
 * error's checksum, its header's own checksum changes back (RFC 3022, 4.3).
 */
static __always_inline __u32 rewrite_error(struct __sk_buff *skb, const struct layout *outer,
					   const struct flow *old, const struct flow *new,
					   __u32 outer_change)
{
	struct layout inner = {.l3 = outer->l4 + ICMP_ERROR_BODY};
	__u32 checksum = outer->l4 + ICMP_CHECKSUM;
	__u32 change = address_change(old, new);
	__u32 reason;
	int failed;

	reason = outer->v4 ? find_layout_v4(skb, &inner) : find_layout_v6(skb, &inner, old->proto);
	if (reason)
		return reason;
	if (outer->v4)
		failed = bpf_l3_csum_replace(skb, inner.l3 + IPV4_CHECKSUM, 0, change, 0);
	else
		failed = pseudo_change(skb, outer, checksum, outer_change, 0) ||
			 bpf_l4_csum_replace(skb, checksum, 0, change, 0);
	failed = failed || store_addresses(skb, &inner, &new->dst, &new->src);
	/* A ping's own checksum takes up what its id changes. */
	if (old->proto == IPPROTO_ICMP || old->proto == IPPROTO_ICMPV6) {
		failed = failed || rewrite_query(skb, &inner, old, new, 0);
		return failed ? REASON_NAT_UNSUPPORTED : 0;
	}
	failed = failed || store_port(skb, inner.l4, checksum, old->dport, new->dport, 0) ||
		 store_port(skb, inner.l4 + 2, checksum, old->sport, new->sport, 0);
	return failed ? REASON_NAT_UNSUPPORTED : 0;
}

static __always_inline int load_sender(struct __sk_buff *skb, const struct layout *layout,
				       struct addr *sender)
{
	__be32 v4;

	if (!layout->v4)
		return bpf_skb_load_bytes(skb, layout->l3 + 8, sender, sizeof(*sender));
	if (bpf_skb_load_bytes(skb, layout->l3 + 12, &v4, sizeof(v4)))
		return 1;
	*sender = addr_v4(v4);
	return 0;
}

/* The router that reports an error keeps its address, unless it is the end itself. */
static __always_inline __u32 rewrite_reported(struct __sk_buff *skb, const struct layout *layout,
					      const struct flow *old, const struct flow *new,
					      struct flow *was, struct flow *is)
{
	if (load_sender(skb, layout, &was->src))
		return REASON_NAT_UNSUPPORTED;
	if (!addr_equal(&was->src, &old->src))
		is->src = was->src;
	return rewrite_error(skb, layout, old, new, address_change(was, is));
}

static __always_inline __u32 rewrite_transport(struct __sk_buff *skb, const struct layout *layout,
					       const struct flow *old, const struct flow *new)
{
	__u32 change = address_change(old, new);
	int failed;

	if (!layout->has_l4)
		return 0;
	if (old->proto == IPPROTO_TCP || old->proto == IPPROTO_UDP)
		failed = rewrite_ports(skb, layout, old, new, change);
	else
		failed = rewrite_query(skb, layout, old, new, change);
	return failed ? REASON_NAT_UNSUPPORTED : 0;
}

/* Makes the packet of `old` one of `new`. 0, or the reason to drop it. */
__noinline __u32 rewrite(struct __sk_buff *skb, const struct flow *old, const struct flow *new)
{
	struct layout layout = {.l3 = sizeof(struct ethhdr)};
	struct flow was, is; /* as the outer header has them */
	__u32 reason;

	if (!old || !new)
		return REASON_MALFORMED;
	was = *old;
	is = *new;
	if (addr_is_mapped(&old->src))
		reason = find_layout_v4(skb, &layout);
	else
		reason =
			find_layout_v6(skb, &layout, old->icmp_error ? IPPROTO_ICMPV6 : old->proto);
	if (reason)
		return reason;
	if (old->icmp_error)
		reason = rewrite_reported(skb, &layout, old, new, &was, &is);
	else
		reason = rewrite_transport(skb, &layout, old, new);
	if (reason)
		return reason;
	if (layout.v4 &&
	    bpf_l3_csum_replace(skb, layout.l3 + IPV4_CHECKSUM, 0, address_change(&was, &is), 0))
		return REASON_NAT_UNSUPPORTED;
	return store_addresses(skb, &layout, &is.src, &is.dst) ? REASON_NAT_UNSUPPORTED : 0;
}
