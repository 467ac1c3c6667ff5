/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/*
 * Which selectors mean a name, and what a policy set says of them. Names stand back to front, so
 * that one look-up in a trie finds the longest suffix that some selector has; it names all that may
 * match, those of its own suffixes included.
 */
#pragma once

#include "../maps.h"
#include "addr.h"
#include <linux/bpf.h>

#define NAMES_ALLOW (1ULL << 32)
#define SCOPE_BITS 96		 /* of a trie's key, before its text */
#define NAMES_WOULD (1ULL << 33) /* if no policy were in audit mode */

struct matched {
	__u32 count;
	__u32 selector[NAME_CANDIDATES];
	__u32 pos; /* of a pattern that is being matched */
	__u32 symbol_lost;
	__u64 states;
	struct glob glob;
	struct known_name known;
	struct fqdn_key suffix;
	struct learned_key address;
	struct policy_key key;
	struct learned learnt;
	__u64 now;
	__u64 found; /* NAMES_*, and the rule */
	__u32 standing;
};

/* Beside the stack, of which those who judge have used much. */
MAP(_matched, PERCPU_ARRAY, __u32, struct matched, 1, 0);

static __always_inline struct matched *get_matched(void)
{
	__u32 zero = 0;

	return bpf_map_lookup_elem(&_matched, &zero);
}

static __always_inline __u32 symbol_of(__u8 byte)
{
	if (byte >= 'a' && byte <= 'z')
		return byte - 'a';
	if (byte >= '0' && byte <= '9')
		return 26 + byte - '0';
	return byte == '-' ? 36 : byte == '_' ? 37 : 38;
}

/* One character further, all states at once. */
static long glob_step(__u64 index UNUSED, void *unused UNUSED)
{
	struct matched *matched = get_matched();
	__u64 states, next;
	__u32 symbol;
	__u8 byte;

	if (!matched || matched->pos >= matched->known.name.bits / 8)
		return 1;
	byte = matched->known.name.text.byte[matched->pos & (NAME_TEXT - 1)];
	symbol = symbol_of(byte);
	/* The compiler knows the bounds; the verifier is to see them. */
	asm volatile("" : "+r"(symbol));
	symbol &= NAME_SYMBOLS - 1;
	states = matched->states;
	next = (states & matched->glob.step.mask[symbol]) << 1;
	next |= states & (byte == '.' ? matched->glob.across : matched->glob.stay);
	matched->states = next;
	matched->pos++;
	return !next;
}

static __always_inline int fits_pattern(struct matched *matched, __u32 selector, __u32 skip)
{
	const struct glob *glob = bpf_map_lookup_elem(&globs, &selector);

	if (!glob)
		return 0;
	matched->glob = *glob;
	matched->pos = skip;
	matched->states = 1;
	bpf_loop(NAME_TEXT, glob_step, 0, 0);
	return !!(matched->states & matched->glob.accept);
}

static __always_inline int fits(struct matched *matched, const struct candidate *candidate)
{
	__u32 labels = matched->known.labels;

	switch (candidate->match) {
	case NAME_EXACT:
		return labels == candidate->labels;
	case NAME_LABEL:
		return labels == candidate->labels + 1;
	case NAME_BELOW:
		return labels > candidate->labels;
	case NAME_ALL:
		return 1;
	case NAME_PATTERN:
		return fits_pattern(matched, candidate->selector, candidate->skip);
	}
	return 0;
}

static long candidate_step(__u64 index UNUSED, void *unused UNUSED)
{
	struct matched *matched = get_matched();
	const struct fqdn_node *node;
	struct candidate candidate;

	if (!matched)
		return 1;
	node = bpf_map_lookup_elem(&fqdns, &matched->suffix);
	if (!node || index >= node->used || index >= NAME_CANDIDATES)
		return 1;
	candidate = node->candidate[index & (NAME_CANDIDATES - 1)];
	if (fits(matched, &candidate)) {
		matched->selector[matched->count & (NAME_CANDIDATES - 1)] = candidate.selector;
		matched->count++;
	}
	return 0;
}

/* The selectors of a scope that mean matched->known, into matched->selector. */
static __always_inline void match_name(struct matched *matched, __u32 kind, __u64 scope)
{
	__u32 bits = matched->known.name.bits;
	__u32 *to = (__u32 *)matched->suffix.text;
	const __u32 *from = (const __u32 *)&matched->known.name.text;

	matched->suffix.kind = kind;
	matched->suffix.scope = scope;
	matched->suffix.bits = SCOPE_BITS + (bits < NAME_SUFFIX * 8 ? bits : NAME_SUFFIX * 8);
	for (__u32 i = 0; i < NAME_SUFFIX / 4; i++)
		to[i] = from[i];
	matched->count = 0;
	bpf_loop(NAME_CANDIDATES, candidate_step, 0, 0);
}

/* What the set says of one of the selectors that were found. */
static long selector_step(__u64 index, void *unused UNUSED)
{
	struct matched *matched = get_matched();
	const struct policy_entry *entry;

	if (!matched || index >= matched->count)
		return 1;
	matched->key.peer = matched->selector[index & (NAME_CANDIDATES - 1)];
	entry = bpf_map_lookup_elem(&policy, &matched->key);
	if (!entry)
		return 0;
	if (entry->flags & POLICY_AUDITED)
		matched->found |= NAMES_WOULD;
	if (entry->action != ACTION_ALLOW)
		return 0;
	matched->found = NAMES_ALLOW | NAMES_WOULD | entry->rule;
	return 1;
}

/* And of one of the names that the address is known by. */
static long learnt_step(__u64 index, void *unused UNUSED)
{
	struct matched *matched = get_matched();
	struct hearer_place at = {};
	const struct dns_named *named;
	__u32 place = index & (NAME_OF_ADDRESS - 1);
	__u64 id;

	if (!matched || index >= NAME_OF_ADDRESS)
		return 1;
	id = matched->learnt.name[place];
	if (!id || (!matched->standing && matched->learnt.expires_ns[place] <= matched->now))
		return 0;
	at.ifindex = matched->address.ifindex;
	at.place = (id - 1) & (HEARER_NAMES - 1);
	named = bpf_map_lookup_elem(&dns_names, &at);
	if (!named || named->id != id)
		return 0;
	matched->known = named->known;
	match_name(matched, SCOPE_SET, matched->key.set);
	bpf_loop(NAME_CANDIDATES, selector_step, 0, 0);
	return !!(matched->found & NAMES_ALLOW);
}

/* What a set says of an address by the names that a workload has learnt it under. */
__noinline __u64 judge_names(__u64 set, __u32 ifindex, const struct addr *addr, __u32 proto_port,
			     int standing)
{
	struct matched *matched = get_matched();
	const struct learned *learnt;

	if (!addr || !matched)
		return 0;
	matched->address.addr = *addr;
	matched->address.ifindex = ifindex;
	learnt = bpf_map_lookup_elem(&dns_learned, &matched->address);
	if (!learnt)
		return 0;
	matched->learnt = *learnt;
	matched->key = (struct policy_key){.prefixlen = POLICY_PREFIX_FULL,
					   .set = set,
					   .proto = proto_port >> 16,
					   .port = proto_port & 0xffff};
	matched->standing = standing;
	matched->now = bpf_ktime_get_coarse_ns();
	matched->found = 0;
	bpf_loop(NAME_OF_ADDRESS, learnt_step, 0, 0);
	return matched->found;
}

/* Whom a set is asked about. */
struct peer {
	const struct addr *addr;
	__u32 identity;
	__u32 named; /* ifindex of the workload by whose names it may be meant; 0: none */
};

/* Names may allow what the address's own entry does not: 1 if they do. */
static __always_inline int allowed_by_name(__u64 set, const struct policy_entry *entry,
					   const struct peer *peer, const struct flow *flow,
					   __u32 *rule, struct verdict *verdict)
{
	__u32 audit_rule = entry->audit_rule;
	__u64 found = 0;

	if (entry->flags & (POLICY_NAMES | POLICY_AUDIT_NAMES) && peer->named)
		found = judge_names(set, peer->named, peer->addr,
				    (__u32)flow->proto << 16 | flow->dport, verdict->standing);
	if (found & NAMES_WOULD && entry->flags & POLICY_AUDIT_NAMES)
		audit_rule = RULE_NONE;
	if (!verdict->audit_rule)
		verdict->audit_rule = audit_rule;
	if (!(found & NAMES_ALLOW) || !(entry->flags & POLICY_NAMES))
		return 0;
	*rule = (__u32)found;
	return 1;
}
