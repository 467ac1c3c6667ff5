/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* Which accepted sockets are under the stream programs, from before their first byte. */
#pragma once

#include "stream_room.h"

#define CLOSED 7 /* of the kernel's include/net/tcp_states.h */

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
