/* template_run.c - a parsed template over a JSON tree: scopes, fields, control flow, printing. The functions are in
 * template_func.c. */
#include "cli/template_run.h"

#include <math.h>

#define OUTPUT_MAX (64u << 20)

int tmpl_fail(struct run *x, const struct operand *at, const char *fmt, ...)
{
	AUTO_STRB struct strb b = STRB_INIT;
	unsigned line = 1, column = 0;
	size_t where = at->at; /* Go counts a chain of fields from its second member */
	va_list ap;

	if (at->kind == OPER_DOT && at->fields.n > 1)
		where += 1 + strlen(at->fields.v[0]);
	else if (at->kind == OPER_VAR && at->fields.n > 0)
		where += strlen(at->text);

	for (size_t i = 0; i < where; i++) {
		column++;
		if (x->t->source[i] == '\n') {
			line++;
			column = 0;
		}
	}
	va_start(ap, fmt);
	strb_addv(&b, fmt, ap);
	va_end(ap);
	return err_set(x->e, ERR_INVALID, "template: :%u:%u: executing \"\" at <%.*s>: %s", line, column,
		       (int)(at->end - at->at), x->t->source + at->at, strb_str(&b));
}

struct val val_text(struct run *x, char *owned)
{
	strv_push(&x->keep, owned);
	return (struct val){ .kind = VAL_STR, .s = owned };
}

struct val val_json(const struct jval *j, const char *key)
{
	switch (jval_kind(j)) {
	case JVAL_BOOL:
		return (struct val){ .kind = VAL_BOOL, .i = jval_bool(j), .j = j };
	case JVAL_INT:
		return (struct val){ .kind = VAL_INT, .i = jval_int(j), .j = j };
	case JVAL_DBL:
		return (struct val){ .kind = VAL_DBL, .d = jval_dbl(j), .j = j };
	case JVAL_STR:
		return (struct val){ .kind = VAL_STR, .s = jval_str(j), .j = j };
	case JVAL_NULL:
		return (struct val){ .kind = VAL_NIL, .key = key };
	default:
		return (struct val){ .kind = VAL_TREE, .j = j, .key = key };
	}
}

bool val_true(const struct val *v)
{
	switch (v->kind) {
	case VAL_BOOL:
	case VAL_INT:
		return v->i != 0;
	case VAL_DBL:
		return fpclassify(v->d) != FP_ZERO;
	case VAL_STR:
		return *v->s;
	case VAL_TREE:
		return jval_len(v->j) > 0;
	case VAL_LIST:
		return v->list.n > 0;
	default:
		return false;
	}
}

/* What Go prints for a null depends on the field's type, which JSON does not tell: slices are most of them. */
static const char *nil_text(const char *key)
{
	static const char *const pointers[] = { "Health",      "Healthcheck", "OomKillDisable",
						"PidsLimit",   "Init",        "MemorySwappiness",
						"IPAMConfig",  "Descriptor",  "ImageManifestDescriptor",
						"ClusterInfo", "UsageData",   "Manifests" };
	static const char *const maps[] = { "Labels",     "Ports",    "PortBindings", "ExposedPorts", "Volumes",
					    "Options",    "Sysctls",  "DriverOpts",   "Annotations",  "Tmpfs",
					    "StorageOpt", "Networks", "Status" };

	for (size_t i = 0; i < ARRAY_LEN(pointers); i++)
		if (streq(key, pointers[i]))
			return "<nil>";
	for (size_t i = 0; i < ARRAY_LEN(maps); i++)
		if (streq(key, maps[i]))
			return "map[]";
	return key ? "[]" : "<no value>";
}

static int by_key(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* sorted; free() the array */
static const char **dict_keys(const struct jval *dict)
{
	size_t n = jval_len(dict);
	const char **keys = xcalloc(n + 1, sizeof *keys);

	for (size_t i = 0; i < n; i++)
		(void)jval_entry(dict, i, &keys[i]);
	qsort(keys, n, sizeof *keys, by_key);
	return keys;
}

static void print_dbl(double d, struct strb *out)
{
	char text[40];

	for (int digits = 1; digits <= 17; digits++) {
		(void)snprintf(text, sizeof text, "%.*g", digits, d);
		if (fpclassify(strtod(text, NULL) - d) == FP_ZERO)
			break;
	}
	strb_adds(out, text);
}

static void print_tree(const struct jval *j, struct strb *out)
{
	bool dict = jval_kind(j) == JVAL_DICT;
	const char **keys = dict ? dict_keys(j) : NULL;

	strb_adds(out, dict ? "map[" : "[");
	for (size_t i = 0; i < jval_len(j); i++) {
		struct val v = dict ? val_json(jval_get(j, keys[i]), keys[i]) : val_json(jval_at(j, i), NULL);

		if (i)
			strb_addc(out, ' ');
		if (dict)
			strb_addf(out, "%s:", keys[i]);
		val_print(&v, out);
	}
	strb_addc(out, ']');
	free(keys);
}

void val_print(const struct val *v, struct strb *out)
{
	switch (v->kind) {
	case VAL_NIL:
		strb_adds(out, nil_text(v->key));
		break;
	case VAL_BOOL:
		strb_adds(out, v->i ? "true" : "false");
		break;
	case VAL_INT:
		strb_addf(out, "%lld", (long long)v->i);
		break;
	case VAL_DBL:
		print_dbl(v->d, out);
		break;
	case VAL_STR:
		strb_adds(out, v->s);
		break;
	case VAL_TREE:
		print_tree(v->j, out);
		break;
	case VAL_LIST:
		strb_addc(out, '[');
		for (size_t i = 0; i < v->list.n; i++)
			strb_addf(out, "%s%s", i ? " " : "", v->list.v[i]);
		strb_addc(out, ']');
		break;
	}
}

/* Fields that Go leaves out of JSON when empty, although the type has them: nil, not an error. */
static bool known_absent(const char *name)
{
	static const char *const names[] = { "Health", "Healthcheck", "Runtime",     "Links",       "Warnings",
					     "Shell",  "OnBuild",     "StopSignal",  "StopTimeout", "MacAddress",
					     "Mounts", "Init",        "Annotations", "Config",      "Sysctls",
					     "Tmpfs",  "Labels",      "Comment",     "Container",   "Domainname" };

	for (size_t i = 0; i < ARRAY_LEN(names); i++)
		if (streq(name, names[i]))
			return true;
	return false;
}

static const struct jval *get_any_case(const struct jval *dict, const char *name)
{
	const struct jval *j = jval_get(dict, name);

	for (size_t i = 0; !j && i < jval_len(dict); i++) {
		const char *key;
		const struct jval *v = jval_entry(dict, i, &key);

		if (strcasecmp(key, name) == 0)
			return v;
	}
	return j;
}

static int field(struct run *x, const struct operand *at, const struct val *from, const char *name, bool last,
		 bool missing_ok, struct val *ret)
{
	const struct jval *j;

	if (from->kind == VAL_NIL && missing_ok) {
		*ret = (struct val){ .kind = VAL_NIL };
		return 0;
	}
	if (from->kind == VAL_NIL)
		return tmpl_fail(x, at, "nil pointer evaluating interface {}.%s", name);
	if (from->kind != VAL_TREE || jval_kind(from->j) != JVAL_DICT)
		return tmpl_fail(x, at, "can't evaluate field %s in type interface {}", name);
	j = get_any_case(from->j, name);
	if (!j && !missing_ok && !(last && known_absent(name))) {
		char *method = x->env->method && from->j == x->env->root ? x->env->method(x->env->user, name, NULL)
									 : NULL;

		if (!method)
			return tmpl_fail(x, at, "map has no entry for key \"%s\"", name);
		*ret = val_text(x, method);
		return 0;
	}
	*ret = val_json(j, name);
	return 0;
}

static struct var *var_find(struct run *x, const char *name)
{
	for (size_t i = x->vars.n; i-- > 0;)
		if (streq(x->vars.v[i].name, name))
			return &x->vars.v[i];
	return NULL;
}

static void var_push(struct run *x, const char *name, struct val v)
{
	*VEC_ADD(&x->vars) = (struct var){ .name = name, .v = v };
}

static int eval_pipe(struct run *x, const struct tmpl_pipe *p, bool missing_ok, struct val *ret);

int tmpl_operand(struct run *x, const struct operand *o, bool missing_ok, struct val *ret)
{
	struct val v = { 0 };
	int r = 0;

	if (x->env->cell && o->kind == OPER_DOT && o->fields.n == 1) {
		const char *text = x->env->cell(x->env->user, o->fields.v[0]);

		if (!text)
			return tmpl_fail(x, o, "map has no entry for key \"%s\"", o->fields.v[0]);
		*ret = (struct val){ .kind = VAL_STR, .s = text, .key = o->fields.v[0] };
		return 0;
	}
	switch (o->kind) {
	case OPER_DOT:
		v = x->dot;
		break;
	case OPER_VAR: {
		const struct var *var = var_find(x, o->text);

		if (!var)
			return tmpl_fail(x, o, "undefined variable \"%s\"", o->text);
		v = var->v;
		break;
	}
	case OPER_FUNC:
		r = tmpl_call(x, o, NULL, 0, NULL, missing_ok, &v);
		break;
	case OPER_STR:
		v = (struct val){ .kind = VAL_STR, .s = o->text };
		break;
	case OPER_INT:
		v = (struct val){ .kind = VAL_INT, .i = o->number };
		break;
	case OPER_DBL:
		v = (struct val){ .kind = VAL_DBL, .d = o->real };
		break;
	case OPER_BOOL:
		v = (struct val){ .kind = VAL_BOOL, .i = o->number };
		break;
	case OPER_NIL:
		v = (struct val){ .kind = VAL_NIL };
		break;
	case OPER_PAREN:
		r = eval_pipe(x, o->pipe, missing_ok, &v);
		break;
	}
	for (size_t i = 0; r >= 0 && i < o->fields.n; i++) {
		struct val from = v;

		r = field(x, o, &from, o->fields.v[i], i + 1 == o->fields.n, missing_ok, &v);
	}
	*ret = v;
	return r < 0 ? r : 0;
}

static int eval_method(struct run *x, const struct tmpl_command *c, const struct val *piped, struct val *ret)
{
	const struct operand *o = &c->v[0];
	struct val arg = { 0 };
	char *text = NULL;
	int r = c->n > 1 ? tmpl_operand(x, &c->v[1], false, &arg) : 0;

	if (r < 0)
		return r;
	if (c->n == 1 && piped)
		arg = *piped;
	if (arg.kind == VAL_STR && x->env->method && o->kind == OPER_DOT && o->fields.n == 1)
		text = x->env->method(x->env->user, o->fields.v[0], arg.s);
	if (!text)
		return tmpl_fail(x, o, "%s is not a method but has arguments", o->fields.v[o->fields.n - 1]);
	*ret = val_text(x, text);
	return 0;
}

static int eval_command(struct run *x, const struct tmpl_command *c, const struct val *piped, bool missing_ok,
			struct val *ret)
{
	if (c->v[0].kind == OPER_FUNC && c->v[0].fields.n == 0)
		return tmpl_call(x, &c->v[0], c->v + 1, c->n - 1, piped, missing_ok, ret);
	if (c->n > 1 || piped)
		return eval_method(x, c, piped, ret);
	return tmpl_operand(x, &c->v[0], missing_ok, ret);
}

static int eval_pipe(struct run *x, const struct tmpl_pipe *p, bool missing_ok, struct val *ret)
{
	struct val v = { 0 };

	for (size_t i = 0; i < p->cmds.n; i++) {
		struct val next = { 0 };
		int r = eval_command(x, &p->cmds.v[i], i ? &v : NULL, missing_ok, &next);

		if (r < 0)
			return r;
		v = next;
	}
	*ret = v;
	return 0;
}

static int bind(struct run *x, const struct tmpl_pipe *p, const struct val *v)
{
	struct var *old;

	if (p->vars.n == 0)
		return 0;
	if (!p->assign) {
		var_push(x, p->vars.v[p->vars.n - 1], *v);
		return 0;
	}
	old = var_find(x, p->vars.v[0]);
	if (!old)
		return tmpl_fail(x, &p->cmds.v[0].v[0], "undefined variable \"%s\"", p->vars.v[0]);
	old->v = *v;
	return 0;
}

static int run_list(struct run *x, const struct tmpl_list *l);

static int range_step(struct run *x, const struct tmpl_node *n, struct val key, struct val item)
{
	size_t mark = x->vars.n;
	struct val dot = x->dot;
	int r;

	if (n->pipe.vars.n == 2)
		var_push(x, n->pipe.vars.v[0], key);
	if (n->pipe.vars.n)
		var_push(x, n->pipe.vars.v[n->pipe.vars.n - 1], item);
	x->dot = item;
	r = run_list(x, &n->body);
	x->dot = dot;
	x->vars.n = mark;
	return r;
}

static int run_range(struct run *x, const struct tmpl_node *n, const struct val *v)
{
	bool dict = v->kind == VAL_TREE && jval_kind(v->j) == JVAL_DICT;
	const char **keys = dict ? dict_keys(v->j) : NULL;
	size_t count = v->kind == VAL_LIST ? v->list.n : v->kind == VAL_TREE ? jval_len(v->j) : 0;
	int r = 0;

	for (size_t i = 0; i < count && r >= 0; i++) {
		struct val key = { .kind = VAL_INT, .i = (int64_t)i }, item;

		if (dict) {
			key = (struct val){ .kind = VAL_STR, .s = keys[i] };
			item = val_json(jval_get(v->j, keys[i]), NULL);
		} else if (v->kind == VAL_LIST) {
			item = (struct val){ .kind = VAL_STR, .s = v->list.v[i] };
		} else {
			item = val_json(jval_at(v->j, i), NULL);
		}
		r = range_step(x, n, key, item);
		if (r == RUN_BREAK)
			break;
	}
	free(keys);
	return r < 0 ? r : 0;
}

static int run_block(struct run *x, const struct tmpl_node *n)
{
	size_t mark = x->vars.n;
	struct val v = { 0 }, dot = x->dot;
	int r = eval_pipe(x, &n->pipe, true, &v);

	if (r < 0)
		return r;
	if (n->kind == NODE_RANGE &&
	    (v.kind == VAL_STR || v.kind == VAL_BOOL || v.kind == VAL_INT || v.kind == VAL_DBL))
		return tmpl_fail(x, &n->pipe.cmds.v[0].v[0], "range can't iterate over a single value");
	if (!val_true(&v))
		return run_list(x, &n->other);
	if (n->kind == NODE_RANGE)
		return run_range(x, n, &v);
	r = bind(x, &n->pipe, &v);
	if (r < 0)
		return r;
	if (n->kind == NODE_WITH)
		x->dot = v;
	r = run_list(x, &n->body);
	x->dot = dot;
	x->vars.n = mark;
	return r;
}

static int run_node(struct run *x, const struct tmpl_node *n)
{
	struct val v = { 0 };
	int r;

	switch (n->kind) {
	case NODE_TEXT:
		strb_adds(x->out, n->text);
		return 0;
	case NODE_BREAK:
		return RUN_BREAK;
	case NODE_CONTINUE:
		return RUN_CONTINUE;
	case NODE_ACTION:
		r = eval_pipe(x, &n->pipe, false, &v);
		if (r < 0)
			return r;
		if (n->pipe.vars.n)
			return bind(x, &n->pipe, &v);
		val_print(&v, x->out);
		if (x->out->len > OUTPUT_MAX)
			return tmpl_fail(x, &n->pipe.cmds.v[0].v[0], "output is too long");
		return 0;
	default:
		return run_block(x, n);
	}
}

static int run_list(struct run *x, const struct tmpl_list *l)
{
	size_t mark = x->vars.n;
	int r = 0;

	for (size_t i = 0; i < l->n && r == 0; i++)
		r = run_node(x, &l->v[i]);
	x->vars.n = mark;
	return r;
}

static bool plain_pipe(const struct tmpl_pipe *p)
{
	if (p->vars.n)
		return false;
	for (size_t i = 0; i < p->cmds.n; i++)
		for (size_t k = 0; k < p->cmds.v[i].n; k++) {
			const struct operand *o = &p->cmds.v[i].v[k];

			if (o->kind == OPER_VAR || (o->kind == OPER_DOT ? o->fields.n != 1 : o->fields.n) ||
			    (o->kind == OPER_PAREN && !plain_pipe(o->pipe)))
				return false;
		}
	return true;
}

static bool plain_list(const struct tmpl_list *l)
{
	for (size_t i = 0; i < l->n; i++) {
		const struct tmpl_node *n = &l->v[i];

		if (n->kind != NODE_TEXT && n->kind != NODE_ACTION && n->kind != NODE_IF)
			return false;
		if (n->kind != NODE_TEXT && !plain_pipe(&n->pipe))
			return false;
		if (!plain_list(&n->body) || !plain_list(&n->other))
			return false;
	}
	return true;
}

bool tmpl_is_plain(const struct tmpl *t)
{
	return plain_list(&t->list);
}

int tmpl_run(const struct tmpl *t, const struct tmpl_env *env, struct strb *out, struct err *e)
{
	struct run x = { .t = t, .env = env, .out = out, .e = e };
	int r;

	x.dot = val_json(env->root, NULL);
	var_push(&x, "$", x.dot);
	r = run_list(&x, &t->list);
	free(x.vars.v);
	for (size_t i = 0; i < x.lists.n; i++)
		strv_done(&x.lists.v[i]);
	free(x.lists.v);
	strv_done(&x.keep);
	return r < 0 ? r : 0;
}
