/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* The node's uplink: services for the outside, answers to what left, the host firewall. */
#include "lib/arrive.h"
#include "lib/leave.h"
#include <linux/if_packet.h>

char LICENSE[] SEC("license") = "Dual BSD/GPL";

static __always_inline int is_overlay(const struct flow *flow)
{
	return flow->proto == IPPROTO_UDP && flow->dport == bpf_htons(VXLAN_PORT);
}

/*
 * What cannot be read is for the stack: to a workload it has to pass that one's own hook. Not so
 * for a node that a policy selects, which the stack would put together for what it is.
 */
static __always_inline int pass_unread(struct __sk_buff *skb, const struct flow *flow,
				       const struct addr *own, struct scratch *scratch,
				       __u32 reason)
{
	if (reason == REASON_LINK_LOCAL)
		return TC_ACT_OK;
	find_whereabouts(own, &scratch->where);
	if (!(scratch->where.flags & ENDPOINT_HOST) || !scratch->where.guarded)
		return TC_ACT_OK;
	return drop(skb, flow, scratch, reason, 0);
}

static __always_inline int is_from_inside(const struct whereabouts *src)
{
	int in_range = !src->flags && !addr_is_zero(&src->node);

	return is_forged(src->flags) || (in_range && overlay_carries_workloads());
}

SEC("tc")
int from_uplink(struct __sk_buff *skb)
{
	struct flow flow = {.ifindex = skb->ifindex, .hook = HOOK_FROM_UPLINK};
	const struct state *state = current_state();
	struct scratch *scratch = get_scratch();
	__u32 reason;

	/* For another station: here by flooding, and the stack drops it. */
	if (!state || !scratch || skb->pkt_type == PACKET_OTHERHOST)
		return TC_ACT_OK;
	reason = parse_skb(skb, &flow);
	if (reason)
		return pass_unread(skb, &flow, &flow.dst, scratch, reason);
	/* Before the node routes it on, and vouches for it. */
	find_whereabouts(&flow.src, &scratch->where);
	if (is_from_inside(&scratch->where))
		return drop(skb, &flow, scratch, REASON_SPOOFED_SOURCE, 0);
	find_whereabouts(&flow.dst, &scratch->where);
	if (is_overlay(&flow) && scratch->where.flags & ENDPOINT_HOST)
		return TC_ACT_OK;
	return arrive(skb, state, &flow);
}

static __always_inline int leave_host(struct __sk_buff *skb, const struct state *state,
				      struct flow *flow, struct scratch *scratch)
{
	__u32 reason;

	if (scratch->where.guarded && admit(skb, state, flow, scratch, 0) != TC_ACT_OK)
		return TC_ACT_SHOT;
	/* Answers of a backend that is a process of the node. */
	if (!nat_find(flow, bpf_ktime_get_coarse_ns(), &scratch->entry))
		return TC_ACT_OK;
	scratch->before = *flow;
	nat_apply(&scratch->entry, flow);
	reason = rewrite(skb, &scratch->before, flow);
	return reason ? settle(skb, flow, &scratch->verdict, reason, 0) : TC_ACT_OK;
}

/* As admit_unnamed() has it: so that answers are known when they come. */
static __always_inline int leave_unnamed(struct __sk_buff *skb, const struct state *state,
					 struct flow *flow, struct scratch *scratch)
{
	const struct addr *own = node_address(state, addr_is_mapped(&flow->src));

	find_whereabouts(own, &scratch->where);
	if (!scratch->where.guarded || is_housekeeping(flow))
		return TC_ACT_OK;
	flow->src = *own;
	return admit(skb, state, flow, scratch, 0);
}

/* What the proxy sends in a workload's name leaves as if that had sent it. */
static __always_inline int leave_proxy(struct __sk_buff *skb, const struct state *state,
				       struct flow *flow, struct scratch *scratch)
{
	__u32 ifindex = scratch->where.ifindex;
	int in_a_name = ifindex || scratch->where.flags & ENDPOINT_INGRESS;
	int action = admit(skb, state, flow, scratch, 0);
	__u32 failed = 0;

	if (action != TC_ACT_OK)
		return action;
	if (scratch->verdict.to_proxy)
		return turn_round(skb, flow, &scratch->verdict, ifindex);
	if (!in_a_name)
		return TC_ACT_OK;
	action = leave(skb, state, flow, &scratch->verdict, &failed);
	return failed ? settle(skb, flow, &scratch->verdict, failed, 0) : action;
}

SEC("tc")
int to_uplink(struct __sk_buff *skb)
{
	struct flow flow = {.ifindex = skb->ifindex, .hook = HOOK_TO_UPLINK};
	const struct state *state = current_state();
	struct scratch *scratch = get_scratch();
	__u32 reason;

	if (skb->mark == MARK_DONE) {
		skb->mark = 0;
		return TC_ACT_OK;
	}
	if (!state || !scratch)
		return TC_ACT_OK;
	reason = parse_skb(skb, &flow);
	if (reason)
		return pass_unread(skb, &flow, &flow.src, scratch, reason);
	recognise_proxy(skb, state, &flow);
	find_whereabouts(&flow.src, &scratch->where);
	if (flow.from_proxy)
		return leave_proxy(skb, state, &flow, scratch);
	if (!skb->ingress_ifindex && is_proxys_alone(&scratch->where))
		return drop(skb, &flow, scratch, REASON_SPOOFED_SOURCE, 0);
	if (!skb->ingress_ifindex && lives_nowhere(&scratch->where))
		return leave_unnamed(skb, state, &flow, scratch);
	if (!(scratch->where.flags & ENDPOINT_HOST))
		return TC_ACT_OK;
	return leave_host(skb, state, &flow, scratch);
}
