/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* What comes in from other nodes and from outside: services, answers, the policy of this node. */
#pragma once

#include "steer.h"

#define FIRST_GROUP4 0xe0000000 /* 224.0.0.0 */
#define DHCP_CLIENT 68
#define DHCPV6_CLIENT 546

/* What is told of the packet if it falls. */
struct arrival {
	__u32 service; /* that was asked for */
	__u32 reason;
};

static __always_inline int drop(struct __sk_buff *skb, const struct flow *flow,
				struct scratch *scratch, __u32 reason, __u32 service)
{
	__builtin_memset(&scratch->verdict, 0, sizeof(scratch->verdict));
	return settle(skb, flow, &scratch->verdict, reason, service);
}

/* Its translation, old or new. 0, REASON_NODE if it has none, or why it can have none. */
static __always_inline __u32 find_translation(const struct flow *flow, struct scratch *scratch,
					      __u32 *service)
{
	__u64 now = bpf_ktime_get_coarse_ns();

	if (nat_find(flow, now, &scratch->entry))
		return 0;
	return nat_enter(flow, scratch->where.flags & ENDPOINT_HOST, now, &scratch->entry, service);
}

/* To a workload of this node, or to the node where a policy selects it. */
static __always_inline int admit(struct __sk_buff *skb, const struct state *state,
				 const struct flow *flow, struct scratch *scratch, __u32 service)
{
	__u32 reason;

	__builtin_memset(&scratch->verdict, 0, sizeof(scratch->verdict));
	reason = track(flow, bpf_ktime_get_coarse_ns(), state->epoch, &scratch->verdict);
	return settle(skb, flow, &scratch->verdict, reason, service);
}

static __always_inline int lives_nowhere(const struct whereabouts *where)
{
	return !where->flags && addr_is_zero(&where->node);
}

/* What a node needs to have addresses and groups at all: leases (RFC 2131, 9915) and IGMP. */
static __always_inline int is_housekeeping(const struct flow *flow)
{
	return flow->proto == IPPROTO_IGMP ||
	       (flow->proto == IPPROTO_UDP &&
		(flow->dport == bpf_htons(DHCP_CLIENT) || flow->dport == bpf_htons(DHCPV6_CLIENT)));
}

/* A group, or everybody. */
static __always_inline int is_for_many4(const struct addr *addr)
{
	return addr_is_mapped(addr) && bpf_ntohl(addr->word[3]) >= FIRST_GROUP4;
}

/*
 * The node's stack also takes what is not for an address that is known as its own: link-local,
 * broadcast, multicast. For a policy it is as if it were.
 */
static __always_inline int admit_unnamed(struct __sk_buff *skb, const struct state *state,
					 struct flow *flow, struct scratch *scratch)
{
	const struct addr *own = node_address(state, addr_is_mapped(&flow->dst));

	find_whereabouts(own, &scratch->where);
	if (!scratch->where.guarded || is_housekeeping(flow))
		return TC_ACT_OK;
	/* That stands in no route. */
	if (!is_for_many4(&flow->dst) &&
	    find_route(skb, flow, &scratch->fib) != BPF_FIB_LKUP_RET_NOT_FWDED)
		return TC_ACT_OK;
	flow->dst = *own;
	return admit(skb, state, flow, scratch, 0);
}

/* To the node of the backend that was chosen, which chooses among its own. */
static __always_inline int pass_unchanged(struct __sk_buff *skb, const struct state *state,
					  const struct flow *flow, struct scratch *scratch)
{
	int action;

	find_whereabouts(&scratch->entry.dst, &scratch->where);
	if (addr_is_zero(&scratch->where.node))
		return TC_ACT_SHOT;
	action = fit_overlay(skb, flow);
	if (action != TC_ACT_OK)
		return action;
	return encapsulate(skb, state, &scratch->where.node, VNI_DSR);
}

static __always_inline int enter_translated(struct __sk_buff *skb, const struct state *state,
					    struct flow *flow, struct scratch *scratch,
					    struct arrival *arrival)
{
	int action, to_proxy = 0;

	if (scratch->entry.flags & NAT_DSR)
		return pass_unchanged(skb, state, flow, scratch);
	scratch->before = *flow;
	nat_apply(&scratch->entry, flow);
	find_whereabouts(&flow->dst, &scratch->where);
	if (scratch->where.flags & ENDPOINT_WORKLOAD || scratch->where.guarded) {
		action = admit(skb, state, flow, scratch, arrival->service);
		if (action != TC_ACT_OK)
			return action;
		to_proxy = scratch->verdict.to_proxy;
	}
	if (state->flags & NODE_VXLAN && !addr_is_zero(&scratch->where.node)) {
		action = fit_overlay(skb, &scratch->before);
		if (action != TC_ACT_OK)
			return action;
	}
	arrival->reason = rewrite(skb, &scratch->before, flow);
	if (arrival->reason)
		return TC_ACT_SHOT;
	return to_proxy ? enter_proxy(skb, flow, &scratch->verdict)
			: send_on(skb, flow, &arrival->reason);
}

/* To the node's proxy, by an address of its own. */
static __always_inline int enter_front(struct __sk_buff *skb, const struct state *state,
				       const struct flow *flow, struct scratch *scratch,
				       __u32 service)
{
	int action = admit(skb, state, flow, scratch, service);

	if (action != TC_ACT_OK)
		return action;
	return scratch->verdict.to_proxy ? enter_proxy(skb, flow, &scratch->verdict) : action;
}

static __always_inline int enter(struct __sk_buff *skb, const struct state *state,
				 struct flow *flow, struct scratch *scratch,
				 struct arrival *arrival)
{
	__u32 found;
	int action;

	find_whereabouts(&flow->dst, &scratch->where);
	if (scratch->where.flags & (ENDPOINT_WORKLOAD | ENDPOINT_INGRESS)) {
		action = admit(skb, state, flow, scratch, arrival->service);
		if (action != TC_ACT_OK)
			return action;
		if (scratch->verdict.to_proxy)
			return enter_proxy(skb, flow, &scratch->verdict);
		if (scratch->where.ifindex)
			return deliver(skb, flow, scratch->where.ifindex);
		return TC_ACT_OK; /* nobody listens at the proxy's own address */
	}
	found = find_translation(flow, scratch, &arrival->service);
	if (!found)
		return enter_translated(skb, state, flow, scratch, arrival);
	/* What is told of such a connection names no service by its ports. */
	if (found == REASON_PROXIED || (flow->icmp_error && scratch->where.is_service))
		return enter_front(skb, state, flow, scratch, arrival->service);
	/* The node's routes would lead it out again, and back. */
	if (found == REASON_NODE && scratch->where.is_service)
		found = REASON_NO_SERVICE_PORT;
	if (found != REASON_NODE) {
		arrival->reason = found;
		return TC_ACT_SHOT;
	}
	if (scratch->where.guarded)
		return admit(skb, state, flow, scratch, arrival->service);
	return lives_nowhere(&scratch->where) ? admit_unnamed(skb, state, flow, scratch)
					      : TC_ACT_OK;
}

static __always_inline int arrive(struct __sk_buff *skb, const struct state *state,
				  struct flow *flow)
{
	struct scratch *scratch = get_scratch();
	struct arrival arrival = {};
	int action;

	if (!scratch)
		return TC_ACT_SHOT;
	action = enter(skb, state, flow, scratch, &arrival);
	if (!arrival.reason)
		return action;
	return drop(skb, flow, scratch, arrival.reason, arrival.service);
}
