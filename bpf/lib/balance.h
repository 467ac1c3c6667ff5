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

/* On any address of any node, of the family of the address that was asked for. */
static __always_inline const struct service *find_node_port(const struct addr *asked, __be16 port,
							    __u8 proto)
{
	struct service_key key = {.port = port, .proto = proto};

	if (addr_is_mapped(asked))
		key.addr = addr_v4(0);
	return bpf_map_lookup_elem(&services, &key);
}

/* Weighted choice in constant time: Vose, "A linear algorithm for generating random numbers". */
static __always_inline const struct slot *balance(const struct table *table, __u32 draw,
						  __u32 second_draw)
{
	struct slot_key key = {
		.table = table->id,
		.position = (__u64)draw * table->slots >> 32,
	};
	const struct slot *slot = bpf_map_lookup_elem(&slots, &key);

	if (!slot || second_draw <= slot->keep)
		return slot;
	key.position = slot->alias;
	return bpf_map_lookup_elem(&slots, &key);
}

static __always_inline __u32 mix(__u32 hash, __u32 word)
{
	/* MurmurHash3's body and a good part of its finish: cheap, and every node's the same. */
	word *= 0xcc9e2d51;
	word = word << 15 | word >> 17;
	hash ^= word * 0x1b873593;
	hash = hash << 13 | hash >> 19;
	return hash * 5 + 0xe6546b64;
}

/* The same on every node, so that any of them sends a connection to the same backend. */
static __always_inline __u32 hash_flow(const struct flow *flow)
{
	__u32 hash = flow->proto;

	for (int i = 0; i < 4; i++)
		hash = mix(hash, bpf_ntohl(flow->src.word[i]));
	for (int i = 0; i < 4; i++)
		hash = mix(hash, bpf_ntohl(flow->dst.word[i]));
	hash = mix(hash, (__u32)bpf_ntohs(flow->sport) << 16 | bpf_ntohs(flow->dport));
	hash ^= hash >> 16;
	hash *= 0x85ebca6b;
	hash ^= hash >> 13;
	hash *= 0xc2b2ae35;
	return hash ^ hash >> 16;
}

/* The backend that this client had, if it still serves and the time has not run out. */
static __always_inline const struct backend *
remembered(const struct service *service, const struct affinity_key *key, __u64 now, __u64 *id)
{
	struct affinity *affine = bpf_map_lookup_elem(&affinity, key);
	const struct backend *backend;

	/* Signed: another CPU's clock may be a tick ahead. */
	if (!affine ||
	    (__s64)(now - affine->last_used_ns) > (__s64)(service->affinity_s * SECOND_NS))
		return 0;
	affine->last_used_ns = now;
	*id = affine->backend;
	backend = bpf_map_lookup_elem(&backends, id);
	return backend && backend->service == service->id ? backend : 0;
}

/* A backend for one client, and its number; false if there is none. */
static __always_inline int choose(const struct service *service, const struct table *table,
				  const struct addr *client, __u32 draw, __u64 now,
				  struct slot *chosen)
{
	struct affinity_key key = {.client = *client, .service = service->id};
	struct affinity kept = {.last_used_ns = now};
	const struct backend *backend;
	const struct slot *slot;
	__u32 second = service->flags & SERVICE_MAGLEV ? 0 : bpf_get_prandom_u32();

	if (service->flags & SERVICE_CLIENT_IP) {
		backend = remembered(service, &key, now, &chosen->backend);
		if (backend) {
			chosen->addr = backend->addr;
			chosen->port = backend->port;
			return 1;
		}
	}
	slot = balance(table, draw, second);
	if (!slot)
		return 0;
	chosen->backend = slot->backend;
	chosen->addr = slot->addr;
	chosen->port = slot->port;
	if (service->flags & SERVICE_CLIENT_IP) {
		kept.backend = slot->backend;
		bpf_map_update_elem(&affinity, &key, &kept, BPF_ANY);
	}
	return 1;
}
