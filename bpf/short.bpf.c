/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/*
 * The short circuit: what a workload sends to another one on this node is put into the receiver's
 * queue as it is sent, as long as nothing else is on its way, the receiver reads, and policy allows
 * it. What the queue has is read before what TCP brings, so the order holds when a direction goes
 * over to the interface; it does so for good.
 *
 * Nothing can loop: what is redirected goes to the other end of the same connection, where it is
 * read, and no program stands at that queue.
 */
#include "lib/short.h"
#include "lib/socket_flow.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

/* One message, and all that is asked about it. */
struct sending {
	struct sk_msg_md *message;
	struct short_sender *sender;
	struct ct_entry *entry;
	const struct state *now;
	const struct sock *from, *to;
	__u32 size, end; /* which one sends */
};

MAP(_asking, PERCPU_ARRAY, __u32, __u32, 1, 0);

static __always_inline const struct state *get_state(void)
{
	__u32 zero = 0;

	return bpf_map_lookup_elem(&state, &zero);
}

/* By policy, as it is now; not while another task on this CPU asks, as judge() has one room. */
static __always_inline int is_allowed_anew(struct sending *sending)
{
	const struct ct_entry *entry = sending->entry;
	struct flow flow = {};
	struct verdict verdict = {.standing = 1};
	__u32 zero = 0, end = sending->end & 1;
	__u32 *door = bpf_map_lookup_elem(&_asking, &zero);
	int allowed;

	if (!door || __sync_lock_test_and_set(door, 1))
		return 0;
	FLOW_OF_SOCKET(&flow, sending->message, local, remote);
	allowed = judge(&flow, end != entry->initiator, 0, &verdict) == REASON_ALLOWED;
	__sync_lock_test_and_set(door, 0);
	return allowed && !verdict.proxy && !verdict.held && !verdict.dns && !verdict.watched &&
	       verdict.src_ifindex == entry->ifindex[end] &&
	       verdict.dst_ifindex == entry->ifindex[!end];
}

static __always_inline int is_allowed_now(struct sending *sending)
{
	struct short_sender *sender = sending->sender;

	if (!is_for_two(sending->entry))
		return 0;
	if (sender->epoch == sending->now->epoch)
		return 1;
	if (!is_allowed_anew(sending))
		return 0;
	sender->epoch = sending->now->epoch;
	return 1;
}

static __always_inline int has_limit(__u32 ifindex, __u32 direction)
{
	struct bandwidth_key key = {.ifindex = ifindex, .direction = direction};

	return bpf_map_lookup_elem(&bandwidth, &key) != 0;
}

static __always_inline int is_limited(const struct sending *sending)
{
	const struct ct_entry *entry = sending->entry;
	__u32 end = sending->end & 1;

	return sending->now->flags & NODE_BANDWIDTH &&
	       (has_limit(entry->ifindex[end], DIRECTION_EGRESS) ||
		has_limit(entry->ifindex[!end], DIRECTION_INGRESS));
}

/*
 * What only packets and the agent change: at once when policy has, else now and then. A connection
 * that is talked on stays known.
 */
static __always_inline __u32 look_at_connection(struct sending *sending)
{
	struct short_sender *sender = sending->sender;
	__u64 now_ns = bpf_ktime_get_coarse_ns();

	if (sender->epoch == sending->now->epoch && now_ns - sender->looked_ns < SHORT_LOOK_NS)
		return SHORT_ON;
	sending->entry = bpf_map_lookup_elem(&conntrack, &sender->key.connection);
	if (!sending->entry || !is_allowed_now(sending))
		return SHORT_POLICY;
	if (is_limited(sending))
		return SHORT_LIMITED;
	sending->entry->last_seen_ns = sender->looked_ns = now_ns;
	return SHORT_ON;
}

static __always_inline int is_open(const struct sock *sock)
{
	return sock->__sk_common.skc_state == ESTABLISHED && !sock->sk_shutdown;
}

/* The receiver's queue has room: bytes that wait there are charged to it, as TCP's are. */
static __always_inline __u32 look_at_queue(const struct sending *sending)
{
	const struct sock *to = sending->to;
	const struct sk_psock *psock = psock_of(to);
	__u32 *pieces = &sending->sender->pieces;
	__u32 queued = to->sk_backlog.rmem_alloc.counter, room = to->sk_rcvbuf;

	if (psock->progs.stream_verdict || psock->progs.skb_verdict)
		return SHORT_READ;
	if (room > SHORT_BYTES_MAX)
		room = SHORT_BYTES_MAX;
	if (sending->size > room || queued > room - sending->size)
		return SHORT_BYTES;
	if (!count_queued(psock, 1)) {
		*pieces = 1;
		return SHORT_ON;
	}
	if (!queued) /* kernels before 6.13 do not charge them */
		return SHORT_BYTES;
	if (*pieces >= SHORT_PIECES_MAX)
		*pieces = count_queued(psock, SHORT_PIECES_MAX);
	return (*pieces)++ < SHORT_PIECES_MAX ? SHORT_ON : SHORT_PIECES;
}

static __always_inline __u32 look(struct sending *sending)
{
	const struct sock *from = sending->from, *to = sending->to;
	__u32 why;

	if (!(sending->now->flags & NODE_SHORT))
		return SHORT_OFF;
	if (!is_open(from) || !is_open(to))
		return SHORT_GONE;
	why = look_at_connection(sending);
	if (why)
		return why;
	/* By the kernel's TLS, what is sent is not yet what TCP would bring. */
	if (!is_plain_call() || HAS_ULP(from) || HAS_ULP(to))
		return SHORT_CALL;
	if (!is_nonblocking(to))
		return SHORT_BLOCKING;
	return look_at_queue(sending);
}

static __always_inline int hand_over(struct sending *sending)
{
	struct short_key other = sending->sender->key;

	other.end = !other.end;
	if (bpf_msg_redirect_hash(sending->message, &short_sockets, &other, BPF_F_INGRESS) !=
	    SK_PASS)
		return SHORT_GONE;
	count(&reasons, REASON_SHORT, sending->size);
	return SHORT_ON;
}

static __always_inline int has_other(struct short_sender *sender)
{
	const struct short_pair *pair;

	if (!sender->other) {
		pair = bpf_map_lookup_elem(&shorts, &sender->key.connection);
		if (pair)
			sender->other = pair->sock[!(sender->key.end & 1)];
	}
	return sender->other != 0;
}

static __always_inline void go_by_interface(struct sending *sending, __u32 why)
{
	struct short_pair *pair = bpf_map_lookup_elem(&shorts, &sending->sender->key.connection);

	sending->sender->end = why;
	if (pair)
		pair->end[sending->end & 1] = why;
	count(&short_ends, why, sending->size);
}

static __always_inline void send_short(struct sending *sending)
{
	__u32 why;

	if (!has_other(sending->sender))
		return;
	sending->to = SOCK(sending->sender->other);
	/* What went by the interface is read first. */
	if (TCP_SOCK(sending->from)->write_seq != TCP_SOCK(sending->to)->copied_seq)
		return;
	why = look(sending) ?: hand_over(sending);
	if (why)
		go_by_interface(sending, why);
}

SEC("sk_msg")
int sent(struct sk_msg_md *message)
{
	struct sending sending = {.message = message, .now = get_state(), .size = message->size};
	struct bpf_sock *sock = message->sk;

	if (!sock || !sending.now)
		return SK_PASS;
	sending.sender = bpf_sk_storage_get(&short_senders, sock, 0, 0);
	if (!sending.sender || sending.sender->end)
		return SK_PASS;
	sending.from = SOCK(sock);
	sending.end = sending.sender->key.end & 1;
	send_short(&sending);
	return SK_PASS;
}
