/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/*
 * A workload whose proxied service chose that workload itself. No stack takes a packet of its own
 * address from outside: the workload sees an address of the node's instead, and what it answers to
 * that one goes back to the proxy's socket. Conntrack and policies know both ends by their name.
 */
#pragma once

#include "steer.h"

static __always_inline const struct addr *self_address(const struct state *state, int v4)
{
	return v4 ? &state->self_4 : &state->self_6;
}

/* Of the proxy, and allowed: on its way into the workload. */
static __always_inline int reach_itself(struct __sk_buff *skb, const struct state *state,
					struct flow *flow, struct verdict *verdict)
{
	const struct addr *source = self_address(state, addr_is_mapped(&flow->src));
	__u64 now = bpf_ktime_get_coarse_ns();
	struct scratch *scratch = get_scratch();
	__u32 reason = 0;

	if (!scratch)
		return TC_ACT_SHOT;
	if (!nat_find(flow, now, &scratch->entry))
		reason = addr_is_zero(source) ? REASON_NO_ROUTE
					      : nat_leave(flow, source, now, &scratch->entry);
	if (!reason) {
		scratch->before = *flow;
		nat_apply(&scratch->entry, flow);
		reason = rewrite(skb, &scratch->before, flow);
	}
	return reason ? settle(skb, flow, verdict, reason, 0) : TC_ACT_OK;
}

/* Then `flow` is the one that the proxy knows; the packet stays as it is. */
static __always_inline int answers_itself(const struct state *state, struct flow *flow)
{
	struct scratch *scratch = get_scratch();
	const struct endpoint *own;

	if (!addr_equal(&flow->dst, self_address(state, addr_is_mapped(&flow->dst))) || !scratch)
		return 0;
	/* Nobody else ends its translation. */
	own = find_endpoint(&flow->src);
	if (!own || own->ifindex != flow->ifindex ||
	    !nat_find(flow, bpf_ktime_get_coarse_ns(), &scratch->entry) ||
	    !addr_equal(&scratch->entry.src, &scratch->entry.dst))
		return 0;
	scratch->before = *flow;
	nat_apply(&scratch->entry, flow);
	return 1;
}

/* Who is to be told of a denial is so in the words that it used. */
static __always_inline int return_to_proxy(struct __sk_buff *skb, const struct state *state,
					   struct flow *flow)
{
	struct scratch *scratch = get_scratch();
	struct verdict verdict = {};
	__u32 reason;
	int action;

	if (!scratch)
		return TC_ACT_SHOT;
	reason = track(flow, bpf_ktime_get_coarse_ns(), state->epoch, &verdict);
	action = settle(skb, flow, &verdict, reason, 0);
	if (action == TC_ACT_OK)
		action = enter_proxy(skb, flow, &verdict);
	if (action != TC_ACT_OK)
		return action;
	reason = rewrite(skb, &scratch->before, flow);
	return reason ? settle(skb, flow, &verdict, reason, 0) : TC_ACT_OK;
}
