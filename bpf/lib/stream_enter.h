/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* Which connections are followed from their first byte: those of accepted sockets. */
#pragma once

#include "socket_flow.h"
#include "stream_record.h"

#define FIRST_WINDOW 512 /* until the server has said what it has */
#define CLOSED 7	 /* of the kernel's include/net/tcp_states.h */

static const struct http_judged no_judged;

static __always_inline void key_of(const struct bpf_sock_ops *ops, struct ct_key *key)
{
	struct flow flow = {};

	FLOW_OF_SOCKET(&flow, ops, remote, local);
	ct_key_of(&flow, key);
}

/* Where both ends stand. Returns 0 if the connection is followed from here on. */
static __always_inline int follow(struct bpf_sock_ops *ops, const struct ct_key *key)
{
	struct http_judged *judged = bpf_map_lookup_elem(&streams, key);

	if (judged && drop_record(judged, key))
		return 1;
	if (bpf_map_update_elem(&streams, key, &no_judged, BPF_NOEXIST))
		return 1;
	judged = bpf_map_lookup_elem(&streams, key);
	if (!judged)
		return 1;
	judged->key = *key;
	judged->talk.next = ops->rcv_nxt;
	judged->given = judged->talk.next;
	judged->acked = judged->talk.next;
	judged->content = judged->talk.next;
	judged->content_end = judged->talk.next;
	judged->recent = judged->talk.next;
	judged->sent = ops->snd_nxt;
	judged->written = judged->sent;
	judged->window = FIRST_WINDOW;
	judged->cookie = bpf_get_socket_cookie(ops);
	return 0;
}

/* A flag of an earlier connection with the same ends says nothing of this one. */
static __always_inline void enrol(struct bpf_sock_ops *ops)
{
	struct ct_entry *entry;
	struct ct_key key;

	key_of(ops, &key);
	entry = bpf_map_lookup_elem(&conntrack, &key);
	if (!entry)
		return;
	__sync_fetch_and_and(&entry->flags, ~(CT_HELD | CT_NOT_HELD));
	if (!(entry->flags & CT_STREAM))
		return;
	if (follow(ops, &key)) {
		__sync_fetch_and_or(&entry->flags, CT_NOT_HELD);
		return;
	}
	bpf_sock_ops_cb_flags_set(ops, BPF_SOCK_OPS_STATE_CB_FLAG);
	__sync_fetch_and_or(&entry->flags, CT_HELD);
}

/* Its socket is gone; the next one with the same ends may already be there. */
static __always_inline void leave_stream(struct bpf_sock_ops *ops)
{
	struct http_judged *judged;
	struct ct_key key;

	key_of(ops, &key);
	judged = bpf_map_lookup_elem(&streams, &key);
	if (judged && judged->cookie == bpf_get_socket_cookie(ops))
		drop_record(judged, &key);
}
