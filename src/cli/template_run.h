/* template_run.h - values and state of a running template. Private to template_*.c. */
#pragma once

#include "cli/template_node.h"

#include <strings.h>

enum val_kind { VAL_NIL, VAL_BOOL, VAL_INT, VAL_DBL, VAL_STR, VAL_TREE, VAL_LIST };
struct val {
	enum val_kind kind;
	int64_t i;
	double d;
	const char *s;
	const struct jval *j; /* where it came from JSON */
	struct strv list;     /* lent from run.lists */
	const char *key;      /* the field it was read from, for printing null */
};
struct var {
	const char *name;
	struct val v;
};
enum { RUN_BREAK = 1, RUN_CONTINUE = 2 };
struct run {
	const struct tmpl *t;
	const struct tmpl_env *env;
	struct strb *out;
	struct err *e;
	struct val dot;
	struct {
		struct var *v;
		size_t n;
	} vars;
	struct strv keep; /* texts made while running */
	struct {
		struct strv *v;
		size_t n;
	} lists;
};

int tmpl_fail(struct run *x, const struct operand *at, const char *fmt, ...) PRINTF(3, 4);
struct val val_text(struct run *x, char *owned);
struct val val_json(const struct jval *j, const char *key);
bool val_true(const struct val *v);
void val_print(const struct val *v, struct strb *out);
int tmpl_operand(struct run *x, const struct operand *o, bool missing_ok, struct val *ret);
int tmpl_call(struct run *x, const struct operand *name, const struct operand *args, size_t n, const struct val *piped,
	      bool missing_ok, struct val *ret);
