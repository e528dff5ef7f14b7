/* template_func.c - the functions of templates: Go's and Docker's. One row of the table is one function. */
#include "cli/template_run.h"
#include "cli/human.h"

#include <ctype.h>

#define ARGS_MAX 16

struct call {
	struct run *x;
	const struct operand *at;
	struct val *args;
	size_t n;
};
typedef int func(struct call *c, struct val *ret);

static char *text_of(const struct val *v)
{
	struct strb b = STRB_INIT;

	val_print(v, &b);
	return strb_take(&b);
}

static int wrong(struct call *c, const char *why)
{
	return tmpl_fail(c->x, c->at, "error calling %s: %s", c->at->text, why);
}

static void json_text(const struct val *v, struct strb *b)
{
	if (v->kind == VAL_STR) {
		json_add_str(b, v->s);
	} else if (v->kind == VAL_TREE) {
		jval_write(v->j, b);
	} else if (v->kind == VAL_NIL) {
		strb_adds(b, "null");
	} else if (v->kind == VAL_LIST) {
		strb_addc(b, '[');
		for (size_t i = 0; i < v->list.n; i++) {
			if (i)
				strb_addc(b, ',');
			json_add_str(b, v->list.v[i]);
		}
		strb_addc(b, ']');
	} else {
		val_print(v, b);
	}
}

static int f_json(struct call *c, struct val *ret)
{
	struct strb b = STRB_INIT;

	json_text(&c->args[0], &b);
	*ret = val_text(c->x, strb_take(&b));
	return 0;
}

static int f_split(struct call *c, struct val *ret)
{
	struct strv *list;
	const char *s = c->args[0].s, *hit;

	if (c->args[0].kind != VAL_STR || c->args[1].kind != VAL_STR)
		return wrong(c, "wrong type of argument; expected string");
	list = VEC_ADD(&c->x->lists);
	for (; !*c->args[1].s && *s; s++) { /* by "" it falls into characters */
		size_t n = 1;

		while (((unsigned char)s[n] & 0xc0) == 0x80)
			n++;
		strv_push(list, xstrndup(s, n));
		s += n - 1;
	}
	while (*c->args[1].s && (hit = strstr(s, c->args[1].s))) {
		strv_push(list, xstrndup(s, (size_t)(hit - s)));
		s = hit + strlen(c->args[1].s);
	}
	if (*c->args[1].s)
		strv_add(list, s);
	*ret = (struct val){ .kind = VAL_LIST, .list = *list };
	return 0;
}

static int f_join(struct call *c, struct val *ret)
{
	const struct val *list = &c->args[0];
	size_t n = list->kind == VAL_LIST ? list->list.n : list->kind == VAL_TREE ? jval_len(list->j) : 0;
	struct strb b = STRB_INIT;

	if (c->args[1].kind != VAL_STR || (list->kind != VAL_LIST && list->kind != VAL_TREE && list->kind != VAL_NIL))
		return wrong(c, "wrong type of argument; expected []string and string");
	for (size_t i = 0; i < n; i++)
		strb_addf(&b, "%s%s", i ? c->args[1].s : "",
			  list->kind == VAL_LIST ? list->list.v[i] : jval_str(jval_at(list->j, i)));
	*ret = val_text(c->x, strb_take(&b));
	return 0;
}

static int map_letters(struct call *c, struct val *ret, int (*letter)(int c, int before))
{
	char *s;

	if (c->args[0].kind != VAL_STR)
		return wrong(c, "wrong type of argument; expected string");
	s = xstrdup(c->args[0].s);
	for (size_t i = 0; s[i]; i++)
		if (!((unsigned char)s[i] & 0x80))
			s[i] = (char)letter((unsigned char)s[i], i ? (unsigned char)c->args[0].s[i - 1] : ' ');
	*ret = val_text(c->x, s);
	return 0;
}

static int letter_lower(int c, int before)
{
	return tolower(c);
}
static int letter_upper(int c, int before)
{
	return toupper(c);
}
static int letter_title(int c, int before)
{
	return isalnum(before) || before == '_' || before == '\'' ? c : toupper(c);
}
static int f_lower(struct call *c, struct val *ret)
{
	return map_letters(c, ret, letter_lower);
}
static int f_upper(struct call *c, struct val *ret)
{
	return map_letters(c, ret, letter_upper);
}
static int f_title(struct call *c, struct val *ret)
{
	return map_letters(c, ret, letter_title);
}

static int f_pad(struct call *c, struct val *ret)
{
	const struct val *a = c->args;

	if (a[0].kind != VAL_STR || a[1].kind != VAL_INT || a[2].kind != VAL_INT || a[1].i < 0 || a[2].i < 0 ||
	    a[1].i > 4096 || a[2].i > 4096)
		return wrong(c, "wrong type of argument; expected string, int and int");
	if (!*a[0].s) /* Docker leaves the empty string alone */
		*ret = a[0];
	else
		*ret = val_text(c->x, xasprintf("%*s%s%*s", (int)a[1].i, "", a[0].s, (int)a[2].i, ""));
	return 0;
}

static int f_truncate(struct call *c, struct val *ret)
{
	const char *s = c->args[0].s;
	size_t n = 0;
	int64_t left = c->args[1].i;

	if (c->args[0].kind != VAL_STR || c->args[1].kind != VAL_INT)
		return wrong(c, "wrong type of argument; expected string and int");
	while (s[n] && (((unsigned char)s[n] & 0xc0) == 0x80 || left-- > 0))
		n++;
	*ret = val_text(c->x, xstrndup(s, n));
	return 0;
}

static int f_println(struct call *c, struct val *ret)
{
	struct strb b = STRB_INIT;

	for (size_t i = 0; i < c->n; i++) {
		if (i)
			strb_addc(&b, ' ');
		val_print(&c->args[i], &b);
	}
	strb_addc(&b, '\n');
	*ret = val_text(c->x, strb_take(&b));
	return 0;
}

static int f_print(struct call *c, struct val *ret)
{
	struct strb b = STRB_INIT;

	for (size_t i = 0; i < c->n; i++) {
		if (i && c->args[i].kind != VAL_STR && c->args[i - 1].kind != VAL_STR)
			strb_addc(&b, ' ');
		val_print(&c->args[i], &b);
	}
	*ret = val_text(c->x, strb_take(&b));
	return 0;
}

/* One verb of printf; spec is the text from % up to and with the verb. */
static void print_verb(struct strb *b, const char *spec, size_t len, const struct val *v)
{
	char flags[24] = "", fmt[32];
	char verb = spec[len - 1];
	AUTO_FREE char *text = NULL;

	if (len - 2 >= sizeof flags)
		return;
	memcpy(flags, spec + 1, len - 2);
	if (verb == 'q' && v->kind == VAL_STR) {
		json_add_str(b, v->s);
		return;
	}
	if (strchr("dxXoc", verb) && v->kind == VAL_INT) {
		(void)snprintf(fmt, sizeof fmt, verb == 'c' ? "%%%s%c" : "%%%sll%c", flags, verb);
		AUTO_FREE char *num = NULL;
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
		num = verb == 'c' ? xasprintf(fmt, (int)v->i) : xasprintf(fmt, (long long)v->i);
#pragma GCC diagnostic pop
		strb_adds(b, num);
		return;
	}
	if (strchr("feEgG", verb) && v->kind == VAL_DBL) {
		AUTO_FREE char *num = NULL;

		(void)snprintf(fmt, sizeof fmt, "%%%s%c", flags, verb);
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
		num = xasprintf(fmt, v->d);
#pragma GCC diagnostic pop
		strb_adds(b, num);
		return;
	}
	text = text_of(v);
	if (verb == 's' || verb == 'v' || (verb == 't' && v->kind == VAL_BOOL)) {
		AUTO_FREE char *padded = NULL;

		(void)snprintf(fmt, sizeof fmt, "%%%ss", flags[strspn(flags, "-0123456789.")] ? "" : flags);
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
		padded = xasprintf(fmt, text);
#pragma GCC diagnostic pop
		strb_adds(b, padded);
		return;
	}
	strb_addf(b, "%%!%c(%s)", verb, text);
}

static int f_printf(struct call *c, struct val *ret)
{
	struct strb b = STRB_INIT;
	size_t next = 1;
	const char *p = c->args[0].s;

	if (c->args[0].kind != VAL_STR)
		return wrong(c, "wrong type of argument; expected string");
	while (*p) {
		size_t len = 1;

		if (*p != '%') {
			strb_addc(&b, *p++);
			continue;
		}
		if (p[1] == '%') {
			strb_addc(&b, '%');
			p += 2;
			continue;
		}
		len += strspn(p + 1, "+-# 0123456789.");
		/* a width is data here: more than three digits would be an invitation to print gigabytes */
		if (!p[len] || len > 12 || strspn(p + 1 + strspn(p + 1, "+-# "), "0123456789") > 3) {
			strb_adds(&b, "%!(NOVERB)");
			break;
		}
		len++;
		if (next >= c->n)
			strb_addf(&b, "%%!%c(MISSING)", p[len - 1]);
		else
			print_verb(&b, p, len, &c->args[next++]);
		p += len;
	}
	*ret = val_text(c->x, strb_take(&b));
	return 0;
}

static int index_one(struct call *c, const struct val *in, const struct val *at, struct val *ret)
{
	size_t n = in->kind == VAL_LIST ? in->list.n : in->kind == VAL_TREE ? jval_len(in->j) : 0;

	if (in->kind == VAL_NIL) {
		*ret = (struct val){ .kind = VAL_NIL };
		return at->kind == VAL_INT ? wrong(c, "index of untyped nil") : 0;
	}
	if (in->kind == VAL_TREE && jval_kind(in->j) == JVAL_DICT) {
		if (at->kind != VAL_STR)
			return wrong(c, "value has type int; should be string");
		*ret = val_json(jval_get(in->j, at->s), NULL);
		if (ret->kind == VAL_NIL && !jval_get(in->j, at->s)) /* zero value of a map of strings */
			*ret = (struct val){ .kind = VAL_STR, .s = "" };
		return 0;
	}
	if (at->kind != VAL_INT)
		return wrong(c, "cannot index slice/array with type string");
	if (at->i < 0 || (size_t)at->i >= n)
		return tmpl_fail(c->x, c->at, "error calling index: index out of range: %lld", (long long)at->i);
	if (in->kind == VAL_LIST)
		*ret = (struct val){ .kind = VAL_STR, .s = in->list.v[at->i] };
	else
		*ret = val_json(jval_at(in->j, (size_t)at->i), NULL);
	return 0;
}

static int f_index(struct call *c, struct val *ret)
{
	struct val v = c->args[0];

	for (size_t i = 1; i < c->n; i++) {
		struct val in = v;
		int r = index_one(c, &in, &c->args[i], &v);

		if (r < 0)
			return r;
	}
	*ret = v;
	return 0;
}

static int f_len(struct call *c, struct val *ret)
{
	const struct val *v = &c->args[0];
	size_t n = v->kind == VAL_STR ? strlen(v->s) : v->kind == VAL_LIST ? v->list.n : jval_len(v->j);

	if (v->kind == VAL_BOOL || v->kind == VAL_INT || v->kind == VAL_DBL)
		return wrong(c, "len of a single value");
	*ret = (struct val){ .kind = VAL_INT, .i = (int64_t)n };
	return 0;
}

static int f_slice(struct call *c, struct val *ret)
{
	int64_t from = c->n > 1 ? c->args[1].i : 0, to = c->n > 2 ? c->args[2].i : -1;
	int64_t len = c->args[0].kind == VAL_STR ? (int64_t)strlen(c->args[0].s) : -1;

	if (len < 0)
		return wrong(c, "can't slice item of this type");
	if (c->n < 3)
		to = len;
	if (from < 0 || to > len || from > to)
		return tmpl_fail(c->x, c->at, "error calling slice: index out of range: %lld",
				 (long long)(from < 0 || from > len ? from : to));
	*ret = val_text(c->x, xstrndup(c->args[0].s + from, (size_t)(to - from)));
	return 0;
}

static int f_not(struct call *c, struct val *ret)
{
	*ret = (struct val){ .kind = VAL_BOOL, .i = !val_true(&c->args[0]) };
	return 0;
}

/* -1, 0, 1; -2 where the two cannot be compared */
static int compare(const struct val *a, const struct val *b)
{
	bool numbers = (a->kind == VAL_INT || a->kind == VAL_DBL) && (b->kind == VAL_INT || b->kind == VAL_DBL);

	if (numbers && a->kind == VAL_INT && b->kind == VAL_INT)
		return (a->i > b->i) - (a->i < b->i);
	if (numbers) {
		double x = a->kind == VAL_INT ? (double)a->i : a->d, y = b->kind == VAL_INT ? (double)b->i : b->d;

		return (x > y) - (x < y);
	}
	if (a->kind != b->kind)
		return -2;
	if (a->kind == VAL_STR) {
		int r = strcmp(a->s, b->s);

		return (r > 0) - (r < 0);
	}
	if (a->kind == VAL_BOOL)
		return (a->i > b->i) - (a->i < b->i);
	return a->kind == VAL_NIL ? 0 : -2;
}

static int ordered(struct call *c, struct val *ret, bool less, bool equal, bool more)
{
	int order = compare(&c->args[0], &c->args[1]);

	if (order == -2)
		return wrong(c, "incompatible types for comparison");
	*ret = (struct val){ .kind = VAL_BOOL, .i = order < 0 ? less : order == 0 ? equal : more };
	return 0;
}
static int f_lt(struct call *c, struct val *ret)
{
	return ordered(c, ret, true, false, false);
}
static int f_le(struct call *c, struct val *ret)
{
	return ordered(c, ret, true, true, false);
}
static int f_gt(struct call *c, struct val *ret)
{
	return ordered(c, ret, false, false, true);
}
static int f_ge(struct call *c, struct val *ret)
{
	return ordered(c, ret, false, true, true);
}

static bool either_nil(const struct val *a, const struct val *b)
{
	return a->kind == VAL_NIL || b->kind == VAL_NIL;
}

static int f_eq(struct call *c, struct val *ret)
{
	bool equal = false;

	for (size_t i = 1; i < c->n; i++) {
		int order = compare(&c->args[0], &c->args[i]);

		if (order == -2 && !either_nil(&c->args[0], &c->args[i]))
			return wrong(c, "incompatible types for comparison");
		equal |= order == 0;
	}
	*ret = (struct val){ .kind = VAL_BOOL, .i = equal };
	return 0;
}

static int f_ne(struct call *c, struct val *ret)
{
	int r = f_eq(c, ret);

	ret->i = !ret->i;
	return r;
}

static const struct {
	const char *name;
	func *call;
	size_t min, max;
} funcs[] = {
	/* clang-format off */
	{ "json", f_json, 1, 1 },       { "split", f_split, 2, 2 },     { "join", f_join, 2, 2 },
	{ "lower", f_lower, 1, 1 },     { "upper", f_upper, 1, 1 },     { "title", f_title, 1, 1 },
	{ "pad", f_pad, 3, 3 },         { "truncate", f_truncate, 2, 2 }, { "print", f_print, 0, ARGS_MAX },
	{ "println", f_println, 0, ARGS_MAX }, { "printf", f_printf, 1, ARGS_MAX }, { "index", f_index, 1, ARGS_MAX },
	{ "len", f_len, 1, 1 },         { "slice", f_slice, 1, 3 },     { "not", f_not, 1, 1 },
	{ "eq", f_eq, 2, ARGS_MAX },    { "ne", f_ne, 2, 2 },           { "lt", f_lt, 2, 2 },
	{ "le", f_le, 2, 2 },           { "gt", f_gt, 2, 2 },           { "ge", f_ge, 2, 2 },
	{ "and", NULL, 1, ARGS_MAX },   { "or", NULL, 1, ARGS_MAX }, /* NULL: the arguments are evaluated one at a time */
	/* clang-format on */
};

bool tmpl_func_known(const char *name)
{
	for (size_t i = 0; i < ARRAY_LEN(funcs); i++)
		if (streq(funcs[i].name, name))
			return true;
	return false;
}

static int and_or(struct run *x, const struct operand *args, size_t n, const struct val *piped, bool stop_on,
		  bool missing_ok, struct val *ret)
{
	struct val v = { 0 };

	for (size_t i = 0; i < n; i++) {
		int r = tmpl_operand(x, &args[i], missing_ok, &v);

		if (r < 0)
			return r;
		if (val_true(&v) == stop_on) {
			*ret = v;
			return 0;
		}
	}
	*ret = piped ? *piped : v;
	return 0;
}

int tmpl_call(struct run *x, const struct operand *name, const struct operand *args, size_t n, const struct val *piped,
	      bool missing_ok, struct val *ret)
{
	struct val values[ARGS_MAX];
	struct call c = { .x = x, .at = name, .args = values, .n = n + (piped ? 1 : 0) };
	size_t f = 0;

	while (!streq(funcs[f].name, name->text)) /* the parser lets only known names through */
		f++;
	if (c.n < funcs[f].min || c.n > funcs[f].max)
		return tmpl_fail(x, name, "wrong number of args for %s: want %s%zu got %zu", name->text,
				 funcs[f].min == funcs[f].max ? "" : "at least ", funcs[f].min, c.n);
	if (!funcs[f].call)
		return and_or(x, args, n, piped, streq(name->text, "or"), missing_ok, ret);
	for (size_t i = 0; i < n; i++) {
		int r = tmpl_operand(x, &args[i], missing_ok, &values[i]);

		if (r < 0)
			return r;
	}
	if (piped)
		values[n] = *piped;
	return funcs[f].call(&c, ret);
}
