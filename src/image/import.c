/* import.c - docker import: the tar of a root file system becomes an image of one layer. */
#include "image/priv.h"
#include "schema/platform.h"

static int set_platform(const char *text, struct oci_image *i, struct err *e)
{
	struct oci_platform p = { 0 };
	int r;

	if (str_empty(text)) {
		i->os = xstrdup("linux");
		i->architecture = xstrdup(platform_arch());
		return 0;
	}
	r = platform_parse(text, &p, e);

	if (r == 0 && !streq(p.os, "linux"))
		r = err_set(e, ERR_INVALID, "operating system is not supported: %.100s", p.os);
	if (r == 0) {
		i->os = TAKE_PTR(p.os);
		i->architecture = TAKE_PTR(p.architecture);
		i->variant = TAKE_PTR(p.variant);
	}
	json_done(&oci_platform_type, &p);
	return r;
}

static int describe(const struct image_import *in, const char *diff_id, struct strb *json, struct err *e)
{
	char now[TIME_TEXT_MAX];
	struct oci_image i = { 0 };
	struct oci_history *h;
	int r = set_platform(in->platform, &i, e);

	if (r == 0 && in->changes)
		r = changes_apply(&i.config, in->changes, e);
	if (r == 0) {
		time_format(time_now_ns(), now);
		i.created = xstrdup(now);
		i.comment = str_empty(in->message) ? xasprintf("Imported from %s", in->from ? in->from : "-")
						   : xstrdup(in->message);
		i.rootfs.type = xstrdup("layers");
		strv_add(&i.rootfs.diff_ids, diff_id);
		h = VEC_ADD(&i.history);
		h->created = xstrdup(now);
		h->comment = xstrdup(i.comment);
		json_write(&oci_image_type, &i, JSON_LATEST, json);
	}
	json_done(&oci_image_type, &i);
	return r;
}

static int publish(struct images *t, const struct image_import *in, char *name, const char *chain, char **ret_id,
		   struct err *e)
{
	AUTO_STRB struct strb json = STRB_INIT;
	AUTO_IMAGE struct image *i = NULL;
	struct store_layer l = { 0 };
	int r = store_layer_get(t->store, chain, &l, e);

	if (r == 0)
		r = describe(in, l.diff_id, &json, e);
	store_layer_done(&l);
	if (r == 0)
		r = image_read(strb_str(&json), json.len, &i, e);
	if (r < 0) {
		store_layer_unref(t->store, chain);
		return r;
	}
	i->top = xstrdup(chain);
	i->size = store_chain_size(t->store, chain);
	pthread_mutex_lock(&t->change);
	r = images_add(t, &i, &(struct strv){ .v = &name, .n = name ? 1 : 0 }, time_now_ns(), e);
	if (r < 0)
		store_layer_unref(t->store, chain);
	pthread_mutex_unlock(&t->change);
	if (r == 0)
		*ret_id = xstrdup(i->id);
	return r;
}

int image_import(struct images *t, const struct image_import *in, char **ret_id, struct err *e)
{
	AUTO_FREE char *name = NULL, *id = NULL;
	AUTO_STRB struct strb trial = STRB_INIT;
	char chain[DIGEST_TEXT];
	int r;

	if (!str_empty(in->repo)) {
		struct ref ref = { 0 };

		r = name_for_tag(in->repo, in->tag, &ref, e);
		if (r < 0)
			return r;
		name = ref_full(&ref);
		ref_done(&ref);
	}
	r = describe(in, "", &trial, e); /* wrong options are said before a gigabyte is read */
	if (r < 0)
		return r;
	r = store_layer_add(
		t->store, NULL,
		&(struct store_blob){ .src = { .fd = in->src.fd, .read = in->src.read, .ctx = in->src.ctx } }, chain,
		e);
	if (r < 0 && e && e->kind == ERR_INVALID)
		e->kind = ERR_SYSTEM; /* what was asked for is right, what was sent is not: 500, as dockerd */
	if (r == 0)
		r = publish(t, in, name, chain, &id, e);
	if (r < 0)
		return r;
	tell(t, "import", id, name ? name : id);
	*ret_id = TAKE_PTR(id);
	return 0;
}
