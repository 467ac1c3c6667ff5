/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* Where a packet goes once it may go: a workload here, the overlay, or the node's routes. */
#pragma once

#include "answer.h"
#include "bandwidth.h"
#include "emit.h"
#include "heed.h"
#include "heed_stream.h"
#include "nat.h"
#include "network.h"
#include "rewrite.h"
#include "stream.h"
#include <linux/pkt_cls.h>

#define MAX_HEADERS 256
#define OVERLAY_TTL 64

/* Global like track(): the verifier checks it once, not for every way into it. */
__noinline __u32 parse_linear(struct __sk_buff *skb, struct flow *flow)
{
	struct cursor cursor = {(void *)(long)skb->data, (void *)(long)skb->data_end};

	return flow ? parse_frame(cursor, flow) : REASON_MALFORMED;
}

/* Headers that are not in the linear part yet are brought there. */
static __always_inline __u32 parse_skb(struct __sk_buff *skb, struct flow *flow)
{
	__u32 size = skb->len < MAX_HEADERS ? skb->len : MAX_HEADERS;
	__u32 reason = parse_linear(skb, flow);
	void *start = (void *)(long)skb->data, *end = (void *)(long)skb->data_end;

	if (reason != REASON_MALFORMED || end - start >= size || bpf_skb_pull_data(skb, size))
		return reason;
	*flow = (struct flow){.ifindex = flow->ifindex, .hook = flow->hook, .vni = flow->vni};
	return parse_linear(skb, flow);
}

/* Whether what comes by an interface goes to a bridge before the node's stack sees it. */
static __always_inline int is_bridged(__u32 ifindex)
{
	const struct state *state = current_state();
	const struct wire *wire;

	if (!state || !(state->flags & NODE_CHAINED))
		return 0;
	wire = bpf_map_lookup_elem(&wires, &ifindex);
	return wire && wire->bridge;
}

/* As from the node's side of a workload's interface to the other, or back. 0 if it could. */
__noinline int address_frame(struct __sk_buff *skb, __u32 ifindex, int inwards)
{
	struct wire macs = {{WORKLOAD_MAC}, {NODE_MAC}, 0};
	const struct state *state = current_state();
	const struct wire *others;

	if (state && state->flags & NODE_CHAINED) {
		others = bpf_map_lookup_elem(&wires, &ifindex);
		if (!others)
			return 1;
		macs = *others;
	}
	return bpf_skb_store_bytes(skb, 0, inwards ? macs.workload : macs.node, 6, 0) ||
	       bpf_skb_store_bytes(skb, 6, inwards ? macs.node : macs.workload, 6, 0);
}

/* Straight into a workload's namespace, past the node's stack. */
static __always_inline int hand_over(struct __sk_buff *skb, __u32 ifindex)
{
	if (address_frame(skb, ifindex, 1))
		return TC_ACT_SHOT;
	return bpf_redirect_peer(ifindex, 0);
}

/* To another one than it is from, or from outside. */
static __always_inline int deliver(struct __sk_buff *skb, const struct flow *flow, __u32 ifindex)
{
	if (is_over_bandwidth(skb, flow, ifindex, DIRECTION_INGRESS))
		return TC_ACT_SHOT;
	return hand_over(skb, ifindex);
}

/* Fills in who the outer packet goes to. Returns 0 if it could. */
static __always_inline int set_tunnel(struct __sk_buff *skb, const struct addr *node, __u32 vni)
{
	struct bpf_tunnel_key key = {.tunnel_id = vni, .tunnel_ttl = OVERLAY_TTL};

	if (addr_is_mapped(node)) {
		key.remote_ipv4 = bpf_ntohl(node->word[3]);
		/* The inner packet has its own; RFC 7348 wants none over IPv4. */
		return bpf_skb_set_tunnel_key(skb, &key, sizeof(key), BPF_F_ZERO_CSUM_TX);
	}
	__builtin_memcpy(key.remote_ipv6, node, sizeof(key.remote_ipv6));
	return bpf_skb_set_tunnel_key(skb, &key, sizeof(key), BPF_F_TUNINFO_IPV6);
}

static __always_inline int encapsulate(struct __sk_buff *skb, const struct state *state,
				       const struct addr *node, __u32 vni)
{
	/* Every node's overlay device has this address. */
	static const __u8 macs[12] = {NODE_MAC, WORKLOAD_MAC};

	if (set_tunnel(skb, node, vni) || bpf_skb_store_bytes(skb, 0, macs, sizeof(macs), 0))
		return TC_ACT_SHOT;
	skb->mark = MARK_DONE;
	return bpf_redirect(state->overlay_ifindex, 0);
}

/* The node's route for a flow: a BPF_FIB_LKUP_RET_*. */
static __always_inline int find_route(struct __sk_buff *skb, const struct flow *flow,
				      struct bpf_fib_lookup *fib)
{
	/* What the device cuts up itself fits. */
	__u32 length = skb->gso_size ? 0 : skb->len - sizeof(struct ethhdr);

	fill_fib(fib, &flow->src, &flow->dst, flow->proto, skb->ifindex, length);
	return bpf_fib_lookup(skb, fib, sizeof(*fib), 0);
}

static __always_inline int route_leads_on(int found)
{
	return found == BPF_FIB_LKUP_RET_SUCCESS || found == BPF_FIB_LKUP_RET_NO_NEIGH;
}

/* Every router takes one hop off, or a loop would never end. */
static __always_inline int take_hop(struct __sk_buff *skb, int v4)
{
	__u32 at = sizeof(struct ethhdr) + (v4 ? 8 : 7);
	__u8 hops;

	if (bpf_skb_load_bytes(skb, at, &hops, sizeof(hops)) || hops <= 1)
		return 1;
	if (v4 && bpf_l3_csum_replace(skb, sizeof(struct ethhdr) + IPV4_CHECKSUM,
				      bpf_htons(hops << 8), bpf_htons((hops - 1) << 8), 2))
		return 1;
	hops--;
	return bpf_skb_store_bytes(skb, at, &hops, sizeof(hops), 0);
}

static __always_inline int send_by(struct __sk_buff *skb, struct bpf_fib_lookup *fib, int found)
{
	struct bpf_redir_neigh next = {.nh_family = fib->family};

	skb->mark = MARK_DONE;
	if (found == BPF_FIB_LKUP_RET_SUCCESS) {
		if (bpf_skb_store_bytes(skb, 0, fib->dmac, sizeof(fib->dmac), 0) ||
		    bpf_skb_store_bytes(skb, 6, fib->smac, sizeof(fib->smac), 0))
			return TC_ACT_SHOT;
		return bpf_redirect(fib->ifindex, 0);
	}
	__builtin_memcpy(next.ipv6_nh, fib->ipv6_dst, sizeof(next.ipv6_nh));
	return bpf_redirect_neigh(fib->ifindex, &next, sizeof(next), 0);
}

static __always_inline void find_whereabouts(const struct addr *addr, struct whereabouts *where)
{
	const struct endpoint *endpoint = find_endpoint(addr);
	const struct ipcache_entry *prefix;

	__builtin_memset(where, 0, sizeof(*where));
	if (endpoint) {
		where->node = endpoint->node;
		where->flags = endpoint->flags;
		where->ifindex = endpoint->ifindex;
		where->guarded = endpoint->ingress_set || endpoint->egress_set;
		return;
	}
	prefix = find_prefix(addr);
	if (!prefix)
		return;
	where->node = prefix->node;
	where->prefix_flags = prefix->flags;
	where->is_service = prefix->identity == IDENTITY_SERVICE;
}

static __always_inline const struct egress_gateway *find_gateway(const struct flow *flow)
{
	struct egress_key key = {.prefixlen = 256, .src = flow->src, .dst = flow->dst};
	const struct egress_gateway *gateway = bpf_map_lookup_elem(&egress_gateway, &key);

	/* Excluded from its policy: as if there were none. */
	if (gateway && !gateway->gone && addr_is_zero(&gateway->address))
		return 0;
	return gateway;
}

/* What this node writes into the overlay about a source. */
static __always_inline __u32 vni_of(const struct addr *src)
{
	const struct endpoint *endpoint = find_endpoint(src);

	if (!endpoint)
		return VNI_NONE;
	return endpoint->flags & ENDPOINT_WORKLOAD ? endpoint->vni : VNI_HOST;
}

/* Back to who sent it, past all programs that would judge it. */
static __always_inline int send_back(struct __sk_buff *skb, const struct flow *flow)
{
	const struct state *state = current_state();
	struct scratch *scratch = get_scratch();
	__u8 macs[12];

	if (!state || !scratch)
		return TC_ACT_SHOT;
	switch (flow->hook) {
	case HOOK_FROM_WORKLOAD:
		return hand_over(skb, skb->ifindex);
	case HOOK_TO_WORKLOAD:
		/* To the sender's socket. */
		if (address_frame(skb, skb->ifindex, 0))
			return TC_ACT_SHOT;
		skb->mark = flow->from_proxy ? MARK_TURNED : MARK_ANSWER;
		return bpf_redirect(skb->ifindex, BPF_F_INGRESS);
	case HOOK_FROM_UPLINK:
		if (bpf_skb_load_bytes(skb, 6, macs, 6) ||
		    bpf_skb_load_bytes(skb, 0, macs + 6, 6) ||
		    bpf_skb_store_bytes(skb, 0, macs, sizeof(macs), 0))
			return TC_ACT_SHOT;
		skb->mark = MARK_DONE;
		return bpf_redirect(skb->ifindex, 0);
	case HOOK_FROM_OVERLAY:
		/* from_overlay left the sending node there. */
		return encapsulate(skb, state, &scratch->source, vni_of(&flow->dst));
	}
	return TC_ACT_SHOT;
}

__noinline int turn_back(struct __sk_buff *skb, const struct flow *flow)
{
	return flow ? send_back(skb, flow) : TC_ACT_SHOT;
}

__noinline int reject(struct __sk_buff *skb, const struct flow *flow)
{
	if (!flow || become_answer(skb, flow))
		return TC_ACT_SHOT;
	return turn_back(skb, flow);
}

/*
 * TC_ACT_OK if the overlay carries the packet, as it is now. Else it is its own answer: workloads'
 * MTU fits the overlay where it carries them, so only what comes from elsewhere can be too large.
 */
__noinline int fit_overlay(struct __sk_buff *skb, const struct flow *flow)
{
	const struct state *state = current_state();
	__u32 mtu = 0;
	int v4;

	if (!flow || !state)
		return TC_ACT_SHOT;
	v4 = addr_is_mapped(&flow->src);
	if (bpf_check_mtu(skb, state->overlay_ifindex, &mtu, 0,
			  skb->gso_size ? BPF_MTU_CHK_SEGS : 0) <= 0 ||
	    may_fragment(skb, v4))
		return TC_ACT_OK;
	if (flow->icmp_error || (v4 ? answer_icmp4(skb, mtu) : answer_icmp6(skb, mtu)))
		return TC_ACT_SHOT;
	return turn_back(skb, flow);
}

/* Other reasons may overtake a rule that rejects. */
static __always_inline int is_told(__u32 reason)
{
	return reason == REASON_POLICY_DENIED || reason == REASON_NO_PROXY ||
	       reason == REASON_OTHER_RULES || reason == REASON_DNS_PROTOCOL ||
	       reason == REASON_DNS_REFUSED || reason == REASON_DNS_UNREADABLE ||
	       reason == REASON_NOT_HELD || reason == REASON_HTTP_CUT;
}

/* Parts of requests, which are told of as such. */
static __always_inline int is_quiet(__u32 reason)
{
	return reason == REASON_HTTP_KEPT || reason == REASON_HTTP_REFUSED ||
	       reason == REASON_HTTP_ORDER;
}

/* Counts what was decided, and tells it if it is news. TC_ACT_OK if the packet may pass. */
static __always_inline int settle(struct __sk_buff *skb, const struct flow *flow,
				  struct verdict *verdict, __u32 reason, __u32 service)
{
	if (reason < REASON_DROP && falls_unread(skb, flow, verdict))
		return TC_ACT_SHOT;
	if (is_heeded(flow, verdict, reason))
		reason = (flow->proto == IPPROTO_TCP ? heed_segment(skb, flow, verdict)
						     : heed(skb, flow, verdict))
				 ?: reason;
	if (verdict->judged && reason < REASON_DROP)
		reason = hear(skb, flow, verdict) ?: reason;
	else if (verdict->heard && reason < REASON_DROP && watch(skb, flow, verdict->reply))
		watch_h2(skb, verdict->reply, flow->tcp_flags);
	verdict->reason = reason;
	count(&reasons, reason, skb->len);
	if (is_quiet(reason))
		return verdict->action == ACTION_ANSWER ? turn_back(skb, flow) : TC_ACT_SHOT;
	if (reason >= REASON_DROP || is_allowed(reason))
		report(flow, verdict, skb->len, service);
	if (verdict->action == ACTION_REJECT && is_told(reason))
		return reject(skb, flow);
	if (reason == REASON_DNS_REFUSED && !refuse_question(skb, flow))
		return turn_back(skb, flow);
	return reason >= REASON_DROP ? TC_ACT_SHOT : TC_ACT_OK;
}

/*
 * Sends a translated packet on. Its source may be this node's own by now, which the node's stack
 * would take for a forgery: it must go by here or not at all.
 */
__noinline int send_on(struct __sk_buff *skb, const struct flow *flow, __u32 *reason)
{
	const struct state *state = current_state();
	struct scratch *scratch = get_scratch();
	int found;

	if (!flow || !reason || !state || !scratch)
		return TC_ACT_SHOT;
	find_whereabouts(&flow->dst, &scratch->where);
	if (scratch->where.flags & ENDPOINT_WORKLOAD)
		return deliver(skb, flow, scratch->where.ifindex);
	if (scratch->where.flags & ENDPOINT_HOST)
		return TC_ACT_OK;
	/* Two nodes' services may each have the other as a backend. */
	if (take_hop(skb, addr_is_mapped(&flow->dst))) {
		*reason = REASON_NO_ROUTE;
		return TC_ACT_SHOT;
	}
	if (state->flags & NODE_VXLAN && !addr_is_zero(&scratch->where.node))
		return encapsulate(skb, state, &scratch->where.node, vni_of(&flow->src));
	found = find_route(skb, flow, &scratch->fib);
	if (!route_leads_on(found)) {
		*reason = REASON_NO_ROUTE;
		return TC_ACT_SHOT;
	}
	return send_by(skb, &scratch->fib, found);
}

/* The stack knows what to do with what has no route, or does not fit. */
__noinline int send_by_route(struct __sk_buff *skb, const struct flow *flow)
{
	struct scratch *scratch = get_scratch();
	int found;

	if (!flow || !scratch)
		return TC_ACT_SHOT;
	found = find_route(skb, flow, &scratch->fib);
	if (!route_leads_on(found) || take_hop(skb, addr_is_mapped(&flow->dst)))
		return TC_ACT_OK;
	return send_by(skb, &scratch->fib, found);
}

/* Makes the packet what the translation in scratch->entry says, and sends it on. */
static __always_inline int send_translated(struct __sk_buff *skb, struct scratch *scratch,
					   struct flow *flow, __u32 *reason)
{
	scratch->before = *flow;
	nat_apply(&scratch->entry, flow);
	*reason = rewrite(skb, &scratch->before, flow);
	return *reason ? TC_ACT_SHOT : send_on(skb, flow, reason);
}
