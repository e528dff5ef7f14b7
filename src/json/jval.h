/* jval.h - private to json/: the tree that both readers walk. Built from json-c's tree once, so that members are reachable by index,
 * strings are valid UTF-8 and numbers keep their text; json-c is not seen outside jval.c. */
#pragma once

#include "json/json.h"

struct jval {
	enum jval_kind kind;
	bool big; /* JVAL_INT: the value is only representable in u */
	bool b;
	uint32_t n_key;  /* bytes of key, which a NUL may be among */
	const char *key; /* name in the parent dict; NULL elsewhere */
	union {
		int64_t i;
		uint64_t u;
		double d;
	} num;
	const char *text; /* string's bytes, or the number as it was written */
	size_t n;         /* bytes of text; members of a list or dict */
	struct jval *items;
};

/* The grammar, with the words of Go's decoder, and the budgets. -ENOTEMPTY where something stands behind the value. `fixed` stays empty, or
 * gets the text with JSON_WIDE_MARK behind integers beyond 64 bits, which makes them floats. */
int json_scan(const char *text, size_t n, const struct json_limits *l, struct strb *fixed, struct err *e);
#define JSON_WIDE_MARK "e0"
const char *json_kind_word(const struct jval *v);       /* Go's words: string, number, bool, array, object */
size_t json_utf8_len(const unsigned char *s, size_t n); /* length of the valid UTF-8 sequence at s, or 0 */
