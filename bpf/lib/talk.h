/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* Requests and their answers, as they are counted and told of. */
#pragma once

#include "judge.h"

static __always_inline __u32 bucket_of(__u64 time_ns)
{
	__u64 us = time_ns / 1000;
	__u32 place = 0;

	for (__u32 half = 16; half; half /= 2) {
		if (us >> half) {
			us >>= half;
			place += half;
		}
	}
	place += !!us;
	return place < HTTP_BUCKETS ? place : HTTP_BUCKETS - 1;
}

static const struct http_count no_count;

/* What finds no room is counted under the key of zeros. */
static __always_inline struct http_count *find_count(const struct http_count_key *key)
{
	static const struct http_count_key others;
	struct http_count *found = bpf_map_lookup_elem(&http_counts, key);

	if (found)
		return found;
	bpf_map_update_elem(&http_counts, key, &no_count, BPF_NOEXIST);
	return bpf_map_lookup_elem(&http_counts, key) ?: bpf_map_lookup_elem(&http_counts, &others);
}

/* Others may count on the same CPU meanwhile. `time_ns` 0: no answer is known. */
static __always_inline void count_request(const struct http_talk *talk, __u8 class, __u64 time_ns)
{
	struct http_count_key key = {
		.src_identity = talk->src_identity,
		.dst_identity = talk->dst_identity,
		.rule = talk->rule,
		.set = talk->set,
		.status_class = class,
	};
	struct http_count *found = find_count(&key);
	__u32 place = bucket_of(time_ns);

	if (!found)
		return;
	__sync_fetch_and_add(&found->requests, 1);
	if (!time_ns || place >= HTTP_BUCKETS)
		return;
	__sync_fetch_and_add(&found->time_ns, time_ns);
	__sync_fetch_and_add(&found->bucket[place], 1);
}

/* Who the two ends are may have changed with the policy. `flow` is the client's. */
static __noinline int identify(struct http_talk *talk, const struct flow *flow)
{
	const struct state *state = current_state();
	struct party party;
	__u32 ifindex;

	if (!state || (talk->src_identity && talk->epoch == state->epoch))
		return 0;
	talk->epoch = state->epoch;
	locate_end(&flow->src, &party, &talk->src_identity, &ifindex);
	locate_end(&flow->dst, &party, &talk->dst_identity, &ifindex);
	return 0;
}

/* Of what is allowed only a part, if it is much. */
struct telling {
	__u64 second;
	__u64 told;
};

static __always_inline int is_told_of(struct telling *telling)
{
	__u64 second = bpf_ktime_get_coarse_ns() / SECOND_NS;

	if (telling->second != second) {
		telling->second = second;
		telling->told = 0;
	}
	return telling->told++ < HTTP_TOLD;
}

/* `flow` is the client's, `http` the request. */
static __always_inline void describe(struct http_event *event, const struct flow *flow,
				     const struct http_stream *http)
{
	event->src = flow->src;
	event->dst = flow->dst;
	event->sport = flow->sport;
	event->dport = flow->dport;
	event->path_length = http->path_length;
	event->refusal = http->refusal;
	event->method_length = http->method_length;
	event->host_length = http->host_length;
	event->seen = http->seen;
	__builtin_memcpy(event->method, http->method, sizeof(event->method));
	__builtin_memcpy(event->host, http->host, sizeof(event->host));
	__builtin_memcpy(event->path, http->path, sizeof(event->path));
}

static __always_inline void tell_event(const struct http_event *event)
{
	bpf_ringbuf_output(&requests, (void *)event, sizeof(*event), BPF_RB_NO_WAKEUP);
}

/* The request that waits has its answer; with `status` 0 none that could be seen. */
static __noinline int settle_talk(struct http_talk *talk, const struct flow *flow, __u16 status,
				  struct http_event *event)
{
	__u64 time_ns = status ? bpf_ktime_get_ns() - talk->asked_ns : 0;

	talk->waiting = 0;
	count_request(talk, status / 100, time_ns);
	if (!talk->told)
		return 0;
	event->time_ns = talk->asked_ns;
	event->duration_ns = time_ns;
	event->set = talk->set;
	event->rule = talk->rule;
	event->status = status;
	event->denied = 0;
	event->kind = TALK_HTTP;
	describe(event, flow, &talk->http);
	tell_event(event);
	return 0;
}

/* A request that is allowed has come, and its answer begins at `answer`. */
static __always_inline void expect_answer(struct http_talk *talk, const struct flow *flow,
					  __u32 answer, struct http_event *event)
{
	talk->asked_ns = bpf_ktime_get_ns();
	talk->answer = answer;
	talk->waiting = 1;
	if (talk->blind)
		settle_talk(talk, flow, 0, event);
}

/*
 * Before anything of the next request is read. If one still waits, nobody can say from now on which
 * answer is whose.
 */
static __always_inline void close_turn(struct http_talk *talk, const struct flow *flow,
				       struct http_event *event)
{
	if (!talk->waiting)
		return;
	talk->blind = 1;
	settle_talk(talk, flow, 0, event);
}
