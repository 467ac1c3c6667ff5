/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/*
 * The bandwidth of workloads: a token bucket a direction, kept as the time until which what has
 * passed takes up the rate (GCRA, ITU-T I.371). One word, so that CPUs agree on it without a lock.
 */
#pragma once

#include "emit.h"
#include "judge.h"

#define TELL_NS SECOND_NS
#define TRIES 4

static __always_inline void tell_over_bandwidth(const struct flow *flow, __u32 bytes)
{
	struct verdict verdict = {.reason = REASON_OVER_BANDWIDTH};
	struct parties parties;

	locate(flow, &verdict, &parties);
	report(flow, &verdict, bytes, 0);
}

static __always_inline struct bucket *get_bucket(const struct bandwidth_key *key)
{
	struct bucket *bucket = bpf_map_lookup_elem(&buckets, key), full = {};

	if (bucket)
		return bucket;
	bpf_map_update_elem(&buckets, key, &full, BPF_NOEXIST);
	return bpf_map_lookup_elem(&buckets, key);
}

/* Whether the packet passes; then it has been paid for. */
static __always_inline int pay(struct bucket *bucket, const struct bandwidth *limit, __u64 bits,
			       __u64 now)
{
	__u64 cost = bits * SECOND_NS / limit->bits_per_s;

	for (int i = 0; i < TRIES; i++) {
		__u64 paid = *(volatile __u64 *)&bucket->paid_ns;
		/* Signed: another CPU's clock may be ahead. */
		__u64 from = (__s64)(paid - now) > 0 ? paid : now;

		if (from - now > limit->burst_ns)
			return 0;
		if (__sync_val_compare_and_swap(&bucket->paid_ns, paid, from + cost) == paid)
			return 1;
	}
	return 1;
}

/* Then it is counted, and told once a second. Global: the verifier checks it once. */
__noinline int is_over_bandwidth(struct __sk_buff *skb, const struct flow *flow, __u32 ifindex,
				 __u32 direction)
{
	struct bandwidth_key key = {.ifindex = ifindex, .direction = direction};
	const struct state *state = current_state();
	const struct scratch *scratch = get_scratch();
	const struct bandwidth *limit;
	struct bucket *bucket;
	__u64 now;

	if (!flow || !state || !(state->flags & NODE_BANDWIDTH) || !scratch || scratch->paid)
		return 0;
	limit = bpf_map_lookup_elem(&bandwidth, &key);
	if (!limit)
		return 0;
	bucket = get_bucket(&key);
	now = bpf_ktime_get_ns();
	if (!bucket || pay(bucket, limit, (__u64)skb->len * 8, now))
		return 0;
	count(&reasons, REASON_OVER_BANDWIDTH, skb->len);
	if (now - bucket->told_ns > TELL_NS) {
		bucket->told_ns = now;
		tell_over_bandwidth(flow, skb->len);
	}
	return 1;
}

/*
 * Whether a packet falls over bandwidths that is to be read: once that is done it must not fall any
 * more, as it counts as given.
 */
__noinline int falls_unread(struct __sk_buff *skb, const struct flow *flow,
			    const struct verdict *verdict)
{
	const struct state *state = current_state();
	struct scratch *scratch = get_scratch();
	__u32 to;

	if (!flow || !verdict || !state || !scratch)
		return 1;
	scratch->paid = 0;
	if (!(state->flags & NODE_BANDWIDTH) || !verdict->judged)
		return 0;
	to = flow->hook == HOOK_TO_WORKLOAD ? flow->ifindex : verdict->dst_ifindex;
	if ((flow->hook == HOOK_FROM_WORKLOAD &&
	     is_over_bandwidth(skb, flow, flow->ifindex, DIRECTION_EGRESS)) ||
	    (to && is_over_bandwidth(skb, flow, to, DIRECTION_INGRESS)))
		return 1;
	scratch->paid = 1;
	return 0;
}
