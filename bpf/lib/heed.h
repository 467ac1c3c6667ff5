/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/*
 * DNS on its way: a workload's question is judged by the rules of its resolver's connection, and
 * remembered; the answer teaches what addresses the name has, before it is delivered.
 */
#pragma once

#include "dns.h"
#include "judge.h"
#include "learn.h"
#include "names.h"
#include "rewrite.h"

#define UDP_HEADER 8
#define DNS_RECURSE 0x0100
#define DNS_RECURSES 0x0080
#define DNS_REFUSED 5

/* Of what passes under DNS rules: questions of workloads of this node, and answers to them. */
static __always_inline int is_heeded(const struct flow *flow, const struct verdict *verdict,
				     __u32 reason)
{
	if (reason >= REASON_DROP || !verdict->dns || flow->icmp_error)
		return 0;
	return !!(verdict->reply ? verdict->dst_ifindex : verdict->src_ifindex);
}

/* Where the datagram begins; 0 if it is but a part of one, or several, or hidden. */
static __always_inline __u32 find_datagram(struct __sk_buff *skb, const struct flow *flow)
{
	struct ipv6hdr ip6;
	struct iphdr ip;

	if (skb->gso_size)
		return 0;
	if (!addr_is_mapped(&flow->src)) {
		if (bpf_skb_load_bytes(skb, ETH_HLEN, &ip6, sizeof(ip6)) ||
		    ip6.nexthdr != IPPROTO_UDP)
			return 0;
		return ETH_HLEN + sizeof(ip6);
	}
	if (bpf_skb_load_bytes(skb, ETH_HLEN, &ip, sizeof(ip)) ||
	    ip.frag_off & bpf_htons(IP_OFFSET | IP_MORE_FRAGMENTS))
		return 0;
	return ETH_HLEN + ip.ihl * 4;
}

/* The packet's message, read; DNS_BAD if there is none. */
static __always_inline int load_message(struct __sk_buff *skb, const struct flow *flow,
					struct dns_scratch *dns)
{
	__be16 length;
	__u32 size;

	dns->l4 = find_datagram(skb, flow);
	if (!dns->l4 || bpf_skb_load_bytes(skb, dns->l4 + 4, &length, sizeof(length)))
		return DNS_BAD;
	size = bpf_ntohs(length);
	if (size < UDP_HEADER + DNS_HEADER || size > UDP_HEADER + NAME_MESSAGE)
		return DNS_BAD;
	size -= UDP_HEADER;
	dns->size = size;
	/* The compiler knows the bounds; the verifier is to see them. */
	asm volatile("" : "+r"(size));
	if (size > NAME_MESSAGE || !size)
		return DNS_BAD;
	if (bpf_skb_load_bytes(skb, dns->l4 + UDP_HEADER, dns->message, size))
		return DNS_BAD;
	return read_message();
}

/* Only what was asked, there, and just now: what else claims to be an answer opens nothing. */
__noinline int heed_answer(const struct flow *flow, __u32 ifindex)
{
	struct dns_scratch *dns = get_dns();
	const struct asked *asked_for;

	if (!flow || !dns || dns->out.status != DNS_READ || !(dns->out.flags & DNS_ANSWER))
		return 0;
	set_question(dns, flow, 1, ifindex);
	asked_for = bpf_map_lookup_elem(&dns_asked, &dns->question);
	if (!asked_for || asked_for->qtype != dns->out.qtype ||
	    asked_for->qclass != dns->out.qclass ||
	    bpf_ktime_get_coarse_ns() - asked_for->time_ns > NAME_ASKED_S * SECOND_NS ||
	    !name_equal(&asked_for->known, &dns->out.asked))
		return 0;
	forget_question(&dns->question, asked_for->place);
	if (dns->out.found)
		learn_addresses(ifindex);
	return 1;
}

enum met {
	MET_NONE = 0,
	MET_RULE = 1,
	MET_PASSES = 2, /* by no rule */
};

/* Whether one of the DNS rules of that number means the name that is asked for. */
__noinline int allows_question(__be16 number)
{
	struct dns_scratch *dns = get_dns();
	struct matched *matched = get_matched();
	const struct dns_rules *rules;
	__u32 key = bpf_ntohs(number);

	if (!dns || !matched)
		return MET_NONE;
	rules = bpf_map_lookup_elem(&dns_rules, &key);
	if (!rules)
		return MET_NONE;
	matched->count = 0;
	if (dns->out.status == DNS_READ) {
		matched->known = dns->out.asked;
		match_name(matched, SCOPE_RULES, key);
	}
	if (matched->count)
		return MET_RULE;
	if (!(rules->flags & DNS_PASS))
		return MET_NONE;
	return rules->flags & DNS_AUDIT ? MET_PASSES : MET_RULE;
}

/* What was asked is counted; of what is much only a part is told, so that others' is seen. */
static __always_inline int is_question_told(struct dns_scratch *dns, __u32 reason)
{
	struct hearer *hearer = find_hearer(dns, dns->question.ifindex);
	__u64 second = bpf_ktime_get_coarse_ns() / SECOND_NS;
	int told;

	if (!hearer)
		return 0;
	if (hearer->second != second) {
		hearer->second = second;
		hearer->told = 0;
		hearer->told_denied = 0;
	}
	if (reason >= REASON_DROP) {
		__sync_fetch_and_add(&hearer->denied, 1);
		told = hearer->told_denied++ < HEARER_TOLD;
	} else {
		if (dns->out.flags & DNS_ANSWER)
			__sync_fetch_and_add(&hearer->answered, 1);
		else
			__sync_fetch_and_add(&hearer->asked, 1);
		told = hearer->told++ < HEARER_TOLD;
	}
	if (!told)
		__sync_fetch_and_add(&hearer->untold, 1);
	return told;
}

/* Of a question, or of its answer. */
__noinline int tell_question(const struct verdict *verdict, __u32 reason, int unmet)
{
	struct dns_scratch *dns = get_dns();
	struct dns_event *event;
	__u32 zero = 0;
	__u64 *lost;

	if (!verdict || !dns || !is_question_told(dns, reason))
		return 0;
	event = bpf_ringbuf_reserve(&questions, sizeof(*event), 0);
	if (!event) {
		lost = bpf_map_lookup_elem(&events_lost, &zero);
		if (lost)
			(*lost)++;
		return 0;
	}
	event->time_ns = bpf_ktime_get_ns();
	event->client = dns->question.client;
	event->resolver = dns->question.resolver;
	event->port = dns->question.port;
	event->resolver_port = dns->question.resolver_port;
	event->qtype = dns->out.qtype;
	event->flags = dns->out.flags;
	event->reason = reason;
	event->rule = verdict->egress_rule;
	event->rules = bpf_ntohs(verdict->dns);
	event->unmet = unmet;
	event->found = dns->out.found;
	event->ttl_s = dns->out.found ? dns->out.addresses.item[0].ttl_s : 0;
	event->bits = dns->out.asked.name.bits;
	event->proto = dns->question.proto;
	event->text = dns->out.asked.name.text;
	for (int i = 0; i < NAME_TOLD; i++)
		event->address[i] = dns->out.addresses.item[i].addr;
	bpf_ringbuf_submit(event, BPF_RB_NO_WAKEUP);
	return 0;
}

static __always_inline __u32 heed_question(const struct flow *flow, const struct verdict *verdict,
					   struct dns_scratch *dns)
{
	int readable = dns->out.status != DNS_BAD && !(dns->out.flags & DNS_ANSWER);
	int met;

	if (!readable)
		dns->out.status = DNS_BAD;
	met = allows_question(verdict->dns);
	if (!readable)
		return met ? 0 : REASON_DNS_UNREADABLE;
	set_question(dns, flow, 0, verdict->src_ifindex);
	if (met && dns->out.status == DNS_READ && dns->out.qclass == DNS_IN)
		remember_question(verdict->src_ifindex);
	tell_question(verdict, met ? REASON_ALLOWED : REASON_DNS_REFUSED, met == MET_PASSES);
	return met ? 0 : REASON_DNS_REFUSED;
}

/* 0, or why the packet falls. A global function, as track() is. */
__noinline __u32 heed(struct __sk_buff *skb, const struct flow *flow, const struct verdict *verdict)
{
	struct dns_scratch *dns = get_dns();

	if (!flow || !verdict || !dns)
		return REASON_DNS_UNREADABLE;
	dns->out.status = DNS_BAD;
	load_message(skb, flow, dns);
	if (!verdict->reply)
		return heed_question(flow, verdict, dns);
	if (dns->out.status == DNS_READ && heed_answer(flow, verdict->dst_ifindex))
		tell_question(verdict, REASON_ALLOWED, 0);
	return 0;
}

/* Makes the question its own answer (RFC 1035, 4.1.1). What is swapped changes no checksum. */
__noinline int refuse_question(struct __sk_buff *skb, const struct flow *flow)
{
	struct dns_scratch *dns = get_dns();
	struct layout layout = {.l3 = ETH_HLEN};
	__be16 old, new, ports[2];

	if (!flow || !dns)
		return 1;
	layout.v4 = addr_is_mapped(&flow->src);
	layout.l4 = dns->l4;
	ports[0] = flow->dport;
	ports[1] = flow->sport;
	old = bpf_htons(dns->out.flags);
	new = bpf_htons((dns->out.flags & DNS_RECURSE) | DNS_ANSWER | DNS_RECURSES | DNS_REFUSED);
	return store_addresses(skb, &layout, &flow->dst, &flow->src) ||
	       bpf_skb_store_bytes(skb, layout.l4, ports, sizeof(ports), 0) ||
	       bpf_l4_csum_replace(skb, layout.l4 + UDP_CHECKSUM, old, new,
				   BPF_F_MARK_MANGLED_0 | sizeof(new)) ||
	       bpf_skb_store_bytes(skb, layout.l4 + UDP_HEADER + 2, &new, sizeof(new), 0);
}
