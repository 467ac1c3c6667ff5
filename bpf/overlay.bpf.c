/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* The overlay's device (VXLAN, RFC 7348): what other nodes send, and what this node sends itself.
 */
#include "lib/arrive.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

/* Who sent the outer packet, and what it says of the source. Returns 0 if known. */
static __always_inline int read_tunnel(struct __sk_buff *skb, struct addr *node, __u32 *vni)
{
	struct bpf_tunnel_key key = {};

	if (!bpf_skb_get_tunnel_key(skb, &key, sizeof(key), 0)) {
		*node = addr_v4(bpf_htonl(key.remote_ipv4));
	} else {
		if (bpf_skb_get_tunnel_key(skb, &key, sizeof(key), BPF_F_TUNINFO_IPV6))
			return 1;
		__builtin_memcpy(node, key.remote_ipv6, sizeof(*node));
	}
	*vni = key.tunnel_id;
	return 0;
}

/* What comes back to a workload whose egress gateway the node is. */
static __always_inline int is_gateway_of(const struct addr *node, const struct flow *flow)
{
	const struct egress_gateway *gateway;
	struct flow asked;

	swap_flow(flow, &asked);
	gateway = find_gateway(&asked);
	return gateway && addr_equal(&gateway->node, node);
}

/* Only a node of the mesh sends here, and only for what lives on it or came to it from outside. */
__noinline __u32 check_sender(const struct flow *flow, const struct addr *node)
{
	const struct endpoint *sender;
	struct whereabouts src;

	if (!flow || !node)
		return REASON_MALFORMED;
	sender = find_endpoint(node);
	if (!sender || !(sender->flags & ENDPOINT_NODE))
		return REASON_SPOOFED_TUNNEL;
	find_whereabouts(&flow->src, &src);
	/* From outside: no address of the mesh. */
	if (flow->vni == VNI_DSR)
		return src.flags || !addr_is_zero(&src.node) ? REASON_SPOOFED_TUNNEL : 0;
	if (addr_equal(&src.node, node))
		return 0;
	if (!src.flags && addr_is_zero(&src.node) && is_gateway_of(node, flow))
		return 0;
	return REASON_SPOOFED_TUNNEL;
}

/* This node is the egress gateway of another one's workload, whose policy has been judged there. */
static __always_inline int leave_for_other(struct __sk_buff *skb, struct flow *flow,
					   struct scratch *scratch)
{
	const struct egress_gateway *gateway = find_gateway(flow);
	__u64 now = bpf_ktime_get_coarse_ns();
	__u32 reason = 0;
	int action = TC_ACT_SHOT;

	if (!nat_find(flow, now, &scratch->entry)) {
		if (!gateway || gateway->gone || !addr_is_zero(&gateway->node))
			return drop(skb, flow, scratch, REASON_NO_GATEWAY, 0);
		reason = nat_leave(flow, &gateway->address, now, &scratch->entry);
	}
	if (!reason)
		action = send_translated(skb, scratch, flow, &reason);
	return reason ? drop(skb, flow, scratch, reason, 0) : action;
}

SEC("tc")
int from_overlay(struct __sk_buff *skb)
{
	struct flow flow = {.ifindex = skb->ifindex, .hook = HOOK_FROM_OVERLAY};
	const struct state *state = current_state();
	struct scratch *scratch = get_scratch();
	__u32 reason;

	if (!state || !scratch || read_tunnel(skb, &scratch->source, &flow.vni))
		return TC_ACT_SHOT;
	reason = parse_skb(skb, &flow);
	if (!reason)
		reason = check_sender(&flow, &scratch->source);
	if (reason)
		return drop(skb, &flow, scratch, reason, 0);
	if (flow.vni == VNI_EGRESS) {
		find_whereabouts(&flow.dst, &scratch->where);
		/* Who lives here unknown to the sender has a policy as well. */
		if (!scratch->where.flags)
			return leave_for_other(skb, &flow, scratch);
	}
	return arrive(skb, state, &flow);
}

static __always_inline int carry(struct __sk_buff *skb, const struct flow *flow,
				 struct scratch *scratch)
{
	/* The receiver's device has this one's address, and drops what seems to come from itself.
	 */
	static const __u8 from[ETH_ALEN] = {WORKLOAD_MAC};

	find_whereabouts(&flow->dst, &scratch->where);
	if (addr_is_zero(&scratch->where.node) ||
	    set_tunnel(skb, &scratch->where.node, vni_of(&flow->src)) ||
	    bpf_skb_store_bytes(skb, ETH_ALEN, from, sizeof(from), 0))
		return drop(skb, flow, scratch, REASON_NO_ROUTE, 0);
	skb->mark = MARK_DONE;
	return TC_ACT_OK;
}

static __always_inline int leave_proxy(struct __sk_buff *skb, const struct state *state,
				       const struct flow *flow, struct scratch *scratch)
{
	__u32 ifindex = scratch->where.ifindex;
	int action = admit(skb, state, flow, scratch, 0);

	if (action != TC_ACT_OK)
		return action;
	if (scratch->verdict.to_proxy)
		return turn_round(skb, flow, &scratch->verdict, ifindex);
	return carry(skb, flow, scratch);
}

/* What the node's own routes lead here. */
SEC("tc")
int to_overlay(struct __sk_buff *skb)
{
	struct flow flow = {.ifindex = skb->ifindex, .hook = HOOK_TO_OVERLAY};
	const struct state *state = current_state();
	struct scratch *scratch = get_scratch();
	__u32 reason;

	/* The mark stays on the outer packet, for to_uplink. */
	if (skb->mark == MARK_DONE)
		return TC_ACT_OK;
	if (!state || !scratch)
		return TC_ACT_SHOT;
	reason = parse_skb(skb, &flow);
	if (reason)
		return drop(skb, &flow, scratch, reason, 0);
	recognise_proxy(skb, state, &flow);
	find_whereabouts(&flow.src, &scratch->where);
	if (flow.from_proxy)
		return leave_proxy(skb, state, &flow, scratch);
	if (!skb->ingress_ifindex && is_proxys_alone(&scratch->where))
		return drop(skb, &flow, scratch, REASON_SPOOFED_SOURCE, 0);
	if (scratch->where.guarded && admit(skb, state, &flow, scratch, 0) != TC_ACT_OK)
		return TC_ACT_SHOT;
	return carry(skb, &flow, scratch);
}
