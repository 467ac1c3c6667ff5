/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/*
 * The stream rung: HTTP judged at the server's own sockets. Sockets whose connections are under
 * rules of layer 7 that the kernel holds are put into `streams` as they are established, before any
 * byte has come. From there on a byte reaches the server only once the head that it belongs to has
 * been allowed: the start of a head is taken out of the stream until the rest has come.
 */
#include "lib/http.h"
#include "lib/stream_enter.h"
#include "lib/stream_refuse.h"

#define MAX_STEPS 4096

char LICENSE[] SEC("license") = "Dual BSD/GPL";

SEC("sockops")
int accepted(struct bpf_sock_ops *ops)
{
	__u64 cookie;

	if (ops->op == BPF_SOCK_OPS_PASSIVE_ESTABLISHED_CB) {
		struct doors *doors = get_doors();
		__u32 number = doors ? enter_room(doors) : ROOMS;
		int enrolled = enrol(ops, bpf_map_lookup_elem(&_room, &number));

		if (doors)
			leave_room(doors, number);
		return enrolled;
	}
	if (ops->op == BPF_SOCK_OPS_STATE_CB && ops->args[1] == CLOSED) {
		cookie = bpf_get_socket_cookie(ops);
		bpf_map_delete_elem(&http, &cookie);
		bpf_map_delete_elem(&http_heads, &cookie);
	}
	return 1;
}

/* Up to HTTP_BLOCK of the bytes that are `left`. Returns how many. */
static __always_inline __u32 load_block(const struct bytes *bytes, __u32 left)
{
	__u32 size = left < HTTP_BLOCK ? left : HTTP_BLOCK;

	barrier_var(size);
	if (size < 1 || size > HTTP_BLOCK ||
	    bpf_skb_load_bytes(bytes->skb, bytes->read, bytes->room->bytes, size))
		return 0;
	return size;
}

/* What is refused for its form has not been judged. */
static __always_inline void say_who(const struct bytes *bytes)
{
	flow_of_message(bytes->skb, &bytes->room->flow);
	ct_key_of(&bytes->room->flow, &bytes->room->ct_key);
}

/* The next head or part of one, or all content that is at hand. */
static long read_some(__u32 index __attribute__((unused)), void *context)
{
	struct bytes *bytes = context;
	struct http_stream *http = bytes->http;
	__u32 left = bytes->size - bytes->read;
	struct http_block block = {.http = http, .bytes = bytes->room->bytes};

	if (bytes->read >= bytes->size)
		return 1;
	if (http_is_content(http)) {
		bytes->read += http_skip(http, left, &block.outcome);
	} else {
		if (http->phase == HTTP_START)
			begin_request(bytes);
		block.size = load_block(bytes, left);
		http_read(&block);
		bytes->read += block.at;
		if (!block.at)
			block.outcome = HTTP_REFUSED;
	}
	if (block.outcome == HTTP_HEAD)
		bytes->status = judge_request(bytes);
	else if (block.outcome == HTTP_REFUSED)
		bytes->status = 400;
	if (bytes->status) {
		say_who(bytes);
		tell_refused(bytes->room, http, bytes->cookie, bytes->status);
		return 1;
	}
	if (block.outcome == HTTP_HEAD) {
		tell_allowed(bytes->room, http, bytes->cookie, socket_of(bytes->skb)->write_seq);
		http->passed++;
	}
	if (http->phase == HTTP_START || http->phase >= HTTP_BODY)
		bytes->passing = bytes->read;
	return 0;
}

/* What is allowed passes, and what is not known yet is kept. */
static __always_inline int pass_on(const struct bytes *bytes, __u64 cookie)
{
	struct http_stream *http = bytes->http;
	struct __sk_buff *skb = bytes->skb;
	__u32 held = bytes->passing ? http->held : 0, passing = bytes->passing;

	if (passing && held && give_back(skb, cookie, http))
		return end_stream(bytes, cookie);
	if (passing < bytes->size) {
		struct bytes rest = *bytes;

		rest.size += held;
		if (keep(&rest, cookie, passing + held) ||
		    bpf_skb_change_tail(skb, passing + held, 0))
			return end_stream(bytes, cookie);
	}
	if (!passing)
		return SK_DROP;
	http->written = socket_of(skb)->write_seq;
	return SK_PASS;
}

static __always_inline int judge_bytes(struct __sk_buff *skb, struct room *room)
{
	__u64 cookie = bpf_get_socket_cookie(skb);
	struct bytes bytes = {.skb = skb, .room = room, .cookie = cookie, .size = skb->len};

	bytes.http = bpf_map_lookup_elem(&http, &cookie);
	if (!bytes.http || !bytes.room)
		return SK_DROP;
	if (bytes.http->phase == HTTP_OPAQUE)
		return SK_PASS;
	if (bytes.http->phase == HTTP_ENDED)
		return swallow(&bytes, cookie);
	bpf_loop(MAX_STEPS, read_some, &bytes, 0);
	if (bytes.status)
		return refuse_request(&bytes, cookie);
	if (bytes.read != bytes.size)
		return end_stream(&bytes, cookie);
	return pass_on(&bytes, cookie);
}

SEC("sk_skb")
int arrived(struct __sk_buff *skb)
{
	struct doors *doors = get_doors();
	__u32 number = doors ? enter_room(doors) : ROOMS;
	int verdict = judge_bytes(skb, bpf_map_lookup_elem(&_room, &number));

	if (doors)
		leave_room(doors, number);
	return verdict;
}
