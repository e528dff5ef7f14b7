#include "plan/plan_private.h"

enum { BLOCK_MIN = 16 * 1024 };

struct plan_block {
	struct plan_block *next;
	size_t used, size;
	_Alignas(max_align_t) char bytes[];
};

void *plan_arena_alloc(struct plan_arena *a, size_t n)
{
	size_t need = (n + _Alignof(max_align_t) - 1) & ~(_Alignof(max_align_t) - 1);
	struct plan_block *block = a->first;

	if (!block || block->size - block->used < need) {
		size_t size = MAX(need, (size_t)BLOCK_MIN);

		block = xcalloc(1, sizeof *block + size);
		block->size = size;
		block->next = a->first;
		a->first = block;
	}
	block->used += need;
	return block->bytes + block->used - need;
}

char *plan_arena_strdup(struct plan_arena *a, const char *s)
{
	size_t n = strlen(s) + 1;

	return memcpy(plan_arena_alloc(a, n), s, n);
}

void plan_arena_done(struct plan_arena *a)
{
	while (a->first) {
		struct plan_block *next = a->first->next;

		free(a->first);
		a->first = next;
	}
}

const char *const *plan_strings(struct builder *b, const struct strv *v)
{
	const char **ret = NEW_ARRAY(b, const char *, v->n + 1);

	for (size_t i = 0; i < v->n; i++)
		ret[i] = v->v[i];
	return ret;
}

void plan_warn(const struct plan_env *env, const char *fmt, ...)
{
	AUTO_STRB struct strb text = STRB_INIT;
	va_list ap;

	if (!env->warnings)
		return;
	va_start(ap, fmt);
	strb_addv(&text, fmt, ap);
	va_end(ap);
	strv_add(env->warnings, strb_str(&text));
}
