/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* Choice of a backend. */
#pragma once

#include "../maps.h"
#include "addr.h"

static __always_inline const struct service *find_service(const struct addr *addr, __be16 port,
							  __u8 proto)
{
	struct service_key key = {.addr = *addr, .port = port, .proto = proto};

	return bpf_map_lookup_elem(&services, &key);
}

/* Weighted choice in constant time: Vose, "A linear algorithm for generating random numbers". */
static __always_inline const struct slot *balance(const struct service *service, __u32 draw,
						  __u32 second_draw)
{
	struct slot_key key = {
		.table = service->table,
		.position = (__u64)draw * service->slots >> 32,
	};
	const struct slot *slot = bpf_map_lookup_elem(&slots, &key);

	if (!slot || second_draw <= slot->keep)
		return slot;
	key.position = slot->alias;
	return bpf_map_lookup_elem(&slots, &key);
}

/* The backend that this client had, if it still serves and the time has not run out. */
static __always_inline const struct backend *remembered(const struct service *service,
							const struct affinity_key *key, __u64 now)
{
	struct affinity *affine = bpf_map_lookup_elem(&affinity, key);
	const struct backend *backend;

	/* Signed: another CPU's clock may be a tick ahead. */
	if (!affine ||
	    (__s64)(now - affine->last_used_ns) > (__s64)(service->affinity_s * SECOND_NS))
		return 0;
	affine->last_used_ns = now;
	backend = bpf_map_lookup_elem(&backends, &affine->backend);
	return backend && backend->service == service->id ? backend : 0;
}
