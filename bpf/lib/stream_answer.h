/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/*
 * A client's packet becomes what its server would have sent: an acknowledgement of a part that is
 * kept, or the refusal of a request with the end of the connection (RFC 9293, 3.4; RFC 7323, 3.2).
 */
#pragma once

#include "answer.h"
#include "segment.h"

#define TCP_PSH 0x08
#define STAMPS 0x0101080a /* behind two fillers */

#define STATUS_AT 9
#define SET_AT 91
#define SET_DIGITS 5
#define REFUSAL_SIZE 100

static const char refused_text[2][REFUSAL_SIZE + 1] = {
	"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\nConnection: close\r\n"
	"X-Denied-By: tulle, rule set 00000\r\n\r\n",
	"HTTP/1.1 400 Malformed\r\nContent-Length: 0\r\nConnection: close\r\n"
	"X-Denied-By: tulle, rule set 00000\r\n\r\n",
};

struct stamps {
	__be32 kind;
	__be32 value, echo;
};

/* What is said to the client. */
struct reply {
	__u32 seq, ack;
	__u16 window;
	__u16 status; /* of a refusal; 0: none */
	__u16 set;
	__u8 flags;
};

/* Of the new packet: all of it is a multiple of four bytes. */
struct replying {
	struct tcp_header tcp;
	struct stamps stamps;
	__u8 text[REFUSAL_SIZE];
	__u32 stamps_size, text_size, l3;
	union {
		struct iphdr ip4[2]; /* as it came, and as it goes back */
		struct ipv6hdr ip6[2];
	};
};

MAP(_replying, PERCPU_ARRAY, __u32, struct replying, 1, 0);

static __always_inline void put_refusal(struct replying *to, const struct reply *reply)
{
	__u16 set = reply->set;

	__builtin_memcpy(to->text, refused_text[reply->status != 403], REFUSAL_SIZE);
	for (int i = SET_DIGITS - 1; i >= 0; i--) {
		to->text[SET_AT + i] = '0' + set % 10;
		set /= 10;
	}
	to->text_size = REFUSAL_SIZE;
}

/* The client's own are newer than all that it has heard, and echo that. */
static __always_inline void put_stamps(struct __sk_buff *skb, __u32 tcp, __u8 words,
				       struct replying *to)
{
	struct stamps seen;

	if (words >> TCP_WORDS_SHIFT < (sizeof(to->tcp) + sizeof(seen)) / 4 ||
	    bpf_skb_load_bytes(skb, tcp + sizeof(to->tcp), &seen, sizeof(seen)) ||
	    seen.kind != bpf_htonl(STAMPS))
		return;
	to->stamps.kind = seen.kind;
	to->stamps.value = seen.echo;
	to->stamps.echo = seen.value;
	to->stamps_size = sizeof(seen);
}

static __always_inline int prepare(struct __sk_buff *skb, const struct said *segment,
				   const struct reply *reply, struct replying *to)
{
	struct tcp_header seen;

	__builtin_memset(to, 0, sizeof(*to));
	if (bpf_skb_load_bytes(skb, segment->tcp, &seen, sizeof(seen)))
		return 1;
	put_stamps(skb, segment->tcp, seen.words, to);
	if (reply->status)
		put_refusal(to, reply);
	to->tcp.ports.sport = seen.ports.dport;
	to->tcp.ports.dport = seen.ports.sport;
	to->tcp.seq = bpf_htonl(reply->seq);
	to->tcp.ack = bpf_htonl(reply->ack);
	to->tcp.words = (sizeof(to->tcp) + to->stamps_size) / 4 << TCP_WORDS_SHIFT;
	to->tcp.flags = reply->flags;
	to->tcp.window = bpf_htons(reply->window);
	return 0;
}

static __always_inline __u32 length_of(const struct replying *to)
{
	return sizeof(to->tcp) + to->stamps_size + to->text_size;
}

/* `sum` is the pseudo header's. */
static __always_inline int put_tcp(struct __sk_buff *skb, struct replying *to, __u64 sum)
{
	__u32 at = to->l3;

	sum += (__u32)bpf_csum_diff(0, 0, (void *)&to->tcp, sizeof(to->tcp), 0);
	if (to->stamps_size)
		sum += (__u32)bpf_csum_diff(0, 0, (void *)&to->stamps, sizeof(to->stamps), 0);
	if (to->text_size)
		sum += (__u32)bpf_csum_diff(0, 0, (void *)to->text, sizeof(to->text), 0);
	to->tcp.checksum = fold(sum);
	if (bpf_skb_store_bytes(skb, at, &to->tcp, sizeof(to->tcp), 0))
		return 1;
	at += sizeof(to->tcp);
	if (to->stamps_size) {
		if (bpf_skb_store_bytes(skb, at, &to->stamps, sizeof(to->stamps), 0))
			return 1;
		at += sizeof(to->stamps);
	}
	return to->text_size && bpf_skb_store_bytes(skb, at, to->text, sizeof(to->text), 0);
}

static __noinline int reply4(struct __sk_buff *skb, struct replying *to)
{
	struct iphdr *seen = &to->ip4[0], *ip = &to->ip4[1];
	__u32 length = length_of(to);

	if (load(skb, 0, seen, sizeof(*seen)))
		return 1;
	fill_ip4(seen, sizeof(*ip) + length, IPPROTO_TCP, ip);
	to->l3 = ETH_HLEN + sizeof(*ip);
	return bpf_skb_change_tail(skb, to->l3 + length, 0) ||
	       bpf_skb_store_bytes(skb, ETH_HLEN, ip, sizeof(*ip), 0) ||
	       put_tcp(skb, to, pseudo_header(&ip->saddr, 8, length, IPPROTO_TCP));
}

static __noinline int reply6(struct __sk_buff *skb, struct replying *to)
{
	struct ipv6hdr *seen = &to->ip6[0], *ip = &to->ip6[1];
	__u32 length = length_of(to);

	if (load(skb, 0, seen, sizeof(*seen)))
		return 1;
	fill_ip6(seen, length, IPPROTO_TCP, ip);
	to->l3 = ETH_HLEN + sizeof(*ip);
	return bpf_skb_change_tail(skb, to->l3 + length, 0) ||
	       bpf_skb_store_bytes(skb, ETH_HLEN, ip, sizeof(*ip), 0) ||
	       put_tcp(skb, to, pseudo_header(&ip->saddr, 32, length, IPPROTO_TCP));
}

/* Returns 0 if the packet is the answer now. */
static __noinline int become_reply(struct __sk_buff *skb, int v4, const struct said *segment,
				   const struct reply *reply)
{
	__u32 zero = 0;
	struct replying *to = bpf_map_lookup_elem(&_replying, &zero);

	if (!to || prepare(skb, segment, reply, to))
		return 1;
	return v4 ? reply4(skb, to) : reply6(skb, to);
}
