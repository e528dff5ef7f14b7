/* care_glue.c - keeping images whole: verify, in lines of JSON. */
#include "engine/engine_private.h"
#include "json/json.h"

static void add_key(struct strb *b, const char *key)
{
	char last = b->len ? b->s[b->len - 1] : '{';

	if (last != '{' && last != '[')
		strb_addc(b, ',');
	json_add_str(b, key);
	strb_addc(b, ':');
}

static void add_text(struct strb *b, const char *key, const char *value)
{
	add_key(b, key);
	json_add_str(b, value ? value : "");
}

static void add_number(struct strb *b, const char *key, int64_t value)
{
	add_key(b, key);
	strb_addf(b, "%lld", (long long)value);
}

static void add_flaws(struct strb *b, const struct store_check *found)
{
	add_key(b, "problems");
	strb_addc(b, '[');
	for (size_t i = 0; i < found->flaws.n; i++) {
		strb_adds(b, i ? ",{" : "{");
		add_text(b, "path", found->flaws.v[i].path);
		add_text(b, "problem", found->flaws.v[i].why);
		strb_addc(b, '}');
	}
	strb_addc(b, ']');
	add_number(b, "problemCount", found->all);
}

struct care {
	const struct engine_progress *p;
	bool gone;
};

static void layer_checked(void *ctx, const struct image_check *c)
{
	struct care *care = ctx;
	AUTO_STRB struct strb b = STRB_INIT;

	strb_addc(&b, '{');
	add_text(&b, "layer", c->layer);
	add_text(&b, "diffID", c->diff_id);
	add_key(&b, "images");
	strb_addc(&b, '[');
	for (size_t i = 0; i < c->images->n; i++) {
		if (i)
			strb_addc(&b, ',');
		json_add_str(&b, c->images->v[i]);
	}
	strb_addc(&b, ']');
	add_text(&b, "status", !c->found ? "unknown" : c->found->all ? "broken" : "ok");
	if (c->found) {
		add_number(&b, "bytes", c->found->bytes);
		add_number(&b, "entries", c->found->entries);
	}
	if (c->found && c->found->all)
		add_flaws(&b, c->found);
	if (!c->found)
		add_text(&b, "error", c->error);
	strb_addc(&b, '}');
	care->gone |= care->p->line(care->p->ctx, strb_str(&b)) < 0;
}

static bool care_gone(void *ctx)
{
	const struct care *care = ctx;

	return care->gone || (care->p->gone && care->p->gone(care->p->ctx));
}

int images_verify(struct engine *en, const struct strv *names, const struct engine_progress *p, struct err *e)
{
	struct care care = { .p = p };
	struct image_verify v = { .layer = layer_checked, .gone = care_gone, .ctx = &care };
	struct image_verified done = { 0 };
	AUTO_FREE char *line = NULL;
	int r = image_verify(en->images, names, &v, &done, e);

	if (r < 0)
		return r;
	line = xasprintf("{\"layers\":%zu,\"broken\":%zu,\"unknown\":%zu}", done.layers, done.broken, done.unsaid);
	(void)p->line(p->ctx, line);
	return 0;
}
