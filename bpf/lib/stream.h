/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/*
 * HTTP judged in the packets of its connection. The server is given a byte only once the head that
 * it belongs to has been allowed, and every byte of a head once: what a client sends in another
 * order, or again and otherwise, falls, and TCP sends it again. What is refused is answered here,
 * in the server's name, and ends the connection for both.
 */
#pragma once

#include "stream_end.h"
#include "stream_record.h"

#define MAX_STEPS 4096

/* --- reading --- */

static __always_inline void read_head(struct reading *reading, struct http_block *block)
{
	struct http_judged *judged = reading->judged;
	struct watching *watching = reading->watching;
	struct progress *progress = &watching->progress;

	if (judged->talk.http.phase == HTTP_START) {
		close_turn(&judged->talk, &watching->flow, &watching->event);
		begin_request(reading);
		progress->in_head = 1;
	}
	block->size = load_some(reading->skb, progress->at + progress->read,
				progress->size - progress->read, watching->bytes);
	http_read(block);
	progress->read += block->at;
	if (!block->at)
		block->outcome = HTTP_REFUSED;
	if (block->outcome == HTTP_REFUSED)
		progress->status = 400;
	if (block->outcome != HTTP_HEAD)
		return;
	progress->status = judge_request(reading);
	if (progress->status)
		return;
	progress->in_head = 0;
	judged->talk.passed++;
	judged->written = judged->sent;
	tell_allowed(watching, judged);
}

/* The next head or part of one, or all content that is at hand. */
static long read_some(__u32 index __attribute__((unused)), void *context)
{
	struct reading *reading = context;
	struct progress *progress = &reading->watching->progress;
	struct http_judged *judged = reading->judged;
	struct http_block block = {.http = &judged->talk.http, .bytes = reading->watching->bytes};
	int content = http_is_content(&judged->talk.http);
	int line = judged->talk.http.phase >= HTTP_CHUNK_SIZE;
	__u32 skipped, read = progress->read;

	if (read >= progress->size)
		return 1;
	if (content) {
		skipped = http_skip(&judged->talk.http, progress->size - progress->read,
				    &block.outcome);
		note_content(judged, judged->talk.next + progress->read, skipped);
		progress->read += skipped;
	} else {
		read_head(reading, &block);
	}
	if (progress->status)
		return 1;
	if (line && !content)
		note_line(reading, read);
	if (judged->talk.http.phase != HTTP_START && judged->talk.http.phase < HTTP_BODY)
		return 0;
	progress->passing = progress->read;
	if (!content && !line)
		progress->heads = progress->read;
	return 0;
}

/* --- what becomes of a packet: 0 if it goes on, or the reason why not --- */

static __noinline __u32 refuse_request(struct reading *reading, struct verdict *verdict)
{
	struct watching *watching = reading->watching;
	const struct progress *progress = &watching->progress;
	struct http_judged *judged = reading->judged;

	if (progress->in_head && progress->passing) {
		judged->stuck = 0;
		if (give(reading, 0))
			return cut(reading->skb, watching, judged);
		forget_head(judged);
		return 0;
	}
	if (progress->status == NOT_NOW) {
		if (kept(judged))
			judged->talk.http = watching->before;
		else
			forget_head(judged);
		return fall(reading->skb, watching, judged);
	}
	if (!progress->in_head)
		judged->talk.http.refusal = judged->talk.http.refusal ?: HTTP_OUT_OF_TURN;
	tell_refused(watching, judged, progress->status);
	if (!progress->in_head)
		return cut(reading->skb, watching, judged);
	judged->status = progress->status;
	return hear_refused(reading->skb, watching, judged, verdict);
}

/* The client has been told that the server got what was lost on the way there. */
static __always_inline int is_lost(const struct http_judged *judged, const struct said *segment)
{
	return judged->joined && !is_behind_or_at(segment->seq, judged->acked) &&
	       judged->acked - judged->recent < judged->recent_size;
}

/* Nothing in it is new. */
static __noinline __u32 hear_again(struct __sk_buff *skb, struct watching *watching,
				   struct http_judged *judged, struct verdict *verdict)
{
	const struct said *segment = &watching->segment;
	__u32 end = segment->seq + segment->size, size = segment->size;
	int partly = !is_behind_or_at(end, judged->given);

	if (partly &&
	    (judged->acked == judged->given || is_behind_or_at(judged->given, segment->seq)))
		return keep_back(skb, watching, judged, verdict);
	if (partly)
		size = judged->given - segment->seq;
	if (!may_come_again(skb, watching, judged, size))
		return fall(skb, watching, judged);
	if (is_lost(judged, segment))
		return give_again(skb, watching, judged) ? REASON_HTTP_ORDER : 0;
	return partly && trim(skb, watching, size) ? REASON_HTTP_ORDER : 0;
}

/* Content that is ahead of other content. */
static __always_inline __u32 hear_ahead(struct http_judged *judged, const struct said *segment)
{
	__u32 size = segment->seq + segment->size - judged->talk.next, outcome;

	if (!http_is_content(&judged->talk.http) || size > judged->talk.http.left)
		return REASON_HTTP_ORDER;
	http_skip(&judged->talk.http, size, &outcome);
	note_content(judged, judged->talk.next, size);
	judged->talk.next += size;
	judged->given = judged->talk.next;
	return 0;
}

static __always_inline __u32 hear_new(struct __sk_buff *skb, struct watching *watching,
				      struct http_judged *judged, struct verdict *verdict,
				      __u32 from)
{
	const struct said *segment = &watching->segment;
	struct reading reading = {.skb = skb, .judged = judged, .watching = watching};
	struct progress *progress = &watching->progress;
	__u32 before = kept(judged);

	if (from && !before && !may_come_again(skb, watching, judged, from))
		return fall(skb, watching, judged);
	__builtin_memset(progress, 0, sizeof(*progress));
	progress->at = segment->at + from;
	progress->size = segment->size - from;
	progress->set = bpf_ntohs(verdict->proxy);
	progress->in_head = !!before;
	/* There is room for so much with what is kept. */
	if (before && progress->size > HTTP_PIECE)
		progress->size = HTTP_PIECE;
	if (before)
		watching->before = judged->talk.http;
	bpf_loop(MAX_STEPS, read_some, &reading, 0);
	if (progress->status)
		return refuse_request(&reading, verdict);
	if (progress->read != progress->size)
		return cut(skb, watching, judged);
	if (progress->passing) {
		judged->stuck = 0;
		return give(&reading, 1) ? cut(skb, watching, judged) : 0;
	}
	if (keep(skb, &watching->key, progress->at, progress->size, before)) {
		if (before)
			return cut(skb, watching, judged);
		forget_head(judged);
		return fall(skb, watching, judged);
	}
	judged->stuck = 0;
	judged->talk.next += progress->size;
	return keep_back(skb, watching, judged, verdict);
}

/* --- both ends --- */

static __always_inline __u32 hear_client(struct __sk_buff *skb, struct watching *watching,
					 struct http_judged *judged, struct verdict *verdict)
{
	const struct said *segment = &watching->segment;
	__u32 from = judged->talk.next - segment->seq;

	if (segment->flags & (TCP_SYN | TCP_RST))
		return segment->size ? REASON_HTTP_ORDER : 0;
	if (judged->end)
		return hear_late(skb, watching, judged, verdict);
	if (judged->talk.http.phase == HTTP_OPAQUE)
		return 0;
	/* As long as no rule reads its requests, nobody does; who has missed some reads no more. */
	if (!verdict->proxy && segment->size && !kept(judged) &&
	    judged->talk.http.phase == HTTP_START)
		judged->talk.lost = 1;
	if (judged->talk.lost)
		return verdict->proxy && segment->size ? cut(skb, watching, judged) : 0;
	forget_acknowledged(judged);
	/* A head that never ends, and bytes that a server reads in another place. */
	if ((segment->flags & TCP_FIN && !segment->size && kept(judged)) ||
	    segment->flags & TCP_URG)
		return cut(skb, watching, judged);
	/* Further ahead than any window. */
	if (((__s32)from < 0 || from < segment->size) &&
	    segment->seq + segment->size - judged->acked > MAX_WINDOW)
		return REASON_HTTP_ORDER;
	/* An end in the midst of what was said, or ahead of it. */
	if (segment->flags & TCP_FIN && from > segment->size)
		return REASON_HTTP_ORDER;
	/* Whether anybody is there is asked by a byte's number that has gone (RFC 9293, 3.8.4). */
	if (!segment->size)
		return kept(judged) && from == 1 ? keep_back(skb, watching, judged, verdict) : 0;
	if ((__s32)from < 0)
		return judged->status ? REASON_HTTP_ORDER : hear_ahead(judged, segment);
	if (from >= segment->size)
		return hear_again(skb, watching, judged, verdict);
	if (judged->status && from && judged->acked != judged->given)
		return hear_again(skb, watching, judged, verdict);
	if (judged->status)
		return hear_refused(skb, watching, judged, verdict);
	return hear_new(skb, watching, judged, verdict, from);
}

static __noinline __u32 hear_client_alone(struct __sk_buff *skb, struct watching *watching,
					  struct http_judged *judged, struct verdict *verdict)
{
	__u32 reason = REASON_HTTP_ORDER;

	if (!occupy(judged))
		return reason;
	if (is_record_of(judged, &watching->key))
		reason = hear_client(skb, watching, judged, verdict);
	vacate(judged, &watching->key);
	return reason;
}

static __noinline __u32 hear_server(struct __sk_buff *skb, struct watching *watching,
				    struct http_judged *judged, struct verdict *verdict)
{
	const struct said *segment = &watching->segment;

	if (segment->flags & TCP_SYN)
		return 0;
	if (segment->flags & TCP_ACK && !is_behind_or_at(segment->ack, judged->acked))
		judged->acked = segment->ack;
	if (judged->end) {
		if (judged->end == JUDGED_CUT && segment->flags & TCP_RST)
			return 0;
		if (segment->size || segment->flags & TCP_FIN || judged->end == JUDGED_CUT)
			return reset(verdict);
		return REASON_HTTP_KEPT;
	}
	judged->window = segment->window;
	if (!is_behind_or_at(segment->seq + segment->size, judged->sent)) {
		judged->sent = segment->seq + segment->size;
		judged->spoke_ns = bpf_ktime_get_coarse_ns();
	}
	judged->closing |= !!(segment->flags & TCP_FIN);
	watch_talk(skb, watching, &judged->talk, 1);
	return 0;
}

/* 0, or why the packet does not go on. A global function, as track() is. */
__noinline __u32 hear(struct __sk_buff *skb, const struct flow *flow, struct verdict *verdict)
{
	struct watching *watching = get_watching();
	struct http_judged *judged;

	if (!flow || !verdict || !watching ||
	    load_segment(skb, addr_is_mapped(&flow->src), &watching->segment))
		return REASON_NOT_HELD;
	ct_key_of(flow, &watching->key);
	if (verdict->reply)
		swap_flow(flow, &watching->flow);
	else
		watching->flow = *flow;
	judged = bpf_map_lookup_elem(&streams, &watching->key);
	if (!judged) {
		if (verdict->reply || !flow->payload)
			return 0;
		verdict->action = ACTION_REJECT;
		return REASON_NOT_HELD;
	}
	if (verdict->reply)
		return hear_server(skb, watching, judged, verdict);
	return hear_client_alone(skb, watching, judged, verdict);
}
