/* networks.c - networks in the Docker API's words: made, listed, removed. Who joins them: container_nets.c. */
#include "engine/engine_private.h"
#include "schema/docker.h"

void network_event(struct engine *en, const char *action, const struct net_network *nw, const char *container_id)
{
	AUTO_STRMAP struct strmap attributes = { 0 };

	if (container_id)
		strmap_set(&attributes, "container", container_id);
	strmap_set(&attributes, "name", nw->name);
	strmap_set(&attributes, "type", nw->driver);
	events_emit(en->events,
		    &(struct event){ .type = "network", .action = action, .id = nw->id, .attributes = &attributes });
}

static void fill_ipam(const struct net_network *nw, struct docker_ipam *r)
{
	__typeof__(r->config.v) c;

	r->driver = xstrdup("default");
	strmap_copy(&r->options, &nw->ipam_options);
	if (nw->ipam_options.v && !r->options.v)
		r->options.v = xcalloc(1, sizeof *r->options.v); /* {} */
	if (str_empty(nw->subnet))
		return;
	c = VEC_ADD(&r->config);
	c->subnet = xstrdup(nw->subnet);
	c->ip_range = xstrdup(nw->ip_range);
	c->gateway = xstrdup(nw->user_subnet ? nw->asked_gateway : nw->gateway);
	strmap_copy(&c->aux_address, &nw->aux);
}

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
	fill_ipam(nw, (struct docker_ipam *)&r->ipam);
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

/* ---- making ---- */
static bool blank(const char *s)
{
	return !s || !s[strspn(s, " \t\r\n")];
}

/* What dockerd refuses, in its order, and what this hoyd cannot do yet. */
static int check_create(const struct docker_network_create *q, struct err *e)
{
	const char *driver = str_empty(q->driver) ? "bridge" : q->driver;

	if (blank(q->name))
		return err_set(e, ERR_INVALID, "invalid name: name is empty");
	if (net_predefined(q->name))
		return err_set(e, ERR_FORBIDDEN, "operation is not permitted on predefined %s network ", q->name);
	if (streq(q->scope, "swarm"))
		return err_set(e, ERR_FORBIDDEN, "cannot create a swarm scoped network when swarm is not active");
	if (q->ingress)
		return err_set(e, ERR_FORBIDDEN, "Ingress network can only be global scope network");
	if (q->config_only || (q->config_from && !str_empty(q->config_from->network)))
		return err_set(e, ERR_NOT_IMPLEMENTED,
			       "config-only networks are not supported by this version of hoyd");
	if (streq(driver, "host") || streq(driver, "null"))
		return err_set(e, ERR_FORBIDDEN, "only one instance of \"%s\" network is allowed", driver);
	if (streq(driver, "overlay"))
		return err_set(e, ERR_FORBIDDEN,
			       "This node is not a swarm manager. Use \"docker swarm init\" or \"docker swarm join\" "
			       "to connect this "
			       "node to swarm and try again.");
	if (streq(driver, "macvlan") || streq(driver, "ipvlan"))
		return err_set(e, ERR_NOT_IMPLEMENTED, "%s networks are not supported by this version of hoyd", driver);
	if (!streq(driver, "bridge"))
		return err_set(e, ERR_NOT_FOUND, "plugin \"%s\" not found", driver);
	if (q->enable_ipv6.set && q->enable_ipv6.v)
		return err_set(e, ERR_NOT_IMPLEMENTED, "IPv6 networks are not supported by this version of hoyd");
	if (q->enable_ipv4.set && !q->enable_ipv4.v)
		return err_set(e, ERR_INVALID, "IPv4 or IPv6 must be enabled");
	if (q->ipam && !str_empty(q->ipam->driver) && !streq(q->ipam->driver, "default") &&
	    !streq(q->ipam->driver, "null"))
		return err_set(e, ERR_NOT_FOUND, "plugin \"%s\" not found", q->ipam->driver);
	return 0;
}

static void set_text(char **at, const char *v)
{
	free(*at);
	*at = xstrdup(v);
}

int networks_create(struct engine *en, const struct docker_network_create *q, char **ret_id, struct err *e)
{
	struct net_network want = { 0 }, made = { 0 };
	size_t n4 = 0;
	int r = check_create(q, e);

	if (r < 0)
		return r;
	want.name = xstrdup(q->name);
	want.internal = q->internal;
	want.attachable = q->attachable;
	strmap_copy(&want.options, &q->options);
	strmap_copy(&want.labels, &q->labels);
	if (q->ipam && q->ipam->options.v) {
		strmap_copy(&want.ipam_options, &q->ipam->options);
		if (!want.ipam_options.v)
			want.ipam_options.v = xcalloc(1, sizeof *want.ipam_options.v); /* {} is shown as such */
	}
	for (size_t i = 0; q->ipam && i < q->ipam->config.n; i++) {
		__typeof__(q->ipam->config.v) c = &q->ipam->config.v[i];

		if (c->subnet && strchr(c->subnet, ':')) /* without EnableIPv6 dockerd leaves it aside, too */
			continue;
		n4++;
		set_text(&want.subnet, str_empty(c->subnet) ? "" : c->subnet);
		set_text(&want.ip_range, c->ip_range);
		set_text(&want.asked_gateway, c->gateway);
		strmap_done(&want.aux);
		strmap_copy(&want.aux, &c->aux_address);
		if (str_empty(c->subnet))
			r = err_set(e, ERR_INVALID,
				    "invalid network config:\ninvalid subnet : invalid CIDR block notation");
	}
	if (r == 0 && n4 > 1)
		r = err_set(e, ERR_FORBIDDEN, "bridge driver doesn't support multiple subnets");
	if (r == 0)
		r = net_network_create(en->net, &want, &made, e);
	if (r == 0) {
		network_event(en, "create", &made, NULL);
		*ret_id = xstrdup(made.id);
	}
	net_network_done(&want);
	net_network_done(&made);
	return r;
}

/* ---- listing ---- */
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

static bool in_use(struct engine *en, const struct net_network *nw)
{
	struct net_endpoints eps = { 0 };
	bool used = net_network_endpoints(en->net, nw->id, &eps) == 0 && eps.n;

	net_endpoints_done(&eps);
	return used;
}

static bool network_wanted(struct engine *en, const struct net_network *nw, const struct engine_filters *f)
{
	const struct strv *v = engine_filter(f, "name");
	bool ok = !v || !v->n, own = !net_predefined(nw->name);

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
	if (ok && v && v->n)
		ok = strv_has(v, own ? "custom" : "builtin");
	v = engine_filter(f, "dangling");
	if (ok && v && v->n) /* what is built in waits for nobody */
		ok = is_true(v->v[0]) == (own && !in_use(en, nw));
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
		if (network_wanted(en, &all.v[i], f))
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

/* ---- removing ---- */
int networks_remove(struct engine *en, const char *ref, struct err *e)
{
	struct net_network was = { 0 };
	int r = net_network_remove(en->net, ref, &was, e);

	if (r == 0)
		network_event(en, "destroy", &was, NULL);
	net_network_done(&was);
	return r;
}

int networks_prune(struct engine *en, const struct engine_filters *f, struct strv *ret_deleted, struct err *e)
{
	static const char *const known[] = { "label", "label!", "until", NULL };
	const struct strv *until = engine_filter(f, "until");
	AUTO_STRMAP struct strmap attributes = { 0 };
	struct net_networks all = { 0 };
	int64_t before = INT64_MAX;
	int r = check_filters(f, known, e);

	if (r == 0 && until && until->n && engine_time_parse(until->v[0], &before) < 0)
		r = err_set(e, ERR_INVALID, "failed to parse value as time or duration: \"%s\"", until->v[0]);
	if (r == 0)
		r = net_list(en->net, &all);
	if (r < 0)
		return r;
	for (size_t i = 0; i < all.n; i++) {
		const struct net_network *nw = &all.v[i];
		int64_t created = 0;

		(void)time_parse(nw->created, &created);
		if (net_predefined(nw->name) || created >= before || container_names_network(en, nw) ||
		    !engine_labels_match(&nw->labels, engine_filter(f, "label"), true) ||
		    !engine_labels_match(&nw->labels, engine_filter(f, "label!"), false))
			continue;
		if (networks_remove(en, nw->id, NULL) == 0)
			strv_add(ret_deleted, nw->name);
	}
	net_networks_done(&all);
	strmap_set(&attributes, "reclaimed", "0");
	events_emit(en->events,
		    &(struct event){ .type = "network", .action = "prune", .id = "", .attributes = &attributes });
	return 0;
}
