/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* What the short circuit reads of the kernel's own: sockets, their queues, the call that sends. */
#pragma once

#include <bpf/bpf_core_read.h>
#include <bpf/bpf_helpers.h>
#include <linux/types.h>

#define KERNEL_TYPE __attribute__((preserve_access_index))

struct list_head {
	struct list_head *next;
} KERNEL_TYPE;

struct sk_psock_progs {
	void *stream_verdict;
	void *skb_verdict;
} KERNEL_TYPE;

struct sk_psock {
	struct sk_psock_progs progs;
	struct list_head ingress_msg;
} KERNEL_TYPE;

typedef struct {
	int counter;
} KERNEL_TYPE atomic_t;

struct sock_common {
	unsigned char skc_state;
} KERNEL_TYPE;

struct file {
	unsigned int f_flags;
} KERNEL_TYPE;

struct socket {
	struct file *file;
} KERNEL_TYPE;

struct sock {
	struct sock_common __sk_common;
	struct {
		atomic_t rmem_alloc;
	} sk_backlog;
	int sk_rcvbuf;
	int sk_rcvlowat;
	__u8 sk_shutdown;
	void *sk_user_data;
	struct socket *sk_socket;
} KERNEL_TYPE;

struct tcp_sock {
	__u32 copied_seq;
	__u32 write_seq;
} KERNEL_TYPE;

struct inet_connection_sock {
	void *icsk_ulp_ops; /* TLS in the kernel, say */
} KERNEL_TYPE;

struct thread_info {
	__u32 status;
} KERNEL_TYPE;

struct task_struct {
	struct thread_info thread_info;
	unsigned int flags;
} KERNEL_TYPE;

struct pt_regs___x86 {
	unsigned long r10, dx, orig_ax;
} KERNEL_TYPE;

extern void *bpf_rdonly_cast(const void *object, __u32 type) __ksym;

/* Faults read as zeros; whether it still is what it was is for the caller to find out. */
#define KERNEL_OBJECT(type, address)                                                               \
	((const struct type *)bpf_rdonly_cast((void *)(address),                                   \
					      bpf_core_type_id_kernel(struct type)))

#define SOCK(address) KERNEL_OBJECT(sock, address)
#define TCP_SOCK(address) KERNEL_OBJECT(tcp_sock, address)

#define HAS_ULP(address) (KERNEL_OBJECT(inet_connection_sock, address)->icsk_ulp_ops != 0)

#define O_NONBLOCK 04000

/*
 * A reader that waits in the kernel would be woken for nothing there, and told EAGAIN, or given
 * less than MSG_WAITALL asks for.
 */
static __always_inline int is_nonblocking(const struct sock *sock)
{
	return sock->sk_socket->file->f_flags & O_NONBLOCK && sock->sk_rcvlowat <= 1;
}

/* A sockmap's, whose address bears flags in its lowest bits. */
static __always_inline const struct sk_psock *psock_of(const struct sock *sock)
{
	return KERNEL_OBJECT(sk_psock, (__u64)sock->sk_user_data & ~7ULL);
}

/* Messages that wait in the queue, up to `most`. */
static __always_inline __u32 count_queued(const struct sk_psock *psock, __u32 most)
{
	__u64 head = (__u64)psock + bpf_core_field_offset(struct sk_psock, ingress_msg);
	__u64 next = (__u64)psock->ingress_msg.next;
	__u32 found = 0;

	for (; found < most; found++) {
		if (!next || next == head)
			break;
		next = (__u64)KERNEL_OBJECT(list_head, next)->next;
	}
	return found;
}

/* include/linux/sched.h, arch/x86/include/asm/thread_info.h, include/linux/socket.h */
#define PF_WORKER (0x00000010 | 0x00004000 | 0x00200000) /* IO_WORKER, USER_WORKER, KTHREAD */
#define TS_COMPAT 0x0002
#define MSG_PLAIN (0x40 | 0x4000 | 0x8000) /* DONTWAIT, NOSIGNAL, MORE */

/*
 * The caller sends bytes and nothing else: no urgent ones, no pages of his own. A message does not
 * tell, so his call is asked. x86-64 only.
 */
static __always_inline int is_plain_call(void)
{
	const struct task_struct *task = (void *)bpf_get_current_task_btf();
	const struct pt_regs___x86 *regs;

	if (!bpf_core_field_exists(struct pt_regs___x86, orig_ax) || task->flags & PF_WORKER ||
	    task->thread_info.status & TS_COMPAT)
		return 0;
	regs = (void *)bpf_task_pt_regs((void *)task);
	switch (regs->orig_ax) {
	case 1:	 /* write */
	case 20: /* writev */
		return 1;
	case 44: /* sendto */
		return !(regs->r10 & ~(__u64)MSG_PLAIN);
	case 46: /* sendmsg */
		return !(regs->dx & ~(__u64)MSG_PLAIN);
	}
	return 0;
}
