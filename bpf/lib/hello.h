/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/*
 * The start of TLS (RFC 8446, 4.1.2): which server's name (RFC 6066) and which protocols (RFC 7301)
 * a client asks for, as far as that stands in its first packet.
 */
#pragma once

#include "../abi.h"
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#define HELLO_HANDSHAKE 22
#define HELLO_MAJOR 3
#define HELLO_SESSION 43 /* record 5, handshake 4, version 2, random 32 */
#define HELLO_EXTENSIONS 64
#define HELLO_SERVER_NAME 0
#define HELLO_PROTOCOLS 16

struct hello {
	struct __sk_buff *skb;
	struct http_stream *out;
	__u32 at, end;
};

static __always_inline __u32 hello_number(const struct hello *hello, __u32 at, __u32 size)
{
	__be16 two = 0;
	__u8 one = 0;

	if (at + size > hello->end)
		return 0;
	if (size == 1)
		return bpf_skb_load_bytes(hello->skb, at, &one, 1) ? 0 : one;
	return bpf_skb_load_bytes(hello->skb, at, &two, 2) ? 0 : bpf_ntohs(two);
}

/* The first name, at `at`, if all of it is at hand and there is room for it. */
static __always_inline void take_name(const struct hello *hello, __u32 at)
{
	__u32 size = hello_number(hello, at + 3, 2);

	barrier_var(size);
	if (size < 1 || size > HTTP_HOST_KEPT || at + 5 + size > hello->end ||
	    bpf_skb_load_bytes(hello->skb, at + 5, hello->out->host, size))
		return;
	hello->out->host_length = size;
}

static __always_inline void take_protocols(const struct hello *hello, __u32 at)
{
	__u32 size = hello_number(hello, at, 2);

	barrier_var(size);
	if (size < 1 || size > HTTP_PATH_KEPT || at + 2 + size > hello->end ||
	    bpf_skb_load_bytes(hello->skb, at + 2, hello->out->path, size))
		return;
	hello->out->path_length = size;
}

static long read_extension(__u32 index __attribute__((unused)), void *context)
{
	struct hello *hello = context;
	__u32 kind, size, at = hello->at + 4;

	if (at > hello->end)
		return 1;
	kind = hello_number(hello, hello->at, 2);
	size = hello_number(hello, hello->at + 2, 2);
	if (kind == HELLO_SERVER_NAME && size)
		take_name(hello, at);
	else if (kind == HELLO_PROTOCOLS)
		take_protocols(hello, at);
	hello->at = at + size;
	return 0;
}

/* Leaves the name in `host`, the protocols in `path`. */
static __always_inline void read_hello(struct __sk_buff *skb, __u32 at, __u32 size,
				       struct http_stream *out)
{
	struct hello hello = {.skb = skb, .out = out, .end = at + size};

	at += HELLO_SESSION;
	at += 1 + hello_number(&hello, at, 1); /* session id */
	at += 2 + hello_number(&hello, at, 2); /* ciphers */
	at += 1 + hello_number(&hello, at, 1); /* compression */
	hello.at = at + 2;
	bpf_loop(HELLO_EXTENSIONS, read_extension, &hello, 0);
}
