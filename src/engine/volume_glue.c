/* volume_glue.c - volumes in the Docker API's words, and who uses them. */
#include "engine/engine_private.h"
#include "schema/docker.h"

/* ---- volumes ---- */
static void fill(struct engine *en, const struct volume_record *rec, struct docker_volume *v)
{
	v->created_at = xstrdup(rec->created);
	v->driver = xstrdup("local");
	strmap_copy(&v->labels, &rec->labels);
	if (rec->anonymous)
		strmap_set(&v->labels, "com.docker.volume.anonymous", "");
	v->mountpoint = volume_path(en->volumes, rec->name);
	v->name = xstrdup(rec->name);
	strmap_copy(&v->options, &rec->options);
	v->scope = xstrdup("local");
}

static void used_by(struct engine *en, const char *name, struct strv *ret)
{
	AUTO_CONTAINERS struct container_set all = { 0 };

	container_set(en, &all);
	for (size_t i = 0; i < all.n; i++)
		for (size_t k = 0; k < all.v[i]->rec.mounts.n; k++)
			if (streq(all.v[i]->rec.mounts.v[k].name, name)) {
				strv_add(ret, all.v[i]->id);
				break;
			}
}

static void volume_event(struct engine *en, const char *action, const char *name)
{
	AUTO_STRMAP struct strmap attributes = { 0 };

	strmap_set(&attributes, "driver", "local");
	events_emit(en->events,
		    &(struct event){ .type = "volume", .action = action, .id = name, .attributes = &attributes });
}

int volumes_create(struct engine *en, const struct docker_volume_create *req, struct docker_volume *ret, struct err *e)
{
	struct volume_record rec = { 0 };
	struct volume_req q = {
		.name = req->name, .driver = req->driver, .labels = &req->labels, .options = &req->driver_opts
	};
	int r = volume_create(en->volumes, &q, &rec, e);

	if (r < 0)
		return r;
	fill(en, &rec, ret);
	volume_event(en, "create", rec.name);
	json_done(&volume_record_type, &rec);
	return 0;
}

static bool volume_wanted(struct engine *en, const struct volume_record *rec, const struct engine_filters *f,
			  struct json_obool dangling)
{
	const struct strv *v = engine_filter(f, "name");
	bool ok = !v || !v->n;

	for (size_t i = 0; v && i < v->n; i++)
		ok |= strstr(rec->name, v->v[i]) != NULL;
	if (!ok || !engine_labels_match(&rec->labels, engine_filter(f, "label"), true))
		return false;
	v = engine_filter(f, "driver");
	if (v && v->n && !strv_has(v, "local"))
		return false;
	if (dangling.set) {
		AUTO_STRV struct strv users = { 0 };

		used_by(en, rec->name, &users);
		return (users.n == 0) == dangling.v;
	}
	return true;
}

int check_filters(const struct engine_filters *f, const char *const *known, struct err *e)
{
	for (size_t i = 0; f && i < f->n; i++) {
		bool ok = false;

		for (size_t k = 0; known[k]; k++)
			ok |= streq(known[k], f->v[i].key);
		if (!ok)
			return err_set(e, ERR_INVALID, "invalid filter '%s'", f->v[i].key);
	}
	return 0;
}

int volumes_list(struct engine *en, const struct engine_filters *f, struct docker_volume **ret_v, size_t *ret_n,
		 struct err *e)
{
	static const char *const known[] = { "name", "label", "driver", "dangling", NULL };
	struct volume_record *all = NULL;
	struct json_obool dangling;
	size_t n = 0, kept = 0;
	int r = check_filters(f, known, e);

	if (r == 0)
		r = engine_filter_bool(f, "dangling", &dangling, e);
	if (r == 0)
		r = volume_list(en->volumes, &all, &n);
	if (r < 0)
		return r;
	*ret_v = xcalloc(n, sizeof **ret_v);
	for (size_t i = 0; i < n; i++) {
		if (volume_wanted(en, &all[i], f, dangling))
			fill(en, &all[i], &(*ret_v)[kept++]);
		json_done(&volume_record_type, &all[i]);
	}
	free(all);
	*ret_n = kept;
	return 0;
}

int volumes_inspect(struct engine *en, const char *name, struct docker_volume *ret, struct err *e)
{
	struct volume_record rec = { 0 };
	int r = volume_get(en->volumes, name, &rec, e);

	if (r < 0)
		return r;
	fill(en, &rec, ret);
	json_done(&volume_record_type, &rec);
	return 0;
}

int volumes_remove(struct engine *en, const char *name, bool force, struct err *e)
{
	AUTO_STRV struct strv users = { 0 };
	AUTO_STRB struct strb text = STRB_INIT;
	int r;

	used_by(en, name, &users);
	for (size_t i = 0; i < users.n; i++)
		strb_addf(&text, "%s%s", i ? ", " : "", users.v[i]);
	if (users.n)
		return err_set(e, ERR_CONFLICT, "remove %s: volume is in use - [%s]", name, text.s);
	r = volume_remove(en->volumes, name, e);
	if (r == -ENOENT && force)
		return 0;
	if (r == 0)
		volume_event(en, "destroy", name);
	return r;
}

int volumes_prune(struct engine *en, const struct engine_filters *f, struct strv *ret_deleted, int64_t *ret_bytes,
		  struct err *e)
{
	static const char *const known[] = { "label", "label!", "all", NULL };
	const struct strv *v = engine_filter(f, "all");
	bool named = v && v->n && (streq(v->v[0], "true") || streq(v->v[0], "1"));
	struct volume_record *all = NULL;
	size_t n = 0;
	int r = check_filters(f, known, e);

	*ret_bytes = 0;
	if (r == 0)
		r = volume_list(en->volumes, &all, &n);
	for (size_t i = 0; r == 0 && i < n; i++) {
		AUTO_STRV struct strv users = { 0 };

		used_by(en, all[i].name, &users);
		if (users.n || (!all[i].anonymous && !named) ||
		    !engine_labels_match(&all[i].labels, engine_filter(f, "label"), true) ||
		    !engine_labels_match(&all[i].labels, engine_filter(f, "label!"), false))
			continue;
		if (volume_remove(en->volumes, all[i].name, NULL) == 0) {
			strv_add(ret_deleted, all[i].name);
			volume_event(en, "destroy", all[i].name);
		}
	}
	for (size_t i = 0; i < n; i++)
		json_done(&volume_record_type, &all[i]);
	free(all);
	return r;
}
