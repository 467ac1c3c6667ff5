/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* The node's uplink: services for the outside, answers to what left, the host firewall. */
#include "lib/arrive.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

static __always_inline int is_overlay(const struct flow *flow)
{
	return flow->proto == IPPROTO_UDP && flow->dport == bpf_htons(VXLAN_PORT);
}

SEC("tc")
int from_uplink(struct __sk_buff *skb)
{
	struct flow flow = {.ifindex = skb->ifindex, .hook = HOOK_FROM_UPLINK};
	const struct state *state = current_state();

	/*
	 * What cannot be read is for the node itself, or for its stack to route: to a workload it
	 * has to pass that one's own hook.
	 */
	if (!state || parse_skb(skb, &flow) || is_overlay(&flow))
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

SEC("tc")
int to_uplink(struct __sk_buff *skb)
{
	struct flow flow = {.ifindex = skb->ifindex, .hook = HOOK_TO_UPLINK};
	const struct state *state = current_state();
	struct scratch *scratch = get_scratch();

	if (skb->mark == MARK_DONE) {
		skb->mark = 0;
		return TC_ACT_OK;
	}
	if (!state || !scratch || parse_skb(skb, &flow) || is_overlay(&flow))
		return TC_ACT_OK;
	find_whereabouts(&flow.src, &scratch->where);
	if (!(scratch->where.flags & ENDPOINT_HOST))
		return TC_ACT_OK;
	return leave_host(skb, state, &flow, scratch);
}
