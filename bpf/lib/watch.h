/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/*
 * HTTP seen in packets: requests of connections that nobody judges, and where answers begin. What
 * is not seen here is not told of; nothing depends on it.
 */
#pragma once

#include "conntrack.h"
#include "h2.h"
#include "hello.h"
#include "http.h"
#include "segment.h"
#include "talk.h"

#define WATCH_STEPS 1024
#define STATUS_LINE 13 /* HTTP/1.1 200 and one more */
#define PREFACE_LEAST 5
#define EARLY_HINTS 3 /* 1xx before the answer, that may come with it */
#define SWITCHING 101

/* How far new bytes have been read that are judged. */
struct progress {
	__u32 at; /* in the packet */
	__u32 size;
	__u32 read;
	__u32 passing; /* what is before that belongs to requests that are allowed */
	__u32 status;  /* of the answer that is due */
	__u32 set;     /* number of the rules that judge them; 0: none any more */
	__u32 heads;   /* of these bytes: what is behind is content */
	__u32 in_head; /* 1: what is behind the part that passes is of a head */
	/* What its packet is to be: */
	__u32 seq, ack, bytes, flags, changed;
};

/* Beside the stack. */
struct watching {
	__u8 bytes[HTTP_BLOCK + HTTP_WINDOW];
	struct ct_key key;
	struct flow flow; /* of the client's direction */
	struct said segment;
	struct http_stream before; /* the packet, if the start of a head is kept */
	struct hello hello;
	struct http_event event;
	struct telling telling;
	struct http_rule_key key_of_rule;
	struct progress progress;
};

MAP(_watching, PERCPU_ARRAY, __u32, struct watching, 1, 0);

static __always_inline struct watching *get_watching(void)
{
	__u32 zero = 0;

	return bpf_map_lookup_elem(&_watching, &zero);
}

/* --- answers --- */

static __always_inline int is_digit(__u8 byte)
{
	return byte >= '0' && byte <= '9';
}

/* The status in a status line; 0: that is none. */
static __always_inline __u16 status_of(const __u8 *line)
{
	if (*(__u32 *)line != bpf_htonl(0x48545450) || line[4] != '/' || line[5] != '1' ||
	    line[6] != '.' || line[8] != ' ' || line[9] < '1' || line[9] > '5' ||
	    !is_digit(line[10]) || !is_digit(line[11]) || is_digit(line[12]))
		return 0;
	return (line[9] - '0') * 100 + (line[10] - '0') * 10 + line[11] - '0';
}

struct search {
	const __u8 *bytes;
	__u32 size, end;
};

/* Behind an empty line. */
static long find_end(__u32 index, void *context)
{
	struct search *search = context;
	__u32 at = index;

	barrier_var(at);
	if (at > HTTP_BLOCK - 4 || at + 4 > search->size)
		return 1;
	if (search->bytes[at] != '\r' || search->bytes[at + 1] != '\n' ||
	    search->bytes[at + 2] != '\r' || search->bytes[at + 3] != '\n')
		return 0;
	search->end = at + 4;
	return 1;
}

static __always_inline void upgrade(struct http_talk *talk)
{
	talk->kind = TALK_UPGRADED;
	/* Only of the first answer it is sure where it begins: the client may choose a body's
	 * bytes. */
	if (talk->passed == 1)
		http_switch(&talk->http);
}

/* The answer that is due, or a word before it. Returns whether more may be in the packet. */
static __always_inline int read_answer(struct __sk_buff *skb, struct watching *watching,
				       struct http_talk *talk)
{
	struct said *segment = &watching->segment;
	__u32 from = talk->answer - segment->seq;
	struct search search = {.bytes = watching->bytes};
	__u16 status;

	if (!talk->waiting || from >= segment->size)
		return 0;
	search.size = load_some(skb, segment->at + from, segment->size - from, watching->bytes);
	status = search.size < STATUS_LINE ? 0 : status_of(watching->bytes);
	if (status >= 200 || status == SWITCHING || !status) {
		if (status == SWITCHING)
			upgrade(talk);
		talk->blind |= !status;
		settle_talk(talk, &watching->flow, status, &watching->event);
		return 0;
	}
	bpf_loop(HTTP_BLOCK, find_end, &search, 0);
	talk->answer += search.end;
	if (search.end)
		return 1;
	talk->blind = 1;
	settle_talk(talk, &watching->flow, 0, &watching->event);
	return 0;
}

static __noinline int watch_answer(struct __sk_buff *skb, struct watching *watching,
				   struct http_talk *talk)
{
	struct said *segment = &watching->segment;

	for (int i = 0; i < EARLY_HINTS; i++)
		if (!read_answer(skb, watching, talk))
			break;
	/* It has begun in what did not come by here. */
	if (talk->waiting && segment->size && (__s32)(segment->seq - talk->answer) > 0) {
		talk->blind = 1;
		settle_talk(talk, &watching->flow, 0, &watching->event);
	}
	return 0;
}

/* --- requests --- */

/* Whether what could not be read was a request all the same. */
static __always_inline int is_request(const struct http_stream *http)
{
	return http->refusal != HTTP_BAD_METHOD && http->refusal != HTTP_BAD_VERSION &&
	       http->refusal != HTTP_BAD_CHUNK && http->path_length;
}

struct listening {
	struct __sk_buff *skb;
	struct watching *watching;
	struct http_talk *talk;
	__u32 at;
	__u32 left;
};

/* The next head or part of one, or all content that is at hand. */
static long listen_some(__u32 index __attribute__((unused)), void *context)
{
	struct listening *listening = context;
	struct watching *watching = listening->watching;
	struct http_talk *talk = listening->talk;
	struct http_stream *stream = &talk->http;
	struct http_block block = {.http = stream, .bytes = watching->bytes};
	__u32 used;

	if (!listening->left)
		return 1;
	if (stream->phase == HTTP_START)
		close_turn(talk, &watching->flow, &watching->event);
	if (http_is_content(stream)) {
		used = http_skip(stream, listening->left, &block.outcome);
	} else {
		block.size =
			load_some(listening->skb, listening->at, listening->left, watching->bytes);
		http_read(&block);
		used = block.at;
	}
	if (block.outcome == HTTP_REFUSED || !used)
		talk->lost = 1;
	if (block.outcome == HTTP_HEAD || (talk->lost && is_request(stream))) {
		identify(talk, &watching->flow);
		talk->told = is_told_of(&watching->telling);
		expect_answer(talk, &watching->flow, watching->segment.ack, &watching->event);
	}
	listening->at += used;
	listening->left -= used;
	return !!talk->lost;
}

/* Tells what a connection is for that is no HTTP/1. */
static __always_inline void tell_kind(struct watching *watching, struct http_talk *talk, __u8 kind)
{
	talk->kind = kind;
	if (!is_told_of(&watching->telling))
		return;
	watching->event.time_ns = bpf_ktime_get_ns();
	watching->event.duration_ns = 0;
	watching->event.set = 0;
	watching->event.status = 0;
	watching->event.denied = 0;
	watching->event.kind = kind;
	describe(&watching->event, &watching->flow, &talk->http);
	tell_event(&watching->event);
}

static __always_inline void tell_hello(struct watching *watching, struct http_talk *talk,
				       const struct hello *hello)
{
	talk->http.host_length = hello->host_length;
	talk->http.path_length = hello->path_length;
	__builtin_memcpy(talk->http.host, hello->host, sizeof(hello->host));
	__builtin_memcpy(talk->http.path, hello->path, sizeof(hello->path));
	tell_kind(watching, talk, TALK_TLS);
}

/* The first packet's bytes are at hand. */
static __always_inline void greet_tls(struct __sk_buff *skb, struct watching *watching,
				      struct http_talk *talk)
{
	const struct said *segment = &watching->segment;
	struct hello *hello = &watching->hello;

	if (hello_begin(hello, watching->bytes, segment->seq) && !hello_read(skb, hello, segment) &&
	    !bpf_map_update_elem(&hellos, &watching->key, hello, BPF_ANY))
		return;
	tell_hello(watching, talk, hello);
}

/* More of a client's hello, or its end. */
static __noinline int watch_hello(struct __sk_buff *skb, struct watching *watching,
				  struct http_talk *talk, __u32 tcp_flags)
{
	struct hello *hello = bpf_map_lookup_elem(&hellos, &watching->key);

	if (!hello ||
	    (!hello_read(skb, hello, &watching->segment) && !(tcp_flags & (TCP_FIN | TCP_RST))))
		return 0;
	hello_give_up(hello);
	tell_hello(watching, talk, hello);
	bpf_map_delete_elem(&hellos, &watching->key);
	return 0;
}

/* What the client begins with. Returns whether it may be HTTP/1. */
static __noinline int greet(struct __sk_buff *skb, struct watching *watching,
			    struct http_talk *talk)
{
	static const char preface[16] = "PRI * HTTP/2.0\r";
	const struct said *segment = &watching->segment;
	__u32 size = load_some(skb, segment->at, segment->size, watching->bytes);

	if (size >= HELLO_HEADS && watching->bytes[0] == HELLO_HANDSHAKE &&
	    watching->bytes[1] == HELLO_MAJOR) {
		talk->kind = TALK_TLS;
		greet_tls(skb, watching, talk);
		return 0;
	}
	/* A part of it tells enough: no target of HTTP/1 is an asterisk but that of OPTIONS. */
	for (__u32 i = 0; i < sizeof(preface) - 1; i++)
		if (i < size ? watching->bytes[i] != preface[i] : i < PREFACE_LEAST)
			return 1;
	talk->kind = TALK_HTTP2;
	if (h2_greet(&watching->key, segment))
		tell_kind(watching, talk, TALK_HTTP2);
	return 0;
}

static __always_inline struct http_talk *begin_talk(struct __sk_buff *skb,
						    struct watching *watching)
{
	static const struct http_talk no_talk;
	struct http_talk *talk;

	if (bpf_map_update_elem(&talks, &watching->key, &no_talk, BPF_ANY))
		return 0;
	talk = bpf_map_lookup_elem(&talks, &watching->key);
	if (!talk)
		return 0;
	talk->next = watching->segment.seq;
	talk->answer = watching->segment.ack;
	greet(skb, watching, talk);
	return talk;
}

/* Behind a gap only what comes when the server has spoken can be the start of a request. */
static __always_inline int find_again(struct http_talk *talk, const struct said *segment)
{
	if (talk->waiting || (__s32)(segment->ack - talk->answer) <= 0)
		return 0;
	talk->lost = 0;
	talk->http.phase = HTTP_START;
	talk->next = segment->seq;
	return 1;
}

static __noinline int watch_request(struct __sk_buff *skb, struct watching *watching,
				    struct http_talk *talk)
{
	const struct said *segment = &watching->segment;
	struct listening listening = {.skb = skb, .watching = watching, .talk = talk};
	__u32 from = talk->next - segment->seq;

	if (talk->kind != TALK_HTTP)
		return 0;
	if ((__s32)from < 0)
		talk->lost = 1;
	else if (from >= segment->size)
		return 0;
	if (talk->lost) {
		if (!find_again(talk, segment)) {
			talk->next = segment->seq + segment->size;
			return 0;
		}
		from = 0;
	}
	listening.at = segment->at + from;
	listening.left = segment->size - from;
	talk->next = segment->seq + segment->size;
	bpf_loop(WATCH_STEPS, listen_some, &listening, 0);
	talk->lost |= !!listening.left;
	return 0;
}

/* What a packet says to a connection that is told of. */
static __always_inline void watch_talk(struct __sk_buff *skb, struct watching *watching,
				       struct http_talk *talk, int reply)
{
	__u8 flags = watching->segment.flags;

	if (reply)
		watch_answer(skb, watching, talk);
	else if (watching->segment.size)
		watch_request(skb, watching, talk);
	/* Who half-closes may still be answered. */
	if (talk->waiting && (flags & TCP_RST || (reply && flags & TCP_FIN)))
		settle_talk(talk, &watching->flow, 0, &watching->event);
}

/* A packet that passes. Returns 1 if it may be of HTTP/2. A global function, as track() is. */
__noinline int watch(struct __sk_buff *skb, const struct flow *flow, int reply)
{
	struct watching *watching = get_watching();
	struct http_talk *talk;

	if (!flow || !watching || load_segment(skb, addr_is_mapped(&flow->src), &watching->segment))
		return 0;
	ct_key_of(flow, &watching->key);
	if (reply)
		swap_flow(flow, &watching->flow);
	else
		watching->flow = *flow;
	talk = bpf_map_lookup_elem(&talks, &watching->key);
	if (!talk && !reply && watching->segment.size)
		talk = begin_talk(skb, watching);
	if (talk ? talk->kind == TALK_HTTP2 : watching->segment.size)
		return 1;
	if (!talk)
		return 0;
	if (talk->kind == TALK_TLS)
		return reply ? 0 : watch_hello(skb, watching, talk, flow->tcp_flags);
	watch_talk(skb, watching, talk, reply);
	return 0;
}

/* What watch() has left to it. The packet may be a server's that speaks first. */
__noinline int watch_h2(struct __sk_buff *skb, __u32 reply, __u32 tcp_flags)
{
	struct watching *watching = get_watching();
	struct h2_packet packet = {.skb = skb, .reply = reply & 1};

	if (!watching)
		return 0;
	packet.flow = &watching->flow;
	packet.talk = bpf_map_lookup_elem(&talks, &watching->key);
	packet.h2 = bpf_map_lookup_elem(&h2_talks, &watching->key);
	packet.scratch = get_h2_scratch();
	if (!packet.h2 && !packet.talk && reply)
		packet.h2 = h2_begin_early(skb, &watching->key, &watching->segment);
	if (packet.h2 && packet.scratch && packet.h2->early == !packet.talk)
		h2_watch(&packet, &watching->segment, tcp_flags);
	return 0;
}
