/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* Room for what a program works on. */
#pragma once

#include "../maps.h"

/* Where an address lives. */
struct whereabouts {
	struct addr node; /* zero: here, or outside of the mesh */
	__u32 flags;	  /* enum endpoint_flag */
	__u32 ifindex;
	__u32 prefix_flags; /* enum ipcache_flag */
	__u32 guarded;	    /* 1: a policy selects it, in some direction */
	__u32 is_service;   /* 1: nobody's but a service's */
};

/* Beside the stack of 512 bytes; one program at a time runs on a CPU. */
struct scratch {
	struct event event;
	struct flow before; /* a translation */
	struct nat_entry entry;
	struct addr source;
	struct bpf_fib_lookup fib;
	struct whereabouts where; /* the packet goes to */
	struct slot chosen;
	struct verdict verdict;
	__u32 paid; /* 1: the packet has been counted against bandwidths */
};

/* Private to its object, as the underscore says: no part of the border. */
MAP(_scratch, PERCPU_ARRAY, __u32, struct scratch, 1, 0);

static __always_inline struct scratch *get_scratch(void)
{
	__u32 zero = 0;

	return bpf_map_lookup_elem(&_scratch, &zero);
}
