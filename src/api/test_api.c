/* The API over a socketpair, with a fake engine below. Wording and status are those of dockerd 28.5. */
#include "api/api.h"
#include "api/fake_engine.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <sys/socket.h>

#include <cmocka.h>

static void *serve(void *p)
{
	struct api api = { 0 };

	http_serve_conn((int)(intptr_t)p, NULL, api_handle, &api);
	return NULL;
}

struct link {
	pthread_t thread;
	int fd;
};

static struct link dial(void)
{
	struct link l;
	int pair[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
	assert_int_equal(pthread_create(&l.thread, NULL, serve, (void *)(intptr_t)pair[0]), 0);
	l.fd = pair[1];
	return l;
}

static char *hang_up(struct link *l)
{
	struct strb b = STRB_INIT;
	char buf[4096];
	ssize_t n;

	while ((n = recv(l->fd, buf, sizeof buf, 0)) > 0)
		strb_add(&b, buf, (size_t)n);
	fd_closep(&l->fd);
	(void)pthread_join(l->thread, NULL);
	return strb_take(&b);
}

/* One request, the whole answer. The body, where there is one, is JSON. */
static char *ask(const char *method, const char *target, const char *body)
{
	struct link l = dial();
	AUTO_FREE char *rq = body ? xasprintf("%s %s HTTP/1.1\r\nHost: d\r\nConnection: close\r\nContent-Type: "
					      "application/json\r\nContent-Length: %zu\r\n\r\n%s",
					      method, target, strlen(body), body)
				  : xasprintf("%s %s HTTP/1.1\r\nHost: d\r\nConnection: close\r\n\r\n", method, target);

	assert_int_equal(send(l.fd, rq, strlen(rq), MSG_NOSIGNAL), strlen(rq));
	return hang_up(&l);
}

static void assert_answer(const char *method, const char *target, const char *body, int status, const char *text)
{
	AUTO_FREE char *answer = ask(method, target, body);
	AUTO_FREE char *head = xasprintf("HTTP/1.1 %d ", status);
	const char *got = strstr(answer, "\r\n\r\n");

	if (!str_after(answer, head) || !got || !streq(got + 4, text))
		fail_msg("%s %s gave\n%s\ninstead of %d %s", method, target, answer, status, text);
}

static void assert_asks(const char *method, const char *target, const char *body, const char *said)
{
	AUTO_FREE char *answer = ask(method, target, body);

	if (!streq(fake.said, said))
		fail_msg("%s %s asked \"%s\" instead of \"%s\"; answer:\n%s", method, target, fake.said, said, answer);
}

static int clean(void **state)
{
	fake = (struct fake){ 0 };
	return 0;
}

static void test_ping_says_what_clients_negotiate_with(void **state)
{
	static const char *const lines[] = {
		"Api-Version: 1.51\r\n",  "Docker-Experimental: false\r\n",
		"Ostype: linux\r\n",      "Server: Hoy/",
		"Builder-Version: 1\r\n", "Cache-Control: no-cache, no-store, must-revalidate\r\n",
		"Pragma: no-cache\r\n",   "Content-Type: text/plain; charset=utf-8\r\n"
	};
	AUTO_FREE char *get = ask("GET", "/_ping", NULL);
	AUTO_FREE char *head = ask("HEAD", "/v1.24/_ping", NULL);

	for (size_t i = 0; i < ARRAY_LEN(lines); i++)
		if (!strstr(get, lines[i]) || !strstr(head, lines[i]))
			fail_msg("%s is missing in\n%s%s", lines[i], get, head);
	assert_true(str_ends(get, "\r\n\r\nOK"));
	assert_true(str_ends(head, "Content-Length: 0\r\nConnection: close\r\n\r\n") || str_ends(head, "\r\n\r\n"));
}

static void test_versions_outside_the_range_are_refused(void **state)
{
	assert_answer("GET", "/v1.99/version", NULL, 400,
		      "{\"message\":\"client version 1.99 is too new. Maximum supported API version is 1.51\"}\n");
	assert_answer("GET", "/v2.0/version", NULL, 400,
		      "{\"message\":\"client version 2.0 is too new. Maximum supported API version is 1.51\"}\n");
	assert_answer("GET", "/v99999999999999999999.1/version", NULL, 400,
		      "{\"message\":\"client version 99999999999999999999.1 is too new. Maximum supported API version "
		      "is 1.51\"}\n");
	assert_answer("GET", "/v1.20/version", NULL, 400,
		      "client version 1.20 is too old. Minimum supported API version is 1.24, please upgrade your "
		      "client to a newer version\n");
	assert_answer("GET", "/v1/version", NULL, 400,
		      "client version 1 is too old. Minimum supported API version is 1.24, please upgrade your client "
		      "to a newer version\n");
	assert_answer("GET", "/v1.51.1/version", NULL, 400,
		      "{\"message\":\"client version 1.51.1 is too new. Maximum supported API version is 1.51\"}\n");
	assert_asks("GET", "/v1.51.0/version", NULL, "version");
	assert_asks("GET", "/v1.24/version", NULL, "version");
	assert_asks("GET", "/v1.51/version", NULL, "version");
	assert_asks("GET", "/version", NULL, "version");
}

static void test_a_wrong_query_is_refused(void **state)
{
	assert_answer("GET", "/containers/json?all=%zz", NULL, 400,
		      "{\"message\":\"invalid URL escape \\\"%zz\\\"\"}\n");
}

static void test_unknown_pages_are_not_found(void **state)
{
	static const char *const pages[] = { "/",           "/nope",   "/v1.41/",      "/v1.41/nope", "/v1.99/nope",
					     "/vx/version", "/_ping/", "/containers/", "/version/x" };

	for (size_t i = 0; i < ARRAY_LEN(pages); i++)
		assert_answer("GET", pages[i], NULL, 404, "{\"message\":\"page not found\"}\n");
	assert_answer("POST", "/version", NULL, 404, "{\"message\":\"page not found\"}\n");
	assert_answer("OPTIONS", "/whatever", NULL, 200, "");
}

static void test_unclean_paths_are_sent_back(void **state)
{
	AUTO_FREE char *answer = ask("GET", "/v1.41/containers//x/../json?all=1", NULL);

	assert_non_null(strstr(answer, "HTTP/1.1 301 Moved Permanently\r\n"));
	assert_non_null(strstr(answer, "Location: /v1.41/containers/json?all=1\r\n"));
}

static void test_names_may_hold_slashes_and_escapes(void **state)
{
	assert_asks("GET", "/v1.41/images/reg.io/a/b:1/json", NULL, "image reg.io/a/b:1");
	assert_asks("GET", "/images/a%2Fb/json", NULL, "image a/b");
	assert_asks("DELETE", "/images/json", NULL, "rmi json");
	assert_asks("GET", "/images/json/json", NULL, "image json");
	assert_asks("POST", "/images/a/b/tag?repo=r%2Fs&tag=t", NULL, "tag a/b r/s t");
}

static void test_swarm_routes_answer_as_outside_a_swarm(void **state)
{
	static const char text[] = "{\"message\":\"This node is not a swarm manager. Use \\\"docker swarm init\\\" or "
				   "\\\"docker swarm join\\\" to connect this node "
				   "to swarm and try again.\"}\n";

	assert_answer("GET", "/v1.41/services", NULL, 503, text);
	assert_answer("GET", "/nodes/x", NULL, 503, text);
	assert_answer("POST", "/swarm/leave", NULL, 503, "{\"message\":\"This node is not part of a swarm\"}\n");
}

static void test_error_kinds_become_status(void **state)
{
	static const struct {
		enum err_kind kind;
		int status;
	} rows[] = { { ERR_SYSTEM, 500 },      { ERR_INVALID, 400 },         { ERR_UNAUTHORIZED, 401 },
		     { ERR_FORBIDDEN, 403 },   { ERR_NOT_FOUND, 404 },       { ERR_CONFLICT, 409 },
		     { ERR_UNAVAILABLE, 503 }, { ERR_NOT_IMPLEMENTED, 501 }, { ERR_TIMEOUT, 408 } };

	(void)snprintf(fake.message, sizeof fake.message, "No such container: <x>");
	log_level_set(LOG_ERROR);
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		fake.fail = rows[i].kind;
		assert_answer("POST", "/containers/x/pause", NULL, rows[i].status,
			      "{\"message\":\"No such container: \\u003cx\\u003e\"}\n");
	}
	fake.fail = ERR_NOT_MODIFIED;
	assert_answer("POST", "/containers/x/start", NULL, 304, "");
}

static void test_queries_are_decoded(void **state)
{
	assert_asks("POST", "/containers/x/stop", NULL, "stop x - -999");
	assert_asks("POST", "/containers/x/stop?t=5&signal=INT", NULL, "stop x INT 5");
	assert_asks("POST", "/v1.41/containers/x/stop?t=-1&signal=INT", NULL, "stop x - -1");
	assert_asks("DELETE", "/containers/x?force=1&v=True&link=none", NULL, "remove x 110");
	assert_asks("DELETE", "/containers/x?force=0&v=FALSE&link=no", NULL, "remove x 000");
	assert_asks("GET",
		    "/containers/"
		    "json?all=1&limit=3&filters=%7B%22status%22%3A%7B%22exited%22%3Atrue%7D%2C%22label%22%3A%5B%22a%22%"
		    "2C%22b%22%5D%7D",
		    NULL, "list all=1 size=0 limit=3 status=exited label=a label=b");
	assert_asks("GET", "/containers/x/logs?stdout=1&since=1.5&tail=all", NULL, "logs x since=1500000000 tail=-1");
	assert_asks("GET", "/containers/x/logs?stdout=1&tail=7", NULL, "logs x since=0 tail=7");
	assert_asks("GET", "/containers/x/top", NULL, "top x -ef");
	assert_asks("POST", "/containers/x/wait?condition=next-exit", NULL, "wait x 1");
	assert_asks("POST", "/containers/x/resize?h=24&w=80", NULL, "resize x 24 80");
}

static void test_bad_queries_get_dockers_words(void **state)
{
	assert_answer("GET", "/containers/json?filters=xx", NULL, 400, "{\"message\":\"invalid filter\"}\n");
	assert_answer("GET", "/containers/json?filters=%5B1%5D", NULL, 400, "{\"message\":\"invalid filter\"}\n");
	assert_answer("GET", "/containers/json?filters=%7B%22a%22%3A1%7D", NULL, 400,
		      "{\"message\":\"invalid filter\"}\n");
	assert_answer("GET", "/containers/json?filters=%7B%22a%22%3A%7B%22b%22%3A1%7D%7D", NULL, 400,
		      "{\"message\":\"invalid filter\"}\n");
	assert_answer("POST", "/containers/x/stop?t=abc", NULL, 500,
		      "{\"message\":\"strconv.Atoi: parsing \\\"abc\\\": invalid syntax\"}\n");
	assert_answer("POST", "/containers/x/resize?h=x&w=1", NULL, 400,
		      "{\"message\":\"invalid resize height \\\"x\\\": invalid syntax\"}\n");
	assert_answer("POST", "/containers/x/wait?condition=foo", NULL, 400,
		      "{\"message\":\"invalid condition: \\\"foo\\\"\"}\n");
	assert_answer("POST", "/containers/x/update", NULL, 200, "{\"Warnings\":[\"careful\"]}\n");
	assert_answer("POST", "/containers/x/rename", NULL, 400,
		      "{\"message\":\"Neither old nor new names may be empty\"}\n");
	assert_answer("GET", "/containers/x/logs", NULL, 400,
		      "{\"message\":\"Bad parameters: you must choose at least one stream\"}\n");
	assert_answer("GET", "/events?since=5&until=3", NULL, 400,
		      "{\"message\":\"`since` time (5) cannot be after `until` time (3)\"}\n");
	assert_answer("GET", "/events?since=x", NULL, 500,
		      "{\"message\":\"strconv.ParseInt: parsing \\\"x\\\": invalid syntax\"}\n");
}

static void test_create_decodes_its_body(void **state)
{
	assert_asks("POST", "/containers/create?name=n", "{\"Image\":\"i\",\"HostConfig\":{\"Memory\":5}}",
		    "create n i 5 -");
	assert_asks("POST", "/v1.40/containers/create?name=n", "{\"Image\":\"i\"}", "create n i 0 host");
	assert_answer("POST", "/containers/create", "{\"Image\":\"i\"}", 201, "{\"Id\":\"abc\",\"Warnings\":[]}\n");
}

static void test_bad_bodies_get_dockers_words(void **state)
{
	assert_answer("POST", "/containers/create", NULL, 400,
		      "{\"message\":\"invalid JSON: got EOF while reading request body\"}\n");
	assert_answer("POST", "/containers/create", "{}", 400,
		      "{\"message\":\"config cannot be empty in order to create a container\"}\n");
	assert_answer("POST", "/containers/create", "null", 400,
		      "{\"message\":\"config cannot be empty in order to create a container\"}\n");
	assert_answer("POST", "/containers/create", "{\"HostConfig\":{}}", 400,
		      "{\"message\":\"config cannot be empty in order to create a container\"}\n");
	assert_answer("POST", "/containers/create", "{\"Image\":\"x\"", 400,
		      "{\"message\":\"invalid JSON: unexpected EOF\"}\n");
	assert_answer("POST", "/containers/create", "{\"Image\":\"x\",\"HostConfig\":{\"Memory\":\"a\"}}", 400,
		      "{\"message\":\"invalid JSON: json: cannot unmarshal string into Go struct field "
		      "CreateRequest.HostConfig.Memory of type int64\"}\n");
	assert_answer("POST", "/containers/create", "{\"Image\":\"x\"} {}", 400,
		      "{\"message\":\"unexpected content after JSON\"}\n");
	assert_answer("POST", "/containers/x/exec", "{}", 400, "{\"message\":\"No exec command specified\"}\n");
	AUTO_FREE char *answer = ask(
		"POST", "/containers/create HTTP/1.1\r\nContent-Type: text/plain\r\nContent-Length: 2\r\nX:", NULL);

	assert_non_null(strstr(answer, "400 Bad Request"));
}

static void test_old_clients_see_nameless_images(void **state)
{
	assert_answer(
		"GET", "/v1.41/images/json", NULL, 200,
		"[{\"Containers\":-1,\"Created\":0,\"Id\":\"\",\"Labels\":null,\"ParentId\":\"\",\"RepoDigests\":["
		"\"\\u003cnone\\u003e@\\u003cnone\\u003e\"],"
		"\"RepoTags\":[\"\\u003cnone\\u003e:\\u003cnone\\u003e\"],\"SharedSize\":0,\"Size\":42,"
		"\"VirtualSize\":42}]\n");
	assert_answer("GET", "/v1.51/images/json", NULL, 200,
		      "[{\"Containers\":0,\"Created\":0,\"Id\":\"\",\"Labels\":null,\"ParentId\":\"\",\"RepoDigests\":["
		      "],\"RepoTags\":[],\"SharedSize\":0,\"Size\":42}]\n");
}

static void test_wait_is_answered_by_whom_the_engine_hands_it_to(void **state)
{
	AUTO_FREE char *answer = ask("POST", "/containers/x/wait", NULL);

	assert_non_null(strstr(answer, "HTTP/1.1 200 OK\r\n"));
	assert_non_null(strstr(answer, "Connection: close\r\n"));
	assert_true(str_ends(answer, "Transfer-Encoding: chunked\r\n\r\n11\r\n{\"StatusCode\":3}\n\r\n0\r\n\r\n"));
	fake.fail = ERR_NOT_FOUND;
	(void)snprintf(fake.message, sizeof fake.message, "No such container: x");
	assert_answer("POST", "/containers/x/wait", NULL, 404, "{\"message\":\"No such container: x\"}\n");
}

static char *upgrade(const char *target, const char *body_and_more, size_t length)
{
	struct link l = dial();
	AUTO_FREE char *rq = xasprintf("POST %s HTTP/1.1\r\nHost: d\r\nConnection: Upgrade\r\nUpgrade: "
				       "tcp\r\nContent-Type: application/json\r\nContent-Length: %zu\r\n\r\n%s",
				       target, length, body_and_more);

	assert_int_equal(send(l.fd, rq, strlen(rq), MSG_NOSIGNAL), strlen(rq));
	return hang_up(&l);
}

static void test_attach_and_exec_take_the_connection_with_early_bytes(void **state)
{
	AUTO_FREE char *attach = upgrade("/containers/x/attach?stream=1&stdin=1&stdout=1", "early", 0);
	AUTO_FREE char *old = upgrade("/v1.41/containers/x/attach?stream=1", "early", 0);
	AUTO_FREE char *start = upgrade("/exec/e/start", "{\"ConsoleSize\":[24,80]}early", 23);

	assert_ptr_equal(strstr(attach, "HTTP/1.1 101 UPGRADED\r\n"), attach);
	assert_non_null(strstr(attach, "Content-Type: application/vnd.docker.multiplexed-stream\r\nConnection: "
				       "Upgrade\r\nUpgrade: tcp\r\n\r\nhello early"));
	assert_non_null(strstr(old, "Content-Type: application/vnd.docker.raw-stream\r\n"));
	assert_non_null(strstr(start, "Content-Type: application/vnd.docker.raw-stream\r\nConnection: "
				      "Upgrade\r\nUpgrade: tcp\r\n\r\nhello early"));
	assert_string_equal(fake.said, "exec_start e 0 24 80");
	assert_answer("POST", "/exec/e/start", "{\"Detach\":true}", 200, "");
	fake.fail = ERR_NOT_FOUND;
	(void)snprintf(fake.message, sizeof fake.message, "No such exec instance: e");
	assert_answer("POST", "/exec/e/start", NULL, 404, "{\"message\":\"No such exec instance: e\"}\n");
}

static void test_events_stream_line_by_line(void **state)
{
	AUTO_FREE char *answer = ask("GET", "/events?since=2&filters=%7B%22type%22%3A%5B%22container%22%5D%7D", NULL);

	assert_string_equal(fake.said, "events 2000000000 type=container");
	assert_true(str_ends(
		answer, "\r\n\r\n15\r\n{\"Type\":\"container\"}\n\r\n15\r\n{\"Type\":\"container\"}\n\r\n0\r\n\r\n"));
}

static void test_load_feeds_the_whole_body(void **state)
{
	AUTO_STRB struct strb body = STRB_INIT;

	while (body.len < 3 << 20)
		strb_adds(&body, "0123456789abcdef");
	AUTO_FREE char *answer = ask("POST", "/images/load?quiet=1", body.s);

	assert_int_equal(fake.body_bytes, body.len);
	assert_string_equal(fake.said, "load quiet=1");
	assert_true(str_ends(answer, "{\"stream\":\"working\"}\r\n\r\n0\r\n\r\n"));
}

static void test_archives_leave_as_streams(void **state)
{
	AUTO_FREE char *one = ask("GET", "/v1.51/images/a/b:1/get", NULL);
	AUTO_FREE char *two = NULL, *three = NULL, *torn = NULL;

	assert_string_equal(fake.said, "save a/b:1 /");
	assert_non_null(strstr(one, "Content-Type: application/x-tar"));
	assert_true(str_ends(one, "\r\n\r\n7\r\narchive\r\n0\r\n\r\n"));
	two = ask("GET",
		  "/v1.51/images/"
		  "get?names=a&names=b&platform=%7B%22os%22%3A%22linux%22%2C%22architecture%22%3A%22arm%22%7D",
		  NULL);
	assert_string_equal(fake.said, "save a b linux/arm");
	three = ask("GET", "/containers/c1/export", NULL);
	assert_string_equal(fake.said, "export c1");
	assert_true(str_ends(three, "7\r\narchive\r\n0\r\n\r\n"));
	/* an error in the middle: no last chunk */
	torn = ask("GET", "/images/torn/get", NULL);
	assert_false(str_ends(torn, "0\r\n\r\n"));
}

static void test_commit_takes_a_body_or_none(void **state)
{
	AUTO_FREE char *one = ask("POST", "/commit?container=c1&repo=r&tag=t&changes=ENV%20A%3D1", NULL);
	AUTO_FREE char *two = NULL;

	assert_string_equal(fake.said, "commit c1 r:t pause=1 - ENV A=1");
	assert_non_null(strstr(one, "201 Created"));
	assert_non_null(strstr(one, "{\"Id\":\"sha256:c0\"}"));
	two = ask("POST", "/commit?container=c1&pause=0", "{\"User\":\"u\"}");
	assert_string_equal(fake.said, "commit c1 : pause=0 {\"User\":\"u\"} -");
}

static void test_load_that_fails_early_still_gets_its_answer_out(void **state)
{
	struct link l = dial();
	static const char head[] =
		"POST /images/load HTTP/1.1\r\nHost: d\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n";

	fake.stop_early = true;
	assert_int_equal(send(l.fd, head, strlen(head), MSG_NOSIGNAL),
			 strlen(head)); /* and then the client falls silent */
	AUTO_FREE char *answer = hang_up(&l);

	assert_non_null(strstr(answer, "{\"errorDetail\":{\"message\":\"not a tar archive\"},\"error\":\"not a tar "
				       "archive\"}\r\n\r\n0\r\n\r\n"));
}

static void test_load_of_a_cut_off_body_is_an_error(void **state)
{
	struct link l = dial();
	static const char head[] =
		"POST /images/load HTTP/1.1\r\nHost: d\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n";

	assert_int_equal(send(l.fd, head, strlen(head), MSG_NOSIGNAL), strlen(head));
	assert_int_equal(shutdown(l.fd, SHUT_WR), 0);
	AUTO_FREE char *answer = hang_up(&l);

	assert_non_null(strstr(answer, "\"error\":\"unexpected EOF\""));
}

static void test_pull_answers_by_status_until_its_first_line(void **state)
{
	AUTO_FREE char *answer = ask("POST", "/images/create?fromImage=alpine&tag=3", NULL);

	assert_true(str_ends(answer, "{\"status\":\"working\"}\r\n\r\n0\r\n\r\n"));
	assert_string_equal(fake.said, "pull alpine 3 as -");
	assert_answer("POST", "/images/create?fromImage=alpine&tag=none", NULL, 404,
		      "{\"message\":\"manifest for alpine:none not found\"}\n");
}

static void test_registry_requests_reach_the_engine(void **state)
{
	assert_asks("POST", "/images/a/b/push?tag=1", NULL, "push a/b 1");
	assert_asks("GET", "/images/search?term=x&limit=3", NULL, "search x 3");
	assert_asks("GET", "/distribution/a/b:1/json", NULL, "distribution a/b:1");
	assert_asks("POST", "/auth", "{\"username\":\"joe\"}", "login joe");
}

static void test_what_is_missing_says_so(void **state)
{
	assert_answer("POST", "/build", NULL, 501,
		      "{\"message\":\"POST /build is not implemented by this engine yet\"}\n");
}

#define T(f) cmocka_unit_test_setup(f, clean)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(test_ping_says_what_clients_negotiate_with),
		T(test_versions_outside_the_range_are_refused),
		T(test_a_wrong_query_is_refused),
		T(test_unknown_pages_are_not_found),
		T(test_unclean_paths_are_sent_back),
		T(test_names_may_hold_slashes_and_escapes),
		T(test_swarm_routes_answer_as_outside_a_swarm),
		T(test_error_kinds_become_status),
		T(test_queries_are_decoded),
		T(test_bad_queries_get_dockers_words),
		T(test_create_decodes_its_body),
		T(test_bad_bodies_get_dockers_words),
		T(test_old_clients_see_nameless_images),
		T(test_wait_is_answered_by_whom_the_engine_hands_it_to),
		T(test_attach_and_exec_take_the_connection_with_early_bytes),
		T(test_events_stream_line_by_line),
		T(test_load_feeds_the_whole_body),
		T(test_archives_leave_as_streams),
		T(test_commit_takes_a_body_or_none),
		T(test_load_that_fails_early_still_gets_its_answer_out),
		T(test_load_of_a_cut_off_body_is_an_error),
		T(test_pull_answers_by_status_until_its_first_line),
		T(test_registry_requests_reach_the_engine),
		T(test_what_is_missing_says_so),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
