/* nft_rule.c - rules out of small expressions. Registers and keys: linux/netfilter/nf_tables.h. */
#include "netlink/netlink.h"

#include <libnftnl/expr.h>
#include <libnftnl/rule.h>
#include <libnftnl/udata.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/rtnetlink.h>

struct nftnl_rule *nft_rule_new(int family, const char *table, const char *chain)
{
	struct nftnl_rule *r = nftnl_rule_alloc();

	nftnl_rule_set_u32(r, NFTNL_RULE_FAMILY, (uint32_t)family);
	nftnl_rule_set_str(r, NFTNL_RULE_TABLE, table);
	nftnl_rule_set_str(r, NFTNL_RULE_CHAIN, chain);
	return r;
}

void nft_rule_comment(struct nftnl_rule *r, const char *comment)
{
	struct nftnl_udata_buf *u = nftnl_udata_buf_alloc(256);

	if (nftnl_udata_put_strz(u, NFTNL_UDATA_RULE_COMMENT, comment))
		nftnl_rule_set_data(r, NFTNL_RULE_USERDATA, nftnl_udata_buf_data(u), nftnl_udata_buf_len(u));
	nftnl_udata_buf_free(u);
}

static struct nftnl_expr *add(struct nftnl_rule *r, const char *name)
{
	struct nftnl_expr *x = nftnl_expr_alloc(name);

	nftnl_rule_add_expr(r, x);
	return x;
}

void nft_x_meta(struct nftnl_rule *r, uint32_t key, uint32_t reg)
{
	struct nftnl_expr *x = add(r, "meta");

	nftnl_expr_set_u32(x, NFTNL_EXPR_META_KEY, key);
	nftnl_expr_set_u32(x, NFTNL_EXPR_META_DREG, reg);
}

void nft_x_payload(struct nftnl_rule *r, uint32_t base, uint32_t offset, uint32_t len, uint32_t reg)
{
	struct nftnl_expr *x = add(r, "payload");

	nftnl_expr_set_u32(x, NFTNL_EXPR_PAYLOAD_BASE, base);
	nftnl_expr_set_u32(x, NFTNL_EXPR_PAYLOAD_OFFSET, offset);
	nftnl_expr_set_u32(x, NFTNL_EXPR_PAYLOAD_LEN, len);
	nftnl_expr_set_u32(x, NFTNL_EXPR_PAYLOAD_DREG, reg);
}

void nft_x_cmp(struct nftnl_rule *r, uint32_t reg, bool equal, const void *data, uint32_t len)
{
	struct nftnl_expr *x = add(r, "cmp");

	nftnl_expr_set_u32(x, NFTNL_EXPR_CMP_SREG, reg);
	nftnl_expr_set_u32(x, NFTNL_EXPR_CMP_OP, equal ? NFT_CMP_EQ : NFT_CMP_NEQ);
	nftnl_expr_set(x, NFTNL_EXPR_CMP_DATA, data, len);
}

void nft_x_mask(struct nftnl_rule *r, uint32_t reg, const void *mask, uint32_t len)
{
	static const uint8_t zero[16];
	struct nftnl_expr *x = add(r, "bitwise");

	nftnl_expr_set_u32(x, NFTNL_EXPR_BITWISE_SREG, reg);
	nftnl_expr_set_u32(x, NFTNL_EXPR_BITWISE_DREG, reg);
	nftnl_expr_set_u32(x, NFTNL_EXPR_BITWISE_LEN, len);
	nftnl_expr_set(x, NFTNL_EXPR_BITWISE_MASK, mask, len);
	nftnl_expr_set(x, NFTNL_EXPR_BITWISE_XOR, zero, len);
}

static void ct_bits(struct nftnl_rule *r, uint32_t key, uint32_t bits)
{
	struct nftnl_expr *x = add(r, "ct");
	uint32_t zero = 0;

	nftnl_expr_set_u32(x, NFTNL_EXPR_CT_KEY, key);
	nftnl_expr_set_u32(x, NFTNL_EXPR_CT_DREG, NFT_REG_1);
	nft_x_mask(r, NFT_REG_1, &bits, sizeof bits);
	nft_x_cmp(r, NFT_REG_1, false, &zero, sizeof zero);
}

void nft_x_ct_state(struct nftnl_rule *r, uint32_t bits)
{
	ct_bits(r, NFT_CT_STATE, bits);
}

void nft_x_ct_status(struct nftnl_rule *r, uint32_t bits)
{
	ct_bits(r, NFT_CT_STATUS, bits);
}

void nft_x_fib_daddr_local(struct nftnl_rule *r)
{
	struct nftnl_expr *x = add(r, "fib");
	uint32_t local = RTN_LOCAL;

	nftnl_expr_set_u32(x, NFTNL_EXPR_FIB_DREG, NFT_REG_1);
	nftnl_expr_set_u32(x, NFTNL_EXPR_FIB_RESULT, NFT_FIB_RESULT_ADDRTYPE);
	nftnl_expr_set_u32(x, NFTNL_EXPR_FIB_FLAGS, NFTA_FIB_F_DADDR);
	nft_x_cmp(r, NFT_REG_1, true, &local, sizeof local);
}

static struct nftnl_expr *lookup(struct nftnl_rule *r, const struct nft_set *s, uint32_t reg)
{
	struct nftnl_expr *x = add(r, "lookup");

	nftnl_expr_set_u32(x, NFTNL_EXPR_LOOKUP_SREG, reg);
	nftnl_expr_set_str(x, NFTNL_EXPR_LOOKUP_SET, s->name);
	nftnl_expr_set_u32(x, NFTNL_EXPR_LOOKUP_SET_ID, s->id);
	return x;
}

void nft_x_lookup(struct nftnl_rule *r, const struct nft_set *s, uint32_t reg, bool negate)
{
	struct nftnl_expr *x = lookup(r, s, reg);

	if (negate)
		nftnl_expr_set_u32(x, NFTNL_EXPR_LOOKUP_FLAGS, NFT_LOOKUP_F_INV);
}

void nft_x_lookup_map(struct nftnl_rule *r, const struct nft_set *s, uint32_t reg, uint32_t dreg)
{
	nftnl_expr_set_u32(lookup(r, s, reg), NFTNL_EXPR_LOOKUP_DREG, dreg);
}

void nft_x_dnat(struct nftnl_rule *r, uint32_t reg_addr, uint32_t reg_port)
{
	struct nftnl_expr *x = add(r, "nat");

	nftnl_expr_set_u32(x, NFTNL_EXPR_NAT_TYPE, NFT_NAT_DNAT);
	nftnl_expr_set_u32(x, NFTNL_EXPR_NAT_FAMILY, NFPROTO_IPV4);
	nftnl_expr_set_u32(x, NFTNL_EXPR_NAT_REG_ADDR_MIN, reg_addr);
	nftnl_expr_set_u32(x, NFTNL_EXPR_NAT_REG_PROTO_MIN, reg_port);
}

void nft_x_masquerade(struct nftnl_rule *r)
{
	add(r, "masq");
}

void nft_x_counter(struct nftnl_rule *r)
{
	add(r, "counter");
}

void nft_x_verdict(struct nftnl_rule *r, int verdict)
{
	struct nftnl_expr *x = add(r, "immediate");

	nftnl_expr_set_u32(x, NFTNL_EXPR_IMM_DREG, NFT_REG_VERDICT);
	nftnl_expr_set_u32(x, NFTNL_EXPR_IMM_VERDICT, (uint32_t)verdict);
}
