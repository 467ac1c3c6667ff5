/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/*
 * The start of TLS (RFC 8446, 4.1.2): which server's name (RFC 6066) and which protocols (RFC 7301)
 * a client asks for. It may come in any number of packets, in order, but in one record.
 */
#pragma once

#include "segment.h"

#define HELLO_HANDSHAKE 22
#define HELLO_MAJOR 3
#define HELLO_CLIENT 1
#define HELLO_HEADS 9	 /* of record and handshake */
#define HELLO_SESSION 43 /* these, version 2, random 32 */
#define HELLO_STEPS 2048 /* bytes that are looked at, of a packet */
#define HELLO_SERVER_NAME 0
#define HELLO_PROTOCOLS 16

enum hello_step {
	HELLO_AT_SESSION = 0,
	HELLO_AT_CIPHERS = 1,
	HELLO_AT_COMPRESSION = 2,
	HELLO_AT_EXTENSIONS = 3,
	HELLO_AT_KIND = 4,
	HELLO_AT_SIZE = 5,
	HELLO_AT_NAME_SIZE = 6,
	HELLO_IN_NAME = 7,
	HELLO_IN_PROTOCOLS = 8,
	HELLO_READ = 9,
};

struct hello_packet {
	struct __sk_buff *skb;
	struct hello *hello;
	__u32 at, left;
};

static __always_inline void hello_extension(struct hello *hello)
{
	hello->step = hello->rest >= 4 ? HELLO_AT_KIND : HELLO_READ;
}

/* Of an extension; its text is taken if all of it can be kept. */
static __always_inline void hello_size(struct hello *hello, __u32 size)
{
	if (size + 4 > hello->rest) {
		hello->step = HELLO_READ;
		return;
	}
	hello->rest -= size + 4;
	hello->size = size;
	if (hello->kind == HELLO_SERVER_NAME && size > 5) {
		hello->skip = 3;
		hello->step = HELLO_AT_NAME_SIZE;
	} else if (hello->kind == HELLO_PROTOCOLS && size > 2 && size <= HTTP_PATH_KEPT + 2) {
		hello->skip = 2;
		hello->size -= 2;
		hello->path_length = 0;
		hello->step = HELLO_IN_PROTOCOLS;
	} else {
		hello->skip = size;
		hello_extension(hello);
	}
}

static __always_inline void hello_name_size(struct hello *hello, __u32 size)
{
	__u32 room = hello->size - 5;

	if (!size || size > HTTP_HOST_KEPT || size > room) {
		hello->skip = room;
		hello_extension(hello);
		return;
	}
	hello->size = size;
	hello->behind = room - size;
	hello->host_length = 0;
	hello->step = HELLO_IN_NAME;
}

static __always_inline void hello_number(struct hello *hello, __u32 number)
{
	switch (hello->step) {
	case HELLO_AT_EXTENSIONS:
		hello->rest = number;
		hello_extension(hello);
		break;
	case HELLO_AT_KIND:
		hello->kind = number;
		hello->step = HELLO_AT_SIZE;
		break;
	case HELLO_AT_SIZE:
		hello_size(hello, number);
		break;
	case HELLO_AT_NAME_SIZE:
		hello_name_size(hello, number);
		break;
	default:
		hello->skip = number;
		hello->step++;
	}
}

static __always_inline void hello_text(struct hello *hello, __u8 byte)
{
	__u32 place = hello->step == HELLO_IN_NAME ? hello->host_length : hello->path_length;

	barrier_var(place);
	if (hello->step == HELLO_IN_NAME) {
		if (place < sizeof(hello->host))
			hello->host[place] = byte;
		hello->host_length = place + 1;
	} else {
		if (place < sizeof(hello->path))
			hello->path[place] = byte;
		hello->path_length = place + 1;
	}
	if (--hello->size)
		return;
	if (hello->step == HELLO_IN_NAME)
		hello->skip = hello->behind;
	hello_extension(hello);
}

static __always_inline void hello_byte(struct hello *hello, __u8 byte)
{
	__u32 number = (__u32)hello->high << 8 | byte;
	int is_short = hello->step == HELLO_AT_SESSION || hello->step == HELLO_AT_COMPRESSION;

	if (hello->step >= HELLO_IN_NAME) {
		hello_text(hello, byte);
		return;
	}
	if (!is_short && !hello->half) {
		hello->half = 1;
		hello->high = byte;
		return;
	}
	hello->half = 0;
	hello->high = 0;
	hello_number(hello, number);
}

static long hello_next(__u32 index __attribute__((unused)), void *context)
{
	struct hello_packet *packet = context;
	struct hello *hello = packet->hello;
	__u32 taken = 1;
	__u8 byte = 0;

	if (!packet->left || hello->step == HELLO_READ)
		return 1;
	if (hello->skip) {
		taken = hello->skip < packet->left ? hello->skip : packet->left;
		hello->skip -= taken;
	} else if (bpf_skb_load_bytes(packet->skb, packet->at, &byte, 1)) {
		return 1;
	} else {
		hello_byte(hello, byte);
	}
	packet->at += taken;
	packet->left -= taken;
	return 0;
}

/* Of a text that is not whole nothing is told. */
static __always_inline void hello_give_up(struct hello *hello)
{
	if (hello->step == HELLO_IN_NAME)
		hello->host_length = 0;
	if (hello->step == HELLO_IN_PROTOCOLS)
		hello->path_length = 0;
	hello->step = HELLO_READ;
}

/* Reads what is new in a packet. Returns 1 if nothing more is to come. */
static __noinline int hello_read(struct __sk_buff *skb, struct hello *hello,
				 const struct said *segment)
{
	__u32 from = hello->next - segment->seq;
	struct hello_packet packet = {.skb = skb, .hello = hello};

	if ((__s32)from < 0) {
		hello_give_up(hello);
		return 1;
	}
	if (from >= segment->size)
		return 0;
	packet.at = segment->at + from;
	packet.left = segment->size - from;
	hello->next = segment->seq + segment->size;
	bpf_loop(HELLO_STEPS, hello_next, &packet, 0);
	if (packet.left)
		hello_give_up(hello);
	return hello->step == HELLO_READ;
}

/* `heads` are the first bytes of a connection. Returns whether a record bears all of a hello. */
static __always_inline int hello_begin(struct hello *hello, const __u8 *heads, __u32 seq)
{
	__u32 record = heads[3] << 8 | heads[4];
	__u32 size = heads[6] << 16 | heads[7] << 8 | heads[8];

	__builtin_memset(hello, 0, sizeof(*hello));
	hello->next = seq;
	hello->skip = HELLO_SESSION;
	return heads[5] == HELLO_CLIENT && size + 4 <= record;
}
