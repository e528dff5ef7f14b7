/* remove.c - docker rmi and image prune, by moby's rules: names go one by one, the image goes with its last name, and whoever uses
 * it is asked first. Soft conflicts yield to force, hard ones do not. */
#include "image/priv.h"

enum conflict {
	CHILDREN = 1,
	RUNNING = 2,
	NAMED = 4,
	STOPPED = 8,
	HARD = CHILDREN | RUNNING,
	SOFT = NAMED | STOPPED,
};

void image_removal_done(struct image_removal *r)
{
	for (size_t i = 0; i < r->n; i++) {
		free(r->v[i].untagged);
		free(r->v[i].deleted);
	}
	free(r->v);
	*r = (struct image_removal){ 0 };
}

static const char *short_id(const char *id)
{
	static __thread char text[2][13]; /* two in one sentence */
	static __thread unsigned turn;
	char *s = text[turn++ % 2];
	const char *hex = str_after(id, "sha256:");

	(void)snprintf(s, 13, "%s", hex ? hex : id);
	return s;
}

/* ---- who uses it ---- */
static void users_done(struct image_users *u)
{
	for (size_t i = 0; i < u->n; i++)
		free(u->v[i].container);
	free(u->v);
}

static char *first_user(struct images *t, const char *id, bool running_only)
{
	struct image_users u = { 0 };
	char *found = NULL;

	if (t->hooks.users)
		t->hooks.users(t->hooks.ctx, id, &u);
	for (size_t i = 0; !found && i < u.n; i++)
		if (!running_only || u.v[i].running)
			found = xstrdup(u.v[i].container);
	users_done(&u);
	return found;
}

bool image_runs(struct images *t, const char *id)
{
	AUTO_FREE char *who = first_user(t, id, true);

	return who;
}

bool image_used(struct images *t, const char *id)
{
	AUTO_FREE char *who = first_user(t, id, false);

	return who;
}

static int conflict(const char *id, bool hard, struct err *e, const char *why, const char *container)
{
	return err_set(e, ERR_CONFLICT, "conflict: unable to delete %s (%s) - %s%s", short_id(id),
		       hard ? "cannot be forced" : "must be forced", why, container ? short_id(container) : "");
}

static bool has_children_now(struct images *t, const char *id)
{
	bool yes;

	pthread_mutex_lock(&t->lock);
	yes = has_children(t, id);
	pthread_mutex_unlock(&t->lock);
	return yes;
}

/* 0, or -EBUSY with the sentence; *ret_used when a container is the reason */
static int check(struct images *t, const char *id, unsigned mask, bool *ret_used, struct err *e)
{
	AUTO_FREE char *running = NULL, *any = NULL;
	AUTO_STRV struct strv names = { 0 };

	*ret_used = false;
	if (mask & CHILDREN && has_children_now(t, id))
		return conflict(id, true, e, "image has dependent child images", NULL);
	if (mask & RUNNING && (running = first_user(t, id, true))) {
		*ret_used = true;
		return conflict(id, true, e, "image is being used by running container ", running);
	}
	names_of(t, id, &names);
	if (mask & NAMED && names.n)
		return conflict(id, false, e, "image is referenced in multiple repositories", NULL);
	if (mask & STOPPED && (any = first_user(t, id, false))) {
		*ret_used = true;
		return conflict(id, false, e, "image is being used by stopped container ", any);
	}
	return 0;
}

/* ---- names ---- */
static char *repo_of(const char *full)
{
	struct ref r = { 0 };
	char *name = ref_parse(full, &r, NULL) == 0 ? ref_name(&r) : xstrdup(full);

	ref_done(&r);
	return name;
}

static bool is_digest_name(const char *full)
{
	return strchr(full, '@');
}

/* At most one tag, and every digest in the same repository. */
static bool single_name(const struct strv *names)
{
	AUTO_FREE char *repo = NULL;
	size_t tags = 0;

	if (names->n <= 1)
		return true;
	for (size_t i = 0; i < names->n; i++)
		tags += !is_digest_name(names->v[i]);
	if (tags > 1)
		return false;
	repo = repo_of(names->v[0]);
	for (size_t i = 1; i < names->n; i++) {
		AUTO_FREE char *other = repo_of(names->v[i]);

		if (!streq(repo, other))
			return false;
	}
	return true;
}

static int untag(struct images *t, const char *id, const char *full, struct image_removal *ret, struct err *e)
{
	struct ref r = { 0 };
	int k = names_drop(t, full, e);

	if (k < 0)
		return k;
	if (ref_parse(full, &r, NULL) == 0)
		VEC_ADD(ret)->untagged = ref_familiar(&r);
	ref_done(&r);
	tell(t, "untag", id, id);
	return 0;
}

/* ---- the image itself ---- */
static int delete_image(struct images *t, const char *start, unsigned flags, bool quiet, struct image_removal *ret,
			struct err *e)
{
	AUTO_FREE char *id = xstrdup(start);

	for (bool force = flags & IMAGE_FORCE; id; force = false, quiet = true) {
		AUTO_IMAGE struct image *i = NULL;
		AUTO_STRV struct strv names = { 0 }, gone = { 0 };
		struct err why = ERR_INIT;
		bool used;
		int r = check(t, id, force ? HARD : HARD | SOFT, &used, &why);

		names_of(t, id, &names);
		if (r < 0) {
			if (quiet && (names.n || used || has_children_now(t, id)))
				return 0; /* the name is gone: that is what was asked for */
			if (e)
				*e = why;
			return r;
		}
		if ((r = image_find(t, id, &i, e)) < 0)
			return quiet ? 0 : r;
		for (size_t k = 0; k < names.n; k++)
			if ((r = untag(t, id, names.v[k], ret, e)) < 0)
				return r;
		if ((r = images_drop(t, id, &gone, e)) < 0)
			return r;
		tell(t, "delete", id, id);
		VEC_ADD(ret)->deleted = xstrdup(id);
		for (size_t k = 0; k < gone.n; k++)
			VEC_ADD(ret)->deleted = xstrdup(gone.v[k]);
		free(id);
		id = flags & IMAGE_NO_PRUNE || str_empty(i->parent) ? NULL : xstrdup(i->parent);
	}
	return 0;
}

static bool is_id_prefix(const char *id, const char *name)
{
	return strncmp(id, name, strlen(name)) == 0 || strncmp(id + 7, name, strlen(name)) == 0;
}

static bool by_name_now(struct images *t, const char *full)
{
	bool known;

	pthread_mutex_lock(&t->lock);
	known = by_name(t, full);
	pthread_mutex_unlock(&t->lock);
	return known;
}

/* The full reference a name stands for, if the table has it. */
static char *name_in_table(struct images *t, const char *name)
{
	struct ref r = { 0 };
	char *full;

	if (ref_parse(name, &r, NULL) < 0)
		return NULL;
	if (r.digest)
		freep(&r.tag);
	else if (!r.tag)
		r.tag = xstrdup("latest");
	full = ref_full(&r);
	ref_done(&r);
	if (!by_name_now(t, full))
		freep(&full);
	return full;
}

/* Without a tag left, the digests of the same repository go too. */
static int untag_digests(struct images *t, const char *id, const char *repo, struct image_removal *ret, struct err *e)
{
	AUTO_STRV struct strv names = { 0 };
	int r = 0;

	names_of(t, id, &names);
	for (size_t i = 0; i < names.n; i++) {
		AUTO_FREE char *other = repo_of(names.v[i]);

		if (!is_digest_name(names.v[i]) && streq(other, repo))
			return 0;
	}
	for (size_t i = 0; r == 0 && i < names.n; i++) {
		AUTO_FREE char *other = repo_of(names.v[i]);

		if (is_digest_name(names.v[i]) && streq(other, repo))
			r = untag(t, id, names.v[i], ret, e);
	}
	return r;
}

static int remove_by_name(struct images *t, const struct image *i, const char *name, const char *full, unsigned flags,
			  struct image_removal *ret, struct err *e)
{
	AUTO_STRV struct strv names = { 0 }, left = { 0 };
	AUTO_FREE char *user = NULL, *repo = repo_of(full);
	int r;

	names_of(t, i->id, &names);
	if (!(flags & IMAGE_FORCE) && single_name(&names) && (user = first_user(t, i->id, false)))
		return err_set(e, ERR_CONFLICT,
			       "conflict: unable to remove repository reference \"%s\" (must force) - container %s is "
			       "using its referenced image %s",
			       name, short_id(user), short_id(i->id));
	r = untag(t, i->id, full, ret, e);
	if (r == 0 && !is_digest_name(full))
		r = untag_digests(t, i->id, repo, ret, e);
	if (r < 0)
		return r;
	names_of(t, i->id, &left);
	return left.n ? 0 : delete_image(t, i->id, flags, true, ret, e);
}

static int remove_by_id(struct images *t, const struct image *i, unsigned flags, struct image_removal *ret,
			struct err *e)
{
	AUTO_STRV struct strv names = { 0 };
	bool used;
	int r = 0;

	names_of(t, i->id, &names);
	if (single_name(&names)) {
		r = check(t, i->id, flags & IMAGE_FORCE ? HARD : HARD | STOPPED, &used, e);
		for (size_t k = 0; r == 0 && k < names.n; k++)
			r = untag(t, i->id, names.v[k], ret, e);
	}
	return r < 0 ? r : delete_image(t, i->id, flags, false, ret, e);
}

int image_remove(struct images *t, const char *name, unsigned flags, struct image_removal *ret, struct err *e)
{
	AUTO_IMAGE struct image *i = NULL;
	AUTO_FREE char *full = NULL;
	struct image_removal done = { 0 };
	int r = image_find(t, name, &i, e);

	if (r < 0)
		return r;
	pthread_mutex_lock(&t->change);
	full = is_id_prefix(i->id, name) ? NULL : name_in_table(t, name);
	r = full ? remove_by_name(t, i, name, full, flags, &done, e) : remove_by_id(t, i, flags, &done, e);
	pthread_mutex_unlock(&t->change);
	if (r < 0) {
		image_removal_done(&done);
		return r;
	}
	*ret = done;
	return 0;
}

/* ---- prune ---- */
static bool prunable(struct images *t, const struct image_prune *q, const struct image_row *row)
{
	AUTO_FREE char *user = NULL;

	if (!q->all && row->names.tags.n)
		return false;
	if (q->until_ns && (row->image->created_ns == 0 || row->image->created_ns > q->until_ns))
		return false;
	for (size_t i = 0; i < q->labels_not.n; i++) {
		struct strv one = { .v = &q->labels_not.v[i], .n = 1 };

		if (image_labels_match(row->image, &one))
			return false;
	}
	user = first_user(t, row->image->id, false);
	return !user;
}

static bool has_tag(const struct strv *names)
{
	for (size_t i = 0; i < names->n; i++)
		if (!is_digest_name(names->v[i]))
			return true;
	return false;
}

/* name by name, as `docker rmi` would: a container that comes between keeps what it needs, a name that comes between keeps its image */
void image_remove_unused(struct images *t, const char *id, unsigned flags, struct image_removal *done)
{
	AUTO_STRV struct strv names = { 0 };
	struct err ignored = ERR_INIT;

	pthread_mutex_lock(&t->change);
	names_of(t, id, &names);
	if (flags & IMAGE_IF_UNTAGGED && has_tag(&names)) {
		pthread_mutex_unlock(&t->change);
		return;
	}
	for (size_t k = 0; k < names.n; k++) {
		AUTO_FREE char *user = first_user(t, id, false);
		AUTO_IMAGE struct image *i = NULL;
		struct ref r = { 0 };
		AUTO_FREE char *shown = NULL;

		if (user || image_find(t, id, &i, NULL) < 0 || !by_name_now(t, names.v[k]) ||
		    ref_parse(names.v[k], &r, NULL) < 0)
			continue;
		shown = ref_familiar(&r);
		ref_done(&r);
		(void)remove_by_name(t, i, shown, names.v[k], 0, done, &ignored);
	}
	if (!names.n)
		(void)delete_image(t, id, 0, false, done, &ignored);
	pthread_mutex_unlock(&t->change);
}

int image_prune(struct images *t, const struct image_prune *q, struct image_removal *ret, int64_t *ret_bytes,
		struct err *e)
{
	struct image_query query = { .labels = q->labels };
	AUTO_LAYERS struct store_layers layers = { 0 };
	struct image_removal done = { 0 };
	struct image_list l = { 0 };
	int r;

	if (!q->all)
		query.dangling = (struct json_obool){ true, true };
	r = image_list(t, &query, &l, e);
	if (r < 0)
		return r;
	store_layers(t->store, &layers);
	for (size_t i = 0; i < l.n; i++)
		if (prunable(t, q, &l.v[i]))
			image_remove_unused(t, l.v[i].image->id, q->all ? 0 : IMAGE_IF_UNTAGGED, &done);
	image_list_done(&l);
	*ret_bytes = image_removal_bytes(&done, &layers);
	*ret = done;
	return 0;
}

int64_t image_removal_bytes(const struct image_removal *r, const struct store_layers *before)
{
	int64_t bytes = 0;

	for (size_t i = 0; i < r->n; i++) {
		const struct store_layer *layer = store_layers_find(before, r->v[i].deleted);

		bytes += layer ? layer->size : 0;
	}
	return bytes;
}
