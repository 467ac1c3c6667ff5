/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/*
 * What the client is told in the server's name, and how a connection ends: 0 if its packet goes on,
 * or the reason why not.
 */
#pragma once

#include "stream_answer.h"
#include "stream_give.h"

#define QUIET_NS 150000000 /* less than TCP waits before it sends again */

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
	__u32 heard = watching->segment.ack;
	struct reply reply = {.seq = is_behind_or_at(heard, judged->sent) ? heard : judged->sent,
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

/*
 * The client has all that the server has said, and that was something since it last got a request.
 * Of several that were sent at once nobody knows whether all are answered: so the server is quiet.
 */
static __always_inline int is_its_turn(const struct http_judged *judged, const struct said *segment)
{
	return (!judged->talk.passed || judged->sent != judged->written) &&
	       segment->ack == judged->sent && judged->acked == judged->given &&
	       (!judged->talk.blind || bpf_ktime_get_coarse_ns() - judged->spoke_ns > QUIET_NS);
}

static __always_inline void forget_head(struct http_judged *judged)
{
	judged->talk.http.phase = HTTP_START;
	judged->talk.next = judged->given;
}

/* What is refused is answered if it is its turn; else it is to come again. */
static __noinline __u32 hear_refused(struct __sk_buff *skb, struct watching *watching,
				     struct http_judged *judged, struct verdict *verdict)
{
	const struct said *segment = &watching->segment;

	if (judged->closing)
		return cut(skb, watching, judged);
	if (!is_its_turn(judged, segment))
		return fall(skb, watching, judged);
	judged->end = JUDGED_REFUSED;
	judged->talk.next = segment->seq + segment->size;
	bpf_map_delete_elem(&http_heads, &watching->key);
	return say_refusal(skb, watching, judged, verdict);
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
	if (judged->end == JUDGED_REFUSED || judged->acked == judged->given) {
		judged->end = JUDGED_OVER;
		return become_end(skb, watching, judged, TCP_FIN | TCP_ACK) ? REASON_HTTP_ORDER : 0;
	}
	if (!segment->size && !ends)
		return REASON_HTTP_KEPT;
	return acknowledge(skb, watching, judged, verdict,
			   ends && judged->talk.next == segment->seq + segment->size);
}
