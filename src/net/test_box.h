/* test_box.h - network namespaces for tests: "host", "containers", "the world outside". A socket belongs for good to the namespace
 * it was born in, so one single-threaded process can play all of them: it steps in, makes a socket, and steps back. */
#pragma once

#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <arpa/inet.h>
#include <fcntl.h>
#include <linux/netlink.h>
#include <netinet/in.h>
#include <poll.h>
#include <sched.h>
#include <sys/socket.h>

#include "net/internal.h"

struct box {
	int ns, rt, nf;
};

static inline int ns_here(void)
{
	int fd = open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC);

	assert_true(fd >= 0);
	return fd;
}

static inline void link_up(int rt, const char *name)
{
	struct nl_batch b = NL_BATCH_INIT;

	rtnl_link_up(&b, "up", (struct rtnl_link){ .name = name }, true);
	assert_int_equal(nl_run(&b, rt, NULL), 0);
	nl_batch_done(&b);
}

/* The process ends up where it was. lo stays down, as in a namespace that has just been made. */
static inline struct box box_new(void)
{
	int back = ns_here();
	struct box x;

	assert_int_equal(unshare(CLONE_NEWNET), 0);
	x = (struct box){ ns_here(), nl_open(NETLINK_ROUTE), nl_open(NETLINK_NETFILTER) };
	assert_true(x.rt >= 0 && x.nf >= 0);
	assert_int_equal(setns(back, CLONE_NEWNET), 0);
	close(back);
	return x;
}

static inline void box_done(struct box *x)
{
	close(x->ns);
	close(x->rt);
	close(x->nf);
}

static inline struct sockaddr_in addr4(const char *ip, uint16_t port)
{
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_port = htons(port) };

	assert_int_equal(inet_pton(AF_INET, ip, &a.sin_addr), 1);
	return a;
}

static inline int socket_in(int ns, int family, int type)
{
	int back = ns_here(), fd;

	assert_int_equal(setns(ns, CLONE_NEWNET), 0);
	fd = socket(family, type | SOCK_CLOEXEC, 0);
	assert_int_equal(setns(back, CLONE_NEWNET), 0);
	close(back);
	assert_true(fd >= 0);
	return fd;
}

static inline int listen_in(int ns, const char *ip, uint16_t port)
{
	struct sockaddr_in a = addr4(ip, port);
	int fd = socket_in(ns, AF_INET, SOCK_STREAM), on = 1;

	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
	assert_int_equal(bind(fd, (void *)&a, sizeof a), 0);
	assert_int_equal(listen(fd, 16), 0);
	return fd;
}

static inline bool readable(int fd, int timeout_ms)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };

	return poll(&p, 1, timeout_ms) == 1;
}

#define PATIENCE_MS 3000 /* for what must come */
#define SILENCE_MS 300   /* for what must not */

/* A connected descriptor, or -errno (-ETIMEDOUT after timeout_ms) */
static inline int connect_in(int ns, const void *sa, socklen_t len, int timeout_ms)
{
	int family = ((const struct sockaddr *)sa)->sa_family, fd = socket_in(ns, family, SOCK_STREAM | SOCK_NONBLOCK),
	    error = 0;
	struct pollfd p = { .fd = fd, .events = POLLOUT };
	socklen_t n = sizeof error;
	int back = ns_here();

	if (connect(fd, sa, len) < 0)
		error = errno;
	if (error == EINPROGRESS) {
		error = ETIMEDOUT;
		if (poll(&p, 1, timeout_ms) == 1)
			getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &n);
	}
	close(back);
	if (!error)
		return fd;
	close(fd);
	return -error;
}

static inline int connect4(int ns, const char *ip, uint16_t port, int timeout_ms)
{
	struct sockaddr_in a = addr4(ip, port);

	return connect_in(ns, &a, sizeof a, timeout_ms);
}

/* ns reaches ip:port, bytes go both ways, and what listens sees `source` as the other side's address (NULL = whatever) */
static inline void assert_reaches(int ns, const char *ip, uint16_t port, int listener, const char *source)
{
	struct sockaddr_in peer;
	socklen_t len = sizeof peer;
	char text[INET_ADDRSTRLEN] = "", c = 0;
	int out = connect4(ns, ip, port, PATIENCE_MS), in;

	if (out < 0)
		fail_msg("connect to %s:%u: %s", ip, port, strerror(-out));
	assert_true(readable(listener, PATIENCE_MS));
	in = accept(listener, (void *)&peer, &len);
	assert_true(in >= 0);
	inet_ntop(AF_INET, &peer.sin_addr, text, sizeof text);
	if (source)
		assert_string_equal(text, source);
	assert_int_equal(write(out, "x", 1), 1);
	assert_true(readable(in, PATIENCE_MS) && read(in, &c, 1) == 1 && c == 'x');
	assert_int_equal(write(in, "y", 1), 1);
	assert_true(readable(out, PATIENCE_MS) && read(out, &c, 1) == 1 && c == 'y');
	close(out);
	close(in);
}

static inline void assert_silent(int ns, const char *ip, uint16_t port)
{
	assert_true(connect4(ns, ip, port, SILENCE_MS) < 0);
}
