/* seen.c - which paths an archive has brought so far. */
#include "archive/apply_priv.h"

static uint64_t hash_of(const char *path, size_t n)
{
	uint64_t h = 0xcbf29ce484222325u; /* FNV-1a, then stirred: its low bits alone are weak */

	for (size_t i = 0; i < n; i++)
		h = (h ^ (unsigned char)path[i]) * 0x100000001b3u;
	h ^= h >> 32;
	h *= 0xd6e8feb86659fd93u;
	h ^= h >> 32;
	return h ? h : 1;
}

static uint64_t *slot_of(const struct seen *s, uint64_t h)
{
	size_t i = h & (s->cap - 1);

	while (s->v[i] && s->v[i] != h)
		i = (i + 1) & (s->cap - 1);
	return &s->v[i];
}

static void grow(struct seen *s)
{
	struct seen bigger = { .cap = s->cap ? s->cap * 2 : 1024, .n = s->n };

	bigger.v = xcalloc(bigger.cap, sizeof *bigger.v);
	for (size_t i = 0; i < s->cap; i++)
		if (s->v[i])
			*slot_of(&bigger, s->v[i]) = s->v[i];
	free(s->v);
	*s = bigger;
}

void seen_add(struct seen *s, const char *path)
{
	for (size_t n = strlen(path); n > 0;) {
		uint64_t *slot, h = hash_of(path, n);

		if (s->n * 2 >= s->cap)
			grow(s);
		slot = slot_of(s, h);
		if (*slot)
			return; /* and all above it */
		*slot = h;
		s->n++;
		while (n > 0 && path[--n] != '/')
			;
	}
}

bool seen_has(const struct seen *s, const char *path)
{
	return s->n && *slot_of(s, hash_of(path, strlen(path)));
}
