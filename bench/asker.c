/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/*
 * Asks a Redis server for one value of 64 bytes, again and again on each connection, or answers as
 * if it were one. It does next to nothing besides, so that the way weighs what it can.
 *
 * asker serve PORT
 * asker HOST PORT CONNECTIONS SECONDS
 *
 * The latter prints {"asked": how often, "seconds": in what time, "p50_us": the median of how long
 * one took}.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define VALUE "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
#define MOST 1024
#define STEP_NS 50 /* of the histogram */
#define STEPS 200000

static const char set[] = "*3\r\n$3\r\nSET\r\n$5\r\nvalue\r\n$64\r\n" VALUE "\r\n";
static const char get[] = "*2\r\n$3\r\nGET\r\n$5\r\nvalue\r\n";
static const char answer[] = "$64\r\n" VALUE "\r\n";
static long began[MOST];
static unsigned got[MOST], took[STEPS];

static void fail(const char *what)
{
	fprintf(stderr, "asker: %s: %s\n", what, strerror(errno));
	exit(1);
}

static long now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * 1000000000L + now.tv_nsec;
}

static void say(int peer, const char *what, size_t size)
{
	if (write(peer, what, size) != (ssize_t)size)
		fail("write");
}

static void add(int queue, int peer)
{
	struct epoll_event event = {.events = EPOLLIN, .data.fd = peer};
	int one = 1;

	if (peer < 0 || peer >= MOST)
		fail("too many connections");
	setsockopt(peer, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	fcntl(peer, F_SETFL, O_NONBLOCK);
	if (epoll_ctl(queue, EPOLL_CTL_ADD, peer, &event))
		fail("epoll_ctl");
}

static int open_one(const struct sockaddr_in *server)
{
	int peer = socket(AF_INET, SOCK_STREAM, 0);
	char buffer[256];

	if (connect(peer, (const void *)server, sizeof(*server)))
		fail("connect");
	say(peer, set, sizeof(set) - 1);
	if (read(peer, buffer, sizeof(buffer)) <= 0)
		fail("SET");
	return peer;
}

static void ask(int peer, long now)
{
	got[peer] = 0;
	began[peer] = now;
	say(peer, get, sizeof(get) - 1);
}

/* Whether the answer is whole. */
static int take(int peer)
{
	char buffer[256];
	ssize_t size = read(peer, buffer, sizeof(buffer));

	if (size <= 0)
		fail("read");
	got[peer] += size;
	return got[peer] >= sizeof(answer) - 1;
}

static double median_us(long asked)
{
	long step = 0, seen = 0;

	while (seen + took[step] <= asked / 2)
		seen += took[step++];
	return (step + (double)(asked / 2 - seen) / took[step]) * STEP_NS / 1000;
}

static long ask_until(int queue, long end)
{
	struct epoll_event events[MOST];
	long now = 0, step, asked = 0;

	while (now < end) {
		int ready = epoll_wait(queue, events, MOST, -1);

		for (int i = 0; i < ready; i++) {
			if (!take(events[i].data.fd))
				continue;
			now = now_ns();
			step = (now - began[events[i].data.fd]) / STEP_NS;
			took[step < STEPS ? step : STEPS - 1]++;
			asked++;
			ask(events[i].data.fd, now);
		}
	}
	return asked;
}

static void serve(int port)
{
	struct sockaddr_in any = {.sin_family = AF_INET, .sin_port = htons(port)};
	int listener = socket(AF_INET, SOCK_STREAM, 0), queue = epoll_create1(0), one = 1;
	struct epoll_event events[MOST];
	char buffer[256];

	setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	if (bind(listener, (const void *)&any, sizeof(any)) || listen(listener, MOST))
		fail("listen");
	add(queue, listener);
	for (;;) {
		int ready = epoll_wait(queue, events, MOST, -1);

		for (int i = 0; i < ready; i++) {
			if (events[i].data.fd == listener)
				add(queue, accept(listener, 0, 0));
			else if (read(events[i].data.fd, buffer, sizeof(buffer)) <= 0)
				close(events[i].data.fd);
			else
				say(events[i].data.fd, answer, sizeof(answer) - 1);
		}
	}
}

int main(int argc, char **argv)
{
	struct sockaddr_in server = {.sin_family = AF_INET};
	int peers[MOST], count, queue = epoll_create1(0);
	long start, asked;

	if (argc == 3 && !strcmp(argv[1], "serve"))
		serve(atoi(argv[2]));
	if (argc != 5 || !inet_aton(argv[1], &server.sin_addr))
		return 2;
	server.sin_port = htons(atoi(argv[2]));
	count = atoi(argv[3]);
	for (int i = 0; i < count && i < MOST; i++) {
		peers[i] = open_one(&server);
		add(queue, peers[i]);
	}
	start = now_ns();
	for (int i = 0; i < count; i++)
		ask(peers[i], now_ns());
	asked = ask_until(queue, start + (long)(atof(argv[4]) * 1e9));
	printf("{\"asked\": %ld, \"seconds\": %.6f, \"p50_us\": %.3f}\n", asked,
	       (now_ns() - start) / 1e9, median_us(asked));
	return 0;
}
