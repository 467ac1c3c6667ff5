/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* Whether a request is allowed by the rules of its connection, and what is told of it. */
#pragma once

#include "http_rules.h"
#include "watch.h"

/* New bytes of a client, which have been read as far as watching->progress says. */
struct reading {
	struct __sk_buff *skb;
	struct http_judged *judged;
	struct watching *watching;
};

/* Before the first byte of a head: which of its headers are to be looked at. */
static __always_inline void begin_request(const struct reading *reading)
{
	struct http_stream *http = &reading->judged->talk.http;

	http->set = reading->watching->progress.set;
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

#define NOT_NOW 1

/*
 * 0 if the request is allowed, else the status of the answer; NOT_NOW: its rules have just been
 * replaced, and the next packet is of others.
 */
static __noinline int judge_request(const struct reading *reading)
{
	struct http_stream *http = &reading->judged->talk.http;
	const struct http_rule *rule;

	judge_by(http, reading->watching->progress.set);
	if (!http->set)
		return 0;
	rule = find_rule(&reading->watching->key_of_rule, http, http->set);
	if (!rule)
		return NOT_NOW;
	return is_allowed_by(rule, http) ? 0 : 403;
}

/* --- what is told --- */

/* A request is allowed. */
static __noinline int tell_allowed(struct watching *watching, struct http_judged *judged)
{
	identify(&judged->talk, &watching->flow);
	judged->talk.set = judged->talk.http.set;
	judged->talk.rule = judged->talk.http.set ? judged->talk.http.rule : 0;
	judged->talk.told = is_told_of(&watching->telling);
	expect_answer(&judged->talk, &watching->flow, judged->sent, &watching->event);
	return 0;
}

static __noinline int tell_refused(struct watching *watching, struct http_judged *judged,
				   __u32 status)
{
	struct http_event *event = &watching->event;

	identify(&judged->talk, &watching->flow);
	judged->talk.set = judged->talk.http.set;
	judged->talk.rule = 0;
	count_request(&judged->talk, HTTP_CLASS_REFUSED, 0);
	event->time_ns = bpf_ktime_get_ns();
	event->duration_ns = 0;
	event->set = judged->talk.http.set;
	event->rule = 0;
	event->status = status;
	event->denied = 1;
	event->kind = TALK_HTTP;
	describe(event, &watching->flow, &judged->talk.http);
	tell_event(event);
	return 0;
}
