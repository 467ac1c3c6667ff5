/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* Map definitions only. Names are at most 15 characters and are the pin names. */
#pragma once

#include "abi.h"
#include <bpf/bpf_helpers.h>
#include <linux/bpf.h>

#define MAP(name, kind, key_type, value_type, entries, flag_bits)                                  \
	struct {                                                                                   \
		__uint(type, BPF_MAP_TYPE_##kind);                                                 \
		__uint(max_entries, entries);                                                      \
		__uint(map_flags, flag_bits);                                                      \
		__type(key, key_type);                                                             \
		__type(value, value_type);                                                         \
	} name SEC(".maps")

/* Derived: rebuilt from the world at any time. */
MAP(endpoints, HASH, struct addr, struct endpoint, LIMIT_ENDPOINTS, BPF_F_NO_PREALLOC);
MAP(ipcache, LPM_TRIE, struct ipcache_key, struct ipcache_entry, LIMIT_IPCACHE, BPF_F_NO_PREALLOC);
MAP(policy, LPM_TRIE, struct policy_key, struct policy_entry, LIMIT_POLICY, BPF_F_NO_PREALLOC);
MAP(fqdns, LPM_TRIE, struct fqdn_key, struct fqdn_node, LIMIT_FQDNS, BPF_F_NO_PREALLOC);
MAP(globs, HASH, __u32, struct glob, LIMIT_GLOBS, BPF_F_NO_PREALLOC);
MAP(dns_rules, HASH, __u32, struct dns_rules, LIMIT_DNS_RULES, BPF_F_NO_PREALLOC);
MAP(services, HASH, struct service_key, struct service, LIMIT_SERVICES, BPF_F_NO_PREALLOC);
MAP(slots, HASH, struct slot_key, struct slot, LIMIT_SLOTS, BPF_F_NO_PREALLOC);
MAP(backends, HASH, __u64, struct backend, LIMIT_BACKENDS, BPF_F_NO_PREALLOC);
MAP(source_ranges, LPM_TRIE, struct source_range_key, struct source_range, LIMIT_SOURCE_RANGES,
    BPF_F_NO_PREALLOC);
MAP(egress_gateway, LPM_TRIE, struct egress_key, struct egress_gateway, LIMIT_EGRESS_GATEWAY,
    BPF_F_NO_PREALLOC);
MAP(wires, HASH, __u32, struct wire, LIMIT_WIRES, BPF_F_NO_PREALLOC);
MAP(bandwidth, HASH, struct bandwidth_key, struct bandwidth, LIMIT_BANDWIDTH, BPF_F_NO_PREALLOC);
MAP(http_rules, LPM_TRIE, struct http_rule_key, struct http_rule, LIMIT_HTTP_RULES,
    BPF_F_NO_PREALLOC);
MAP(http_headers, HASH, struct http_header_key, struct http_header, LIMIT_HTTP_HEADERS,
    BPF_F_NO_PREALLOC);
MAP(state, ARRAY, __u32, struct state, 1, 0);

/* State: outlives agents and programs. */
MAP(conntrack, LRU_HASH, struct ct_key, struct ct_entry, LIMIT_CONNTRACK, 0);
MAP(nat, LRU_HASH, struct nat_key, struct nat_entry, LIMIT_NAT, 0);
MAP(fragments, LRU_HASH, struct fragment_key, struct fragment, LIMIT_FRAGMENTS, 0);
MAP(affinity, LRU_HASH, struct affinity_key, struct affinity, LIMIT_AFFINITY, 0);
MAP(sock_nat, LRU_HASH, struct sock_nat_key, struct sock_nat, LIMIT_SOCK_NAT, 0);
MAP(buckets, LRU_HASH, struct bandwidth_key, struct bucket, LIMIT_BUCKETS, 0);

/* What workloads hear of DNS. Each makes room among its own: LRU would take it from others. */
MAP(hearers, HASH, __u32, struct hearer, LIMIT_HEARERS, BPF_F_NO_PREALLOC);
MAP(dns_learned, HASH, struct learned_key, struct learned, LIMIT_LEARNED, BPF_F_NO_PREALLOC);
MAP(dns_learned_at, HASH, struct hearer_place, struct addr, LIMIT_LEARNED, BPF_F_NO_PREALLOC);
MAP(dns_names, HASH, struct hearer_place, struct dns_named, LIMIT_NAMES, BPF_F_NO_PREALLOC);
MAP(dns_numbers, HASH, struct number_key, __u64, LIMIT_NAMES, BPF_F_NO_PREALLOC);
MAP(dns_asked, HASH, struct asked_key, struct asked, LIMIT_ASKED, BPF_F_NO_PREALLOC);
MAP(dns_talks, HASH, struct asked_key, struct dns_talk, LIMIT_DNS_TALKS, BPF_F_NO_PREALLOC);
MAP(dns_asked_at, HASH, struct hearer_place, struct asked_key, LIMIT_ASKED + LIMIT_DNS_TALKS,
    BPF_F_NO_PREALLOC);

/* Connections whose HTTP is judged, and what is kept of heads that are not complete yet. */
MAP(streams, HASH, struct ct_key, struct http_judged, LIMIT_STREAMS, BPF_F_NO_PREALLOC);
MAP(http_heads, HASH, struct ct_key, struct http_held, LIMIT_HTTP_HEADS, BPF_F_NO_PREALLOC);
MAP(http_lines, HASH, struct ct_key, struct http_lines, LIMIT_HTTP_LINES, BPF_F_NO_PREALLOC);

/* Others whose requests are told of, and what was counted. */
MAP(talks, LRU_HASH, struct ct_key, struct http_talk, LIMIT_TALKS, 0);
MAP(http_counts, PERCPU_HASH, struct http_count_key, struct http_count, LIMIT_HTTP_COUNTS,
    BPF_F_NO_PREALLOC);

/* Those whose start of TLS comes in pieces. */
MAP(hellos, LRU_HASH, struct ct_key, struct hello, LIMIT_HELLOS, 0);

/* Those of HTTP/2, fields that they may repeat, and what is told of a request that waits. */
MAP(h2_talks, LRU_HASH, struct ct_key, struct h2_talk, LIMIT_H2_TALKS, 0);
MAP(h2_fields, LRU_HASH, struct hpack_key, struct hpack_value, LIMIT_H2_FIELDS, 0);
MAP(h2_requests, LRU_HASH, struct h2_request_key, struct http_event, LIMIT_H2_REQUESTS, 0);

/*
 * Local TCP that goes from socket to socket: the sockets, what is known of both ends, and under
 * which number the node has the network namespace behind an interface.
 */
MAP(short_sockets, SOCKHASH, struct short_key, __u32, 2 * LIMIT_SHORTS, 0);
MAP(shorts, LRU_HASH, struct ct_key, struct short_pair, LIMIT_SHORTS, 0);
MAP(short_senders, SK_STORAGE, int, struct short_sender, 0, BPF_F_NO_PREALLOC);
MAP(homes, HASH, __u32, __u32, LIMIT_HOMES, BPF_F_NO_PREALLOC);

/* Only filled while sockets are swept: what vanished, and the key that it had in backends. */
MAP(gone, HASH, struct gone_key, __u64, LIMIT_GONE, BPF_F_NO_PREALLOC);

/* Telemetry. */
MAP(reasons, PERCPU_ARRAY, __u32, struct counter, REASON_MAX, 0);
/* Directions of connections that have gone over to the interface, by enum short_end. */
MAP(short_ends, PERCPU_ARRAY, __u32, struct counter, SHORT_END_MAX, 0);
MAP(rules, PERCPU_HASH, __u32, struct counter, LIMIT_RULES, BPF_F_NO_PREALLOC);

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, LIMIT_EVENT_BYTES);
} events SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, LIMIT_REQUEST_BYTES);
} requests SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, LIMIT_QUESTION_BYTES);
} questions SEC(".maps");

/* events_lost counts, per CPU, what did not fit into the ring. */
MAP(events_lost, PERCPU_ARRAY, __u32, __u64, 1, 0);
