/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* Who are the two ends, and may they talk. Stateless; src is who opened the connection. */
#pragma once

#include "../maps.h"
#include "addr.h"

struct parties {
	__u32 egress_set;
	__u32 ingress_set;
};

static __always_inline __u32 identity_of(const struct addr *addr)
{
	struct ipcache_key key = {.prefixlen = 128, .addr = *addr};
	struct ipcache_entry *entry = bpf_map_lookup_elem(&ipcache, &key);

	return entry ? entry->identity : IDENTITY_WORLD;
}

static __always_inline void locate(const struct flow *flow, struct verdict *verdict,
				   struct parties *parties)
{
	struct endpoint *src = bpf_map_lookup_elem(&endpoints, &flow->src);
	struct endpoint *dst = bpf_map_lookup_elem(&endpoints, &flow->dst);

	parties->egress_set = src ? src->egress_set : POLICY_SET_OPEN;
	parties->ingress_set = dst ? dst->ingress_set : POLICY_SET_OPEN;
	verdict->src_ifindex = src ? src->ifindex : 0;
	verdict->dst_ifindex = dst ? dst->ifindex : 0;
	verdict->src_identity = src ? src->identity : identity_of(&flow->src);
	verdict->dst_identity = dst ? dst->identity : identity_of(&flow->dst);
}

/* The lower order wins. The compiler gave each entry the order of the first rule that covers it. */
static __always_inline const struct policy_entry *policy_match(__u32 set, __u32 peer,
							       const struct flow *flow)
{
	struct policy_key key = {
		.prefixlen = POLICY_PREFIX_FULL,
		.set = set,
		.peer = peer,
		.proto = flow->proto,
		.port = flow->dport,
	};
	const struct policy_entry *exact, *any;

	exact = bpf_map_lookup_elem(&policy, &key);
	key.peer = IDENTITY_ANY;
	any = bpf_map_lookup_elem(&policy, &key);
	if (!exact || !any)
		return exact ? exact : any;
	return exact->order <= any->order ? exact : any;
}

static __always_inline __u32 judge_direction(__u32 set, __u32 peer, const struct flow *flow,
					     __u32 *rule)
{
	const struct policy_entry *entry;

	if (set == POLICY_SET_OPEN) {
		*rule = RULE_NOT_ISOLATED;
		return REASON_ALLOWED;
	}
	entry = policy_match(set, peer, flow);
	if (!entry)
		return REASON_NO_POLICY;
	*rule = entry->rule;
	return entry->action == ACTION_ALLOW ? REASON_ALLOWED : REASON_POLICY_DENIED;
}

static __always_inline __u32 judge_located(const struct flow *flow, const struct parties *parties,
					   struct verdict *verdict)
{
	__u32 reason;

	verdict->egress_rule = RULE_NONE;
	verdict->ingress_rule = RULE_NONE;
	/* Either end: what looks like an answer is judged as what it would answer. */
	if (verdict->dst_identity == IDENTITY_SERVICE || verdict->src_identity == IDENTITY_SERVICE)
		return REASON_NO_SERVICE_PORT;
	if (verdict->src_ifindex) {
		reason = judge_direction(parties->egress_set, verdict->dst_identity, flow,
					 &verdict->egress_rule);
		if (reason != REASON_ALLOWED)
			return reason;
	}
	if (!verdict->dst_ifindex)
		return REASON_ALLOWED;
	reason = judge_direction(parties->ingress_set, verdict->src_identity, flow,
				 &verdict->ingress_rule);
	/* A denial names the rule that denied, and no other. */
	if (reason != REASON_ALLOWED)
		verdict->egress_rule = RULE_NONE;
	return reason;
}

/* A packet must come from, or go to, the interface that its address belongs to. */
static __always_inline __u32 check_interface(const struct flow *flow, const struct verdict *verdict)
{
	if (flow->hook == HOOK_FROM_WORKLOAD && verdict->src_ifindex != flow->ifindex)
		return REASON_SPOOFED_SOURCE;
	if (flow->hook == HOOK_TO_WORKLOAD && verdict->dst_ifindex != flow->ifindex)
		return REASON_NO_ENDPOINT;
	/* Traffic between local workloads never passes the second hook. */
	if (flow->hook == HOOK_TO_WORKLOAD && verdict->src_ifindex)
		return REASON_SPOOFED_SOURCE;
	return 0;
}

static __always_inline void swap_flow(const struct flow *flow, struct flow *out)
{
	*out = *flow;
	out->src = flow->dst;
	out->dst = flow->src;
	out->sport = flow->dport;
	out->dport = flow->sport;
}

static __always_inline void swap_u32(__u32 *a, __u32 *b)
{
	__u32 kept = *a;

	*a = *b;
	*b = kept;
}

/*
 * Judge a packet's connection. `reply`: the packet travels against the direction in which the
 * connection was opened. Interfaces and identities in the verdict are the packet's.
 */
static __always_inline __u32 judge(const struct flow *flow, int reply, struct verdict *verdict)
{
	struct parties parties;
	struct flow opened;
	__u32 reason;

	if (reply)
		swap_flow(flow, &opened);
	else
		opened = *flow;
	locate(&opened, verdict, &parties);
	if (reply) {
		swap_u32(&verdict->src_ifindex, &verdict->dst_ifindex);
		reason = check_interface(flow, verdict);
		swap_u32(&verdict->src_ifindex, &verdict->dst_ifindex);
	} else {
		reason = check_interface(flow, verdict);
	}
	if (!reason)
		reason = judge_located(&opened, &parties, verdict);
	if (reply) {
		swap_u32(&verdict->src_ifindex, &verdict->dst_ifindex);
		swap_u32(&verdict->src_identity, &verdict->dst_identity);
	}
	return reason;
}
