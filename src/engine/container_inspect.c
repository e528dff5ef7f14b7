/* container_inspect.c - a record as clients see it: inspect, and the pieces that list shares with it. */
#include "engine/container_check.h"
#include "engine/container_view.h"

#define NEVER "0001-01-01T00:00:00Z"

/* RFC 3339, Go's zero time for 0 */
static char *time_text(int64_t ns)
{
	char text[TIME_TEXT_MAX];

	if (!ns)
		return xstrdup(NEVER);
	time_format(ns, text);
	return xstrdup(text);
}

void fill_mount_point(const struct container_mount *m, struct docker_mount_point *p)
{
	p->type = xstrdup(m->type);
	p->name = xstrdup(m->name);
	p->source = xstrdup(m->source);
	p->destination = xstrdup(m->destination);
	p->driver = xstrdup(m->driver);
	p->mode = xstrdup(m->mode);
	p->rw = m->rw;
	p->propagation = xstrdup(m->propagation);
}

static void put(char **at, const char *v)
{
	free(*at);
	*at = xstrdup(v);
}

/* The place whose ports are shown; NULL where it has none now. */
const struct net_endpoint *shown_endpoint(const struct container_record *rec)
{
	const struct net_endpoint *v = (const struct net_endpoint *)rec->endpoints.v;

	if (!rec->state.running)
		return NULL;
	for (size_t i = 0; i < rec->endpoints.n; i++)
		if (v[i].ports.n)
			return &v[i];
	return rec->endpoints.n ? v : NULL;
}

const struct net_endpoint *shown_endpoint_on(const struct container_record *rec, const char *network)
{
	return rec->state.running ? container_endpoint(rec, network) : NULL;
}

void fill_endpoint(const struct container_record *rec, const char *network, struct docker_endpoint_settings *s)
{
	const struct net_endpoint *ep = container_endpoint(rec, network);

	if (ep)
		put(&s->network_id, ep->network_id);
	if (!ep || !rec->state.running) /* also while what it had is still being taken back */
		return;
	put(&s->endpoint_id, ep->id);
	put(&s->gateway, ep->gateway);
	put(&s->ip_address, ep->ip);
	s->ip_prefix_len = ep->prefix_len;
	put(&s->mac_address, ep->mac);
}

static __typeof__(((struct docker_network_settings *)NULL)->ports.v) port_entry(struct docker_network_settings *s,
										const char *key)
{
	__typeof__(s->ports.v) row;

	for (size_t i = 0; i < s->ports.n; i++)
		if (streq(s->ports.v[i].key, key))
			return &s->ports.v[i];
	row = VEC_ADD(&s->ports);
	row->key = xstrdup(key);
	return row;
}

static void fill_network(const struct container_record *rec, struct docker_network_settings *s)
{
	const struct net_endpoint *ep = shown_endpoint(rec), *bridge = shown_endpoint_on(rec, "bridge");

	for (size_t i = 0; ep && i < rec->config.exposed_ports.n; i++)
		(void)port_entry(s, rec->config.exposed_ports.v[i]);
	for (size_t i = 0; ep && i < ep->ports.n; i++) {
		AUTO_FREE char *key = xasprintf("%lld/%s", (long long)ep->ports.v[i].port, ep->ports.v[i].proto);
		__typeof__(s->ports.v) row = port_entry(s, key);
		__typeof__(row->val.list.v) b = VEC_ADD(&row->val.list);

		b->host_ip = xstrdup(ep->ports.v[i].host_ip);
		b->host_port = xasprintf("%lld", (long long)ep->ports.v[i].host_port);
	}
	if (rec->state.running && !str_after(rec->host.network_mode, "container:")) {
		s->sandbox_id = xstrdup(rec->sandbox_id);
		s->sandbox_key = rec->state.pid ? xasprintf("/proc/%lld/ns/net", (long long)rec->state.pid)
						: xstrdup("");
	}
	if (bridge) {
		s->endpoint_id = xstrdup(bridge->id);
		s->gateway = xstrdup(bridge->gateway);
		s->ip_address = xstrdup(bridge->ip);
		s->ip_prefix_len = bridge->prefix_len;
		s->mac_address = xstrdup(bridge->mac);
	}
	for (size_t i = 0; i < rec->networking.endpoints_config.n; i++) {
		__typeof__(s->networks.v) row = VEC_ADD(&s->networks);

		row->key = xstrdup(rec->networking.endpoints_config.v[i].key);
		json_copy(&docker_endpoint_settings_type, &row->val, &rec->networking.endpoints_config.v[i].val);
		if (str_empty(row->val.mac_address) && streq(row->key, rec->host.network_mode))
			put(&row->val.mac_address, rec->config.mac_address);
		if (!bridge && streq(row->key, "bridge")) {
			free(s->mac_address);
			s->mac_address = xstrdup(row->val.mac_address);
		}
		fill_endpoint(rec, row->key, (struct docker_endpoint_settings *)&row->val);
	}
}

static void fill_state(const struct container_record *rec, struct docker_container_state *s)
{
	s->status = xstrdup(container_status(rec));
	s->running = rec->state.running;
	s->paused = rec->state.paused;
	s->restarting = rec->state.restarting;
	s->oom_killed = rec->state.oom_killed;
	s->dead = rec->state.dead;
	s->pid = rec->state.pid;
	s->exit_code = rec->state.exit_code;
	s->error = xstrdup(rec->state.error);
	s->started_at = time_text(rec->state.started_ns);
	s->finished_at = time_text(rec->state.finished_ns);
}

static void fill_paths(struct container *c, struct docker_container_inspect *r)
{
	AUTO_FREE char *own = xasprintf("%s/docker/containers/%s", c->en->config.data_root, c->id);
	AUTO_FREE char *folder = xasprintf("%s/docker/containers/%s", c->en->config.data_root,
					   container_files_id(&c->rec));

	if (!c->rec.files_made && !c->rec.state.started_ns) {
		r->resolv_conf_path = xstrdup("");
		r->hostname_path = xstrdup("");
		r->hosts_path = xstrdup("");
		r->log_path = xstrdup("");
		return;
	}
	r->resolv_conf_path = xasprintf("%s/resolv.conf", folder);
	r->hostname_path = xasprintf("%s/hostname", folder);
	r->hosts_path = xasprintf("%s/hosts", folder);
	r->log_path = streq(c->rec.host.log_config.type, "none") ? xstrdup("")
								 : xasprintf("%s/%s-json.log", own, c->id);
}

int container_inspect(struct engine *en, const char *ref, bool size, struct docker_container_inspect *r, struct err *e)
{
	AUTO_CONTAINER struct container *c = NULL;
	AUTO_FREE char *rw = NULL;
	const struct container_record *rec;
	int k = container_find(en, ref, &c, e);

	if (k < 0)
		return k;
	container_exec_ids(c, &r->exec_ids);
	pthread_mutex_lock(&c->lock);
	rec = &c->rec;
	r->id = xstrdup(rec->id);
	r->created = time_text(rec->created_ns);
	r->path = xstrdup(rec->path);
	strv_copy(&r->args, &rec->args);
	fill_state(rec, (struct docker_container_state *)&r->state);
	r->image = xstrdup(rec->image);
	fill_paths(c, r);
	r->name = xasprintf("/%s", rec->name);
	r->restart_count = rec->restarts;
	r->driver = xstrdup(store_driver(en->store));
	r->platform = xstrdup("linux");
	json_copy(&docker_host_config_type, &r->host_config, &rec->host);
	if (r->host_config.console_size.n != 2) {
		free(r->host_config.console_size.v);
		r->host_config.console_size.v = xcalloc(2, sizeof(int64_t));
		r->host_config.console_size.n = 2;
	}
	for (size_t i = 0; i < rec->mounts.n; i++)
		if (!streq(rec->mounts.v[i].type, "tmpfs") || rec->host.mounts.n)
			fill_mount_point((const struct container_mount *)&rec->mounts.v[i],
					 (struct docker_mount_point *)VEC_ADD(&r->mounts));
	json_copy(&docker_config_type, &r->config, &rec->config);
	fill_network(rec, (struct docker_network_settings *)&r->network_settings);
	rw = xstrdup(rec->rw_layer);
	pthread_mutex_unlock(&c->lock);
	r->graph_driver.name = xstrdup(store_driver(en->store));
	if (!store_whole_trees(en->store))
		strmap_set(&r->graph_driver.data, "ID", c->id);
	k = store_graph_data(en->store, rw, NULL, &r->graph_driver.data, e);
	if (k == 0 && size) {
		int64_t n = 0;

		k = store_rw_size(en->store, rw, &n, e);
		r->size_rw = (struct json_oint){ true, n };
		r->size_root_fs = (struct json_oint){ true, n + store_chain_size(en->store, c->rec.top) };
	}
	return k;
}
