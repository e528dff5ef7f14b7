/* table.c - images and names in memory and in the database. */
#include "image/priv.h"

#define CONFIG_MAX ((size_t)8 << 20)

/* clang-format off */
#define IMAGE_DOC_FIELDS(F, T) \
	F(T, STR,   config, "config", REQUIRED,   none) \
	F(T, STR,   top,    "top",    OMIT_EMPTY, none) \
	F(T, STR,   parent, "parent", OMIT_EMPTY, none) \
	F(T, EXTRA, extra,  "",       0,          none)
JSON_STRUCT(image_doc, IMAGE_DOC_FIELDS)
JSON_TYPE(image_doc, IMAGE_DOC_FIELDS)
#define NAME_DOC_FIELDS(F, T) \
	F(T, STR,   id,    "id",    REQUIRED, none) \
	F(T, INT,   since, "since", 0,        none) \
	F(T, EXTRA, extra, "",      0,        none)
JSON_STRUCT(name_doc, NAME_DOC_FIELDS)
JSON_TYPE(name_doc, NAME_DOC_FIELDS)
/* clang-format on */

/* ---- one image ---- */
struct image *image_ref(struct image *i)
{
	__atomic_fetch_add(&i->refs, 1, __ATOMIC_RELAXED);
	return i;
}

void image_unref(struct image *i)
{
	if (!i || __atomic_sub_fetch(&i->refs, 1, __ATOMIC_ACQ_REL) > 0)
		return;
	json_done(&oci_image_type, &i->oci);
	free(i->id);
	free(i->json);
	free(i->top);
	free(i->parent);
	free(i);
}

int image_read(const char *json, size_t n, struct image **ret, struct err *e)
{
	AUTO_IMAGE struct image *i = NULL;
	char id[DIGEST_TEXT];
	int r;

	if (n > CONFIG_MAX)
		return err_set(e, ERR_INVALID, "image configuration is larger than %zu bytes", CONFIG_MAX);
	i = xcalloc(1, sizeof *i);
	i->refs = 1;
	r = json_read(&oci_image_type, json, n, &json_limits_default, &i->oci, e);
	if (r < 0)
		return err_wrap(e, r, "invalid image configuration");
	for (size_t k = 0; k < i->oci.rootfs.diff_ids.n; k++)
		if (!digest_valid(i->oci.rootfs.diff_ids.v[k]))
			return err_set(e, ERR_INVALID, "invalid image configuration: layer %zu has no valid diff id",
				       k);
	digest_bytes(json, n, id);
	i->id = xstrdup(id);
	i->json = xstrndup(json, n);
	i->json_n = n;
	if (memchr(json, 0, n))
		return err_set(e, ERR_INVALID, "invalid image configuration: it contains a NUL");
	if (i->oci.created) {
		int64_t ns = 0;

		if (time_parse(i->oci.created, &ns) == 0) {
			i->created_ns = ns;
			i->created = ns / 1000000000;
		}
	}
	*ret = TAKE_PTR(i);
	return 0;
}

/* ---- looking ---- */
/* Both tables are sorted: the first row that is not before the key. */
static const char *image_key(const void *table, size_t i)
{
	return ((const struct images *)table)->images.v[i]->id;
}

static size_t image_place(const struct images *t, const char *id)
{
	return sorted_place(t->images.n, image_key, t, id);
}

static const char *name_key(const void *table, size_t i)
{
	return ((const struct images *)table)->names.v[i].full;
}

static size_t name_place(const struct images *t, const char *full)
{
	return sorted_place(t->names.n, name_key, t, full);
}

struct image *by_id(struct images *t, const char *id)
{
	size_t i = id ? image_place(t, id) : t->images.n;

	return i < t->images.n && streq(t->images.v[i]->id, id) ? t->images.v[i] : NULL;
}

struct name_row *by_name(struct images *t, const char *full)
{
	size_t i = name_place(t, full);

	return i < t->names.n && streq(t->names.v[i].full, full) ? &t->names.v[i] : NULL;
}

static void image_insert(struct images *t, struct image *i)
{
	size_t at = image_place(t, i->id);

	(void)VEC_ADD(&t->images);
	memmove(&t->images.v[at + 1], &t->images.v[at], (t->images.n - 1 - at) * sizeof *t->images.v);
	t->images.v[at] = i;
}

static struct name_row *name_insert(struct images *t, const char *full)
{
	size_t at = name_place(t, full);

	(void)VEC_ADD(&t->names);
	memmove(&t->names.v[at + 1], &t->names.v[at], (t->names.n - 1 - at) * sizeof *t->names.v);
	t->names.v[at] = (struct name_row){ .full = xstrdup(full) };
	return &t->names.v[at];
}

bool has_children(struct images *t, const char *id)
{
	for (size_t i = 0; i < t->images.n; i++)
		if (streq(t->images.v[i]->parent, id))
			return true;
	return false;
}

/* An id that begins so, if there is exactly one. "sha256:" in front is welcome. */
static struct image *by_prefix(struct images *t, const char *prefix)
{
	const char *hex = str_after(prefix, "sha256:");
	char id[DIGEST_TEXT];
	size_t i, n;

	hex = hex ? hex : prefix;
	if (!*hex || strlen(hex) > 64)
		return NULL;
	n = (size_t)snprintf(id, sizeof id, "sha256:%s", hex);
	i = image_place(t, id);
	if (i == t->images.n || strncmp(t->images.v[i]->id, id, n) != 0)
		return NULL;
	return i + 1 < t->images.n && strncmp(t->images.v[i + 1]->id, id, n) == 0 ? NULL : t->images.v[i];
}

static struct image *by_reference(struct images *t, const struct ref *r)
{
	struct ref key = *r; /* with a digest the tag is for people only */
	const struct name_row *row;
	char latest[] = "latest";
	AUTO_FREE char *full = NULL;

	if (key.digest)
		key.tag = NULL;
	else if (!key.tag)
		key.tag = latest;
	full = ref_full(&key);
	row = by_name(t, full);
	return row ? by_id(t, row->id) : NULL;
}

static int find(struct images *t, const char *name, struct image **ret, struct err *e)
{
	struct image *i = NULL;
	struct ref r = { 0 };
	bool is_id = strlen(name) == 64 && hex_valid(name, 64);
	int k = is_id || digest_valid(name) ? 0 : ref_parse(name, &r, e);

	if (k < 0)
		return k;
	pthread_mutex_lock(&t->lock);
	if (r.path)
		i = by_reference(t, &r);
	if (!i)
		i = by_prefix(t, name);
	if (i)
		*ret = image_ref(i);
	pthread_mutex_unlock(&t->lock);
	ref_done(&r);
	return i ? 0 : -ENOENT;
}

int image_find(struct images *t, const char *name, struct image **ret, struct err *e)
{
	int r;

	if (str_empty(name))
		return err_set(e, ERR_INVALID, "invalid reference format");
	r = find(t, name, ret, e);
	if (r == -ENOENT) {
		bool id = digest_valid(name) || (strlen(name) == 64 && hex_valid(name, 64));
		AUTO_FREE char *shown = !id                  ? ref_familiar_latest(name)
					: digest_valid(name) ? xstrdup(name)
							     : xasprintf("sha256:%s", name);

		return err_set(e, ERR_NOT_FOUND, "No such image: %s", shown);
	}
	return r;
}

size_t image_count(struct images *t)
{
	size_t n;

	pthread_mutex_lock(&t->lock);
	n = t->images.n;
	pthread_mutex_unlock(&t->lock);
	return n;
}

void names_of(struct images *t, const char *id, struct strv *ret)
{
	AUTO_STRV struct strv digests = { 0 };

	pthread_mutex_lock(&t->lock);
	for (size_t i = 0; i < t->names.n; i++)
		if (streq(t->names.v[i].id, id))
			strv_add(strchr(t->names.v[i].full, '@') ? &digests : ret, t->names.v[i].full);
	pthread_mutex_unlock(&t->lock);
	strv_sort(ret);
	strv_sort(&digests);
	strv_addv(ret, &digests);
}

void image_names_done(struct image_names *n)
{
	strv_done(&n->tags);
	strv_done(&n->digests);
}

void image_names_add(struct image_names *ret, const char *full)
{
	struct ref r = { 0 };

	if (ref_parse(full, &r, NULL) < 0)
		return;
	strv_push(r.digest ? &ret->digests : &ret->tags, ref_familiar(&r));
	ref_done(&r);
}

void image_names(struct images *t, const char *id, struct image_names *ret)
{
	AUTO_STRV struct strv full = { 0 };

	names_of(t, id, &full);
	for (size_t i = 0; i < full.n; i++)
		image_names_add(ret, full.v[i]);
}

int64_t image_tagged_ns(struct images *t, const char *id)
{
	int64_t newest = 0;

	pthread_mutex_lock(&t->lock);
	for (size_t i = 0; i < t->names.n; i++)
		if (streq(t->names.v[i].id, id))
			newest = MAX(newest, t->names.v[i].since_ns);
	pthread_mutex_unlock(&t->lock);
	return newest;
}

/* ---- changing ---- */
void tell(struct images *t, const char *action, const char *id, const char *name)
{
	if (t->hooks.event)
		t->hooks.event(t->hooks.ctx, action, id, name);
}

static void put_name(struct db_batch *b, const char *full, const char *id, int64_t since_ns)
{
	struct name_doc d = { .id = (char *)(uintptr_t)id, .since = since_ns };
	AUTO_STRB struct strb text = STRB_INIT;

	json_write(&name_doc_type, &d, JSON_LATEST, &text);
	db_put(b, DB_REFERENCES, full, strb_str(&text));
}

static void keep_name(struct images *t, const char *full, const char *id, int64_t since_ns) /* lock held */
{
	struct name_row *row = by_name(t, full);

	if (!row)
		row = name_insert(t, full);
	free(row->id);
	row->id = xstrdup(id);
	row->since_ns = since_ns;
}

int names_set(struct images *t, const struct strv *full, const char *id, int64_t since_ns, struct err *e)
{
	AUTO_DB_BATCH struct db_batch b = { 0 };
	int r;

	for (size_t k = 0; k < full->n; k++)
		put_name(&b, full->v[k], id, since_ns);
	r = b.n ? db_commit(t->db, &b, e) : 0;
	if (r < 0)
		return r;
	pthread_mutex_lock(&t->lock);
	for (size_t k = 0; k < full->n; k++)
		keep_name(t, full->v[k], id, since_ns);
	pthread_mutex_unlock(&t->lock);
	return 0;
}

int name_set(struct images *t, const char *full, const char *id, struct err *e)
{
	char *one = (char *)(uintptr_t)full;

	return names_set(t, &(struct strv){ .v = &one, .n = 1 }, id, time_now_ns(), e);
}

static void forget_name(struct images *t, struct name_row *row)
{
	size_t i = (size_t)(row - t->names.v);

	free(row->full);
	free(row->id);
	memmove(row, row + 1, (--t->names.n - i) * sizeof *row);
}

int names_drop(struct images *t, const char *full, struct err *e)
{
	struct name_row *row;
	int r = db_del_one(t->db, DB_REFERENCES, full, e);

	if (r < 0)
		return r;
	pthread_mutex_lock(&t->lock);
	row = by_name(t, full);
	if (row)
		forget_name(t, row);
	pthread_mutex_unlock(&t->lock);
	return 0;
}

int images_add(struct images *t, struct image **i, const struct strv *names, int64_t since_ns, struct err *e)
{
	static const struct strv none = { 0 };
	AUTO_DB_BATCH struct db_batch batch = { 0 };
	struct image_doc d = { .config = (*i)->json, .top = (*i)->top, .parent = (*i)->parent };
	AUTO_STRB struct strb text = STRB_INIT;
	struct image_doc back = { 0 };
	struct image *old;
	int r;

	names = names ? names : &none;
	pthread_mutex_lock(&t->lock);
	old = by_id(t, (*i)->id);
	if (old)
		(void)image_ref(old);
	pthread_mutex_unlock(&t->lock);
	if (old) {
		r = names_set(t, names, old->id, since_ns, e);
		if (r < 0) {
			image_unref(old);
			return r;
		}
		store_layer_unref(t->store, (*i)->top);
		image_unref(*i);
		*i = old;
		return 0;
	}
	json_write(&image_doc_type, &d, JSON_LATEST, &text);
	/* The id is the digest of these very bytes: they must survive the way through a JSON string (only UTF-8 does). */
	r = json_read(&image_doc_type, strb_str(&text), text.len, &json_limits_default, &back, e);
	if (r == 0 && !streq(back.config, d.config))
		r = err_set(e, ERR_INVALID, "invalid image configuration: it is not valid UTF-8");
	json_done(&image_doc_type, &back);
	if (r < 0)
		return r;
	db_put(&batch, DB_IMAGES, (*i)->id, strb_str(&text));
	for (size_t k = 0; k < names->n; k++)
		put_name(&batch, names->v[k], (*i)->id, since_ns);
	r = db_commit(t->db, &batch, e);
	if (r < 0)
		return r;
	pthread_mutex_lock(&t->lock);
	image_insert(t, image_ref(*i));
	for (size_t k = 0; k < names->n; k++)
		keep_name(t, names->v[k], (*i)->id, since_ns);
	pthread_mutex_unlock(&t->lock);
	image_use(t, (*i)->id);
	pthread_mutex_lock(&t->lock);
	pthread_mutex_unlock(&t->lock);
	return 0;
}

int images_drop(struct images *t, const char *id, struct strv *gone_layers, struct err *e)
{
	AUTO_IMAGE struct image *dead = NULL;
	AUTO_DB_BATCH struct db_batch b = { 0 };
	AUTO_STRV struct strv names = { 0 };
	int r;

	names_of(t, id, &names);
	db_del(&b, DB_IMAGES, id);
	for (size_t i = 0; i < names.n; i++)
		db_del(&b, DB_REFERENCES, names.v[i]);
	r = db_commit(t->db, &b, e);
	if (r < 0)
		return r;
	pthread_mutex_lock(&t->lock);
	for (size_t i = 0; i < names.n; i++) {
		struct name_row *row = by_name(t, names.v[i]);

		if (row)
			forget_name(t, row);
	}
	dead = by_id(t, id);
	if (dead) {
		size_t i = image_place(t, id);

		memmove(&t->images.v[i], &t->images.v[i + 1], (--t->images.n - i) * sizeof *t->images.v);
	}
	pthread_mutex_unlock(&t->lock);
	used_forget(t, id);
	if (dead)
		store_layer_drop(t->store, dead->top, gone_layers);
	return 0;
}

int name_for_tag(const char *repo, const char *tag, struct ref *ret, struct err *e)
{
	struct ref r = { 0 };
	int k = ref_parse(repo, &r, e);

	if (k < 0)
		return k;
	if (r.digest)
		k = err_set(e, ERR_INVALID, "cannot import digest reference");
	if (k == 0 && !str_empty(tag)) {
		AUTO_FREE char *probe = xasprintf("x:%s", tag);
		struct ref p = { 0 };

		if (ref_parse(probe, &p, NULL) < 0 || p.digest)
			k = err_set(e, ERR_INVALID, "invalid tag format");
		ref_done(&p);
		free(r.tag);
		r.tag = xstrdup(tag);
	}
	if (k == 0 && !r.tag)
		r.tag = xstrdup("latest");
	if (k == 0) {
		AUTO_FREE char *familiar = ref_familiar_name(&r);

		if (streq(familiar, "sha256"))
			k = err_set(e, ERR_INVALID,
				    "refusing to create an ambiguous tag using digest algorithm as name");
	}
	if (k < 0) {
		ref_done(&r);
		return k;
	}
	*ret = r;
	return 0;
}

int image_tag(struct images *t, const char *name, const char *repo, const char *tag, struct err *e)
{
	AUTO_IMAGE struct image *i = NULL;
	AUTO_FREE char *full = NULL, *familiar = NULL;
	struct ref ref = { 0 };
	int r = image_find(t, name, &i, e);

	if (r < 0 || (r = name_for_tag(repo, tag, &ref, e)) < 0)
		return r;
	full = ref_full(&ref);
	familiar = ref_familiar(&ref);
	ref_done(&ref);
	pthread_mutex_lock(&t->change);
	r = name_set(t, full, i->id, e);
	pthread_mutex_unlock(&t->change);
	if (r == 0)
		tell(t, "tag", i->id, familiar);
	return r;
}

/* ---- opening ---- */
struct opening {
	struct images *t;
	struct db_batch stale; /* rows of what cannot exist any more */
	struct strv unread;    /* ids of images that only a newer hoyd can read: their rows and names stay */
};

static int load_image(void *ctx, const char *key, const char *text, struct err *e)
{
	struct opening *o = ctx;
	struct images *t = o->t;
	struct image_doc d = { 0 };
	struct image *i = NULL;
	int r = json_read(&image_doc_type, text, strlen(text), &json_limits_default, &d, e);

	if (r == 0)
		r = image_read(d.config ? d.config : "", strlen(d.config ? d.config : ""), &i, e);
	if (r == 0 && !streq(i->id, key))
		r = err_set(e, ERR_SYSTEM, "its configuration has another digest");
	if (r < 0) {
		log_warn("image %s cannot be read: %s", key, e ? e->msg : "");
		strv_add(&o->unread, key);
		image_unref(i);
		json_done(&image_doc_type, &d);
		return 0;
	}
	i->top = TAKE_PTR(d.top);
	i->parent = TAKE_PTR(d.parent);
	json_done(&image_doc_type, &d);
	if (store_layer_ref(t->store, i->top, e) < 0) {
		log_warn("image %s is dropped: its layers are gone", key);
		db_del(&o->stale, DB_IMAGES, key);
		image_unref(i);
		return 0;
	}
	i->size = store_chain_size(t->store, i->top);
	image_insert(t, i);
	return 0;
}

static int load_name(void *ctx, const char *key, const char *text, struct err *e)
{
	struct opening *o = ctx;
	struct images *t = o->t;
	struct name_doc d = { 0 };
	int r = json_read(&name_doc_type, text, strlen(text), &json_limits_default, &d, e);

	if (r == 0 && by_id(t, d.id)) {
		struct name_row *row = name_insert(t, key);

		row->id = TAKE_PTR(d.id);
		row->since_ns = d.since;
	} else if (r == 0 && !strv_has(&o->unread, d.id)) { /* or it would come back with the next image of that id */
		db_del(&o->stale, DB_REFERENCES, key);
	}
	json_done(&name_doc_type, &d);
	return 0;
}

/* A pull ends its layers' leases when their image is recorded; power may have gone between the two. */
static int end_leases(struct images *t, struct err *e)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < t->images.n; i++)
		if (t->images.v[i]->top)
			r = store_layer_lease(t->store, t->images.v[i]->top, 0, e);
	return r;
}

int images_open(const struct images_opts *o, struct images **ret, struct err *e)
{
	struct images *t = xcalloc(1, sizeof *t);
	struct opening opening = { .t = t };
	int r;

	t->db = o->db;
	t->store = o->store;
	t->hooks = o->hooks;
	pthread_mutex_init(&t->lock, NULL);
	pthread_mutex_init(&t->change, NULL);
	r = db_each(t->db, DB_IMAGES, load_image, &opening, e);
	if (r >= 0)
		r = db_each(t->db, DB_REFERENCES, load_name, &opening, e);
	if (r >= 0)
		r = used_load(t, e);
	if (r >= 0 && opening.stale.n)
		r = db_commit(t->db, &opening.stale, e);
	if (r >= 0)
		r = end_leases(t, e);
	db_batch_done(&opening.stale);
	strv_done(&opening.unread);
	if (r < 0) {
		images_close(t);
		return r;
	}
	*ret = t;
	return 0;
}

void images_close(struct images *t)
{
	if (!t)
		return;
	for (size_t i = 0; i < t->images.n; i++)
		image_unref(t->images.v[i]);
	free(t->images.v);
	for (size_t i = 0; i < t->names.n; i++) {
		free(t->names.v[i].full);
		free(t->names.v[i].id);
	}
	free(t->names.v);
	pthread_mutex_destroy(&t->lock);
	pthread_mutex_destroy(&t->change);
	free(t);
}
