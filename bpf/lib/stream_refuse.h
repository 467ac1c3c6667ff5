/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* What becomes of a request that is not allowed: its own answer, or the end of its connection. */
#pragma once

#include "refusal.h"
#include "stream_head.h"
#include "stream_judge.h"
#include <bpf/bpf_core_read.h>

#define ANSWER_MAX 256

#define KERNEL_TYPE __attribute__((preserve_access_index))

struct sk_buff {
	struct sock *sk;
} KERNEL_TYPE;

struct tcp_sock {
	__u32 snd_una;
	__u32 write_seq;
} KERNEL_TYPE;

extern void *bpf_cast_to_kern_ctx(void *context) __ksym;
extern void *bpf_rdonly_cast(const void *object, __u32 type) __ksym;

static __always_inline struct tcp_sock *socket_of(struct __sk_buff *skb)
{
	struct sk_buff *buffer = bpf_cast_to_kern_ctx(skb);

	return bpf_rdonly_cast(buffer->sk, bpf_core_type_id_kernel(struct tcp_sock));
}

/* The server has said something since a request last reached it, and the client has it all. */
static __always_inline int is_answered(struct __sk_buff *skb, const struct http_stream *http)
{
	const struct tcp_sock *socket = socket_of(skb);

	return !http->passed ||
	       (socket->write_seq != http->written && socket->snd_una == socket->write_seq);
}

/*
 * The connection ends here and now: packet programs tell both ends. So that there is a packet, the
 * server's socket sends a byte, which nobody gets.
 */
static __always_inline int end_stream(const struct bytes *bytes, __u64 cookie)
{
	struct room *room = bytes->room;
	struct ct_entry *entry;

	bytes->http->phase = HTTP_ENDED;
	flow_of_message(bytes->skb, &room->flow);
	ct_key_of(&room->flow, &room->ct_key);
	entry = bpf_map_lookup_elem(&conntrack, &room->ct_key);
	if (entry)
		__sync_fetch_and_or(&entry->flags, CT_CUT);
	if (!entry || bpf_skb_change_tail(bytes->skb, 1, 0))
		return SK_DROP;
	return bpf_sk_redirect_hash(bytes->skb, &streams, &cookie, 0);
}

/*
 * What is refused is answered if it is its turn. What has come of it before is not counted as read
 * by the kernel: the connection ends with that.
 */
static __always_inline int refuse_request(const struct bytes *bytes, __u64 cookie)
{
	struct http_stream *http = bytes->http;
	struct __sk_buff *skb = bytes->skb;
	__u32 held = http->held;

	if (bytes->passing || !is_answered(skb, http)) {
		http->refusal = http->refusal ?: HTTP_OUT_OF_TURN;
		return end_stream(bytes, cookie);
	}
	if (bytes->size > ANSWER_MAX && bpf_skb_change_tail(skb, ANSWER_MAX, 0))
		return end_stream(bytes, cookie);
	if (held && give_back(skb, cookie, http))
		return end_stream(bytes, cookie);
	if (write_refusal(skb, 0, skb->len, bytes->status, http->set))
		return end_stream(bytes, cookie);
	http->phase = HTTP_ENDED;
	http->passed++; /* its answer is due */
	http->written = socket_of(skb)->write_seq;
	return bpf_sk_redirect_hash(skb, &streams, &cookie, 0);
}

/* Behind the end nothing reaches anybody; who goes on when he has his answer, or for long, is cut.
 */
static __always_inline int swallow(const struct bytes *bytes, __u64 cookie)
{
	bytes->http->swallowed += bytes->size;
	if (is_answered(bytes->skb, bytes->http) || bytes->http->swallowed > HTTP_SWALLOWED)
		return end_stream(bytes, cookie);
	return SK_DROP;
}
