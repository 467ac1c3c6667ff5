/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* The pure decisions, callable from tests: BPF_PROG_TEST_RUN on struct decide_args. */
#include "lib/balance.h"
#include "lib/conntrack.h"
#include "lib/dns.h"
#include "lib/http.h"
#include "lib/http_rules.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

static __always_inline void decide_balance(struct decide_args *args, const struct flow *flow)
{
	const struct service *service = find_service(&flow->dst, flow->dport, flow->proto);
	const struct slot *slot;

	if (!service)
		return;
	args->service = *service;
	slot = balance(&service->internal, args->draw[0], args->draw[1]);
	if (slot)
		args->slot = *slot;
}

/* A tc program, since SEC("syscall") ones may not use LPM tries; the packet is the argument. */
SEC("tc")
int decide(struct __sk_buff *skb)
{
	struct decide_args *args = (void *)(long)skb->data;
	const struct state *now = current_state();
	struct verdict verdict = {};
	struct flow flow;

	if (!now || (void *)(args + 1) > (void *)(long)skb->data_end)
		return -1;
	flow = args->flow;
	if (args->op == DECIDE_JUDGE)
		verdict.reason = judge(&flow, 0, flow.passed, &verdict);
	else if (args->op == DECIDE_TRACK)
		verdict.reason = track(&flow, args->now_ns, now->epoch, &verdict);
	else if (args->op == DECIDE_BALANCE)
		decide_balance(args, &flow);
	args->verdict = verdict;
	return 0;
}

/*
 * Reads a DNS message, and tells which selectors mean the name that it asks for. The packet is its
 * size and its bytes, and becomes a struct dns_message and the selectors, after their number.
 */
SEC("tc")
int read_dns(struct __sk_buff *skb)
{
	struct dns_scratch *dns = get_dns();
	struct matched *matched = get_matched();
	__u32 size;

	if (!dns || !matched || bpf_skb_load_bytes(skb, 0, &size, sizeof(size)))
		return -1;
	if (!size || size > NAME_MESSAGE)
		return -1;
	dns->size = size;
	if (bpf_skb_load_bytes(skb, sizeof(size), dns->message, size))
		return -1;
	matched->count = 0;
	if (read_message() == DNS_READ) {
		matched->known = dns->out.asked;
		match_name(matched, SCOPE_RULES, 0);
	}
	return bpf_skb_store_bytes(skb, 0, &dns->out, sizeof(dns->out), 0) ||
	       bpf_skb_store_bytes(skb, sizeof(dns->out), &matched->count,
				   __builtin_offsetof(struct matched, pos), 0);
}

MAP(_args, PERCPU_ARRAY, __u32, struct http_args, 1, 0);
MAP(_rule_key, PERCPU_ARRAY, __u32, struct http_rule_key, 1, 0);

static __noinline int judge_head(struct http_args *args)
{
	__u32 zero = 0;
	struct http_rule_key *key = bpf_map_lookup_elem(&_rule_key, &zero);
	const struct http_rule *rule = 0;

	if (args && key)
		rule = find_rule(key, &args->http, args->http.set);
	if (rule)
		args->allowed = is_allowed_by(rule, &args->http);
	return 0;
}

/* Reads the bytes of struct http_args until something has come to its end, and judges heads. */
SEC("tc")
int read_http(struct __sk_buff *skb)
{
	__u32 zero = 0;
	struct http_args *args = bpf_map_lookup_elem(&_args, &zero);
	struct http_block block = {};

	if (!args || bpf_skb_load_bytes(skb, 0, args, sizeof(*args)))
		return -1;
	block.http = &args->http;
	block.bytes = args->bytes;
	block.size = args->size;
	if (http_is_content(&args->http)) {
		args->used = http_skip(&args->http, args->size, &args->outcome);
	} else {
		http_read(&block);
		args->used = block.at;
		args->outcome = block.outcome;
	}
	args->allowed = 0;
	if (args->outcome == HTTP_HEAD && args->http.set)
		judge_head(args);
	return bpf_skb_store_bytes(skb, 0, args, sizeof(*args), 0);
}
