/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* Which rule of a set allows a request whose head is complete. */
#pragma once

#include "../maps.h"

/* All that meet the path, in a key whose room is the caller's. */
static __always_inline const struct http_rule *find_rule(struct http_rule_key *key,
							 const struct http_stream *http, __u16 set)
{
	key->prefixlen = 32 + 8 * HTTP_PATH_KEPT;
	key->set = set;
	__builtin_memcpy(key->path, http->path, sizeof(key->path));
	if (http->path_length < HTTP_PATH_KEPT)
		key->path[http->path_length & (HTTP_PATH_KEPT - 1)] = 0;
	return bpf_map_lookup_elem(&http_rules, key);
}

static __always_inline int is_met(const void *wanted, const void *found, __u32 words)
{
	const __u64 *a = wanted, *b = found;

	for (__u32 i = 0; i < words; i++)
		if (a[i] != b[i])
			return 0;
	return 1;
}

/* The request is the one that the choice is for; what is longer than what is kept is none's. */
static __always_inline int is_chosen(const struct http_choice *choice,
				     const struct http_stream *http)
{
	if (choice->headers & ~(http->met & ~http->spoilt))
		return 0;
	if (choice->method[0] && !is_met(choice->method, http->method, sizeof(http->method) / 8))
		return 0;
	if (!choice->host[0])
		return 1;
	return http->host_length <= HTTP_HOST_KEPT &&
	       is_met(choice->host, http->host, sizeof(http->host) / 8);
}

static __always_inline int is_allowed_by(const struct http_rule *rule, struct http_stream *http)
{
	for (__u32 i = 0; i < HTTP_CHOICES; i++) {
		if (i >= rule->choices)
			break;
		if (is_chosen(&rule->choice[i], http)) {
			http->rule = rule->choice[i].rule;
			return 1;
		}
	}
	return 0;
}
