/* rtnl.c - links, addresses and routes. Constants: linux/if_link.h, rtnetlink(7). */
#include "netlink/netlink.h"

#include <sys/socket.h>
#include <libmnl/libmnl.h>
#include <linux/if.h>
#include <linux/if_link.h>
#include <linux/rtnetlink.h>
#include <linux/veth.h>

#define ROOM 1024
#define MAIN_TABLE 254

static struct nlmsghdr *link_message(struct nl_batch *b, const char *step, uint16_t type, uint16_t flags,
				     struct rtnl_link l, struct ifinfomsg **ret)
{
	struct nlmsghdr *m = nl_add(b, step, type, flags, ROOM);
	struct ifinfomsg *info = mnl_nlmsg_put_extra_header(m, sizeof *info);

	info->ifi_family = AF_UNSPEC;
	info->ifi_index = (int)l.index;
	if (!l.index && l.name)
		mnl_attr_put_strz(m, IFLA_IFNAME, l.name);
	if (ret)
		*ret = info;
	return m;
}

/* Both halves in one message. One queue each: the default, one per possible CPU, costs memory and time and gains a veth nothing. */
void rtnl_veth_add(struct nl_batch *b, const char *step, const struct rtnl_veth *v)
{
	struct nlmsghdr *m = link_message(b, step, RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL,
					  (struct rtnl_link){ .name = v->name }, NULL);
	struct nlattr *info, *data, *peer;

	if (v->mtu)
		mnl_attr_put_u32(m, IFLA_MTU, v->mtu);
	if (v->master)
		mnl_attr_put_u32(m, IFLA_MASTER, v->master);
	mnl_attr_put_u32(m, IFLA_NUM_TX_QUEUES, 1);
	mnl_attr_put_u32(m, IFLA_NUM_RX_QUEUES, 1);
	info = mnl_attr_nest_start(m, IFLA_LINKINFO);
	mnl_attr_put_strz(m, IFLA_INFO_KIND, "veth");
	data = mnl_attr_nest_start(m, IFLA_INFO_DATA);
	peer = mnl_attr_nest_start(m, VETH_INFO_PEER);
	mnl_nlmsg_put_extra_header(m, sizeof(struct ifinfomsg));
	mnl_attr_put_strz(m, IFLA_IFNAME, v->peer_name);
	mnl_attr_put_u32(m, IFLA_NET_NS_FD, (uint32_t)v->peer_ns_fd);
	if (v->peer_mac)
		mnl_attr_put(m, IFLA_ADDRESS, 6, v->peer_mac);
	if (v->mtu)
		mnl_attr_put_u32(m, IFLA_MTU, v->mtu);
	mnl_attr_put_u32(m, IFLA_NUM_TX_QUEUES, 1);
	mnl_attr_put_u32(m, IFLA_NUM_RX_QUEUES, 1);
	mnl_attr_nest_end(m, peer);
	mnl_attr_nest_end(m, data);
	mnl_attr_nest_end(m, info);
}

void rtnl_bridge_add(struct nl_batch *b, const char *step, const char *name, const uint8_t mac[6], uint32_t mtu)
{
	struct nlmsghdr *m = link_message(b, step, RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL,
					  (struct rtnl_link){ .name = name }, NULL);
	struct nlattr *info;

	/* an address that was set stays; otherwise the bridge takes its lowest port's, and neighbours lose it */
	mnl_attr_put(m, IFLA_ADDRESS, 6, mac);
	if (mtu)
		mnl_attr_put_u32(m, IFLA_MTU, mtu);
	info = mnl_attr_nest_start(m, IFLA_LINKINFO);
	mnl_attr_put_strz(m, IFLA_INFO_KIND, "bridge");
	mnl_attr_nest_end(m, info);
}

void rtnl_link_up(struct nl_batch *b, const char *step, struct rtnl_link l, bool up)
{
	struct ifinfomsg *info;

	link_message(b, step, RTM_NEWLINK, 0, l, &info);
	info->ifi_change = IFF_UP;
	info->ifi_flags = up ? IFF_UP : 0;
}

void rtnl_link_del(struct nl_batch *b, const char *step, struct rtnl_link l)
{
	link_message(b, step, RTM_DELLINK, 0, l, NULL);
}

void rtnl_link_no_ipv6(struct nl_batch *b, const char *step, struct rtnl_link l)
{
	struct nlmsghdr *m = link_message(b, step, RTM_NEWLINK, 0, l, NULL);
	struct nlattr *spec = mnl_attr_nest_start(m, IFLA_AF_SPEC), *inet6 = mnl_attr_nest_start(m, AF_INET6);

	mnl_attr_put_u8(m, IFLA_INET6_ADDR_GEN_MODE, IN6_ADDR_GEN_MODE_NONE);
	mnl_attr_nest_end(m, inet6);
	mnl_attr_nest_end(m, spec);
}

void rtnl_link_mtu(struct nl_batch *b, const char *step, struct rtnl_link l, uint32_t mtu)
{
	mnl_attr_put_u32(link_message(b, step, RTM_NEWLINK, 0, l, NULL), IFLA_MTU, mtu);
}

void rtnl_port_flags_set(struct nl_batch *b, const char *step, struct rtnl_link l, unsigned flags)
{
	struct nlmsghdr *m = link_message(b, step, RTM_NEWLINK, 0, l, NULL);
	struct nlattr *info = mnl_attr_nest_start(m, IFLA_LINKINFO), *data;

	mnl_attr_put_strz(m, IFLA_INFO_SLAVE_KIND, "bridge");
	data = mnl_attr_nest_start(m, IFLA_INFO_SLAVE_DATA);
	mnl_attr_put_u8(m, IFLA_BRPORT_ISOLATED, !!(flags & RTNL_PORT_ISOLATED));
	mnl_attr_put_u8(m, IFLA_BRPORT_MODE, !!(flags & RTNL_PORT_HAIRPIN));
	mnl_attr_nest_end(m, data);
	mnl_attr_nest_end(m, info);
}

void rtnl_addr_add(struct nl_batch *b, const char *step, uint32_t ifindex, uint32_t ip4, int prefix_len)
{
	struct nlmsghdr *m = nl_add(b, step, RTM_NEWADDR, NLM_F_CREATE | NLM_F_REPLACE, ROOM);
	struct ifaddrmsg *a = mnl_nlmsg_put_extra_header(m, sizeof *a);
	uint32_t host_bits = prefix_len >= 32 ? 0 : UINT32_MAX >> prefix_len;

	*a = (struct ifaddrmsg){ .ifa_family = AF_INET, .ifa_prefixlen = (uint8_t)prefix_len, .ifa_index = ifindex };
	mnl_attr_put_u32(m, IFA_LOCAL, ip4);
	mnl_attr_put_u32(m, IFA_ADDRESS, ip4);
	if (prefix_len < 31)
		mnl_attr_put_u32(m, IFA_BROADCAST, ip4 | __builtin_bswap32(host_bits));
}

void rtnl_addr_del(struct nl_batch *b, const char *step, uint32_t ifindex, uint32_t ip4, int prefix_len)
{
	struct nlmsghdr *m = nl_add(b, step, RTM_DELADDR, 0, ROOM);
	struct ifaddrmsg *a = mnl_nlmsg_put_extra_header(m, sizeof *a);

	*a = (struct ifaddrmsg){ .ifa_family = AF_INET, .ifa_prefixlen = (uint8_t)prefix_len, .ifa_index = ifindex };
	mnl_attr_put_u32(m, IFA_LOCAL, ip4);
}

void rtnl_route_default_add(struct nl_batch *b, const char *step, uint32_t ifindex, uint32_t gateway4)
{
	struct nlmsghdr *m = nl_add(b, step, RTM_NEWROUTE, NLM_F_CREATE | NLM_F_REPLACE, ROOM);
	struct rtmsg *r = mnl_nlmsg_put_extra_header(m, sizeof *r);

	*r = (struct rtmsg){ .rtm_family = AF_INET,
			     .rtm_table = MAIN_TABLE,
			     .rtm_protocol = RTPROT_BOOT,
			     .rtm_scope = RT_SCOPE_UNIVERSE,
			     .rtm_type = RTN_UNICAST };
	mnl_attr_put_u32(m, RTA_GATEWAY, gateway4);
	mnl_attr_put_u32(m, RTA_OIF, ifindex);
}

void rtnl_route_default_del(struct nl_batch *b, const char *step)
{
	struct nlmsghdr *m = nl_add(b, step, RTM_DELROUTE, 0, ROOM);
	struct rtmsg *r = mnl_nlmsg_put_extra_header(m, sizeof *r);

	*r = (struct rtmsg){ .rtm_family = AF_INET, .rtm_table = MAIN_TABLE, .rtm_scope = RT_SCOPE_NOWHERE };
}

/* ---- questions ---- */
static void read_link_info(const struct nlattr *info, struct rtnl_info *ret)
{
	struct nlattr *a;

	mnl_attr_for_each_nested(a, info)
	{
		if (mnl_attr_get_type(a) == IFLA_INFO_KIND)
			snprintf(ret->kind, sizeof ret->kind, "%.*s", (int)mnl_attr_get_payload_len(a),
				 mnl_attr_get_str(a));
	}
}

static int read_link(void *arg, const struct nlmsghdr *m)
{
	const struct ifinfomsg *info = mnl_nlmsg_get_payload(m);
	struct rtnl_info *ret = arg;
	struct nlattr *a;

	ret->index = (uint32_t)info->ifi_index;
	ret->up = info->ifi_flags & IFF_UP;
	mnl_attr_for_each(a, m, sizeof *info)
	{
		switch (mnl_attr_get_type(a)) {
		case IFLA_MTU:
			ret->mtu = mnl_attr_get_u32(a);
			break;
		case IFLA_MASTER:
			ret->master = mnl_attr_get_u32(a);
			break;
		case IFLA_OPERSTATE:
			ret->running = mnl_attr_get_u8(a) == IF_OPER_UP;
			break;
		case IFLA_ADDRESS:
			if (mnl_attr_get_payload_len(a) == 6)
				memcpy(ret->mac, mnl_attr_get_payload(a), 6);
			break;
		case IFLA_LINKINFO:
			read_link_info(a, ret);
			break;
		}
	}
	return 0;
}

int rtnl_link_get(int fd, const char *name, struct rtnl_info *ret, struct err *e)
{
	AUTO_NL struct nl_batch b = NL_BATCH_INIT;
	struct rtnl_info info = { 0 };
	struct err local = ERR_INIT;
	struct nlmsghdr *m = link_message(&b, "looking up a link", RTM_GETLINK, 0, (struct rtnl_link){ .name = name },
					  NULL);
	int r;

	m->nlmsg_flags &= (uint16_t)~NLM_F_ACK; /* the link itself is the answer */
	r = nl_query(&b, fd, read_link, &info, &local);
	if (r < 0) {
		if (r != -ENODEV && e)
			*e = local;
		return r;
	}
	*ret = info;
	return 0;
}

static int read_addr(void *arg, const struct nlmsghdr *m)
{
	const struct ifaddrmsg *info = mnl_nlmsg_get_payload(m);
	struct rtnl_subnets *ret = arg;
	struct nlattr *a;

	mnl_attr_for_each(a, m, sizeof *info)
	{
		if (mnl_attr_get_type(a) == IFA_LOCAL && mnl_attr_get_payload_len(a) == 4)
			*VEC_ADD(ret) = (struct rtnl_subnet){ .ip4 = mnl_attr_get_u32(a),
							      .prefix_len = info->ifa_prefixlen,
							      .ifindex = info->ifa_index,
							      .is_addr = true };
	}
	return 0;
}

static int read_route(void *arg, const struct nlmsghdr *m)
{
	const struct rtmsg *info = mnl_nlmsg_get_payload(m);
	struct rtnl_subnet s = { .prefix_len = info->rtm_dst_len };
	struct rtnl_subnets *ret = arg;
	struct nlattr *a;

	if (info->rtm_family != AF_INET || info->rtm_table != MAIN_TABLE || info->rtm_dst_len == 0)
		return 0;
	mnl_attr_for_each(a, m, sizeof *info)
	{
		if (mnl_attr_get_payload_len(a) != 4)
			continue;
		if (mnl_attr_get_type(a) == RTA_DST)
			s.ip4 = mnl_attr_get_u32(a);
		else if (mnl_attr_get_type(a) == RTA_OIF)
			s.ifindex = mnl_attr_get_u32(a);
	}
	*VEC_ADD(ret) = s;
	return 0;
}

static int dump(int fd, const char *step, uint16_t type, int (*each)(void *arg, const struct nlmsghdr *m), void *arg,
		struct err *e)
{
	AUTO_NL struct nl_batch b = NL_BATCH_INIT;
	struct nlmsghdr *m = nl_add(&b, step, type, NLM_F_DUMP, ROOM);
	struct rtgenmsg *g = mnl_nlmsg_put_extra_header(m, sizeof(struct rtmsg)); /* the larger of the two headers */

	g->rtgen_family = AF_INET;
	m->nlmsg_flags &= (uint16_t)~NLM_F_ACK;
	return nl_query(&b, fd, each, arg, e);
}

void rtnl_subnets_done(struct rtnl_subnets *s)
{
	free(s->v);
	*s = (struct rtnl_subnets){ 0 };
}

int rtnl_subnets_get(int fd, struct rtnl_subnets *ret, struct err *e)
{
	AUTO_SUBNETS struct rtnl_subnets found = { 0 };
	int r = dump(fd, "listing addresses", RTM_GETADDR, read_addr, &found, e);

	if (r >= 0)
		r = dump(fd, "listing routes", RTM_GETROUTE, read_route, &found, e);
	if (r < 0)
		return r;
	*ret = found;
	found = (struct rtnl_subnets){ 0 };
	return 0;
}
