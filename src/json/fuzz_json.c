/* fuzz_json.c - any bytes through the parser, a table with every kind, and back: what was written must read again. */
#include "json/json.h"

#include <assert.h>

#define FUZZ_LEAF_FIELDS(F, T) F(T, STR, s, "S", NULL_EMPTY, none)
JSON_STRUCT(fuzz_leaf, FUZZ_LEAF_FIELDS)
JSON_TYPE(fuzz_leaf, FUZZ_LEAF_FIELDS)
/* clang-format off */
#define FUZZ_ALL_FIELDS(F, T) \
	F(T, STR, a, "a", OMIT_EMPTY, none) \
	F(T, BOOL, b, "b", 0, none) \
	F(T, INT, c, "c", 0, none) \
	F(T, UINT, d, "d", 0, none) \
	F(T, DBL, e, "e", 0, none) \
	F(T, OBOOL, f, "f", 0, none) \
	F(T, OINT, g, "g", 0, none) \
	F(T, STRV, h, "h", ONE_OR_MANY | NULL_EMPTY, none) \
	F(T, INTS, i, "i", 0, none) \
	F(T, MAP, j, "j", 0, none) \
	F(T, SET, k, "k", 0, none) \
	F(T, OBJ, l, "l", 0, fuzz_leaf) \
	F(T, PTR, m, "m", 0, fuzz_leaf) \
	F(T, LIST, n, "n", 0, fuzz_leaf) \
	F(T, DICT, o, "o", 0, fuzz_leaf) \
	F(T, RAW, p, "p", 0, none) \
	F(T, EXTRA, q, "", 0, none)
/* clang-format on */
JSON_STRUCT(fuzz_all, FUZZ_ALL_FIELDS)
JSON_TYPE(fuzz_all, FUZZ_ALL_FIELDS)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	static const struct json_limits small = { .bytes = 65536, .depth = 32, .values = 4096 };
	static const struct json_limits loose = { .bytes = 1 << 24, .depth = 64, .values = 1 << 20 };
	AUTO_STRB struct strb once = STRB_INIT;
	AUTO_STRB struct strb twice = STRB_INIT;
	struct fuzz_all obj = { 0 }, again = { 0 }, copy = { 0 };
	struct jval *tree = NULL;
	int r;

	if (jval_parse((const char *)data, n, &small, &tree, NULL) == 0) {
		jval_write(tree, &once);
		jval_free(tree);
		tree = NULL;
		r = jval_parse(once.s, once.len, &loose, &tree, NULL);
		assert(r == 0);
		jval_write(tree, &twice);
		assert(streq(once.s, twice.s));
		jval_free(tree);
	}
	if (json_read(&fuzz_all_type, (const char *)data, n, &small, &obj, NULL) < 0)
		return 0;
	strb_clear(&once);
	strb_clear(&twice);
	json_copy(&fuzz_all_type, &copy, &obj);
	json_write(&fuzz_all_type, &copy, JSON_LATEST, &once);
	r = json_read(&fuzz_all_type, once.s, once.len, &loose, &again, NULL);
	assert(r == 0);
	json_write(&fuzz_all_type, &again, JSON_LATEST, &twice);
	assert(streq(once.s, twice.s));
	json_done(&fuzz_all_type, &obj);
	json_done(&fuzz_all_type, &again);
	json_done(&fuzz_all_type, &copy);
	return 0;
}
