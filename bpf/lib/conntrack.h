/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/*
 * Connections. An entry is made only for what policy allowed, and remembers all that judging it
 * found, so that a later packet costs one look-up as long as the epoch stands. If policy cuts the
 * connection, the entry stays and says so: no later packet may pass as the start of a new one.
 */
#pragma once

#include "judge.h"
#include <linux/in.h>

#define TCP_FIN 0x01
#define TCP_SYN 0x02
#define TCP_RST 0x04
#define TCP_ACK 0x10
#define TCP_URG 0x20
#define DNS_PORT 53

/* Returns which end of the key the flow's source is. */
static __always_inline __u32 ct_key_of(const struct flow *flow, struct ct_key *key)
{
	int order = addr_compare(&flow->src, &flow->dst);
	__u32 end = order > 0 || (order == 0 && flow->sport > flow->dport);

	__builtin_memset(key, 0, sizeof(*key));
	key->addr[0] = end ? flow->dst : flow->src;
	key->addr[1] = end ? flow->src : flow->dst;
	key->port[0] = end ? flow->dport : flow->sport;
	key->port[1] = end ? flow->sport : flow->dport;
	key->proto = flow->proto;
	return end;
}

/* In ct_entry.flags: the node's proxy speaks for that end. */
static __always_inline __u32 ct_proxy(__u32 end)
{
	return end ? CT_PROXY_1 : CT_PROXY_0;
}

static __always_inline int ct_closing(__u32 flags)
{
	return (flags & CT_RST) || (flags & (CT_FIN_0 | CT_FIN_1)) == (CT_FIN_0 | CT_FIN_1);
}

static __always_inline __u64 ct_lifetime_s(const struct ct_entry *entry, __u8 proto)
{
	int replied = entry->flags & CT_REPLIED;

	if (entry->judgement & CT_DENIED)
		return CT_LIFETIME_DENIED;
	if (proto != IPPROTO_TCP)
		return replied ? CT_LIFETIME_OTHER : CT_LIFETIME_OTHER_OPENING;
	if (ct_closing(entry->flags))
		return CT_LIFETIME_TCP_CLOSING;
	return replied ? CT_LIFETIME_TCP : CT_LIFETIME_TCP_OPENING;
}

static __always_inline int ct_expired(const struct ct_entry *entry, __u8 proto, __u64 now)
{
	__u64 idle = now - entry->last_seen_ns;

	/* Another CPU's later clock reads as a negative age. */
	return (__s64)idle > (__s64)(ct_lifetime_s(entry, proto) * SECOND_NS);
}

static __always_inline int opens_connection(const struct flow *flow)
{
	return flow->proto == IPPROTO_TCP && !flow->icmp_error &&
	       (flow->tcp_flags & (TCP_SYN | TCP_ACK)) == TCP_SYN;
}

/* A workload's question is its own, also if one who forges the resolver has spoken first. */
static __always_inline int asks_resolver(const struct flow *flow)
{
	return flow->proto == IPPROTO_UDP && flow->hook == HOOK_FROM_WORKLOAD &&
	       !flow->icmp_error && flow->dport == bpf_htons(DNS_PORT) &&
	       flow->sport != bpf_htons(DNS_PORT);
}

/*
 * A SYN on a live entry is a retransmission, unless it comes from the other end, after the end, or
 * on an entry that was made in mid-stream: it says who opens.
 */
static __always_inline int reopens(const struct flow *flow, const struct ct_entry *entry, __u32 end)
{
	if (asks_resolver(flow) && end != entry->initiator)
		return 1;
	/* No resolver opens the connection in which it is asked. */
	if (entry->dns && end != entry->initiator)
		return 0;
	return opens_connection(flow) &&
	       (end != entry->initiator || ct_closing(entry->flags) || entry->flags & CT_MIDSTREAM);
}

static __always_inline void ct_touch(struct ct_entry *entry, const struct flow *flow, __u32 end,
				     __u64 now)
{
	__u32 flags = end == entry->initiator ? 0 : CT_REPLIED;

	if (flow->icmp_error)
		return;
	entry->last_seen_ns = now;
	if (flow->proto == IPPROTO_TCP) {
		if (flow->tcp_flags & TCP_FIN)
			flags |= end ? CT_FIN_1 : CT_FIN_0;
		if (flow->tcp_flags & TCP_RST)
			flags |= CT_RST;
	}
	if ((entry->flags & flags) != flags)
		__sync_fetch_and_or(&entry->flags, flags);
}

static __always_inline __u32 ct_verdict(const struct ct_entry *entry, const struct flow *flow)
{
	if (entry->judgement & CT_DENIED)
		return REASON_POLICY_DENIED;
	return flow->icmp_error ? REASON_RELATED : REASON_ESTABLISHED;
}

static __always_inline int is_allowed(__u32 reason)
{
	return reason == REASON_ALLOWED || reason == REASON_PROXIED;
}

static __always_inline int is_dns_judged(__be16 number)
{
	__u32 key = bpf_ntohs(number);
	const struct dns_rules *rules = number ? bpf_map_lookup_elem(&dns_rules, &key) : 0;

	return number && !(rules && rules->flags & DNS_PASS);
}

/*
 * A TCP packet in mid-stream whose entry is gone (evicted, or older than Tulle). Nobody can tell
 * which end opened the connection, and the sender would choose the better story: both must hold.
 */
static __always_inline __u32 judge_midstream(const struct flow *flow, struct verdict *verdict)
{
	__u32 reason = judge(flow, 1, flow->passed, verdict);
	__u8 held = verdict->held;
	__be16 dns = verdict->dns;

	if (is_allowed(reason))
		reason = judge(flow, 0, flow->passed, verdict);
	/* Nobody has read how it began. */
	if (is_allowed(reason) && (is_dns_judged(dns) || is_dns_judged(verdict->dns))) {
		verdict->action = ACTION_REJECT;
		return REASON_DNS_UNREADABLE;
	}
	verdict->dns = 0;
	if (is_allowed(reason) && (held || verdict->held)) {
		verdict->action = ACTION_REJECT;
		return REASON_NOT_HELD;
	}
	return reason;
}

/* The interfaces of both ends; where the proxy speaks for one, its packets come by none. */
static __always_inline void ct_place(struct ct_entry *entry, const struct verdict *verdict,
				     __u32 end)
{
	__u32 src = entry->flags & ct_proxy(end) ? 0 : verdict->src_ifindex;
	__u32 dst = entry->flags & ct_proxy(!end) ? 0 : verdict->dst_ifindex;

	entry->ifindex[0] = end ? dst : src;
	entry->ifindex[1] = end ? src : dst;
}

/*
 * What the proxy has taken in stays there as long as it is the same rules that judge it, or none;
 * it cannot change hands. A connection with the proxy itself ends with the proxy's socket.
 */
static __always_inline int ct_other_rules(const struct ct_entry *entry, __u32 end,
					  const struct verdict *verdict)
{
	int midstream = entry->flags & CT_MIDSTREAM;
	__u32 opener = midstream ? end : entry->initiator;

	if (!verdict->proxy)
		return 0;
	if (verdict->held)
		return !(entry->flags & CT_HELD) && entry->flags & CT_REPLIED;
	return !(entry->flags & ct_proxy(!opener)) ||
	       (!midstream && verdict->proxy != entry->proxy);
}

static __always_inline int ct_with_proxy(const struct ct_entry *entry)
{
	return entry->flags & ct_proxy(!entry->initiator) && !entry->proxy;
}

/* Which rules judge its requests from now on. */
static __always_inline void ct_hold(struct ct_entry *entry, const struct verdict *verdict)
{
	if (verdict->held)
		__sync_fetch_and_or(&entry->flags, CT_STREAM);
	if (entry->flags & CT_STREAM)
		entry->proxy = verdict->proxy;
}

/*
 * Bytes of requests that nobody has followed from the first one on. A handshake whose end is just
 * on its way is not reset: what has fallen is sent again.
 */
static __always_inline __u32 ct_stream(const struct ct_entry *entry, const struct flow *flow,
				       __u32 end, struct verdict *verdict)
{
	__u32 flags = entry->flags;

	if (!(flags & CT_STREAM) || flags & CT_HELD || flow->icmp_error || !flow->payload ||
	    end != entry->initiator || !entry->proxy)
		return 0;
	verdict->action = flags & CT_NOT_HELD ? ACTION_REJECT : ACTION_DENY;
	return REASON_NOT_HELD;
}

/* Its requests are judged, or just told of. */
static __always_inline void ct_hear(const struct ct_entry *entry, const struct flow *flow,
				    struct verdict *verdict)
{
	const __u32 followed = CT_STREAM | CT_HELD;

	if (flow->icmp_error)
		return;
	verdict->judged = (entry->flags & followed) == followed;
	verdict->heard = entry->flags & CT_WATCHED &&
			 (flow->payload || flow->tcp_flags & (TCP_FIN | TCP_RST));
}

static __always_inline void ct_watch(struct ct_entry *entry, const struct verdict *verdict)
{
	if (verdict->watched)
		__sync_fetch_and_or(&entry->flags, CT_WATCHED);
	else if (entry->flags & CT_WATCHED)
		__sync_fetch_and_and(&entry->flags, ~CT_WATCHED);
}

/* The epoch has moved, or the packet came by another interface: judge the connection again. */
static __always_inline __u32 ct_rejudge(struct ct_entry *entry, const struct flow *flow, __u32 end,
					__u32 epoch, struct verdict *verdict)
{
	int reply = end != entry->initiator;
	__u32 reason;

	verdict->standing = 1;
	reason = entry->flags & CT_MIDSTREAM ? judge_midstream(flow, verdict)
					     : judge(flow, reply, entry->passed, verdict);
	if (reason == REASON_NO_SERVICE_PORT && ct_with_proxy(entry))
		reason = REASON_PROXIED;
	if (!is_allowed(reason) && reason != REASON_POLICY_DENIED)
		return reason;
	if (reason == REASON_ALLOWED && ct_other_rules(entry, end, verdict)) {
		verdict->action = ACTION_REJECT;
		return REASON_OTHER_RULES;
	}
	ct_place(entry, verdict, end);
	ct_hold(entry, verdict);
	ct_watch(entry, verdict);
	entry->egress_rule = verdict->egress_rule;
	entry->ingress_rule = verdict->ingress_rule;
	entry->dns = verdict->dns;
	*(volatile __u64 *)&entry->judgement = epoch | (is_allowed(reason) ? 0 : CT_DENIED);
	return ct_verdict(entry, flow);
}

static __always_inline int ct_fresh(const struct ct_entry *entry, const struct flow *flow,
				    __u32 end, __u32 epoch)
{
	__u32 src = entry->ifindex[end & 1], dst = entry->ifindex[!end];

	if ((__u32)entry->judgement != epoch)
		return 0;
	switch (flow->hook) {
	case HOOK_FROM_WORKLOAD:
		return src == flow->ifindex;
	case HOOK_TO_WORKLOAD:
		return !src && dst == flow->ifindex;
	}
	return !src;
}

static __always_inline __u32 ct_known(struct ct_entry *entry, const struct flow *flow, __u32 end,
				      __u64 now, __u32 epoch, struct verdict *verdict)
{
	__u32 reason;

	/* Nobody speaks for the proxy, nor the proxy in the midst of another's connection. */
	if (!(entry->flags & ct_proxy(end)) != !flow->from_proxy && !flow->icmp_error)
		return REASON_SPOOFED_SOURCE;
	if (ct_fresh(entry, flow, end, epoch)) {
		verdict->src_ifindex = entry->ifindex[end & 1];
		verdict->dst_ifindex = entry->ifindex[!end];
		verdict->egress_rule = entry->egress_rule;
		verdict->ingress_rule = entry->ingress_rule;
		verdict->dns = entry->dns;
		reason = ct_verdict(entry, flow);
	} else {
		reason = ct_rejudge(entry, flow, end, epoch, verdict);
	}
	if (reason < REASON_DROP)
		reason = ct_stream(entry, flow, end, verdict) ?: reason;
	ct_hear(entry, flow, verdict);
	verdict->reply = end != entry->initiator;
	verdict->translated = !!(entry->flags & CT_TRANSLATED);
	verdict->to_proxy = !!(entry->flags & ct_proxy(!end));
	verdict->proxy = verdict->reply ? 0 : entry->proxy;
	if (reason < REASON_DROP)
		ct_touch(entry, flow, end, now);
	return reason;
}

static __always_inline void ct_describe(const struct flow *flow, __u32 end, __u64 now, __u32 epoch,
					const struct verdict *verdict, struct ct_entry *entry)
{
	int midstream = flow->proto == IPPROTO_TCP && !opens_connection(flow);

	__builtin_memset(entry, 0, sizeof(*entry));
	entry->last_seen_ns = now;
	entry->judgement = epoch;
	entry->initiator = verdict->reply ? !end : end;
	entry->flags = (midstream ? CT_REPLIED | CT_MIDSTREAM : 0) |
		       (flow->translated ? CT_TRANSLATED : 0) |
		       (flow->from_proxy ? ct_proxy(end) : 0) |
		       (verdict->to_proxy ? ct_proxy(!end) : 0) | (verdict->held ? CT_STREAM : 0) |
		       (verdict->watched ? CT_WATCHED : 0);
	entry->passed = flow->passed;
	entry->proxy = verdict->proxy;
	entry->dns = verdict->dns;
	entry->egress_rule = verdict->egress_rule;
	entry->ingress_rule = verdict->ingress_rule;
	ct_place(entry, verdict, end);
}

static __always_inline __u32 ct_open(struct judging *judging, const struct flow *flow, __u32 end,
				     __u64 now, __u32 epoch, struct verdict *verdict)
{
	int midstream = flow->proto == IPPROTO_TCP && !opens_connection(flow);
	__u32 reason;

	if (midstream && (flow->tcp_flags & TCP_SYN))
		return REASON_UNSOLICITED_REPLY;
	reason = midstream ? judge_midstream(flow, verdict) : judge(flow, 0, flow->passed, verdict);
	/* A lone RST closes nothing that we know and opens nothing. */
	if (!is_allowed(reason) || (midstream && (flow->tcp_flags & TCP_RST)))
		return reason;
	/* Only for the bookkeeping of a connection that may be opened from either end. */
	verdict->reply = midstream && bpf_ntohs(flow->sport) < bpf_ntohs(flow->dport);
	/* What comes with the first packet comes before the program. */
	if (verdict->held && flow->payload) {
		verdict->action = ACTION_REJECT;
		return REASON_NOT_HELD;
	}
	if (verdict->watched) {
		/* What was said on an earlier one between the same ports. */
		bpf_map_delete_elem(&talks, &judging->key);
		bpf_map_delete_elem(&h2_talks, &judging->key);
	}
	ct_describe(flow, end, now, epoch, verdict, &judging->entry);
	return bpf_map_update_elem(&conntrack, &judging->key, &judging->entry, BPF_ANY)
		       ? REASON_CONNTRACK_FULL
		       : reason;
}

/*
 * The verdict on one packet. `now` is CLOCK_MONOTONIC_COARSE in ns. A global function, so that the
 * verifier checks it once and not once for every way through the parser.
 */
__noinline __u32 track(const struct flow *flow, __u64 now, __u32 epoch, struct verdict *verdict)
{
	struct judging *judging = get_judging();
	struct ct_entry *entry;
	__u32 end;

	if (!flow || !verdict || !judging)
		return REASON_MALFORMED;
	end = ct_key_of(flow, &judging->key);
	entry = bpf_map_lookup_elem(&conntrack, &judging->key);
	if (entry && !ct_expired(entry, flow->proto, now) && !reopens(flow, entry, end))
		return ct_known(entry, flow, end, now, epoch, verdict);
	if (flow->icmp_error)
		return REASON_ICMP_UNRELATED;
	return ct_open(judging, flow, end, now, epoch, verdict);
}
