/* listing.c - see listing.h. */
#include "cli/listing.h"
#include "cli/human.h"
#include "cli/template.h"

void listing_done(struct listing *l)
{
	for (size_t i = 0; i < l->rows.n; i++) {
		strmap_done(&l->rows.v[i].cells);
		strmap_done(&l->rows.v[i].labels);
	}
	free(l->rows.v);
	l->rows.v = NULL;
	l->rows.n = 0;
}

struct strmap *listing_add(struct listing *l)
{
	return &((struct listing_row *)VEC_ADD(&l->rows))->cells;
}

void cell_take(struct strmap *cells, const char *name, char *owned)
{
	strmap_set(cells, name, owned);
	free(owned);
}

void cell_setf(struct strmap *cells, const char *name, const char *fmt, ...)
{
	struct strb b = STRB_INIT;
	va_list ap;

	va_start(ap, fmt);
	strb_addv(&b, fmt, ap);
	va_end(ap);
	cell_take(cells, name, strb_take(&b));
}

static int by_key(const void *a, const void *b)
{
	return strcmp(((const struct strkv *)a)->k, ((const struct strkv *)b)->k);
}

void listing_labels(struct listing *l, const struct jval *labels)
{
	struct listing_row *row = &l->rows.v[l->rows.n - 1];
	struct strb b = STRB_INIT;

	for (size_t i = 0; i < jval_len(labels); i++) {
		const char *key;
		const struct jval *v = jval_entry(labels, i, &key);

		strmap_set(&row->labels, key, jval_str(v));
	}
	if (row->labels.n)
		qsort(row->labels.v, row->labels.n, sizeof *row->labels.v, by_key);
	for (size_t i = 0; i < row->labels.n; i++)
		strb_addf(&b, "%s%s=%s", i ? "," : "", row->labels.v[i].k, row->labels.v[i].v);
	cell_take(&row->cells, "Labels", strb_take(&b));
}

static char *row_json(const struct strmap *cells)
{
	struct strmap sorted = { 0 };
	struct strb b = STRB_INIT;

	strmap_copy(&sorted, cells);
	if (sorted.n)
		qsort(sorted.v, sorted.n, sizeof *sorted.v, by_key);
	strb_addc(&b, '{');
	for (size_t i = 0; i < sorted.n; i++) {
		if (i)
			strb_addc(&b, ',');
		json_add_str(&b, sorted.v[i].k);
		strb_addc(&b, ':');
		if (streq(sorted.v[i].k, "Platform") && !*sorted.v[i].v) /* the one cell that is an object in Docker */
			strb_adds(&b, "null");
		else
			json_add_str(&b, sorted.v[i].v);
	}
	strb_addc(&b, '}');
	strmap_done(&sorted);
	return strb_take(&b);
}

char *listing_json(const struct listing *l)
{
	struct strb b = STRB_INIT;

	strb_addc(&b, '[');
	for (size_t i = 0; i < l->rows.n; i++) {
		AUTO_FREE char *row = row_json(&l->rows.v[i].cells);

		strb_addf(&b, "%s%s", i ? "," : "", row);
	}
	strb_addc(&b, ']');
	return strb_take(&b);
}

static char *row_method(void *user, const char *name, const char *argument)
{
	const struct listing_row *row = user;
	const char *value = streq(name, "Label") && argument ? strmap_get(&row->labels, argument) : NULL;

	if (!streq(name, "Label") || !argument)
		return NULL;
	return xstrdup(value ? value : "");
}

/* In the header a label is shown by the last part of its name: com.example.zone-name -> zone name */
static char *header_method(void *user, const char *name, const char *argument)
{
	const char *dot = argument ? strrchr(argument, '.') : NULL;
	char *text;

	if (!streq(name, "Label") || !argument)
		return NULL;
	text = xstrdup(dot ? dot + 1 : argument);
	for (char *p = text; *p; p++)
		if (*p == '-' || *p == '_')
			*p = ' ';
	return text;
}

static const char *cell_text(void *user, const char *name)
{
	const char *text = strmap_get(&((const struct listing_row *)user)->cells, name);

	return text && streq(name, "Platform") && !*text ? NULL : text;
}

static int render(const struct tmpl *t, const struct listing_row *row, tmpl_method *method, struct strb *out,
		  struct err *e)
{
	void *user = (void *)(uintptr_t)row;
	AUTO_FREE char *json = NULL;
	struct jval *tree = NULL;
	size_t mark = out->len;
	int r = tmpl_is_plain(t) ? tmpl_run(t, &(struct tmpl_env){ .user = user, .cell = cell_text }, out, NULL)
				 : -EAGAIN;

	if (r < 0) { /* the long way round, which knows every word of the language */
		out->len = mark;
		json = row_json(&row->cells);
		r = jval_parse(json, strlen(json), &json_limits_default, &tree, e);
		if (r >= 0)
			r = tmpl_run(t, &(struct tmpl_env){ .root = tree, .method = method, .user = user }, out, e);
		jval_free(tree);
	}
	strb_addc(out, '\n');
	return r;
}

static char *unescape(const char *s)
{
	struct strb b = STRB_INIT;

	for (; *s; s++) {
		if (*s == '\\' && (s[1] == 't' || s[1] == 'n'))
			strb_addc(&b, *++s == 't' ? '\t' : '\n');
		else
			strb_addc(&b, *s);
	}
	return strb_take(&b);
}

static int parse_format(const char *text, struct tmpl **ret, struct err *e)
{
	AUTO_FREE char *plain = unescape(text);
	int r = tmpl_parse(plain, ret, e);

	return r < 0 ? err_wrap(e, r, "failed to parse template") : 0;
}

static int print_rows(const struct listing *l, const struct tmpl *t, struct strb *out, struct err *e)
{
	int r = 0;

	for (size_t i = 0; i < l->rows.n && r >= 0; i++)
		r = render(t, &l->rows.v[i], row_method, out, e);
	return r < 0 ? err_wrap(e, r, "failed to execute template") : 0;
}

static int print_table(const struct listing *l, const char *columns, struct strb *out, struct err *e)
{
	struct listing_row headers = { 0 };
	AUTO_STRV struct strv pairs = { 0 };
	AUTO_STRB struct strb raw = STRB_INIT;
	struct tmpl *t = NULL;
	int r = parse_format(columns, &t, e);

	if (r < 0)
		return r;
	strv_split(&pairs, l->headers, ",");
	for (size_t i = 0; i < pairs.n; i++) {
		char *eq = strchr(pairs.v[i], '=');

		*eq = '\0';
		strmap_set(&headers.cells, pairs.v[i], eq + 1);
	}
	r = render(t, &headers, header_method, &raw, e);
	if (r >= 0)
		r = print_rows(l, t, &raw, e);
	tmpl_free(t);
	strmap_done(&headers.cells);
	columns_align(strb_str(&raw), 10, 3, out);
	return r;
}

int listing_print(const struct listing *l, const char *format, const char *table, struct err *e)
{
	AUTO_STRB struct strb out = STRB_INIT;
	const char *columns = format ? str_after(format, "table") : NULL;
	struct tmpl *t = NULL;
	int r;

	if (str_empty(format) || streq(format, "table")) {
		r = print_table(l, table, &out, e);
	} else if (columns && strchr(" \t{", *columns)) {
		r = print_table(l, columns + strspn(columns, " \t"), &out, e);
	} else {
		r = parse_format(streq(format, "json") ? "{{json .}}" : format, &t, e);
		if (r >= 0)
			r = print_rows(l, t, &out, e);
		tmpl_free(t);
	}
	if (r >= 0)
		(void)fwrite(strb_str(&out), 1, out.len, stdout);
	return r;
}

bool format_mentions(const char *format, const char *field)
{
	return !str_empty(format) && (strstr(format, "json .}}") || strstr(format, field));
}

int format_tree(const struct jval *tree, const char *format, struct strb *out, struct err *e)
{
	struct tmpl *t = NULL;
	AUTO_FREE char *plain = unescape(streq(format, "json") ? "{{json .}}" : format);
	int r = tmpl_parse(plain, &t, e);

	if (r < 0)
		return err_wrap(e, r, "template parsing error");
	r = tmpl_run(t, &(struct tmpl_env){ .root = tree }, out, e);
	tmpl_free(t);
	strb_addc(out, '\n');
	return r < 0 ? err_wrap(e, r, "template parsing error") : 0;
}
