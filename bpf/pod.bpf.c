/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* The packet rung: both tcx hooks of the node's side of every workload's veth pair. */
#include "lib/itself.h"
#include "lib/leave.h"
#include "lib/short.h"
#include "lib/steer.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

SEC("tc")
int from_workload(struct __sk_buff *skb)
{
	struct flow flow = {.ifindex = skb->ifindex, .hook = HOOK_FROM_WORKLOAD};
	const struct state *state = current_state();
	struct verdict verdict = {};
	__u32 reason, failed = 0;
	int action;

	if (!state)
		return TC_ACT_SHOT;
	if (skb->mark == MARK_ANSWER) {
		skb->mark = 0;
		return TC_ACT_OK;
	}
	if ((skb->mark & MARK_KIND) == MARK_TURNED)
		return is_bridged(skb->ifindex) ? TC_ACT_OK : come_round(skb, &flow);
	reason = parse_skb(skb, &flow);
	if (!reason && answers_itself(state, &flow))
		return return_to_proxy(skb, state, &flow);
	if (!reason)
		reason = track(&flow, bpf_ktime_get_coarse_ns(), state->epoch, &verdict);
	action = settle(skb, &flow, &verdict, reason, 0);
	if (action != TC_ACT_OK)
		return action;
	if (reason == REASON_LINK_LOCAL)
		return TC_ACT_OK;
	if (is_over_bandwidth(skb, &flow, skb->ifindex, DIRECTION_EGRESS))
		return TC_ACT_SHOT;
	if (verdict.to_proxy)
		return enter_proxy(skb, &flow, &verdict);
	if (verdict.dst_ifindex)
		return is_behind(skb, state, &flow) ? TC_ACT_SHOT
						    : deliver(skb, &flow, verdict.dst_ifindex);
	action = leave(skb, state, &flow, &verdict, &failed);
	return failed ? settle(skb, &flow, &verdict, failed, 0) : action;
}

SEC("tc")
int to_workload(struct __sk_buff *skb)
{
	struct flow flow = {.ifindex = skb->ifindex, .hook = HOOK_TO_WORKLOAD};
	const struct state *state = current_state();
	struct verdict verdict = {};
	__u32 reason;
	int action;

	if (!state)
		return TC_ACT_SHOT;
	reason = parse_skb(skb, &flow);
	recognise_proxy(skb, state, &flow);
	if (!reason)
		reason = track(&flow, bpf_ktime_get_coarse_ns(), state->epoch, &verdict);
	action = settle(skb, &flow, &verdict, reason, 0);
	if (action == TC_ACT_OK && verdict.to_proxy)
		return turn_round(skb, &flow, &verdict, skb->ifindex);
	if (action == TC_ACT_OK && is_over_bandwidth(skb, &flow, skb->ifindex, DIRECTION_INGRESS))
		return TC_ACT_SHOT;
	if (action == TC_ACT_OK && asks_itself(&flow))
		return reach_itself(skb, state, &flow, &verdict);
	return action;
}

/* Of a bridge that workloads are ports of: what was found to be for the proxy. */
SEC("tc")
int from_bridge(struct __sk_buff *skb)
{
	struct flow flow = {.ifindex = skb->ifindex, .hook = HOOK_FROM_WORKLOAD};

	return (skb->mark & MARK_KIND) == MARK_TURNED ? come_round(skb, &flow) : TC_ACT_UNSPEC;
}
