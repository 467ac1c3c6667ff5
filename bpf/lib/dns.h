/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/*
 * A reader of DNS messages (RFC 1035): bytes in, struct dns_message out, and nothing else. A name
 * is followed byte by byte, backwards only where it is compressed, and a bounded number of times.
 */
#pragma once

#include "../maps.h"
#include "addr.h"
#include <linux/bpf.h>

#define DNS_HEADER 12
#define DNS_RECORD 10 /* type, class, time to live, length */
#define DNS_ANSWER 0x8000
#define DNS_OPCODE 0x7800
#define DNS_RCODE 0x000f
#define DNS_POINTER 0xc0
#define DNS_LONGEST 254 /* text of a name: what is on the wire but the root */
#define DNS_IN 1
#define DNS_A 1
#define DNS_CNAME 5
#define DNS_AAAA 28
#define DNS_ANY 255
#define DNS_STEPS 300 /* bytes of a name and pointers that it follows */
#define NAME_WORDS (NAME_TEXT / 8)

/* Where a name that is being read stands; `text` is its front-to-back form. */
struct dns_cursor {
	__u32 pos;
	__u32 base;   /* pointers must lead before this */
	__u32 end;    /* behind the name, where it was first met */
	__u32 left;   /* of the label */
	__u32 length; /* of the text */
	__u32 labels;
	__u32 jumps;
	__u32 odd;
	__u32 done;
	__u32 pad;
	__u64 text[NAME_WORDS];
};

struct dns_scratch {
	struct dns_message out;
	struct dns_cursor cursor;
	__u64 chain[NAME_WORDS]; /* the name whose addresses are meant */
	__u32 chain_length;
	__u32 chain_lost; /* 1: an alias that nobody can speak of */
	__u32 chain_ttl_s;
	__u32 next; /* where the next record begins */
	__u32 bad;
	__u32 size;
	__u32 l4; /* for who has the packet */
	__u32 pad;
	struct asked asked;
	struct asked_key question;
	struct learned_key key;
	struct learned_key old;
	struct learned fresh;
	struct number_key numbered;
	struct dns_named named;
	struct hearer hearer;
	__u64 latest_ns; /* of what an answer teaches */
	__u64 swept_ns;	 /* when questions were forgotten for want of room */
	__u8 message[NAME_MESSAGE];
};

MAP(_dns, PERCPU_ARRAY, __u32, struct dns_scratch, 1, 0);

static __always_inline struct dns_scratch *get_dns(void)
{
	__u32 zero = 0;

	return bpf_map_lookup_elem(&_dns, &zero);
}

static __always_inline __u8 dns_byte(const struct dns_scratch *dns, __u32 at)
{
	return dns->message[at & (NAME_MESSAGE - 1)];
}

static __always_inline __u16 dns_u16(const struct dns_scratch *dns, __u32 at)
{
	return dns_byte(dns, at) << 8 | dns_byte(dns, at + 1);
}

static __always_inline __u32 dns_u32(const struct dns_scratch *dns, __u32 at)
{
	return (__u32)dns_u16(dns, at) << 16 | dns_u16(dns, at + 2);
}

/* What Cilium lets a name be made of. */
static __always_inline int is_plain(__u8 byte)
{
	return (byte >= 'a' && byte <= 'z') || (byte >= '0' && byte <= '9') || byte == '-' ||
	       byte == '_';
}

static __always_inline void put_text(struct dns_cursor *cursor, __u8 byte)
{
	((__u8 *)cursor->text)[cursor->length & (NAME_TEXT - 1)] = byte;
	cursor->length++;
}

static __always_inline void take_character(struct dns_cursor *cursor, __u8 byte)
{
	if (byte >= 'A' && byte <= 'Z')
		byte += 'a' - 'A';
	if (!is_plain(byte))
		cursor->odd = 1;
	put_text(cursor, byte);
	cursor->pos++;
	if (!--cursor->left)
		put_text(cursor, '.');
}

/* 1 if that leads nowhere. Only backwards: a name cannot go round. */
static __always_inline int take_pointer(const struct dns_scratch *dns, struct dns_cursor *cursor)
{
	__u32 target = dns_u16(dns, cursor->pos) & 0x3fff;

	if (cursor->pos + 1 >= dns->size || target >= cursor->base || target < DNS_HEADER ||
	    cursor->jumps >= NAME_POINTERS)
		return 1;
	if (!cursor->jumps)
		cursor->end = cursor->pos + 2;
	cursor->jumps++;
	cursor->base = target;
	cursor->pos = target;
	return 0;
}

/* The root's label: a name ends. */
static __always_inline void take_root(struct dns_cursor *cursor)
{
	if (!cursor->jumps)
		cursor->end = cursor->pos + 1;
	cursor->done = 1;
}

static long name_step(__u64 index UNUSED, void *unused UNUSED)
{
	struct dns_scratch *dns = get_dns();
	struct dns_cursor *cursor;
	__u8 byte;

	if (!dns)
		return 1;
	cursor = &dns->cursor;
	if (cursor->pos >= dns->size)
		return 1;
	byte = dns_byte(dns, cursor->pos);
	if (cursor->left) {
		take_character(cursor, byte);
		return 0;
	}
	if ((byte & DNS_POINTER) == DNS_POINTER)
		return take_pointer(dns, cursor);
	if (byte & DNS_POINTER)
		return 1;
	if (!byte) {
		take_root(cursor);
		return 1;
	}
	if (cursor->length + byte + 1 > DNS_LONGEST)
		return 1;
	cursor->left = byte;
	cursor->labels++;
	cursor->pos++;
	return 0;
}

/* Into dns->cursor; 1 if there is no whole name. */
__noinline int read_name(__u32 at)
{
	struct dns_scratch *dns = get_dns();

	if (!dns)
		return 1;
	__builtin_memset(&dns->cursor, 0, sizeof(dns->cursor));
	dns->cursor.pos = at;
	dns->cursor.base = at;
	bpf_loop(DNS_STEPS, name_step, 0, 0);
	return !dns->cursor.done;
}

static __always_inline int is_chain(const struct dns_scratch *dns)
{
	__u64 differs = dns->chain_lost | dns->cursor.odd;

	for (int i = 0; i < NAME_WORDS; i++)
		differs |= dns->chain[i] ^ dns->cursor.text[i];
	return !differs && dns->chain_length == dns->cursor.length;
}

static __always_inline void set_chain(struct dns_scratch *dns)
{
	for (int i = 0; i < NAME_WORDS; i++)
		dns->chain[i] = dns->cursor.text[i];
	dns->chain_length = dns->cursor.length;
	dns->chain_lost = dns->cursor.odd;
}

static __always_inline void add_address(struct dns_scratch *dns, __u32 at, int v4)
{
	struct dns_address *address;
	__u32 words[4] = {0, 0, bpf_htonl(0xffff), 0};

	if (dns->out.found >= NAME_ADDRESSES)
		return;
	address = &dns->out.addresses.item[dns->out.found & (NAME_ADDRESSES - 1)];
	words[3] = bpf_htonl(dns_u32(dns, v4 ? at : at + 12));
	for (int i = 0; i < 3 && !v4; i++)
		words[i] = bpf_htonl(dns_u32(dns, at + i * 4));
	for (int i = 0; i < 4; i++)
		address->addr.word[i] = words[i];
	address->ttl_s = dns->chain_ttl_s;
	dns->out.found++;
}

static __always_inline void lower_ttl(struct dns_scratch *dns, __u32 ttl_s)
{
	/* RFC 2181, 8: what has the first bit set counts as 0. */
	if (ttl_s >> 31)
		ttl_s = 0;
	if (ttl_s < dns->chain_ttl_s)
		dns->chain_ttl_s = ttl_s;
}

/* An address has a time of its own: that of those before it does not count. */
static __always_inline void take_address(struct dns_scratch *dns, __u32 at, __u32 ttl_s, int v4)
{
	__u32 chain_ttl_s = dns->chain_ttl_s;

	lower_ttl(dns, ttl_s);
	add_address(dns, at, v4);
	dns->chain_ttl_s = chain_ttl_s;
}

/* A record of the name that is meant. 1 if it is malformed. */
static __always_inline int take_record(struct dns_scratch *dns, __u16 type, __u32 ttl_s, __u32 at,
				       __u16 length)
{
	__u16 wanted = dns->out.qtype;

	if (type == DNS_CNAME) {
		if (read_name(at) || dns->cursor.end != at + length)
			return 1;
		set_chain(dns);
		lower_ttl(dns, ttl_s);
	} else if (type == DNS_A || type == DNS_AAAA) {
		if (length != (type == DNS_A ? 4 : 16))
			return 1;
		if (wanted == type || wanted == DNS_ANY)
			take_address(dns, at, ttl_s, type == DNS_A);
	}
	return 0;
}

static long record_step(__u64 index UNUSED, void *unused UNUSED)
{
	struct dns_scratch *dns = get_dns();
	__u16 type, class, length;
	__u32 at, ttl_s;

	if (!dns)
		return 1;
	dns->bad = 1;
	if (read_name(dns->next))
		return 1;
	at = dns->cursor.end;
	if (at + DNS_RECORD > dns->size)
		return 1;
	type = dns_u16(dns, at);
	class = dns_u16(dns, at + 2);
	ttl_s = dns_u32(dns, at + 4);
	length = dns_u16(dns, at + 8);
	at += DNS_RECORD;
	if (at + length > dns->size)
		return 1;
	dns->next = at + length;
	if (class == DNS_IN && is_chain(dns) && take_record(dns, type, ttl_s, at, length))
		return 1;
	dns->bad = 0;
	return 0;
}

static long reverse_step(__u64 index UNUSED, void *unused UNUSED)
{
	struct dns_scratch *dns = get_dns();
	__u32 last;

	if (!dns || index >= dns->cursor.length)
		return 1;
	/* The dot at the end stays there. */
	last = dns->cursor.length - 1;
	dns->out.asked.name.text.byte[index & (NAME_TEXT - 1)] =
		index == last ? '.'
			      : ((__u8 *)dns->cursor.text)[(last - 1 - index) & (NAME_TEXT - 1)];
	return 0;
}

/* 1 if there is none that is plain. */
static __always_inline int read_question(struct dns_scratch *dns)
{
	if (read_name(DNS_HEADER) || dns->cursor.end + 4 > dns->size)
		return 1;
	dns->out.qtype = dns_u16(dns, dns->cursor.end);
	dns->out.qclass = dns_u16(dns, dns->cursor.end + 2);
	dns->next = dns->cursor.end + 4;
	dns->out.asked.labels = dns->cursor.labels;
	dns->out.asked.name.bits = dns->cursor.length * 8;
	bpf_loop(NAME_TEXT, reverse_step, 0, 0);
	set_chain(dns);
	return 0;
}

/* dns->message, of dns->size bytes, into dns->out. */
__noinline int read_message(void)
{
	struct dns_scratch *dns = get_dns();
	__u16 answers;

	if (!dns)
		return DNS_BAD;
	__builtin_memset(&dns->out, 0, __builtin_offsetof(struct dns_message, addresses));
	dns->out.status = DNS_BAD;
	if (dns->size < DNS_HEADER)
		return DNS_BAD;
	dns->out.id = dns_u16(dns, 0);
	dns->out.flags = dns_u16(dns, 2);
	answers = dns_u16(dns, 6);
	if (dns->out.flags & DNS_OPCODE || dns_u16(dns, 4) != 1 || read_question(dns))
		return DNS_BAD;
	if (!(dns->out.flags & DNS_ANSWER)) {
		if (answers || dns_u16(dns, 8))
			return DNS_BAD;
	} else if (!(dns->out.flags & DNS_RCODE)) {
		if (answers > NAME_RECORDS)
			return DNS_BAD;
		dns->chain_ttl_s = NAME_CEILING_S;
		dns->bad = 0;
		dns->out.status = dns->chain_lost ? DNS_ODD : DNS_READ;
		bpf_loop(answers, record_step, 0, 0);
		if (!dns->bad)
			return dns->out.status;
		dns->out.found = 0;
		dns->out.status = DNS_BAD;
		return DNS_BAD;
	}
	dns->out.status = dns->chain_lost ? DNS_ODD : DNS_READ;
	return dns->out.status;
}
