/* internal.h - what the files of this module share. Addresses are uint32_t in host byte order unless they go on the wire. */
#pragma once

#include "net/net.h"
#include "netlink/netlink.h"

#include <arpa/inet.h>
#include <pthread.h>

/* ---- addr.c: IPv4 arithmetic and address sets, pure ---- */
#define IP4_TEXT_MAX 16
struct ip4_net {
	uint32_t ip; /* host bits zero */
	int len;
};
bool ip4_parse(const char *s, uint32_t *ret);
void ip4_text(uint32_t ip, char ret[IP4_TEXT_MAX]);
bool ip4_net_parse(const char *s, struct ip4_net *ret_net, uint32_t *ret_ip); /* "192.168.5.1/24"; ret_ip may be NULL */
void ip4_net_text(struct ip4_net net, char ret[IP4_TEXT_MAX + 4]);
uint32_t ip4_mask(int len);
bool ip4_in(struct ip4_net net, uint32_t ip);
bool ip4_overlap(struct ip4_net a, struct ip4_net b);
bool mac_parse(const char *s, uint8_t ret[6]);
void mac_text(const uint8_t mac[6], char ret[18]);

struct pool { /* networks of `size` bits cut out of base */
	struct ip4_net base;
	int size;
};
int pool_parse(const char *s, struct pool *ret, struct err *e); /* "172.17.0.0/16,16" */
/* The first network of the pools that overlaps none of taken[]; false when all do */
bool pool_choose(const struct strv *pools, const struct ip4_net *taken, size_t n_taken, struct ip4_net *ret);
extern const char *const default_pools[];

struct ip4_set { /* addresses in use within a network: one bit each */
	struct ip4_net net;
	uint64_t *bits;
};
void ip4_set_init(struct ip4_set *s, struct ip4_net net); /* network and broadcast address are taken from the start */
void ip4_set_done(struct ip4_set *s);
bool ip4_set_take(struct ip4_set *s, uint32_t ip); /* false: in use already, or outside */
bool ip4_set_take_lowest(struct ip4_set *s, struct ip4_net range, uint32_t *ret);
void ip4_set_release(struct ip4_set *s, uint32_t ip);

/* ---- the module's state ---- */
struct network {
	struct net_network rec;
	uint32_t gateway;
	struct ip4_set used;  /* bridge networks */
	struct ip4_net range; /* where addresses are taken from */
	uint32_t ifindex;     /* of the bridge, since net_start */
	uint32_t mtu;
	bool icc_off, masq_off;
};
struct claim { /* one host port of ours */
	bool udp;
	char ip[INET6_ADDRSTRLEN];
	uint16_t port;
	char endpoint[65];
};
struct net {
	pthread_mutex_t admin;   /* making and removing networks, one at a time; taken before the others */
	pthread_mutex_t io_lock; /* rt_fd, nft_fd: one batch at a time; taken before lock, if both */
	pthread_mutex_t lock;    /* networks, endpoints, claims, next_port */
	int rt_fd, nft_fd;       /* of the host's namespace */

	/* configuration; constant after net_open */
	char bridge[16], table[NFT_NAME_MAX];
	char *bip, *default_ip;
	struct strv pools;
	uint32_t mtu;
	bool no_bridge, own_bridge, icc_off, ip_forward_off, ip_masq_off, firewall_off;
	enum net_firewall integration;
	struct net_store store;

	struct {
		struct network *v;
		size_t n;
	} networks;
	struct net_endpoints endpoints;
	struct {
		struct claim *v;
		size_t n;
	} claims;
	uint32_t next_port;
	bool set_ip_forward, set_route_localnet; /* io_lock */
};
struct bridge_plan { /* its gateway's address and network */
	struct ip4_net net;
	uint32_t gateway;
};
void network_settings(struct net *n, struct network *w); /* what its options say */
int network_save(struct net *n, const struct network *w, struct err *e);
/* The bridge with its address, up; an existing link of that name is used. w->ifindex, gateway and used are set. */
int network_bridge(struct net *n, struct network *w, const struct bridge_plan *p, struct err *e);
int network_restore(struct net *n, struct network *w, struct err *e); /* custom.c: one that was stored */
struct network *network_find(struct net *n, const char *name_or_id);  /* lock held; exact name, id or unique prefix */
struct network *network_by_id(struct net *n, const char *id);         /* lock held */

struct net_endpoint *endpoint_find(struct net *n, const char *id); /* lock held */

/* ---- firewall.c (takes io_lock itself) ---- */
int firewall_replace(struct net *n, struct err *e); /* with the ports of n->endpoints */
/* ... or makes sure that the table is there, for an endpoint without ports. The endpoint is among n->endpoints */
int firewall_ports_add(struct net *n, const struct net_endpoint *ep, struct err *e);
void firewall_ports_del(struct net *n, const struct net_endpoint *ep);
int firewall_integrate(struct net *n, struct err *e);
void firewall_disintegrate(struct net *n);
int firewall_blocker(struct net *n, char **ret, bool *ret_passed, struct err *e);

/* ---- ports.c ---- */
void claims_restore(struct net *n, const struct net_endpoint *ep); /* lock held */
void claims_drop(struct net *n, const char *endpoint_id);          /* lock held */
