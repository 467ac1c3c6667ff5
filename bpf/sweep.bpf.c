/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/*
 * Sockets that talk to what is no longer there: ended, so that the application hears of it at once
 * and asks anew. Each program is run once in every network namespace, while `gone` has entries.
 */
#include "lib/balance.h"
#include "lib/network.h"
#include <linux/in.h>
#include <linux/in6.h>

/* Of the kernel's include/net/tcp_states.h. */
#define ESTABLISHED 1
#define SYN_SENT 2
#define FIN_WAIT_1 4
#define FIN_WAIT_2 5

char LICENSE[] SEC("license") = "Dual BSD/GPL";

#define KERNEL_TYPE __attribute__((preserve_access_index))

struct sock_common {
	unsigned short skc_family;
	unsigned char skc_state;
	__be16 skc_dport;
	__be32 skc_daddr;
	struct in6_addr skc_v6_daddr;
} KERNEL_TYPE;

struct sock {
	__u32 sk_mark;
} KERNEL_TYPE;

struct bpf_iter__tcp {
	struct sock_common *sk_common;
} KERNEL_TYPE;

struct bpf_iter__udp {
	struct udp_sock *udp_sk;
} KERNEL_TYPE;

extern int bpf_sock_destroy(struct sock_common *sock) __ksym;

static __always_inline int read_peer(const struct sock_common *sk, struct addr *addr)
{
	if (sk->skc_family == AF_INET)
		*addr = addr_v4(sk->skc_daddr);
	else if (sk->skc_family == AF_INET6)
		*addr = addr_v6(sk->skc_v6_daddr.in6_u.u6_addr32);
	else
		return 0;
	return 1;
}

/* Another pass may have brought it back since. */
static __always_inline int backend_is_gone(const struct gone_key *key)
{
	const __u64 *backend = bpf_map_lookup_elem(&gone, key);

	return backend && !bpf_map_lookup_elem(&backends, backend);
}

/* A datagram socket that asked for a service and is tied to a backend that it has no more. */
SEC("iter/udp")
int sweep_udp(struct bpf_iter__udp *ctx)
{
	struct sock_common *sk = (struct sock_common *)ctx->udp_sk;
	struct sock_nat_key asked_key = {};
	struct gone_key key = {};
	const struct sock_nat *asked;
	const struct service *service;

	if (!sk || sk->skc_state != ESTABLISHED || !read_peer(sk, &key.addr))
		return 0;
	key.port = sk->skc_dport;
	asked_key.cookie = bpf_get_socket_cookie(sk);
	asked_key.addr = key.addr;
	asked_key.port = key.port;
	asked = bpf_map_lookup_elem(&sock_nat, &asked_key);
	if (!asked)
		return 0;
	service = find_service(&asked->addr, asked->port, IPPROTO_UDP);
	if (!service)
		service = find_node_port(&asked->addr, asked->port, IPPROTO_UDP);
	key.service = service ? service->id : 0;
	if (backend_is_gone(&key))
		bpf_sock_destroy(sk);
	return 0;
}

static __always_inline int waits_for_peer(__u8 state)
{
	return state == ESTABLISHED || state == SYN_SENT || state == FIN_WAIT_1 ||
	       state == FIN_WAIT_2;
}

/*
 * Of the proxy, from before there were rules that it should read by, as no mark says that it has:
 * its next request would be lost.
 */
static __always_inline int is_unread(struct sock_common *sk, const struct addr *peer)
{
	struct gone_key key = {.addr = *peer, .service = GONE_UNREAD, .port = sk->skc_dport};
	struct sock *full = (struct sock *)bpf_skc_to_tcp_sock(sk);

	if (!full || full->sk_mark != MARK_PROXY)
		return 0;
	if (bpf_map_lookup_elem(&gone, &key))
		return 1;
	key.port = 0;
	return !!bpf_map_lookup_elem(&gone, &key);
}

/* A stream towards an address that nobody has any more. What its peer has closed ends by itself. */
SEC("iter/tcp")
int sweep_tcp(struct bpf_iter__tcp *ctx)
{
	struct sock_common *sk = ctx->sk_common;
	struct gone_key key = {};
	int is_gone;

	if (!sk || !waits_for_peer(sk->skc_state) || !read_peer(sk, &key.addr))
		return 0;
	is_gone = bpf_map_lookup_elem(&gone, &key) && !bpf_map_lookup_elem(&endpoints, &key.addr);
	if (is_gone || is_unread(sk, &key.addr))
		bpf_sock_destroy(sk);
	return 0;
}
