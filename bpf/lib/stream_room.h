/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* What programs on sockets keep beside the stack. */
#pragma once

#include "conntrack.h"
#include "talk.h"

#define AF_INET 2

/* Beside the stack. */
struct room {
	__u8 bytes[HTTP_BLOCK + HTTP_WINDOW];
	struct http_rule_key key;
	struct flow flow;
	struct verdict verdict;
	struct ct_key ct_key;
	struct http_held held;
	struct http_stream stream;
	struct http_event event;
	struct http_talk talk;
	struct telling telling;
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

/* Bytes at hand, and how far they have been read. */
struct bytes {
	struct __sk_buff *skb;
	struct http_stream *http;
	struct room *room;
	__u64 cookie;
	__u32 size;
	__u32 read;
	__u32 passing; /* what is before that belongs to requests that are allowed */
	__u32 status;  /* of the answer that is due */
	int set;       /* number of the rules that judge them, once that has been asked */
	__u32 asked;
};
