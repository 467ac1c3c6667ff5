/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/*
 * Translations. Each connection that is translated has an entry for either direction, found by the
 * packet as it arrives. No context: tc and XDP share it.
 */
#pragma once

#include "balance.h"
#include "conntrack.h"
#include "scratch.h"
#include <linux/in6.h>

#define PORT_TRIES 32
#define VXLAN_PORT 8472 /* Linux' own default, as Cilium and Flannel use it */

static __always_inline struct nat_key nat_key_of(const struct flow *flow)
{
	struct nat_key key = {
		.src = flow->src,
		.dst = flow->dst,
		.sport = flow->sport,
		.dport = flow->dport,
		.proto = flow->proto,
	};

	return key;
}

/* Of the packets that answer those that `entry` makes. */
static __always_inline struct nat_key nat_answer_key(const struct nat_entry *entry, __u8 proto)
{
	struct nat_key key = {
		.src = entry->dst,
		.dst = entry->src,
		.sport = entry->dport,
		.dport = entry->sport,
		.proto = proto,
	};

	return key;
}

/* What makes answers look as if they came from where the packets of `flow` went to. */
static __always_inline struct nat_entry nat_answer(const struct flow *flow,
						   const struct nat_entry *entry)
{
	struct nat_entry answer = {
		.src = flow->dst,
		.dst = flow->src,
		.sport = flow->dport,
		.dport = flow->sport,
		.flags = entry->flags & ~NAT_FORWARD,
		.last_seen_ns = entry->last_seen_ns,
		.backend = entry->backend,
	};

	return answer;
}

static __always_inline int nat_expired(const struct nat_entry *entry, __u8 proto, __u64 now)
{
	__u64 lifetime_s = NAT_LIFETIME_OTHER;

	if (proto == IPPROTO_TCP && entry->flags & (NAT_FIN | NAT_RST))
		lifetime_s = NAT_LIFETIME_TCP_CLOSING;
	else if (proto == IPPROTO_TCP)
		lifetime_s = entry->flags & (NAT_REPLIED | NAT_DSR) ? NAT_LIFETIME_TCP
								    : CT_LIFETIME_TCP_OPENING;
	return (__s64)(now - entry->last_seen_ns) > (__s64)(lifetime_s * SECOND_NS);
}

/* Whether a connection may go on to a backend that takes no new ones any more. */
static __always_inline int nat_backend_lives(const struct flow *flow, const struct nat_entry *entry)
{
	if (bpf_map_lookup_elem(&backends, &entry->backend))
		return 1;
	return flow->proto == IPPROTO_TCP && !opens_connection(flow) && find_endpoint(&entry->dst);
}

static __always_inline int nat_stands(const struct flow *flow, const struct nat_entry *entry,
				      __u64 now)
{
	if (nat_expired(entry, flow->proto, now))
		return 0;
	/* Who was asked does not open: that is a connection to the node itself. */
	if (!(entry->flags & NAT_FORWARD))
		return !opens_connection(flow);
	/* A closed connection's ports are used again. */
	if (opens_connection(flow) && entry->flags & (NAT_FIN | NAT_RST))
		return 0;
	return !(entry->flags & NAT_SERVICE) || nat_backend_lives(flow, entry);
}

/* What a packet says of its connection. One that nobody goes on with after its SYN is no news. */
static __always_inline __u32 nat_news(const struct flow *flow)
{
	if (flow->proto != IPPROTO_TCP)
		return 0;
	if (flow->tcp_flags & TCP_RST)
		return NAT_RST;
	return (flow->tcp_flags & TCP_FIN ? NAT_FIN : 0) |
	       (flow->tcp_flags & TCP_SYN ? 0 : NAT_REPLIED);
}

/*
 * Once a second: while one direction is in use, the other is not forgotten. And when there is news:
 * who is told of an end does not always answer, and would keep the port.
 */
static __always_inline void nat_touch(struct nat_entry *entry, const struct flow *flow, __u64 now)
{
	struct nat_key key;
	struct nat_entry answer, *other;
	__u32 news = nat_news(flow);

	if (flow->icmp_error)
		return;
	if ((entry->flags & news) == news && (__s64)(now - entry->last_seen_ns) < (__s64)SECOND_NS)
		return;
	__sync_fetch_and_or(&entry->flags, news);
	entry->last_seen_ns = now;
	if (entry->flags & NAT_DSR)
		return;
	key = nat_answer_key(entry, flow->proto);
	other = bpf_map_lookup_elem(&nat, &key);
	if (other) {
		__sync_fetch_and_or(&other->flags, news);
		other->last_seen_ns = now;
		return;
	}
	answer = nat_answer(flow, entry);
	answer.flags ^= entry->flags & NAT_FORWARD ? 0 : NAT_FORWARD;
	bpf_map_update_elem(&nat, &key, &answer, BPF_NOEXIST);
}

/* The translation that the packet's connection has. 0 if none, or none that may go on. */
__noinline int nat_find(const struct flow *flow, __u64 now, struct nat_entry *found)
{
	struct nat_entry *entry;
	struct nat_key key;

	if (!flow || !found)
		return 0;
	key = nat_key_of(flow);
	entry = bpf_map_lookup_elem(&nat, &key);
	if (!entry || !nat_stands(flow, entry, now))
		return 0;
	nat_touch(entry, flow, now);
	*found = *entry;
	return 1;
}

/* The answers' entry must be nobody else's. Returns 1 if it is ours now. */
__noinline int nat_claim(const struct flow *flow, const struct nat_entry *entry, __u64 now)
{
	struct nat_entry answer, *taken;
	struct nat_key key;

	if (!flow || !entry)
		return 0;
	key = nat_answer_key(entry, flow->proto);
	answer = nat_answer(flow, entry);
	if (!bpf_map_update_elem(&nat, &key, &answer, BPF_NOEXIST))
		return 1;
	taken = bpf_map_lookup_elem(&nat, &key);
	if (!taken)
		return 0;
	/* Its own from before, the forward entry of which was forgotten. */
	if (!(addr_equal(&taken->dst, &flow->src) && taken->dport == flow->sport &&
	      addr_equal(&taken->src, &flow->dst) && taken->sport == flow->dport) &&
	    !nat_expired(taken, flow->proto, now))
		return 0;
	return !bpf_map_update_elem(&nat, &key, &answer, BPF_ANY);
}

/*
 * Another source port under which the connection is told apart from all others to the same end.
 * It starts from the one that the flow would have had before: so what was forgotten comes back.
 */
static __always_inline int nat_claim_port(const struct flow *flow, const struct state *state,
					  struct nat_entry *entry, __u64 now)
{
	__u32 first = state->nat_port_first;
	__u32 count = state->nat_port_last - first + 1;
	__u32 draw = hash_flow(flow);

	for (int i = 0; i < PORT_TRIES; i++) {
		entry->sport = bpf_htons(first + ((__u64)draw * count >> 32));
		/* What comes to that one is the overlay's. */
		if (entry->sport != bpf_htons(VXLAN_PORT) && nat_claim(flow, entry, now))
			return 1;
		draw = bpf_get_prandom_u32();
	}
	return 0;
}

static __always_inline int nat_has_ports(__u8 proto)
{
	return proto == IPPROTO_TCP || proto == IPPROTO_UDP || proto == IPPROTO_ICMP ||
	       proto == IPPROTO_ICMPV6;
}

static __always_inline __u32 nat_store(const struct flow *flow, const struct nat_entry *entry)
{
	struct nat_key key = nat_key_of(flow);

	return bpf_map_update_elem(&nat, &key, entry, BPF_ANY) ? REASON_NAT_FULL : 0;
}

/* Leaves as `source`, which is one of this node's addresses. 0, or the reason to drop. */
__noinline __u32 nat_leave(const struct flow *flow, const struct addr *source, __u64 now,
			   struct nat_entry *entry)
{
	const struct state *state = current_state();

	if (!flow || !source || !state || !entry)
		return REASON_MALFORMED;
	if (!nat_has_ports(flow->proto))
		return REASON_NAT_UNSUPPORTED;
	entry->src = *source;
	entry->dst = flow->dst;
	entry->dport = flow->dport;
	entry->flags = NAT_FORWARD;
	entry->last_seen_ns = now;
	entry->backend = 0;
	if (!nat_claim_port(flow, state, entry, now))
		return REASON_NAT_PORTS_EXHAUSTED;
	return nat_store(flow, entry);
}

static __always_inline int nat_in_range(const struct service *service, const struct addr *client)
{
	struct source_range_key key = {
		.prefixlen = 32 + 128,
		.service = service->id,
		.client = *client,
	};

	return !(service->flags & SERVICE_SOURCE_RANGES) ||
	       bpf_map_lookup_elem(&source_ranges, &key);
}

static __always_inline const struct addr *node_address(const struct state *state, int v4)
{
	return v4 ? &state->node_4 : &state->node_6;
}

/*
 * The backend is on this node: the client's address stays. Elsewhere: the node speaks for the
 * client, so that answers come back this way; or the packet goes on as it is (DSR).
 */
static __always_inline __u32 nat_place(const struct flow *flow, const struct state *state,
				       struct nat_entry *entry, __u64 now)
{
	const struct endpoint *endpoint = find_endpoint(&entry->dst);
	const struct addr *source = node_address(state, addr_is_mapped(&entry->dst));

	entry->src = flow->src;
	entry->sport = flow->sport;
	if (endpoint && endpoint->flags & ENDPOINT_LOCAL) {
		if (nat_claim(flow, entry, now))
			return 0;
	} else if (state->flags & NODE_DSR && endpoint && !addr_is_zero(&endpoint->node)) {
		entry->flags |= NAT_DSR;
		return 0;
	}
	if (addr_is_zero(source))
		return REASON_NO_ROUTE;
	entry->src = *source;
	return nat_claim_port(flow, state, entry, now) ? 0 : REASON_NAT_PORTS_EXHAUSTED;
}

/* What an external client may ask for; `at_node`: the address is this node's own. */
static __always_inline const struct service *find_asked_for(const struct flow *flow, int at_node)
{
	const struct service *service = find_service(&flow->dst, flow->dport, flow->proto);

	if (!service && (at_node || flow->vni == VNI_DSR))
		service = find_node_port(&flow->dst, flow->dport, flow->proto);
	return service && service->flags & SERVICE_EXTERNAL ? service : 0;
}

/*
 * A new connection from outside, to a service if it is one. 0 and a translation; REASON_NODE if it
 * is none; REASON_PROXIED if the node's proxy takes it; or the reason to drop.
 */
__noinline __u32 nat_enter(const struct flow *flow, int at_node, __u64 now, struct nat_entry *entry,
			   __u32 *number)
{
	const struct state *state = current_state();
	const struct service *service;
	struct scratch *scratch = get_scratch();
	const struct table *table;
	__u32 draw, reason;

	if (!flow || !state || !entry || !number || !scratch)
		return REASON_MALFORMED;
	service = flow->icmp_error ? 0 : find_asked_for(flow, at_node);
	if (!service)
		return REASON_NODE;
	*number = service->id;
	if (flow->vni != VNI_DSR && !nat_in_range(service, &flow->src))
		return REASON_SOURCE_RANGE;
	if (service->flags & SERVICE_PROXY)
		return REASON_PROXIED;
	table = flow->vni == VNI_DSR ? &service->local : &service->external;
	draw = service->flags & SERVICE_MAGLEV ? hash_flow(flow) : bpf_get_prandom_u32();
	if (!choose(service, table, &flow->src, draw, now, &scratch->chosen))
		return REASON_NO_BACKEND;
	entry->dst = scratch->chosen.addr;
	entry->dport = scratch->chosen.port;
	entry->flags = NAT_FORWARD | NAT_SERVICE;
	entry->last_seen_ns = now;
	entry->backend = scratch->chosen.backend;
	reason = nat_place(flow, state, entry, now);
	return reason ? reason : nat_store(flow, entry);
}

/* The flow of the packet once it is translated. */
static __always_inline void nat_apply(const struct nat_entry *entry, struct flow *flow)
{
	flow->src = entry->src;
	flow->dst = entry->dst;
	flow->sport = entry->sport;
	flow->dport = entry->dport;
	flow->translated = 1;
}
