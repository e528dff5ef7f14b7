/* custom.c - bridge networks of the user's own: what a client may ask for, the subnet they get, and their way into the kernel and out. */
#include "net/internal.h"

#include <net/if.h>

#define OPT_NAME "com.docker.network.bridge.name"
#define OPT_ICC "com.docker.network.bridge.enable_icc"
#define OPT_MASQ "com.docker.network.bridge.enable_ip_masquerade"
#define OPT_HOST_IP "com.docker.network.bridge.host_binding_ipv4"
#define OPT_MTU "com.docker.network.driver.mtu"
#define DEFAULT_MTU 1500

bool net_predefined(const char *name)
{
	return streq(name, "bridge") || streq(name, "host") || streq(name, "none") || streq(name, "default");
}

bool net_subnet_has(const char *subnet, const char *ip)
{
	struct ip4_net net;
	uint32_t a;

	return ip4_net_parse(subnet, &net, NULL) && ip4_parse(ip, &a) && ip4_in(net, a);
}

/* as Go's strconv.ParseBool */
static bool parse_bool(const char *s, bool *ret)
{
	static const char *const yes[] = { "1", "t", "T", "TRUE", "true", "True" };
	static const char *const no[] = { "0", "f", "F", "FALSE", "false", "False" };

	for (size_t i = 0; i < ARRAY_LEN(yes); i++) {
		if (streq(s, yes[i]) || streq(s, no[i])) {
			*ret = streq(s, yes[i]);
			return true;
		}
	}
	return false;
}

void network_settings(struct net *n, struct network *w)
{
	const char *mtu = strmap_get(&w->rec.options, OPT_MTU), *text;
	bool own = !net_predefined(w->rec.name), on = true;
	int64_t v;

	w->mtu = own ? DEFAULT_MTU : n->mtu;
	if (own && mtu && str_to_i64(mtu, &v) == 0 && v > 0)
		w->mtu = (uint32_t)v;
	w->icc_off = !own && n->icc_off;
	text = strmap_get(&w->rec.options, OPT_ICC);
	if (own && text && parse_bool(text, &on))
		w->icc_off = !on;
	w->masq_off = !own && n->ip_masq_off;
	text = strmap_get(&w->rec.options, OPT_MASQ);
	if (own && text && parse_bool(text, &on))
		w->masq_off = !on;
}

/* ---- what a client may ask for, in dockerd's words ---- */
static int check_options(const struct strmap *o, struct err *e)
{
	static const char *const bools[] = { OPT_ICC, OPT_MASQ };
	const char *text;
	uint32_t ip;
	int64_t v;
	bool on;

	for (size_t i = 0; i < ARRAY_LEN(bools); i++) {
		text = strmap_get(o, bools[i]);
		if (text && !parse_bool(text, &on))
			return err_set(
				e, ERR_INVALID,
				"failed to parse %s value: %s (strconv.ParseBool: parsing \"%s\": invalid syntax)",
				bools[i], text, text);
	}
	text = strmap_get(o, OPT_MTU);
	if (text && str_to_i64(text, &v) < 0)
		return err_set(e, ERR_INVALID,
			       "failed to parse %s value: %s (strconv.Atoi: parsing \"%s\": invalid syntax)", OPT_MTU,
			       text, text);
	if (text && v != 0 && (v < 68 || v > 65535))
		return err_set(e, ERR_SYSTEM, "invalid %s %s: it is between 68 and 65535", OPT_MTU, text);
	text = strmap_get(o, OPT_HOST_IP);
	if (!str_empty(text) && !ip4_parse(text, &ip))
		return err_set(e, ERR_INVALID, "failed to parse %s value: %s (nil ip)", OPT_HOST_IP, text);
	text = strmap_get(o, OPT_NAME);
	if (text && strlen(text) >= IFNAMSIZ)
		return err_set(e, ERR_SYSTEM, "numerical result out of range");
	if (!str_empty(text) && (strpbrk(text, "/ \t\n:") || *text == '.'))
		return err_set(e, ERR_INVALID, "invalid bridge name \"%s\"", text);
	return 0;
}

static void check_range(const char *range, struct ip4_net net, const char *subnet, struct strv *faults)
{
	struct ip4_net r;
	char text[IP4_TEXT_MAX + 4];
	uint32_t ip;

	if (!ip4_net_parse(range, &r, &ip)) {
		strv_addf(faults, "invalid ip-range %s: invalid CIDR block notation", range);
		return;
	}
	ip4_net_text(r, text);
	if (r.len < net.len)
		strv_addf(faults, "invalid ip-range %s: CIDR block is bigger than its parent subnet %s", range, subnet);
	else if (ip != r.ip)
		strv_addf(faults, "invalid ip-range %s: it should be %s", range, text);
	else if (!ip4_in(net, ip))
		strv_addf(faults, "invalid ip-range %s: parent subnet %s doesn't contain ip-range", range, subnet);
}

static void check_address(const char *what, const char *name, const char *text, struct ip4_net net, const char *subnet,
			  struct strv *faults)
{
	uint32_t ip;

	if (!ip4_parse(text, &ip))
		strv_addf(faults, "invalid %s %s: invalid address", what, name);
	else if (!ip4_in(net, ip))
		strv_addf(faults, "invalid %s %s: parent subnet %s doesn't contain this address", what, name, subnet);
}

static int check_ipam(const struct net_network *w, struct ip4_net *ret, struct err *e)
{
	AUTO_STRV struct strv faults = { 0 };
	AUTO_STRB struct strb said = STRB_INIT;
	struct ip4_net net = { 0 };
	uint32_t ip = 0;

	if (!ip4_net_parse(w->subnet, &net, &ip)) {
		strv_addf(&faults, "invalid subnet %s: invalid CIDR block notation", w->subnet);
	} else {
		char text[IP4_TEXT_MAX + 4];

		ip4_net_text(net, text);
		if (ip != net.ip)
			strv_addf(&faults, "invalid subnet %s: it should be %s", w->subnet, text);
		if (net.len < 8)
			strv_addf(&faults, "invalid subnet %s: more than 24 bits of addresses are not supported",
				  w->subnet);
		if (!str_empty(w->ip_range))
			check_range(w->ip_range, net, w->subnet, &faults);
		if (!str_empty(w->asked_gateway))
			check_address("gateway", w->asked_gateway, w->asked_gateway, net, w->subnet, &faults);
		for (size_t i = 0; i < w->aux.n; i++)
			check_address("auxiliary address", w->aux.v[i].k, w->aux.v[i].v, net, w->subnet, &faults);
	}
	for (size_t i = 0; i < faults.n; i++)
		strb_addf(&said, "\n%s%s", faults.n > 1 ? "* " : "", faults.v[i]);
	if (faults.n)
		return err_set(e, ERR_INVALID, "invalid network config:%s", said.s);
	*ret = net;
	return 0;
}

/* ---- the subnet ---- */
/* lock held */
static bool overlaps_ours(const struct net *n, struct ip4_net net)
{
	for (size_t i = 0; i < n->networks.n; i++)
		if (n->networks.v[i].used.bits && ip4_overlap(n->networks.v[i].used.net, net))
			return true;
	return false;
}

/* One out of the pools that neither a network of ours nor anything that this host knows overlaps */
static int choose_subnet(struct net *n, struct ip4_net *ret, struct err *e)
{
	AUTO_SUBNETS struct rtnl_subnets known = { 0 };
	AUTO_FREE struct ip4_net *taken = NULL;
	size_t n_taken = 0;
	bool found;
	int r;

	pthread_mutex_lock(&n->io_lock);
	r = rtnl_subnets_get(n->rt_fd, &known, e);
	pthread_mutex_unlock(&n->io_lock);
	if (r < 0)
		return r;
	pthread_mutex_lock(&n->lock);
	taken = xcalloc(known.n + n->networks.n + 1, sizeof *taken);
	for (size_t i = 0; i < known.n; i++)
		taken[n_taken++] = (struct ip4_net){ ntohl(known.v[i].ip4) & ip4_mask(known.v[i].prefix_len),
						     known.v[i].prefix_len };
	for (size_t i = 0; i < n->networks.n; i++)
		if (n->networks.v[i].used.bits)
			taken[n_taken++] = n->networks.v[i].used.net;
	found = pool_choose(&n->pools, taken, n_taken, ret);
	pthread_mutex_unlock(&n->lock);
	return found ? 0 : err_set(e, ERR_INVALID, "all predefined address pools have been fully subnetted");
}

/* The gateway: as asked, else the first address of the range that nobody has */
static int plan_gateway(const struct net_network *w, struct ip4_net net, uint32_t *ret, struct err *e)
{
	struct ip4_net range = net;
	struct ip4_set used;
	uint32_t ip = 0;
	int r = 0;

	if (!str_empty(w->ip_range))
		(void)ip4_net_parse(w->ip_range, &range, NULL);
	ip4_set_init(&used, net);
	for (size_t i = 0; i < w->aux.n; i++)
		if (ip4_parse(w->aux.v[i].v, &ip))
			(void)ip4_set_take(&used, ip);
	if (!str_empty(w->asked_gateway)) {
		(void)ip4_parse(w->asked_gateway, &ip);
		if (!ip4_set_take(&used, ip))
			r = err_set(e, ERR_SYSTEM, "failed to allocate gateway (%s): Address already in use",
				    w->asked_gateway);
	} else if (!ip4_set_take_lowest(&used, range, &ip)) {
		r = err_set(e, ERR_SYSTEM, "failed to allocate gateway (): No available addresses");
	}
	ip4_set_done(&used);
	*ret = ip;
	return r;
}

/* ---- making and removing ---- */
static int check_name_free(struct net *n, const char *name, struct err *e)
{
	bool taken = false;

	pthread_mutex_lock(&n->lock);
	for (size_t i = 0; i < n->networks.n; i++)
		taken |= streq(n->networks.v[i].rec.name, name);
	pthread_mutex_unlock(&n->lock);
	return taken ? err_set(e, ERR_CONFLICT, "network with name %s already exists", name) : 0;
}

static int check_bridge_free(struct net *n, const struct network *w, struct err *e)
{
	int r = 0;

	pthread_mutex_lock(&n->lock);
	for (size_t i = 0; i < n->networks.n && r == 0; i++)
		if (streq(n->networks.v[i].rec.bridge, w->rec.bridge))
			r = err_set(e, ERR_FORBIDDEN,
				    "cannot create network %s (%s): conflicts with network %s (%s): networks have same "
				    "bridge name",
				    w->rec.id, w->rec.bridge, n->networks.v[i].rec.id, w->rec.bridge);
	pthread_mutex_unlock(&n->lock);
	return r;
}

static void free_network(struct network *w)
{
	net_network_done(&w->rec);
	ip4_set_done(&w->used);
}

static void delete_bridge(struct net *n, const struct network *w)
{
	AUTO_NL struct nl_batch b = NL_BATCH_INIT;

	if (w->rec.foreign_link || !w->ifindex)
		return;
	rtnl_link_del(&b, "removing the bridge", (struct rtnl_link){ .index = w->ifindex });
	pthread_mutex_lock(&n->io_lock);
	(void)nl_run(&b, n->rt_fd, NULL); /* gone already is as good */
	pthread_mutex_unlock(&n->io_lock);
}

static int renew_firewall(struct net *n, struct err *e)
{
	int r = n->firewall_off ? 0 : firewall_replace(n, e);

	return r < 0 || n->firewall_off ? r : firewall_integrate(n, e);
}

/* lock held */
static void drop_from_table(struct net *n, const char *id)
{
	for (size_t i = 0; i < n->networks.n; i++)
		if (streq(n->networks.v[i].rec.id, id)) {
			free_network(&n->networks.v[i]);
			memmove(&n->networks.v[i], &n->networks.v[i + 1],
				(n->networks.n - i - 1) * sizeof *n->networks.v);
			n->networks.n--;
			return;
		}
}

static int fill_record(struct net *n, const struct net_network *want, struct ip4_net net, struct network *w,
		       struct err *e)
{
	char text[IP4_TEXT_MAX + 4], id[65], created[TIME_TEXT_MAX];
	const char *name = strmap_get(&want->options, OPT_NAME);
	struct rtnl_info link;
	int r;

	json_copy(&net_network_type, &w->rec, want);
	id_new(id);
	time_format(time_now_ns(), created);
	w->rec.id = xstrdup(id);
	w->rec.created = xstrdup(created);
	w->rec.driver = xstrdup("bridge");
	w->rec.scope = xstrdup("local");
	w->rec.bridge = str_empty(name) ? xasprintf("br-%.12s", id) : xstrdup(name);
	w->rec.user_subnet = !str_empty(want->subnet);
	network_settings(n, w);
	r = check_bridge_free(n, w, e);
	if (r == 0 && !w->rec.user_subnet) {
		r = choose_subnet(n, &net, e);
	} else if (r == 0) {
		pthread_mutex_lock(&n->lock);
		if (overlaps_ours(n, net))
			r = err_set(e, ERR_FORBIDDEN,
				    "invalid pool request: Pool overlaps with other one on this address space");
		pthread_mutex_unlock(&n->lock);
	}
	if (r == 0)
		r = plan_gateway(&w->rec, net, &w->gateway, e);
	if (r < 0)
		return r;
	ip4_net_text(net, text);
	free(w->rec.subnet);
	w->rec.subnet = xstrdup(text);
	ip4_text(w->gateway, text);
	w->rec.gateway = xstrdup(text);
	pthread_mutex_lock(&n->io_lock);
	w->rec.foreign_link = rtnl_link_get(n->rt_fd, w->rec.bridge, &link, NULL) == 0;
	pthread_mutex_unlock(&n->io_lock);
	return 0;
}

static int create(struct net *n, const struct net_network *want, struct ip4_net net, struct network *w, struct err *e)
{
	int r = fill_record(n, want, net, w, e);

	if (r == 0)
		r = network_save(n, w, e);
	if (r < 0)
		return r;
	r = network_restore(n, w, e);
	if (r >= 0) {
		pthread_mutex_lock(&n->lock);
		*(struct network *)VEC_ADD(&n->networks) = *w; /* moves */
		pthread_mutex_unlock(&n->lock);
		r = renew_firewall(n, e);
		if (r >= 0)
			return 0;
		pthread_mutex_lock(&n->lock);
		n->networks.n--; /* back again: others are added under `admin` only */
		pthread_mutex_unlock(&n->lock);
	}
	delete_bridge(n, w);
	if (n->store.remove)
		(void)n->store.remove(n->store.ctx, w->rec.id, NULL);
	return r;
}

int net_network_create(struct net *n, const struct net_network *want, struct net_network *ret, struct err *e)
{
	struct ip4_net net = { 0 };
	struct network w = { 0 };
	int r = str_empty(want->subnet) ? 0 : check_ipam(want, &net, e);

	pthread_mutex_lock(&n->admin);
	if (r == 0)
		r = check_name_free(n, want->name, e);
	if (r == 0)
		r = check_options(&want->options, e);
	if (r == 0) {
		r = create(n, want, net, &w, e);
		if (r < 0)
			free_network(&w);
	}
	if (r == 0)
		json_copy(&net_network_type, ret, &w.rec); /* the table's, and `admin` keeps it there */
	pthread_mutex_unlock(&n->admin);
	return r;
}

int network_restore(struct net *n, struct network *w, struct err *e)
{
	struct bridge_plan p;

	if (!ip4_net_parse(w->rec.subnet, &p.net, NULL) || p.net.len < 8 || !ip4_parse(w->rec.gateway, &p.gateway))
		return err_set(e, ERR_SYSTEM, "the stored network %s has no valid subnet", w->rec.name);
	return network_bridge(n, w, &p, e);
}

/* lock held. As dockerd's: (name:"a" id:"0123456789ab", ...) */
static int check_unused(struct net *n, const struct network *w, struct err *e)
{
	AUTO_STRB struct strb list = STRB_INIT;

	for (size_t i = 0; i < n->endpoints.n; i++)
		if (streq(n->endpoints.v[i].network_id, w->rec.id))
			strb_addf(&list, "%sname:\"%s\" id:\"%.12s\"", list.len ? ", " : "", n->endpoints.v[i].name,
				  n->endpoints.v[i].id);
	if (!list.len)
		return 0;
	return err_set(e, ERR_FORBIDDEN, "error while removing network: network %s has active endpoints (%s)",
		       w->rec.name, list.s);
}

int net_network_remove(struct net *n, const char *ref, struct net_network *ret_was, struct err *e)
{
	struct network gone = { 0 };
	struct network *w;
	int r = 0;

	pthread_mutex_lock(&n->admin);
	pthread_mutex_lock(&n->lock);
	w = network_find(n, ref);
	if (!w)
		r = err_set(e, ERR_NOT_FOUND, "network %s not found", ref);
	else if (net_predefined(w->rec.name))
		r = err_set(e, ERR_FORBIDDEN, "%s is a pre-defined network and cannot be removed", w->rec.name);
	else
		r = check_unused(n, w, e);
	if (r == 0) { /* from here on nobody can join it */
		json_copy(&net_network_type, &gone.rec, &w->rec);
		gone.ifindex = w->ifindex;
		drop_from_table(n, gone.rec.id);
	}
	pthread_mutex_unlock(&n->lock);
	if (r == 0) {
		(void)renew_firewall(n, NULL); /* an element of a bridge that is gone matches nothing */
		delete_bridge(n, &gone);
		if (n->store.remove)
			r = n->store.remove(n->store.ctx, gone.rec.id, e);
	}
	pthread_mutex_unlock(&n->admin);
	if (r == 0)
		json_copy(&net_network_type, ret_was, &gone.rec);
	free_network(&gone);
	return r;
}
