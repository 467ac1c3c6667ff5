/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/*
 * The stream rung: HTTP judged at the server's own sockets. Sockets whose connections are under
 * rules of layer 7 that the kernel holds are put into `streams` as they are established, before any
 * byte has come. From there on a byte reaches the server only once the head that it belongs to has
 * been allowed: the start of a head is taken out of the stream until the rest has come.
 */
#include "lib/conntrack.h"
#include "lib/http.h"
#include "lib/refusal.h"
#include <bpf/bpf_core_read.h>

#define AF_INET 2
#define ECONNRESET 104
#define CLOSED 7 /* of the kernel's include/net/tcp_states.h */
#define MAX_STEPS 4096
#define ANSWER_MAX 256

char LICENSE[] SEC("license") = "Dual BSD/GPL";

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

/* Beside the stack. */
struct room {
	__u8 bytes[HTTP_BLOCK];
	struct http_rule_key key;
	struct flow flow;
	struct verdict verdict;
	struct ct_key ct_key;
	struct http_held held;
	struct http_stream stream;
	struct http_event event;
	__u64 second;
	__u32 told;
};

/*
 * Programs on sockets run in tasks, too, and a softirq or another task may run them on the same CPU
 * meanwhile: who is there has a room to himself.
 */
#define ROOMS 4

struct doors {
	__u32 taken[ROOMS];
	__u32 judging; /* what judge() keeps beside the stack is one for all */
};

MAP(_room, PERCPU_ARRAY, __u32, struct room, ROOMS, 0);
MAP(_doors, PERCPU_ARRAY, __u32, struct doors, 1, 0);

static __always_inline struct doors *get_doors(void)
{
	__u32 zero = 0;

	return bpf_map_lookup_elem(&_doors, &zero);
}

static __always_inline int take(__u32 *door)
{
	return !__sync_lock_test_and_set(door, 1);
}

/* The number of a room, to be left; ROOMS: there is none. */
static __always_inline __u32 enter_room(struct doors *doors)
{
	__u32 number = 0;

	for (; number < ROOMS; number++)
		if (take(&doors->taken[number]))
			break;
	return number;
}

static __always_inline void leave_room(struct doors *doors, __u32 number)
{
	if (number < ROOMS)
		__sync_lock_test_and_set(&doors->taken[number], 0);
}

/* --- who is under the programs --- */

static __always_inline void flow_of(const struct bpf_sock_ops *ops, struct flow *flow)
{
	flow->proto = IPPROTO_TCP;
	flow->sport = ops->remote_port >> 16;
	flow->dport = bpf_htons(ops->local_port);
	if (ops->family == AF_INET) {
		flow->src = addr_v4(ops->remote_ip4);
		flow->dst = addr_v4(ops->local_ip4);
		return;
	}
	flow->src.word[0] = ops->remote_ip6[0];
	flow->src.word[1] = ops->remote_ip6[1];
	flow->src.word[2] = ops->remote_ip6[2];
	flow->src.word[3] = ops->remote_ip6[3];
	flow->dst.word[0] = ops->local_ip6[0];
	flow->dst.word[1] = ops->local_ip6[1];
	flow->dst.word[2] = ops->local_ip6[2];
	flow->dst.word[3] = ops->local_ip6[3];
}

/* A flag of an earlier connection with the same ends says nothing of this one. */
static __always_inline int enrol(struct bpf_sock_ops *ops, struct room *room)
{
	struct flow flow = {};
	struct ct_entry *entry;
	struct ct_key key;
	__u64 cookie;

	flow_of(ops, &flow);
	ct_key_of(&flow, &key);
	entry = bpf_map_lookup_elem(&conntrack, &key);
	if (!entry)
		return 1;
	__sync_fetch_and_and(&entry->flags, ~(CT_HELD | CT_NOT_HELD | CT_CUT | CT_CUT_TOLD));
	if (!(entry->flags & CT_STREAM))
		return 1;
	if (!room)
		goto failed;
	cookie = bpf_get_socket_cookie(ops);
	__builtin_memset(&room->stream, 0, sizeof(room->stream));
	room->stream.set = bpf_ntohs(entry->proxy);
	if (bpf_map_update_elem(&http, &cookie, &room->stream, BPF_ANY))
		goto failed;
	if (bpf_sock_hash_update(ops, &streams, &cookie, BPF_ANY)) {
		bpf_map_delete_elem(&http, &cookie);
		goto failed;
	}
	bpf_sock_ops_cb_flags_set(ops, BPF_SOCK_OPS_STATE_CB_FLAG);
	__sync_fetch_and_or(&entry->flags, CT_HELD);
	return 1;
failed:
	__sync_fetch_and_or(&entry->flags, CT_NOT_HELD);
	return 1;
}

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

/* --- what is judged --- */

static __always_inline void flow_of_message(const struct __sk_buff *skb, struct flow *flow)
{
	__builtin_memset(flow, 0, sizeof(*flow));
	flow->proto = IPPROTO_TCP;
	flow->hook = HOOK_STREAM;
	flow->sport = skb->remote_port >> 16;
	flow->dport = bpf_htons(skb->local_port);
	if (skb->family == AF_INET) {
		flow->src = addr_v4(skb->remote_ip4);
		flow->dst = addr_v4(skb->local_ip4);
		return;
	}
	flow->src.word[0] = skb->remote_ip6[0];
	flow->src.word[1] = skb->remote_ip6[1];
	flow->src.word[2] = skb->remote_ip6[2];
	flow->src.word[3] = skb->remote_ip6[3];
	flow->dst.word[0] = skb->local_ip6[0];
	flow->dst.word[1] = skb->local_ip6[1];
	flow->dst.word[2] = skb->local_ip6[2];
	flow->dst.word[3] = skb->local_ip6[3];
}

/* The rules that judge the connection now, as conntrack has it; -1: it is not allowed at all. */
static __always_inline int rules_of(struct room *room)
{
	struct ct_entry *entry;

	ct_key_of(&room->flow, &room->ct_key);
	entry = bpf_map_lookup_elem(&conntrack, &room->ct_key);
	if (!entry || entry->judgement & CT_DENIED)
		return -1;
	return bpf_ntohs(entry->proxy);
}

static __always_inline const struct http_rule *find_rule(struct room *room,
							 const struct http_stream *http, __u16 set)
{
	room->key.prefixlen = 32 + 8 * HTTP_PATH_KEPT;
	room->key.set = set;
	__builtin_memcpy(room->key.path, http->path, sizeof(room->key.path));
	if (http->path_length < HTTP_PATH_KEPT)
		room->key.path[http->path_length & (HTTP_PATH_KEPT - 1)] = 0;
	return bpf_map_lookup_elem(&http_rules, &room->key);
}

static __always_inline int is_met(const void *wanted, const void *found, __u32 words)
{
	const __u64 *a = wanted, *b = found;

	for (__u32 i = 0; i < words; i++)
		if (a[i] != b[i])
			return 0;
	return 1;
}

/* The request is the one that the choice is for; what is longer than what is kept is none's. */
static __always_inline int is_chosen(const struct http_choice *choice,
				     const struct http_stream *http)
{
	if (choice->method[0] && !is_met(choice->method, http->method, sizeof(http->method) / 8))
		return 0;
	if (!choice->host[0])
		return 1;
	return http->host_length <= HTTP_HOST_KEPT &&
	       is_met(choice->host, http->host, sizeof(http->host) / 8);
}

static __always_inline int is_allowed_by(const struct http_rule *rule, struct http_stream *http)
{
	for (__u32 i = 0; i < HTTP_CHOICES; i++) {
		if (i >= rule->choices)
			break;
		if (is_chosen(&rule->choice[i], http)) {
			http->rule = rule->choice[i].rule;
			return 1;
		}
	}
	return 0;
}

/* By policy; not while somebody else on this CPU asks. */
static __always_inline int is_allowed_anew(struct room *room)
{
	struct doors *doors = get_doors();
	int allowed;

	if (!doors || !take(&doors->judging))
		return 0;
	allowed = judge(&room->flow, 0, 0, &room->verdict) == REASON_ALLOWED;
	__sync_lock_test_and_set(&doors->judging, 0);
	return allowed;
}

/*
 * A set that is gone has been replaced while the request was on its way: policy is asked anew. 0 if
 * the request is allowed, else the status of the answer.
 */
static __always_inline __u16 judge_request(const struct __sk_buff *skb, struct room *room,
					   struct http_stream *http)
{
	const struct http_rule *rule;
	int set;

	flow_of_message(skb, &room->flow);
	set = rules_of(room);
	http->set = set;
	if (set <= 0)
		return set ? 403 : 0;
	rule = find_rule(room, http, set);
	if (!rule) {
		if (!is_allowed_anew(room))
			return 403;
		http->set = bpf_ntohs(room->verdict.proxy);
		if (!room->verdict.proxy)
			return 0;
		rule = find_rule(room, http, http->set);
	}
	return rule && is_allowed_by(rule, http) ? 0 : 403;
}

/* --- what is told --- */

/* Of what is allowed only a part, if it is much. */
static __always_inline int is_told_of(struct room *room, __u64 now, __u32 status)
{
	__u64 second = now / SECOND_NS;

	if (status)
		return 1;
	if (room->second != second) {
		room->second = second;
		room->told = 0;
	}
	return room->told++ < HTTP_TOLD;
}

static __always_inline void tell(const struct __sk_buff *skb, struct room *room,
				 const struct http_stream *http, __u32 status)
{
	struct http_event *event = &room->event;
	__u64 now = bpf_ktime_get_ns();

	if (!is_told_of(room, now, status))
		return;
	flow_of_message(skb, &room->flow);
	event->time_ns = now;
	event->src = room->flow.src;
	event->dst = room->flow.dst;
	event->sport = room->flow.sport;
	event->dport = room->flow.dport;
	event->set = http->set;
	event->status = status;
	event->rule = http->rule;
	event->path_length = http->path_length;
	event->refusal = http->refusal;
	event->method_length = http->method_length;
	event->host_length = http->host_length;
	event->seen = http->seen;
	__builtin_memcpy(event->method, http->method, sizeof(event->method));
	__builtin_memcpy(event->host, http->host, sizeof(event->host));
	__builtin_memcpy(event->path, http->path, sizeof(event->path));
	bpf_ringbuf_output(&requests, event, sizeof(*event), BPF_RB_NO_WAKEUP);
}

/* --- what passes --- */

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

/* Bytes at hand, and how far they have been read. */
struct bytes {
	struct __sk_buff *skb;
	struct http_stream *http;
	struct room *room;
	__u32 size;
	__u32 read;
	__u32 passing; /* what is before that belongs to requests that are allowed */
	__u32 status;  /* of the answer that is due */
};

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
		block.size = load_block(bytes, left);
		http_read(&block);
		bytes->read += block.at;
		if (!block.at)
			block.outcome = HTTP_REFUSED;
	}
	if (block.outcome == HTTP_HEAD)
		bytes->status = judge_request(bytes->skb, bytes->room, http);
	else if (block.outcome == HTTP_REFUSED)
		bytes->status = 400;
	if (block.outcome == HTTP_HEAD || bytes->status)
		tell(bytes->skb, bytes->room, http, bytes->status);
	if (bytes->status)
		return 1;
	if (block.outcome == HTTP_HEAD)
		http->passed++;
	if (http->phase == HTTP_START || http->phase >= HTTP_BODY)
		bytes->passing = bytes->read;
	return 0;
}

/* --- the start of a head, until the rest of it has come --- */

/* Bytes on their way between a buffer and what is kept of a head. */
struct keeping {
	struct __sk_buff *skb;
	struct http_held *held;
	__u32 from; /* in the buffer */
	__u32 at;   /* in what is kept */
	__u32 left;
};

static __always_inline __u32 next_size(const struct keeping *keeping)
{
	return keeping->left < HTTP_BLOCK ? keeping->left : HTTP_BLOCK;
}

static __always_inline void move_on(struct keeping *keeping, __u32 size)
{
	keeping->from += size;
	keeping->at += size;
	keeping->left -= size;
}

static long keep_some(__u32 index __attribute__((unused)), void *context)
{
	struct keeping *keeping = context;
	__u32 size = next_size(keeping), at = keeping->at;

	barrier_var(size);
	if (size < 1 || size > HTTP_BLOCK || at > HTTP_HEAD_MAX ||
	    bpf_skb_load_bytes(keeping->skb, keeping->from, keeping->held->bytes + at, size))
		return 1;
	move_on(keeping, size);
	return 0;
}

static long return_some(__u32 index __attribute__((unused)), void *context)
{
	struct keeping *keeping = context;
	__u32 size = next_size(keeping), at = keeping->at;

	barrier_var(size);
	if (size < 1 || size > HTTP_BLOCK || at > HTTP_HEAD_MAX ||
	    bpf_skb_store_bytes(keeping->skb, keeping->from, keeping->held->bytes + at, size, 0))
		return 1;
	move_on(keeping, size);
	return 0;
}

#define KEEP_STEPS (HTTP_HEAD_MAX / HTTP_BLOCK + 2)

/* Adds what is behind `from` to what is kept. Returns 0 if all of it is. */
static __always_inline int keep(const struct bytes *bytes, __u64 cookie, __u32 from)
{
	struct keeping keeping = {.skb = bytes->skb, .from = from, .left = bytes->size - from};
	struct http_held *held = bpf_map_lookup_elem(&http_heads, &cookie);

	if (!held) {
		bytes->room->held.size = 0;
		bpf_map_update_elem(&http_heads, &cookie, &bytes->room->held, BPF_NOEXIST);
		held = bpf_map_lookup_elem(&http_heads, &cookie);
	}
	if (!held)
		return 1;
	keeping.held = held;
	keeping.at = held->size;
	bpf_loop(KEEP_STEPS, keep_some, &keeping, 0);
	held->size = keeping.at;
	bytes->http->held = held->size;
	return keeping.left;
}

/* Puts what is kept before what is at hand. Returns 0 if that is so. */
static __always_inline int give_back(struct __sk_buff *skb, __u64 cookie, struct http_stream *http)
{
	struct http_held *held = bpf_map_lookup_elem(&http_heads, &cookie);
	struct keeping keeping = {.skb = skb, .held = held};

	if (!held || bpf_skb_change_head(skb, held->size, 0))
		return 1;
	keeping.left = held->size;
	bpf_loop(KEEP_STEPS, return_some, &keeping, 0);
	http->held = 0;
	bpf_map_delete_elem(&http_heads, &cookie);
	return keeping.left;
}

/* --- what does not pass --- */

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

/* Behind the end nothing reaches anybody; who goes on when he has his answer, or for long, is cut.
 */
static __always_inline int swallow(const struct bytes *bytes, __u64 cookie)
{
	bytes->http->swallowed += bytes->size;
	if (is_answered(bytes->skb, bytes->http) || bytes->http->swallowed > HTTP_SWALLOWED)
		return end_stream(bytes, cookie);
	return SK_DROP;
}

static __always_inline int judge_bytes(struct __sk_buff *skb, struct room *room)
{
	__u64 cookie = bpf_get_socket_cookie(skb);
	struct bytes bytes = {.skb = skb, .room = room, .size = skb->len};

	bytes.http = bpf_map_lookup_elem(&http, &cookie);
	if (!bytes.http || !bytes.room)
		return SK_DROP;
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
