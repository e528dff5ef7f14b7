/* test_cli.c - the CLI's pure parts: options, values, templates, columns, ports. What create sends is compared with Docker's
 * client in tests/cli. */
#include "cli/human.h"
#include "cli/listing.h"
#include "cli/opt.h"
#include "cli/ports_text.h"
#include "cli/run_body.h"
#include "cli/template.h"

#include <setjmp.h>
#include <cmocka.h>

static const struct opt table[] = {
	/* clang-format off */
	OPT('a', "all", BOOL, NULL, NULL, "Everything")
	OPT('i', "in", BOOL, NULL, NULL, "Input")
	OPT('n', "number", INT, "5", NULL, "How many")
	OPT('e', "env", LIST, NULL, NULL, "Variables")
	OPT(0, "size", BYTES, NULL, NULL, NULL)
	/* clang-format on */
};

static int parse(bool stop, struct opts *o, struct err *e, int n, const char *const *argv)
{
	return opts_parse(table, ARRAY_LEN(table), stop, n, (char *const *)(uintptr_t)argv, o, e);
}
#define PARSE(stop, o, e, ...) \
	parse(stop, o, e, (int)ARRAY_LEN(((const char *[]){ __VA_ARGS__ })), ((const char *[]){ __VA_ARGS__ }))

static void test_letters_bundle_and_take_glued_values(void **state)
{
	AUTO_OPTS struct opts o = { 0 };
	struct err e = ERR_INIT;

	assert_int_equal(PARSE(false, &o, &e, "-ain7", "-eA=1", "-e", "B", "--env=C", "--size", "1k", "word"), 0);
	assert_true(opt_bool(&o, "all") && opt_bool(&o, "in"));
	assert_int_equal(opt_int(&o, "number"), 7);
	assert_int_equal(opt_list(&o, "env")->n, 3);
	assert_string_equal(opt_list(&o, "env")->v[0], "A=1");
	assert_int_equal(opt_int(&o, "size"), 1024);
	assert_int_equal(o.words.n, 1);
}

static void test_first_word_ends_the_options_of_run(void **state)
{
	AUTO_OPTS struct opts o = { 0 };
	struct err e = ERR_INIT;

	assert_int_equal(PARSE(true, &o, &e, "-a", "image", "-i", "--what"), 0);
	assert_false(opt_bool(&o, "in"));
	assert_int_equal(o.words.n, 3);
	assert_string_equal(o.words.v[2], "--what");
}

static void test_options_may_follow_words_elsewhere_until_two_dashes(void **state)
{
	AUTO_OPTS struct opts o = { 0 };
	struct err e = ERR_INIT;

	assert_int_equal(PARSE(false, &o, &e, "x", "-a", "--", "-i"), 0);
	assert_true(opt_bool(&o, "all"));
	assert_false(opt_bool(&o, "in"));
	assert_int_equal(o.words.n, 2);
}

static void test_refusals_have_pflags_words(void **state)
{
	static const struct {
		const char *arg, *why;
	} rows[] = {
		{ "--nope=1", "unknown flag: --nope" },
		{ "-az", "unknown shorthand flag: 'z' in -z" },
		{ "--number", "flag needs an argument: --number" },
		{ "-n", "flag needs an argument: 'n' in -n" },
		{ "--all=maybe", "invalid argument \"maybe\" for \"-a, --all\" flag: strconv.ParseBool: parsing "
				 "\"maybe\": invalid syntax" },
		{ "-nx",
		  "invalid argument \"x\" for \"-n, --number\" flag: strconv.ParseInt: parsing \"x\": invalid syntax" },
		{ "--size=q", "invalid argument \"q\" for \"--size\" flag: invalid size: 'q'" },
		{ "---x", "bad flag syntax: ---x" },
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct opts o = { 0 };
		struct err e = ERR_INIT;

		assert_true(PARSE(false, &o, &e, rows[i].arg) < 0);
		assert_string_equal(e.msg, rows[i].why);
	}
}

static void test_durations_and_sizes_as_go(void **state)
{
	int64_t v = 0;

	assert_int_equal(go_parse_duration("1h2m3.5s", &v, NULL), 0);
	assert_int_equal(v, 3723500000000);
	assert_int_equal(go_parse_duration("-1.5ms", &v, NULL), 0);
	assert_int_equal(v, -1500000);
	assert_true(go_parse_duration("5", &v, NULL) < 0);
	assert_true(go_parse_duration("", &v, NULL) < 0);
	assert_int_equal(parse_bytes("1.5GiB", &v, NULL), 0);
	assert_int_equal(v, 1610612736);
	assert_true(parse_bytes("1xb", &v, NULL) < 0);
	assert_int_equal(parse_cpus("0.1", &v, NULL), 0);
	assert_int_equal(v, 100000000);
}

/* Runs a template over a fixed tree: its text, or its error. */
static char *run_template(const char *text)
{
	static const char json[] =
		"{\"Name\":\"/web\",\"Id\":\"abc\",\"N\":3,\"F\":1.5,\"Ok\":true,\"Nil\":null,\"L\":[\"a\",\"b\"],"
		"\"M\":{\"b\":\"2\",\"a\":\"1\"},\"P\":{\"80/tcp\":[{\"HostPort\":\"8080\"}]}}";
	struct strb out = STRB_INIT;
	struct tmpl *t = NULL;
	struct jval *tree = NULL;
	struct err e = ERR_INIT;
	int r = tmpl_parse(text, &t, &e);

	if (r >= 0)
		r = jval_parse(json, sizeof json - 1, &json_limits_default, &tree, &e);
	if (r >= 0)
		r = tmpl_run(t, &(struct tmpl_env){ .root = tree }, &out, &e);
	tmpl_free(t);
	jval_free(tree);
	if (r < 0) {
		strb_clear(&out);
		strb_adds(&out, e.msg);
	}
	return strb_take(&out);
}

static void test_templates_do_what_gos_do(void **state)
{
	static const struct {
		const char *text, *want;
	} rows[] = {
		{ "{{.Name}} {{.N}} {{.F}} {{.Ok}}", "/web 3 1.5 true" },
		{ "{{.ID}}", "abc" },
		{ "{{.L}} {{.M}}", "[a b] map[a:1 b:2]" },
		{ "{{json .L}} {{json .M}}", "[\"a\",\"b\"] {\"b\":\"2\",\"a\":\"1\"}" },
		{ "{{range .L}}<{{.}}>{{end}}", "<a><b>" },
		{ "{{range $k, $v := .M}}{{$k}}={{$v};}}{{end}}", "template: :1: unexpected \"}\" in operand" },
		{ "{{range $k, $v := .M}}{{$k}}={{$v}};{{end}}", "a=1;b=2;" },
		{ "{{range .Nil}}x{{else}}none{{end}}", "none" },
		{ "{{range .L}}{{if eq . \"a\"}}{{continue}}{{end}}{{.}}{{end}}", "b" },
		{ "{{if and .Ok (eq .N 3)}}y{{else}}n{{end}}", "y" },
		{ "{{if .Nope}}y{{else if .N}}z{{end}}", "z" },
		{ "{{with .M}}{{.a}}{{end}}", "1" },
		{ "{{$x := .N}}{{if .Ok}}{{$x = 4}}{{end}}{{$x}}", "4" },
		{ "a {{- .N -}} b", "a3b" },
		{ "{{/* nothing */}}x", "x" },
		{ "{{(index (index .P \"80/tcp\") 0).HostPort}}", "8080" },
		{ "{{.Name | printf \"%-6s|\" | upper}}", "/WEB  |" },
		{ "{{join (split \"x,y\" \",\") \"+\"}} {{title \"hi you\"}} {{truncate .Name 2}} {{pad \"a\" 1 2}}|",
		  "x+y Hi You /w  a  |" },
		{ "{{len .L}} {{slice .Name 1 3}} {{lt 1 2}} {{ne .N 3}} {{not .Nil}} {{or \"\" .Id}}",
		  "2 we true false true abc" },
		{ "{{printf \"%d %5.1f %q %v %%\" .N .F .Id .Ok}}", "3   1.5 \"abc\" true %" },
		{ "{{.State.Health}}",
		  "template: :1:8: executing \"\" at <.State.Health>: map has no entry for key \"State\"" },
		{ "{{.Foo}}", "template: :1:2: executing \"\" at <.Foo>: map has no entry for key \"Foo\"" },
		{ "{{index .L 7}}",
		  "template: :1:2: executing \"\" at <index .L 7>: error calling index: index out of range: 7" },
		{ "{{.Name", "template: :1: unclosed action" },
		{ "{{foo}}", "template: :1: function \"foo\" not defined" },
		{ "{{end}}", "template: :1: unexpected {{end}}" },
		{ "{{if .N}}", "template: :1: unexpected EOF" },
		{ "{{}}", "template: :1: missing value for command" },
		{ "{{break}}", "template: :1: {{break}} outside {{range}}" },
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		AUTO_FREE char *got = run_template(rows[i].text);

		assert_string_equal(got, rows[i].want);
	}
}

static void test_deep_templates_are_refused(void **state)
{
	AUTO_STRB struct strb deep = STRB_INIT;
	AUTO_FREE char *got = NULL;

	for (int i = 0; i < 5000; i++)
		strb_adds(&deep, "{{if .N}}");
	got = run_template(strb_str(&deep));
	assert_non_null(strstr(got, "max nesting depth exceeded"));
}

static void test_columns_are_as_wide_as_their_widest_cell(void **state)
{
	AUTO_STRB struct strb out = STRB_INIT;

	columns_align("ID\tNAME\tX\nlonger than ten\t\xc3\xa9\ty\n", 10, 3, &out);
	assert_string_equal(strb_str(&out), "ID                NAME      X\nlonger than ten   \xc3\xa9         y\n");
}

static void test_people_read_durations_and_sizes(void **state)
{
	static const struct {
		int64_t seconds;
		const char *want;
	} rows[] = { { 0, "Less than a second" }, { 1, "1 second" },         { 59, "59 seconds" },
		     { 60, "About a minute" },    { 119, "About a minute" }, { 120, "2 minutes" },
		     { 3599, "59 minutes" },      { 3600, "About an hour" }, { 7200, "2 hours" },
		     { 172800, "2 days" },        { 1209600, "2 weeks" },    { 5184000, "2 months" },
		     { 63072000, "2 years" } };
	AUTO_FREE char *mb = human_size(1234567, 4), *small = human_size(999, 3), *mib = human_bytes(1572864);

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		AUTO_FREE char *got = human_duration(rows[i].seconds * 1000000000);

		assert_string_equal(got, rows[i].want);
	}
	assert_string_equal(mb, "1.235MB");
	assert_string_equal(small, "999B");
	assert_string_equal(mib, "1.5MiB");
}

static void test_neighbouring_ports_are_shown_as_a_range(void **state)
{
	static const char json[] = "[{\"PrivatePort\":82,\"Type\":\"tcp\"},{\"PrivatePort\":81,\"Type\":\"tcp\"},"
				   "{\"IP\":\"0.0.0.0\",\"PrivatePort\":90,\"PublicPort\":90,\"Type\":\"udp\"},"
				   "{\"IP\":\"::\",\"PrivatePort\":80,\"PublicPort\":8080,\"Type\":\"tcp\"}]";
	struct jval *tree = NULL;
	AUTO_FREE char *got = NULL;

	assert_int_equal(jval_parse(json, sizeof json - 1, &json_limits_default, &tree, NULL), 0);
	got = ports_text(tree);
	jval_free(tree);
	assert_string_equal(got, "81-82/tcp, 0.0.0.0:90->90/udp, [::]:8080->80/tcp");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_letters_bundle_and_take_glued_values),
		cmocka_unit_test(test_first_word_ends_the_options_of_run),
		cmocka_unit_test(test_options_may_follow_words_elsewhere_until_two_dashes),
		cmocka_unit_test(test_refusals_have_pflags_words),
		cmocka_unit_test(test_durations_and_sizes_as_go),
		cmocka_unit_test(test_templates_do_what_gos_do),
		cmocka_unit_test(test_deep_templates_are_refused),
		cmocka_unit_test(test_columns_are_as_wide_as_their_widest_cell),
		cmocka_unit_test(test_people_read_durations_and_sizes),
		cmocka_unit_test(test_neighbouring_ports_are_shown_as_a_range),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
