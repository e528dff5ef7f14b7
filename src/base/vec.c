/* vec.c - vectors of strings, ordered string maps, and the growth rule of all vectors. */
#include "base/base.h"

#include <stdio.h>

void *vec_grow(void *v, size_t n, size_t size)
{
	/* Capacity is never stored: it is the power of two at or above n, at least 4. */
	if (n == 0 || (n >= 4 && (n & (n - 1)) == 0))
		v = xrealloc(v, n < 4 ? 4 : n * 2, size);
	memset((char *)v + n * size, 0, size);
	return v;
}

void strv_done(struct strv *v)
{
	for (size_t i = 0; i < v->n; i++)
		free(v->v[i]);
	free(v->v);
	*v = (struct strv){ 0 };
}

void strv_push(struct strv *v, char *s)
{
	v->v = xrealloc(v->v, v->n + 2, sizeof *v->v);
	v->v[v->n++] = s;
	v->v[v->n] = NULL;
}

void strv_add(struct strv *v, const char *s)
{
	strv_push(v, xstrdup(s));
}

void strv_addf(struct strv *v, const char *fmt, ...)
{
	struct strb b = STRB_INIT;
	va_list ap;

	va_start(ap, fmt);
	strb_addv(&b, fmt, ap);
	va_end(ap);
	strv_push(v, strb_take(&b));
}

void strv_addv(struct strv *v, const struct strv *from)
{
	for (size_t i = 0; i < from->n; i++)
		strv_add(v, from->v[i]);
}

void strv_copy(struct strv *to, const struct strv *from)
{
	struct strv copy = { 0 };

	strv_addv(&copy, from);
	strv_done(to);
	*to = copy;
}

void strv_remove(struct strv *v, size_t i)
{
	free(v->v[i]);
	memmove(v->v + i, v->v + i + 1, (v->n - i) * sizeof *v->v); /* the closing NULL moves too */
	v->n--;
}

bool strv_has(const struct strv *v, const char *s)
{
	for (size_t i = 0; i < v->n; i++)
		if (streq(v->v[i], s))
			return true;
	return false;
}

static int by_text(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

void strv_sort(struct strv *v)
{
	if (v->n > 1)
		qsort(v->v, v->n, sizeof *v->v, by_text);
}

void strv_split(struct strv *v, const char *s, const char *separators)
{
	while (*s) {
		size_t n = strcspn(s, separators);

		if (n)
			strv_push(v, xstrndup(s, n));
		s += n;
		if (*s)
			s++;
	}
}

static size_t env_key_len(const char *assignment)
{
	return strcspn(assignment, "=");
}

void strv_env_set(struct strv *v, const char *assignment)
{
	size_t n = env_key_len(assignment);

	for (size_t i = 0; i < v->n; i++) {
		if (env_key_len(v->v[i]) == n && memcmp(v->v[i], assignment, n) == 0) {
			char *copy = xstrdup(assignment);

			free(v->v[i]);
			v->v[i] = copy;
			return;
		}
	}
	strv_add(v, assignment);
}

const char *strv_env_get(const struct strv *v, const char *key)
{
	size_t n = strlen(key);

	for (size_t i = 0; i < v->n; i++)
		if (env_key_len(v->v[i]) == n && memcmp(v->v[i], key, n) == 0 && v->v[i][n] == '=')
			return v->v[i] + n + 1;
	return NULL;
}

void strmap_done(struct strmap *m)
{
	for (size_t i = 0; i < m->n; i++) {
		free(m->v[i].k);
		free(m->v[i].v);
	}
	free(m->v);
	*m = (struct strmap){ 0 };
}

static struct strkv *lookup(const struct strmap *m, const char *k)
{
	for (size_t i = 0; i < m->n; i++)
		if (streq(m->v[i].k, k))
			return &m->v[i];
	return NULL;
}

void strmap_set(struct strmap *m, const char *k, const char *v)
{
	struct strkv *e = lookup(m, k);
	char *copy = xstrdup(v);

	if (e) {
		free(e->v);
	} else {
		m->v = xrealloc(m->v, m->n + 1, sizeof *m->v);
		e = &m->v[m->n++];
		e->k = xstrdup(k);
	}
	e->v = copy;
}

const char *strmap_get(const struct strmap *m, const char *k)
{
	const struct strkv *e = lookup(m, k);

	return e ? e->v : NULL;
}

bool strmap_has(const struct strmap *m, const char *want)
{
	const char *eq = strchr(want, '=');
	AUTO_FREE char *key = eq ? xstrndup(want, (size_t)(eq - want)) : NULL;
	const char *v = strmap_get(m, eq ? key : want);

	return v && (!eq || streq(v, eq + 1));
}

void strmap_copy(struct strmap *to, const struct strmap *from)
{
	struct strmap copy = { 0 };

	for (size_t i = 0; i < from->n; i++)
		strmap_set(&copy, from->v[i].k, from->v[i].v);
	strmap_done(to);
	*to = copy;
}

size_t sorted_place(size_t n, const char *(*key_of)(const void *table, size_t i), const void *table, const char *key)
{
	size_t low = 0, high = n;

	while (low < high) {
		size_t mid = low + (high - low) / 2;

		if (strcmp(key_of(table, mid), key) < 0)
			low = mid + 1;
		else
			high = mid;
	}
	return low;
}
