/* image_glue.c - image/'s table in the Docker API's words. */
#include "engine/image_glue.h"
#include "schema/docker.h"

static void users(void *ctx, const char *image_id, struct image_users *ret)
{
	struct engine *en = ctx;
	AUTO_CONTAINERS struct container_set all = { 0 };

	container_set(en, &all);
	for (size_t i = 0; i < all.n; i++)
		if (streq(all.v[i]->rec.image, image_id)) {
			struct image_user *u = VEC_ADD(ret);

			u->container = xstrdup(all.v[i]->id);
			u->running = container_running(all.v[i]);
		}
}

static void happened(void *ctx, const char *action, const char *image_id, const char *name)
{
	struct engine *en = ctx;
	AUTO_STRMAP struct strmap attributes = { 0 };
	AUTO_IMAGE struct image *image = NULL;
	struct event ev = { .type = "image", .action = action, .id = image_id, .attributes = &attributes };

	if (en->images && image_find(en->images, image_id, &image, NULL) == 0)
		strmap_copy(&attributes, &image->oci.config.labels);
	strmap_set(&attributes, "name", name ? name : image_id);
	events_emit(en->events, &ev);
}

int engine_images_open(struct engine *en, struct err *e)
{
	struct images_opts o = { .db = en->db,
				 .store = en->store,
				 .hooks = { .ctx = en, .users = users, .event = happened } };

	return images_open(&o, &en->images, e);
}

/* The earliest of several. A time that is none is an error of the server's, as dockerd has it. */
static int read_until(const struct strv *v, int64_t *ret, struct err *e)
{
	for (size_t i = 0; i < v->n; i++) {
		int64_t ns = 0;

		if (engine_time_parse(v->v[i], &ns) < 0)
			return err_set(e, ERR_SYSTEM, "failed to parse value as time or duration: \"%s\"", v->v[i]);
		if (!*ret || ns < *ret)
			*ret = ns;
	}
	return 0;
}

/* ---- list ---- */
static int read_query(const struct engine_filters *f, struct image_query *q, struct err *e)
{
	for (size_t i = 0; f && i < f->n; i++) {
		const char *key = f->v[i].key;
		const struct strv *v = &f->v[i].values;

		if (!v->n)
			continue;
		if (streq(key, "dangling")) {
			int r = engine_filter_bool(f, key, &q->dangling, e);

			if (r < 0)
				return r;
		} else if (streq(key, "reference")) {
			strv_copy(&q->references, v);
		} else if (streq(key, "label")) {
			strv_copy(&q->labels, v);
		} else if (streq(key, "before")) {
			strv_copy(&q->before, v);
		} else if (streq(key, "since")) {
			strv_copy(&q->since, v);
		} else if (streq(key, "until")) {
			int r = read_until(v, &q->until_ns, e);

			if (r < 0)
				return r;
		} else {
			return err_set(e, ERR_INVALID, "invalid filter '%s'", key);
		}
	}
	return 0;
}

/* The image of every container, sorted. */
static void used_images(struct engine *en, struct strv *ret)
{
	AUTO_CONTAINERS struct container_set all = { 0 };

	container_set(en, &all);
	for (size_t i = 0; i < all.n; i++)
		strv_add(ret, all.v[i]->rec.image ? all.v[i]->rec.image : "");
	strv_sort(ret);
}

static int64_t count_of(const struct strv *sorted, const char *id)
{
	size_t low = 0, high = sorted->n;
	int64_t n = 0;

	while (low < high) {
		size_t mid = low + (high - low) / 2;

		if (strcmp(sorted->v[mid], id) < 0)
			low = mid + 1;
		else
			high = mid;
	}
	for (; low < sorted->n && streq(sorted->v[low], id); low++)
		n++;
	return n;
}

int images_list(struct engine *en, bool all, bool shared_size, bool digests UNUSED, const struct engine_filters *f,
		struct docker_image_summary **ret_v, size_t *ret_n, struct err *e)
{
	struct image_query q = { .all = all, .shared_size = shared_size };
	AUTO_STRV struct strv used = { 0 };
	struct image_list list = { 0 };
	struct docker_image_summary *v;
	int r = read_query(f, &q, e);

	if (r == 0)
		r = image_list(en->images, &q, &list, e);
	strv_done(&q.references);
	strv_done(&q.labels);
	strv_done(&q.before);
	strv_done(&q.since);
	if (r < 0)
		return r;
	used_images(en, &used);
	v = xcalloc(list.n, sizeof *v);
	for (size_t i = 0; i < list.n; i++) {
		const struct image_row *row = &list.v[i];

		v[i].id = xstrdup(row->image->id);
		v[i].parent_id = xstrdup(row->image->parent);
		v[i].created = row->image->created;
		strmap_copy(&v[i].labels, &row->image->oci.config.labels);
		strv_copy(&v[i].repo_tags, &row->names.tags);
		strv_copy(&v[i].repo_digests, &row->names.digests);
		v[i].size = v[i].virtual_size = row->image->size;
		v[i].shared_size = row->shared;
		v[i].containers = count_of(&used, row->image->id);
	}
	*ret_v = v;
	*ret_n = list.n;
	image_list_done(&list);
	return 0;
}

/* ---- inspect ---- */
static void fill_config(const struct oci_config *from, struct docker_image_config *to)
{
	strv_copy(&to->cmd, &from->cmd);
	strv_copy(&to->entrypoint, &from->entrypoint);
	strv_copy(&to->env, &from->env);
	strv_copy(&to->exposed_ports, &from->ports);
	strmap_copy(&to->labels, &from->labels);
	strv_copy(&to->on_build, &from->onbuild);
	strv_copy(&to->shell, &from->shell);
	to->stop_signal = xstrdup(from->stop_signal);
	to->user = xstrdup(from->user);
	strv_copy(&to->volumes, &from->volumes);
	to->working_dir = xstrdup(from->workdir);
	to->args_escaped = from->args_escaped;
	if (from->health) {
		AUTO_STRB struct strb text = STRB_INIT;

		json_write(&oci_health_type, from->health, JSON_LATEST, &text);
		to->healthcheck = xcalloc(1, sizeof *to->healthcheck);
		(void)json_read(&docker_healthcheck_type, text.s, text.len, NULL, to->healthcheck, NULL);
	}
}

int images_inspect(struct engine *en, const char *ref, struct docker_image_inspect *r, struct err *e)
{
	AUTO_IMAGE struct image *i = NULL;
	struct image_names names = { 0 };
	char when[TIME_TEXT_MAX];
	int64_t tagged;
	int k = image_find(en->images, ref, &i, e);

	if (k < 0)
		return k;
	image_names(en->images, i->id, &names);
	r->id = xstrdup(i->id);
	strv_copy(&r->repo_tags, &names.tags);
	strv_copy(&r->repo_digests, &names.digests);
	image_names_done(&names);
	r->parent = xstrdup(i->parent);
	r->comment = xstrdup(str_empty(i->oci.comment) && i->oci.history.n
				     ? i->oci.history.v[i->oci.history.n - 1].comment
				     : i->oci.comment);
	r->created = xstrdup(i->oci.created);
	r->docker_version = xstrdup(i->oci.docker_version);
	r->author = xstrdup(i->oci.author);
	r->architecture = xstrdup(i->oci.architecture);
	r->variant = xstrdup(i->oci.variant);
	r->os = xstrdup(str_empty(i->oci.os) ? "linux" : i->oci.os);
	r->os_version = xstrdup(i->oci.os_version);
	r->size = r->virtual_size = i->size;
	r->graph_driver.name = xstrdup(store_driver(en->store));
	k = store_graph_data(en->store, NULL, i->top, &r->graph_driver.data, e);
	r->root_fs.type = xstrdup("layers");
	strv_copy(&r->root_fs.layers, &i->oci.rootfs.diff_ids);
	tagged = image_tagged_ns(en->images, i->id);
	if (tagged)
		time_format(tagged, when);
	r->metadata.last_tag_time = xstrdup(tagged ? when : "0001-01-01T00:00:00Z");
	r->config = xcalloc(1, sizeof *r->config);
	fill_config((const struct oci_config *)&i->oci.config, r->config);
	return k;
}

int images_history(struct engine *en, const char *ref, struct docker_image_history_item **ret_v, size_t *ret_n,
		   struct err *e)
{
	struct image_history h = { 0 };
	struct docker_image_history_item *v;
	int r = image_history(en->images, ref, &h, e);

	if (r < 0)
		return r;
	v = xcalloc(h.n, sizeof *v);
	for (size_t i = 0; i < h.n; i++) {
		v[i].id = xstrdup(h.v[i].id);
		v[i].created = h.v[i].created;
		v[i].created_by = xstrdup(h.v[i].created_by);
		v[i].comment = xstrdup(h.v[i].comment);
		v[i].size = h.v[i].size;
		strv_copy(&v[i].tags, &h.v[i].tags);
	}
	*ret_v = v;
	*ret_n = h.n;
	image_history_done(&h);
	return 0;
}

int images_tag(struct engine *en, const char *ref, const char *repo, const char *tag, struct err *e)
{
	return image_tag(en->images, ref, repo, tag, e);
}

static void give_removal(struct image_removal *gone, struct docker_image_delete_item **ret_v, size_t *ret_n)
{
	*ret_v = xcalloc(gone->n, sizeof **ret_v);
	*ret_n = gone->n;
	for (size_t i = 0; i < gone->n; i++) {
		(*ret_v)[i].deleted = xstrdup(gone->v[i].deleted);
		(*ret_v)[i].untagged = xstrdup(gone->v[i].untagged);
	}
	image_removal_done(gone);
}

int images_remove(struct engine *en, const char *ref, bool force, bool no_prune,
		  struct docker_image_delete_item **ret_v, size_t *ret_n, struct err *e)
{
	struct image_removal gone = { 0 };
	int r = image_remove(en->images, ref, (force ? IMAGE_FORCE : 0) | (no_prune ? IMAGE_NO_PRUNE : 0), &gone, e);

	if (r < 0)
		return r;
	give_removal(&gone, ret_v, ret_n);
	return 0;
}

static int read_prune(const struct engine_filters *f, struct image_prune *q, struct err *e)
{
	const struct strv *until = engine_filter(f, "until"), *labels = engine_filter(f, "label"),
			  *labels_not = engine_filter(f, "label!");
	struct json_obool dangling = { 0 };
	int r = 0;

	for (size_t i = 0; f && i < f->n; i++)
		if (!streq(f->v[i].key, "dangling") && !streq(f->v[i].key, "label") && !streq(f->v[i].key, "label!") &&
		    !streq(f->v[i].key, "until"))
			return err_set(e, ERR_INVALID, "invalid filter '%s'", f->v[i].key);
	r = engine_filter_bool(f, "dangling", &dangling, e);
	if (r == 0 && until && until->n > 1)
		r = err_set(e, ERR_SYSTEM, "more than one until filter specified");
	if (r == 0 && until)
		r = read_until(until, &q->until_ns, e);
	q->all = dangling.set && !dangling.v;
	if (r == 0 && labels)
		strv_copy(&q->labels, labels);
	if (r == 0 && labels_not)
		strv_copy(&q->labels_not, labels_not);
	return r;
}

static void pruned(struct engine *en, int64_t bytes)
{
	AUTO_STRMAP struct strmap attributes = { 0 };
	AUTO_FREE char *text = xasprintf("%lld", (long long)bytes);

	strmap_set(&attributes, "reclaimed", text);
	events_emit(en->events,
		    &(struct event){ .type = "image", .action = "prune", .id = "", .attributes = &attributes });
}

int images_prune(struct engine *en, const struct engine_filters *f, struct docker_image_delete_item **ret_v,
		 size_t *ret_n, int64_t *ret_bytes, struct err *e)
{
	struct image_removal gone = { 0 };
	struct image_prune q = { 0 };
	int r = read_prune(f, &q, e);

	if (r == 0 && __atomic_exchange_n(&en->pruning_images, 1, __ATOMIC_ACQ_REL))
		return err_set(e, ERR_CONFLICT, "a prune operation is already running");
	if (r == 0) {
		r = image_prune(en->images, &q, &gone, ret_bytes, e);
		__atomic_store_n(&en->pruning_images, 0, __ATOMIC_RELEASE);
	}
	strv_done(&q.labels);
	strv_done(&q.labels_not);
	if (r < 0)
		return r;
	give_removal(&gone, ret_v, ret_n);
	pruned(en, *ret_bytes);
	return 0;
}

/* ---- load, import ---- */
struct lines {
	const struct engine_progress *p;
	bool quiet;
};

static void loaded(void *ctx, const char *text)
{
	struct lines *l = ctx;
	AUTO_STRB struct strb b = STRB_INIT;
	AUTO_FREE char *line = xasprintf("%s\n", text);

	strb_adds(&b, "{\"stream\":");
	json_add_str(&b, line);
	strb_addc(&b, '}');
	l->p->line(l->p->ctx, b.s);
}

int images_save(struct engine *en, const struct strv *names, const struct engine_platform *platform,
		const struct engine_out *out, struct err *e)
{
	struct image_platform p = { .os = platform->os, .arch = platform->arch, .variant = platform->variant };
	struct image_out o = { .begin = out->begin, .write = out->write, .ctx = out->ctx };

	return image_save(en->images, names, &p, &o, e);
}

int images_load(struct engine *en, int in_fd, bool quiet, const struct engine_platform *platform,
		const struct engine_progress *p, struct err *e)
{
	struct lines l = { p, quiet };
	struct image_source src = { .fd = in_fd };
	struct image_progress ip = { .ctx = &l, .line = loaded };
	struct image_platform want = { .os = platform->os, .arch = platform->arch, .variant = platform->variant };

	int r = image_load(en->images, &src, &want, &ip, e);

	images_mind_room(en);
	return r;
}

int images_import(struct engine *en, int in_fd, const struct image_import_opts *o, const struct engine_progress *p,
		  struct err *e)
{
	struct image_import in = { .src = { .fd = in_fd },
				   .repo = o->repo,
				   .tag = o->tag,
				   .message = o->message,
				   .platform = o->platform,
				   .changes = o->changes };
	AUTO_FREE char *id = NULL;
	AUTO_FREE char *line = NULL;
	int r = image_import(en->images, &in, &id, e);

	if (r < 0)
		return r;
	line = xasprintf("{\"status\":\"%s\"}", id);
	p->line(p->ctx, line);
	return 0;
}
