/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* 128-bit addresses; IPv4 is mapped (RFC 4291, 2.5.5.2). */
#pragma once

#include "../abi.h"
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#define SECOND_NS 1000000000ULL
#define UNUSED __attribute__((unused)) /* of what bpf_loop() hands to a step */

static __always_inline struct addr addr_v4(__be32 v4)
{
	struct addr addr = {.word = {0, 0, bpf_htonl(0xffff), v4}};

	return addr;
}

static __always_inline struct addr addr_v6(const __be32 *words)
{
	struct addr addr = {.word = {words[0], words[1], words[2], words[3]}};

	return addr;
}

/* Any total order will do; it only has to be the same for both directions. */
static __always_inline int addr_compare(const struct addr *a, const struct addr *b)
{
	for (int i = 0; i < 4; i++) {
		if (a->word[i] != b->word[i])
			return a->word[i] < b->word[i] ? -1 : 1;
	}
	return 0;
}

static __always_inline int addr_is_mapped(const struct addr *addr)
{
	return !addr->word[0] && !addr->word[1] && addr->word[2] == bpf_htonl(0xffff);
}

static __always_inline int addr_is_zero(const struct addr *addr)
{
	return !(addr->word[0] | addr->word[1] | addr->word[2] | addr->word[3]);
}

static __always_inline int addr_equal(const struct addr *a, const struct addr *b)
{
	return !((a->word[0] ^ b->word[0]) | (a->word[1] ^ b->word[1]) | (a->word[2] ^ b->word[2]) |
		 (a->word[3] ^ b->word[3]));
}
