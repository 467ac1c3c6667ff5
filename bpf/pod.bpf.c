/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* The packet rung: both tcx hooks of the node's side of every workload's veth pair. */
#include "lib/conntrack.h"
#include "lib/emit.h"
#include "lib/parse.h"
#include <linux/pkt_cls.h>

#define MAX_HEADERS 256

char LICENSE[] SEC("license") = "Dual BSD/GPL";

/* Global like track(): the verifier checks parser and policy one after the other. */
__noinline __u32 parse_skb(struct __sk_buff *skb, struct flow *flow)
{
	struct cursor cursor = {(void *)(long)skb->data, (void *)(long)skb->data_end};
	struct flow empty;
	__u32 reason;

	if (!flow)
		return REASON_MALFORMED;
	empty = *flow;
	reason = parse_frame(cursor, flow);

	if (reason != REASON_MALFORMED || cursor.end - cursor.pos >= MAX_HEADERS ||
	    cursor.end - cursor.pos >= skb->len)
		return reason;
	if (bpf_skb_pull_data(skb, skb->len < MAX_HEADERS ? skb->len : MAX_HEADERS))
		return reason;
	*flow = empty;
	cursor.pos = (void *)(long)skb->data;
	cursor.end = (void *)(long)skb->data_end;
	return parse_frame(cursor, flow);
}

/* Straight into the other workload's namespace, past the node's stack. */
static __always_inline int deliver(struct __sk_buff *skb, __u32 ifindex)
{
	static const __u8 macs[12] = {WORKLOAD_MAC, NODE_MAC};

	if (bpf_skb_store_bytes(skb, 0, macs, sizeof(macs), 0))
		return TC_ACT_SHOT;
	return bpf_redirect_peer(ifindex, 0);
}

static __always_inline void report(const struct flow *flow, const struct verdict *verdict,
				   __u32 bytes)
{
	struct event event = {
		.time_ns = bpf_ktime_get_ns(),
		.flow = *flow,
		.verdict = *verdict,
		.bytes = bytes,
	};

	report_verdict(&event);
}

static __always_inline int handle(struct __sk_buff *skb, __u32 hook)
{
	struct flow flow = {.ifindex = skb->ifindex, .hook = hook};
	struct verdict verdict = {};
	const struct state *now = current_state();
	__u32 reason = parse_skb(skb, &flow);

	if (!now)
		return TC_ACT_SHOT;
	if (!reason)
		reason = track(&flow, bpf_ktime_get_coarse_ns(), now->epoch, &verdict);
	verdict.reason = reason;
	count(&reasons, reason, skb->len);
	if (reason >= REASON_DROP || reason == REASON_ALLOWED)
		report(&flow, &verdict, skb->len);
	if (reason >= REASON_DROP)
		return TC_ACT_SHOT;
	if (hook == HOOK_FROM_WORKLOAD && verdict.dst_ifindex)
		return deliver(skb, verdict.dst_ifindex);
	return TC_ACT_OK;
}

SEC("tc")
int from_workload(struct __sk_buff *skb)
{
	return handle(skb, HOOK_FROM_WORKLOAD);
}

SEC("tc")
int to_workload(struct __sk_buff *skb)
{
	return handle(skb, HOOK_TO_WORKLOAD);
}
