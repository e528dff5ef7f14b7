/* Classic BPF for a table of system call rules: neighbours with the same answer become one range, ranges are found by binary
 * search, conditions on arguments sit in the leaves. libseccomp's own generator emits a chain of comparisons (or, newer, a
 * tree over single numbers) and takes milliseconds; this takes microseconds and is what the kernel caches best. */
#include "plan/seccomp_bpf.h"

#include <linux/seccomp.h>

void bpf_add(struct bpf *p, uint16_t code, uint8_t jt, uint8_t jf, uint32_t k)
{
	*VEC_ADD(p) = (struct sock_filter){ code, jt, jf, k };
}

static void bpf_append(struct bpf *p, const struct bpf *from)
{
	for (size_t i = 0; i < from->n; i++)
		*VEC_ADD(p) = from->v[i];
}

void bpf_if(struct bpf *p, uint16_t jump, uint32_t k, const struct bpf *yes)
{
	if (yes->n <= UINT8_MAX) {
		bpf_add(p, BPF_JMP | jump | BPF_K, 0, (uint8_t)yes->n, k);
	} else {
		bpf_add(p, BPF_JMP | jump | BPF_K, 1, 0, k);
		bpf_add(p, BPF_JMP | BPF_JA, 0, 0, (uint32_t)yes->n);
	}
	bpf_append(p, yes);
}

static void bpf_ret(struct bpf *p, uint32_t action)
{
	bpf_add(p, BPF_RET | BPF_K, 0, 0, action);
}

static void load_arg(struct bpf *p, uint32_t index, bool high)
{
	bool big_endian = __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__;
	uint32_t at = (uint32_t)offsetof(struct seccomp_data, args) + index * 8 + (high != big_endian ? 4 : 0);

	bpf_add(p, BPF_LD | BPF_W | BPF_ABS, 0, 0, at);
}

/* Jumps of one rule whose target is not known yet. */
enum { HERE = 0, FAIL = 254, PASS = 255 };

static void jump(struct bpf *p, uint16_t code, uint32_t k, uint8_t jt, uint8_t jf)
{
	bpf_add(p, BPF_JMP | code | BPF_K, jt, jf, k);
}

static void resolve(struct bpf *p, size_t from, uint8_t mark, size_t target)
{
	for (size_t i = from; i < p->n; i++) {
		if (BPF_CLASS(p->v[i].code) != BPF_JMP)
			continue;
		if (p->v[i].jt == mark)
			p->v[i].jt = (uint8_t)(target - i - 1);
		if (p->v[i].jf == mark)
			p->v[i].jf = (uint8_t)(target - i - 1);
	}
}

/* Falls through where the condition holds, else jumps to FAIL. */
static void condition(struct bpf *p, const struct seccomp_cond *c, bool wide)
{
	uint32_t high = (uint32_t)(c->value >> 32), low = (uint32_t)c->value;
	uint64_t datum = c->value & c->value_two;
	size_t start = p->n;

	switch (c->op) {
	case OP_EQ:
		if (wide) {
			load_arg(p, c->index, true);
			jump(p, BPF_JEQ, high, HERE, FAIL);
		}
		load_arg(p, c->index, false);
		jump(p, BPF_JEQ, low, HERE, FAIL);
		break;
	case OP_NE:
		if (wide) {
			load_arg(p, c->index, true);
			jump(p, BPF_JEQ, high, HERE, PASS);
		}
		load_arg(p, c->index, false);
		jump(p, BPF_JEQ, low, FAIL, HERE);
		break;
	case OP_GT:
	case OP_GE:
		if (wide) {
			load_arg(p, c->index, true);
			jump(p, BPF_JGT, high, PASS, HERE);
			jump(p, BPF_JEQ, high, HERE, FAIL);
		}
		load_arg(p, c->index, false);
		jump(p, c->op == OP_GT ? BPF_JGT : BPF_JGE, low, HERE, FAIL);
		break;
	case OP_LT:
	case OP_LE:
		if (wide) {
			load_arg(p, c->index, true);
			jump(p, BPF_JGT, high, FAIL, HERE);
			jump(p, BPF_JEQ, high, HERE, PASS);
		}
		load_arg(p, c->index, false);
		jump(p, c->op == OP_LT ? BPF_JGE : BPF_JGT, low, FAIL, HERE);
		break;
	case OP_MASKED_EQ:
		if (wide) {
			load_arg(p, c->index, true);
			bpf_add(p, BPF_ALU | BPF_AND | BPF_K, 0, 0, high);
			jump(p, BPF_JEQ, (uint32_t)(datum >> 32), HERE, FAIL);
		}
		load_arg(p, c->index, false);
		bpf_add(p, BPF_ALU | BPF_AND | BPF_K, 0, 0, low);
		jump(p, BPF_JEQ, (uint32_t)datum, HERE, FAIL);
		break;
	}
	resolve(p, start, PASS, p->n);
}

static void rule(struct bpf *p, const struct seccomp_rule *r, bool wide)
{
	size_t start = p->n;

	for (size_t i = 0; i < r->n_conds; i++)
		condition(p, &r->conds[i], wide);
	bpf_ret(p, r->action);
	resolve(p, start, FAIL, p->n);
}

/* From `start` on until the next range: either one action or the rules of a single system call. */
struct range {
	int start;
	uint32_t action;
	const struct seccomp_rule *rules;
	size_t n_rules;
};
struct ranges {
	struct range *v;
	size_t n;
};

static void range_add(struct ranges *rs, int start, uint32_t action, const struct seccomp_rule *rules, size_t n_rules)
{
	struct range *last = rs->n ? &rs->v[rs->n - 1] : NULL;

	if (last && last->start == start) { /* it turned out empty */
		rs->n--;
		last = rs->n ? &rs->v[rs->n - 1] : NULL;
	}
	if (last && !last->n_rules && !n_rules && last->action == action)
		return;
	*VEC_ADD(rs) = (struct range){ start, action, rules, n_rules };
}

static int rule_order(const void *pa, const void *pb)
{
	const struct seccomp_rule *a = pa, *b = pb;

	if (a->nr != b->nr)
		return a->nr < b->nr ? -1 : 1;
	return a->order < b->order ? -1 : a->order > b->order;
}

/* As in libseccomp, a rule without conditions makes all others of its system call moot; of several, the first counts. */
static void collect(struct seccomp_table *t, struct ranges *rs)
{
	range_add(rs, t->base, t->otherwise, NULL, 0);
	for (size_t i = 0, n; i < t->rules.n; i += n) {
		const struct seccomp_rule *first = &t->rules.v[i], *plain = NULL;

		for (n = 0; i + n < t->rules.n && first[n].nr == first->nr; n++)
			if (!first[n].n_conds && !plain)
				plain = &first[n];
		if (plain)
			range_add(rs, first->nr, plain->action, NULL, 0);
		else
			range_add(rs, first->nr, t->otherwise, first, n);
		range_add(rs, first->nr + 1, t->otherwise, NULL, 0);
	}
	range_add(rs, MAX(t->last + 1, t->base), t->beyond, NULL, 0);
}

static void search(struct bpf *p, const struct seccomp_table *t, const struct range *v, size_t n)
{
	if (n == 1) {
		for (size_t i = 0; i < v->n_rules; i++)
			rule(p, &v->rules[i], t->wide);
		bpf_ret(p, v->action);
		return;
	}
	struct bpf high = { 0 };
	size_t middle = n / 2;

	search(&high, t, v + middle, n - middle);
	bpf_if(p, BPF_JGE, (uint32_t)v[middle].start, &high);
	free(high.v);
	search(p, t, v, middle);
}

void bpf_search(struct bpf *p, struct seccomp_table *t)
{
	struct ranges rs = { 0 };

	if (t->rules.n)
		qsort(t->rules.v, t->rules.n, sizeof *t->rules.v, rule_order);
	collect(t, &rs);
	search(p, t, rs.v, rs.n);
	free(rs.v);
}
