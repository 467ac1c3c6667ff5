/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/*
 * HTTP judged in the packets of its connection. The server is given a byte only once the head that
 * it belongs to has been allowed, and every byte of a head once: what a client sends in another
 * order, or again and otherwise, falls, and TCP sends it again. What is refused is answered here,
 * in the server's name, and ends the connection for both.
 */
#pragma once

#include "stream_answer.h"
#include "stream_give.h"

#define MAX_STEPS 4096
#define TAKE_TRIES 512
#define CONTENT_WINDOW (1u << 30)

static __always_inline int is_behind_or_at(__u32 seq, __u32 other)
{
	return (__s32)(seq - other) <= 0;
}

/* --- one packet at a time --- */

struct taking {
	struct http_judged *judged;
	int taken;
};

static long try_to_take(__u32 index __attribute__((unused)), void *context)
{
	struct taking *taking = context;

	taking->taken = !__sync_lock_test_and_set(&taking->judged->busy, 1);
	return taking->taken;
}

/* --- reading --- */

/* The server may be given content in any order. */
static __always_inline void note_content(struct http_judged *judged, __u32 seq, __u32 size)
{
	if (judged->content_end != seq)
		judged->content = seq;
	judged->content_end = seq + size;
	if (judged->content_end - judged->content > CONTENT_WINDOW)
		judged->content = judged->content_end - CONTENT_WINDOW;
}

static __always_inline int is_content(const struct http_judged *judged, __u32 seq, __u32 size)
{
	return is_behind_or_at(judged->content, seq) &&
	       is_behind_or_at(seq + size, judged->content_end);
}

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
	progress->heads = 1;
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
	__u32 skipped;

	if (progress->read >= progress->size)
		return 1;
	if (http_is_content(&judged->talk.http)) {
		skipped = http_skip(&judged->talk.http, progress->size - progress->read,
				    &block.outcome);
		note_content(judged, judged->talk.next + progress->read, skipped);
		progress->read += skipped;
	} else {
		read_head(reading, &block);
	}
	if (progress->status)
		return 1;
	if (judged->talk.http.phase == HTTP_START || judged->talk.http.phase >= HTTP_BODY)
		progress->passing = progress->read;
	return 0;
}

/* --- what becomes of a packet: 0 if it goes on, or the reason why not --- */

/* The server is told now, in this packet; the client when it sends again what was in it. */
static __noinline __u32 cut(struct __sk_buff *skb, struct watching *watching,
			    struct http_judged *judged)
{
	judged->end = JUDGED_CUT;
	return become_end(skb, watching, judged, TCP_RST | TCP_ACK) ? REASON_HTTP_ORDER : 0;
}

/* It comes again; if nothing else does, that is the end. */
static __always_inline __u32 fall(struct __sk_buff *skb, struct watching *watching,
				  struct http_judged *judged)
{
	return ++judged->stuck > HTTP_STUCK ? cut(skb, watching, judged) : REASON_HTTP_ORDER;
}

static __always_inline __u32 say(struct __sk_buff *skb, struct watching *watching,
				 struct verdict *verdict, const struct reply *reply, __u32 reason)
{
	if (become_reply(skb, addr_is_mapped(&watching->flow.src), &watching->segment, reply))
		return REASON_HTTP_ORDER;
	verdict->action = ACTION_ANSWER;
	return reason;
}

static __noinline __u32 acknowledge(struct __sk_buff *skb, struct watching *watching,
				    struct http_judged *judged, struct verdict *verdict, __u32 more)
{
	struct reply reply = {.seq = watching->segment.ack,
			      .ack = judged->talk.next + more,
			      .window = judged->window,
			      .flags = TCP_ACK};

	return say(skb, watching, verdict, &reply, REASON_HTTP_KEPT);
}

/* Of bytes that are kept, but not while the server has yet to acknowledge others. */
static __always_inline __u32 keep_back(struct __sk_buff *skb, struct watching *watching,
				       struct http_judged *judged, struct verdict *verdict)
{
	if (judged->acked != judged->given)
		return REASON_HTTP_KEPT;
	return acknowledge(skb, watching, judged, verdict, 0);
}

static __noinline __u32 say_refusal(struct __sk_buff *skb, struct watching *watching,
				    struct http_judged *judged, struct verdict *verdict)
{
	struct reply reply = {.seq = judged->sent,
			      .ack = judged->talk.next,
			      .window = judged->window,
			      .status = judged->status,
			      .set = judged->talk.set,
			      .flags = TCP_ACK | TCP_PSH | TCP_FIN};

	return say(skb, watching, verdict, &reply, REASON_HTTP_REFUSED);
}

/* The client has all that the server has said, and that was something since it last got a request.
 */
static __always_inline int is_its_turn(const struct http_judged *judged, const struct said *segment)
{
	return (!judged->talk.passed || judged->sent != judged->written) &&
	       segment->ack == judged->sent;
}

static __always_inline void forget_head(struct http_judged *judged)
{
	judged->talk.http.phase = HTTP_START;
	judged->talk.next = judged->given;
}

/* What is refused is answered if it is its turn; else it is to come again. */
static __noinline __u32 refuse_request(struct reading *reading, struct verdict *verdict)
{
	struct watching *watching = reading->watching;
	const struct progress *progress = &watching->progress;
	struct http_judged *judged = reading->judged;
	struct said *segment = &watching->segment;
	int turn = progress->status != NOT_NOW && is_its_turn(judged, segment);

	if (progress->in_head && progress->passing) {
		judged->stuck = 0;
		if (give(reading, 0))
			return cut(reading->skb, watching, judged);
		forget_head(judged);
		return 0;
	}
	if (progress->in_head && !turn && !kept(judged) && !judged->closing) {
		forget_head(judged);
		return fall(reading->skb, watching, judged);
	}
	if (!progress->in_head || !turn)
		judged->talk.http.refusal = judged->talk.http.refusal ?: HTTP_OUT_OF_TURN;
	tell_refused(watching, judged, progress->status);
	if (!progress->in_head || !turn)
		return cut(reading->skb, watching, judged);
	judged->status = progress->status;
	judged->end = JUDGED_REFUSED;
	judged->talk.next = segment->seq + segment->size;
	bpf_map_delete_elem(&http_heads, &watching->key);
	return say_refusal(reading->skb, watching, judged, verdict);
}

/* Bytes that the server may be given again: it has them, or they are the same. */
static __always_inline int may_come_again(struct __sk_buff *skb, const struct http_judged *judged,
					  const struct said *segment, __u32 size)
{
	return is_behind_or_at(segment->seq + size, judged->acked) ||
	       is_content(judged, segment->seq, size) || is_the_same(skb, judged, segment, size);
}

/* Nothing in it is new. */
static __noinline __u32 hear_again(struct __sk_buff *skb, struct watching *watching,
				   struct http_judged *judged, struct verdict *verdict)
{
	const struct said *segment = &watching->segment;

	if (!is_behind_or_at(segment->seq + segment->size, judged->given))
		return keep_back(skb, watching, judged, verdict);
	if (may_come_again(skb, judged, segment, segment->size))
		return 0;
	return fall(skb, watching, judged);
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

	if (from && !before && !may_come_again(skb, judged, segment, from))
		return fall(skb, watching, judged);
	__builtin_memset(progress, 0, sizeof(*progress));
	progress->at = segment->at + from;
	progress->size = segment->size - from;
	progress->set = bpf_ntohs(verdict->proxy);
	progress->in_head = !!before;
	/* There is room for so much with what is kept. */
	if (before && progress->size > HTTP_PIECE)
		progress->size = HTTP_PIECE;
	bpf_loop(MAX_STEPS, read_some, &reading, 0);
	if (progress->status)
		return refuse_request(&reading, verdict);
	judged->stuck = 0;
	if (progress->read != progress->size)
		return cut(skb, watching, judged);
	if (progress->passing)
		return give(&reading, 1) ? cut(skb, watching, judged) : 0;
	if (keep(skb, &watching->key, progress->at, progress->size, before)) {
		if (before)
			return cut(skb, watching, judged);
		forget_head(judged);
		return REASON_HTTP_ORDER;
	}
	judged->talk.next += progress->size;
	return keep_back(skb, watching, judged, verdict);
}

/* --- behind the end --- */

static __always_inline __u32 reset(struct verdict *verdict)
{
	verdict->action = ACTION_REJECT;
	return REASON_HTTP_CUT;
}

/* The client of a connection that has ended: it gets its refusal, and its server hears of it. */
static __noinline __u32 hear_late(struct __sk_buff *skb, struct watching *watching,
				  struct http_judged *judged, struct verdict *verdict)
{
	const struct said *segment = &watching->segment;
	int told = segment->ack != judged->sent, ends = segment->flags & TCP_FIN;

	if (judged->end == JUDGED_CUT)
		return reset(verdict);
	judged->swallowed += segment->size;
	if (judged->swallowed > HTTP_SWALLOWED)
		return reset(verdict);
	if (is_behind_or_at(segment->seq, judged->talk.next) &&
	    is_behind_or_at(judged->talk.next, segment->seq + segment->size))
		judged->talk.next = segment->seq + segment->size;
	if (!told)
		return segment->size ? say_refusal(skb, watching, judged, verdict)
				     : REASON_HTTP_KEPT;
	if (judged->end == JUDGED_REFUSED) {
		judged->end = JUDGED_OVER;
		return become_end(skb, watching, judged, TCP_FIN | TCP_ACK) ? REASON_HTTP_ORDER : 0;
	}
	if (!segment->size && !ends)
		return REASON_HTTP_KEPT;
	return acknowledge(skb, watching, judged, verdict,
			   ends && judged->talk.next == segment->seq + segment->size);
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
	/* A head that never ends, and bytes that a server reads in another place. */
	if ((segment->flags & TCP_FIN && !segment->size && kept(judged)) ||
	    segment->flags & TCP_URG)
		return cut(skb, watching, judged);
	if (!segment->size)
		return 0;
	if ((__s32)from < 0)
		return hear_ahead(judged, segment);
	if (from >= segment->size)
		return hear_again(skb, watching, judged, verdict);
	return hear_new(skb, watching, judged, verdict, from);
}

static __noinline __u32 hear_client_alone(struct __sk_buff *skb, struct watching *watching,
					  struct http_judged *judged, struct verdict *verdict)
{
	struct taking taking = {.judged = judged};
	__u32 reason;

	bpf_loop(TAKE_TRIES, try_to_take, &taking, 0);
	if (!taking.taken)
		return REASON_HTTP_ORDER;
	reason = hear_client(skb, watching, judged, verdict);
	__sync_lock_test_and_set(&judged->busy, 0);
	return reason;
}

static __noinline __u32 hear_server(struct __sk_buff *skb, struct watching *watching,
				    struct http_judged *judged, struct verdict *verdict)
{
	const struct said *segment = &watching->segment;

	if (segment->flags & TCP_SYN)
		return 0;
	if (judged->end) {
		if (segment->size || segment->flags & TCP_FIN)
			return reset(verdict);
		return judged->end == JUDGED_CUT && segment->flags & TCP_RST ? 0 : REASON_HTTP_KEPT;
	}
	if (segment->flags & TCP_ACK && !is_behind_or_at(segment->ack, judged->acked))
		judged->acked = segment->ack;
	judged->window = segment->window;
	if (!is_behind_or_at(segment->seq + segment->size, judged->sent))
		judged->sent = segment->seq + segment->size;
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
