/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* What tc, XDP and the iterators share of the kernel's network: families, routes, checksums. */
#pragma once

#include "addr.h"
#include <linux/bpf.h>

#define AF_INET 2
#define AF_INET6 10

/* Asks the node's routes; `length` 0: of a size that fits. */
static __always_inline void fill_fib(struct bpf_fib_lookup *fib, const struct addr *src,
				     const struct addr *dst, __u8 proto, __u32 ifindex,
				     __u32 length)
{
	__builtin_memset(fib, 0, sizeof(*fib));
	fib->ifindex = ifindex;
	fib->l4_protocol = proto;
	fib->tot_len = length;
	if (addr_is_mapped(dst)) {
		fib->family = AF_INET;
		fib->ipv4_src = src->word[3];
		fib->ipv4_dst = dst->word[3];
	} else {
		fib->family = AF_INET6;
		__builtin_memcpy(fib->ipv6_src, src, sizeof(*src));
		__builtin_memcpy(fib->ipv6_dst, dst, sizeof(*dst));
	}
}

/* The checksum of a sum (RFC 1071). */
static __always_inline __be16 fold(__u64 sum)
{
	sum = (sum & 0xffff) + (sum >> 16 & 0xffff) + (sum >> 32);
	sum = (sum & 0xffff) + (sum >> 16);
	sum = (sum & 0xffff) + (sum >> 16);
	return ~sum;
}
