/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/*
 * DNS on its way: a workload's question is judged by the rules of its resolver's connection, and
 * remembered; the answer teaches what addresses the name has, before it is delivered.
 */
#pragma once

#include "dns.h"
#include "judge.h"
#include "names.h"
#include "rewrite.h"

#define DNS_PORT 53
#define UDP_HEADER 8
#define DNS_RECURSE 0x0100
#define DNS_RECURSES 0x0080
#define DNS_REFUSED 5
#define FNV_PRIME 0x100000001b3ULL
#define NAME_PROBES 4

/* Of what passes: questions of workloads of this node, and answers to them. */
static __always_inline int is_heeded(const struct flow *flow, const struct verdict *verdict,
				     __u32 reason)
{
	if (reason >= REASON_DROP || flow->proto != IPPROTO_UDP || flow->icmp_error)
		return 0;
	if (verdict->reply)
		return verdict->dst_ifindex && (verdict->dns || flow->sport == bpf_htons(DNS_PORT));
	return verdict->src_ifindex && (verdict->dns || flow->dport == bpf_htons(DNS_PORT));
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

static __always_inline int name_equal(const struct known_name *a, const struct known_name *b)
{
	const __u32 *left = (const __u32 *)&a->name, *right = (const __u32 *)&b->name;
	__u32 differs = 0;

	for (__u32 i = 0; i < sizeof(struct dns_name) / 4; i++)
		differs |= left[i] ^ right[i];
	return !differs;
}

/* What two names of one workload share by chance is found out by comparing them. */
static __always_inline __u64 digest_name(const struct known_name *known)
{
	const __u32 *word = (const __u32 *)&known->name;
	__u64 digest = 0xcbf29ce484222325ULL;

	for (__u32 i = 0; i < sizeof(struct dns_name) / 4; i++) {
		digest = (digest ^ word[i]) * FNV_PRIME;
		digest ^= digest >> 32;
	}
	return digest ?: 1;
}

/* The number that a workload's name has from now on; 0 if others have all that it could have. */
__noinline __u64 number_name(__u32 ifindex)
{
	struct dns_scratch *dns = get_dns();
	struct name_key key = {.ifindex = ifindex};
	const struct known_name *there;

	if (!dns)
		return 0;
	key.id = digest_name(&dns->out.asked);
	for (int i = 0; i < NAME_PROBES; i++, key.id++) {
		there = bpf_map_lookup_elem(&names, &key);
		if (!there && !bpf_map_update_elem(&names, &key, &dns->out.asked, BPF_NOEXIST))
			return key.id;
		if (!there)
			there = bpf_map_lookup_elem(&names, &key);
		if (there && name_equal(there, &dns->out.asked))
			return key.id;
	}
	return 0;
}

/* Among the names of an address, in place of that which expires first. 0 if it stands there. */
static __always_inline int add_name(struct learned *learnt, __u64 id, __u64 expires)
{
	__u64 oldest = ~0ULL, old = 0, when;
	__u32 place = 0;

	for (__u32 i = 0; i < NAME_OF_ADDRESS; i++) {
		when = learnt->name[i] ? learnt->expires_ns[i] : 0;
		if (learnt->name[i] == id) {
			if (when < expires)
				learnt->expires_ns[i] = expires;
			return 0;
		}
		if (when < oldest) {
			oldest = when;
			place = i;
			old = learnt->name[i];
		}
	}
	place &= NAME_OF_ADDRESS - 1;
	if (__sync_val_compare_and_swap(&learnt->name[place], old, id) != old)
		return 1;
	learnt->expires_ns[place] = expires;
	return 0;
}

static __always_inline __u64 expiry_of(__u32 ttl_s)
{
	if (ttl_s < NAME_FLOOR_S)
		ttl_s = NAME_FLOOR_S;
	if (ttl_s > NAME_CEILING_S)
		ttl_s = NAME_CEILING_S;
	return bpf_ktime_get_coarse_ns() + (ttl_s + NAME_GRACE_S) * SECOND_NS;
}

static long learn_step(__u64 index, void *unused UNUSED)
{
	struct dns_scratch *dns = get_dns();
	const struct dns_address *address;
	struct learned *learnt;

	if (!dns || index >= dns->out.found)
		return 1;
	address = &dns->out.addresses.item[index & (NAME_ADDRESSES - 1)];
	dns->key.addr = address->addr;
	dns->fresh.expires_ns[0] = expiry_of(address->ttl_s);
	learnt = bpf_map_lookup_elem(&learned, &dns->key);
	if (!learnt) {
		if (!bpf_map_update_elem(&learned, &dns->key, &dns->fresh, BPF_NOEXIST))
			return 0;
		learnt = bpf_map_lookup_elem(&learned, &dns->key);
	}
	/* Another CPU may take the same place for another name. */
	for (int tries = 0; learnt && tries < 2; tries++) {
		if (!add_name(learnt, dns->fresh.name[0], dns->fresh.expires_ns[0]))
			break;
	}
	return 0;
}

static __always_inline void set_key(struct asked_key *key, const struct flow *flow, int answer,
				    __u32 ifindex, __u16 id)
{
	__builtin_memset(key, 0, sizeof(*key));
	key->client = answer ? flow->dst : flow->src;
	key->resolver = answer ? flow->src : flow->dst;
	key->port = answer ? flow->dport : flow->sport;
	key->resolver_port = answer ? flow->sport : flow->dport;
	key->ifindex = ifindex;
	key->id = id;
}

/* Only what was asked, there, and just now: what else claims to be an answer opens nothing. */
__noinline int heed_answer(const struct flow *flow, __u32 ifindex)
{
	struct dns_scratch *dns = get_dns();
	struct asked_key key;
	const struct asked *asked_for;

	if (!flow || !dns || dns->out.status != DNS_READ || !(dns->out.flags & DNS_ANSWER))
		return 0;
	set_key(&key, flow, 1, ifindex, dns->out.id);
	asked_for = bpf_map_lookup_elem(&asked, &key);
	if (!asked_for || asked_for->qtype != dns->out.qtype ||
	    asked_for->qclass != dns->out.qclass ||
	    bpf_ktime_get_coarse_ns() - asked_for->time_ns > NAME_ASKED_S * SECOND_NS ||
	    !name_equal(&asked_for->known, &dns->out.asked))
		return 0;
	bpf_map_delete_elem(&asked, &key);
	if (!dns->out.found)
		return 0;
	dns->key.ifindex = ifindex;
	dns->fresh.name[0] = number_name(ifindex);
	if (dns->fresh.name[0])
		bpf_loop(NAME_ADDRESSES, learn_step, 0, 0);
	return 0;
}

/* Whether one of the DNS rules of that number means the name that is asked for. */
__noinline int allows_question(__be16 rules)
{
	struct dns_rule_key key = {.rules = bpf_ntohs(rules)};
	struct dns_scratch *dns = get_dns();
	struct matched *matched = get_matched();

	if (!dns || !matched || dns->out.status != DNS_READ)
		return 0;
	matched->known = dns->out.asked;
	match_name(matched);
	for (__u32 i = 0; i < NAME_CANDIDATES && i < matched->count; i++) {
		key.selector = matched->selector[i];
		if (bpf_map_lookup_elem(&dns_rules, &key))
			return 1;
	}
	return 0;
}

static __always_inline void remember_question(const struct flow *flow, __u32 ifindex,
					      struct dns_scratch *dns)
{
	struct asked_key key;

	set_key(&key, flow, 0, ifindex, dns->out.id);
	dns->asked.time_ns = bpf_ktime_get_coarse_ns();
	dns->asked.qtype = dns->out.qtype;
	dns->asked.qclass = dns->out.qclass;
	dns->asked.known = dns->out.asked;
	dns->asked.pad = 0;
	bpf_map_update_elem(&asked, &key, &dns->asked, BPF_ANY);
}

/* 0, or why the packet falls. A global function, as track() is. */
__noinline __u32 heed(struct __sk_buff *skb, const struct flow *flow, const struct verdict *verdict)
{
	struct dns_scratch *dns = get_dns();
	int status;

	if (!flow || !verdict || !dns)
		return REASON_DNS_UNREADABLE;
	dns->out.status = DNS_BAD;
	status = load_message(skb, flow, dns);
	if (verdict->reply)
		return status == DNS_READ ? heed_answer(flow, verdict->dst_ifindex) : 0;
	if (status == DNS_BAD || dns->out.flags & DNS_ANSWER)
		return verdict->dns ? REASON_DNS_UNREADABLE : 0;
	if (verdict->dns && !allows_question(verdict->dns))
		return REASON_DNS_REFUSED;
	if (status == DNS_READ && dns->out.qclass == DNS_IN)
		remember_question(flow, verdict->src_ifindex, dns);
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
