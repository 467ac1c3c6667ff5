/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* Requests of HTTP/2 that wait for their answers, as they are counted and told of. */
#pragma once

#include "conntrack.h"
#include "talk.h"

#define H2_ODD 1 /* streams that a client opens */

/* Beside the stack. */
struct h2_scratch {
	__u8 bytes[HTTP_BLOCK];
	struct http_event event;
	struct telling telling;
};

/* A packet, and how far it has been read. */
struct h2_packet {
	struct __sk_buff *skb;
	const struct flow *flow; /* the client's */
	struct http_talk *talk;	 /* 0: the client has not spoken */
	struct h2_talk *h2;
	struct h2_scratch *scratch;
	struct h2_side *side;
	__u32 at, left;
	__u32 reply;
};

MAP(_h2_scratch, PERCPU_ARRAY, __u32, struct h2_scratch, 1, 0);

static __always_inline struct h2_scratch *get_h2_scratch(void)
{
	__u32 zero = 0;

	return bpf_map_lookup_elem(&_h2_scratch, &zero);
}

static __always_inline struct h2_waiting *h2_place(struct h2_talk *h2, __u32 stream)
{
	return &h2->waiting[stream / 2 & (H2_WAITING - 1)];
}

static __always_inline void h2_describe(struct h2_packet *packet, __u8 kind)
{
	struct http_event *event = &packet->scratch->event;
	const struct h2_head *head = &packet->h2->request;

	__builtin_memset(event, 0, sizeof(*event));
	event->time_ns = bpf_ktime_get_ns();
	event->src = packet->flow->src;
	event->dst = packet->flow->dst;
	event->sport = packet->flow->sport;
	event->dport = packet->flow->dport;
	event->kind = kind;
	if (kind != TALK_H2_REQUEST)
		return;
	event->method_length = head->method_length;
	event->host_length = head->host_length;
	event->path_length = head->path_length;
	__builtin_memcpy(event->method, head->method, sizeof(event->method));
	__builtin_memcpy(event->host, head->host, sizeof(event->host));
	__builtin_memcpy(event->path, head->path, sizeof(event->path));
}

static __always_inline struct http_event *h2_event(struct h2_packet *packet,
						   const struct h2_waiting *waiting)
{
	struct h2_request_key key = {.talk = packet->h2->id, .stream = waiting->stream};

	return waiting->told ? bpf_map_lookup_elem(&h2_requests, &key) : 0;
}

/* A request has its answer; with `status` 0 none that could be seen. */
static __always_inline void h2_count(struct h2_packet *packet, const struct h2_waiting *waiting,
				     __u16 status)
{
	__u64 time_ns = status ? bpf_ktime_get_ns() - waiting->asked_ns : 0;
	struct http_event *event = h2_event(packet, waiting);

	if (packet->talk)
		count_request(packet->talk, status / 100, time_ns);
	if (!event)
		return;
	event->status = status;
	event->duration_ns = time_ns;
}

static __always_inline void h2_tell(struct h2_packet *packet, const struct h2_waiting *waiting,
				    __u8 grpc)
{
	struct h2_request_key key = {.talk = packet->h2->id, .stream = waiting->stream};
	struct http_event *event = h2_event(packet, waiting);

	if (!event)
		return;
	event->grpc = grpc;
	tell_event(event);
	bpf_map_delete_elem(&h2_requests, &key);
}

/* Who takes it away first tells of it. */
static __always_inline void h2_take(struct h2_packet *packet, struct h2_waiting *place,
				    __u32 stream, __u16 status, __u8 grpc)
{
	struct h2_waiting waiting = *place;

	if (!stream || waiting.stream != stream ||
	    __sync_val_compare_and_swap(&place->stream, stream, 0) != stream)
		return;
	if (!waiting.ending)
		h2_count(packet, &waiting, status);
	h2_tell(packet, &waiting, grpc);
}

/* A stream is reset, whoever did it. */
static __noinline int h2_drop(struct h2_packet *packet, __u32 stream)
{
	h2_take(packet, h2_place(packet->h2, stream), stream, 0, 0);
	return 0;
}

static long h2_drop_next(__u32 index, void *context)
{
	struct h2_packet *packet = context;
	struct h2_waiting *place = h2_place(packet->h2, index * 2);

	h2_take(packet, place, place->stream, 0, 0);
	return 0;
}

/* Nothing that waits will be seen to be answered. */
static __noinline int h2_drop_all(struct h2_packet *packet)
{
	bpf_loop(H2_WAITING, h2_drop_next, packet, 0);
	return 0;
}

/* A block of the server's has ended. gRPC's status may stand in one behind the messages. */
static __noinline int h2_answered(struct h2_packet *packet, __u32 stream)
{
	struct h2_waiting *place = h2_place(packet->h2, stream);
	const struct hpack *hpack = &packet->side->hpack;
	__u16 status = hpack->status;

	if (status && status < 200)
		return 0;
	if (place->stream == stream && !place->ending && place->told && status && hpack->is_grpc &&
	    !hpack->grpc) {
		h2_count(packet, place, status);
		place->ending = 1;
		return 0;
	}
	h2_take(packet, place, stream, status, hpack->grpc);
	return 0;
}

/* A block of the client's has ended: a request, if it opens a stream, or a trailer. */
static __noinline int h2_asked(struct h2_packet *packet, __u32 stream)
{
	struct h2_talk *h2 = packet->h2;
	struct h2_request_key key = {.talk = h2->id, .stream = stream};
	struct h2_waiting *place = h2_place(h2, stream), waiting = {.stream = stream};

	if (!packet->talk || !(stream & H2_ODD) || stream <= h2->last)
		return 0;
	h2->last = stream;
	identify(packet->talk, packet->flow);
	waiting.told = is_told_of(&packet->scratch->telling);
	h2_describe(packet, TALK_H2_REQUEST);
	waiting.asked_ns = packet->scratch->event.time_ns;
	if (waiting.told)
		bpf_map_update_elem(&h2_requests, &key, &packet->scratch->event, BPF_ANY);
	if (place->ending)
		h2_take(packet, place, place->stream, 0, 0);
	if (h2->side[1].lost || place->stream) {
		h2_count(packet, &waiting, 0);
		h2_tell(packet, &waiting, 0);
		return 0;
	}
	place->asked_ns = waiting.asked_ns;
	place->told = waiting.told;
	place->ending = 0;
	barrier();
	place->stream = stream;
	return 0;
}

/* From here on nothing that this side says is seen. */
static __noinline int h2_lose(struct h2_packet *packet)
{
	if (packet->reply)
		return h2_drop_all(packet);
	if (is_told_of(&packet->scratch->telling)) {
		h2_describe(packet, TALK_HTTP2);
		tell_event(&packet->scratch->event);
	}
	return 0;
}
