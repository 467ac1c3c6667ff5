/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* Whether a request is allowed by the rules of its connection, and what is told of it. */
#pragma once

#include "http_rules.h"
#include "stream_room.h"

static __always_inline void flow_of_message(const struct __sk_buff *skb, struct flow *flow)
{
	__builtin_memset(flow, 0, sizeof(*flow));
	flow->proto = IPPROTO_TCP;
	flow->hook = HOOK_STREAM;
	flow->sport = skb->remote_port >> 16;
	flow->dport = bpf_htons(skb->local_port);
	if (skb->family == AF_INET) {
		flow->src = addr_v4(skb->remote_ip4);
		flow->dst = addr_v4(skb->local_ip4);
		return;
	}
	flow->src.word[0] = skb->remote_ip6[0];
	flow->src.word[1] = skb->remote_ip6[1];
	flow->src.word[2] = skb->remote_ip6[2];
	flow->src.word[3] = skb->remote_ip6[3];
	flow->dst.word[0] = skb->local_ip6[0];
	flow->dst.word[1] = skb->local_ip6[1];
	flow->dst.word[2] = skb->local_ip6[2];
	flow->dst.word[3] = skb->local_ip6[3];
}

/* The rules that judge the connection now, as conntrack has it; -1: it is not allowed at all. */
static __always_inline int rules_of(struct room *room)
{
	struct ct_entry *entry;

	ct_key_of(&room->flow, &room->ct_key);
	entry = bpf_map_lookup_elem(&conntrack, &room->ct_key);
	if (!entry || entry->judgement & CT_DENIED)
		return -1;
	return bpf_ntohs(entry->proxy);
}

/* By policy; not while somebody else on this CPU asks. */
static __always_inline int is_allowed_anew(struct room *room)
{
	struct doors *doors = get_doors();
	int allowed;

	if (!doors || !take(&doors->judging))
		return 0;
	allowed = judge(&room->flow, 0, 0, &room->verdict) == REASON_ALLOWED;
	__sync_lock_test_and_set(&doors->judging, 0);
	return allowed;
}

/* The rules that judge what is at hand, as rules_of() has them: asked once for all of it. */
static __always_inline int rules_at_hand(struct bytes *bytes)
{
	if (!bytes->asked) {
		flow_of_message(bytes->skb, &bytes->room->flow);
		bytes->set = rules_of(bytes->room);
		bytes->asked = 1;
	}
	return bytes->set;
}

/* Before the first byte of a head: which of its headers are to be looked at. */
static __always_inline void begin_request(struct bytes *bytes)
{
	struct http_stream *http = bytes->http;
	int set = rules_at_hand(bytes);

	http->set = set > 0 ? set : 0;
	if (http->looked == http->set)
		return;
	http->looked = http->set;
	__builtin_memset(&http->header, 0, sizeof(http->header));
	http->header.set = http->set;
	http->looks = http->set && bpf_map_lookup_elem(&http_headers, &http->header);
}

/* Rules that have come since then know nothing of its headers. */
static __always_inline void judge_by(struct http_stream *http, __u16 set)
{
	if (http->set == set)
		return;
	http->set = set;
	http->met = 0;
}

/*
 * A set that is gone has been replaced while the request was on its way: policy is asked anew. 0 if
 * the request is allowed, else the status of the answer.
 */
static __always_inline __u16 judge_request(struct bytes *bytes)
{
	struct http_stream *http = bytes->http;
	struct room *room = bytes->room;
	const struct http_rule *rule;
	int set = rules_at_hand(bytes);

	judge_by(http, set > 0 ? set : 0);
	if (set <= 0)
		return set ? 403 : 0;
	rule = find_rule(&room->key, http, set);
	if (!rule) {
		if (!is_allowed_anew(room))
			return 403;
		judge_by(http, bpf_ntohs(room->verdict.proxy));
		if (!room->verdict.proxy)
			return 0;
		rule = find_rule(&room->key, http, http->set);
	}
	return rule && is_allowed_by(rule, http) ? 0 : 403;
}

/* --- what is told --- */

/* What is known of the connection; the flow and its key stand in the room. */
static __always_inline struct http_talk *find_talk(struct room *room, __u64 cookie)
{
	struct http_talk *talk = bpf_map_lookup_elem(&talks, &room->ct_key);

	if (!talk || talk->cookie != cookie) {
		__builtin_memset(&room->talk, 0, sizeof(room->talk));
		room->talk.cookie = cookie;
		bpf_map_update_elem(&talks, &room->ct_key, &room->talk, BPF_ANY);
		talk = bpf_map_lookup_elem(&talks, &room->ct_key);
	}
	if (talk)
		identify(talk, &room->flow);
	return talk;
}

/* A request is allowed, and `answer` is where the server's next byte goes. */
static __noinline int tell_allowed(struct room *room, const struct http_stream *http, __u64 cookie,
				   __u32 answer)
{
	struct http_talk *talk = find_talk(room, cookie);

	if (!talk)
		return 0;
	close_turn(talk, &room->flow, &room->event);
	talk->set = http->set;
	talk->rule = http->set ? http->rule : 0;
	talk->told = is_told_of(&room->telling);
	if (talk->told)
		talk->http = *http;
	expect_answer(talk, &room->flow, answer, &room->event);
	return 0;
}

static __noinline int tell_refused(struct room *room, const struct http_stream *http, __u64 cookie,
				   __u32 status)
{
	struct http_event *event = &room->event;
	struct http_talk *talk = find_talk(room, cookie);

	if (talk) {
		talk->set = http->set;
		talk->rule = 0;
		count_request(talk, HTTP_CLASS_REFUSED, 0);
	}
	event->time_ns = bpf_ktime_get_ns();
	event->duration_ns = 0;
	event->set = http->set;
	event->rule = 0;
	event->status = status;
	event->denied = 1;
	event->kind = TALK_HTTP;
	describe(event, &room->flow, http);
	tell_event(event);
	return 0;
}
