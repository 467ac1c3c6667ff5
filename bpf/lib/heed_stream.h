/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/*
 * DNS by TCP (RFC 7766). A question passes if it stands whole in its segment, where the last one
 * ended: so the resolver reads what was judged, and nothing else. What is sent again must be the
 * same. Answers may come in pieces, and in order: they are learnt from before their last one.
 */
#pragma once

#include "dns_talk.h"
#include "heed.h"

#define DNS_LENGTH 2	 /* bytes of it, before each message */
#define DNS_PIPELINED 64 /* messages of a segment */
#define RECENT (NAME_RECENT - 1)

struct dns_reading {
	struct said said;
	__u32 at, left; /* of its bytes */
	__u32 due;
	__u32 reason;
};

/* Beside the stack, of which those who read a name need much. */
MAP(_reading, PERCPU_ARRAY, __u32, struct dns_reading, 1, 0);

struct dns_segment {
	struct __sk_buff *skb;
	const struct flow *flow;
	const struct verdict *verdict;
	struct dns_talk *talk;
	struct dns_reading *reading;
};

/* --- questions --- */

/* What cannot be read passes only where everything does. */
static __always_inline __u32 pass_anyway(const struct verdict *verdict, struct dns_scratch *dns)
{
	dns->out.status = DNS_BAD;
	return allows_question(verdict->dns) ? 0 : REASON_DNS_UNREADABLE;
}

/* Reads the bytes of a message; 0 if they are there. */
static __always_inline int load_bytes(struct __sk_buff *skb, __u32 at, __u32 size,
				      struct dns_scratch *dns)
{
	dns->size = size;
	dns->out.status = DNS_BAD;
	barrier_var(size);
	if (size < DNS_HEADER || size > NAME_MESSAGE)
		return 1;
	return bpf_skb_load_bytes(skb, at, dns->message, size);
}

static long question_step(__u32 index UNUSED, void *context)
{
	struct dns_segment *segment = context;
	struct dns_reading *reading = segment->reading;
	struct dns_scratch *dns = get_dns();
	__be16 length = bpf_htons(reading->due);
	__u32 size;

	if (!reading->left || !dns)
		return 1;
	reading->reason = REASON_DNS_UNREADABLE;
	if (!reading->due) {
		if (reading->left < DNS_LENGTH ||
		    bpf_skb_load_bytes(segment->skb, reading->at, &length, DNS_LENGTH))
			return 1;
		reading->at += DNS_LENGTH;
		reading->left -= DNS_LENGTH;
	}
	size = bpf_ntohs(length);
	reading->due = size;
	if (size < DNS_HEADER)
		return 1;
	if (!reading->left) {
		reading->reason = 0;
		return 1;
	}
	if (size > reading->left || load_bytes(segment->skb, reading->at, size, dns))
		return 1;
	reading->due = 0;
	reading->at += size;
	reading->left -= size;
	read_message();
	reading->reason = heed_question(segment->flow, segment->verdict, dns);
	return !!reading->reason;
}

struct dns_comparing {
	const struct dns_talk *talk;
	__u32 from, left;
};

static long compare_step(__u32 index, void *context)
{
	struct dns_comparing *comparing = context;
	struct dns_scratch *dns = get_dns();

	if (!comparing->left || !dns ||
	    comparing->talk->recent[(comparing->from + index) & RECENT] != dns_byte(dns, index))
		return 1;
	comparing->left--;
	return 0;
}

/* Whether the first bytes of a segment are those that have passed there. */
static __always_inline int is_again(struct __sk_buff *skb, const struct dns_talk *talk,
				    const struct said *said, __u32 size, struct dns_scratch *dns)
{
	struct dns_comparing comparing = {.talk = talk, .from = said->seq, .left = size};

	if (talk->asked - said->seq > talk->known)
		return 0;
	barrier_var(size);
	if (size < 1 || size > NAME_RECENT || bpf_skb_load_bytes(skb, said->at, dns->message, size))
		return 0;
	bpf_loop(NAME_RECENT, compare_step, &comparing, 0);
	return !comparing.left;
}

/* The bytes that pass now, from talk->asked on. */
static __always_inline void keep_recent(struct __sk_buff *skb, struct dns_talk *talk, __u32 at,
					__u32 size)
{
	__u32 skip = size > NAME_RECENT ? size - NAME_RECENT : 0;
	__u32 place = (talk->asked + skip) & RECENT, some = size - skip, more;

	talk->asked += size;
	talk->known = talk->known + some > NAME_RECENT ? NAME_RECENT : talk->known + some;
	barrier_var(place);
	barrier_var(some);
	if (place > RECENT || some < 1 || some > NAME_RECENT)
		return;
	if (bpf_skb_load_bytes(skb, at + skip, talk->recent + place, some))
		talk->known = 0;
	more = place + some;
	if (more <= NAME_RECENT)
		return;
	more -= NAME_RECENT;
	barrier_var(more);
	if (more < 1 || more > NAME_RECENT)
		return;
	if (bpf_skb_load_bytes(skb, at + size - more, talk->recent, more))
		talk->known = 0;
}

static __always_inline __u32 heed_new(struct dns_segment *segment)
{
	struct dns_reading *reading = segment->reading;
	struct dns_talk *talk = segment->talk;
	__u32 at = reading->at, size = reading->left;

	reading->due = talk->due;
	reading->reason = 0;
	bpf_loop(DNS_PIPELINED, question_step, segment, 0);
	if (reading->reason)
		return reading->reason;
	if (reading->left)
		return REASON_DNS_UNREADABLE;
	talk->due = reading->due;
	talk->asked_stuck = 0;
	keep_recent(segment->skb, talk, at, size);
	return 0;
}

/* 0, or why it falls; *again: it may come again. */
static __always_inline __u32 heed_asking(struct dns_segment *segment, struct dns_scratch *dns,
					 int *again)
{
	struct dns_reading *reading = segment->reading;
	const struct said *said = &reading->said;
	struct dns_talk *talk = segment->talk;
	__u32 from = talk->asked - said->seq, size = said->size;

	/* An urgent byte is not in what the server reads. */
	if (!talk->open || talk->asked_lost || segment->flow->tcp_flags & TCP_URG)
		return REASON_DNS_UNREADABLE;
	if ((__s32)from < 0) {
		*again = talk->asked_stuck++ < NAME_STUCK;
		return REASON_DNS_UNREADABLE;
	}
	if (from && !is_again(segment->skb, talk, said, from < size ? from : size, dns))
		return REASON_DNS_UNREADABLE;
	if (from >= size)
		return 0;
	reading->at = said->at + from;
	reading->left = size - from;
	return heed_new(segment);
}

/* --- answers --- */

static __always_inline void take_whole(struct dns_segment *segment, struct dns_scratch *dns)
{
	segment->talk->read = 0;
	read_message();
	if (dns->out.status == DNS_READ &&
	    heed_answer(segment->flow, segment->verdict->dst_ifindex))
		tell_question(segment->verdict, REASON_ALLOWED, 0);
}

/* An answer that has come in pieces. */
static __always_inline void join_answer(const struct dns_talk *talk, struct dns_scratch *dns)
{
	const __u64 *from = (const __u64 *)talk->answer;
	__u64 *to = (__u64 *)dns->message;

	dns->size = talk->length;
	for (__u32 i = 0; i < NAME_MESSAGE / sizeof(*to); i++)
		to[i] = from[i];
}

/* One byte of a length, or as much of an answer as there is. */
static long answer_step(__u32 index UNUSED, void *context)
{
	struct dns_segment *segment = context;
	struct dns_reading *reading = segment->reading;
	struct dns_talk *talk = segment->talk;
	struct dns_scratch *dns = get_dns();
	__u32 before, size;
	__u8 byte;

	if (!reading->left || !dns)
		return 1;
	if (talk->read < DNS_LENGTH) {
		if (bpf_skb_load_bytes(segment->skb, reading->at, &byte, sizeof(byte)))
			return 1;
		talk->length = talk->read ? talk->length << 8 | byte : byte;
		talk->read++;
		reading->at++;
		reading->left--;
		if (talk->read == DNS_LENGTH && !talk->length)
			talk->read = 0;
		return 0;
	}
	before = talk->read - DNS_LENGTH;
	size = talk->length - before;
	if (size > reading->left)
		size = reading->left;
	if (!before && size == talk->length) {
		if (!load_bytes(segment->skb, reading->at, size, dns))
			take_whole(segment, dns);
		talk->read = 0;
	} else {
		barrier_var(before);
		barrier_var(size);
		if (before < NAME_MESSAGE && size >= 1 && size <= NAME_MESSAGE &&
		    bpf_skb_load_bytes(segment->skb, reading->at, talk->answer + before, size))
			return 1;
		talk->read += size;
		if (talk->read == DNS_LENGTH + talk->length) {
			talk->read = 0;
			if (talk->length <= NAME_MESSAGE) {
				join_answer(talk, dns);
				take_whole(segment, dns);
			}
		}
	}
	reading->at += size;
	reading->left -= size;
	return 0;
}

/* 0, or why it falls: then it comes again, behind what it has overtaken. */
static __always_inline __u32 heed_answering(struct dns_segment *segment)
{
	struct dns_reading *reading = segment->reading;
	const struct said *said = &reading->said;
	struct dns_talk *talk = segment->talk;
	__u32 from = talk->answered - said->seq;

	if (!talk->open || talk->answered_lost)
		return 0;
	if ((__s32)from < 0) {
		if (talk->answered_stuck++ < NAME_STUCK)
			return REASON_DNS_UNREADABLE;
		talk->answered_lost = 1;
		return 0;
	}
	if (from >= said->size)
		return 0;
	reading->at = said->at + from;
	reading->left = said->size - from;
	bpf_loop(3 * DNS_PIPELINED, answer_step, segment, 0);
	talk->answered_lost = !!reading->left;
	talk->answered = said->seq + said->size;
	talk->answered_stuck = 0;
	return 0;
}

/* --- both --- */

/* What the client sends. 0, or why it falls; *again: it may come again. */
static __always_inline __u32 heed_client(struct dns_segment *segment, struct dns_scratch *dns,
					 int *again)
{
	const struct said *said = &segment->reading->said;
	struct dns_talk *talk = segment->talk;
	__u32 reason;

	if (!talk)
		return REASON_DNS_UNREADABLE;
	if (__sync_val_compare_and_swap(&talk->busy_asking, 0, 1)) {
		*again = 1;
		return REASON_DNS_UNREADABLE;
	}
	talk->seen_ns = bpf_ktime_get_coarse_ns();
	if (opens_connection(segment->flow)) {
		begin_dns_talk(talk, said->seq + 1);
		*again = said->size; /* RFC 7413: then without bytes */
		reason = said->size ? REASON_DNS_UNREADABLE : 0;
	} else {
		reason = heed_asking(segment, dns, again);
	}
	__sync_fetch_and_and(&talk->busy_asking, 0);
	return reason;
}

/* And the server. */
static __always_inline __u32 heed_server(struct dns_segment *segment, struct dns_scratch *dns)
{
	const struct said *said = &segment->reading->said;
	__u8 flags = segment->flow->tcp_flags;
	struct dns_talk *talk = segment->talk;
	__u32 reason;

	if (!talk)
		return 0;
	if (__sync_val_compare_and_swap(&talk->busy_answering, 0, 1))
		return said->size ? REASON_DNS_UNREADABLE : 0;
	if ((flags & (TCP_SYN | TCP_ACK)) == (TCP_SYN | TCP_ACK))
		open_talk(talk, said);
	reason = said->size ? heed_answering(segment) : 0;
	__sync_fetch_and_and(&talk->busy_answering, 0);
	dns->question.id = 0;
	if (!reason && flags & (TCP_FIN | TCP_RST))
		forget_talk(&dns->question, talk->place);
	return reason;
}

/* 0, or why the packet falls. A global function, as heed() is. */
__noinline __u32 heed_segment(struct __sk_buff *skb, const struct flow *flow,
			      struct verdict *verdict)
{
	struct dns_scratch *dns = get_dns();
	struct dns_segment segment = {.skb = skb, .flow = flow, .verdict = verdict};
	__u32 reason, zero = 0;
	int again = 0;

	segment.reading = bpf_map_lookup_elem(&_reading, &zero);
	if (!flow || !verdict || !dns || !segment.reading)
		return REASON_DNS_UNREADABLE;
	if (!flow->payload && !(flow->tcp_flags & (TCP_SYN | TCP_FIN | TCP_RST | TCP_URG)))
		return 0;
	dns->out.id = 0;
	set_question(dns, flow, verdict->reply,
		     verdict->reply ? verdict->dst_ifindex : verdict->src_ifindex);
	segment.talk = bpf_map_lookup_elem(&dns_talks, &dns->question);
	if (load_segment(skb, addr_is_mapped(&flow->src), &segment.reading->said))
		segment.talk = 0;
	else if (!segment.talk && !verdict->reply && opens_connection(flow))
		segment.talk = add_talk(dns);
	if (verdict->reply)
		return heed_server(&segment, dns);
	if (!flow->payload && !opens_connection(flow) && !(flow->tcp_flags & TCP_URG))
		return 0;
	reason = heed_client(&segment, dns, &again);
	if (reason == REASON_DNS_UNREADABLE) {
		reason = pass_anyway(verdict, dns);
		if (!reason && segment.talk)
			segment.talk->asked_lost = 1;
	}
	if (reason && !again)
		verdict->action = ACTION_REJECT;
	return reason;
}
