/* firewall.c - our nft table `ip <table>`: port publishing, masquerading, isolation; and what other tables do to our packets.
 *
 *     set bridges  { ifname }                       our bridges
 *     set same     { ifname . ifname }              bridge to itself, where containers may talk to each other
 *     set inner    { ifname }                       bridges of internal networks: nothing leaves them, nothing enters
 *     set nets     { subnets }                      the networks behind them
 *     set masq     { subnets }                      ... that go out with the host's address
 *     map ports    { proto . port : addr . port }   published on every host address
 *     map at       { addr . proto . port : ... }    published on one host address
 *     chain guard        raw prerouting: nothing from a bridge may claim or reach 127/8 (CVE-2020-8558)
 *     chain prerouting   from outside: dnat by `at`, then by `ports` if the destination is one of the host's addresses; never to
 *                        127/8, else a neighbour on the wire could reach ports published for loopback only
 *     chain output       the same for the host's own connections, 127/8 included (with route_localnet on the bridge)
 *     chain postrouting  loopback and bridge-to-itself connections are masqueraded: their answers would not come back otherwise
 *     chain forward      to a bridge: answers, its own containers, published ports; all else is dropped, so networks are apart
 *
 * Everything that comes and goes is an element: rules are written once. Sources: nft(8), linux/netfilter/nf_tables.h. */
#include "net/internal.h"

#include <fcntl.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_conntrack_common.h>
#include <linux/netfilter/nf_tables.h>

#define FAMILY NFPROTO_IPV4
#define IFNAME 16

/* nft's numbers of data types; a concatenation is 6 bits per part */
#define T_IP 7u
#define T_PROTO 12u
#define T_PORT 13u
#define T_IFNAME 41u

/* Parts of a concatenation are padded to 4 bytes each, in network order */
struct port_key {
	uint8_t proto, pad[3];
	uint16_t port, pad2;
};
struct at_key {
	uint32_t ip;
	struct port_key p;
};
struct port_data {
	uint32_t ip;
	uint16_t port, pad;
};

struct sets {
	struct nft_set bridges, same, nets, ports, at, inner, masq;
};
static struct sets sets_of(const struct net *n)
{
	return (struct sets){
		.bridges = { FAMILY, n->table, "bridges", 1, T_IFNAME, IFNAME },
		.same = { FAMILY, n->table, "same", 2, T_IFNAME << 6 | T_IFNAME, 2 * IFNAME },
		.nets = { FAMILY, n->table, "nets", 3, T_IP, 4, .interval = true },
		.ports = { FAMILY, n->table, "ports", 4, T_PROTO << 6 | T_PORT, sizeof(struct port_key),
			   .data_type = T_IP << 6 | T_PORT, .data_len = sizeof(struct port_data) },
		.at = { FAMILY, n->table, "at", 5, T_IP << 12 | T_PROTO << 6 | T_PORT, sizeof(struct at_key),
			.data_type = T_IP << 6 | T_PORT, .data_len = sizeof(struct port_data) },
		.inner = { FAMILY, n->table, "inner", 6, T_IFNAME, IFNAME },
		.masq = { FAMILY, n->table, "masq", 7, T_IP, 4, .interval = true },
	};
}

/* ---- matches, as nft would say them ---- */
enum end { SOURCE = 12, DESTINATION = 16 }; /* offsets in the IPv4 header */

static void load_addr(struct nftnl_rule *r, enum end end, uint32_t reg)
{
	nft_x_payload(r, NFT_PAYLOAD_NETWORK_HEADER, end, 4, reg);
}

static void match_loopback(struct nftnl_rule *r, enum end end)
{
	static const uint8_t mask[4] = { 255, 0, 0, 0 }, net[4] = { 127, 0, 0, 0 };

	load_addr(r, end, NFT_REG_1);
	nft_x_mask(r, NFT_REG_1, mask, 4);
	nft_x_cmp(r, NFT_REG_1, true, net, 4);
}

static void match_link(struct nftnl_rule *r, uint32_t key, const struct nft_set *s, bool negate)
{
	nft_x_meta(r, key, NFT_REG_1);
	nft_x_lookup(r, s, NFT_REG_1, negate);
}

static void match_source_in(struct nftnl_rule *r, const struct nft_set *nets)
{
	load_addr(r, SOURCE, NFT_REG_1);
	nft_x_lookup(r, nets, NFT_REG_1, false);
}

static struct nftnl_rule *rule(const struct net *n, const char *chain)
{
	return nft_rule_new(FAMILY, n->table, chain);
}

static void add_verdict(struct nl_batch *b, struct nftnl_rule *r, int verdict)
{
	nft_x_verdict(r, verdict);
	nft_rule_add(b, "adding a firewall rule", r, NFT_APPEND);
}

static void guard_rules(struct nl_batch *b, const struct net *n, const struct sets *s)
{
	static const enum end ends[] = { SOURCE, DESTINATION };

	for (size_t i = 0; i < ARRAY_LEN(ends); i++) {
		struct nftnl_rule *r = rule(n, "guard");

		match_link(r, NFT_META_IIFNAME, &s->bridges, false);
		match_loopback(r, ends[i]);
		add_verdict(b, r, NF_DROP);
	}
}

static void dnat_rules(struct nl_batch *b, const struct net *n, const struct sets *s, const char *chain)
{
	struct nftnl_rule *r = rule(n, chain);

	load_addr(r, DESTINATION, NFT_REG32_00);
	nft_x_meta(r, NFT_META_L4PROTO, NFT_REG32_01);
	nft_x_payload(r, NFT_PAYLOAD_TRANSPORT_HEADER, 2, 2, NFT_REG32_02);
	nft_x_lookup_map(r, &s->at, NFT_REG32_00, NFT_REG32_00);
	nft_x_dnat(r, NFT_REG32_00, NFT_REG32_01);
	nft_rule_add(b, "adding a firewall rule", r, NFT_APPEND);

	r = rule(n, chain);
	nft_x_fib_daddr_local(r);
	nft_x_meta(r, NFT_META_L4PROTO, NFT_REG32_00);
	nft_x_payload(r, NFT_PAYLOAD_TRANSPORT_HEADER, 2, 2, NFT_REG32_01);
	nft_x_lookup_map(r, &s->ports, NFT_REG32_00, NFT_REG32_00);
	nft_x_dnat(r, NFT_REG32_00, NFT_REG32_01);
	nft_rule_add(b, "adding a firewall rule", r, NFT_APPEND);
}

static void prerouting_rules(struct nl_batch *b, const struct net *n, const struct sets *s)
{
	struct nftnl_rule *r = rule(n, "prerouting");

	match_loopback(r, DESTINATION);
	add_verdict(b, r, NFT_RETURN);
	dnat_rules(b, n, s, "prerouting");
}

static void postrouting_rules(struct nl_batch *b, const struct net *n, const struct sets *s)
{
	static const char lo[IFNAME] = "lo";
	struct nftnl_rule *r = rule(n, "postrouting");

	match_link(r, NFT_META_OIFNAME, &s->bridges, false);
	match_loopback(r, SOURCE);
	nft_x_masquerade(r);
	nft_rule_add(b, "adding a firewall rule", r, NFT_APPEND);

	/* a container reaches a published port by a host address: the other container would answer it directly */
	r = rule(n, "postrouting");
	match_link(r, NFT_META_OIFNAME, &s->bridges, false);
	match_source_in(r, &s->nets);
	nft_x_ct_status(r, IPS_DST_NAT);
	nft_x_masquerade(r);
	nft_rule_add(b, "adding a firewall rule", r, NFT_APPEND);

	r = rule(n, "postrouting");
	match_source_in(r, &s->masq);
	match_link(r, NFT_META_OIFNAME, &s->bridges, true);
	nft_x_meta(r, NFT_META_OIFNAME, NFT_REG_1);
	nft_x_cmp(r, NFT_REG_1, false, lo, IFNAME);
	nft_x_masquerade(r);
	nft_rule_add(b, "adding a firewall rule", r, NFT_APPEND);
}

static void forward_rules(struct nl_batch *b, const struct net *n, const struct sets *s)
{
	static const uint32_t ends[] = { NFT_META_IIFNAME, NFT_META_OIFNAME };
	struct nftnl_rule *r = rule(n, "forward");

	nft_x_meta(r, NFT_META_IIFNAME, NFT_REG_1);
	nft_x_meta(r, NFT_META_OIFNAME, NFT_REG_2);
	nft_x_lookup(r, &s->same, NFT_REG_1, false);
	add_verdict(b, r, NF_ACCEPT);

	for (size_t i = 0; i < ARRAY_LEN(ends); i++) {
		r = rule(n, "forward");
		match_link(r, ends[i], &s->inner, false);
		add_verdict(b, r, NF_DROP);
	}

	r = rule(n, "forward");
	match_link(r, NFT_META_OIFNAME, &s->bridges, true);
	add_verdict(b, r, NF_ACCEPT);

	r = rule(n, "forward");
	nft_x_ct_state(r, NF_CT_STATE_BIT(IP_CT_ESTABLISHED) | NF_CT_STATE_BIT(IP_CT_RELATED));
	add_verdict(b, r, NF_ACCEPT);

	r = rule(n, "forward");
	nft_x_ct_status(r, IPS_DST_NAT);
	add_verdict(b, r, NF_ACCEPT);

	add_verdict(b, rule(n, "forward"), NF_DROP);
}

/* ---- elements ---- */
struct port_elem {
	bool at;
	struct at_key key; /* .p alone for `ports` */
	struct port_data data;
};
struct port_elems {
	struct port_elem *v;
	size_t n;
};

static void collect_ports(const struct net_endpoint *ep, struct port_elems *out)
{
	uint32_t to, from;

	if (!ip4_parse(ep->ip, &to))
		return;
	for (size_t i = 0; i < ep->ports.n; i++) {
		const struct net_port *p = &ep->ports.v[i];
		struct port_elem *x;

		if (p->relay || !ip4_parse(p->host_ip, &from))
			continue;
		x = VEC_ADD(out);
		x->at = from != 0;
		x->key.ip = htonl(from);
		x->key.p.proto = streq(p->proto, "udp") ? IPPROTO_UDP : IPPROTO_TCP;
		x->key.p.port = htons((uint16_t)p->host_port);
		x->data = (struct port_data){ .ip = htonl(to), .port = htons((uint16_t)p->port) };
	}
}

static void batch_ports(struct nl_batch *b, const struct net *n, const struct port_elems *ports, bool add)
{
	struct sets s = sets_of(n);

	for (int at = 0; at <= 1; at++) {
		struct {
			struct nft_elem *v;
			size_t n;
		} v = { 0 };

		for (size_t i = 0; i < ports->n; i++) {
			const struct port_elem *x = &ports->v[i];

			if (x->at == at)
				*VEC_ADD(&v) = (struct nft_elem){ .key = at ? (const void *)&x->key : &x->key.p,
								  .data = &x->data };
		}
		if (add)
			nft_elems_add(b, "publishing ports", at ? &s.at : &s.ports, v.v, v.n);
		else
			nft_elems_del(b, "withdrawing ports", at ? &s.at : &s.ports, v.v, v.n);
		free(v.v);
	}
}

static bool reaches_loopback(const struct port_elems *ports)
{
	for (size_t i = 0; i < ports->n; i++)
		if (!ports->v[i].at || ntohl(ports->v[i].key.ip) >> 24 == 127)
			return true;
	return false;
}

/* Without it the kernel takes packets from 127.0.0.1 that leave by the bridge for martians. Only when a port needs it, only there. */
static void allow_loopback(struct net *n, const char *bridge)
{
	char path[80];

	snprintf(path, sizeof path, "/proc/sys/net/ipv4/conf/%s/route_localnet", bridge);
	if (file_put(AT_FDCWD, path, "1") < 0)
		log_warn("%s cannot be set: published ports do not answer at 127.0.0.1", path);
	else
		n->set_route_localnet = true;
}

/* Gone links have nothing to be told. */
static void bridge_name(struct net *n, const struct net_endpoint *ep, char ret[IFNAME])
{
	const struct network *w;

	pthread_mutex_lock(&n->lock);
	w = network_by_id(n, ep->network_id);
	snprintf(ret, IFNAME, "%s", w && w->rec.bridge ? w->rec.bridge : "");
	pthread_mutex_unlock(&n->lock);
}

static void add_network(struct nl_batch *b, const struct sets *s, const struct network *w)
{
	char pair[2][IFNAME] = { 0 };
	uint32_t from = htonl(w->used.net.ip), to = htonl(w->used.net.ip + (1u << (32 - w->used.net.len)));
	const struct nft_elem ends[] = { { .key = &from }, { .key = &to, .interval_end = true } };

	snprintf(pair[0], IFNAME, "%s", w->rec.bridge);
	memcpy(pair[1], pair[0], IFNAME);
	nft_elems_add(b, "adding the bridge", &s->bridges, &(struct nft_elem){ .key = pair[0] }, 1);
	if (!w->icc_off)
		nft_elems_add(b, "adding the bridge", &s->same, &(struct nft_elem){ .key = pair }, 1);
	if (w->rec.internal)
		nft_elems_add(b, "adding the bridge", &s->inner, &(struct nft_elem){ .key = pair[0] }, 1);
	nft_elems_add(b, "adding the network", &s->nets, ends, 2);
	if (!w->masq_off && !w->rec.internal)
		nft_elems_add(b, "adding the network", &s->masq, ends, 2);
}

/* The whole table, replaced in one transaction: made so that it surely exists, deleted, made anew. */
int firewall_replace(struct net *n, struct err *e)
{
	const struct nft_chain chains[] = {
		{ FAMILY, n->table, "guard", "filter", NF_INET_PRE_ROUTING, -300 },
		{ FAMILY, n->table, "prerouting", "nat", NF_INET_PRE_ROUTING, -100 },
		{ FAMILY, n->table, "output", "nat", NF_INET_LOCAL_OUT, -100 },
		{ FAMILY, n->table, "postrouting", "nat", NF_INET_POST_ROUTING, 100 },
		{ FAMILY, n->table, "forward", "filter", NF_INET_FORWARD, 0 },
	};
	struct sets s = sets_of(n);
	const struct nft_set *const all_sets[] = { &s.bridges, &s.same, &s.nets, &s.ports, &s.at, &s.inner, &s.masq };
	AUTO_NL struct nl_batch b = NL_BATCH_INIT;
	struct port_elems ports = { 0 };
	int r;

	nft_begin(&b);
	nft_table_add(&b, "adding the firewall table", FAMILY, n->table);
	nft_table_del(&b, "replacing the firewall table", FAMILY, n->table);
	nft_table_add(&b, "adding the firewall table", FAMILY, n->table);
	for (size_t i = 0; i < ARRAY_LEN(all_sets); i++)
		nft_set_add(&b, "adding a firewall set", all_sets[i]);
	for (size_t i = 0; i < ARRAY_LEN(chains); i++)
		nft_chain_add(&b, "adding a firewall chain", &chains[i]);
	guard_rules(&b, n, &s);
	prerouting_rules(&b, n, &s);
	dnat_rules(&b, n, &s, "output");
	postrouting_rules(&b, n, &s);
	forward_rules(&b, n, &s);
	pthread_mutex_lock(&n->io_lock); /* before looking: who changes the tables after us also writes after us */
	pthread_mutex_lock(&n->lock);
	for (size_t i = 0; i < n->networks.n; i++)
		if (n->networks.v[i].used.bits)
			add_network(&b, &s, &n->networks.v[i]);
	for (size_t i = 0; i < n->endpoints.n; i++) {
		struct port_elems own = { 0 };
		const struct network *w = network_by_id(n, n->endpoints.v[i].network_id);

		collect_ports(&n->endpoints.v[i], &own);
		if (w && reaches_loopback(&own))
			allow_loopback(n, w->rec.bridge);
		for (size_t k = 0; k < own.n; k++)
			*VEC_ADD(&ports) = own.v[k];
		free(own.v);
	}
	pthread_mutex_unlock(&n->lock);
	batch_ports(&b, n, &ports, true);
	r = nl_run(&b, n->nft_fd, e);
	pthread_mutex_unlock(&n->io_lock);
	free(ports.v);
	return r;
}

/* io_lock held. UDP clients that go on sending would otherwise stay on the path they had before the rules changed */
static void forget_conversations(const struct net *n, const struct port_elems *ports)
{
	for (size_t i = 0; i < ports->n; i++)
		if (ports->v[i].key.p.proto == IPPROTO_UDP)
			(void)nl_conntrack_forget_udp(n->nft_fd, ntohs(ports->v[i].key.p.port),
						      NULL); /* no tracker, no need */
}

int firewall_ports_add(struct net *n, const struct net_endpoint *ep, struct err *e)
{
	AUTO_NL struct nl_batch b = NL_BATCH_INIT;
	struct err why = ERR_INIT;
	struct port_elems ports = { 0 };
	char bridge[IFNAME];
	int r;

	collect_ports(ep, &ports);
	bridge_name(n, ep, bridge);
	pthread_mutex_lock(&n->io_lock);
	if (ports.n) {
		nft_begin(&b);
		batch_ports(&b, n, &ports, true);
		if (reaches_loopback(&ports))
			allow_loopback(n, bridge);
		r = nl_run(&b, n->nft_fd, &why);
		forget_conversations(n, &ports);
	} else {
		r = nft_table_get(n->nft_fd, FAMILY, n->table);
	}
	pthread_mutex_unlock(&n->io_lock);
	free(ports.v);
	if (r == -ENOENT) { /* somebody flushed the whole ruleset; nftables' own service does, when it is restarted */
		log_warn("the firewall table %s is gone: it is made again", n->table);
		return firewall_replace(n, e);
	}
	if (r < 0 && e)
		*e = why;
	return r;
}

static int withdraw(struct net *n, const struct port_elems *ports)
{
	AUTO_NL struct nl_batch b = NL_BATCH_INIT;
	int r;

	nft_begin(&b);
	batch_ports(&b, n, ports, false);
	pthread_mutex_lock(&n->io_lock);
	r = nl_run(&b, n->nft_fd, NULL);
	pthread_mutex_unlock(&n->io_lock);
	return r;
}

void firewall_ports_del(struct net *n, const struct net_endpoint *ep)
{
	struct port_elems ports = { 0 };

	collect_ports(ep, &ports);
	/* a batch is all or nothing: where one element is gone already, the others go one by one */
	if (ports.n && withdraw(n, &ports) == -ENOENT)
		for (size_t i = 0; i < ports.n; i++)
			(void)withdraw(n, &(struct port_elems){ .v = &ports.v[i], .n = 1 });
	pthread_mutex_lock(&n->io_lock);
	forget_conversations(n, &ports);
	pthread_mutex_unlock(&n->io_lock);
	free(ports.v);
}

/* ---- other tables ---- */
#define DOCKER_TABLE "filter"
#define DOCKER_CHAIN "DOCKER-USER"

static int integration_rules(struct net *n, uint64_t **ret, struct err *e)
{
	return nft_rules_by_comment(n->nft_fd, FAMILY, DOCKER_TABLE, DOCKER_CHAIN, n->table, ret, e);
}

static bool chain_is(const struct nft_chain_info *c, int family, const char *table, const char *name)
{
	return c->family == family && streq(c->table, table) && streq(c->name, name);
}

/* Two accepting rules per bridge at the head of DOCKER-USER, known again by their comment. Written so that iptables-nft can list them.
 * io_lock held. */
static void insert_integration(struct net *n, struct nl_batch *b)
{
	static const uint32_t keys[] = { NFT_META_IIFNAME, NFT_META_OIFNAME };

	pthread_mutex_lock(&n->lock);
	for (size_t k = 0; k < n->networks.n; k++) {
		const struct network *w = &n->networks.v[k];

		for (size_t i = 0; i < ARRAY_LEN(keys) && w->used.bits; i++) {
			struct nftnl_rule *r = nft_rule_new(FAMILY, DOCKER_TABLE, DOCKER_CHAIN);
			char name[IFNAME] = "";

			snprintf(name, sizeof name, "%s", w->rec.bridge);
			nft_x_meta(r, keys[i], NFT_REG_1);
			nft_x_cmp(r, NFT_REG_1, true, name, (uint32_t)strlen(name) + 1);
			nft_x_counter(r);
			nft_x_verdict(r, NF_ACCEPT);
			nft_rule_comment(r, n->table);
			nft_rule_add(b, "letting our bridge through DOCKER-USER", r, NFT_INSERT);
		}
	}
	pthread_mutex_unlock(&n->lock);
}

/* Today's rules in place of those that stand there, in one transaction. */
int firewall_integrate(struct net *n, struct err *e)
{
	AUTO_NL struct nl_batch b = NL_BATCH_INIT;
	AUTO_FREE uint64_t *handles = NULL;
	AUTO_CHAINS struct nft_chains all = { 0 };
	bool there = false;
	int r;

	if (n->integration != NET_FIREWALL_DOCKER_USER)
		return 0;
	pthread_mutex_lock(&n->io_lock);
	r = nft_chains_get(n->nft_fd, &all, e);
	for (size_t i = 0; i < all.n; i++)
		there = there || chain_is(&all.v[i], FAMILY, DOCKER_TABLE, DOCKER_CHAIN);
	if (r >= 0 && there) {
		r = integration_rules(n, &handles, e);
		if (r >= 0) {
			nft_begin(&b);
			for (int i = 0; i < r; i++)
				nft_rule_del(&b, "renewing our rules in DOCKER-USER", FAMILY, DOCKER_TABLE,
					     DOCKER_CHAIN, handles[i]);
			insert_integration(n, &b);
			r = nl_run(&b, n->nft_fd, e);
		}
	}
	pthread_mutex_unlock(&n->io_lock);
	return MIN(r, 0);
}

void firewall_disintegrate(struct net *n)
{
	AUTO_NL struct nl_batch b = NL_BATCH_INIT;
	AUTO_FREE uint64_t *handles = NULL;
	int found;

	if (n->integration != NET_FIREWALL_DOCKER_USER)
		return;
	pthread_mutex_lock(&n->io_lock);
	found = integration_rules(n, &handles, NULL);
	nft_begin(&b);
	for (int i = 0; i < found; i++)
		nft_rule_del(&b, "leaving DOCKER-USER", FAMILY, DOCKER_TABLE, DOCKER_CHAIN, handles[i]);
	if (found > 0)
		(void)nl_run(&b, n->nft_fd, NULL);
	pthread_mutex_unlock(&n->io_lock);
}

static const char *family_name(int family)
{
	switch (family) {
	case NFPROTO_IPV4:
		return "ip";
	case NFPROTO_INET:
		return "inet";
	case NFPROTO_BRIDGE:
		return "bridge";
	}
	return NULL; /* cannot see our packets */
}

/* Base chains on the forward hook whose policy is drop. *ret = NULL where there is none. passed: each is the one that jumps to
 * DOCKER-USER, and our rules stand there. */
int firewall_blocker(struct net *n, char **ret, bool *ret_passed, struct err *e)
{
	AUTO_FREE uint64_t *handles = NULL;
	AUTO_STRB struct strb text = STRB_INIT;
	AUTO_CHAINS struct nft_chains all = { 0 };
	bool docker = true, legacy = false;
	int r, ours = 0;

	pthread_mutex_lock(&n->io_lock);
	r = nft_chains_get(n->nft_fd, &all, e);
	if (r >= 0)
		ours = integration_rules(n, &handles, NULL);
	pthread_mutex_unlock(&n->io_lock);
	if (r < 0)
		return r;
	for (size_t i = 0; i < all.n; i++) {
		const struct nft_chain_info *c = &all.v[i];

		if (!c->base || !c->policy_drop || c->hook != NF_INET_FORWARD || !family_name(c->family))
			continue;
		strb_addf(&text, "%stable %s %s, chain %s (policy drop)", text.len ? "; " : "", family_name(c->family),
			  c->table, c->name);
		docker = docker && chain_is(c, FAMILY, DOCKER_TABLE, "FORWARD");
	}
	if (legacy_forward_drops(&legacy) == 0 && legacy) {
		strb_addf(&text, "%siptables-legacy table filter, chain FORWARD (policy drop)", text.len ? "; " : "");
		docker = false;
	}
	*ret = text.len ? strb_take(&text) : NULL;
	*ret_passed = *ret && docker && ours > 0;
	return 0;
}
