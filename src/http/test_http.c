/* Connections: a server thread and a client (ours, or raw bytes) on the two ends of a socketpair. */
#include "http/http.h"

#include <dirent.h>
#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <sys/socket.h>

#include <cmocka.h>

#include "http/test_http.h"

struct server {
	pthread_t thread;
	bool joined;
	int fd, client;
	struct http_serve_opts opts;
	struct http_budget budget;
	int taken; /* fd after a hijack */
	struct strb unread;
	int calls;
};

static void handle(struct http_conn *c, const struct http_request *rq, void *ctx)
{
	struct server *s = ctx;
	AUTO_FREE char *body = NULL;
	size_t n = 0;

	s->calls++;
	http_set_header(c, "Api-Version", "1.51");
	if (streq(rq->path, "/echo")) {
		int r = http_body_text(c, 1 << 20, &body, &n);

		if (r < 0)
			(void)http_reply(c,
					 r == -EFBIG       ? 413
					 : r == -ETIMEDOUT ? 408
					 : r == -ENOBUFS   ? 503
							   : 400,
					 "text/plain", "bad body", 8);
		else
			(void)http_reply(c, 200, "text/plain", body, n);
	} else if (streq(rq->path, "/stream")) {
		(void)http_stream_begin(c, 200, "text/plain");
		for (int i = 0; i < 1000; i++)
			(void)http_stream_write(c, "0123456789", 10);
	} else if (streq(rq->path, "/take")) { /* a body that is passed on as it comes */
		char buf[256];
		ssize_t got;

		while ((got = http_body_read(c, buf, sizeof buf)) > 0)
			n += (size_t)got;
		(void)http_reply(c, got < 0 ? 408 : 200, "text/plain", "taken", 5);
	} else if (streq(rq->path, "/big")) {
		AUTO_FREE char *big = xcalloc(1, 8 << 20);

		(void)http_reply(c, 200, "text/plain", big, 8 << 20);
	} else if (streq(rq->path, "/hijack")) {
		(void)http_hijack_head(c, "application/vnd.docker.raw-stream");
		(void)http_detach(c, &s->taken, &s->unread);
	} else if (streq(rq->path, "/gone")) {
		for (int i = 0; i < 500 && !http_conn_gone(c); i++)
			(void)usleep(10000);
		s->taken = http_conn_gone(c) ? 1 : 0;
	} else if (streq(rq->path, "/nothing")) {
		(void)http_reply(c, 204, NULL, NULL, 0);
	} else if (!streq(rq->path, "/silent")) {
		(void)http_reply(c, 404, "text/plain", "no", 2);
	}
}

static void *serve(void *p)
{
	struct server *s = p;

	http_serve_conn(s->fd, &s->opts, handle, s);
	return NULL;
}

static int setup(void **state)
{
	struct server *s = xcalloc(1, sizeof *s);
	int pair[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
	s->fd = pair[0];
	s->client = pair[1];
	s->taken = -1;
	s->opts.head_ms = 400;
	s->opts.body_ms = 300;
	s->opts.stall_ms = 600;
	s->budget = (struct http_budget){ .left = 40000 };
	s->opts.budget = &s->budget;
	assert_int_equal(pthread_create(&s->thread, NULL, serve, s), 0);
	*state = s;
	return 0;
}

static void join(struct server *s)
{
	if (!s->joined)
		(void)pthread_join(s->thread, NULL);
	s->joined = true;
}

static int teardown(void **state)
{
	struct server *s = *state;

	fd_closep(&s->client);
	join(s);
	strb_done(&s->unread);
	free(s);
	return 0;
}

static void raw(struct server *s, const char *text)
{
	assert_int_equal(send(s->client, text, strlen(text), MSG_NOSIGNAL), strlen(text));
}

/* Everything until the server closes. */
static char *rest(struct server *s)
{
	struct strb b = STRB_INIT;
	char buf[4096];
	ssize_t n;

	while ((n = recv(s->client, buf, sizeof buf, 0)) > 0)
		strb_add(&b, buf, (size_t)n);
	assert_int_equal(n, 0);
	return strb_take(&b);
}

static size_t count(const char *s, const char *word)
{
	size_t n = 0;

	for (; (s = strstr(s, word)); s += strlen(word))
		n++;
	return n;
}

static void test_pipelined_requests_are_answered_in_order(void **state)
{
	struct server *s = *state;

	raw(s, "POST /echo HTTP/1.1\r\nHost: d\r\nContent-Length: 3\r\n\r\noneGET /x HTTP/1.1\r\nHost: d\r\n\r\n"
	       "POST /echo HTTP/1.1\r\nHost: d\r\nTransfer-Encoding: chunked\r\nConnection: "
	       "close\r\n\r\n3\r\ntwo\r\n0\r\n\r\n");
	AUTO_FREE char *all = rest(s);

	assert_int_equal(s->calls, 3);
	assert_true(strstr(all, "\r\n\r\none") && strstr(all, "404 Not Found") && strstr(all, "\r\n\r\ntwo"));
	assert_true(strstr(all, "one") < strstr(all, "404") && strstr(all, "404") < strstr(all, "two"));
	assert_int_equal(count(all, "Connection: close"), 1);
	assert_int_equal(count(all, "Api-Version: 1.51\r\n"), 3);
}

static void test_malformed_head_is_answered_and_closed(void **state)
{
	struct server *s = *state;

	raw(s, "GET / HTTP/1.1\r\nHost: d\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\nGET /echo "
	       "HTTP/1.1\r\nHost: d\r\n\r\n");
	AUTO_FREE char *all = rest(s);

	assert_ptr_equal(strstr(all, "HTTP/1.1 400 Bad Request\r\n"), all);
	assert_non_null(strstr(all, "Connection: close"));
	assert_int_equal(count(all, "HTTP/1.1"), 1);
	assert_int_equal(s->calls, 0);
}

static void test_malformed_chunk_reaches_the_handler_and_closes(void **state)
{
	struct server *s = *state;

	raw(s, "POST /echo HTTP/1.1\r\nHost: d\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n\r\nGET /x HTTP/1.1\r\nHost: "
	       "d\r\n\r\n");
	AUTO_FREE char *all = rest(s);

	assert_int_equal(count(all, "HTTP/1.1"), s->calls);
	assert_int_equal(s->calls, 1);
}

static void test_slow_head_times_out(void **state)
{
	struct server *s = *state;

	raw(s, "GET / HT");
	AUTO_FREE char *all = rest(s);

	assert_ptr_equal(strstr(all, "HTTP/1.1 408"), all);
}

static void test_unread_body_does_not_become_a_request(void **state)
{
	struct server *s = *state;

	raw(s, "POST /x HTTP/1.1\r\nHost: d\r\nContent-Length: 31\r\n\r\nGET /echo HTTP/1.1\r\nHost: d\r\n\r\nGET "
	       "/nothing HTTP/1.1\r\nHost: d\r\nConnection: close\r\n\r\n");
	AUTO_FREE char *all = rest(s);

	assert_int_equal(s->calls, 2);
	assert_non_null(strstr(all, "204 No Content"));
	assert_null(strstr(strstr(all, "204"), "Content-Length"));
}

static void test_continue_is_sent_only_when_the_body_is_wanted(void **state)
{
	struct server *s = *state;

	raw(s, "POST /x HTTP/1.1\r\nHost: d\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\n");
	AUTO_FREE char *all = rest(s); /* the body never comes, so the connection cannot go on */

	assert_null(strstr(all, "100 Continue"));
	assert_non_null(strstr(all, "404"));
}

static void test_continue_is_sent_before_the_body(void **state)
{
	struct server *s = *state;
	char buf[64] = "";

	raw(s,
	    "POST /echo HTTP/1.1\r\nHost: d\r\nExpect: 100-continue\r\nConnection: close\r\nContent-Length: 3\r\n\r\n");
	assert_true(recv(s->client, buf, sizeof buf - 1, 0) > 0);
	assert_string_equal(buf, "HTTP/1.1 100 Continue\r\n\r\n");
	raw(s, "abc");
	AUTO_FREE char *all = rest(s);

	assert_true(str_ends(all, "\r\n\r\nabc"));
}

static void test_too_large_body_is_refused_before_it_comes(void **state)
{
	struct server *s = *state;

	raw(s, "POST /echo HTTP/1.1\r\nHost: d\r\nContent-Length: 1000000000\r\n\r\n");
	AUTO_FREE char *all = rest(s);

	assert_ptr_equal(strstr(all, "HTTP/1.1 413"), all);
}

/* One byte at a time, as long as the server listens; the time that took. */
static int64_t drip(struct server *s, int pause_ms)
{
	int64_t begin = time_mono_ns();
	struct pollfd p = { .fd = s->client, .events = POLLIN };

	while (time_mono_ns() - begin < 5000000000LL && poll(&p, 1, pause_ms) == 0)
		if (send(s->client, "1", 1, MSG_NOSIGNAL) < 0)
			break;
	return (time_mono_ns() - begin) / 1000000;
}

static void test_a_body_that_drips_times_out_as_a_whole(void **state)
{
	struct server *s = *state;

	raw(s, "POST /echo HTTP/1.1\r\nHost: d\r\nContent-Length: 1000\r\n\r\n");
	assert_in_range(drip(s, 20), 250, 2000);
	AUTO_FREE char *all = rest(s);

	assert_ptr_equal(strstr(all, "HTTP/1.1 408"), all);
	assert_non_null(strstr(all, "Connection: close"));
}

static void test_a_chunked_body_that_stops_times_out(void **state)
{
	struct server *s = *state;

	raw(s, "POST /echo HTTP/1.1\r\nHost: d\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nab");
	AUTO_FREE char *all = rest(s);

	assert_ptr_equal(strstr(all, "HTTP/1.1 408"), all);
}

static void test_a_body_nobody_reads_is_waited_for_only_so_long(void **state)
{
	struct server *s = *state;

	raw(s, "POST /x HTTP/1.1\r\nHost: d\r\nContent-Length: 1000\r\n\r\n");
	assert_in_range(drip(s, 20), 0, 2000); /* the answer comes at once */
	AUTO_FREE char *all = rest(s);         /* and the server's end soon after */

	assert_ptr_equal(strstr(all, "HTTP/1.1 404"), all);
}

static void test_a_streamed_body_may_drip_but_not_stop(void **state)
{
	struct server *s = *state;
	int64_t begin = time_mono_ns();

	raw(s, "POST /take HTTP/1.1\r\nHost: d\r\nContent-Length: 1000\r\n\r\n");
	for (int i = 0; i < 10; i++) { /* longer than a whole body may take, longer than a stall, never still */
		(void)usleep(80000);
		raw(s, "1");
	}
	AUTO_FREE char *all = rest(s);

	assert_ptr_equal(strstr(all, "HTTP/1.1 408"), all);
	assert_true(time_mono_ns() - begin > 1300 * 1000000LL);
}

static void test_a_client_that_does_not_read_its_answer_is_left(void **state)
{
	struct server *s = *state;

	raw(s, "GET /big HTTP/1.1\r\nHost: d\r\n\r\n");
	join(s); /* comes back though nobody reads */
	assert_int_equal(s->calls, 1);
}

static void test_bodies_share_a_budget(void **state)
{
	struct server *s = *state;
	AUTO_FREE char *body = xcalloc(1, 200001);

	memset(body, 'x', 200000);
	raw(s, "POST /echo HTTP/1.1\r\nHost: d\r\nContent-Length: 60000\r\n\r\n");
	body[60000] = 0;
	raw(s, body);
	body[60000] = 'x';
	raw(s, "POST /echo HTTP/1.1\r\nHost: d\r\nContent-Length: 200000\r\n\r\n");
	(void)send(s->client, body, 200000, MSG_NOSIGNAL | MSG_DONTWAIT);
	AUTO_FREE char *all = rest(s);

	assert_ptr_equal(strstr(all, "HTTP/1.1 200"), all);
	assert_int_equal(count(all, "HTTP/1.1 503"), 1);
	join(s);
	assert_int_equal(s->budget.left, 40000); /* all of it is given back */
}

static void test_silent_handler_gives_500(void **state)
{
	struct server *s = *state;

	raw(s, "GET /silent HTTP/1.1\r\nHost: d\r\nConnection: close\r\n\r\n");
	AUTO_FREE char *all = rest(s);

	assert_ptr_equal(strstr(all, "HTTP/1.1 500"), all);
}

static void test_old_http_streams_until_close(void **state)
{
	struct server *s = *state;

	raw(s, "GET /stream HTTP/1.0\r\n\r\n");
	AUTO_FREE char *all = rest(s);

	assert_null(strstr(all, "chunked"));
	assert_int_equal(strlen(strstr(all, "\r\n\r\n")), 10004);
}

static void test_head_gets_no_body(void **state)
{
	struct server *s = *state;

	raw(s, "HEAD /x HTTP/1.1\r\nHost: d\r\nConnection: close\r\n\r\n");
	AUTO_FREE char *all = rest(s);

	assert_non_null(strstr(all, "Content-Length: 2\r\n"));
	assert_true(str_ends(all, "\r\n\r\n"));
}

static void test_hang_up_is_noticed(void **state)
{
	struct server *s = *state;

	raw(s, "GET /gone HTTP/1.1\r\nHost: d\r\n\r\n");
	(void)usleep(30000);
	fd_closep(&s->client);
	join(s);
	assert_int_equal(s->taken, 1);
}

static void take_over(struct server *s, const char *request, const char *head)
{
	char buf[512] = "";

	raw(s, request);
	join(s);
	assert_true(s->taken >= 0);
	assert_true(recv(s->client, buf, sizeof buf - 1, 0) > 0);
	assert_ptr_equal(strstr(buf, head), buf);
	assert_string_equal(strb_str(&s->unread), "early");
	/* half-close: our end of sending is over, the other way still works */
	assert_int_equal(shutdown(s->client, SHUT_WR), 0);
	assert_int_equal(recv(s->taken, buf, sizeof buf, 0), 0);
	assert_int_equal(send(s->taken, "late", 4, MSG_NOSIGNAL), 4);
	assert_int_equal(recv(s->client, buf, sizeof buf, 0), 4);
	fd_closep(&s->taken);
}

static void test_hijack_with_upgrade_keeps_early_bytes_and_half_close(void **state)
{
	take_over(*state,
		  "POST /hijack HTTP/1.1\r\nHost: d\r\nConnection: Upgrade\r\nUpgrade: tcp\r\nContent-Length: "
		  "2\r\n\r\n{}early",
		  "HTTP/1.1 101 UPGRADED\r\nApi-Version: 1.51\r\nContent-Type: "
		  "application/vnd.docker.raw-stream\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\r\n");
}

static void test_hijack_without_upgrade_is_a_raw_200(void **state)
{
	take_over(*state, "POST /hijack HTTP/1.1\r\nHost: d\r\n\r\nearly",
		  "HTTP/1.1 200 OK\r\nApi-Version: 1.51\r\nContent-Type: application/vnd.docker.raw-stream\r\n\r\n");
}

struct pieces {
	int left;
};
static ssize_t give(void *ctx, void *buf, size_t n)
{
	struct pieces *p = ctx;

	if (!p->left--)
		return 0;
	memset(buf, 'a' + p->left % 26, 1000);
	return 1000;
}

static void test_client_calls_share_a_connection(void **state)
{
	struct server *s = *state;
	struct http_conn *c = http_client_new(TAKE_FD(s->client), "docker");
	struct pieces pieces = { 50 };
	const struct http_call calls[] = {
		{ .method = "POST", .target = "/echo", .body = "{}", .n_body = 2 },
		{ .method = "GET", .target = "/stream" },
		{ .method = "HEAD", .target = "/stream" },
		{ .method = "POST", .target = "/echo", .source = give, .source_ctx = &pieces },
		{ .method = "POST", .target = "/nothing" },
	};
	static const size_t sizes[] = { 2, 10000, 0, 50000, 0 };

	for (size_t i = 0; i < ARRAY_LEN(calls); i++) {
		AUTO_HTTP_RESPONSE struct http_response rs = { 0 };
		AUTO_FREE char *body = NULL;
		struct err e = ERR_INIT;
		size_t n = 0;

		assert_int_equal(http_call(c, &calls[i], &rs, &e), 0);
		assert_int_equal(rs.status / 100, 2);
		assert_int_equal(http_body_text(c, 1 << 20, &body, &n), 0);
		assert_int_equal(n, sizes[i]);
		assert_true(http_client_reusable(c));
	}
	http_conn_free(c);
}

static void test_client_takes_over_an_upgraded_connection(void **state)
{
	struct server *s = *state;
	struct http_conn *c = http_client_new(TAKE_FD(s->client), "docker");
	AUTO_HTTP_RESPONSE struct http_response rs = { 0 };
	AUTO_STRB struct strb unread = STRB_INIT;

	assert_int_equal(
		http_call(c, &(struct http_call){ .method = "POST", .target = "/hijack", .upgrade = true }, &rs, NULL),
		0);
	assert_int_equal(rs.status, 101);
	assert_int_equal(http_detach(c, &s->client, &unread), 0);
	http_conn_free(c);
	join(s);
	assert_int_equal(send(s->taken, "hi", 2, MSG_NOSIGNAL), 2);
	char buf[8];

	assert_int_equal(recv(s->client, buf, sizeof buf, 0), 2);
	fd_closep(&s->taken);
}

static void test_connect_explains_itself(void **state)
{
	struct http_conn *c = NULL;
	struct err e = ERR_INIT;

	assert_true(http_connect("unix:///nonexistent/docker.sock", &c, &e) < 0);
	assert_string_equal(e.msg, "Cannot connect to the Docker daemon at unix:///nonexistent/docker.sock. Is the "
				   "docker daemon running?");
	assert_true(http_connect("gopher://x", &c, &e) < 0);
	assert_int_equal(e.kind, ERR_INVALID);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);
static const char *corpus;

static void test_corpus_replays(void **state)
{
	DIR *d = opendir(corpus);
	size_t files = 0;

	assert_non_null(d);
	for (struct dirent *x; (x = readdir(d));) {
		AUTO_FREE char *text = NULL;
		size_t n = 0;

		if (x->d_name[0] == '.')
			continue;
		assert_int_equal(file_read(dirfd(d), x->d_name, 1 << 20, &text, &n), 0);
		(void)LLVMFuzzerTestOneInput((const uint8_t *)text, n);
		files++;
	}
	(void)closedir(d);
	assert_true(files > 5);
}

#define ON_SOCKET(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_request_head_is_understood),
		cmocka_unit_test(test_dangerous_heads_are_refused),
		cmocka_unit_test(test_heads_have_a_budget),
		cmocka_unit_test(test_chunks_decode_and_leave_the_rest),
		cmocka_unit_test(test_bad_chunks_are_refused),
		cmocka_unit_test(test_response_head_is_understood),
		cmocka_unit_test(test_a_wrong_query_is_kept_for_the_handler_to_answer),
		cmocka_unit_test(test_urls_encode_and_decode),
		ON_SOCKET(test_pipelined_requests_are_answered_in_order),
		ON_SOCKET(test_malformed_head_is_answered_and_closed),
		ON_SOCKET(test_malformed_chunk_reaches_the_handler_and_closes),
		ON_SOCKET(test_slow_head_times_out),
		ON_SOCKET(test_unread_body_does_not_become_a_request),
		ON_SOCKET(test_continue_is_sent_only_when_the_body_is_wanted),
		ON_SOCKET(test_continue_is_sent_before_the_body),
		ON_SOCKET(test_too_large_body_is_refused_before_it_comes),
		ON_SOCKET(test_a_body_that_drips_times_out_as_a_whole),
		ON_SOCKET(test_a_chunked_body_that_stops_times_out),
		ON_SOCKET(test_a_body_nobody_reads_is_waited_for_only_so_long),
		ON_SOCKET(test_a_streamed_body_may_drip_but_not_stop),
		ON_SOCKET(test_a_client_that_does_not_read_its_answer_is_left),
		ON_SOCKET(test_bodies_share_a_budget),
		ON_SOCKET(test_silent_handler_gives_500),
		ON_SOCKET(test_old_http_streams_until_close),
		ON_SOCKET(test_head_gets_no_body),
		ON_SOCKET(test_hang_up_is_noticed),
		ON_SOCKET(test_hijack_with_upgrade_keeps_early_bytes_and_half_close),
		ON_SOCKET(test_hijack_without_upgrade_is_a_raw_200),
		ON_SOCKET(test_client_calls_share_a_connection),
		ON_SOCKET(test_client_takes_over_an_upgraded_connection),
		cmocka_unit_test(test_connect_explains_itself),
		cmocka_unit_test(test_corpus_replays),
	};

	corpus = argc > 1 ? argv[1] : "corpus/http";
	return cmocka_run_group_tests(tests, NULL, NULL);
}
