/* net.h - container networks: the default bridge, host, none and bridges of the user's own; addresses, endpoints, published ports, and the texts of hosts
 * and resolv.conf. Everything it makes on the host carries the instance's own names (its bridge, br-<id> per network of the user's, one nft table `ip <table>`);
 * nothing else is touched, save the sysctls ip_forward and route_localnet (net_status says when) and, where asked for, one jump in
 * a foreign DOCKER-USER chain.
 *
 * hoyd never enters a namespace: what happens inside a container goes over netlink sockets born there, lent by its shim.
 * Thread-safe: struct net guards its tables by one mutex, its netlink sockets by another; no lock is held across I/O of a container.
 *
 * A container's life, in calls:
 *     net_endpoint_prepare   address, MAC, names                        (start, before the plan: hosts and resolv.conf need them)
 *     net_ports_reserve      host ports, as really bound sockets        (the caller hands them to the shim, which holds them)
 *     net_endpoint_attach    veth, address, route, port rules           (between SHIM_NETNS and SHIM_GO)
 *     ... running; hoyd may die here: net_start gets the endpoints of the running containers again ...
 *     net_endpoint_detach    port rules go; the veth dies with the namespace
 *     net_endpoint_release   address and host ports are free again
 * Each later step may be called after an earlier one failed; detach and release of something unknown do nothing. */
#pragma once

#include "base/base.h"
#include "json/json.h"

struct net;

/* ---- configuration ---- */
enum net_firewall { NET_FIREWALL_NONE, NET_FIREWALL_DOCKER_USER };
struct net_config {
	const char *instance; /* NULL or "" = the default instance (bridge hoy0, table hoy); others: hoy-<hash of it> */
	const char *bridge;   /* --bridge: NULL = named after the instance; "none" = no default bridge network */
	const char *bip;      /* --bip "192.168.5.1/24": gateway and subnet; NULL = first pool that overlaps no route */
	struct strv pools;    /* --default-address-pool as "base,size" ("172.17.0.0/16,16"); empty = Docker's */
	const char *default_ip; /* --ip: host address of ports published without one; NULL = 0.0.0.0 and [::] */
	int mtu;                /* --mtu, 0 = 1500 */
	bool icc_off;           /* --icc=false */
	bool ip_forward_off;    /* --ip-forward=false */
	bool ip_masq_off;       /* --ip-masq=false */
	bool firewall_off;      /* --iptables=false: no nft table at all; ports are then relayed */
	enum net_firewall integration;
};
int net_firewall_parse(const char *s, enum net_firewall *ret, struct err *e); /* "none", "docker-user" */

/* ---- where networks are kept: callbacks of the database (JSON document by id). Called without locks held. ---- */
struct net_store {
	void *ctx;
	int (*save)(void *ctx, const char *id, const char *json, size_t n, struct err *e);
	int (*remove)(void *ctx, const char *id, struct err *e);
	/* calls each(arg, json, n) per stored network; NULL functions = nothing is kept */
	int (*load)(void *ctx, int (*each)(void *arg, const char *json, size_t n, struct err *e), void *arg,
		    struct err *e);
};

/* ---- data ---- */
/* clang-format off */
#define NET_NETWORK_FIELDS(F, T)                                                    \
	F(T, STR,   name,        "Name",       0, none)                             \
	F(T, STR,   id,          "Id",         0, none)  /* 64 hex digits */        \
	F(T, STR,   created,     "Created",    0, none)  /* RFC 3339 */             \
	F(T, STR,   driver,      "Driver",     0, none)  /* bridge, host, null */   \
	F(T, STR,   scope,       "Scope",      0, none)  /* local */                \
	F(T, BOOL,  enable_ipv6, "EnableIPv6", 0, none)                             \
	F(T, BOOL,  internal,    "Internal",   0, none)                             \
	F(T, BOOL,  attachable,  "Attachable", 0, none)                             \
	F(T, STR,   subnet,      "Subnet",     0, none)  /* "172.17.0.0/16" or NULL */ \
	F(T, STR,   gateway,     "Gateway",    0, none)                             \
	F(T, STR,   bridge,      "Bridge",     0, none)  /* the link's name */      \
	F(T, MAP,   options,     "Options",    0, none)  /* com.docker.network... */ \
	F(T, MAP,   labels,      "Labels",     0, none)                             \
	F(T, STR,   ip_range,    "IPRange",    OMIT_EMPTY, none) /* addresses come out of it */ \
	F(T, MAP,   aux,         "AuxiliaryAddresses", OMIT_EMPTY, none) /* never given out */ \
	F(T, STR,   asked_gateway, "AskedGateway", OMIT_EMPTY, none) /* as the client wrote it */ \
	F(T, BOOL,  user_subnet, "UserSubnet", OMIT_EMPTY, none) /* chosen by the client, not out of a pool */ \
	F(T, BOOL,  foreign_link, "ForeignLink", OMIT_EMPTY, none) /* the bridge was there before: not ours to remove */ \
	F(T, MAP,   ipam_options, "IPAMOptions", NULL_EMPTY, none)                  \
	F(T, EXTRA, extra,       "",           0, none)
JSON_STRUCT(net_network, NET_NETWORK_FIELDS)

/* one host port that leads to a container's port */
#define NET_PORT_FIELDS(F, T)                                                       \
	F(T, STR,  proto,     "Proto",    0, none)       /* tcp, udp */             \
	F(T, INT,  port,      "Port",     0, none)       /* in the container */     \
	F(T, STR,  host_ip,   "HostIp",   0, none)       /* "0.0.0.0", "::", ... */ \
	F(T, INT,  host_port, "HostPort", 0, none)                                  \
	F(T, BOOL, relay,     "Relay",    0, none)       /* by a process, not by nft */
JSON_STRUCT(net_port, NET_PORT_FIELDS)

/* What the engine keeps in the container's record while it runs */
#define NET_ENDPOINT_FIELDS(F, T)                                                   \
	F(T, STR,  id,           "EndpointID",  0, none)                            \
	F(T, STR,  network_id,   "NetworkID",   0, none)                            \
	F(T, STR,  network,      "Network",     0, none) /* its name */             \
	F(T, STR,  container_id, "ContainerID", 0, none)                            \
	F(T, STR,  name,         "Name",        0, none) /* the container's */      \
	F(T, STR,  ifname,       "IfName",      0, none) /* inside: eth0 */         \
	F(T, STR,  host_ifname,  "HostIfName",  0, none) /* vethXXXXXXX */          \
	F(T, STR,  mac,          "MacAddress",  0, none) /* "" for host and none */ \
	F(T, STR,  ip,           "IPAddress",   0, none)                            \
	F(T, INT,  prefix_len,   "IPPrefixLen", 0, none)                            \
	F(T, STR,  gateway,      "Gateway",     0, none)                            \
	F(T, BOOL, default_route, "DefaultRoute", OMIT_EMPTY, none) /* the container's way out is here */ \
	F(T, STRV, names,        "DNSNames",    OMIT_EMPTY, none) /* what others on the network may call it */ \
	F(T, LIST, ports,        "Ports",       0, net_port)
JSON_STRUCT(net_endpoint, NET_ENDPOINT_FIELDS)
/* clang-format on */
static inline void net_endpoint_done(struct net_endpoint *ep)
{
	json_done(&net_endpoint_type, ep);
}
static inline void net_network_done(struct net_network *nw)
{
	json_done(&net_network_type, nw);
}
struct net_networks {
	struct net_network *v;
	size_t n;
};
struct net_endpoints {
	struct net_endpoint *v;
	size_t n;
};
void net_networks_done(struct net_networks *v);
void net_endpoints_done(struct net_endpoints *v);

/* ---- the daemon's life ---- */
/* Loads the networks, makes records for bridge, host and none where there are none yet. Changes nothing in the kernel. */
int net_open(const struct net_config *c, const struct net_store *store, struct net **ret, struct err *e);
/* Bridge and base rules; `running` are the endpoints of containers that still run (none at first start). The nft table is replaced
 * in one transaction, so connections through published ports of running containers go on. Idempotent. */
int net_start(struct net *n, const struct net_endpoint *running, size_t n_running, struct err *e);
void net_close(struct net *n);               /* forgets; the kernel's side goes on working. NULL is fine */
int net_purge(struct net *n, struct err *e); /* removes our bridge and table (tests, uninstall) */

struct net_status {
	char bridge[16], table[32];
	bool set_ip_forward, set_route_localnet; /* by this process */
	char *blocker; /* NULL, or "table ip filter, chain FORWARD (policy drop)": forwarded packets die there */
	bool passed;   /* ... but the integration lets ours through */
};
int net_status(struct net *n, struct net_status *ret,
	       struct err *e); /* asks the kernel: dumps chains, not for hot paths */
void net_status_done(struct net_status *s);

/* ---- networks ---- */
int net_list(struct net *n, struct net_networks *ret);
int net_get(struct net *n, const char *name_or_id, struct net_network *ret,
	    struct err *e); /* name, id, unique prefix */
int net_network_endpoints(struct net *n, const char *network_id,
			  struct net_endpoints *ret); /* attached or prepared ones */
bool net_subnet_has(const char *subnet, const char *ip);
bool net_predefined(const char *name); /* bridge, host, none, default: Docker's own */
/* A bridge network: of `want` name, internal, attachable, options, labels, subnet, ip_range, asked_gateway, aux and ipam_options count.
 * The record is stored before the bridge exists, and goes after it: what a crash leaves is made whole by the next net_start. */
int net_network_create(struct net *n, const struct net_network *want, struct net_network *ret, struct err *e);
int net_network_remove(struct net *n, const char *name_or_id, struct net_network *ret_was, struct err *e);

/* ---- endpoints ---- */
struct net_endpoint_req {
	const char *network; /* name or id; "default" = bridge */
	const char *container_id, *container_name;
	const char *ip;           /* explicit address or NULL */
	const char *mac;          /* explicit MAC or NULL */
	const char *ifname;       /* inside; NULL = eth0 */
	const struct strv *names; /* for DNSNames, or NULL */
};
int net_endpoint_prepare(struct net *n, const struct net_endpoint_req *req, struct net_endpoint *ret, struct err *e);
/* The container's default route leads over ep from now on (ep = NULL: nowhere). Known endpoints are told apart by it at restore. */
int net_endpoint_route(struct net *n, const char *container_id, const struct net_endpoint *ep, int rt_fd,
		       struct err *e);
/* Its host ports are withdrawn and free again; the caller lets the sockets go. */
void net_ports_release(struct net *n, struct net_endpoint *ep);
int net_ports_publish(struct net *n, const struct net_endpoint *ep, struct err *e); /* reserved after it was attached */
void net_endpoint_rename(struct net *n, const char *endpoint_id, const char *container_name, const struct strv *names);
/* netns_fd, rt_fd (NETLINK_ROUTE) and nf_fd (NETLINK_NETFILTER, may be -1) are of the container's namespace; they stay the caller's.
 * host: does nothing. none: brings lo up. */
int net_endpoint_attach(struct net *n, const struct net_endpoint *ep, int netns_fd, int rt_fd, int nf_fd,
			struct err *e);
enum net_detach {
	NET_NAMESPACE_DIES, /* the container ended: the kernel removes the veth, we never wait for it */
	NET_NAMESPACE_LIVES /* disconnect, or a failed start: the veth is deleted here (10-30 ms) */
};
void net_endpoint_detach(struct net *n, const struct net_endpoint *ep, enum net_detach how);
void net_endpoint_release(struct net *n, const struct net_endpoint *ep);

/* ---- published ports ---- */
struct net_publish {       /* one PortBindings entry of a container, or one exposed port with -P */
	const char *proto; /* tcp, udp; NULL = tcp */
	uint16_t port;
	const char *host_ip;                      /* "" or NULL = the default: 0.0.0.0 and [::] */
	uint16_t host_port_first, host_port_last; /* 0,0 = ephemeral; last 0 = first */
};
/* "8000", "8000-8010", "" -> the two numbers; Docker's "Invalid hostPort" sentence. A published range arrives here port by port. */
int net_host_port_parse(const char *s, uint16_t *ret_first, uint16_t *ret_last, struct err *e);

struct net_socket {
	int fd;     /* CLOEXEC; owned */
	bool relay; /* false: only hold it open. true: the shim forks a child that calls net_relay() (net/relay.h) on it */
	char proto[8];   /* tcp, udp */
	char target[48]; /* relay: the container's address, "172.17.0.2" */
	uint16_t target_port;
};
struct net_sockets {
	struct net_socket *v;
	size_t n;
};
void net_sockets_done(struct net_sockets *s); /* closes what is left */
/* Fills ep->ports; all or nothing. Conflicts carry Docker's wording, from "driver failed programming external connectivity on
 * endpoint NAME (ID): " on (the engine adds "failed to set up container networking: "). */
int net_ports_reserve(struct net *n, struct net_endpoint *ep, const struct net_publish *v, size_t n_v,
		      struct net_sockets *ret, struct err *e);

/* ---- files of a container: pure functions; every text ends with a newline ---- */
struct net_host_entry {
	const char *ip, *names; /* names as they stand in the line: "host.example host" */
};
/* own = the container's addresses with "hostname.domain hostname"; extra = --add-host and links, in order.
 * ipv6 = write the ip6-* lines too (Docker does, unless the container has IPv6 disabled). */
char *net_hosts_text(const struct net_host_entry *own, size_t n_own, const struct net_host_entry *extra, size_t n_extra,
		     bool ipv6);
struct net_resolv {
	const char *host_text;            /* the host's resolv.conf; NULL = there is none */
	struct strv dns, search, options; /* the container's own; each, where set, replaces the host's */
	bool host_network;                /* localhost name servers stay usable */
};
char *net_resolv_text(const struct net_resolv *r);
/* Which file of the host to read, given the text of /etc/resolv.conf: systemd-resolved's own where that names only its stub */
const char *net_resolv_host_path(const char *etc_text);
