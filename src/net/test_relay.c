/* The relay on loopback, in a network namespace of its own. Needs root. */
#include "net/relay.h"
#include "net/test_box.h"

#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>

struct line { /* relay between [::1]:port and 127.0.0.1:target */
	pid_t pid;
	struct sockaddr_in6 at;
};

static struct line line_new(const char *proto, uint16_t port, uint16_t target)
{
	struct line l = {
		.at = { .sin6_family = AF_INET6, .sin6_port = htons(port), .sin6_addr = IN6ADDR_LOOPBACK_INIT }
	};
	int fd = socket(AF_INET6, (streq(proto, "udp") ? SOCK_DGRAM : SOCK_STREAM) | SOCK_CLOEXEC, 0);

	assert_int_equal(bind(fd, (void *)&l.at, sizeof l.at), 0);
	if (streq(proto, "tcp"))
		assert_int_equal(listen(fd, 16), 0);
	l.pid = fork();
	if (l.pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		_exit(-net_relay(fd, proto, "127.0.0.1", target));
	}
	close(fd);
	l.at.sin6_addr = in6addr_loopback;
	return l;
}

static void line_done(struct line *l)
{
	assert_int_equal(kill(l->pid, SIGKILL), 0);
	assert_int_equal(waitpid(l->pid, NULL, 0), l->pid);
}

static int dial(const struct line *l)
{
	int ns = ns_here(), fd = connect_in(ns, &l->at, sizeof l->at, PATIENCE_MS);

	close(ns);
	return fd;
}

static void blocking(int fd)
{
	struct timeval patience = { .tv_sec = 10 };

	assert_int_equal(fcntl(fd, F_SETFL, 0), 0);
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
	setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
}

static void test_bulk_arrives_whole_though_the_reader_is_slow(void **state)
{
	enum { SIZE = 8 << 20 };
	int ns = ns_here(), listener = listen_in(ns, "127.0.0.1", 5001), out, in, status;
	struct line l = line_new("tcp", 5000, 5001);
	char *buf = xmalloc(SIZE), more;
	size_t got = 0;
	pid_t writer;

	out = dial(&l);
	assert_true(out >= 0 && readable(listener, PATIENCE_MS));
	in = accept(listener, NULL, NULL);
	blocking(out);
	blocking(in);
	writer = fork();
	if (writer == 0) {
		for (size_t i = 0; i < SIZE; i++)
			buf[i] = (char)(i * 2654435761u >> 24);
		_exit(fd_write_all(out, buf, SIZE) < 0 || shutdown(out, SHUT_WR) < 0);
	}
	usleep(100000); /* everything on the way fills up */
	while (got < SIZE) {
		ssize_t n = read(in, buf + got, MIN((size_t)SIZE - got, (size_t)30000));

		assert_true(n > 0);
		got += (size_t)n;
	}
	assert_int_equal(read(in, &more, 1), 0);
	for (size_t i = 0; i < SIZE; i++)
		if (buf[i] != (char)(i * 2654435761u >> 24))
			fail_msg("byte %zu is wrong", i);
	waitpid(writer, &status, 0);
	assert_int_equal(status, 0);
	free(buf);
	close(in);
	close(out);
	close(listener);
	close(ns);
	line_done(&l);
}

static void test_refused_target_ends_the_connection(void **state)
{
	struct line l = line_new("tcp", 5002, 5003);
	int out = dial(&l);
	char c;

	assert_true(out >= 0);
	assert_true(readable(out, PATIENCE_MS));
	assert_true(read(out, &c, 1) <= 0);
	close(out);
	out = dial(&l); /* and the next one is served */
	assert_true(out >= 0);
	close(out);
	line_done(&l);
}

static void test_many_sessions_at_once(void **state)
{
	enum { N = 200 };
	int ns = ns_here(), listener = listen_in(ns, "127.0.0.1", 5005), out[N], in[N];
	struct line l = line_new("tcp", 5004, 5005);
	char c = 0;

	for (int i = 0; i < N; i++) {
		out[i] = dial(&l);
		assert_true(out[i] >= 0 && readable(listener, PATIENCE_MS));
		in[i] = accept(listener, NULL, NULL);
		assert_true(in[i] >= 0);
	}
	for (int i = N - 1; i >= 0; i--) {
		assert_int_equal(write(out[i], &(char){ (char)i }, 1), 1);
		assert_true(readable(in[i], PATIENCE_MS) && read(in[i], &c, 1) == 1 && c == (char)i);
		close(in[i]);
		assert_true(readable(out[i], PATIENCE_MS) && read(out[i], &c, 1) == 0);
		close(out[i]);
	}
	close(listener);
	close(ns);
	line_done(&l);
}

static void test_udp_answers_reach_their_own_clients(void **state)
{
	struct sockaddr_in any = addr4("127.0.0.1", 5007), from[3];
	struct line l = line_new("udp", 5006, 5007);
	int server = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0), client[3];
	char c = 0;

	assert_int_equal(bind(server, (void *)&any, sizeof any), 0);
	for (int i = 0; i < 3; i++) {
		socklen_t len = sizeof from[i];

		client[i] = socket(AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC, 0);
		assert_int_equal(connect(client[i], (void *)&l.at, sizeof l.at), 0);
		assert_int_equal(send(client[i], &(char){ (char)i }, 1, 0), 1);
		assert_true(readable(server, PATIENCE_MS));
		assert_int_equal(recvfrom(server, &c, 1, 0, (void *)&from[i], &len), 1);
		assert_int_equal(c, i);
	}
	for (int i = 2; i >= 0; i--) {
		assert_int_equal(sendto(server, &(char){ (char)(10 + i) }, 1, 0, (void *)&from[i], sizeof from[i]), 1);
		assert_true(readable(client[i], PATIENCE_MS));
		assert_int_equal(recv(client[i], &c, 1, 0), 1);
		assert_int_equal(c, 10 + i);
		close(client[i]);
	}
	close(server);
	line_done(&l);
}

/* A host with several addresses answers from the one that was asked: a connected client takes nothing else */
static void test_udp_answers_come_from_the_address_asked(void **state)
{
	struct sockaddr_in any = addr4("127.0.0.1", 5009), from, to = addr4("127.0.0.77", 5008),
			   all = addr4("0.0.0.0", 5008);
	int server = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0),
	    client = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0), fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	socklen_t len = sizeof from;
	char c = 0;
	pid_t pid;

	assert_int_equal(bind(server, (void *)&any, sizeof any), 0);
	assert_int_equal(bind(fd, (void *)&all, sizeof all), 0);
	pid = fork();
	if (pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		_exit(-net_relay(fd, "udp", "127.0.0.1", 5009));
	}
	close(fd);
	usleep(50000); /* the socket option is set */
	assert_int_equal(connect(client, (void *)&to, sizeof to), 0);
	assert_int_equal(send(client, "?", 1, 0), 1);
	assert_true(readable(server, PATIENCE_MS));
	assert_int_equal(recvfrom(server, &c, 1, 0, (void *)&from, &len), 1);
	assert_int_equal(sendto(server, "!", 1, 0, (void *)&from, len), 1);
	assert_true(readable(client, PATIENCE_MS));
	assert_int_equal(recv(client, &c, 1, 0), 1);
	assert_int_equal(c, '!');
	close(client);
	close(server);
	assert_int_equal(kill(pid, SIGKILL), 0);
	waitpid(pid, NULL, 0);
}

static void test_bad_target_is_refused(void **state)
{
	assert_int_equal(net_relay(-1, "tcp", "localhost", 80), -EINVAL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_bulk_arrives_whole_though_the_reader_is_slow),
		cmocka_unit_test(test_refused_target_ends_the_connection),
		cmocka_unit_test(test_many_sessions_at_once),
		cmocka_unit_test(test_udp_answers_reach_their_own_clients),
		cmocka_unit_test(test_udp_answers_come_from_the_address_asked),
		cmocka_unit_test(test_bad_target_is_refused),
	};
	int rt;

	if (unshare(CLONE_NEWNET) < 0) {
		fprintf(stderr, "needs network namespaces (root): %s\n", strerror(errno));
		return 77; /* meson: skipped */
	}
	rt = nl_open(NETLINK_ROUTE);
	link_up(rt, "lo");
	close(rt);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
