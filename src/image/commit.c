/* commit.c - docker commit: a container's changes become a layer on top of its image, its configuration the new image's. */
#include "image/priv.h"
#include "schema/platform.h"

#define EMPTY_TAR "sha256:5f70bf18a086007016e948b04aed3b82103a36bea41755b6cddfaf10ace3c6ef" /* 1024 zeros */

struct image_committing {
	struct images *t;
	char *rw, *author, *comment, *name; /* name: full reference or NULL */
	struct image *parent;
	struct oci_config config, container; /* what the image gets; what the container has */
	struct store_stage *stage;
};

void image_commit_done(struct image_committing *c)
{
	if (!c)
		return;
	store_stage_drop(c->t->store, c->stage);
	image_unref(c->parent);
	json_done(&oci_config_type, &c->config);
	json_done(&oci_config_type, &c->container);
	free(c->rw);
	free(c->author);
	free(c->comment);
	free(c->name);
	free(c);
}

/* ---- what the client says goes before what the container has (moby: merge()) ---- */
static bool env_has(const struct strv *env, const char *assignment)
{
	size_t n = strcspn(assignment, "=");

	for (size_t i = 0; i < env->n; i++)
		if (strncmp(env->v[i], assignment, n) == 0 && (env->v[i][n] == '=' || !env->v[i][n]))
			return true;
	return false;
}

static void add_missing(struct strv *to, const struct strv *from)
{
	for (size_t i = 0; i < from->n; i++)
		if (!strv_has(to, from->v[i]))
			strv_add(to, from->v[i]);
}

static void default_text(char **to, const char *from)
{
	if (str_empty(*to) && from) {
		free(*to);
		*to = xstrdup(from);
	}
}

static void merge(struct oci_config *to, const struct oci_config *from)
{
	AUTO_STRB struct strb health = STRB_INIT;

	default_text(&to->user, from->user);
	default_text(&to->workdir, from->workdir);
	default_text(&to->stop_signal, from->stop_signal);
	add_missing(&to->ports, &from->ports);
	add_missing(&to->volumes, &from->volumes);
	for (size_t i = 0; i < from->env.n; i++)
		if (!env_has(&to->env, from->env.v[i]))
			strv_add(&to->env, from->env.v[i]);
	for (size_t i = 0; i < from->labels.n; i++)
		if (!strmap_get(&to->labels, from->labels.v[i].k))
			strmap_set(&to->labels, from->labels.v[i].k, from->labels.v[i].v);
	if (!to->entrypoint.n) {
		if (!to->cmd.n)
			strv_copy(&to->cmd, &from->cmd);
		if (!to->entrypoint.v)
			strv_copy(&to->entrypoint, &from->entrypoint);
	}
	if (!to->shell.n)
		strv_copy(&to->shell, &from->shell);
	if (!to->health && from->health) {
		to->health = xcalloc(1, sizeof *to->health);
		json_write(&oci_health_type, from->health, JSON_LATEST, &health);
		(void)json_read(&oci_health_type, strb_str(&health), health.len, NULL, to->health, NULL);
	}
}

static int read_config(const char *text, struct oci_config *ret, struct err *e)
{
	return json_read(&oci_config_type, text, strlen(text), &json_limits_default, ret, e);
}

static int prepare(struct image_committing *c, const struct image_commit *in, struct err *e)
{
	struct ref ref = { 0 };
	int r = 0;

	if (!str_empty(in->repo)) {
		r = name_for_tag(in->repo, in->tag, &ref, e);
		if (r < 0)
			return r;
		c->name = ref_full(&ref);
		ref_done(&ref);
	}
	r = read_config(in->container, &c->container, e);
	if (r == 0)
		r = read_config(in->config ? in->config : in->container, &c->config, e);
	if (r == 0 && in->changes)
		r = changes_apply(&c->config, in->changes, e);
	if (r == 0 && !str_empty(in->parent))
		r = image_find(c->t, in->parent, &c->parent, e);
	if (r == 0)
		merge(&c->config, &c->container);
	return r;
}

int image_commit_begin(struct images *t, const struct image_commit *in, struct image_committing **ret, struct err *e)
{
	struct image_committing *c = xcalloc(1, sizeof *c);
	int r;

	c->t = t;
	c->rw = xstrdup(in->rw);
	c->author = str_empty(in->author) ? NULL : xstrdup(in->author);
	c->comment = str_empty(in->comment) ? NULL : xstrdup(in->comment);
	r = prepare(c, in, e);
	if (r < 0) {
		image_commit_done(c);
		return r;
	}
	*ret = c;
	return 0;
}

int image_commit_files(struct image_committing *c, struct err *e)
{
	struct store_pack *p = NULL;
	struct err packing = ERR_INIT;
	int64_t size = 0;
	int r = store_rw_changes(c->t->store, c->rw, &p, e), k;

	if (r < 0)
		return r;
	r = store_stage(c->t->store, c->parent ? c->parent->top : NULL,
			&(struct store_blob){ .src = { .fd = store_pack_fd(p) }, .what = "the container's changes" },
			&c->stage, e);
	/* A worker that broke off in the middle looks like an archive that ends there: its word counts, and tells more. */
	k = store_pack_end(p, &size, &packing);
	if (k < 0 && k != -EPIPE) {
		if (e)
			*e = packing;
		return k;
	}
	return r;
}

/* ---- the image ---- */
static char *joined(const struct strv *v)
{
	struct strb b = STRB_INIT;

	for (size_t i = 0; i < v->n; i++)
		strb_addf(&b, "%s%s", i ? " " : "", v->v[i]);
	return strb_take(&b);
}

static void copy_history(struct oci_image *to, const struct oci_image *from)
{
	for (size_t i = 0; i < from->history.n; i++) {
		const struct oci_history *h = &from->history.v[i];
		struct oci_history *n = VEC_ADD(&to->history);

		*n = (struct oci_history){ .created = xstrdup(h->created),
					   .created_by = xstrdup(h->created_by),
					   .author = xstrdup(h->author),
					   .comment = xstrdup(h->comment),
					   .empty_layer = h->empty_layer };
	}
}

static void describe(struct image_committing *c, const char *diff_id, struct strb *json)
{
	const struct oci_image *base = c->parent ? &c->parent->oci : NULL;
	struct oci_image i = { .config = c->config };
	struct oci_history *h;
	char now[TIME_TEXT_MAX];

	time_format(time_now_ns(), now);
	i.created = xstrdup(now);
	i.author = xstrdup(c->author);
	i.os = xstrdup(base ? base->os : "linux");
	i.architecture = xstrdup(base ? base->architecture : platform_arch());
	i.variant = base ? xstrdup(base->variant) : NULL;
	i.rootfs.type = xstrdup("layers");
	if (base) {
		strv_copy(&i.rootfs.diff_ids, &base->rootfs.diff_ids);
		copy_history(&i, base);
	}
	if (diff_id)
		strv_add(&i.rootfs.diff_ids, diff_id);
	h = VEC_ADD(&i.history);
	*h = (struct oci_history){ .created = xstrdup(now),
				   .created_by = joined(&c->container.cmd),
				   .author = xstrdup(c->author),
				   .comment = xstrdup(c->comment),
				   .empty_layer = !diff_id };
	json_write(&oci_image_type, &i, JSON_LATEST, json);
	i.config = (struct oci_config){ 0 }; /* lent */
	json_done(&oci_image_type, &i);
}

static int publish(struct image_committing *c, struct image **i, struct err *e)
{
	const struct strv name = { .v = &c->name, .n = c->name ? 1 : 0 };
	int r;

	pthread_mutex_lock(&c->t->change);
	r = images_add(c->t, i, &name, time_now_ns(), e);
	if (r < 0)
		store_layer_unref(c->t->store, (*i)->top);
	pthread_mutex_unlock(&c->t->change);
	return r;
}

int image_commit_end(struct image_committing *c, char **ret_id, char **ret_name, struct err *e)
{
	const char *top = c->parent ? c->parent->top : NULL;
	AUTO_STRB struct strb json = STRB_INIT;
	AUTO_IMAGE struct image *i = NULL;
	char diff_id[DIGEST_TEXT], chain[DIGEST_TEXT];
	bool empty;
	int r;

	(void)snprintf(diff_id, sizeof diff_id, "%s", store_stage_diff_id(c->stage));
	empty = streq(diff_id, EMPTY_TAR);
	describe(c, empty ? NULL : diff_id, &json);
	r = image_read(strb_str(&json), json.len, &i, e);
	if (r < 0)
		return r;
	if (empty) {
		r = store_layer_ref(c->t->store, top, e);
	} else {
		r = store_settle(c->t->store, top, &c->stage, 1, 0, chain, e);
		c->stage = NULL;
		top = chain;
	}
	if (r < 0)
		return r;
	i->top = xstrdup(top);
	i->parent = c->parent ? xstrdup(c->parent->id) : NULL;
	i->size = store_chain_size(c->t->store, i->top);
	r = publish(c, &i, e);
	if (r < 0)
		return r;
	if (c->name) {
		AUTO_FREE char *familiar = ref_familiar_latest(c->name);

		tell(c->t, "tag", i->id, familiar);
	}
	*ret_id = xstrdup(i->id);
	*ret_name = xstrdup(c->name);
	return 0;
}
