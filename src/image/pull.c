/* pull.c - docker pull: a name becomes a manifest, its layers come into the store, then image and names are recorded at once. */
#include "image/pull_priv.h"
#include "schema/platform.h"

#define MISMATCH "layers from manifest don't match image configuration" /* Docker says no more than that */

struct incoming {
	struct images *t;
	struct voice voice;
	const struct ref *repo; /* domain and path */
	char *familiar;         /* of the repository */
	const char *platform;
	bool fetched; /* something new came */
};

static void status(struct incoming *in, const char *id, const char *fmt, const char *what)
{
	AUTO_FREE char *text = xasprintf(fmt, what);

	voice_say(&in->voice, &(struct image_note){ .id = id, .status = text });
}

/* ---- layers ---- */
/* A layer that we have is to be found there, too: a push may have it mounted from there. It may have come another way since a pull of
 * it was interrupted. */
static void remember(struct incoming *in, const struct oci_descriptor *d, const char *repo, const char *chain)
{
	struct store_blob_info b = {
		.digest = d->digest, .media_type = d->media_type, .repo = (char *)(uintptr_t)repo, .size = d->size
	};
	struct err e = ERR_INIT;

	if (store_layer_blob_add(in->t->store, chain, &b, &e) < 0)
		log_warn("%s: %s", repo, e.msg);
	store_partial_forget(in->t->store, d->digest);
}

static int with_layers(struct incoming *in, const struct remote_image *from, struct image *i, struct err *e)
{
	char chain[DIGEST_TEXT] = "", next[DIGEST_TEXT];
	size_t n = from->doc.layers.n, have = 0;
	AUTO_FREE char *name = ref_name(in->repo);

	if (n != i->oci.rootfs.diff_ids.n)
		return err_set(e, ERR_INVALID,
			       MISMATCH ": %s: the manifest has %zu layers, the image configuration %zu", name, n,
			       i->oci.rootfs.diff_ids.n);
	for (; have < n; have++) {
		char id[13] = "";

		chain_id(*chain ? chain : NULL, i->oci.rootfs.diff_ids.v[have], next);
		if (store_layer_ref(in->t->store, next, NULL) < 0)
			break;
		store_layer_unref(in->t->store, *chain ? chain : NULL);
		memcpy(chain, next, sizeof chain);
		remember(in, &from->doc.layers.v[have], name, chain);
		memcpy(id, from->doc.layers.v[have].digest + strlen("sha256:"), sizeof id - 1);
		voice_status(&in->voice, id, "Already exists");
	}
	if (have < n) {
		int r = pull_layers(in->t, &in->voice, name, from, i, have, *chain ? chain : NULL, next, e);

		if (r < 0)
			return e && strncmp(e->msg, "invalid diffID", 14) == 0 ? err_wrap(e, r, MISMATCH) : r;
		memcpy(chain, next, sizeof chain);
	}
	i->top = *chain ? xstrdup(chain) : NULL;
	i->size = store_chain_size(in->t->store, i->top);
	return 0;
}

/* ---- one name ---- */
static bool named(struct images *t, const char *full, const char *id)
{
	const struct name_row *row;
	bool same;

	pthread_mutex_lock(&t->lock);
	row = by_name(t, full);
	same = row && streq(row->id, id);
	pthread_mutex_unlock(&t->lock);
	return same;
}

/* The tag, and the digest of what it pointed at: those of them that are not the image's yet. */
static void names_due(struct incoming *in, const struct ref *ref, const char *digest, const char *id, struct strv *ret)
{
	struct ref by_digest = { .domain = ref->domain, .path = ref->path, .digest = (char *)(uintptr_t)digest };
	AUTO_FREE char *with_digest = ref_full(&by_digest), *full = ref_full(ref);

	if (!named(in->t, with_digest, id))
		strv_add(ret, with_digest);
	if (!named(in->t, full, id)) {
		in->fetched = true;
		if (!ref->digest)
			strv_add(ret, full);
	}
}

static int set_names(struct incoming *in, const struct ref *ref, const char *digest, const char *id, struct err *e)
{
	AUTO_STRV struct strv due = { 0 };
	int r;

	names_due(in, ref, digest, id, &due);
	pthread_mutex_lock(&in->t->change);
	r = names_set(in->t, &due, id, time_now_ns(), e);
	pthread_mutex_unlock(&in->t->change);
	return r;
}

static int record(struct incoming *in, const struct ref *ref, const char *digest, struct image **i, struct err *e)
{
	AUTO_STRV struct strv due = { 0 };
	int r;

	names_due(in, ref, digest, (*i)->id, &due);
	pthread_mutex_lock(&in->t->change);
	r = images_add(in->t, i, &due, time_now_ns(), e);
	pthread_mutex_unlock(&in->t->change);
	if (r < 0)
		store_layer_unref(in->t->store, (*i)->top);
	else
		r = store_layer_lease(in->t->store, (*i)->top, 0, e);
	return r;
}

static int bring(struct incoming *in, const struct ref *ref, const struct remote_image *from, char **ret_id,
		 struct err *e)
{
	AUTO_IMAGE struct image *i = NULL, *there = NULL;
	AUTO_FREE char *name = ref_name(in->repo);
	int r = image_read(from->config, from->config_n, &i, e);

	if (r < 0)
		return err_wrap(e, r, "%s", name);
	if (!str_empty(i->oci.os) && !streq(i->oci.os, "linux"))
		return err_set(e, ERR_INVALID,
			       "image operating system \"%s\" cannot be used on this platform: operating system is not "
			       "supported",
			       i->oci.os);
	if (image_find(in->t, i->id, &there, NULL) < 0) {
		r = with_layers(in, from, i, e);
		if (r == 0)
			r = record(in, ref, from->digest, &i, e);
		in->fetched = true;
	}
	if (r == 0)
		*ret_id = xstrdup(i->id);
	return r;
}

/* ---- signatures ---- */
/* Before anything of the image is stored or said to be there. */
static int check_signature(struct incoming *in, const struct ref *ref, const struct remote_image *from, struct err *e)
{
	AUTO_FREE char *name = ref_name(in->repo), *found = NULL, *text = NULL;
	const struct trust_rule *rule = trust_rule_for(in->voice.x->trust, name);
	AUTO_FREE char *signed_name = rule ? trust_signed_name(rule, name) : NULL;
	AUTO_STRV struct strv digests = { 0 };
	struct err own = ERR_INIT;
	bool good = false;
	int r;

	if (!rule || rule->mode == TRUST_OFF)
		return 0;
	strv_add(&digests, from->digest);
	if (!streq(from->digest, from->manifest_digest))
		strv_add(&digests, from->manifest_digest);
	r = remote_verify(in->voice.remote, rule, signed_name, &digests, ref->digest ? NULL : ref->tag, &good, &found,
			  &own);
	if (r == -ECANCELED || (r == 0 && good)) {
		if (r < 0 && e)
			*e = own;
		return r;
	}
	text = xasprintf("signature policy for %s: %s: %s", name, from->digest, r < 0 ? own.msg : found);
	if (rule->mode == TRUST_ENFORCE)
		return err_set(e, r < 0 ? ERR_SYSTEM : ERR_FORBIDDEN, "%s", text);
	log_warn("%s", text);
	status(in, NULL, "WARNING: %s", text);
	return 0;
}

static int pull_one(struct incoming *in, const struct ref *ref, struct err *e)
{
	struct remote_image from = { 0 };
	AUTO_FREE char *shown = ref->digest ? ref_full(ref) : xstrdup(ref->tag), *familiar = ref_familiar(ref),
		       *id = NULL;
	int r = remote_resolve(in->voice.remote, ref->digest ? ref->digest : ref->tag, in->platform, &from, e);

	if (r < 0)
		return r;
	r = check_signature(in, ref, &from, e);
	if (r == 0) {
		status(in, shown, "Pulling from %s", ref->path);
		r = bring(in, ref, &from, &id, e);
	}
	if (r == 0)
		r = set_names(in, ref, from.digest, id, e);
	if (r == 0) {
		status(in, NULL, "Digest: %s", from.digest);
		image_use(in->t, id);
		tell(in->t, "pull", familiar, in->familiar);
	}
	remote_image_done(&from);
	return r;
}

static int pull_all(struct incoming *in, struct err *e)
{
	AUTO_STRV struct strv tags = { 0 };
	int r = remote_tags(in->voice.remote, &tags, e);

	for (size_t k = 0; r == 0 && k < tags.n; k++)
		r = pull_one(in, &(struct ref){ .domain = in->repo->domain, .path = in->repo->path, .tag = tags.v[k] },
			     e);
	return r;
}

/* A platform was asked for, another one came: the registry had nothing else under this name. */
static void mind_platform(struct incoming *in, const char *familiar)
{
	AUTO_IMAGE struct image *i = NULL;
	struct oci_platform want = { 0 };
	const char *os, *arch;

	if (!in->platform || platform_parse(in->platform, &want, NULL) < 0)
		return;
	if (image_find(in->t, familiar, &i, NULL) == 0) {
		os = str_empty(i->oci.os) ? "linux" : i->oci.os;
		arch = i->oci.architecture;
		if (!streq(os, want.os) || !streq(arch, want.architecture) ||
		    (!str_empty(want.variant) && !str_empty(i->oci.variant) && !streq(want.variant, i->oci.variant))) {
			AUTO_FREE char *text = xasprintf(
				"WARNING: image with reference %s was found but its platform (%s/%s%s%s) does not "
				"match the specified platform (%s/%s%s%s)",
				familiar, os, arch, str_empty(i->oci.variant) ? "" : "/",
				str_empty(i->oci.variant) ? "" : i->oci.variant, want.os, want.architecture,
				want.variant ? "/" : "", want.variant ? want.variant : "");

			status(in, NULL, "%s", text);
		}
	}
	json_done(&oci_platform_type, &want);
}

static void warn(void *ctx, const char *text)
{
	voice_say(ctx, &(struct image_note){ .status = text });
}

int image_pull(struct images *t, const struct ref *ref, bool all, const char *platform, const struct image_transfer *x,
	       struct err *e)
{
	struct ref name = {
		.domain = ref->domain, .path = ref->path, .tag = ref->digest ? NULL : ref->tag, .digest = ref->digest
	};
	struct incoming in = { .t = t, .repo = ref, .platform = platform };
	char latest[] = "latest";
	AUTO_FREE char *familiar = NULL;
	int r;

	if (!all && !name.tag && !name.digest)
		name.tag = latest;
	familiar = all ? ref_familiar_name(ref) : ref_familiar(&name);
	in.familiar = ref_familiar_name(ref);
	voice_init(&in.voice, x);
	r = remote_open(&(struct remote_opts){ .config = x->remote,
					       .ref = ref,
					       .auth = x->auth,
					       .meta_headers = x->meta_headers,
					       .say = warn,
					       .ctx = &in.voice },
			&in.voice.remote, e);
	if (r == 0)
		r = all ? pull_all(&in, e) : pull_one(&in, &name, e);
	if (r == 0) {
		status(&in, NULL,
		       in.fetched ? "Status: Downloaded newer image for %s" : "Status: Image is up to date for %s",
		       familiar);
		mind_platform(&in, familiar);
	}
	remote_close(in.voice.remote);
	voice_done(&in.voice);
	free(in.familiar);
	return r;
}
