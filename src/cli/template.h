/* template.h - the part of Go's text/template that --format needs, over a JSON tree: {{.Field.Sub}}, pipelines,
 * parentheses, variables, if/else if/else, range/else, with/else, {{- trim -}}, comments, and Docker's functions (json, join, split,
 * lower, upper, title, pad, truncate, println, ...). Parsing is pure, with a bound on nesting; the fuzzer calls it. */
#pragma once

#include "base/base.h"
#include "json/json.h"

struct tmpl;
/* A method with arguments on the root ({{.Label "x"}}): returns the text, or NULL where there is no such method. */
typedef char *tmpl_method(void *user, const char *name, const char *argument);
struct tmpl_env {
	const struct jval *root;
	tmpl_method *method; /* may be NULL */
	void *user;
	/* Instead of root, for a template that tmpl_is_plain(): a field's text, NULL where only the tree can say. */
	const char *(*cell)(void *user, const char *name);
};

int tmpl_parse(const char *text, struct tmpl **ret, struct err *e);
void tmpl_free(struct tmpl *t);
bool tmpl_is_plain(const struct tmpl *t); /* it asks for nothing but fields of the root */
int tmpl_run(const struct tmpl *t, const struct tmpl_env *env, struct strb *out, struct err *e);
