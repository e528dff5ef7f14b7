/* ports_text.c - neighbouring ports that keep their number are shown as one range; the others one by one, after them. */
#include "cli/ports_text.h"

struct shown {
	int64_t private_port, public_port;
	const char *ip, *type;
};
struct range {
	const char *ip, *type;
	int64_t first, last;
};
struct ranges {
	struct range *v;
	size_t n;
};

static int in_order(const void *a, const void *b)
{
	const struct shown *x = a, *y = b;
	int r;

	if (x->private_port != y->private_port)
		return x->private_port < y->private_port ? -1 : 1;
	if ((r = strcmp(x->ip, y->ip)) != 0)
		return r;
	if (x->public_port != y->public_port)
		return x->public_port < y->public_port ? -1 : 1;
	return strcmp(x->type, y->type);
}

static void host_add(struct strb *b, const char *ip)
{
	strb_addf(b, strchr(ip, ':') ? "[%s]:" : "%s:", ip);
}

static void range_add(struct strb *b, const struct range *r)
{
	AUTO_FREE char *span = r->first == r->last ? xasprintf("%lld", (long long)r->first)
						   : xasprintf("%lld-%lld", (long long)r->first, (long long)r->last);

	if (b->len)
		strb_adds(b, ", ");
	if (*r->ip) {
		host_add(b, r->ip);
		strb_addf(b, "%s->", span);
	}
	strb_addf(b, "%s/%s", span, r->type);
}

/* Grows the open range of this address and protocol, or closes it and opens the next. */
static void take(struct ranges *open, const struct shown *p, struct strb *out)
{
	struct range *r = NULL;

	for (size_t i = 0; i < open->n && !r; i++)
		if (streq(open->v[i].ip, p->ip) && streq(open->v[i].type, p->type))
			r = &open->v[i];
	if (!r) {
		r = VEC_ADD(open);
		*r = (struct range){ p->ip, p->type, p->private_port, p->private_port };
	} else if (p->private_port == r->last + 1) {
		r->last++;
	} else {
		range_add(out, r);
		r->first = r->last = p->private_port;
	}
}

char *ports_text(const struct jval *ports)
{
	size_t n = jval_len(ports);
	struct shown *list = xcalloc(n + 1, sizeof *list);
	struct ranges open = { 0 };
	struct strb out = STRB_INIT;
	AUTO_STRB struct strb mapped = STRB_INIT;

	for (size_t i = 0; i < n; i++) {
		const struct jval *p = jval_at(ports, i);

		list[i] = (struct shown){ .private_port = jval_int(jval_get(p, "PrivatePort")),
					  .public_port = jval_int(jval_get(p, "PublicPort")),
					  .ip = jval_str(jval_get(p, "IP")),
					  .type = jval_str(jval_get(p, "Type")) };
	}
	qsort(list, n, sizeof *list, in_order);
	for (size_t i = 0; i < n; i++) {
		if (!*list[i].ip || list[i].public_port == list[i].private_port) {
			take(&open, &list[i], &out);
			continue;
		}
		if (mapped.len)
			strb_adds(&mapped, ", ");
		host_add(&mapped, list[i].ip);
		strb_addf(&mapped, "%lld->%lld/%s", (long long)list[i].public_port, (long long)list[i].private_port,
			  list[i].type);
	}
	for (size_t i = 0; i < open.n; i++)
		range_add(&out, &open.v[i]);
	if (mapped.len)
		strb_addf(&out, "%s%s", out.len ? ", " : "", strb_str(&mapped));
	free(list);
	free(open.v);
	return strb_take(&out);
}
