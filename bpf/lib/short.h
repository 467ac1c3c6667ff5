/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/*
 * Which sockets take part in the short circuit (short.bpf.c), as packets tell: both ends of a
 * connection between workloads of this node have sent and can be seen to read without waiting in
 * the kernel. Sockets that do wait are never touched.
 */
#pragma once

#include "answer.h"
#include "conntrack.h"
#include "emit.h"
#include "short_kernel.h"

#define ESTABLISHED 1 /* of the kernel's include/net/tcp_states.h */

/* Connections that are somebody else's to look at, or have an end. */
#define CT_NOT_SHORT                                                                               \
	(CT_FIN_0 | CT_FIN_1 | CT_RST | CT_MIDSTREAM | CT_TRANSLATED | CT_PROXY_0 | CT_PROXY_1 |   \
	 CT_STREAM | CT_WATCHED)

/* Both ends are workloads of this node, and nothing but addresses and ports decided. */
static __always_inline int is_for_two(const struct ct_entry *entry)
{
	return !(entry->flags & CT_NOT_SHORT) && !(entry->judgement & CT_DENIED) && !entry->proxy &&
	       !entry->passed && !entry->dns && entry->ifindex[0] && entry->ifindex[1] &&
	       entry->ifindex[0] != entry->ifindex[1];
}

/* As it would be found for a packet that comes to it, from `from`. */
static __always_inline struct bpf_sock *find_at(struct __sk_buff *skb, const struct addr *from,
						__be16 from_port, const struct addr *to,
						__be16 to_port, __u32 namespace)
{
	struct bpf_sock_tuple tuple = {};

	if (addr_is_mapped(from)) {
		tuple.ipv4.saddr = from->word[3];
		tuple.ipv4.daddr = to->word[3];
		tuple.ipv4.sport = from_port;
		tuple.ipv4.dport = to_port;
		return bpf_sk_lookup_tcp(skb, &tuple, sizeof(tuple.ipv4), namespace, 0);
	}
	__builtin_memcpy(tuple.ipv6.saddr, from, sizeof(*from));
	__builtin_memcpy(tuple.ipv6.daddr, to, sizeof(*to));
	tuple.ipv6.sport = from_port;
	tuple.ipv6.dport = to_port;
	return bpf_sk_lookup_tcp(skb, &tuple, sizeof(tuple.ipv6), namespace, 0);
}

static __always_inline struct bpf_sock *find_sender(struct __sk_buff *skb, const struct flow *flow,
						    __u32 namespace)
{
	return find_at(skb, &flow->dst, flow->dport, &flow->src, flow->sport, namespace);
}

static __always_inline struct bpf_sock *find_reader(struct __sk_buff *skb, const struct flow *flow,
						    __u32 namespace)
{
	return find_at(skb, &flow->src, flow->sport, &flow->dst, flow->dport, namespace);
}

/* A socket that was another connection's may have something of it left. */
static __always_inline int is_known_to(struct bpf_sock *sock, const struct short_key *own,
				       __u32 epoch)
{
	struct short_sender fresh = {.key = *own, .epoch = epoch};
	struct short_sender *sender =
		bpf_sk_storage_get(&short_senders, sock, &fresh, BPF_SK_STORAGE_GET_F_CREATE);

	if (!sender)
		return 0;
	*sender = fresh;
	return 1;
}

/*
 * The namespace is that of the interface that the packet came by: a workload that bears another's
 * address within its own is not found there.
 */
static __always_inline void take_part(struct __sk_buff *skb, const struct flow *flow,
				      const struct short_key *own, struct short_pair *pair)
{
	struct ct_entry *entry = bpf_map_lookup_elem(&conntrack, &own->connection);
	__u32 end = own->end & 1;
	const __u32 *home;
	struct bpf_sock *sock;

	if (!entry || !is_for_two(entry) || !bpf_map_lookup_elem(&homes, &entry->ifindex[!end]))
		return;
	home = bpf_map_lookup_elem(&homes, &entry->ifindex[end]);
	sock = home ? find_sender(skb, flow, *home) : 0;
	if (!sock)
		return;
	if (sock->state == ESTABLISHED && is_nonblocking(SOCK(sock)) &&
	    is_known_to(sock, own, (__u32)entry->judgement) &&
	    !bpf_map_update_elem(&short_sockets, own, sock, BPF_ANY))
		pair->sock[end] = (__u64)sock;
	bpf_sk_release(sock);
}

static __always_inline int is_home(__u32 ifindex)
{
	return bpf_map_lookup_elem(&homes, &ifindex) != 0;
}

static __always_inline int takes_part(const struct short_key *own)
{
	struct bpf_sock *sock = bpf_map_lookup_elem(&short_sockets, own);

	if (!sock)
		return 0;
	bpf_sk_release(sock);
	return 1;
}

/* Whether that end takes part; no more, from now on. */
static __always_inline int lose(const struct ct_key *connection, __u32 end)
{
	struct short_key key = {.connection = *connection, .end = end};
	struct bpf_sock *sock = bpf_map_lookup_elem(&short_sockets, &key);
	struct short_sender *sender;

	if (!sock)
		return 0;
	sender = bpf_sk_storage_get(&short_senders, sock, 0, 0);
	if (sender)
		sender->end = SHORT_LOST;
	bpf_sk_release(sock);
	return 1;
}

/*
 * An empty one, for a connection that may be new under an old one's addresses, of two workloads
 * that want it. One that has lost its pair to others goes by TCP from now on: what waits in its
 * queues is waited for.
 */
static __always_inline struct short_pair *begin(const struct ct_key *connection, int is_new)
{
	const struct ct_entry *entry = bpf_map_lookup_elem(&conntrack, connection);
	struct short_pair fresh = {};
	int lost = 0;

	if (!entry || !is_home(entry->ifindex[0]) || !is_home(entry->ifindex[1])) {
		bpf_map_delete_elem(&shorts, connection);
		return 0;
	}
	for (__u32 end = 0; !is_new && end < 2; end++)
		lost |= lose(connection, end);
	if (lost)
		fresh.end[0] = fresh.end[1] = SHORT_LOST;
	bpf_map_update_elem(&shorts, connection, &fresh, BPF_ANY);
	return bpf_map_lookup_elem(&shorts, connection);
}

/* What the other end has been sent past the interface, and has not read. */
static __always_inline int has_queued(const struct short_key *key)
{
	struct bpf_sock *sock = bpf_map_lookup_elem(&short_sockets, key);
	int queued;

	if (!sock)
		return 0;
	queued = count_queued(psock_of(SOCK(sock)), 1);
	bpf_sk_release(sock);
	return queued;
}

/*
 * The same of a connection of which no map tells: its sockets are in those of another version,
 * whose programs hand nothing over any more.
 */
static __always_inline int has_left(struct __sk_buff *skb, const struct flow *flow,
				    const struct short_key *own)
{
	const struct ct_entry *entry = bpf_map_lookup_elem(&conntrack, &own->connection);
	const __u32 *home;
	struct bpf_sock *sock;
	int queued = 0;

	if (!entry)
		return 0;
	home = bpf_map_lookup_elem(&homes, &entry->ifindex[!(own->end & 1)]);
	sock = home ? find_reader(skb, flow, *home) : 0;
	if (!sock)
		return 0;
	if (sock->state == ESTABLISHED && SOCK(sock)->sk_user_data)
		queued = count_queued(psock_of(SOCK(sock)), 1);
	bpf_sk_release(sock);
	return queued;
}

/*
 * TCP resets who wrote what is closed unread, and knows nothing of what went past it. The queue
 * goes some time after the socket has left the map, and is charged to it until then.
 */
static __always_inline int is_left_unread(const struct short_key *own, const struct sock *closed)
{
	return !takes_part(own) && closed->sk_backlog.rmem_alloc.counter;
}

/*
 * A packet of a local connection, with bytes, a SYN or a FIN. Its bytes come after those that went
 * past the interface, and must not wait beside them: who reads less than he asked for may take it
 * that nothing is left, and would not be woken again. So they fall until then; TCP sends them
 * again.
 */
__noinline int watch_short(struct __sk_buff *skb, const struct flow *flow, __u32 flags)
{
	struct short_key key = {};
	struct short_pair *pair;
	__u32 end;

	if (!flow)
		return 0;
	end = ct_key_of(flow, &key.connection) & 1;
	key.end = end;
	pair = bpf_map_lookup_elem(&shorts, &key.connection);
	if (flags & NODE_SHORT && (!pair || flow->tcp_flags & TCP_SYN))
		pair = begin(&key.connection, flow->tcp_flags & TCP_SYN);
	if (flow->tcp_flags & TCP_SYN)
		return 0;
	if (flags & NODE_SHORT_LEFT && flow->payload && (!pair || !pair->sock[end]) &&
	    has_left(skb, flow, &key))
		return 1;
	if (!pair)
		return 0;
	if (flow->tcp_flags & TCP_FIN && pair->sock[end] &&
	    is_left_unread(&key, SOCK(pair->sock[end])))
		become_reset(skb, flow);
	if (!flow->payload)
		return 0;
	if (flags & NODE_SHORT && !pair->sock[end] && !pair->end[end] &&
	    pair->packets[end] <= SHORT_LAST && pair->packets[end]++ >= SHORT_FIRST)
		take_part(skb, flow, &key, pair);
	if (!pair->end[end] || pair->drained[end])
		return 0;
	key.end = !end;
	pair->drained[end] = !has_queued(&key);
	return !pair->drained[end];
}

static __always_inline int is_behind(struct __sk_buff *skb, const struct state *state,
				     const struct flow *flow)
{
	if (!(state->flags & (NODE_SHORT | NODE_SHORT_LEFT)) || flow->proto != IPPROTO_TCP ||
	    flow->icmp_error || (!flow->payload && !(flow->tcp_flags & (TCP_SYN | TCP_FIN))) ||
	    !watch_short(skb, flow, state->flags))
		return 0;
	count(&reasons, REASON_BEHIND, skb->len);
	return 1;
}
