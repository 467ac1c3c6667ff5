/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/*
 * What a workload has asked and learnt. Each has so many places for questions, names and addresses,
 * taken in turn: who asks for very many displaces his own, and nobody else's.
 */
#pragma once

#include "dns.h"
#include "names.h"
#include <linux/errno.h>

static __always_inline struct hearer *find_hearer(struct dns_scratch *dns, __u32 ifindex)
{
	struct hearer *hearer = bpf_map_lookup_elem(&hearers, &ifindex);

	if (hearer)
		return hearer;
	__builtin_memset(&dns->hearer, 0, sizeof(dns->hearer));
	bpf_map_update_elem(&hearers, &ifindex, &dns->hearer, BPF_NOEXIST);
	return bpf_map_lookup_elem(&hearers, &ifindex);
}

static __always_inline int name_equal(const struct known_name *a, const struct known_name *b)
{
	const __u32 *left = (const __u32 *)&a->name, *right = (const __u32 *)&b->name;
	__u32 differs = 0;

	for (__u32 i = 0; i < sizeof(struct dns_name) / 4; i++)
		differs |= left[i] ^ right[i];
	return !differs;
}

/* The number that a workload's name has from now on; 0 if the node has no room for it. */
__noinline __u64 number_name(__u32 ifindex)
{
	struct dns_scratch *dns = get_dns();
	struct hearer_place at = {.ifindex = ifindex};
	const struct dns_named *old;
	struct hearer *hearer;
	const __u64 *number;
	__u64 id;

	if (!dns)
		return 0;
	hearer = find_hearer(dns, ifindex);
	if (!hearer)
		return 0;
	dns->numbered.ifindex = ifindex;
	dns->numbered.known = dns->out.asked;
	number = bpf_map_lookup_elem(&dns_numbers, &dns->numbered);
	if (number) {
		at.place = (*number - 1) & (HEARER_NAMES - 1);
		old = bpf_map_lookup_elem(&dns_names, &at);
		/* Two versions may have given a number to two names. */
		if (old && old->id == *number && name_equal(&old->known, &dns->out.asked))
			return *number;
	}
	id = __sync_fetch_and_add(&hearer->names, 1) + 1;
	at.place = (id - 1) & (HEARER_NAMES - 1);
	old = bpf_map_lookup_elem(&dns_names, &at);
	if (old) {
		if (old->expires_ns > bpf_ktime_get_coarse_ns())
			__sync_fetch_and_add(&hearer->displaced, 1);
		dns->numbered.known = old->known;
		bpf_map_delete_elem(&dns_numbers, &dns->numbered);
		dns->numbered.known = dns->out.asked;
	}
	dns->named.id = id;
	dns->named.expires_ns = 0;
	dns->named.known = dns->out.asked;
	if (!bpf_map_update_elem(&dns_names, &at, &dns->named, BPF_ANY) &&
	    !bpf_map_update_elem(&dns_numbers, &dns->numbered, &id, BPF_ANY))
		return id;
	__sync_fetch_and_add(&hearer->refused, 1);
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

static __always_inline int is_current(const struct learned *learnt)
{
	__u64 latest = 0;

	for (__u32 i = 0; learnt && i < NAME_OF_ADDRESS; i++)
		latest = learnt->expires_ns[i] > latest ? learnt->expires_ns[i] : latest;
	return latest > bpf_ktime_get_coarse_ns();
}

/* A place for dns->key, which is new. 0 if it has one. */
static __always_inline int place_address(struct dns_scratch *dns, struct hearer *hearer)
{
	struct hearer_place at = {.ifindex = dns->key.ifindex};
	const struct addr *old;

	at.place = __sync_fetch_and_add(&hearer->addresses, 1) & (HEARER_ADDRESSES - 1);
	old = bpf_map_lookup_elem(&dns_learned_at, &at);
	if (old && !addr_equal(old, &dns->key.addr)) {
		dns->old.addr = *old;
		dns->old.ifindex = at.ifindex;
		if (is_current(bpf_map_lookup_elem(&dns_learned, &dns->old)))
			__sync_fetch_and_add(&hearer->forgotten, 1);
		bpf_map_delete_elem(&dns_learned, &dns->old);
	}
	return bpf_map_update_elem(&dns_learned_at, &at, &dns->key.addr, BPF_ANY);
}

/* 0 if dns->key was new and stands there. */
static __always_inline int learn_new(struct dns_scratch *dns)
{
	struct hearer *hearer = find_hearer(dns, dns->key.ifindex);
	long problem;

	if (!hearer)
		return 0;
	problem = bpf_map_update_elem(&dns_learned, &dns->key, &dns->fresh, BPF_NOEXIST);
	if (problem == -EEXIST)
		return 1;
	if (!problem && !place_address(dns, hearer))
		return 0;
	bpf_map_delete_elem(&dns_learned, &dns->key);
	__sync_fetch_and_add(&hearer->refused, 1);
	return 0;
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
	if (dns->latest_ns < dns->fresh.expires_ns[0])
		dns->latest_ns = dns->fresh.expires_ns[0];
	learnt = bpf_map_lookup_elem(&dns_learned, &dns->key);
	if (!learnt && !learn_new(dns))
		return 0;
	if (!learnt)
		learnt = bpf_map_lookup_elem(&dns_learned, &dns->key);
	/* Another CPU may take the same place for another name. */
	for (int tries = 0; learnt && tries < 2; tries++) {
		if (!add_name(learnt, dns->fresh.name[0], dns->fresh.expires_ns[0]))
			break;
	}
	return 0;
}

/* Those of dns->out, for the workload that asked. */
static __always_inline void learn_addresses(__u32 ifindex)
{
	struct dns_scratch *dns = get_dns();
	struct hearer_place at = {.ifindex = ifindex};
	struct dns_named *named;
	__u64 id;

	if (!dns)
		return;
	id = number_name(ifindex);
	if (!id)
		return;
	dns->key.ifindex = ifindex;
	dns->fresh.name[0] = id;
	dns->latest_ns = 0;
	bpf_loop(NAME_ADDRESSES, learn_step, 0, 0);
	at.place = (id - 1) & (HEARER_NAMES - 1);
	named = bpf_map_lookup_elem(&dns_names, &at);
	if (named && named->id == id && named->expires_ns < dns->latest_ns)
		named->expires_ns = dns->latest_ns;
}

static __always_inline void set_question(struct dns_scratch *dns, const struct flow *flow,
					 int answer, __u32 ifindex)
{
	struct asked_key *key = &dns->question;

	__builtin_memset(key, 0, sizeof(*key));
	key->client = answer ? flow->dst : flow->src;
	key->resolver = answer ? flow->src : flow->dst;
	key->port = answer ? flow->dport : flow->sport;
	key->resolver_port = answer ? flow->sport : flow->dport;
	key->ifindex = ifindex;
	key->id = dns->out.id;
	key->proto = flow->proto;
}

static __always_inline void forget_question(const struct asked_key *question, __u32 place)
{
	struct hearer_place at = {.ifindex = question->ifindex, .place = place};

	bpf_map_delete_elem(&dns_asked_at, &at);
	bpf_map_delete_elem(&dns_asked, question);
}

static long forget_late(void *map UNUSED, const void *key, void *value, void *context)
{
	const __u64 *now = context;
	const struct asked *asked = value;

	if ((__s64)(*now - asked->time_ns) > (__s64)(NAME_ASKED_S * SECOND_NS))
		forget_question(key, asked->place);
	return 0;
}

/* There is no room: questions that nobody has answered in time make some, once in a second. */
static __always_inline int make_room(struct dns_scratch *dns)
{
	__u64 now = bpf_ktime_get_coarse_ns();

	if (now - dns->swept_ns < SECOND_NS)
		return 0;
	dns->swept_ns = now;
	bpf_for_each_map_elem(&dns_asked, forget_late, &now, 0);
	return 1;
}

static __always_inline int place_question(struct dns_scratch *dns, const struct hearer_place *at)
{
	return bpf_map_update_elem(&dns_asked_at, at, &dns->question, BPF_ANY) ||
	       bpf_map_update_elem(&dns_asked, &dns->question, &dns->asked, BPF_ANY);
}

/* dns->question, which may be a repetition. */
__noinline int remember_question(__u32 ifindex)
{
	struct dns_scratch *dns = get_dns();
	struct hearer_place at = {.ifindex = ifindex};
	const struct asked_key *old;
	const struct asked *before;
	struct hearer *hearer;

	if (!dns)
		return 0;
	hearer = find_hearer(dns, ifindex);
	if (!hearer)
		return 0;
	dns->asked.time_ns = bpf_ktime_get_coarse_ns();
	dns->asked.qtype = dns->out.qtype;
	dns->asked.qclass = dns->out.qclass;
	dns->asked.known = dns->out.asked;
	before = bpf_map_lookup_elem(&dns_asked, &dns->question);
	if (before) {
		dns->asked.place = before->place;
		return bpf_map_update_elem(&dns_asked, &dns->question, &dns->asked, BPF_ANY);
	}
	at.place = __sync_fetch_and_add(&hearer->questions, 1) & (HEARER_QUESTIONS - 1);
	dns->asked.place = at.place;
	old = bpf_map_lookup_elem(&dns_asked_at, &at);
	if (old)
		bpf_map_delete_elem(&dns_asked, old);
	if (!place_question(dns, &at) || (make_room(dns) && !place_question(dns, &at)))
		return 0;
	bpf_map_delete_elem(&dns_asked_at, &at);
	__sync_fetch_and_add(&hearer->refused, 1);
	return 0;
}
