/* volume_glue.c - volumes and networks in the Docker API's words, and who uses them. */
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

static int check_filters(const struct engine_filters *f, const char *const *known, struct err *e)
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

/* ---- networks ---- */
static void fill_network(struct engine *en, const struct net_network *nw, bool whole, struct docker_network_inspect *r)
{
	struct net_endpoints eps = { 0 };

	r->name = xstrdup(nw->name);
	r->id = xstrdup(nw->id);
	r->created = xstrdup(nw->created);
	r->scope = xstrdup(nw->scope);
	r->driver = xstrdup(nw->driver);
	r->enable_ipv4 = true;
	r->enable_ipv6 = nw->enable_ipv6;
	r->internal = nw->internal;
	r->attachable = nw->attachable;
	r->ipam.driver = xstrdup("default");
	if (!str_empty(nw->subnet)) {
		__typeof__(r->ipam.config.v) c = VEC_ADD(&r->ipam.config);

		c->subnet = xstrdup(nw->subnet);
		c->gateway = xstrdup(nw->gateway);
	}
	r->config_from.network = xstrdup("");
	strmap_copy(&r->options, &nw->options);
	strmap_copy(&r->labels, &nw->labels);
	if (!whole || net_network_endpoints(en->net, nw->id, &eps) < 0)
		return;
	for (size_t i = 0; i < eps.n; i++) {
		__typeof__(r->containers.v) row = VEC_ADD(&r->containers);

		row->key = xstrdup(eps.v[i].container_id);
		row->val.name = xstrdup(eps.v[i].name);
		row->val.endpoint_id = xstrdup(eps.v[i].id);
		row->val.mac_address = xstrdup(eps.v[i].mac);
		row->val.ipv4_address = str_empty(eps.v[i].ip)
						? xstrdup("")
						: xasprintf("%s/%lld", eps.v[i].ip, (long long)eps.v[i].prefix_len);
		row->val.ipv6_address = xstrdup("");
	}
	net_endpoints_done(&eps);
}

static bool is_true(const char *s)
{
	return streq(s, "true") || streq(s, "1");
}

static int check_network_filters(const struct engine_filters *f, struct err *e)
{
	static const char *const known[] = { "name", "id", "driver", "type", "label", "scope", "dangling", NULL };
	const struct strv *type = engine_filter(f, "type"), *dangling = engine_filter(f, "dangling");
	int r = check_filters(f, known, e);

	for (size_t i = 0; r == 0 && type && i < type->n; i++)
		if (!streq(type->v[i], "builtin") && !streq(type->v[i], "custom")) /* 500, as dockerd */
			r = err_set(e, ERR_SYSTEM, "invalid filter: 'type'='%s'", type->v[i]);
	if (r == 0 && dangling &&
	    (dangling->n != 1 ||
	     (!is_true(dangling->v[0]) && !streq(dangling->v[0], "false") && !streq(dangling->v[0], "0"))))
		r = err_set(
			e, ERR_INVALID,
			"invalid value for filter 'dangling', must be \"true\" (or \"1\"), or \"false\" (or \"0\")");
	return r;
}

static bool network_wanted(const struct net_network *nw, const struct engine_filters *f)
{
	const struct strv *v = engine_filter(f, "name");
	bool ok = !v || !v->n;

	for (size_t i = 0; v && i < v->n; i++)
		ok |= id_or_name_matches(v->v[i], nw->name);
	v = engine_filter(f, "id");
	for (size_t i = 0; v && ok && i < v->n; i++)
		ok = str_after(nw->id, v->v[i]) != NULL;
	v = engine_filter(f, "driver");
	if (ok && v && v->n)
		ok = strv_has(v, nw->driver);
	v = engine_filter(f, "scope");
	if (ok && v && v->n)
		ok = strv_has(v, nw->scope);
	v = engine_filter(f, "type");
	if (ok && v && v->n) /* bridge, host and none are built in */
		ok = strv_has(v, "builtin");
	v = engine_filter(f, "dangling");
	if (ok && v && v->n) /* what is built in waits for nobody */
		ok = !is_true(v->v[0]);
	return ok && engine_labels_match(&nw->labels, engine_filter(f, "label"), true);
}

int networks_list(struct engine *en, const struct engine_filters *f, struct docker_network_inspect **ret_v,
		  size_t *ret_n, struct err *e)
{
	struct net_networks all = { 0 };
	size_t n = 0;
	int r = check_network_filters(f, e);

	if (r == 0)
		r = net_list(en->net, &all);
	if (r < 0)
		return r;
	*ret_v = xcalloc(all.n, sizeof **ret_v);
	for (size_t i = 0; i < all.n; i++)
		if (network_wanted(&all.v[i], f))
			fill_network(en, &all.v[i], false, &(*ret_v)[n++]);
	*ret_n = n;
	net_networks_done(&all);
	return 0;
}

int networks_inspect(struct engine *en, const char *ref, const char *scope, struct docker_network_inspect *ret,
		     struct err *e)
{
	struct net_network nw = { 0 };
	int r = net_get(en->net, ref, &nw, e);

	if (r == 0 && *scope && !streq(scope, nw.scope))
		r = err_set(e, ERR_NOT_FOUND, "network %s not found", ref);
	if (r == 0)
		fill_network(en, &nw, true, ret);
	net_network_done(&nw);
	return r;
}

/* Every network there is was made by hoyd itself. */
int networks_remove(struct engine *en, const char *ref, struct err *e)
{
	struct net_network nw = { 0 };
	int r = net_get(en->net, ref, &nw, e);

	if (r == 0)
		r = err_set(e, ERR_FORBIDDEN, "%s is a pre-defined network and cannot be removed", nw.name);
	net_network_done(&nw);
	return r;
}

int networks_prune(struct engine *en UNUSED, const struct engine_filters *f, struct strv *ret_deleted UNUSED,
		   struct err *e)
{
	static const char *const known[] = { "label", "label!", "until", NULL };
	const struct strv *until = engine_filter(f, "until");
	int64_t before = 0;
	int r = check_filters(f, known, e);

	if (r == 0 && until && until->n && engine_time_parse(until->v[0], &before) < 0)
		r = err_set(e, ERR_INVALID, "failed to parse value as time or duration: \"%s\"", until->v[0]);
	return r;
}
