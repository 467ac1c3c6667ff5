/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/*
 * The record of a connection, which one CPU at a time works on. The kernel may make a new one of it
 * as soon as it is deleted: so whoever deletes has it to himself, and whoever has it looks whose it
 * is.
 */
#pragma once

#include "conntrack.h"

#define TAKE_TRIES 512

struct taking {
	struct http_judged *judged;
	int taken;
};

static long try_to_take(__u32 index __attribute__((unused)), void *context)
{
	struct taking *taking = context;

	taking->taken = !__sync_lock_test_and_set(&taking->judged->busy, 1);
	return taking->taken;
}

static __always_inline int occupy(struct http_judged *judged)
{
	struct taking taking = {.judged = judged};

	bpf_loop(TAKE_TRIES, try_to_take, &taking, 0);
	return taking.taken;
}

/* Of one that has been taken. */
static __always_inline void delete_record(const struct ct_key *key)
{
	bpf_map_delete_elem(&http_heads, key);
	bpf_map_delete_elem(&http_lines, key);
	bpf_map_delete_elem(&streams, key);
}

/* It is deleted now, or by who works on it. Returns 0 if now. */
static __always_inline int drop_record(struct http_judged *judged, const struct ct_key *key)
{
	judged->gone = 1;
	if (!occupy(judged))
		return 1;
	delete_record(key);
	return 0;
}

static __always_inline int is_record_of(const struct http_judged *judged, const struct ct_key *key)
{
	const __u64 *a = (const void *)&judged->key, *b = (const void *)key;

	for (__u32 i = 0; i < sizeof(*key) / sizeof(*a); i++)
		if (a[i] != b[i])
			return 0;
	return 1;
}

static __always_inline void vacate(struct http_judged *judged, const struct ct_key *key)
{
	__sync_lock_test_and_set(&judged->busy, 0);
	if (judged->gone && !__sync_lock_test_and_set(&judged->busy, 1))
		delete_record(key);
}
