/* conntrack.c - forgetting tracked conversations. A UDP client keeps its conversation's entry alive by going on to send: without this
 * its packets follow an old translation (or the lack of one) for ever. Source: linux/netfilter/nfnetlink_conntrack.h. */
#include "netlink/netlink.h"

#include <netinet/in.h>
#include <sys/socket.h>
#include <libmnl/libmnl.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter/nfnetlink_conntrack.h>

#define ROOM 1024
/* Bits of CTA_FILTER_ORIG_FLAGS (linux 5.8; net/netfilter/nf_internals.h): what of the tuple is to be compared */
#define FILTER_PROTO_NUM (1u << 3)
#define FILTER_PROTO_DST_PORT (1u << 5)

static struct nlmsghdr *ct_message(struct nl_batch *b, const char *step, int type, uint16_t flags)
{
	struct nlmsghdr *m = nl_add(b, step, (uint16_t)(NFNL_SUBSYS_CTNETLINK << 8 | type), flags, ROOM);
	struct nfgenmsg *g = mnl_nlmsg_put_extra_header(m, sizeof *g);

	*g = (struct nfgenmsg){ .nfgen_family = AF_INET, .version = NFNETLINK_V0 };
	return m;
}

struct search {
	uint16_t port; /* network order */
	struct nl_batch *out;
};

static const struct nlattr *find(const struct nlattr *nest, uint16_t type)
{
	const struct nlattr *a;

	mnl_attr_for_each_nested(a, nest)
	{
		if (mnl_attr_get_type(a) == type)
			return a;
	}
	return NULL;
}

/* Kernels before 5.8 ignore the filter: so it is looked at here, too */
static bool tuple_is(const struct nlattr *tuple, uint16_t port)
{
	const struct nlattr *proto = find(tuple, CTA_TUPLE_PROTO), *num = proto ? find(proto, CTA_PROTO_NUM) : NULL,
			    *dst = proto ? find(proto, CTA_PROTO_DST_PORT) : NULL;

	return num && dst && mnl_attr_get_u8(num) == IPPROTO_UDP && mnl_attr_get_u16(dst) == port;
}

static int mark_for_deletion(void *arg, const struct nlmsghdr *m)
{
	const struct nlattr *a, *tuple = NULL;
	struct search *s = arg;
	struct nlmsghdr *del;

	mnl_attr_for_each(a, m, sizeof(struct nfgenmsg))
	{
		if (mnl_attr_get_type(a) == CTA_TUPLE_ORIG)
			tuple = a;
	}
	if (!tuple || mnl_attr_get_payload_len(tuple) > ROOM / 2 || !tuple_is(tuple, s->port))
		return 0;
	del = ct_message(s->out, "forgetting a conversation", IPCTNL_MSG_CT_DELETE, 0);
	mnl_attr_put(del, CTA_TUPLE_ORIG | NLA_F_NESTED, mnl_attr_get_payload_len(tuple), mnl_attr_get_payload(tuple));
	return 0;
}

int nl_conntrack_forget_udp(int fd, uint16_t dst_port, struct err *e)
{
	AUTO_NL struct nl_batch ask = NL_BATCH_INIT, forget = NL_BATCH_INIT;
	struct search s = { .port = htons(dst_port), .out = &forget };
	struct nlmsghdr *m = ct_message(&ask, "listing conversations", IPCTNL_MSG_CT_GET, NLM_F_DUMP);
	struct nlattr *tuple = mnl_attr_nest_start(m, CTA_TUPLE_ORIG), *proto = mnl_attr_nest_start(m, CTA_TUPLE_PROTO),
		      *filter;
	int r;

	m->nlmsg_flags &= (uint16_t)~NLM_F_ACK;
	mnl_attr_put_u8(m, CTA_PROTO_NUM, IPPROTO_UDP);
	mnl_attr_put_u16(m, CTA_PROTO_DST_PORT, s.port);
	mnl_attr_nest_end(m, proto);
	mnl_attr_nest_end(m, tuple);
	filter = mnl_attr_nest_start(m, CTA_FILTER);
	mnl_attr_put_u32(m, CTA_FILTER_ORIG_FLAGS, FILTER_PROTO_NUM | FILTER_PROTO_DST_PORT);
	mnl_attr_put_u32(m, CTA_FILTER_REPLY_FLAGS, 0);
	mnl_attr_nest_end(m, filter);
	r = nl_query(&ask, fd, mark_for_deletion, &s, e);
	if (r < 0)
		return r;
	r = nl_run(&forget, fd, e);
	return r == -ENOENT ? 0 : r; /* one that ended by itself meanwhile */
}
