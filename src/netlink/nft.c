/* nft.c - tables, chains, sets and their elements, over libnftnl; questions about chains and rules. */
#include "netlink/netlink.h"

#include <sys/socket.h>
#include <libmnl/libmnl.h>
#include <libnftnl/chain.h>
#include <libnftnl/rule.h>
#include <libnftnl/set.h>
#include <libnftnl/table.h>
#include <libnftnl/udata.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>

#define ROOM 2048
#define ELEM_ROOM 192 /* bytes of one element with headers: key 32, data 16, three nests */

static struct nlmsghdr *nft_message(struct nl_batch *b, const char *step, int type, uint16_t flags, int family,
				    size_t room)
{
	struct nlmsghdr *m = nl_add(b, step, (uint16_t)(NFNL_SUBSYS_NFTABLES << 8 | type), flags, room);
	struct nfgenmsg *g = mnl_nlmsg_put_extra_header(m, sizeof *g);

	*g = (struct nfgenmsg){ .nfgen_family = (uint8_t)family, .version = NFNETLINK_V0 };
	return m;
}

static void table_message(struct nl_batch *b, const char *step, int type, uint16_t flags, int family, const char *table)
{
	struct nftnl_table *t = nftnl_table_alloc();
	struct nlmsghdr *m = nft_message(b, step, type, flags, family, ROOM);

	nftnl_table_set_str(t, NFTNL_TABLE_NAME, table);
	nftnl_table_nlmsg_build_payload(m, t);
	nftnl_table_free(t);
}

void nft_table_add(struct nl_batch *b, const char *step, int family, const char *table)
{
	table_message(b, step, NFT_MSG_NEWTABLE, NLM_F_CREATE, family, table);
}

void nft_table_del(struct nl_batch *b, const char *step, int family, const char *table)
{
	table_message(b, step, NFT_MSG_DELTABLE, 0, family, table);
}

void nft_chain_add(struct nl_batch *b, const char *step, const struct nft_chain *c)
{
	struct nftnl_chain *x = nftnl_chain_alloc();
	struct nlmsghdr *m = nft_message(b, step, NFT_MSG_NEWCHAIN, NLM_F_CREATE, c->family, ROOM);

	nftnl_chain_set_str(x, NFTNL_CHAIN_TABLE, c->table);
	nftnl_chain_set_str(x, NFTNL_CHAIN_NAME, c->name);
	if (c->type) {
		nftnl_chain_set_str(x, NFTNL_CHAIN_TYPE, c->type);
		nftnl_chain_set_u32(x, NFTNL_CHAIN_HOOKNUM, (uint32_t)c->hook);
		nftnl_chain_set_s32(x, NFTNL_CHAIN_PRIO, c->priority);
		nftnl_chain_set_u32(x, NFTNL_CHAIN_POLICY, c->policy_drop ? NF_DROP : NF_ACCEPT);
	}
	nftnl_chain_nlmsg_build_payload(m, x);
	nftnl_chain_free(x);
}

void nft_set_add(struct nl_batch *b, const char *step, const struct nft_set *s)
{
	struct nftnl_set *x = nftnl_set_alloc();
	struct nlmsghdr *m = nft_message(b, step, NFT_MSG_NEWSET, NLM_F_CREATE, s->family, ROOM);

	nftnl_set_set_u32(x, NFTNL_SET_FAMILY, (uint32_t)s->family);
	nftnl_set_set_str(x, NFTNL_SET_TABLE, s->table);
	nftnl_set_set_str(x, NFTNL_SET_NAME, s->name);
	nftnl_set_set_u32(x, NFTNL_SET_ID, s->id);
	nftnl_set_set_u32(x, NFTNL_SET_FLAGS, (s->interval ? NFT_SET_INTERVAL : 0) | (s->data_len ? NFT_SET_MAP : 0));
	nftnl_set_set_u32(x, NFTNL_SET_KEY_TYPE, s->key_type);
	nftnl_set_set_u32(x, NFTNL_SET_KEY_LEN, s->key_len);
	if (s->data_len) {
		nftnl_set_set_u32(x, NFTNL_SET_DATA_TYPE, s->data_type);
		nftnl_set_set_u32(x, NFTNL_SET_DATA_LEN, s->data_len);
	}
	nftnl_set_nlmsg_build_payload(m, x);
	nftnl_set_free(x);
}

static void elems_message(struct nl_batch *b, const char *step, bool add, const struct nft_set *s,
			  const struct nft_elem *v, size_t n)
{
	struct nftnl_set *x = nftnl_set_alloc();
	struct nlmsghdr *m = nft_message(b, step, add ? NFT_MSG_NEWSETELEM : NFT_MSG_DELSETELEM, add ? NLM_F_CREATE : 0,
					 s->family, ROOM + n * ELEM_ROOM);

	nftnl_set_set_str(x, NFTNL_SET_TABLE, s->table);
	nftnl_set_set_str(x, NFTNL_SET_NAME, s->name);
	nftnl_set_set_u32(x, NFTNL_SET_ID, s->id);
	for (size_t i = 0; i < n; i++) {
		struct nftnl_set_elem *el = nftnl_set_elem_alloc();

		nftnl_set_elem_set(el, NFTNL_SET_ELEM_KEY, v[i].key, s->key_len);
		if (add && s->data_len && v[i].data)
			nftnl_set_elem_set(el, NFTNL_SET_ELEM_DATA, v[i].data, s->data_len);
		if (v[i].interval_end)
			nftnl_set_elem_set_u32(el, NFTNL_SET_ELEM_FLAGS, NFT_SET_ELEM_INTERVAL_END);
		nftnl_set_elem_add(x, el);
	}
	nftnl_set_elems_nlmsg_build_payload(m, x);
	nftnl_set_free(x); /* and its elements */
}

static void elems_split(struct nl_batch *b, const char *step, bool add, const struct nft_set *s,
			const struct nft_elem *v, size_t n)
{
	for (size_t i = 0; i < n; i += NFT_ELEMS_MAX)
		elems_message(b, step, add, s, v + i, MIN(n - i, (size_t)NFT_ELEMS_MAX));
}

void nft_elems_add(struct nl_batch *b, const char *step, const struct nft_set *s, const struct nft_elem *v, size_t n)
{
	elems_split(b, step, true, s, v, n);
}

void nft_elems_del(struct nl_batch *b, const char *step, const struct nft_set *s, const struct nft_elem *v, size_t n)
{
	elems_split(b, step, false, s, v, n);
}

void nft_rule_add(struct nl_batch *b, const char *step, struct nftnl_rule *r, enum nft_place place)
{
	struct nlmsghdr *m = nft_message(b, step, NFT_MSG_NEWRULE,
					 NLM_F_CREATE | (place == NFT_APPEND ? NLM_F_APPEND : 0),
					 (int)nftnl_rule_get_u32(r, NFTNL_RULE_FAMILY), ROOM);

	nftnl_rule_nlmsg_build_payload(m, r);
	nftnl_rule_free(r);
}

void nft_rule_del(struct nl_batch *b, const char *step, int family, const char *table, const char *chain,
		  uint64_t handle)
{
	struct nftnl_rule *r = nftnl_rule_alloc();
	struct nlmsghdr *m = nft_message(b, step, NFT_MSG_DELRULE, 0, family, ROOM);

	nftnl_rule_set_str(r, NFTNL_RULE_TABLE, table);
	nftnl_rule_set_str(r, NFTNL_RULE_CHAIN, chain);
	nftnl_rule_set_u64(r, NFTNL_RULE_HANDLE, handle);
	nftnl_rule_nlmsg_build_payload(m, r);
	nftnl_rule_free(r);
}

/* ---- questions ---- */
static int ignore(void *arg, const struct nlmsghdr *m)
{
	return 0;
}

int nft_table_get(int fd, int family, const char *table)
{
	AUTO_NL struct nl_batch b = NL_BATCH_INIT;
	struct nlmsghdr *m = nft_message(&b, "looking for a firewall table", NFT_MSG_GETTABLE, 0, family, ROOM);

	m->nlmsg_flags &= (uint16_t)~NLM_F_ACK;
	mnl_attr_put_strz(m, NFTA_TABLE_NAME, table);
	return nl_query(&b, fd, ignore, NULL, NULL);
}

static int read_chain(void *arg, const struct nlmsghdr *m)
{
	struct nftnl_chain *x = nftnl_chain_alloc();
	struct nft_chains *ret = arg;
	struct nft_chain_info *c;

	if (nftnl_chain_nlmsg_parse(m, x) < 0) {
		nftnl_chain_free(x);
		return 0;
	}
	c = VEC_ADD(ret);
	c->family = (int)nftnl_chain_get_u32(x, NFTNL_CHAIN_FAMILY);
	snprintf(c->table, sizeof c->table, "%s", nftnl_chain_get_str(x, NFTNL_CHAIN_TABLE));
	snprintf(c->name, sizeof c->name, "%s", nftnl_chain_get_str(x, NFTNL_CHAIN_NAME));
	c->base = nftnl_chain_is_set(x, NFTNL_CHAIN_HOOKNUM);
	if (c->base) {
		c->hook = (int)nftnl_chain_get_u32(x, NFTNL_CHAIN_HOOKNUM);
		c->priority = nftnl_chain_get_s32(x, NFTNL_CHAIN_PRIO);
		c->policy_drop = nftnl_chain_is_set(x, NFTNL_CHAIN_POLICY) &&
				 nftnl_chain_get_u32(x, NFTNL_CHAIN_POLICY) == NF_DROP;
	}
	nftnl_chain_free(x);
	return 0;
}

void nft_chains_done(struct nft_chains *c)
{
	free(c->v);
	*c = (struct nft_chains){ 0 };
}

int nft_chains_get(int fd, struct nft_chains *ret, struct err *e)
{
	AUTO_NL struct nl_batch b = NL_BATCH_INIT;
	AUTO_CHAINS struct nft_chains found = { 0 };
	struct nlmsghdr *m = nft_message(&b, "listing firewall chains", NFT_MSG_GETCHAIN, NLM_F_DUMP, AF_UNSPEC, ROOM);
	int r;

	m->nlmsg_flags &= (uint16_t)~NLM_F_ACK;
	r = nl_query(&b, fd, read_chain, &found, e);
	if (r < 0)
		return r;
	*ret = found;
	found = (struct nft_chains){ 0 };
	return 0;
}

struct rule_search {
	const char *comment;
	struct {
		uint64_t *v;
		size_t n;
	} handles;
};

static int read_comment(const struct nftnl_udata *attr, void *arg)
{
	const char **ret = arg;

	if (nftnl_udata_type(attr) == NFTNL_UDATA_RULE_COMMENT)
		*ret = nftnl_udata_get(attr);
	return 0;
}

static int read_rule(void *arg, const struct nlmsghdr *m)
{
	struct nftnl_rule *x = nftnl_rule_alloc();
	struct rule_search *s = arg;
	const char *comment = NULL;
	const void *data = NULL;
	uint32_t len = 0;

	if (nftnl_rule_nlmsg_parse(m, x) >= 0 && nftnl_rule_is_set(x, NFTNL_RULE_USERDATA)) {
		data = nftnl_rule_get_data(x, NFTNL_RULE_USERDATA, &len);
		(void)nftnl_udata_parse(data, len, read_comment, &comment);
		if (comment && memchr(comment, 0, len) && streq(comment, s->comment))
			*VEC_ADD(&s->handles) = nftnl_rule_get_u64(x, NFTNL_RULE_HANDLE);
	}
	nftnl_rule_free(x);
	return 0;
}

int nft_rules_by_comment(int fd, int family, const char *table, const char *chain, const char *comment, uint64_t **ret,
			 struct err *e)
{
	AUTO_NL struct nl_batch b = NL_BATCH_INIT;
	struct rule_search s = { .comment = comment };
	struct nlmsghdr *m = nft_message(&b, "listing firewall rules", NFT_MSG_GETRULE, NLM_F_DUMP, family, ROOM);
	int r;

	m->nlmsg_flags &= (uint16_t)~NLM_F_ACK;
	mnl_attr_put_strz(m, NFTA_RULE_TABLE, table);
	mnl_attr_put_strz(m, NFTA_RULE_CHAIN, chain);
	r = nl_query(&b, fd, read_rule, &s, e);
	if (r < 0) {
		free(s.handles.v);
		return r;
	}
	*ret = s.handles.v;
	return (int)s.handles.n;
}
