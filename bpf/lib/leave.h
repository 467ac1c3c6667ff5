/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* Where what is sent in a workload's name goes, if that is no workload of this node. */
#pragma once

#include "forward.h"

static __always_inline int is_masqueraded(const struct state *state, const struct flow *flow,
					  const struct whereabouts *where)
{
	int v4 = addr_is_mapped(&flow->dst);
	__u32 wanted = v4 ? NODE_MASQUERADE_4 : NODE_MASQUERADE_6;

	return !where->flags && addr_is_zero(&where->node) &&
	       !(where->prefix_flags & IPCACHE_NO_MASQUERADE) && state->flags & wanted &&
	       !addr_is_zero(node_address(state, v4));
}

/* What is to be done with a packet that may leave its workload. */
enum plan {
	PLAN_STACK = 1, /* the node's own stack takes it */
	PLAN_ROUTE,
	PLAN_OVERLAY,	/* to scratch->where.node */
	PLAN_GATEWAY,	/* the same, and out of the mesh there */
	PLAN_TRANSLATE, /* as scratch->entry says */
	PLAN_LEAVE,	/* as scratch->source */
	PLAN_NO_GATEWAY,
};

static __always_inline enum plan
plan_to_leave_mesh(const struct state *state, const struct flow *flow, struct scratch *scratch)
{
	const struct egress_gateway *gateway = find_gateway(flow);

	if (gateway && gateway->gone)
		return PLAN_NO_GATEWAY;
	if (gateway && !addr_is_zero(&gateway->node)) {
		scratch->where.node = gateway->node;
		return PLAN_GATEWAY;
	}
	if (!gateway && !is_masqueraded(state, flow, &scratch->where))
		return PLAN_ROUTE;
	scratch->source =
		gateway ? gateway->address : *node_address(state, addr_is_mapped(&flow->dst));
	return PLAN_LEAVE;
}

/* The packet is allowed, and goes to no workload of this node. */
__noinline enum plan plan_to_leave(const struct flow *flow, const struct verdict *verdict)
{
	const struct state *state = current_state();
	struct scratch *scratch = get_scratch();

	if (!flow || !verdict || !state || !scratch)
		return PLAN_STACK;
	find_whereabouts(&flow->dst, &scratch->where);
	if (verdict->translated || !(scratch->where.flags & ENDPOINT_REMOTE)) {
		if (nat_find(flow, bpf_ktime_get_coarse_ns(), &scratch->entry))
			return PLAN_TRANSLATE;
	}
	if (scratch->where.flags & ENDPOINT_HOST)
		return PLAN_STACK;
	if (state->flags & NODE_VXLAN && !addr_is_zero(&scratch->where.node))
		return PLAN_OVERLAY;
	if (scratch->where.flags || !addr_is_zero(&scratch->where.node) || verdict->reply ||
	    flow->icmp_error)
		return PLAN_ROUTE;
	return plan_to_leave_mesh(state, flow, scratch);
}

static __always_inline int leave_as(struct __sk_buff *skb, struct scratch *scratch,
				    struct flow *flow, __u32 *reason)
{
	int found = find_route(skb, flow, &scratch->fib);

	/* The stack would cut it up, and send it as it is. */
	if (found == BPF_FIB_LKUP_RET_FRAG_NEEDED &&
	    may_fragment(skb, addr_is_mapped(&flow->dst))) {
		*reason = REASON_NAT_UNSUPPORTED;
		return TC_ACT_SHOT;
	}
	/* Before it is translated: what is too large or leads nowhere, the stack answers. */
	if (!route_leads_on(found))
		return TC_ACT_OK;
	*reason = nat_leave(flow, &scratch->source, bpf_ktime_get_coarse_ns(), &scratch->entry);
	return *reason ? TC_ACT_SHOT : send_translated(skb, scratch, flow, reason);
}

static __always_inline int leave(struct __sk_buff *skb, const struct state *state,
				 struct flow *flow, const struct verdict *verdict, __u32 *reason)
{
	struct scratch *scratch = get_scratch();
	int action;

	if (!scratch)
		return TC_ACT_SHOT;
	switch (plan_to_leave(flow, verdict)) {
	case PLAN_ROUTE:
		/* Another's routes, which may come with its rules. */
		return state->flags & NODE_CHAINED ? TC_ACT_OK : send_by_route(skb, flow);
	case PLAN_OVERLAY:
		return encapsulate(skb, state, &scratch->where.node, vni_of(&flow->src));
	case PLAN_GATEWAY:
		action = fit_overlay(skb, flow);
		if (action != TC_ACT_OK)
			return action;
		return encapsulate(skb, state, &scratch->where.node, VNI_EGRESS);
	case PLAN_TRANSLATE:
		return send_translated(skb, scratch, flow, reason);
	case PLAN_LEAVE:
		return leave_as(skb, scratch, flow, reason);
	case PLAN_NO_GATEWAY:
		*reason = REASON_NO_GATEWAY;
		return TC_ACT_SHOT;
	default:
		return TC_ACT_OK;
	}
}
