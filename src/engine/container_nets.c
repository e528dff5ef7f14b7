/* container_nets.c - a container's place in networks: which it names, its endpoints there while it runs, joining and leaving.
 *
 * NetworkingConfig.EndpointsConfig of the record says which networks it belongs to, by name, running or not. rec.endpoints are the places it
 * has now: from a start to its exit. One of them carries the default route, and with it the published ports. */
#include "engine/container_check.h"
#include "engine/engine_private.h"
#include "schema/docker.h"

#include <fcntl.h>

typedef __typeof__(((struct docker_networking_config *)NULL)->endpoints_config.v) row_ptr;

static row_ptr row_of(struct container_record *rec, const char *network)
{
	for (size_t i = 0; i < rec->networking.endpoints_config.n; i++)
		if (streq(rec->networking.endpoints_config.v[i].key, network))
			return &rec->networking.endpoints_config.v[i];
	return NULL;
}

static row_ptr row_add(struct container_record *rec, const char *network)
{
	row_ptr row = row_of(rec, network);

	if (!row) {
		row = VEC_ADD(&rec->networking.endpoints_config);
		row->key = xstrdup(network);
	}
	return row;
}

static void row_remove(struct container_record *rec, row_ptr row)
{
	size_t i = (size_t)(row - rec->networking.endpoints_config.v);

	free(row->key);
	json_done(&docker_endpoint_settings_type, &row->val);
	memmove(row, row + 1, (rec->networking.endpoints_config.n - i - 1) * sizeof *row);
	rec->networking.endpoints_config.n--;
}

bool container_shares_network(const struct container_record *rec)
{
	return str_after(rec->host.network_mode, "container:") != NULL || streq(rec->host.network_mode, "host");
}

/* "web0123" or an id's prefix -> the network's name; a name that means nothing yet stays */
static char *name_of(struct engine *en, const char *ref)
{
	struct net_network nw = { 0 };
	char *name = streq(ref, "default") ? xstrdup("bridge") : NULL;

	if (!name && net_get(en->net, ref, &nw, NULL) == 0)
		name = xstrdup(nw.name);
	net_network_done(&nw);
	return name ? name : xstrdup(ref);
}

/* The networks by their names, that of NetworkMode among them. Also for records of older hoyds. */
void container_nets_settle(struct engine *en, struct container_record *rec)
{
	AUTO_FREE char *mode = str_empty(rec->host.network_mode) ? NULL : name_of(en, rec->host.network_mode);

	for (size_t i = 0; i < rec->networking.endpoints_config.n; i++) {
		row_ptr row = &rec->networking.endpoints_config.v[i];
		char *name = name_of(en, row->key);

		free(row->key);
		row->key = name;
	}
	if (mode && !str_after(mode, "container:"))
		(void)row_add(rec, mode);
	if (rec->endpoint) { /* there was one place once */
		struct net_endpoint *to = (struct net_endpoint *)VEC_ADD(&rec->endpoints);

		*to = *rec->endpoint;
		to->default_route = !str_empty(to->gateway);
		free(TAKE_PTR(rec->endpoint));
	}
}

bool container_names_network(struct engine *en, const struct net_network *nw)
{
	AUTO_CONTAINERS struct container_set all = { 0 };
	bool named = false;

	container_set(en, &all);
	for (size_t i = 0; i < all.n && !named; i++) {
		pthread_mutex_lock(&all.v[i]->lock);
		named = row_of(&all.v[i]->rec, nw->name) != NULL;
		pthread_mutex_unlock(&all.v[i]->lock);
	}
	return named;
}

struct net_endpoint *container_endpoint(const struct container_record *rec, const char *network)
{
	for (size_t i = 0; i < rec->endpoints.n; i++)
		if (streq(rec->endpoints.v[i].network, network))
			return (struct net_endpoint *)&rec->endpoints.v[i];
	return NULL;
}

/* What others may call it there: its name, its aliases, its short id; nothing on Docker's own networks. */
static void dns_names(const struct container_record *rec, const char *network, const struct docker_endpoint_settings *s,
		      struct strv *ret)
{
	AUTO_FREE char *brief = xstrndup(rec->id, 12);

	strv_done(ret);
	if (net_predefined(network))
		return;
	strv_add(ret, rec->name);
	for (size_t i = 0; i < s->aliases.n; i++)
		if (!strv_has(ret, s->aliases.v[i]))
			strv_add(ret, s->aliases.v[i]);
	if (!strv_has(ret, brief))
		strv_add(ret, brief);
	if (!str_empty(rec->config.hostname) && !strv_has(ret, rec->config.hostname))
		strv_add(ret, rec->config.hostname);
}

/* lock held */
static int prepare_one(struct container *c, row_ptr row, const char *ifname, struct net_endpoint *ret, struct err *e)
{
	struct docker_endpoint_settings *s = (struct docker_endpoint_settings *)&row->val;
	AUTO_FREE char *mode = name_of(c->en, c->rec.host.network_mode);
	struct net_endpoint_req q = { .network = row->key,
				      .container_id = c->id,
				      .container_name = c->rec.name,
				      .ifname = ifname,
				      .names = &s->dns_names };

	dns_names(&c->rec, row->key, s, &s->dns_names);
	if (streq(mode, row->key))
		q.mac = c->rec.config.mac_address;
	if (!str_empty(s->mac_address))
		q.mac = s->mac_address;
	if (s->ipam_config && !str_empty(s->ipam_config->ipv4_address))
		q.ip = s->ipam_config->ipv4_address;
	return net_endpoint_prepare(c->en->net, &q, ret, e);
}

/* Docker's choice: the highest priority, then the first by name, among those that lead anywhere */
static struct net_endpoint *way_out(const struct container_record *rec, struct net_endpoint *v, size_t n)
{
	struct net_endpoint *best = NULL;
	int64_t best_prio = 0;

	for (size_t i = 0; i < n; i++) {
		row_ptr row = row_of((struct container_record *)rec, v[i].network);
		int64_t prio = row ? row->val.gw_priority : 0;

		if (str_empty(v[i].gateway) || str_empty(v[i].ip))
			continue;
		if (!best || prio > best_prio || (prio == best_prio && strcmp(v[i].network, best->network) < 0)) {
			best = &v[i];
			best_prio = prio;
		}
	}
	return best;
}

void container_nets_release(struct container *c, struct net_endpoints *eps)
{
	for (size_t i = 0; i < eps->n; i++)
		net_endpoint_release(c->en->net, &eps->v[i]);
}

/* An address in every network it belongs to; NetworkMode's is eth0. All or nothing. */
int container_nets_prepare(struct container *c, struct net_endpoints *ret, struct err *e)
{
	struct net_endpoints eps = { 0 };
	AUTO_FREE char *mode = name_of(c->en, c->rec.host.network_mode);
	struct net_endpoint *out;
	int r = 0;

	pthread_mutex_lock(&c->lock);
	for (size_t i = 0; r == 0 && i < c->rec.networking.endpoints_config.n; i++) {
		struct net_network nw = { 0 };

		r = net_get(c->en->net, c->rec.networking.endpoints_config.v[i].key, &nw, e);
		net_network_done(&nw);
	}
	for (int first = 1; first >= 0; first--)
		for (size_t i = 0; r == 0 && i < c->rec.networking.endpoints_config.n; i++) {
			row_ptr row = &c->rec.networking.endpoints_config.v[i];
			char ifname[16];
			struct net_endpoint ep = { 0 };

			if (streq(row->key, mode) != first)
				continue;
			snprintf(ifname, sizeof ifname, "eth%zu", eps.n);
			r = prepare_one(c, row, ifname, &ep, e);
			if (r == 0)
				*(struct net_endpoint *)VEC_ADD(&eps) = ep; /* moves */
		}
	out = way_out(&c->rec, eps.v, eps.n);
	if (out)
		out->default_route = true;
	pthread_mutex_unlock(&c->lock);
	if (r < 0) {
		container_nets_release(c, &eps);
		net_endpoints_done(&eps);
		return r;
	}
	*ret = eps;
	return 0;
}

void container_nets_event(struct container *c, const char *action, const struct net_endpoint *ep)
{
	struct net_network nw = { 0 };

	if (net_get(c->en->net, ep->network_id, &nw, NULL) == 0)
		network_event(c->en, action, &nw, c->id);
	net_network_done(&nw);
}

/* ---- while it runs ---- */
struct inside { /* what its shim lends of its network namespace */
	struct msg m;
	int rt, nf, netns;
};

static int borrow(struct container *c, struct inside *ret, struct err *e)
{
	struct shim_link *l = container_shim_now(c);
	AUTO_STRB struct strb b = STRB_INIT;
	int r;

	if (!l)
		return err_set(e, ERR_CONFLICT, "container %s is not running", c->id);
	msg_put_u32(&b, 2);
	r = shim_call(l, &(struct shim_request){ .type = SHIM_LEND_NETLINK, .body = b.s, .n = b.len }, &ret->m, NULL,
		      e);
	shim_link_unref(l);
	if (r == 0 && ret->m.n_fds < 3) {
		msg_done(&ret->m);
		r = err_set(e, ERR_NOT_IMPLEMENTED,
			    "container %s was started by an older hoyd, whose shim cannot change networks: restart it",
			    c->id);
	}
	if (r < 0)
		return r;
	ret->rt = ret->m.fds[0];
	ret->nf = ret->m.fds[1];
	ret->netns = ret->m.fds[2];
	return 0;
}

static void free_ifname(const struct container_record *rec, char ret[16])
{
	for (int k = 0; k < 1000; k++) {
		bool used = false;

		snprintf(ret, 16, "eth%d", k);
		for (size_t i = 0; i < rec->endpoints.n; i++)
			used |= streq(rec->endpoints.v[i].ifname, ret);
		if (!used)
			return;
	}
}

/* The host ports of ep's container go over to `to` (NULL: nowhere): their sockets are let go and taken anew. */
static int move_ports(struct container *c, struct net_endpoint *from, struct net_endpoint *to, struct err *e)
{
	struct net_sockets sockets = { 0 };
	AUTO_STRB struct strb none = STRB_INIT;
	struct shim_link *l = container_shim_now(c);
	int r = 0;

	if (from)
		net_ports_release(c->en->net, from);
	msg_put_u32(&none, 0);
	if (l && from)
		r = shim_call(l, &(struct shim_request){ .type = SHIM_RESERVE, .body = none.s, .n = none.len }, NULL,
			      NULL, e);
	if (r == 0 && to)
		r = container_ports_reserve(c, to, &sockets, e);
	if (r == 0 && l && sockets.n)
		r = container_ports_hand_over(l, &sockets, e);
	if (r == 0 && to && to->ports.n)
		r = net_ports_publish(c->en->net, to, e);
	net_sockets_done(&sockets);
	shim_link_unref(l);
	return r;
}

/* After a change: the default route and the published ports are where they belong. op held; the record's list is ours to change. */
static int settle_way_out(struct container *c, const struct inside *in, struct err *e)
{
	struct net_endpoints eps = { 0 };
	struct net_endpoint *out, *had = NULL, *had_ports = NULL;
	int r = 0;

	pthread_mutex_lock(&c->lock);
	for (size_t i = 0; i < c->rec.endpoints.n; i++)
		json_copy(&net_endpoint_type, VEC_ADD(&eps), &c->rec.endpoints.v[i]);
	out = way_out(&c->rec, eps.v, eps.n);
	pthread_mutex_unlock(&c->lock);
	for (size_t i = 0; i < eps.n; i++) {
		if (eps.v[i].default_route)
			had = &eps.v[i];
		if (eps.v[i].ports.n)
			had_ports = &eps.v[i];
		eps.v[i].default_route = &eps.v[i] == out;
	}
	if (out != had)
		r = net_endpoint_route(c->en->net, c->id, out, in->rt, e);
	if (r == 0 && (had_ports != out || (out && !had_ports)))
		r = move_ports(c, had_ports, out, e);
	pthread_mutex_lock(&c->lock);
	for (size_t i = 0; i < c->rec.endpoints.n; i++)
		json_done(&net_endpoint_type, &c->rec.endpoints.v[i]);
	free(c->rec.endpoints.v);
	c->rec.endpoints.v = (__typeof__(c->rec.endpoints.v))eps.v;
	c->rec.endpoints.n = eps.n;
	pthread_mutex_unlock(&c->lock);
	return r;
}

static void forget_place(struct container *c, const char *endpoint_id)
{
	pthread_mutex_lock(&c->lock);
	for (size_t i = 0; i < c->rec.endpoints.n; i++)
		if (streq(c->rec.endpoints.v[i].id, endpoint_id)) {
			json_done(&net_endpoint_type, &c->rec.endpoints.v[i]);
			memmove(&c->rec.endpoints.v[i], &c->rec.endpoints.v[i + 1],
				(c->rec.endpoints.n - i - 1) * sizeof *c->rec.endpoints.v);
			c->rec.endpoints.n--;
			break;
		}
	pthread_mutex_unlock(&c->lock);
}

static int attach_live(struct container *c, const char *network, struct err *e)
{
	struct net_endpoint ep = { 0 };
	struct inside in = { 0 };
	char ifname[16];
	int r = borrow(c, &in, e);

	if (r < 0)
		return r;
	pthread_mutex_lock(&c->lock);
	free_ifname(&c->rec, ifname);
	r = prepare_one(c, row_of(&c->rec, network), ifname, &ep, e);
	if (r == 0)
		json_copy(&net_endpoint_type, VEC_ADD(&c->rec.endpoints), &ep);
	pthread_mutex_unlock(&c->lock);
	if (r == 0) {
		r = container_save_lazy(c, e); /* before it exists, as at a start */
		if (r == 0)
			r = net_endpoint_attach(c->en->net, &ep, in.netns, in.rt, in.nf, e);
		if (r == 0)
			r = settle_way_out(c, &in, e);
		if (r < 0) {
			net_endpoint_detach(c->en->net, &ep, NET_NAMESPACE_LIVES);
			net_endpoint_release(c->en->net, &ep);
			forget_place(c, ep.id);
			(void)settle_way_out(c, &in, NULL);
		} else {
			container_nets_event(c, "connect", &ep);
		}
	}
	msg_done(&in.m);
	net_endpoint_done(&ep);
	return r;
}

static void detach_live(struct container *c, const struct net_endpoint *ep)
{
	struct inside in = { 0 };
	struct err e = ERR_INIT;
	int r = borrow(c, &in, &e);

	if (ep->ports.n && r == 0) { /* its sockets go before the place itself is forgotten */
		struct net_endpoint copy = { 0 };

		json_copy(&net_endpoint_type, &copy, ep);
		(void)move_ports(c, &copy, NULL, NULL);
		net_endpoint_done(&copy);
	}
	net_endpoint_detach(c->en->net, ep, NET_NAMESPACE_LIVES);
	net_endpoint_release(c->en->net, ep);
	forget_place(c, ep->id);
	if (r == 0)
		r = settle_way_out(c, &in, &e);
	if (r < 0)
		log_error("container %s leaves network %s: %s", c->id, ep->network, e.msg);
	msg_done(&in.m);
	container_nets_event(c, "disconnect", ep);
}

/* ---- the API's two verbs ---- */
static int check_connect(struct container *c, const struct net_network *nw, const struct docker_endpoint_settings *s,
			 struct err *e)
{
	const char *mode = c->rec.host.network_mode;
	bool none = streq(nw->name, "none") && c->rec.networking.endpoints_config.n;
	int r = 0;

	if (streq(nw->name, "host") && !streq(mode, "host"))
		return err_set(
			e, ERR_INVALID,
			"cannot connect container to host network - container must be created in host network mode");
	if (container_shares_network(&c->rec) && (c->rec.state.running || streq(mode, "host")))
		return err_set(
			e, ERR_INVALID,
			"container sharing network namespace with another container or host cannot be connected to any "
			"other network");
	for (size_t i = 0; i < c->rec.networking.endpoints_config.n; i++)
		none |= streq(c->rec.networking.endpoints_config.v[i].key, "none");
	if (none && !row_of(&c->rec, nw->name))
		return err_set(
			e, ERR_INVALID,
			"container cannot be connected to multiple networks with one of the networks in private (none) "
			"mode");
	if (s)
		r = endpoint_check(c->en->net, nw->name, s, e);
	if (r == 0 && row_of(&c->rec, nw->name) && c->rec.state.running)
		r = err_set(e, ERR_FORBIDDEN, "endpoint with name %s already exists in network %s", c->rec.name,
			    nw->name);
	return r;
}

int networks_connect(struct engine *en, const char *ref, const struct docker_network_connect *q, struct err *e)
{
	AUTO_CONTAINER struct container *c = NULL;
	struct net_network nw = { 0 };
	bool running = false;
	int r = str_empty(q->container) ? err_set(e, ERR_INVALID, "invalid name or ID supplied: \"\"")
					: container_find(en, q->container, &c, e);

	if (r == 0)
		r = net_get(en->net, ref, &nw, e);
	if (r < 0)
		return r;
	pthread_mutex_lock(&c->op);
	pthread_mutex_lock(&c->lock);
	running = c->rec.state.running;
	if (c->rec.state.removing || c->removed)
		r = err_set(e, ERR_CONFLICT,
			    "container %s is marked for removal and cannot be connected or disconnected to the network",
			    c->id);
	if (r == 0)
		r = check_connect(c, &nw, (const struct docker_endpoint_settings *)q->endpoint_config, e);
	if (r == 0) {
		row_ptr row = row_add(&c->rec, nw.name);
		struct docker_endpoint_settings *s = (struct docker_endpoint_settings *)&row->val;

		json_done(&docker_endpoint_settings_type, s);
		if (q->endpoint_config)
			json_copy(&docker_endpoint_settings_type, s, q->endpoint_config);
		endpoint_forget_state(s);
		dns_names(&c->rec, nw.name, s, &s->dns_names);
	}
	pthread_mutex_unlock(&c->lock);
	if (r == 0 && running) {
		r = attach_live(c, nw.name, e);
		pthread_mutex_lock(&c->lock);
		if (r < 0 && row_of(&c->rec, nw.name))
			row_remove(&c->rec, row_of(&c->rec, nw.name));
		pthread_mutex_unlock(&c->lock);
	}
	if (r == 0)
		r = container_save(c, e);
	pthread_mutex_unlock(&c->op);
	if (r == 0 && running)
		container_names_changed(c, nw.id);
	net_network_done(&nw);
	return r;
}

int networks_disconnect(struct engine *en, const char *ref, const struct docker_network_connect *q, struct err *e)
{
	AUTO_CONTAINER struct container *c = NULL;
	struct net_network nw = { 0 };
	struct net_endpoint ep = { 0 };
	row_ptr row;
	int r = str_empty(q->container) ? err_set(e, ERR_INVALID, "invalid name or ID supplied: \"\"")
					: container_find(en, q->container, &c, e);

	if (r == 0)
		r = net_get(en->net, ref, &nw, e);
	if (r < 0)
		return r;
	pthread_mutex_lock(&c->op);
	pthread_mutex_lock(&c->lock);
	row = row_of(&c->rec, nw.name);
	if (streq(nw.name, "host") && streq(c->rec.host.network_mode, "host"))
		r = err_set(
			e, ERR_INVALID,
			"cannot disconnect container from host network - container was created in host network mode");
	else if (!row)
		r = err_set(e, ERR_SYSTEM,
			    net_predefined(nw.name) ? "container %s is not connected to the network %s"
						    : "container %s is not connected to network %s",
			    c->id, nw.name);
	if (r == 0 && container_endpoint(&c->rec, nw.name) && c->rec.state.running)
		json_copy(&net_endpoint_type, &ep, container_endpoint(&c->rec, nw.name));
	if (r == 0)
		row_remove(&c->rec, row);
	pthread_mutex_unlock(&c->lock);
	if (r == 0 && ep.id)
		detach_live(c, &ep);
	if (r == 0)
		r = container_save(c, e);
	pthread_mutex_unlock(&c->op);
	if (r == 0 && ep.id)
		container_names_changed(c, nw.id);
	net_endpoint_done(&ep);
	net_network_done(&nw);
	return r;
}

/* A new name, everywhere; op held */
void container_nets_rename(struct container *c)
{
	pthread_mutex_lock(&c->lock);
	for (size_t i = 0; i < c->rec.networking.endpoints_config.n; i++) {
		row_ptr row = &c->rec.networking.endpoints_config.v[i];
		struct docker_endpoint_settings *s = (struct docker_endpoint_settings *)&row->val;

		if (s->dns_names.n)
			dns_names(&c->rec, row->key, s, &s->dns_names);
	}
	for (size_t i = 0; i < c->rec.endpoints.n; i++) {
		struct net_endpoint *ep = (struct net_endpoint *)&c->rec.endpoints.v[i];
		row_ptr row = row_of(&c->rec, ep->network);

		free(ep->name);
		ep->name = xstrdup(c->rec.name);
		if (row)
			dns_names(&c->rec, ep->network, (struct docker_endpoint_settings *)&row->val, &ep->names);
		net_endpoint_rename(c->en->net, ep->id, c->rec.name, &ep->names);
	}
	pthread_mutex_unlock(&c->lock);
}

/* What a client has no say in */
void endpoint_forget_state(struct docker_endpoint_settings *s)
{
	char **texts[] = { &s->network_id, &s->endpoint_id,  &s->gateway,
			   &s->ip_address, &s->ipv6_gateway, &s->global_ipv6_address };

	for (size_t i = 0; i < ARRAY_LEN(texts); i++)
		free(TAKE_PTR(*texts[i]));
	s->ip_prefix_len = s->global_ipv6_prefix_len = 0;
	strv_done(&s->dns_names);
}

/* Who the others on that network are has changed: resolvers are told. */
void container_names_changed(struct container *c UNUSED, const char *network_id UNUSED)
{
}
