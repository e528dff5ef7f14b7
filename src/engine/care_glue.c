/* care_glue.c - keeping images whole, and only those that are wanted: verify and garbage collection, in lines of JSON. */
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

/* ---- garbage ---- */
struct sweep {
	struct engine *en;
	const struct engine_progress *p; /* NULL: only the log */
};

static void looked_at(void *ctx, const struct image *i, int64_t bytes, bool removed, const char *why)
{
	struct sweep *s = ctx;
	AUTO_STRB struct strb b = STRB_INIT;
	struct image_names names = { 0 };
	char when[TIME_TEXT_MAX];

	if (!s->p) {
		if (removed)
			log_info("image %s is removed to make room: %s", i->id, why);
		return;
	}
	image_names(s->en->images, i->id, &names);
	strb_addc(&b, '{');
	add_text(&b, "image", i->id);
	add_key(&b, "names");
	strb_addc(&b, '[');
	for (size_t k = 0; k < names.tags.n; k++) {
		if (k)
			strb_addc(&b, ',');
		json_add_str(&b, names.tags.v[k]);
	}
	strb_addc(&b, ']');
	time_format(MAX(i->used_ns, image_tagged_ns(s->en->images, i->id)), when);
	add_text(&b, "used", when);
	add_number(&b, "bytes", bytes);
	add_text(&b, "action", removed ? "remove" : "keep");
	add_text(&b, "why", why);
	strb_addc(&b, '}');
	image_names_done(&names);
	(void)s->p->line(s->p->ctx, strb_str(&b));
}

int images_gc(struct engine *en, bool dry, const struct engine_progress *p, struct err *e)
{
	struct sweep s = { en, p };
	struct image_gc g = { .dry = dry,
			      .keep_days = en->config.gc_keep_days,
			      .keep_last = en->config.gc_keep_last,
			      .min_free = en->config.gc_min_free,
			      .image = looked_at,
			      .ctx = &s };
	AUTO_FREE char *line = NULL;
	size_t removed = 0;
	int64_t bytes = 0;
	int r;

	if (__atomic_exchange_n(&en->pruning_images, 1, __ATOMIC_ACQ_REL))
		return err_set(e, ERR_CONFLICT, "a prune operation is already running");
	r = image_gc(en->images, &g, &removed, &bytes, e);
	__atomic_store_n(&en->pruning_images, 0, __ATOMIC_RELEASE);
	if (r < 0 || !p)
		return r;
	line = xasprintf("{\"removed\":%zu,\"bytes\":%lld,\"free\":%lld}", removed, (long long)bytes,
			 (long long)store_free_bytes(en->store));
	(void)p->line(p->ctx, line);
	return 0;
}

static void *sweep_now(void *arg)
{
	struct err e = ERR_INIT;

	if (images_gc(arg, false, NULL, &e) < 0)
		log_warn("removing unused images: %s", e.msg);
	return NULL;
}

void images_mind_room(struct engine *en)
{
	if (en->config.gc_min_free && store_free_bytes(en->store) < en->config.gc_min_free)
		(void)engine_background(en, sweep_now, en);
}
