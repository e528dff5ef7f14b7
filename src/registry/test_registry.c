/* test_registry.c - the parsers of headers, the kinds of documents, hosts that may be spoken to in the clear, fibers. */
#include "registry/session.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

/* ---- WWW-Authenticate ---- */
static void test_one_challenge(void **state)
{
	struct challenges c = { 0 };

	challenges_add(
		&c,
		"Bearer "
		"realm=\"https://auth.docker.io/token\",service=\"registry.docker.io\",scope=\"repository:a/b:pull\"");
	assert_int_equal(c.n, 1);
	assert_string_equal(c.v[0].scheme, "bearer");
	assert_string_equal(strmap_get(&c.v[0].params, "realm"), "https://auth.docker.io/token");
	assert_string_equal(strmap_get(&c.v[0].params, "scope"), "repository:a/b:pull");
	challenges_done(&c);
}

static void test_several_challenges_in_one_header(void **state)
{
	struct challenges c = { 0 };

	challenges_add(&c, "Negotiate, Basic realm=\"a, b=\\\"c\\\"\" , Bearer realm = \"x\" , service=y, Digest");
	assert_int_equal(c.n, 4);
	assert_string_equal(c.v[0].scheme, "negotiate");
	assert_string_equal(strmap_get(&c.v[1].params, "realm"), "a, b=\"c\"");
	assert_string_equal(strmap_get(&c.v[2].params, "service"), "y");
	assert_non_null(challenge_find(&c, "digest"));
	assert_null(challenge_find(&c, "ntlm"));
	challenges_done(&c);
}

static void test_broken_challenges_give_what_can_be_read(void **state)
{
	static const char *const broken[] = { "",      ",,,",          "=",      "Bearer realm=\"x", "Bearer =x",
					      "\"x\"", "Bearer realm", "B@d x=y" };

	for (size_t i = 0; i < ARRAY_LEN(broken); i++) {
		struct challenges c = { 0 };

		challenges_add(&c, broken[i]);
		assert_true(c.n <= 2);
		for (size_t k = 0; k < c.n; k++)
			assert_null(strmap_get(&c.v[k].params, "realm"));
		challenges_done(&c);
	}
}

static void test_challenges_are_bounded(void **state)
{
	AUTO_STRB struct strb many = STRB_INIT;
	struct challenges c = { 0 };

	for (int i = 0; i < 1000; i++)
		strb_addf(&many, "A%d a=b%s", i, i < 999 ? ", " : "");
	challenges_add(&c, strb_str(&many));
	assert_int_equal(c.n, CHALLENGES_MAX);
	challenges_done(&c);
}

/* ---- Link, Retry-After, Warning, ranges ---- */
static void assert_link(const char *header, const char *want)
{
	AUTO_FREE char *got = link_next(header);

	if (want)
		assert_string_equal(got, want);
	else
		assert_null(got);
}

static void test_link(void **state)
{
	assert_link("</v2/x/tags/list?last=a&n=5>; rel=\"next\"", "/v2/x/tags/list?last=a&n=5");
	assert_link("</a>; rel=prev, </b>; foo=bar; rel=next", "/b");
	assert_link("</a>; rel=\"prev\"", NULL);
	assert_link("/a; rel=next", NULL);
	assert_link("</a", NULL);
	assert_link("", NULL);
}

static void test_retry_after(void **state)
{
	assert_int_equal(retry_after("120", 0), 120);
	assert_int_equal(retry_after(" 0 ", 0), 0);
	assert_int_equal(retry_after("Sun, 06 Nov 1994 08:49:37 GMT", 784111770), 7);
	assert_int_equal(retry_after("Sun, 06 Nov 1994 08:49:37 GMT", 784111780), 0);
	assert_int_equal(retry_after("Sunday, 06-Nov-94 08:49:37 GMT", 784111770), 7);
	assert_int_equal(retry_after("soon", 0), -1);
	assert_int_equal(retry_after("-5", 0), -1);
	assert_int_equal(retry_after("99999999999999999999999", 0), -1);
}

static void test_warning(void **state)
{
	AUTO_FREE char *text = warning_text("299 - \"this \\\"is\\\" old\"");

	assert_string_equal(text, "this \"is\" old");
	assert_null(warning_text("199 - \"x\""));
	assert_null(warning_text("299 - x"));
	assert_null(warning_text("299"));
}

static void test_content_range(void **state)
{
	int64_t a = 0, b = 0, n = 0;

	assert_true(content_range("bytes 5-9/10", &a, &b, &n));
	assert_true(a == 5 && b == 9 && n == 10);
	assert_true(content_range("bytes 5-9/*", &a, &b, &n));
	assert_true(n == -1);
	assert_true(content_range("bytes */10", &a, &b, &n));
	assert_true(a == -1 && n == 10);
	assert_false(content_range("bytes 9-5/10", &a, &b, &n));
	assert_false(content_range("bytes 5-10/10", &a, &b, &n));
	assert_false(content_range("items 5-9/10", &a, &b, &n));
	assert_false(content_range("bytes 5-9/10 x", &a, &b, &n));
	assert_int_equal(upload_range("0-9"), 10);
	assert_int_equal(upload_range("bytes=0-9"), 10);
	assert_int_equal(upload_range("1-9"), -1);
	assert_int_equal(upload_range("x"), -1);
}

/* ---- URLs ---- */
static void assert_resolved(const char *base, const char *ref, const char *want)
{
	AUTO_FREE char *got = url_resolve(base, ref);

	if (want)
		assert_string_equal(got, want);
	else
		assert_null(got);
}

static void test_urls_are_resolved(void **state)
{
	assert_resolved("https://a/v2/x/blobs/uploads/", "/v2/x/blobs/uploads/1?s=2",
			"https://a/v2/x/blobs/uploads/1?s=2");
	assert_resolved("https://a:5/v2/x?y", "z", "https://a:5/v2/z");
	assert_resolved("https://a", "z", "https://a/z");
	assert_resolved("https://a/x?y=1", "?z", "https://a/x?z");
	assert_resolved("https://a/x", "//b/y", "https://b/y");
	assert_resolved("https://a/x", "http://b:1/y", "http://b:1/y");
	assert_resolved("https://a/x", "ftp://b/y", NULL);
	assert_resolved("https://a/x", "file:///etc/passwd", NULL);
	assert_resolved("https://a/x", "/y z", NULL);
	assert_resolved("https://a/x", "/y\r\nEvil: 1", NULL);
	assert_resolved("https://a/x", "https:///y", NULL);
}

static void test_origins(void **state)
{
	assert_true(url_same_origin("https://a/x", "https://A:443/y"));
	assert_true(url_same_origin("http://[::1]/x", "http://[::1]:80/y"));
	assert_false(url_same_origin("https://a/x", "http://a/x"));
	assert_false(url_same_origin("https://a/x", "https://a:444/x"));
	assert_false(url_same_origin("https://a/x", "https://a.b/x"));
	assert_false(url_same_origin("https://a/x", "https://b@a.b/x"));
	assert_true(url_same_origin("https://a/x", "https://u:p@a/x"));
}

/* ---- hosts ---- */
static void test_loopback_and_named_hosts_are_insecure(void **state)
{
	AUTO_STRV struct strv list = { 0 };

	strv_add(&list, "10.0.0.0/8");
	strv_add(&list, "10.1.2.3:5000");
	strv_add(&list, "fd00::/8");
	strv_add(&list, "192.168.1.1:5000");
	assert_true(insecure_host(&list, "127.0.0.1:5000"));
	assert_true(insecure_host(&list, "127.9.9.9"));
	assert_true(insecure_host(&list, "[::1]:5000"));
	assert_true(insecure_host(&list, "localhost:5000"));
	assert_true(insecure_host(&list, "10.255.0.1:443"));
	assert_true(insecure_host(&list, "[fd12::1]:5000"));
	assert_true(insecure_host(&list, "192.168.1.1:5000"));
	assert_false(insecure_host(&list, "192.168.1.1:5001"));
	assert_false(insecure_host(&list, "11.0.0.1"));
	assert_false(insecure_host(&list, "[fe80::1]"));
}

/* ---- documents ---- */
static enum doc_kind kind_of(const char *type, const char *json)
{
	struct oci_manifest m = { 0 };
	enum doc_kind kind;

	assert_int_equal(json_read(&oci_manifest_type, json, strlen(json), NULL, &m, NULL), 0);
	kind = doc_kind(type, &m);
	json_done(&oci_manifest_type, &m);
	return kind;
}

static void test_kinds_of_documents(void **state)
{
	assert_int_equal(kind_of(NULL, "{\"schemaVersion\":2,\"manifests\":[]}"), DOC_INDEX);
	assert_int_equal(kind_of(NULL, "{\"schemaVersion\":2,\"config\":{},\"layers\":[]}"), DOC_IMAGE);
	assert_int_equal(kind_of("application/vnd.oci.image.index.v1+json", "{\"schemaVersion\":2}"), DOC_INDEX);
	assert_int_equal(kind_of("text/plain", "{\"mediaType\":\"application/vnd.oci.image.manifest.v1+json\"}"),
			 DOC_IMAGE);
	assert_int_equal(kind_of("text/plain", "{\"schemaVersion\":1}"), DOC_SCHEMA1);
	assert_int_equal(kind_of("text/plain", "{}"), DOC_OTHER);
}

/* ---- fibers ---- */
static struct fiber_gate gate;
static struct strb story;
static struct fiber *inside;

static void through_the_gate(void *arg)
{
	const char *name = arg;

	fiber_enter(&gate);
	strb_adds(&story, name);
	inside = fiber_self();
	fiber_wait();
	strb_adds(&story, name);
	fiber_leave(&gate);
}

static void test_a_gate_lets_one_in_after_the_other(void **state)
{
	static char a[] = "a", b[] = "b", c[] = "c";

	gate = (struct fiber_gate){ .free = 1 };
	assert_int_equal(fiber_start(through_the_gate, a), 0);
	assert_int_equal(fiber_start(through_the_gate, b), 0);
	assert_int_equal(fiber_start(through_the_gate, c), 0);
	for (int i = 0; i < 3; i++) {
		assert_true(fiber_run_ready());
		fiber_wake(inside);
	}
	assert_true(fiber_run_ready());
	assert_false(fiber_run_ready());
	assert_string_equal(strb_str(&story), "aabbcc");
	assert_int_equal(gate.free, 1);
	strb_done(&story);
	free(gate.line.v);
}

/* ---- lists of referrers ---- */
static void test_referrers_are_added_once_and_nothing_else_changes(void **state)
{
	char type[] = "application/x", value[] = "<1>", key[] = "k";
	struct strkv kv = { key, value };
	struct oci_manifest m = { .artifact_type = type, .annotations = { &kv, 1 } };
	const struct referrer r = { "application/vnd.oci.image.manifest.v1+json", "sha256:aa", 7, &m };
	AUTO_STRB struct strb first = STRB_INIT, second = STRB_INIT, third = STRB_INIT;
	struct err e = ERR_INIT;

	assert_int_equal(referrers_add(NULL, 0, &r, &first, &e), 0);
	assert_string_equal(
		strb_str(&first),
		"{\"schemaVersion\":2,\"mediaType\":\"application/vnd.oci.image.index.v1+json\",\"manifests\":["
		"{\"mediaType\":\"application/vnd.oci.image.manifest.v1+json\",\"digest\":\"sha256:aa\",\"size\":7,"
		"\"annotations\":{\"k\":\"\\u003c1\\u003e\"},\"artifactType\":\"application/x\"}]}");
	assert_int_equal(referrers_add(strb_str(&first), first.len, &r, &second, &e), 0);
	assert_int_equal(second.len, 0);
	assert_int_equal(referrers_add("{\"manifests\":[{\"digest\":\"sha256:bb\",\"x\":[1]}]}", 46, &r, &third, &e),
			 0);
	assert_non_null(strstr(strb_str(&third), "[{\"digest\":\"sha256:bb\",\"x\":[1]},{"));
}

static void test_what_is_no_list_of_referrers_stays_as_it_is(void **state)
{
	static const char *const bad[] = { "{}", "[]", "{\"manifests\":{}}", "{\"layers\":[]}", "{" };
	struct oci_manifest m = { 0 };
	const struct referrer r = { "t", "sha256:aa", 7, &m };

	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		AUTO_STRB struct strb out = STRB_INIT;
		struct err e = ERR_INIT;

		assert_true(referrers_add(bad[i], strlen(bad[i]), &r, &out, &e) < 0);
		assert_int_equal(out.len, 0);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_referrers_are_added_once_and_nothing_else_changes),
		cmocka_unit_test(test_what_is_no_list_of_referrers_stays_as_it_is),
		cmocka_unit_test(test_one_challenge),
		cmocka_unit_test(test_several_challenges_in_one_header),
		cmocka_unit_test(test_broken_challenges_give_what_can_be_read),
		cmocka_unit_test(test_challenges_are_bounded),
		cmocka_unit_test(test_link),
		cmocka_unit_test(test_retry_after),
		cmocka_unit_test(test_warning),
		cmocka_unit_test(test_content_range),
		cmocka_unit_test(test_urls_are_resolved),
		cmocka_unit_test(test_origins),
		cmocka_unit_test(test_loopback_and_named_hosts_are_insecure),
		cmocka_unit_test(test_kinds_of_documents),
		cmocka_unit_test(test_a_gate_lets_one_in_after_the_other),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
