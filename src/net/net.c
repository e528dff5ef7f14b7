/* net.c - the module's life: configuration, the three networks, bringing the bridge up, status. */
#include "net/internal.h"

#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <linux/netfilter.h>
#include <linux/netlink.h>

JSON_TYPE(net_network, NET_NETWORK_FIELDS)
JSON_TYPE(net_port, NET_PORT_FIELDS)
JSON_TYPE(net_endpoint, NET_ENDPOINT_FIELDS)

int net_firewall_parse(const char *s, enum net_firewall *ret, struct err *e)
{
	if (streq(s, "none"))
		*ret = NET_FIREWALL_NONE;
	else if (streq(s, "docker-user"))
		*ret = NET_FIREWALL_DOCKER_USER;
	else
		return err_set(e, ERR_INVALID, "invalid firewall integration \"%s\": it is docker-user or none",
			       s ? s : "");
	return 0;
}

void net_networks_done(struct net_networks *v)
{
	for (size_t i = 0; i < v->n; i++)
		net_network_done(&v->v[i]);
	free(v->v);
	*v = (struct net_networks){ 0 };
}

void net_endpoints_done(struct net_endpoints *v)
{
	for (size_t i = 0; i < v->n; i++)
		net_endpoint_done(&v->v[i]);
	free(v->v);
	*v = (struct net_endpoints){ 0 };
}

void net_status_done(struct net_status *s)
{
	free(TAKE_PTR(s->blocker));
}

/* ---- opening ---- */

/* FNV-1a: a short name that follows from the instance */
static uint32_t hash_of(const char *s)
{
	uint32_t h = 2166136261u;

	for (; *s; s++)
		h = (h ^ (uint8_t)*s) * 16777619u;
	return h;
}

static int check_config(const struct net_config *c, struct err *e)
{
	struct ip4_net net;
	struct in6_addr ip6;
	uint32_t ip;

	if (c->bridge &&
	    (!*c->bridge || strlen(c->bridge) >= IFNAMSIZ || strpbrk(c->bridge, "/ \t\n:") || *c->bridge == '.'))
		return err_set(e, ERR_INVALID, "invalid bridge name \"%s\"", c->bridge);
	if (c->bip) {
		if (!ip4_net_parse(c->bip, &net, &ip))
			return err_set(e, ERR_INVALID,
				       "invalid --bip \"%s\": it is to be ADDRESS/BITS, as 192.168.5.1/24", c->bip);
		if (net.len < 8 || net.len > 30 || ip == net.ip || ip == (net.ip | ~ip4_mask(net.len)))
			return err_set(e, ERR_INVALID,
				       "invalid --bip \"%s\": no address of a host in a network of 8 to 30 bits",
				       c->bip);
	}
	if (!str_empty(c->default_ip) && !ip4_parse(c->default_ip, &ip) &&
	    inet_pton(AF_INET6, c->default_ip, &ip6) != 1)
		return err_set(e, ERR_INVALID, "invalid --ip \"%s\": not an address", c->default_ip);
	if (c->mtu != 0 && (c->mtu < 68 || c->mtu > 65535))
		return err_set(e, ERR_INVALID, "invalid --mtu %d: it is between 68 and 65535", c->mtu);
	for (size_t i = 0; i < c->pools.n; i++) {
		struct pool p;
		int r = pool_parse(c->pools.v[i], &p, e);

		if (r < 0)
			return r;
	}
	return 0;
}

static void take_config(struct net *n, const struct net_config *c)
{
	bool other = !str_empty(c->instance);

	snprintf(n->table, sizeof n->table, other ? "hoy-%08x" : "hoy", other ? hash_of(c->instance) : 0);
	if (c->bridge)
		snprintf(n->bridge, sizeof n->bridge, "%s", c->bridge);
	else
		snprintf(n->bridge, sizeof n->bridge, "%.14s%s", n->table, other ? "" : "0");
	n->no_bridge = streq(c->bridge, "none");
	n->own_bridge = !c->bridge;
	n->bip = xstrdup(c->bip);
	n->default_ip = xstrdup(c->default_ip);
	strv_copy(&n->pools, &c->pools);
	for (size_t i = 0; default_pools[i] && !c->pools.n; i++)
		strv_add(&n->pools, default_pools[i]);
	n->mtu = c->mtu ? (uint32_t)c->mtu : 1500;
	n->icc_off = c->icc_off;
	n->ip_forward_off = c->ip_forward_off;
	n->ip_masq_off = c->ip_masq_off;
	n->firewall_off = c->firewall_off;
	n->integration = c->integration;
}

int network_save(struct net *n, const struct network *w, struct err *e)
{
	AUTO_STRB struct strb text = STRB_INIT;

	if (!n->store.save)
		return 0;
	json_write(&net_network_type, &w->rec, JSON_LATEST, &text);
	return n->store.save(n->store.ctx, w->rec.id, strb_str(&text), text.len, e);
}

static int load_one(void *arg, const char *json, size_t len, struct err *e)
{
	struct net *n = arg;
	struct net_network rec = { 0 };
	struct network *w;
	int r = json_read(&net_network_type, json, len, NULL, &rec, e);

	if (r < 0)
		return err_wrap(e, r, "reading a stored network");
	if (str_empty(rec.name) || !rec.id || strlen(rec.id) != 64) {
		net_network_done(&rec);
		return err_set(e, ERR_SYSTEM, "a stored network has no name or no valid id");
	}
	w = VEC_ADD(&n->networks);
	w->rec = rec;
	network_settings(n, w);
	return 0;
}

static void bridge_options(const struct net *n, struct strmap *options)
{
	char mtu[12];

	snprintf(mtu, sizeof mtu, "%u", n->mtu);
	strmap_set(options, "com.docker.network.bridge.default_bridge", "true");
	strmap_set(options, "com.docker.network.bridge.enable_icc", n->icc_off ? "false" : "true");
	strmap_set(options, "com.docker.network.bridge.enable_ip_masquerade", n->ip_masq_off ? "false" : "true");
	strmap_set(options, "com.docker.network.bridge.host_binding_ipv4",
		   str_empty(n->default_ip) ? "0.0.0.0" : n->default_ip);
	strmap_set(options, "com.docker.network.bridge.name", n->bridge);
	strmap_set(options, "com.docker.network.driver.mtu", mtu);
}

/* Docker's own three. The bridge's options follow today's configuration, whatever was stored. */
static int default_network(struct net *n, const char *name, const char *driver, struct err *e)
{
	struct network *w = NULL;
	bool is_new;

	for (size_t i = 0; i < n->networks.n; i++)
		if (streq(n->networks.v[i].rec.name, name))
			w = &n->networks.v[i];
	is_new = !w;
	if (is_new) {
		char id[65], created[TIME_TEXT_MAX];

		id_new(id);
		time_format(time_now_ns(), created);
		w = VEC_ADD(&n->networks);
		w->rec = (struct net_network){ .name = xstrdup(name),
					       .id = xstrdup(id),
					       .created = xstrdup(created),
					       .driver = xstrdup(driver),
					       .scope = xstrdup("local") };
	}
	if (streq(driver, "bridge")) {
		bridge_options(n, &w->rec.options);
		free(w->rec.bridge);
		w->rec.bridge = xstrdup(n->bridge);
	}
	network_settings(n, w);
	return is_new ? network_save(n, w, e) : 0;
}

int net_open(const struct net_config *c, const struct net_store *store, struct net **ret, struct err *e)
{
	struct net *n;
	int r = check_config(c, e);

	if (r < 0)
		return r;
	n = xcalloc(1, sizeof *n);
	pthread_mutex_init(&n->admin, NULL);
	pthread_mutex_init(&n->lock, NULL);
	pthread_mutex_init(&n->io_lock, NULL);
	n->rt_fd = n->nft_fd = -1;
	take_config(n, c);
	if (store)
		n->store = *store;
	n->rt_fd = nl_open(NETLINK_ROUTE);
	if (!n->firewall_off && n->rt_fd >= 0)
		n->nft_fd = nl_open(NETLINK_NETFILTER);
	if (n->rt_fd < 0 || (!n->firewall_off && n->nft_fd < 0))
		r = err_sys(e, MIN(n->rt_fd, n->nft_fd), "opening netlink sockets");
	if (r >= 0 && n->store.load)
		r = n->store.load(n->store.ctx, load_one, n, e);
	if (r >= 0 && !n->no_bridge)
		r = default_network(n, "bridge", "bridge", e);
	if (r >= 0)
		r = default_network(n, "host", "host", e);
	if (r >= 0)
		r = default_network(n, "none", "null", e);
	if (r < 0) {
		net_close(n);
		return r;
	}
	*ret = n;
	return 0;
}

void net_close(struct net *n)
{
	if (!n)
		return;
	for (size_t i = 0; i < n->networks.n; i++) {
		net_network_done(&n->networks.v[i].rec);
		ip4_set_done(&n->networks.v[i].used);
	}
	free(n->networks.v);
	net_endpoints_done(&n->endpoints);
	free(n->claims.v);
	fd_closep(&n->rt_fd);
	fd_closep(&n->nft_fd);
	free(n->bip);
	free(n->default_ip);
	strv_done(&n->pools);
	pthread_mutex_destroy(&n->admin);
	pthread_mutex_destroy(&n->lock);
	pthread_mutex_destroy(&n->io_lock);
	free(n);
}

/* ---- finding ---- */
struct network *network_by_id(struct net *n, const char *id)
{
	for (size_t i = 0; i < n->networks.n; i++)
		if (streq(n->networks.v[i].rec.id, id))
			return &n->networks.v[i];
	return NULL;
}

struct network *network_find(struct net *n, const char *name)
{
	struct network *found = network_by_id(n, name);

	for (size_t i = 0; i < n->networks.n && !found; i++)
		if (streq(n->networks.v[i].rec.name, name))
			found = &n->networks.v[i];
	if (found || str_empty(name))
		return found;
	for (size_t i = 0; i < n->networks.n; i++)
		if (str_after(n->networks.v[i].rec.id, name)) {
			if (found)
				return NULL;
			found = &n->networks.v[i];
		}
	return found;
}

int net_list(struct net *n, struct net_networks *ret)
{
	struct net_networks v = { 0 };

	pthread_mutex_lock(&n->lock);
	for (size_t i = 0; i < n->networks.n; i++)
		json_copy(&net_network_type, VEC_ADD(&v), &n->networks.v[i].rec);
	pthread_mutex_unlock(&n->lock);
	*ret = v;
	return 0;
}

int net_get(struct net *n, const char *name_or_id, struct net_network *ret, struct err *e)
{
	struct net_network copy = { 0 };
	struct network *w;

	pthread_mutex_lock(&n->lock);
	w = network_find(n, name_or_id);
	if (w)
		json_copy(&net_network_type, &copy, &w->rec);
	pthread_mutex_unlock(&n->lock);
	if (!w)
		return err_set(e, ERR_NOT_FOUND, "network %s not found", name_or_id ? name_or_id : "");
	*ret = copy;
	return 0;
}

int net_network_endpoints(struct net *n, const char *network_id, struct net_endpoints *ret)
{
	struct net_endpoints v = { 0 };

	pthread_mutex_lock(&n->lock);
	for (size_t i = 0; i < n->endpoints.n; i++)
		if (streq(n->endpoints.v[i].network_id, network_id))
			json_copy(&net_endpoint_type, VEC_ADD(&v), &n->endpoints.v[i]);
	pthread_mutex_unlock(&n->lock);
	*ret = v;
	return 0;
}

/* ---- starting ---- */
/* --bip, else what the link already has, else what it had before, else the first pool that nothing on this host uses */
static int plan_bridge(struct net *n, const struct network *w, uint32_t ifindex, struct bridge_plan *ret, struct err *e)
{
	AUTO_FREE struct ip4_net *taken = NULL;
	AUTO_SUBNETS struct rtnl_subnets known = { 0 };
	struct bridge_plan p = { 0 };
	size_t n_taken = 0;
	int r;

	if (n->bip) {
		ip4_net_parse(n->bip, &p.net, &p.gateway);
		*ret = p;
		return 0;
	}
	r = rtnl_subnets_get(n->rt_fd, &known, e);
	if (r < 0)
		return r;
	taken = xcalloc(known.n + 1, sizeof *taken);
	for (size_t i = 0; i < known.n; i++) {
		uint32_t ip = ntohl(known.v[i].ip4);

		if (ifindex && known.v[i].ifindex == ifindex && known.v[i].is_addr && !p.gateway &&
		    known.v[i].prefix_len <= 30 && known.v[i].prefix_len >= 8)
			p = (struct bridge_plan){ { ip & ip4_mask(known.v[i].prefix_len), known.v[i].prefix_len }, ip };
		else if (!ifindex || known.v[i].ifindex != ifindex)
			taken[n_taken++] = (struct ip4_net){ ip & ip4_mask(known.v[i].prefix_len),
							     known.v[i].prefix_len };
	}
	if (!p.gateway && w->rec.subnet && ip4_net_parse(w->rec.subnet, &p.net, NULL) &&
	    ip4_parse(w->rec.gateway, &p.gateway)) {
		for (size_t i = 0; i < n_taken; i++)
			if (ip4_overlap(p.net, taken[i]))
				p.gateway = 0;
	}
	if (!p.gateway) {
		if (!pool_choose(&n->pools, taken, n_taken, &p.net))
			return err_set(e, ERR_SYSTEM,
				       "all predefined address pools have been fully subnetted: every one overlaps a "
				       "network that this host knows; choose one with --bip");
		p.gateway = p.net.ip + 1;
	}
	*ret = p;
	return 0;
}

/* A bridge of our own, kept from an earlier start: today's configuration counts. One that the user made (--bridge) is left alone. */
static int renew_bridge(struct net *n, const struct rtnl_info *link, const struct bridge_plan *p, uint32_t mtu,
			struct err *e)
{
	AUTO_NL struct nl_batch b = NL_BATCH_INIT;
	AUTO_SUBNETS struct rtnl_subnets known = { 0 };
	int r = rtnl_subnets_get(n->rt_fd, &known, e);

	if (r < 0)
		return r;
	for (size_t i = 0; i < known.n; i++) {
		const struct rtnl_subnet *a = &known.v[i];

		if (a->is_addr && a->ifindex == link->index &&
		    (ntohl(a->ip4) != p->gateway || a->prefix_len != p->net.len))
			rtnl_addr_del(&b, "removing the bridge's former address", link->index, a->ip4, a->prefix_len);
	}
	if (link->mtu != mtu)
		rtnl_link_mtu(&b, "setting the bridge's mtu", (struct rtnl_link){ .index = link->index }, mtu);
	return nl_run(&b, n->rt_fd, e);
}

int network_bridge(struct net *n, struct network *w, const struct bridge_plan *p, struct err *e)
{
	AUTO_NL struct nl_batch b = NL_BATCH_INIT;
	struct rtnl_info link = { 0 };
	uint8_t mac[6] = { 0x02, 0x42 };
	bool ours = streq(w->rec.bridge, n->bridge) ? n->own_bridge : !w->rec.foreign_link;
	int r;

	pthread_mutex_lock(&n->io_lock);
	r = rtnl_link_get(n->rt_fd, w->rec.bridge, &link, e);
	if (r == -ENODEV) {
		r = random_bytes(mac + 2, 4);
		if (r < 0)
			r = err_sys(e, r, "making up the bridge's MAC address");
		if (r >= 0) {
			rtnl_bridge_add(&b, "creating the bridge", w->rec.bridge, mac, w->mtu);
			rtnl_link_no_ipv6(&b, "setting up the bridge", (struct rtnl_link){ .name = w->rec.bridge });
			r = nl_run(&b, n->rt_fd, e);
		}
		if (r >= 0)
			r = rtnl_link_get(n->rt_fd, w->rec.bridge, &link, e);
	} else if (r >= 0 && !streq(link.kind, "bridge")) {
		r = err_set(e, ERR_INVALID, "%s is there already and is not a bridge", w->rec.bridge);
	} else if (r >= 0 && ours) {
		r = renew_bridge(n, &link, p, w->mtu, e);
	}
	if (r >= 0) {
		rtnl_addr_add(&b, "giving the bridge its address", link.index, htonl(p->gateway), p->net.len);
		rtnl_link_up(&b, "setting the bridge up", (struct rtnl_link){ .index = link.index }, true);
		r = nl_run(&b, n->rt_fd, e);
	}
	pthread_mutex_unlock(&n->io_lock);
	if (r < 0)
		return r;
	w->ifindex = link.index;
	w->gateway = p->gateway;
	ip4_set_done(&w->used);
	ip4_set_init(&w->used, p->net);
	(void)ip4_set_take(&w->used, p->gateway);
	if (!str_empty(w->rec.ip_range) && ip4_net_parse(w->rec.ip_range, &w->range, NULL))
		;
	else
		w->range = p->net;
	for (size_t i = 0; i < w->rec.aux.n; i++) {
		uint32_t ip;

		if (ip4_parse(w->rec.aux.v[i].v, &ip))
			(void)ip4_set_take(&w->used, ip);
	}
	return 0;
}

static int default_bridge(struct net *n, struct network *w, struct err *e)
{
	char subnet[IP4_TEXT_MAX + 4], gateway[IP4_TEXT_MAX];
	struct rtnl_info link = { 0 };
	struct bridge_plan p = { 0 };
	int r = rtnl_link_get(n->rt_fd, n->bridge, &link, e);

	if (r < 0 && r != -ENODEV)
		return r;
	if (r == 0 && !streq(link.kind, "bridge"))
		return err_set(e, ERR_INVALID, "%s is there already and is not a bridge", n->bridge);
	r = plan_bridge(n, w, link.index, &p, e);
	if (r >= 0)
		r = network_bridge(n, w, &p, e);
	if (r < 0)
		return r;
	ip4_net_text(p.net, subnet);
	ip4_text(p.gateway, gateway);
	if (streq(w->rec.subnet, subnet) && streq(w->rec.gateway, gateway))
		return 0;
	free(w->rec.subnet);
	free(w->rec.gateway);
	w->rec.subnet = xstrdup(subnet);
	w->rec.gateway = xstrdup(gateway);
	return network_save(n, w, e);
}

static int allow_forwarding(struct net *n, struct err *e)
{
	static const char path[] = "/proc/sys/net/ipv4/ip_forward";
	AUTO_FREE char *text = NULL;
	int r;

	if (n->ip_forward_off)
		return 0;
	r = file_read(AT_FDCWD, path, 16, &text, NULL);
	if (r >= 0 && *text == '1')
		return 0;
	if (r >= 0)
		r = file_put(AT_FDCWD, path, "1");
	if (r < 0)
		return err_sys(e, r, "switching %s on (or start with --ip-forward=false)", path);
	n->set_ip_forward = true;
	return 0;
}

int net_start(struct net *n, const struct net_endpoint *running, size_t n_running, struct err *e)
{
	int r = allow_forwarding(n, e);

	for (size_t i = 0; i < n->networks.n && r >= 0; i++)
		if (streq(n->networks.v[i].rec.name, "bridge"))
			r = default_bridge(n, &n->networks.v[i], e);
		else if (streq(n->networks.v[i].rec.driver, "bridge"))
			r = network_restore(n, &n->networks.v[i], e);
	if (r < 0)
		return r;
	pthread_mutex_lock(&n->lock);
	for (size_t i = 0; i < n_running; i++)
		if (!endpoint_find(n, running[i].id)) {
			json_copy(&net_endpoint_type, VEC_ADD(&n->endpoints), &running[i]);
			claims_restore(n, &running[i]);
		}
	for (size_t i = 0; i < n->endpoints.n; i++) {
		struct network *w = network_by_id(n, n->endpoints.v[i].network_id);
		uint32_t ip;

		if (w && ip4_parse(n->endpoints.v[i].ip, &ip))
			(void)ip4_set_take(&w->used, ip);
	}
	pthread_mutex_unlock(&n->lock);
	if (n->firewall_off)
		return 0;
	r = firewall_replace(n, e);
	return r < 0 ? r : firewall_integrate(n, e);
}

int net_purge(struct net *n, struct err *e)
{
	AUTO_NL struct nl_batch b = NL_BATCH_INIT;
	struct rtnl_info link;
	int r = 0;

	if (!n->firewall_off) {
		firewall_disintegrate(n);
		nft_begin(&b);
		nft_table_add(&b, "removing the firewall table", NFPROTO_IPV4, n->table);
		nft_table_del(&b, "removing the firewall table", NFPROTO_IPV4, n->table);
		pthread_mutex_lock(&n->io_lock);
		r = nl_run(&b, n->nft_fd, e);
		pthread_mutex_unlock(&n->io_lock);
	}
	pthread_mutex_lock(&n->io_lock);
	for (size_t i = 0; i < n->networks.n && r >= 0; i++) {
		const struct network *w = &n->networks.v[i];

		if (!streq(w->rec.driver, "bridge") || w->rec.foreign_link ||
		    rtnl_link_get(n->rt_fd, w->rec.bridge, &link, NULL) != 0)
			continue;
		rtnl_link_del(&b, "removing the bridge", (struct rtnl_link){ .index = link.index });
		r = nl_run(&b, n->rt_fd, e);
	}
	pthread_mutex_unlock(&n->io_lock);
	return r;
}

int net_status(struct net *n, struct net_status *ret, struct err *e)
{
	struct net_status s = { 0 };
	int r = n->firewall_off ? 0 : firewall_blocker(n, &s.blocker, &s.passed, e);

	if (r < 0)
		return r;
	snprintf(s.bridge, sizeof s.bridge, "%s", n->bridge);
	snprintf(s.table, sizeof s.table, "%s", n->table);
	pthread_mutex_lock(&n->io_lock);
	s.set_ip_forward = n->set_ip_forward;
	s.set_route_localnet = n->set_route_localnet;
	pthread_mutex_unlock(&n->io_lock);
	*ret = s;
	return 0;
}
