/* endpoint.c - one container's place in a network: address, veth, port rules, and the way back. */
#include "net/internal.h"

#include <fcntl.h>

#define LINK_INSIDE "eth0"

struct net_endpoint *endpoint_find(struct net *n, const char *id)
{
	for (size_t i = 0; i < n->endpoints.n; i++)
		if (streq(n->endpoints.v[i].id, id))
			return &n->endpoints.v[i];
	return NULL;
}

/* lock held. Docker's words, where it has some */
static int take_address(struct network *w, const char *wanted, uint32_t *ret, struct err *e)
{
	uint32_t ip;

	if (str_empty(wanted)) {
		if (!ip4_set_take_lowest(&w->used, w->range, ret))
			return err_set(e, ERR_SYSTEM,
				       "no available IPv4 addresses on this network's address pools: %s (%s)",
				       w->rec.name, w->rec.id);
		return 0;
	}
	if (!ip4_parse(wanted, &ip))
		return err_set(e, ERR_INVALID, "invalid IPv4 address: %s", wanted);
	if (!ip4_in(w->used.net, ip))
		return err_set(e, ERR_INVALID, "no configured subnet contains IP address %s", wanted);
	if (!ip4_set_take(&w->used, ip))
		return err_set(e, ERR_SYSTEM, "Address already in use");
	*ret = ip;
	return 0;
}

/* Made of the address, as Docker's was up to 27: an address that is given out again keeps its MAC, so that neighbours need no
 * announcement (Docker 28 chooses at random and announces). */
static void mac_of(uint32_t ip, uint8_t ret[6])
{
	const uint8_t mac[6] = {
		0x02, 0x42, (uint8_t)(ip >> 24), (uint8_t)(ip >> 16), (uint8_t)(ip >> 8), (uint8_t)ip
	};

	memcpy(ret, mac, 6);
}

static int prepare_bridge(struct network *w, const struct net_endpoint_req *req, struct net_endpoint *ep, struct err *e)
{
	char ip_text[IP4_TEXT_MAX], mac[18];
	uint8_t bytes[6];
	uint32_t ip = 0;
	int r;

	if (!w->used.bits)
		return err_set(e, ERR_UNAVAILABLE, "network %s is not up", w->rec.name);
	if (!str_empty(req->mac) && (!mac_parse(req->mac, bytes) || bytes[0] & 1))
		return err_set(e, ERR_INVALID, "invalid MAC address: %s", req->mac);
	r = take_address(w, req->ip, &ip, e);
	if (r < 0)
		return r;
	if (str_empty(req->mac))
		mac_of(ip, bytes);
	ip4_text(ip, ip_text);
	mac_text(bytes, mac);
	ep->ip = xstrdup(ip_text);
	ep->prefix_len = w->used.net.len;
	ep->gateway = xstrdup(w->rec.internal ? "" : w->rec.gateway);
	ep->mac = xstrdup(mac);
	ep->ifname = xstrdup(req->ifname ? req->ifname : LINK_INSIDE);
	ep->host_ifname = xasprintf("veth%.7s", ep->id);
	return 0;
}

int net_endpoint_prepare(struct net *n, const struct net_endpoint_req *req, struct net_endpoint *ret, struct err *e)
{
	struct net_endpoint ep = { 0 };
	const char *name = streq(req->network, "default") ? (n->no_bridge ? "none" : "bridge") : req->network;
	struct network *w;
	char id[65];
	int r = 0;

	id_new(id);
	pthread_mutex_lock(&n->lock);
	w = network_find(n, name);
	if (!w) {
		pthread_mutex_unlock(&n->lock);
		return err_set(e, ERR_NOT_FOUND, "network %s not found", req->network ? req->network : "");
	}
	ep.id = xstrdup(id);
	ep.network_id = xstrdup(w->rec.id);
	ep.network = xstrdup(w->rec.name);
	ep.container_id = xstrdup(req->container_id);
	ep.name = xstrdup(req->container_name);
	if (req->names)
		strv_copy(&ep.names, req->names);
	if (streq(w->rec.driver, "bridge"))
		r = prepare_bridge(w, req, &ep, e);
	else if (!str_empty(req->ip))
		r = err_set(e, ERR_INVALID, "user specified IP address is supported on user defined networks only");
	if (r >= 0)
		json_copy(&net_endpoint_type, VEC_ADD(&n->endpoints), &ep);
	pthread_mutex_unlock(&n->lock);
	if (r < 0) {
		net_endpoint_done(&ep);
		return r;
	}
	*ret = ep;
	return 0;
}

void net_endpoint_rename(struct net *n, const char *endpoint_id, const char *container_name, const struct strv *names)
{
	struct net_endpoint *ep;

	pthread_mutex_lock(&n->lock);
	ep = endpoint_find(n, endpoint_id);
	if (ep) {
		free(ep->name);
		ep->name = xstrdup(container_name);
		strv_done(&ep->names);
		strv_copy(&ep->names, names);
	}
	pthread_mutex_unlock(&n->lock);
}

/* ---- attaching ---- */
static int lo_up(int rt_fd, struct err *e)
{
	AUTO_NL struct nl_batch b = NL_BATCH_INIT;

	rtnl_link_up(&b, "setting lo up in the container", (struct rtnl_link){ .name = "lo" }, true);
	return nl_run(&b, rt_fd, e);
}

/* Where bridged packets pass through the IPv4 hooks (br_netfilter), a container that reaches itself by a published port is sent
 * back to the port it came from, which a bridge does only in hairpin mode. Otherwise the mode does only harm: echoes. */
static bool needs_hairpin(const struct net_endpoint *ep)
{
	AUTO_FREE char *text = NULL;

	return ep->ports.n &&
	       file_read(AT_FDCWD, "/proc/sys/net/bridge/bridge-nf-call-iptables", 16, &text, NULL) >= 0 &&
	       *text == '1';
}

static int host_side(struct net *n, const struct net_endpoint *ep, const struct network *w, int netns_fd, struct err *e)
{
	AUTO_NL struct nl_batch b = NL_BATCH_INIT;
	struct rtnl_link link = { .name = ep->host_ifname };
	unsigned flags = (w->icc_off ? RTNL_PORT_ISOLATED : 0u) | (needs_hairpin(ep) ? RTNL_PORT_HAIRPIN : 0u);
	uint8_t mac[6];
	int r;

	if (!mac_parse(ep->mac, mac))
		return err_set(e, ERR_INVALID, "invalid MAC address: %s", ep->mac ? ep->mac : "");
	rtnl_veth_add(&b, "creating the veth pair",
		      &(struct rtnl_veth){ .name = ep->host_ifname,
					   .peer_name = ep->ifname,
					   .peer_mac = mac,
					   .peer_ns_fd = netns_fd,
					   .master = w->ifindex,
					   .mtu = w->mtu });
	rtnl_link_no_ipv6(&b, "setting up the host's end of the veth", link);
	if (flags)
		rtnl_port_flags_set(&b, "setting flags of the bridge port", link, flags);
	rtnl_link_up(&b, "setting the host's end of the veth up", link, true);
	pthread_mutex_lock(&n->io_lock);
	r = nl_run(&b, n->rt_fd, e);
	pthread_mutex_unlock(&n->io_lock);
	return r;
}

static int container_side(const struct net_endpoint *ep, int rt_fd, struct err *e)
{
	AUTO_NL struct nl_batch b = NL_BATCH_INIT;
	struct rtnl_info info;
	struct rtnl_link link;
	uint32_t ip, gateway = 0;
	int r = rtnl_link_get(rt_fd, ep->ifname, &info, e);

	if (r < 0)
		return r == -ENODEV ? err_sys(e, r, "looking for %s in the container", ep->ifname) : r;
	if (!ip4_parse(ep->ip, &ip) || (ep->default_route && !ip4_parse(ep->gateway, &gateway)))
		return err_set(e, ERR_INVALID, "endpoint %s has no valid address", ep->id);
	link = (struct rtnl_link){ .index = info.index };
	rtnl_link_up(&b, "setting lo up in the container", (struct rtnl_link){ .name = "lo" }, true);
	rtnl_link_no_ipv6(&b, "setting up the link in the container", link);
	rtnl_addr_add(&b, "adding the address in the container", info.index, htonl(ip), (int)ep->prefix_len);
	rtnl_link_up(&b, "setting the link up in the container", link, true);
	if (ep->default_route)
		rtnl_route_default_add(&b, "adding the default route in the container", info.index, htonl(gateway));
	return nl_run(&b, rt_fd, e);
}

/* A bridge port forwards only when the kernel's link watcher, a worker of its own, has seen both ends up; until then the container's
 * first packets vanish, and a lost ARP request costs a second. Asking for the link makes the watcher run at once since linux 6.8;
 * before, it comes within milliseconds by itself. */
static void wait_forwarding(struct net *n, const struct net_endpoint *ep)
{
	const struct timespec pause = { .tv_nsec = 500 * 1000 };

	for (int i = 0; i < 100; i++) {
		struct rtnl_info link = { 0 };
		int r;

		pthread_mutex_lock(&n->io_lock);
		r = rtnl_link_get(n->rt_fd, ep->host_ifname, &link, NULL);
		pthread_mutex_unlock(&n->io_lock);
		if (r < 0 || link.running)
			return;
		nanosleep(&pause, NULL);
	}
}

int net_endpoint_attach(struct net *n, const struct net_endpoint *ep, int netns_fd, int rt_fd, int nf_fd, struct err *e)
{
	struct network *w, own = { 0 }; /* own: lent plain values */
	struct net_endpoint *known;
	bool is_bridge, is_host;
	int r;

	(void)nf_fd; /* for the rules of name resolution inside */
	pthread_mutex_lock(&n->lock);
	w = network_by_id(n, ep->network_id);
	is_bridge = w && streq(w->rec.driver, "bridge");
	is_host = w && streq(w->rec.driver, "host");
	if (w)
		own = (struct network){ .ifindex = w->ifindex, .mtu = w->mtu, .icc_off = w->icc_off };
	known = endpoint_find(n, ep->id);
	if (known) { /* ports were added since it was prepared */
		json_done(&net_endpoint_type, known);
		json_copy(&net_endpoint_type, known, ep);
	}
	pthread_mutex_unlock(&n->lock);
	if (!w)
		return err_set(e, ERR_NOT_FOUND, "network %s not found", ep->network_id ? ep->network_id : "");
	if (is_host)
		return 0;
	if (!is_bridge)
		return lo_up(rt_fd, e);
	r = host_side(n, ep, &own, netns_fd, e);
	if (r >= 0)
		r = container_side(ep, rt_fd, e);
	if (r >= 0 && !n->firewall_off)
		r = firewall_ports_add(n, ep, e);
	if (r >= 0)
		wait_forwarding(n, ep);
	return r;
}

int net_endpoint_route(struct net *n, const char *container_id, const struct net_endpoint *ep, int rt_fd, struct err *e)
{
	AUTO_NL struct nl_batch b = NL_BATCH_INIT;
	struct rtnl_info info = { 0 };
	uint32_t gateway = 0;
	int r = 0;

	pthread_mutex_lock(&n->lock);
	for (size_t i = 0; i < n->endpoints.n; i++)
		if (streq(n->endpoints.v[i].container_id, container_id))
			n->endpoints.v[i].default_route = ep && streq(n->endpoints.v[i].id, ep->id);
	pthread_mutex_unlock(&n->lock);
	if (!ep) { /* one that led over a link that is gone went with it */
		rtnl_route_default_del(&b, "removing the default route in the container");
		r = nl_run(&b, rt_fd, e);
		return r == -ESRCH ? 0 : r;
	}
	if (!ip4_parse(ep->gateway, &gateway))
		return err_set(e, ERR_INVALID, "endpoint %s has no gateway", ep->id);
	r = rtnl_link_get(rt_fd, ep->ifname, &info, e);
	if (r < 0)
		return r == -ENODEV ? err_sys(e, r, "looking for %s in the container", ep->ifname) : r;
	rtnl_route_default_add(&b, "setting the default route in the container", info.index, htonl(gateway));
	return nl_run(&b, rt_fd, e);
}

int net_ports_publish(struct net *n, const struct net_endpoint *ep, struct err *e)
{
	struct net_endpoint *known;

	pthread_mutex_lock(&n->lock);
	known = endpoint_find(n, ep->id);
	if (known) {
		json_done(&net_endpoint_type, known);
		json_copy(&net_endpoint_type, known, ep);
	}
	pthread_mutex_unlock(&n->lock);
	return n->firewall_off ? 0 : firewall_ports_add(n, ep, e);
}

void net_endpoint_detach(struct net *n, const struct net_endpoint *ep, enum net_detach how)
{
	AUTO_NL struct nl_batch b = NL_BATCH_INIT;
	struct net_endpoint *known;

	pthread_mutex_lock(&n->lock);
	known = endpoint_find(n, ep->id);
	/* a table that is replaced from here on does not publish them again; the claims stay until its release */
	for (size_t i = 0; known && i < known->ports.n; i++)
		json_done(&net_port_type, &known->ports.v[i]);
	if (known)
		known->ports.n = 0;
	pthread_mutex_unlock(&n->lock);
	if (!n->firewall_off)
		firewall_ports_del(n, ep);
	if (how == NET_NAMESPACE_LIVES && !str_empty(ep->host_ifname)) {
		rtnl_link_del(&b, "removing the veth pair", (struct rtnl_link){ .name = ep->host_ifname });
		pthread_mutex_lock(&n->io_lock);
		(void)nl_run(&b, n->rt_fd, NULL); /* gone already is as good */
		pthread_mutex_unlock(&n->io_lock);
	}
}

void net_endpoint_release(struct net *n, const struct net_endpoint *ep)
{
	struct net_endpoint *known;
	struct network *w;
	uint32_t ip;

	pthread_mutex_lock(&n->lock);
	known = endpoint_find(n, ep->id);
	if (known) { /* else the address may be another's by now */
		w = network_by_id(n, ep->network_id);
		if (w && ip4_parse(known->ip, &ip))
			ip4_set_release(&w->used, ip);
		net_endpoint_done(known);
		*known = n->endpoints.v[--n->endpoints.n];
	}
	claims_drop(n, ep->id);
	pthread_mutex_unlock(&n->lock);
}
