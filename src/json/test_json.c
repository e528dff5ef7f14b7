#include "json/json.h"

#include <dirent.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

/* clang-format off */
#define JT_CELL_FIELDS(F, T) F(T, STRV, v, "", NULL_EMPTY, none)
JSON_STRUCT(jt_cell, JT_CELL_FIELDS)
JSON_TYPE(jt_cell, JT_CELL_FIELDS)
#define JT_PORT_FIELDS(F, T) \
	F(T, STR, ip,   "IP",          OMIT_EMPTY, none) \
	F(T, INT, priv, "PrivatePort", 0,          none)
JSON_STRUCT(jt_port, JT_PORT_FIELDS)
JSON_TYPE(jt_port, JT_PORT_FIELDS)
#define JT_WRAPPED_FIELDS(F, T) F(T, LIST, v, "", NULL_EMPTY, jt_port)
JSON_STRUCT(jt_wrapped, JT_WRAPPED_FIELDS)
JSON_TYPE(jt_wrapped, JT_WRAPPED_FIELDS)
#define JT_BOX_FIELDS(F, T) \
	F(T, STR,   name,   "Name",   0,             none) \
	F(T, INT,   memory, "Memory", 0,             none) \
	F(T, UINT,  huge,   "Huge",   OMIT_EMPTY,    none) \
	F(T, DBL,   ratio,  "Ratio",  OMIT_EMPTY,    none) \
	F(T, OBOOL, init,   "Init",   OMIT_EMPTY,    none) \
	F(T, OINT,  pids,   "Pids",   OMIT_EMPTY,    none) \
	F(T, STRV,  cmd,    "Cmd",    NULL_EMPTY | ONE_OR_MANY, none) \
	F(T, INTS,  size,   "Size",   OMIT_EMPTY,    none) \
	F(T, MAP,   labels, "Labels", NULL_EMPTY,    none) \
	F(T, SET,   vols,   "Volumes", OMIT_EMPTY,   none) \
	F(T, OBJ,   port,   "Port",   0,             jt_port) \
	F(T, PTR,   maybe,  "Maybe",  OMIT_EMPTY,    jt_port) \
	F(T, LIST,  ports,  "Ports",  OMIT_EMPTY,    jt_port) \
	F(T, DICT,  by,     "By",     OMIT_EMPTY,    jt_port) \
	F(T, DICT,  bind,   "Bind",   OMIT_EMPTY,    jt_wrapped) \
	F(T, LIST,  rows,   "Rows",   OMIT_EMPTY,    jt_cell) \
	F(T, RAW,   raw,    "Raw",    OMIT_EMPTY,    none) \
	F(T, STR,   newer,  "Newer",  OMIT_EMPTY | SINCE(44), none) \
	F(T, STR,   older,  "Older",  OMIT_EMPTY | UNTIL(43), none) \
	F(T, EXTRA, more,   "",       0,             none)
JSON_STRUCT(jt_box, JT_BOX_FIELDS)
JSON_TYPE(jt_box, JT_BOX_FIELDS)
/* clang-format on */
#define JT_NEED_FIELDS(F, T) F(T, STR, id, "Id", REQUIRED, none)
JSON_STRUCT(jt_need, JT_NEED_FIELDS)
JSON_TYPE(jt_need, JT_NEED_FIELDS)

static int read_text(const char *text, struct jt_box *ret, struct err *e)
{
	return json_read(&jt_box_type, text, strlen(text), NULL, ret, e);
}

static void assert_rewrites(const char *text, const char *want)
{
	struct jt_box box = { 0 }, copy = { 0 };
	struct err e = ERR_INIT;
	AUTO_STRB struct strb out = STRB_INIT;

	if (read_text(text, &box, &e) < 0)
		fail_msg("%s: %s", text, e.msg);
	json_copy(&jt_box_type, &copy, &box);
	json_done(&jt_box_type, &box);
	json_write(&jt_box_type, &copy, JSON_LATEST, &out);
	assert_string_equal(strb_str(&out), want);
	json_done(&jt_box_type, &copy);
}

static void assert_refused(const char *text, const char *want)
{
	struct jt_box box = { 0 };
	static const struct jt_box zero;
	struct err e = ERR_INIT;

	assert_int_equal(read_text(text, &box, &e), -EINVAL);
	assert_int_equal(e.kind, ERR_INVALID);
	assert_non_null(strstr(e.msg, want) ? e.msg : (print_error("%s\n", e.msg), NULL));
	assert_memory_equal(&box, &zero, sizeof box);
}

#define HEAD "\"Name\":\"\",\"Memory\":0,"
#define NULLS "\"Cmd\":null,\"Labels\":null,\"Port\":{\"PrivatePort\":0}"

static void test_every_kind_survives_a_round_trip(void **state)
{
	static const char text[] =
		"{\"Name\":\"n\",\"Memory\":-9223372036854775808,\"Huge\":18446744073709551615,\"Ratio\":0.25,\"Init\":"
		"false,\"Pids\":0,"
		"\"Cmd\":[\"a\",\"\"],\"Size\":[24,-1],\"Labels\":{\"a\":\"1\"},\"Volumes\":{\"/"
		"v\":{}},\"Port\":{\"IP\":\"::\",\"PrivatePort\":80},"
		"\"Maybe\":{\"PrivatePort\":1},\"Ports\":[{\"PrivatePort\":2}],\"By\":{\"x\":{\"PrivatePort\":3}},"
		"\"Bind\":{\"80/tcp\":[{\"PrivatePort\":4}],\"81/tcp\":null,\"82/"
		"tcp\":[]},\"Rows\":[[\"a\",\"b\"],[],null],"
		"\"Raw\":{\"z\":[1.50,null]},\"Newer\":\"y\",\"X\":{\"k\":[true]}}";

	assert_rewrites(text, text);
}

static void test_null_and_empty_are_told_apart(void **state)
{
	assert_rewrites("{}", "{" HEAD NULLS "}");
	assert_rewrites("{\"Cmd\":[],\"Labels\":{}}",
			"{" HEAD "\"Cmd\":[],\"Labels\":{},\"Port\":{\"PrivatePort\":0}}");
	assert_rewrites("{\"Name\":null,\"Memory\":null,\"Maybe\":null,\"Init\":null,\"Port\":null,\"Ports\":null}",
			"{" HEAD NULLS "}");
}

static void test_names_match_without_case_and_the_last_duplicate_wins(void **state)
{
	struct jt_box box = { 0 };

	assert_int_equal(
		read_text("{\"memory\":1,\"MEMORY\":2,\"name\":\"a\",\"Name\":\"b\",\"Ports\":[{},{}],\"ports\":[{}]}",
			  &box, NULL),
		0);
	assert_int_equal(box.memory, 2);
	assert_string_equal(box.name, "b");
	assert_int_equal(box.ports.n, 1);
	json_done(&jt_box_type, &box);
}

static void test_integers_beyond_64_bits_disturb_only_who_reads_them(void **state)
{
	struct jt_box box = { 0 };

	assert_int_equal(
		read_text("{\"New\":123456789012345678901234567890,\"Memory\":5,\"Ratio\":-9223372036854775809}", &box,
			  NULL),
		0);
	assert_int_equal(box.memory, 5);
	assert_true(box.ratio == -9223372036854775808.0);
	json_done(&jt_box_type, &box);
	assert_refused("{\"Memory\":123456789012345678901234567890}", "of type int64");
}

static void test_map_keys_are_written_sorted(void **state)
{
	assert_rewrites("{\"Labels\":{\"b\":\"2\",\"a\":\"1\"}}",
			"{" HEAD "\"Cmd\":null,\"Labels\":{\"a\":\"1\",\"b\":\"2\"},\"Port\":{\"PrivatePort\":0}}");
}

static void test_a_lone_string_serves_as_a_list(void **state)
{
	assert_rewrites("{\"Cmd\":\"ls\"}", "{" HEAD "\"Cmd\":[\"ls\"],\"Labels\":null,\"Port\":{\"PrivatePort\":0}}");
}

static void test_wrong_types_name_the_member(void **state)
{
	assert_refused("{\"Memory\":\"a\"}",
		       "json: cannot unmarshal string into Go struct field Box.Memory of type int64");
	assert_refused("{\"Memory\":1.5}", "cannot unmarshal number 1.5 into Go struct field Box.Memory of type int64");
	assert_refused("{\"Memory\":9223372036854775808}", "number 9223372036854775808 into");
	assert_refused("{\"Huge\":-1}", "of type uint64");
	assert_refused("{\"Name\":5}", "cannot unmarshal number into Go struct field Box.Name of type string");
	assert_refused("{\"Cmd\":[\"a\",true]}", "cannot unmarshal bool into Go struct field Box.Cmd.1 of type string");
	assert_refused("{\"Bind\":{\"80/tcp\":[{\"PrivatePort\":[]}]}}",
		       "array into Go struct field Box.Bind.80/tcp.0.PrivatePort of type int64");
	assert_refused("{\"Port\":[]}", "array into Go struct field Box.Port of type Port");
	assert_refused("{\"Labels\":{\"a\":1}}", "Box.Labels.a of type string");
	assert_refused("{\"Volumes\":{\"a\":1}}", "Box.Volumes.a of type struct {}");
	assert_refused("{\"Ports\":{}}", "object into Go struct field Box.Ports of type []Port");
	assert_refused("[]", "json: cannot unmarshal array into Go value of type Box");
	assert_refused("{\"Labels\":{\"a\":\"1\"},\"Ports\":[{\"IP\":\"x\"},{\"IP\":1}]}",
		       "Box.Ports.1.IP of type string");
}

static void test_bad_syntax_is_refused(void **state)
{
	static const char *const texts[] = {
		"",           "{",          "{\"a\"",    "{\"a\":",     "[1,]",
		"{\"a\":1,}", "{'a':1}",    "{a:1}",     "nul",         "truex",
		"01",         "-",          "1.",        "1e",          "+1",
		"NaN",        "Infinity",   "-Infinity", "\"\\x\"",     "\"\\u12\"",
		"\"a\nb\"",   "{} {}",      "[1 2]",     "/*c*/1",      "1e999",
		"]",          "{\"a\":1]",  "TRUE",      "\"\\u0000\"", "\x01",
		"nan",        "{\"a\":.5}", "[1]x",      "\"abc",       "{\"a\\u0000\":1}"
	};

	for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
		struct jval *v = NULL;
		struct err e = ERR_INIT;

		if (jval_parse(texts[i], strlen(texts[i]), NULL, &v, &e) >= 0 || !*e.msg)
			fail_msg("accepted: %s", texts[i]);
	}
	assert_refused("{\"Name\":\"x\"", "unexpected EOF");
}

static void test_bad_syntax_is_told_in_gos_words(void **state)
{
	static const struct {
		const char *text, *said;
	} rows[] = {
		{ "{'a':1}", "invalid character '\\'' looking for beginning of object key string" },
		{ "{\"a\":1,}", "invalid character '}' looking for beginning of object key string" },
		{ "{\"a\" 1}", "invalid character '1' after object key" },
		{ "{\"a\":1 2}", "invalid character '2' after object key:value pair" },
		{ "[1 2]", "invalid character '2' after array element" },
		{ "[1,]", "invalid character ']' looking for beginning of value" },
		{ "{} {}", "invalid character '{' after top-level value" },
		{ "\"a\nb\"", "invalid character '\\n' in string literal" },
		{ "\"a\x01\"", "invalid character '\\x01' in string literal" },
		{ "\"\\x\"", "invalid character 'x' in string escape code" },
		{ "\"\\u12\"", "invalid character '\"' in \\u hexadecimal character escape" },
		{ "trux", "invalid character 'x' in literal true (expecting 'e')" },
		{ "-x", "invalid character 'x' in numeric literal" },
		{ "1.x", "invalid character 'x' after decimal point in numeric literal" },
		{ "1ex", "invalid character 'x' in exponent of numeric literal" },
		{ "01", "invalid character '1' after top-level value" },
		{ "\xff", "invalid character '\xc3\xbf' looking for beginning of value" },
		{ "[1,", "unexpected EOF" },
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct jval *v = NULL;
		struct err e = ERR_INIT;

		assert_true(jval_parse(rows[i].text, strlen(rows[i].text), NULL, &v, &e) < 0);
		assert_string_equal(e.msg, rows[i].said);
	}
}

static void test_budgets_hold(void **state)
{
	AUTO_STRB struct strb b = STRB_INIT;
	struct json_limits l = { .bytes = 100, .depth = 3, .values = 5 };
	struct jval *v = NULL;
	struct err e = ERR_INIT;

	assert_int_equal(jval_parse("[[[1]]]", 7, &l, &v, NULL), 0);
	jval_free(v);
	assert_int_equal(jval_parse("[[[[1]]]]", 9, &l, &v, &e), -EINVAL);
	assert_non_null(strstr(e.msg, "too deeply"));
	assert_int_equal(jval_parse("[1,2,3,4,5,6]", 13, &l, &v, &e), -EINVAL);
	assert_non_null(strstr(e.msg, "too many values"));
	for (int i = 0; i < 101; i++)
		strb_addc(&b, ' ');
	assert_int_equal(jval_parse(b.s, b.len, &l, &v, &e), -EINVAL);
	assert_non_null(strstr(e.msg, "too large"));
	strb_clear(&b);
	for (int i = 0; i < 64; i++)
		strb_addc(&b, '[');
	for (int i = 0; i < 64; i++)
		strb_addc(&b, ']');
	assert_int_equal(jval_parse(b.s, b.len, NULL, &v, NULL), 0); /* json-c's own limit lies above ours */
	jval_free(v);
}

static void test_members_follow_the_api_version(void **state)
{
	struct jt_port sub = { 0 };
	struct jt_box box = { .newer = xstrdup("n"), .older = xstrdup("o") };
	AUTO_STRB struct strb a = STRB_INIT;
	AUTO_STRB struct strb b = STRB_INIT;

	(void)sub;
	json_write(&jt_box_type, &box, 43, &a);
	json_write(&jt_box_type, &box, 44, &b);
	assert_non_null(strstr(a.s, "\"Older\":\"o\""));
	assert_null(strstr(a.s, "Newer"));
	assert_non_null(strstr(b.s, "\"Newer\":\"n\""));
	assert_null(strstr(b.s, "Older"));
	json_done(&jt_box_type, &box);
}

static void test_strings_are_escaped_as_go_does(void **state)
{
	AUTO_STRB struct strb b = STRB_INIT;

	json_add_str(&b, "<a>&\"\\\n\r\t\b\f\x01\x7f\xc3\xa4\xe2\x80\xa8\xff\xed\xa0\x80");
	assert_string_equal(b.s, "\"\\u003ca\\u003e\\u0026\\\"\\\\\\n\\r\\t\\b\\f\\u0001\x7f\xc3\xa4\\u2028\\ufffd\\uff"
				 "fd\\ufffd\\ufffd\"");
}

static void test_floats_are_written_as_go_does(void **state)
{
	static const struct {
		double d;
		const char *text;
	} rows[] = { { 0.1, "0.1" },   { 1e20, "100000000000000000000" }, { 1e21, "1e+21" },
		     { 1e-7, "1e-7" }, { 0.000001, "0.000001" },          { 1.0 / 3, "0.3333333333333333" },
		     { -2, "-2" },     { 123456.75, "123456.75" } };

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct jt_box box = { .ratio = rows[i].d };
		AUTO_STRB struct strb out = STRB_INIT;
		AUTO_FREE char *want = xasprintf("\"Ratio\":%s,", rows[i].text);

		json_write(&jt_box_type, &box, JSON_LATEST, &out);
		if (!strstr(out.s, want))
			fail_msg("%s not in %s", want, out.s);
	}
}

static void test_missing_required_member_is_named(void **state)
{
	struct jt_need need = { 0 };
	struct err e = ERR_INIT;

	assert_int_equal(json_read(&jt_need_type, "{}", 2, NULL, &need, &e), -EINVAL);
	assert_string_equal(e.msg, "json: Need.Id is missing");
}

static void test_overlay_keeps_absent_members(void **state)
{
	struct jt_box box = { .memory = 7, .name = xstrdup("old"), .port = { .ip = xstrdup("1.1.1.1"), .priv = 5 } };

	assert_int_equal(read_text("{\"Name\":\"new\",\"Port\":{\"PrivatePort\":6}}", &box, NULL), 0);
	assert_int_equal(box.memory, 7);
	assert_string_equal(box.name, "new");
	assert_string_equal(box.port.ip, "1.1.1.1");
	assert_int_equal(box.port.priv, 6);
	json_done(&jt_box_type, &box);
}

static void test_trees_keep_order_and_number_text(void **state)
{
	static const char text[] = "{\"b\":1.50,\"a\":[18446744073709551615,null,\"x\"],\"c\":{}}";
	struct jval *v = NULL;
	const char *key = NULL;
	AUTO_STRB struct strb flat = STRB_INIT;
	AUTO_STRB struct strb indented = STRB_INIT;

	assert_int_equal(jval_parse(text, strlen(text), NULL, &v, NULL), 0);
	jval_write(v, &flat);
	assert_string_equal(flat.s, text);
	jval_write_indent(v, "  ", &indented);
	assert_string_equal(
		indented.s,
		"{\n  \"b\": 1.50,\n  \"a\": [\n    18446744073709551615,\n    null,\n    \"x\"\n  ],\n  \"c\": {}\n}");
	assert_int_equal(jval_len(v), 3);
	assert_int_equal(jval_kind(jval_entry(v, 0, &key)), JVAL_DBL);
	assert_string_equal(key, "b");
	assert_string_equal(jval_str(jval_at(jval_get(v, "a"), 2)), "x");
	assert_null(jval_get(v, "A"));
	assert_int_equal(jval_kind(jval_get(v, "zz")), JVAL_NULL);
	jval_free(v);
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

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_every_kind_survives_a_round_trip),
		cmocka_unit_test(test_null_and_empty_are_told_apart),
		cmocka_unit_test(test_names_match_without_case_and_the_last_duplicate_wins),
		cmocka_unit_test(test_integers_beyond_64_bits_disturb_only_who_reads_them),
		cmocka_unit_test(test_map_keys_are_written_sorted),
		cmocka_unit_test(test_a_lone_string_serves_as_a_list),
		cmocka_unit_test(test_wrong_types_name_the_member),
		cmocka_unit_test(test_bad_syntax_is_refused),
		cmocka_unit_test(test_bad_syntax_is_told_in_gos_words),
		cmocka_unit_test(test_budgets_hold),
		cmocka_unit_test(test_members_follow_the_api_version),
		cmocka_unit_test(test_strings_are_escaped_as_go_does),
		cmocka_unit_test(test_floats_are_written_as_go_does),
		cmocka_unit_test(test_missing_required_member_is_named),
		cmocka_unit_test(test_overlay_keeps_absent_members),
		cmocka_unit_test(test_trees_keep_order_and_number_text),
		cmocka_unit_test(test_corpus_replays),
	};

	corpus = argc > 1 ? argv[1] : "corpus/json";
	return cmocka_run_group_tests(tests, NULL, NULL);
}
