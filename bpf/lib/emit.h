/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* The one writer of counters and events. */
#pragma once

#include "scratch.h"

static __always_inline void count(void *map, __u32 key, __u32 bytes)
{
	struct counter *counter = bpf_map_lookup_elem(map, &key);

	if (counter) {
		counter->packets++;
		counter->bytes += bytes;
	}
}

static __always_inline void send_event(const struct event *event)
{
	__u32 zero = 0;
	__u64 *lost;

	/* The agent reads on its own clock: waking it per event costs more than the event. */
	if (!bpf_ringbuf_output(&events, (void *)event, sizeof(*event), BPF_RB_NO_WAKEUP))
		return;
	lost = bpf_map_lookup_elem(&events_lost, &zero);
	if (lost)
		(*lost)++;
}

/* A verdict was reached, as opposed to remembered. */
static __always_inline void report_verdict(const struct event *event)
{
	if (event->verdict.egress_rule)
		count(&rules, event->verdict.egress_rule, event->bytes);
	if (event->verdict.ingress_rule)
		count(&rules, event->verdict.ingress_rule, event->bytes);
	send_event(event);
}

static __always_inline void report(const struct flow *flow, const struct verdict *verdict,
				   __u32 bytes, __u32 service)
{
	struct scratch *scratch = get_scratch();

	if (!scratch)
		return;
	__builtin_memset(&scratch->event, 0, sizeof(scratch->event));
	scratch->event.time_ns = bpf_ktime_get_ns();
	scratch->event.flow = *flow;
	scratch->event.verdict = *verdict;
	scratch->event.bytes = bytes;
	scratch->event.service = service;
	report_verdict(&scratch->event);
}
