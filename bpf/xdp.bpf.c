/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/*
 * Services for the outside before the kernel makes an skb of the packet: what goes on to another
 * node, and its answers. All else, and all that is not plain, goes up to from_uplink, which finds
 * the same translations.
 */
#include "lib/emit.h"
#include "lib/nat.h"
#include "lib/network.h"
#include "lib/parse.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

/* RFC 1624: what a checksum becomes when what it covers changes by `change`. */
static __always_inline __be16 changed(__be16 checksum, __u32 change)
{
	return fold((__u64)(__be16)~checksum + change);
}

static __always_inline __u32 change_of(const struct flow *old, const struct nat_entry *new)
{
	struct {
		struct addr src, dst;
		struct ports ports;
	} from = {old->src, old->dst, {old->sport, old->dport}},
	  to = {new->src, new->dst, {new->sport, new->dport}};

	return bpf_csum_diff((__be32 *)&from, sizeof(from), (__be32 *)&to, sizeof(to), 0);
}

static __always_inline __u32 address_change_of(const struct flow *old, const struct nat_entry *new)
{
	struct addr from[2] = {old->src, old->dst}, to[2] = {new->src, new->dst};

	return bpf_csum_diff((__be32 *)from, sizeof(from), (__be32 *)to, sizeof(to), 0);
}

static __always_inline int rewrite_transport(struct cursor cursor, __u8 proto,
					     const struct nat_entry *entry, __u32 change)
{
	struct ports *ports = cursor.pos;
	__be16 *checksum = cursor.pos + (proto == IPPROTO_TCP ? 16 : 6);

	if ((void *)(ports + 1) > cursor.end || (void *)(checksum + 1) > cursor.end)
		return 1;
	ports->sport = entry->sport;
	ports->dport = entry->dport;
	/* UDP over IPv4 may have none (RFC 768). */
	if (proto == IPPROTO_TCP || *checksum)
		*checksum = changed(*checksum, change) ?: (proto == IPPROTO_UDP ? 0xffff : 0);
	return 0;
}

static __always_inline int rewrite4(struct cursor cursor, const struct flow *flow,
				    const struct nat_entry *entry)
{
	struct iphdr *ip = take(&cursor, sizeof(*ip));

	if (!ip || rewrite_transport(cursor, flow->proto, entry, change_of(flow, entry)))
		return 1;
	ip->saddr = entry->src.word[3];
	ip->daddr = entry->dst.word[3];
	ip->check = changed(ip->check, address_change_of(flow, entry));
	ip->check = changed(ip->check, (__u16)~bpf_htons(0x0100));
	ip->ttl--;
	return 0;
}

static __always_inline int rewrite6(struct cursor cursor, const struct flow *flow,
				    const struct nat_entry *entry)
{
	struct ipv6hdr *ip = take(&cursor, sizeof(*ip));

	if (!ip || rewrite_transport(cursor, flow->proto, entry, change_of(flow, entry)))
		return 1;
	__builtin_memcpy(&ip->saddr, &entry->src, sizeof(ip->saddr));
	__builtin_memcpy(&ip->daddr, &entry->dst, sizeof(ip->daddr));
	ip->hop_limit--;
	return 0;
}

/* No options, no fragments, hops left: the packet is where the rewrite expects it. */
static __always_inline int is_plain(struct cursor cursor, const struct flow *flow)
{
	struct ethhdr *eth = take(&cursor, sizeof(*eth));
	struct ipv6hdr *ip6 = cursor.pos;
	struct iphdr *ip = cursor.pos;

	if (!eth || flow->icmp_error || (flow->proto != IPPROTO_TCP && flow->proto != IPPROTO_UDP))
		return 0;
	if (addr_is_mapped(&flow->src))
		return (void *)(ip + 1) <= cursor.end && ip->ihl == 5 && ip->ttl > 1 &&
		       !(ip->frag_off & bpf_htons(IP_OFFSET | IP_MORE_FRAGMENTS));
	return (void *)(ip6 + 1) <= cursor.end && ip6->nexthdr == flow->proto && ip6->hop_limit > 1;
}

static __always_inline int find_way(struct xdp_md *ctx, const struct flow *flow,
				    const struct nat_entry *entry, struct bpf_fib_lookup *fib)
{
	__u32 length = ctx->data_end - ctx->data - sizeof(struct ethhdr);

	fill_fib(fib, &entry->src, &entry->dst, flow->proto, ctx->ingress_ifindex, length);
	return bpf_fib_lookup(ctx, fib, sizeof(*fib), 0) == BPF_FIB_LKUP_RET_SUCCESS;
}

/* Here, and what an overlay has to carry, is from_uplink's work. */
static __always_inline int goes_elsewhere(const struct state *state, const struct nat_entry *entry)
{
	const struct endpoint *endpoint = find_endpoint(&entry->dst);

	if (entry->flags & NAT_DSR)
		return 0;
	if (!endpoint)
		return 1;
	return !(endpoint->flags & ENDPOINT_LOCAL) && !(state->flags & NODE_VXLAN);
}

static __always_inline int send(struct xdp_md *ctx, const struct flow *flow,
				const struct nat_entry *entry, struct bpf_fib_lookup *fib)
{
	struct cursor cursor = {(void *)(long)ctx->data, (void *)(long)ctx->data_end};
	struct ethhdr *eth = take(&cursor, sizeof(*eth));

	if (!eth)
		return XDP_PASS;
	if (addr_is_mapped(&flow->src) ? rewrite4(cursor, flow, entry)
				       : rewrite6(cursor, flow, entry))
		return XDP_DROP;
	__builtin_memcpy(eth->h_dest, fib->dmac, sizeof(eth->h_dest));
	__builtin_memcpy(eth->h_source, fib->smac, sizeof(eth->h_source));
	return fib->ifindex == ctx->ingress_ifindex ? XDP_TX : bpf_redirect(fib->ifindex, 0);
}

__noinline __u32 parse_packet(struct xdp_md *ctx, struct flow *flow)
{
	struct cursor cursor = {(void *)(long)ctx->data, (void *)(long)ctx->data_end};
	__u32 reason;

	if (!flow)
		return REASON_MALFORMED;
	reason = parse_frame(cursor, flow);
	return reason ? reason : is_plain(cursor, flow) ? 0 : REASON_NAT_UNSUPPORTED;
}

/* 0 and a translation in `entry`, or anything else. */
static __always_inline __u32 translate(const struct flow *flow, struct nat_entry *entry)
{
	const struct endpoint *endpoint = find_endpoint(&flow->dst);
	const struct endpoint *src = find_endpoint(&flow->src);
	__u64 now = bpf_ktime_get_coarse_ns();
	__u32 number;

	if ((endpoint && endpoint->flags & ENDPOINT_WORKLOAD) || (src && is_forged(src->flags)))
		return REASON_NODE;
	if (nat_find(flow, now, entry))
		return 0;
	return nat_enter(flow, endpoint && endpoint->flags & ENDPOINT_HOST, now, entry, &number);
}

SEC("xdp")
int from_device(struct xdp_md *ctx)
{
	struct flow flow = {.ifindex = ctx->ingress_ifindex, .hook = HOOK_FROM_UPLINK};
	const struct state *state = current_state();
	struct scratch *scratch = get_scratch();

	if (!state || !scratch || parse_packet(ctx, &flow))
		return XDP_PASS;
	/* What is refused is refused, and told, by from_uplink. */
	if (translate(&flow, &scratch->entry) || !goes_elsewhere(state, &scratch->entry) ||
	    !find_way(ctx, &flow, &scratch->entry, &scratch->fib))
		return XDP_PASS;
	count(&reasons, REASON_FORWARDED, ctx->data_end - ctx->data);
	return send(ctx, &flow, &scratch->entry, &scratch->fib);
}
