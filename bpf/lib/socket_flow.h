/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* The flow of a socket's connection, as contexts of socket programs tell its ends. */
#pragma once

#include "addr.h"

#define AF_INET 2

#define PORT_OF_local(context) bpf_htons((context)->local_port)
#define PORT_OF_remote(context) ((context)->remote_port >> 16)

/* Each field by a load of its own, which volatile holds to: no context takes another. */
#define ADDR_OF(context, end)                                                                      \
	({                                                                                         \
		const volatile typeof(*(context)) *_of = (context);                                \
		struct addr _addr = addr_v4(_of->end##_ip4);                                       \
                                                                                                   \
		if (_of->family != AF_INET) {                                                      \
			_addr.word[0] = _of->end##_ip6[0];                                         \
			_addr.word[1] = _of->end##_ip6[1];                                         \
			_addr.word[2] = _of->end##_ip6[2];                                         \
			_addr.word[3] = _of->end##_ip6[3];                                         \
		}                                                                                  \
		_addr;                                                                             \
	})

/* `from` and `to` are local and remote, or the other way round. */
#define FLOW_OF_SOCKET(flow, context, from, to)                                                    \
	do {                                                                                       \
		(flow)->proto = IPPROTO_TCP;                                                       \
		(flow)->src = ADDR_OF(context, from);                                              \
		(flow)->dst = ADDR_OF(context, to);                                                \
		(flow)->sport = PORT_OF_##from(context);                                           \
		(flow)->dport = PORT_OF_##to(context);                                             \
	} while (0)
