/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/*
 * The socket rung: a service's address becomes a backend's when the application names it, and
 * becomes the service's again when the application asks whom it talks to.
 */
#include "lib/balance.h"
#include "lib/emit.h"
#include <linux/in.h>

#define PASS 1
#define REJECT 0
#define ECONNREFUSED 111

char LICENSE[] SEC("license") = "Dual BSD/GPL";

struct destination {
	struct addr addr;
	__be16 port;
};

/* A workload is its network namespace: its address is not chosen yet. */
static __always_inline int choose_for(struct bpf_sock_addr *ctx, const struct service *service,
				      struct slot *chosen)
{
	__u64 cookie = bpf_get_netns_cookie(ctx);
	struct addr client = {.word = {0, 0, cookie >> 32, cookie}};

	return choose(service, &service->internal, &client, bpf_get_prandom_u32(),
		      bpf_ktime_get_coarse_ns(), chosen);
}

/* A node's own address stands for every node port. */
static __always_inline const struct service *find_asked(const struct destination *to, __u8 proto)
{
	const struct service *service = find_service(&to->addr, to->port, proto);
	const struct endpoint *endpoint;

	if (service)
		return service;
	service = find_node_port(&to->addr, to->port, proto);
	if (!service)
		return 0;
	endpoint = bpf_map_lookup_elem(&endpoints, &to->addr);
	return endpoint && endpoint->flags & (ENDPOINT_HOST | ENDPOINT_NODE) ? service : 0;
}

static __always_inline void remember(struct bpf_sock_addr *ctx, const struct destination *asked,
				     const struct slot *slot)
{
	struct sock_nat_key key = {
		.cookie = bpf_get_socket_cookie(ctx),
		.addr = slot->addr,
		.port = slot->port,
	};
	struct sock_nat value = {.addr = asked->addr, .port = asked->port};

	bpf_map_update_elem(&sock_nat, &key, &value, BPF_ANY);
}

static __always_inline int refuse(struct bpf_sock_addr *ctx, const struct destination *asked,
				  const struct service *service)
{
	struct event event = {
		.time_ns = bpf_ktime_get_ns(),
		.flow = {.dst = asked->addr,
			 .dport = asked->port,
			 .proto = ctx->protocol,
			 .hook = HOOK_SOCKET},
		.verdict = {.reason = REASON_NO_BACKEND, .dst_identity = IDENTITY_SERVICE},
		.cgroup = bpf_get_current_cgroup_id(),
		.service = service->id,
	};

	count(&reasons, REASON_NO_BACKEND, 0);
	send_event(&event);
	bpf_set_retval(-ECONNREFUSED);
	return REJECT;
}

/* On PASS, `to` is where the packet should go. */
static __always_inline int translate(struct bpf_sock_addr *ctx, struct destination *to)
{
	struct destination asked = *to;
	const struct service *service = find_asked(to, ctx->protocol);
	struct slot chosen = {};

	if (!service || service->flags & SERVICE_PROXY)
		return PASS;
	if (!choose_for(ctx, service, &chosen))
		return refuse(ctx, &asked, service);
	count(&reasons, REASON_TRANSLATED, 0);
	remember(ctx, &asked, &chosen);
	to->addr = chosen.addr;
	to->port = chosen.port;
	return PASS;
}

static __always_inline void restore(struct bpf_sock_addr *ctx, struct destination *from)
{
	struct sock_nat_key key = {
		.cookie = bpf_get_socket_cookie(ctx),
		.addr = from->addr,
		.port = from->port,
	};
	const struct sock_nat *asked = bpf_map_lookup_elem(&sock_nat, &key);

	if (!asked)
		return;
	from->addr = asked->addr;
	from->port = asked->port;
}

static __always_inline struct destination read4(const struct bpf_sock_addr *ctx)
{
	struct destination at = {.addr = addr_v4(ctx->user_ip4), .port = ctx->user_port};

	return at;
}

static __always_inline void write4(struct bpf_sock_addr *ctx, const struct destination *at)
{
	ctx->user_ip4 = at->addr.word[3];
	ctx->user_port = at->port;
}

/* IPv4 through an IPv6 socket comes here with mapped addresses: our own form. */
static __always_inline struct destination read6(const struct bpf_sock_addr *ctx)
{
	struct destination at = {
		.addr = {.word = {ctx->user_ip6[0], ctx->user_ip6[1], ctx->user_ip6[2],
				  ctx->user_ip6[3]}},
		.port = ctx->user_port,
	};

	return at;
}

static __always_inline void write6(struct bpf_sock_addr *ctx, const struct destination *at)
{
	ctx->user_ip6[0] = at->addr.word[0];
	ctx->user_ip6[1] = at->addr.word[1];
	ctx->user_ip6[2] = at->addr.word[2];
	ctx->user_ip6[3] = at->addr.word[3];
	ctx->user_port = at->port;
}

static __always_inline int forward4(struct bpf_sock_addr *ctx)
{
	struct destination to = read4(ctx);
	int verdict = translate(ctx, &to);

	if (verdict == PASS)
		write4(ctx, &to);
	return verdict;
}

static __always_inline int forward6(struct bpf_sock_addr *ctx)
{
	struct destination to = read6(ctx);
	int verdict = translate(ctx, &to);

	if (verdict == PASS)
		write6(ctx, &to);
	return verdict;
}

static __always_inline int back4(struct bpf_sock_addr *ctx)
{
	struct destination from = read4(ctx);

	restore(ctx, &from);
	write4(ctx, &from);
	return PASS;
}

static __always_inline int back6(struct bpf_sock_addr *ctx)
{
	struct destination from = read6(ctx);

	restore(ctx, &from);
	write6(ctx, &from);
	return PASS;
}

#define HOOK(section, function)                                                                    \
	SEC("cgroup/" #section) int section(struct bpf_sock_addr *ctx)                             \
	{                                                                                          \
		return function(ctx);                                                              \
	}

HOOK(connect4, forward4)
HOOK(connect6, forward6)
HOOK(sendmsg4, forward4)
HOOK(sendmsg6, forward6)
HOOK(getpeername4, back4)
HOOK(getpeername6, back6)
HOOK(recvmsg4, back4)
HOOK(recvmsg6, back6)
