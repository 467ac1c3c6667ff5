/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* Connections to resolvers: each workload has so many, known from their first byte on. */
#pragma once

#include "learn.h"
#include "segment.h"

static const struct dns_talk new_dns_talk;

static __always_inline void forget_talk(const struct asked_key *key, __u32 place)
{
	struct hearer_place at = {.ifindex = key->ifindex, .place = place};

	bpf_map_delete_elem(&dns_asked_at, &at);
	bpf_map_delete_elem(&dns_talks, key);
}

static long forget_idle(void *map UNUSED, const void *key, void *value, void *context)
{
	const __u64 *now = context;
	const struct dns_talk *talk = value;

	if ((__s64)(*now - talk->seen_ns) > (__s64)(NAME_IDLE_S * SECOND_NS))
		forget_talk(key, talk->place);
	return 0;
}

static __always_inline int place_talk(const struct asked_key *key, const struct hearer_place *at)
{
	return bpf_map_update_elem(&dns_asked_at, at, key, BPF_ANY) ||
	       bpf_map_update_elem(&dns_talks, key, &new_dns_talk, BPF_ANY);
}

static __always_inline struct dns_talk *add_talk(struct dns_scratch *dns)
{
	struct hearer_place at = {.ifindex = dns->question.ifindex};
	struct hearer *hearer = find_hearer(dns, at.ifindex);
	__u64 now = bpf_ktime_get_coarse_ns();
	const struct asked_key *old;
	struct dns_talk *talk;

	if (!hearer)
		return 0;
	at.place =
		HEARER_QUESTIONS + (__sync_fetch_and_add(&hearer->talks, 1) & (HEARER_TALKS - 1));
	old = bpf_map_lookup_elem(&dns_asked_at, &at);
	if (old)
		bpf_map_delete_elem(&dns_talks, old);
	if (place_talk(&dns->question, &at)) {
		bpf_for_each_map_elem(&dns_talks, forget_idle, &now, 0);
		place_talk(&dns->question, &at);
	}
	talk = bpf_map_lookup_elem(&dns_talks, &dns->question);
	if (talk)
		talk->place = at.place;
	else {
		bpf_map_delete_elem(&dns_asked_at, &at);
		__sync_fetch_and_add(&hearer->refused, 1);
	}
	return talk;
}

/*
 * From the client's SYN on. Only a server that accepts it has forgotten what it may have read on
 * the same ports: until then nothing is taken for the start of a question.
 */
static __always_inline void begin_dns_talk(struct dns_talk *talk, __u32 first)
{
	if (talk->first == first && talk->started)
		return;
	talk->open = 0;
	talk->started = 1;
	talk->first = first;
	talk->asked = first;
	talk->known = 0;
	talk->due = 0;
	talk->asked_lost = 0;
	talk->asked_stuck = 0;
}

static __always_inline void open_talk(struct dns_talk *talk, const struct said *segment)
{
	__u32 first = segment->seq + 1;

	if (talk->open || segment->ack != talk->first ||
	    (talk->begun && talk->first_answered == first))
		return;
	talk->begun = 1;
	talk->first_answered = first;
	talk->answered = first;
	talk->read = 0;
	talk->answered_lost = 0;
	talk->answered_stuck = 0;
	talk->open = 1;
}
