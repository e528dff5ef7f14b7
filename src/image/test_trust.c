/* test_trust.c - the signature policy: patterns, modes, keys; what is wrong in it is refused whole. */
#include "image/trust.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <sys/stat.h>
#include <cmocka.h>

#define ED25519_PEM \
	"-----BEGIN PUBLIC KEY-----\n" \
	"MCowBQYDK2VwAyEA11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=\n" \
	"-----END PUBLIC KEY-----\n"

static char folder[] = "/tmp/hoy-trust-XXXXXX";

static int make_folder(void **state)
{
	return mkdtemp(folder) ? 0 : -1;
}

static int drop_folder(void **state)
{
	return dir_remove(AT_FDCWD, folder);
}

static void put(const char *name, const char *text)
{
	AUTO_FREE char *path = path_join(folder, name);

	assert_int_equal(file_write(AT_FDCWD, path, text, strlen(text), 0644), 0);
}

static int read_policy(const char *text, struct trust_policy **ret, struct err *e)
{
	AUTO_FREE char *path = path_join(folder, "policy.json");

	put("k.pem", ED25519_PEM);
	put("policy.json", text);
	return trust_read(path, ret, e);
}

static void test_first_rule_that_matches(void **state)
{
	static const char text[] =
		"{\"rules\": ["
		"{\"match\": \"r.example:5000/open\", \"mode\": \"off\"},"
		"{\"match\": [\"r.example:5000\", \"docker.io/library/*\"], \"mode\": \"enforce\", \"keys\": "
		"\"k.pem\"},"
		"{\"match\": \"*.corp/**/prod\", \"mode\": \"warn\", \"keys\": [\"k.pem\", \"k.pem\"]}]}";
	static const struct {
		const char *name;
		int mode; /* -1 = no rule */
	} rows[] = {
		{ "r.example:5000/open", TRUST_OFF },
		{ "r.example:5000/open/x", TRUST_OFF },
		{ "r.example:5000/opened", TRUST_ENFORCE },
		{ "r.example:5000/a/b", TRUST_ENFORCE },
		{ "r.example:50001/a", -1 },
		{ "docker.io/library/debian", TRUST_ENFORCE },
		{ "docker.io/library/a/b", -1 },
		{ "docker.io/joe/x", -1 },
		{ "a.corp/x/y/prod", TRUST_WARN },
		{ "a.corp/x/prod", TRUST_WARN },
		{ "a.corp/prod", -1 },
		{ "a.b/c.corp/x/prod", -1 },
	};
	struct trust_policy *p = NULL;
	struct err e = ERR_INIT;

	assert_int_equal(read_policy(text, &p, &e), 0);
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		const struct trust_rule *rule = trust_rule_for(p, rows[i].name);

		assert_int_equal(rule ? (int)rule->mode : -1, rows[i].mode);
	}
	assert_int_equal(trust_rule_for(p, "docker.io/library/x")->keys.n, 1);
	assert_int_equal(trust_rule_for(p, "docker.io/library/x")->keys.v[0].n, 44);
	assert_null(trust_rule_for(NULL, "docker.io/library/x"));
	trust_free(p);
}

static void test_signatures_may_name_where_an_image_came_from(void **state)
{
	static const char text[] =
		"{\"rules\": [{\"match\": \"near:5000/prod\", \"mode\": \"enforce\", \"keys\": \"k.pem\","
		"\"signed-as\": \"far.example/team\"}, {\"match\": \"near:5000\", \"mode\": \"off\"}]}";
	static const char *const rows[][2] = { { "near:5000/prod", "far.example/team" },
					       { "near:5000/prod/a/b", "far.example/team/a/b" },
					       { "near:5000/other", "near:5000/other" } };
	struct trust_policy *p = NULL;
	struct err e = ERR_INIT;

	assert_int_equal(read_policy(text, &p, &e), 0);
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		AUTO_FREE char *name = trust_signed_name(trust_rule_for(p, rows[i][0]), rows[i][0]);

		assert_string_equal(name, rows[i][1]);
	}
	trust_free(p);
}

static void test_wrong_policies(void **state)
{
	static const struct {
		const char *text, *why;
	} rows[] = {
		{ "", "policy.json: " },
		{ "{}", "rules" },
		{ "{\"rules\": [{\"match\": \"x\", \"mode\": \"enforced\"}]}", "rule 1: mode is \"enforced\"" },
		{ "{\"rules\": [{\"match\": \"x\", \"mode\": \"enforce\"}]}", "rule 1: mode enforce needs keys" },
		{ "{\"rules\": [{\"match\": \"x\", \"mode\": \"warn\", \"keys\": []}]}",
		  "rule 1: mode warn needs keys" },
		{ "{\"rules\": [{\"match\": [], \"mode\": \"off\"}]}", "\"match\" is empty" },
		{ "{\"rules\": [{\"match\": \"a b\", \"mode\": \"off\"}]}", "\"a b\" is no pattern" },
		{ "{\"rules\": [{\"match\": \"x\", \"mode\": \"off\", \"key\": \"k.pem\"}]}",
		  "unknown member \"key\"" },
		{ "{\"rules\": [{\"match\": \"*.x\", \"mode\": \"off\", \"signed-as\": \"y\"}]}",
		  "one pattern without *" },
		{ "{\"rules\": [{\"match\": [\"a\", \"b\"], \"mode\": \"off\", \"signed-as\": \"y\"}]}",
		  "one pattern without *" },
		{ "{\"rules\": [{\"match\": \"a\", \"mode\": \"off\", \"signed-as\": \"y/\"}]}",
		  "is no name that could be signed" },
		{ "{\"rules\": [], \"default\": \"enforce\"}", "unknown member \"default\"" },
		{ "{\"rules\": [{\"match\": \"x\", \"mode\": \"warn\", \"keys\": \"none.pem\"}]}",
		  "reading the key none.pem" },
		{ "{\"rules\": [{\"match\": \"x\", \"mode\": \"warn\", \"keys\": \"policy.json\"}]}",
		  "policy.json is no public key" },
		{ "{\"rules\": [{\"match\": \"x\", \"mode\": \"warn\", \"keys\": \"two.pem\"}]}",
		  "two.pem is no public key" },
		{ "{\"rules\": [{\"match\": \"x\", \"mode\": \"warn\", \"keys\": \"odd.pem\"}]}",
		  "odd.pem is no public key" },
	};

	put("two.pem", "-----BEGIN PUBLIC KEY-----\n" ED25519_PEM);
	put("odd.pem",
	    "-----BEGIN PUBLIC KEY-----\nMCowBQYDK2VuAyEA11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=\n-----END PUBLIC "
	    "KEY-----\n");
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct trust_policy *p = NULL;
		struct err e = ERR_INIT;

		assert_true(read_policy(rows[i].text, &p, &e) < 0);
		assert_null(p);
		assert_non_null(strstr(e.msg, rows[i].why));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_first_rule_that_matches),
		cmocka_unit_test(test_signatures_may_name_where_an_image_came_from),
		cmocka_unit_test(test_wrong_policies),
	};

	return cmocka_run_group_tests(tests, make_folder, drop_folder);
}
