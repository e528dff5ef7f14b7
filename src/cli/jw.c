/* jw.c - the JSON writer. */
#include "cli/jw.h"
#include "json/json.h"

void jw_done(struct jw *w)
{
	strb_done(&w->b);
	w->comma = false;
}

static void start(struct jw *w, const char *key)
{
	if (w->comma)
		strb_addc(&w->b, ',');
	w->comma = true;
	if (!key)
		return;
	json_add_str(&w->b, key);
	strb_addc(&w->b, ':');
}

void jw_open(struct jw *w, const char *key, char bracket)
{
	start(w, key);
	strb_addc(&w->b, bracket);
	w->comma = false;
}

void jw_close(struct jw *w, char bracket)
{
	strb_addc(&w->b, bracket);
	w->comma = true;
}

void jw_str(struct jw *w, const char *key, const char *value)
{
	start(w, key);
	if (value)
		json_add_str(&w->b, value);
	else
		strb_adds(&w->b, "null");
}

void jw_str_n(struct jw *w, const char *key, const char *value, size_t n)
{
	start(w, key);
	json_add_str_n(&w->b, value, n);
}

void jw_int(struct jw *w, const char *key, int64_t value)
{
	start(w, key);
	strb_addf(&w->b, "%lld", (long long)value);
}

void jw_bool(struct jw *w, const char *key, bool value)
{
	start(w, key);
	strb_adds(&w->b, value ? "true" : "false");
}

void jw_raw(struct jw *w, const char *key, const char *json)
{
	start(w, key);
	strb_adds(&w->b, json);
}

void jw_strv(struct jw *w, const char *key, const struct strv *values)
{
	jw_open(w, key, '[');
	for (size_t i = 0; i < values->n; i++)
		jw_str(w, NULL, values->v[i]);
	jw_close(w, ']');
}

void jw_map(struct jw *w, const char *key, const struct strmap *values)
{
	jw_open(w, key, '{');
	for (size_t i = 0; i < values->n; i++)
		jw_str(w, values->v[i].k, values->v[i].v);
	jw_close(w, '}');
}
