/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/*
 * The node's proxy: what is its own, and how packets reach its sockets, whatever their address. A
 * mark makes the node's stack take a packet for its own; which socket that is follows from the
 * addresses, but for new connections under L7 rules, which go to the listener of these rules.
 */
#pragma once

#include "forward.h"
#include <linux/if_packet.h>
#include <linux/tcp.h>

/* In a workload's name, the proxy's packets go out to the node's stack and are of a socket of it.
 */
static __always_inline void recognise_proxy(struct __sk_buff *skb, const struct state *state,
					    struct flow *flow)
{
	if ((skb->mark & MARK_KIND) != MARK_PROXY || skb->ingress_ifindex || !state->proxy_cgroup)
		return;
	/*
	 * Of no cgroup is what the kernel sends for a connection that has no full socket (any
	 * more): its mark is that of the socket that there was.
	 */
	if (bpf_skb_ancestor_cgroup_id(skb, state->proxy_level) != state->proxy_cgroup &&
	    bpf_skb_cgroup_id(skb))
		return;
	flow->from_proxy = 1;
	flow->passed = bpf_htons(skb->mark & ~MARK_KIND);
}

/* A source that none of the node's processes has but the proxy. */
static __always_inline int is_proxys_alone(const struct whereabouts *src)
{
	return src->flags & (ENDPOINT_WORKLOAD | ENDPOINT_INGRESS) || src->is_service;
}

static __always_inline __u32 fill_tuple(const struct flow *flow, struct bpf_sock_tuple *tuple)
{
	if (addr_is_mapped(&flow->dst)) {
		tuple->ipv4.saddr = flow->src.word[3];
		tuple->ipv4.daddr = flow->dst.word[3];
		tuple->ipv4.sport = flow->sport;
		tuple->ipv4.dport = flow->dport;
		return sizeof(tuple->ipv4);
	}
	__builtin_memcpy(tuple->ipv6.saddr, &flow->src, sizeof(tuple->ipv6.saddr));
	__builtin_memcpy(tuple->ipv6.daddr, &flow->dst, sizeof(tuple->ipv6.daddr));
	tuple->ipv6.sport = flow->sport;
	tuple->ipv6.dport = flow->dport;
	return sizeof(tuple->ipv6);
}

/*
 * Whether a socket bears the proxy's mark. Who else sets that takes part in nothing: what he sends
 * is known by its cgroup. What is no full socket (any more) is of one that has been looked at.
 */
static __always_inline int is_proxys(struct bpf_sock *sk)
{
	const struct bpf_sock *full = bpf_sk_fullsock(sk);

	return !full || (full->mark & MARK_KIND) == MARK_PROXY;
}

/*
 * The proxy's socket for a packet of an established connection, or for one to its own address.
 * Under rules the addresses are a backend's, and who listens there is somebody else.
 */
static __always_inline int has_stream(struct __sk_buff *skb, const struct flow *flow, int rules)
{
	struct bpf_sock_tuple tuple = {};
	__u32 size = fill_tuple(flow, &tuple);
	struct bpf_sock *sk = bpf_skc_lookup_tcp(skb, &tuple, size, BPF_F_CURRENT_NETNS, 0);
	int found;

	if (!sk)
		return 0;
	found = is_proxys(sk);
	if (rules && (sk->state == BPF_TCP_LISTEN ||
		      (sk->state == BPF_TCP_TIME_WAIT && opens_connection(flow))))
		found = 0;
	bpf_sk_release(sk);
	return found;
}

static __always_inline int has_datagrams(struct __sk_buff *skb, const struct flow *flow)
{
	struct bpf_sock_tuple tuple = {};
	__u32 size = fill_tuple(flow, &tuple);
	struct bpf_sock *sk = bpf_sk_lookup_udp(skb, &tuple, size, BPF_F_CURRENT_NETNS, 0);
	int found;

	if (!sk)
		return 0;
	found = is_proxys(sk);
	bpf_sk_release(sk);
	return found;
}

static __always_inline int has_socket(struct __sk_buff *skb, const struct flow *flow, int rules)
{
	if (flow->proto == IPPROTO_TCP)
		return has_stream(skb, flow, rules);
	return flow->proto == IPPROTO_UDP && !rules && has_datagrams(skb, flow);
}

/*
 * Under a flood the kernel keeps nothing of a SYN: its answer bears a cookie, and the ACK that
 * brings that back opens the connection. Without this one client could shut out all others.
 */
static __always_inline int brings_cookie(struct __sk_buff *skb, const struct flow *flow,
					 struct bpf_sock *listener)
{
	int v4 = addr_is_mapped(&flow->dst);
	__u32 size = v4 ? sizeof(struct iphdr) : sizeof(struct ipv6hdr);
	struct ipv6hdr ip = {};
	struct tcphdr tcp = {};
	__u32 length = size;

	if ((flow->tcp_flags & (TCP_SYN | TCP_ACK | TCP_RST)) != TCP_ACK)
		return 0;
	if (bpf_skb_load_bytes(skb, ETH_HLEN, &ip, size))
		return 0;
	if (v4)
		length = ((struct iphdr *)&ip)->ihl * 4;
	else if (ip.nexthdr != IPPROTO_TCP)
		return 0;
	if (bpf_skb_load_bytes(skb, ETH_HLEN + length, &tcp, sizeof(tcp)))
		return 0;
	return !bpf_tcp_check_syncookie(listener, &ip, size, &tcp, sizeof(tcp));
}

/* What opens a connection, for the listener of its rules. Returns 0 if that has it now. */
static __always_inline int assign_listener(struct __sk_buff *skb, const struct flow *flow,
					   __be16 rules)
{
	struct addr proxy6 = {.word = {bpf_htonl(PROXY_6_FIRST), 0, 0, bpf_htonl(PROXY_6_LAST)}};
	struct bpf_sock_tuple tuple = {};
	struct flow there = *flow;
	struct bpf_sock *sk;
	int failed = 1;

	there.dst = addr_is_mapped(&flow->dst) ? addr_v4(bpf_htonl(PROXY_4)) : proxy6;
	there.dport = rules;
	sk = bpf_skc_lookup_tcp(skb, &tuple, fill_tuple(&there, &tuple), BPF_F_CURRENT_NETNS, 0);
	if (!sk)
		return 1;
	if (sk->state == BPF_TCP_LISTEN && is_proxys(sk) &&
	    (opens_connection(flow) || brings_cookie(skb, flow, sk)))
		failed = bpf_sk_assign(skb, sk, 0);
	bpf_sk_release(sk);
	return failed;
}

/* To the proxy's socket; 1 if there is none. An error's own socket is for the stack to find. */
__noinline int give_to_proxy(struct __sk_buff *skb, const struct flow *flow, __be16 rules)
{
	/* Who is asked there by name has not come by any rule. */
	if (!flow || is_rules_address(&flow->dst))
		return 1;
	if (!flow->icmp_error && !has_socket(skb, flow, rules)) {
		if (!rules || assign_listener(skb, flow, rules))
			return 1;
	}
	skb->mark = MARK_LOCAL;
	return 0;
}

/*
 * To the node's stack, where a bridge would carry it on to a neighbour. On its way through that it
 * loses its socket: the bridge's own hook finds it again.
 */
static __always_inline int lift(struct __sk_buff *skb, const struct flow *flow, __be16 rules)
{
	if (flow->hook != HOOK_FROM_WORKLOAD || !is_bridged(skb->ifindex))
		return TC_ACT_OK;
	skb->mark = MARK_TURNED | bpf_ntohs(rules);
	if (address_frame(skb, skb->ifindex, 0) || bpf_skb_change_type(skb, PACKET_HOST))
		return TC_ACT_SHOT;
	return TC_ACT_OK;
}

/*
 * A proxy that is about to come (back) finds a SYN that is sent again. Who goes on with what the
 * proxy knows nothing of is told.
 */
static __always_inline int enter_proxy(struct __sk_buff *skb, const struct flow *flow,
				       struct verdict *verdict)
{
	if (!give_to_proxy(skb, flow, verdict->proxy))
		return lift(skb, flow, verdict->proxy);
	verdict->action =
		flow->proto == IPPROTO_TCP && !opens_connection(flow) ? ACTION_REJECT : ACTION_DENY;
	return settle(skb, flow, verdict, REASON_NO_PROXY, 0);
}

/*
 * On its way out of this node a packet turns out to be for the proxy: it comes in again, by a
 * workload's interface, as no other has a program of ours that would find it a socket.
 */
static __always_inline int turn_round(struct __sk_buff *skb, const struct flow *flow,
				      struct verdict *verdict, __u32 ifindex)
{
	if (!ifindex || address_frame(skb, ifindex, 0))
		return settle(skb, flow, verdict, REASON_NO_PROXY, 0);
	skb->mark = MARK_TURNED | bpf_ntohs(verdict->proxy);
	return bpf_redirect(ifindex, BPF_F_INGRESS);
}

/* What turn_round() sent, which the proxy itself has sent. */
static __always_inline int come_round(struct __sk_buff *skb, struct flow *flow)
{
	__be16 rules = bpf_htons(skb->mark & ~MARK_KIND);
	struct verdict verdict = {};
	__u32 reason = parse_skb(skb, flow);

	if (!reason && !give_to_proxy(skb, flow, rules))
		return TC_ACT_OK;
	settle(skb, flow, &verdict, reason ?: REASON_NO_PROXY, 0);
	if (reason || opens_connection(flow) || become_answer(skb, flow))
		return TC_ACT_SHOT;
	skb->mark = MARK_LOCAL;
	return TC_ACT_OK;
}
