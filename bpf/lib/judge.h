/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* Who are the two ends, and may they talk. Stateless; src is who opened the connection. */
#pragma once

#include "../maps.h"
#include "addr.h"
#include "balance.h"
#include "names.h"
#include <linux/in.h>

#define ENDPOINT_LOCAL (ENDPOINT_WORKLOAD | ENDPOINT_HOST)

/* No endpoint, and in no pod range. */
#define PARTY_OUTSIDE 0x80000000

struct party {
	__u64 ingress_set;
	__u64 egress_set;
	__u32 flags; /* enum endpoint_flag, or PARTY_OUTSIDE */
	__u32 vni;
};

struct parties {
	struct party src, dst;
};

/* Beside the stack: those who are called from here need some of it. */
struct judging {
	struct flow opened;
	struct parties parties;
	struct ct_key key;     /* of the connection that is tracked */
	struct ct_entry entry; /* that is to be made */
};

MAP(_judging, PERCPU_ARRAY, __u32, struct judging, 1, 0);

static __always_inline struct judging *get_judging(void)
{
	__u32 zero = 0;

	return bpf_map_lookup_elem(&_judging, &zero);
}

/* Numbers of L7 rules that judge further, of either end's policy. */
struct further {
	__be16 egress, ingress;
	__u16 held; /* 1: those of ingress are judged in packets */
};

static __always_inline const struct endpoint *find_endpoint(const struct addr *addr)
{
	return bpf_map_lookup_elem(&endpoints, addr);
}

static __always_inline const struct ipcache_entry *find_prefix(const struct addr *addr)
{
	struct ipcache_key key = {.prefixlen = 128, .addr = *addr};

	return bpf_map_lookup_elem(&ipcache, &key);
}

/* Where the proxy listens for L7 rules: the kernel's programs alone lead there. */
static __always_inline int is_rules_address(const struct addr *addr)
{
	if (addr_is_mapped(addr))
		return addr->word[3] == bpf_htonl(PROXY_4);
	return addr->word[0] == bpf_htonl(PROXY_6_FIRST) && !(addr->word[1] | addr->word[2]) &&
	       addr->word[3] == bpf_htonl(PROXY_6_LAST);
}

static __always_inline void locate_end(const struct addr *addr, struct party *party,
				       __u32 *identity, __u32 *ifindex)
{
	const struct endpoint *endpoint = find_endpoint(addr);
	const struct ipcache_entry *entry;

	if (endpoint) {
		party->ingress_set = endpoint->ingress_set;
		party->egress_set = endpoint->egress_set;
		party->flags = endpoint->flags;
		party->vni = endpoint->vni;
		*identity = endpoint->identity;
		*ifindex = endpoint->ifindex;
		return;
	}
	__builtin_memset(party, 0, sizeof(*party));
	entry = find_prefix(addr);
	*identity = entry ? entry->identity : IDENTITY_WORLD;
	if (is_rules_address(addr))
		*identity = IDENTITY_SERVICE;
	if ((!entry || addr_is_zero(&entry->node)) && *identity != IDENTITY_SERVICE)
		party->flags = PARTY_OUTSIDE;
	*ifindex = 0;
}

static __always_inline void locate(const struct flow *flow, struct verdict *verdict,
				   struct parties *parties)
{
	locate_end(&flow->src, &parties->src, &verdict->src_identity, &verdict->src_ifindex);
	locate_end(&flow->dst, &parties->dst, &verdict->dst_identity, &verdict->dst_ifindex);
}

/* The longest prefix of protocol and port; a peer without any entry is like everybody else. */
static __always_inline const struct policy_entry *policy_match(__u64 set, __u32 peer,
							       const struct flow *flow)
{
	struct policy_key key = {
		.prefixlen = POLICY_PREFIX_FULL,
		.set = set,
		.peer = peer,
		.proto = flow->proto,
		.port = flow->dport,
	};
	const struct policy_entry *entry = bpf_map_lookup_elem(&policy, &key);

	if (entry)
		return entry;
	key.peer = IDENTITY_ANY;
	return bpf_map_lookup_elem(&policy, &key);
}

/* What is asked within a connection: by the proxy or, of DNS, here. */
static __always_inline __u32 judge_further(const struct policy_entry *entry,
					   const struct flow *flow, __be16 *further, __u16 *held,
					   struct verdict *verdict)
{
	if (!(entry->flags & POLICY_DNS)) {
		*further = entry->proxy;
		*held = entry->flags & POLICY_HELD;
		return REASON_ALLOWED;
	}
	if (flow->proto != IPPROTO_UDP && flow->proto != IPPROTO_TCP) {
		verdict->action = ACTION_REJECT;
		return REASON_DNS_PROTOCOL;
	}
	verdict->dns = entry->proxy;
	return REASON_ALLOWED;
}

static __always_inline __u32 judge_direction(__u64 set, const struct peer *peer,
					     const struct flow *flow, __u32 *rule, __be16 *further,
					     __u16 *held, struct verdict *verdict)
{
	const struct policy_entry *entry;

	if (set == POLICY_SET_OPEN) {
		*rule = RULE_NOT_ISOLATED;
		return REASON_ALLOWED;
	}
	entry = policy_match(set, peer->identity, flow);
	if (!entry)
		return REASON_NO_POLICY;
	*rule = entry->rule;
	if (allowed_by_name(set, entry, peer, flow, rule, verdict))
		return REASON_ALLOWED;
	if (entry->action == ACTION_ALLOW)
		return judge_further(entry, flow, further, held, verdict);
	verdict->action = entry->action;
	return REASON_POLICY_DENIED;
}

/* The host has no rule as long as no policy selects it: it is no workload. */
static __always_inline int is_subject(const struct party *party, __u64 set)
{
	return party->flags & ENDPOINT_WORKLOAD ||
	       (party->flags & ENDPOINT_HOST && set != POLICY_SET_OPEN);
}

static __always_inline int is_front(const struct addr *addr, __be16 port, __u8 proto)
{
	const struct service *service = find_service(addr, port, proto);

	return service && service->flags & SERVICE_PROXY;
}

/* An end whose address is a service's, or one of the node's that a service may share. */
static __always_inline int may_be_front(__u32 identity, const struct party *party)
{
	return identity == IDENTITY_SERVICE || party->flags & ENDPOINT_HOST;
}

/* Either end: what looks like an answer is judged as what it would answer. */
static __always_inline int meets_proxy(const struct flow *flow, const struct parties *parties,
				       const struct verdict *verdict)
{
	return (may_be_front(verdict->dst_identity, &parties->dst) &&
		is_front(&flow->dst, flow->dport, flow->proto)) ||
	       (may_be_front(verdict->src_identity, &parties->src) &&
		is_front(&flow->src, flow->sport, flow->proto));
}

/* Which L7 rules are to judge next: first those of who opens, and none that already have. */
static __always_inline void next_rules(const struct flow *flow, const struct further *further,
				       struct verdict *verdict)
{
	if (flow->passed && flow->passed == further->ingress)
		return;
	verdict->proxy = further->egress;
	if (flow->passed && flow->passed == further->egress)
		verdict->proxy = 0;
	if (verdict->proxy)
		return;
	verdict->proxy = further->ingress;
	verdict->held = further->held;
}

static __always_inline __u32 judge_policies(const struct flow *flow, const struct parties *parties,
					    struct further *further, struct verdict *verdict)
{
	struct peer to = {&flow->dst, verdict->dst_identity, 0};
	struct peer from = {&flow->src, verdict->src_identity, 0};
	__u16 never; /* what leaves is judged by the proxy */
	__u32 reason;

	if (parties->dst.flags & PARTY_OUTSIDE)
		to.named = verdict->src_ifindex;
	if (is_subject(&parties->src, parties->src.egress_set)) {
		reason = judge_direction(parties->src.egress_set, &to, flow, &verdict->egress_rule,
					 &further->egress, &never, verdict);
		if (reason != REASON_ALLOWED)
			return reason;
	}
	if (!is_subject(&parties->dst, parties->dst.ingress_set))
		return REASON_ALLOWED;
	reason = judge_direction(parties->dst.ingress_set, &from, flow, &verdict->ingress_rule,
				 &further->ingress, &further->held, verdict);
	/* A denial names the rule that denied, and no other. */
	if (reason != REASON_ALLOWED)
		verdict->egress_rule = RULE_NONE;
	return reason;
}

/*
 * The proxy leads a workload to itself. Its answers are known by the translation that only such a
 * connection has: what a workload sends under its own address is nobody's but the policies' matter.
 */
static __always_inline int asks_itself(const struct flow *flow)
{
	return (flow->from_proxy || flow->translated) && addr_equal(&flow->src, &flow->dst);
}

static __always_inline __u32 judge_located(const struct flow *flow, const struct parties *parties,
					   struct verdict *verdict)
{
	struct further further = {};
	__u32 reason;

	verdict->egress_rule = RULE_NONE;
	verdict->ingress_rule = RULE_NONE;
	verdict->audit_rule = RULE_NONE;
	verdict->action = ACTION_ALLOW;
	verdict->to_proxy = 0;
	verdict->held = 0;
	verdict->proxy = 0;
	verdict->dns = 0;
	if (meets_proxy(flow, parties, verdict))
		return REASON_PROXIED;
	if (verdict->dst_identity == IDENTITY_SERVICE || verdict->src_identity == IDENTITY_SERVICE)
		return REASON_NO_SERVICE_PORT;
	if (asks_itself(flow) && parties->dst.flags & ENDPOINT_WORKLOAD) {
		verdict->egress_rule = RULE_SELF;
		verdict->ingress_rule = RULE_SELF;
		return REASON_ALLOWED;
	}
	reason = judge_policies(flow, parties, &further, verdict);
	if (reason == REASON_ALLOWED)
		next_rules(flow, &further, verdict);
	return reason;
}

static __always_inline const struct state *current_state(void)
{
	__u32 zero = 0;

	return bpf_map_lookup_elem(&state, &zero);
}

/* Then nothing of theirs comes by another way. */
static __always_inline int overlay_carries_workloads(void)
{
	const struct state *state = current_state();

	return !state || state->flags & NODE_VXLAN;
}

/* Of what comes by the uplink, by its source. */
static __always_inline int is_forged(__u32 flags)
{
	return flags & ENDPOINT_LOCAL || (flags & ENDPOINT_REMOTE && overlay_carries_workloads());
}

/*
 * A packet must come from, or go to, where its addresses live. `src` and `dst` are the packet's.
 */
static __always_inline __u32 check_place(const struct flow *flow, const struct verdict *verdict,
					 const struct party *src, const struct party *dst)
{
	switch (flow->hook) {
	case HOOK_FROM_WORKLOAD:
		return verdict->src_ifindex == flow->ifindex ? 0 : REASON_SPOOFED_SOURCE;
	case HOOK_TO_WORKLOAD:
		if (verdict->dst_ifindex != flow->ifindex)
			return REASON_NO_ENDPOINT;
		/* Traffic between local workloads never passes the second hook. */
		return src->flags & ENDPOINT_WORKLOAD && !flow->from_proxy ? REASON_SPOOFED_SOURCE
									   : 0;
	case HOOK_FROM_UPLINK:
		return is_forged(src->flags) ? REASON_SPOOFED_SOURCE : 0;
	case HOOK_FROM_OVERLAY:
		return src->flags & ENDPOINT_LOCAL ? REASON_SPOOFED_SOURCE : 0;
	case HOOK_TO_UPLINK:
	case HOOK_TO_OVERLAY:
		return dst->flags & ENDPOINT_LOCAL ? REASON_NO_ENDPOINT : 0;
	}
	return 0;
}

static __always_inline int leaves_node(const struct flow *flow)
{
	return flow->hook == HOOK_TO_WORKLOAD || flow->hook == HOOK_TO_UPLINK ||
	       flow->hook == HOOK_TO_OVERLAY;
}

/* The node's proxy is all that speaks as the mesh's ingress; any process could bind the address. */
static __always_inline int is_false_ingress(const struct flow *flow, const struct party *src)
{
	return src->flags & ENDPOINT_INGRESS && src->flags & ENDPOINT_HOST && leaves_node(flow) &&
	       !flow->from_proxy;
}

/* Of a connection with the proxy itself: which end that is, and that nobody else speaks for it. */
static __always_inline __u32 place_proxy(const struct flow *flow, struct verdict *verdict)
{
	verdict->to_proxy = is_front(&flow->dst, flow->dport, flow->proto);
	return verdict->to_proxy || flow->from_proxy ? REASON_PROXIED : REASON_SPOOFED_SOURCE;
}

/*
 * Two nodes may know different things of a workload for a moment, or its address may just have been
 * given to another one.
 */
static __always_inline int is_doubtful(const struct flow *flow, const struct party *src)
{
	return flow->hook == HOOK_FROM_OVERLAY && src->flags & ENDPOINT_REMOTE &&
	       flow->vni != src->vni;
}

/* Of what passes the proxy, the proxy tells. */
static __noinline int watch_parties(const struct judging *judging, struct verdict *verdict)
{
	__u32 flags = judging->parties.src.flags | judging->parties.dst.flags;

	verdict->watched = flags & ENDPOINT_WATCHED && judging->opened.proto == IPPROTO_TCP &&
			   !verdict->proxy && !judging->opened.from_proxy;
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

/* What was allowed must be so whoever the doubtful end is, and for the same requests. */
static __always_inline __u32 judge_doubted(const struct flow *opened, const struct parties *parties,
					   int reply, struct verdict *verdict)
{
	__be16 rules = verdict->proxy;
	__u8 held = verdict->held;
	__u32 reason;

	if (reply)
		verdict->dst_identity = IDENTITY_UNMANAGED;
	else
		verdict->src_identity = IDENTITY_UNMANAGED;
	reason = judge_located(opened, parties, verdict);
	if (reason != REASON_ALLOWED || (verdict->proxy == rules && verdict->held == held))
		return reason;
	verdict->held = 0;
	verdict->proxy = 0;
	return REASON_POLICY_DENIED;
}

/*
 * Judge a packet's connection. `reply`: the packet travels against the direction in which the
 * connection was opened, `passed`: the L7 rules that were enforced before that. Interfaces and
 * identities in the verdict are the packet's. A global function, so that the verifier checks it
 * once.
 */
__noinline __u32 judge(const struct flow *flow, int reply, __be16 passed, struct verdict *verdict)
{
	struct judging *judging = get_judging();
	const struct party *src, *dst;
	__u32 reason;
	int doubtful;

	if (!flow || !verdict || !judging)
		return REASON_MALFORMED;
	if (reply)
		swap_flow(flow, &judging->opened);
	else
		judging->opened = *flow;
	judging->opened.passed = passed;
	locate(&judging->opened, verdict, &judging->parties);
	src = reply ? &judging->parties.dst : &judging->parties.src;
	dst = reply ? &judging->parties.src : &judging->parties.dst;
	if (reply)
		swap_u32(&verdict->src_ifindex, &verdict->dst_ifindex);
	reason = check_place(flow, verdict, src, dst);
	if (reply)
		swap_u32(&verdict->src_ifindex, &verdict->dst_ifindex);
	if (is_false_ingress(flow, src))
		reason = REASON_SPOOFED_SOURCE;
	doubtful = is_doubtful(flow, src);
	if (!reason)
		reason = judge_located(&judging->opened, &judging->parties, verdict);
	if (reason == REASON_PROXIED)
		reason = place_proxy(flow, verdict);
	else if (reason == REASON_ALLOWED && doubtful)
		reason = judge_doubted(&judging->opened, &judging->parties, reply, verdict);
	if (reason == REASON_ALLOWED)
		verdict->to_proxy = !reply && verdict->proxy && !verdict->held;
	verdict->watched = 0;
	if (reason == REASON_ALLOWED)
		watch_parties(judging, verdict);
	if (reply) {
		swap_u32(&verdict->src_ifindex, &verdict->dst_ifindex);
		swap_u32(&verdict->src_identity, &verdict->dst_identity);
	}
	verdict->reply = !!reply;
	return reason;
}
