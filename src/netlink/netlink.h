/* netlink.h - batches of rtnetlink and nf_tables requests over a given socket: our own, or one lent from another network namespace.
 * A batch is a row of messages, each with the name of its step; it goes out in one sendmsg, the kernel works it off before that call
 * returns, and the first refusal comes back as "STEP: reason". rtnetlink goes on after a refused message; an nf_tables batch is atomic.
 *
 * Addresses are in network byte order. A batch is used by one thread; a socket by one batch at a time (the caller's lock). */
#pragma once

#include "base/base.h"

struct nlmsghdr;
struct nl_batch {
	struct strb buf;
	struct {
		struct nl_step {
			uint32_t seq;
			const char *name; /* lent: a literal */
		} * v;
		size_t n;
	} steps;
	uint32_t seq;  /* of the last message */
	size_t open;   /* offset of the message being built */
	bool building; /* ... and whether there is one */
	bool nft;      /* between nft_begin and nl_run */
};
#define NL_BATCH_INIT ((struct nl_batch){ 0 })
#define AUTO_NL CLEANUP(nl_batch_done)
void nl_batch_done(struct nl_batch *b);

int nl_open(int protocol); /* NETLINK_ROUTE, NETLINK_NETFILTER; CLOEXEC; in the caller's namespace. -errno */
/* A new message with NLM_F_REQUEST | flags; room = bytes it may grow by. The pointer holds until the next call. */
struct nlmsghdr *nl_add(struct nl_batch *b, const char *step, uint16_t type, uint16_t flags, size_t room);
/* 0 when every message was accepted; else the first refusal. The batch is empty afterwards. An empty batch succeeds. */
int nl_run(struct nl_batch *b, int fd, struct err *e);
/* The same, with every answer that is not an acknowledgement given to each(); for get and dump requests. */
int nl_query(struct nl_batch *b, int fd, int (*each)(void *arg, const struct nlmsghdr *m), void *arg, struct err *e);

/* ---- rtnetlink: messages ---- */
struct rtnl_veth {
	const char *name, *peer_name;
	const uint8_t *peer_mac; /* 6 bytes */
	int peer_ns_fd;
	uint32_t master; /* ifindex of the bridge, 0 = none */
	uint32_t mtu;    /* 0 = the kernel's */
};
void rtnl_veth_add(struct nl_batch *b, const char *step, const struct rtnl_veth *v);
void rtnl_bridge_add(struct nl_batch *b, const char *step, const char *name, const uint8_t mac[6], uint32_t mtu);
/* A link is named by index, or by name where the index is 0. */
struct rtnl_link {
	uint32_t index;
	const char *name;
};
void rtnl_link_up(struct nl_batch *b, const char *step, struct rtnl_link l, bool up);
void rtnl_link_del(struct nl_batch *b, const char *step, struct rtnl_link l);
void rtnl_link_no_ipv6(struct nl_batch *b, const char *step, struct rtnl_link l); /* no link-local address by itself */
void rtnl_link_mtu(struct nl_batch *b, const char *step, struct rtnl_link l, uint32_t mtu);
enum rtnl_port_flags { RTNL_PORT_ISOLATED = 1, RTNL_PORT_HAIRPIN = 2 };
void rtnl_port_flags_set(struct nl_batch *b, const char *step, struct rtnl_link l, unsigned flags);
void rtnl_addr_add(struct nl_batch *b, const char *step, uint32_t ifindex, uint32_t ip4, int prefix_len);
void rtnl_addr_del(struct nl_batch *b, const char *step, uint32_t ifindex, uint32_t ip4, int prefix_len);
void rtnl_route_default_add(struct nl_batch *b, const char *step, uint32_t ifindex, uint32_t gateway4);
void rtnl_route_default_del(struct nl_batch *b, const char *step); /* whichever there is */

/* ---- rtnetlink: questions ---- */
struct rtnl_info {
	uint32_t index, mtu, master;
	bool up, running; /* running: RFC 2863's operational state is up */
	char kind[16];    /* "bridge", "veth", "" */
	uint8_t mac[6];
};
int rtnl_link_get(int fd, const char *name, struct rtnl_info *ret,
		  struct err *e); /* -ENODEV where absent, e untouched */
/* Subnets (IPv4) that the host knows: its addresses on links and its routes in the main table, the default route left out */
struct rtnl_subnet {
	uint32_t ip4;
	int prefix_len;
	uint32_t ifindex;
	bool is_addr; /* an address of the link (ip4 is then the address itself), else a route */
};
struct rtnl_subnets {
	struct rtnl_subnet *v;
	size_t n;
};
int rtnl_subnets_get(int fd, struct rtnl_subnets *ret, struct err *e);
void rtnl_subnets_done(struct rtnl_subnets *s);
#define AUTO_SUBNETS CLEANUP(rtnl_subnets_done)

/* ---- nf_tables: one atomic batch: nft_begin, additions and deletions, nl_run ---- */
#define NFT_NAME_MAX 32
void nft_begin(struct nl_batch *b);
void nft_table_add(struct nl_batch *b, const char *step, int family, const char *table);
void nft_table_del(struct nl_batch *b, const char *step, int family, const char *table);
struct nft_chain {
	int family;
	const char *table, *name;
	const char *type; /* NULL = not a base chain; "filter", "nat" */
	int hook, priority;
	bool policy_drop;
};
void nft_chain_add(struct nl_batch *b, const char *step, const struct nft_chain *c);
struct nft_set {
	int family;
	const char *table, *name;
	uint32_t id;       /* unique within the batch */
	uint32_t key_type; /* nft's own numbers, so that `nft list` shows words; concatenations 6 bits each */
	uint32_t key_len;
	uint32_t data_type, data_len; /* 0 = a set, else a map */
	bool interval;
};
void nft_set_add(struct nl_batch *b, const char *step, const struct nft_set *s);
struct nft_elem {
	const void *key, *data; /* data only in maps (and not needed for deletion) */
	bool interval_end;
};
#define NFT_ELEMS_MAX 256 /* per message; more are split */
void nft_elems_add(struct nl_batch *b, const char *step, const struct nft_set *s, const struct nft_elem *v, size_t n);
void nft_elems_del(struct nl_batch *b, const char *step, const struct nft_set *s, const struct nft_elem *v, size_t n);

/* Rules are built from small expressions; names follow nft's language. Registers: 1 is the 16-byte register that reg32 8..11 share. */
struct nftnl_rule;
struct nftnl_rule *nft_rule_new(int family, const char *table, const char *chain);
void nft_rule_comment(struct nftnl_rule *r, const char *comment);
void nft_x_meta(struct nftnl_rule *r, uint32_t key, uint32_t reg);
void nft_x_payload(struct nftnl_rule *r, uint32_t base, uint32_t offset, uint32_t len, uint32_t reg);
void nft_x_cmp(struct nftnl_rule *r, uint32_t reg, bool equal, const void *data, uint32_t len);
void nft_x_mask(struct nftnl_rule *r, uint32_t reg, const void *mask, uint32_t len);
void nft_x_ct_state(struct nftnl_rule *r, uint32_t bits);  /* ct state in (NF_CT_STATE_BIT's) */
void nft_x_ct_status(struct nftnl_rule *r, uint32_t bits); /* ct status in (IPS_*) */
void nft_x_fib_daddr_local(struct nftnl_rule *r);
void nft_x_lookup(struct nftnl_rule *r, const struct nft_set *s, uint32_t reg, bool negate);
void nft_x_lookup_map(struct nftnl_rule *r, const struct nft_set *s, uint32_t reg, uint32_t dreg);
void nft_x_dnat(struct nftnl_rule *r, uint32_t reg_addr, uint32_t reg_port);
void nft_x_masquerade(struct nftnl_rule *r);
void nft_x_counter(struct nftnl_rule *r);
void nft_x_verdict(struct nftnl_rule *r, int verdict); /* NF_ACCEPT, NF_DROP, NFT_RETURN */
enum nft_place { NFT_APPEND, NFT_INSERT };
void nft_rule_add(struct nl_batch *b, const char *step, struct nftnl_rule *r, enum nft_place place); /* frees r */
void nft_rule_del(struct nl_batch *b, const char *step, int family, const char *table, const char *chain,
		  uint64_t handle);

/* ---- nf_tables: questions ---- */
struct nft_chain_info {
	int family;
	char table[64], name[64];
	bool base, policy_drop;
	int hook, priority;
};
struct nft_chains {
	struct nft_chain_info *v;
	size_t n;
};
int nft_table_get(int fd, int family, const char *table);          /* 0, -ENOENT, -errno */
int nft_chains_get(int fd, struct nft_chains *ret, struct err *e); /* of all families */
void nft_chains_done(struct nft_chains *c);
#define AUTO_CHAINS CLEANUP(nft_chains_done)
/* Handles of a chain's rules whose comment is `comment`; free *ret. Count or -errno. */
int nft_rules_by_comment(int fd, int family, const char *table, const char *chain, const char *comment, uint64_t **ret,
			 struct err *e);

/* The old iptables' table: does its FORWARD chain's policy drop? In the caller's namespace; false where it is not in use. */
int legacy_forward_drops(bool *ret);

/* ---- connection tracking ---- */
/* Ends the UDP conversations whose first packet went to this port (host byte order), whatever the address. */
int nl_conntrack_forget_udp(int fd, uint16_t dst_port, struct err *e);
