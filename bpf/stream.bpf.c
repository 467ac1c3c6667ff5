/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/*
 * The stream rung: sockets of workloads tell where a connection's bytes begin, as it is
 * established, and when it is gone. Packet programs judge its requests (lib/stream.h).
 */
#include "lib/stream_enter.h"
#include <linux/tcp.h>

char LICENSE[] SEC("license") = "Dual BSD/GPL";

SEC("sockops")
int accepted(struct bpf_sock_ops *ops)
{
	if (ops->op == BPF_SOCK_OPS_PASSIVE_ESTABLISHED_CB)
		enrol(ops);
	else if (ops->op == BPF_SOCK_OPS_STATE_CB && ops->args[1] == CLOSED)
		leave_stream(ops);
	return 1;
}

/*
 * A server that waits for a client's first bytes before there is a connection would have it begin
 * with bytes that nobody has followed. Its option is without effect; it accepts a little earlier.
 */
SEC("cgroup/setsockopt")
int undeferred(struct bpf_sockopt *option)
{
	if (option->level == IPPROTO_TCP && option->optname == TCP_DEFER_ACCEPT)
		option->optlen = -1; /* the kernel's own is not asked */
	return 1;
}
