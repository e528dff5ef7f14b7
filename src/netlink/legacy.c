/* legacy.c - the one question that nf_tables cannot answer: does the old iptables (x_tables) drop forwarded packets by policy?
 * Source: linux/netfilter_ipv4/ip_tables.h. */
#include "netlink/netlink.h"

#include <fcntl.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <linux/netfilter.h>
#include <linux/netfilter_ipv4/ip_tables.h>

#define RULES_MAX (64u << 20) /* bytes */

/* A chain's policy is the verdict of its last, built-in rule: the "underflow" of its hook */
static bool policy_drops(const struct ipt_get_entries *all, uint32_t at)
{
	const struct ipt_entry *entry = (const void *)((const char *)all->entrytable + at);
	const struct xt_standard_target *target;

	if (at + sizeof *entry > all->size || at + entry->target_offset + sizeof *target > all->size)
		return false;
	target = (const void *)((const char *)entry + entry->target_offset);
	return target->target.u.user.name[0] == 0 && target->verdict == -NF_DROP - 1;
}

int legacy_forward_drops(bool *ret)
{
	AUTO_FD int fd = -1;
	AUTO_FREE char *tables = NULL;
	AUTO_FREE struct ipt_get_entries *all = NULL;
	struct ipt_getinfo info = { .name = "filter" };
	socklen_t len = sizeof info;

	/* Asking the socket would create the table where it is not in use: so look first */
	if (file_read(AT_FDCWD, "/proc/net/ip_tables_names", 4096, &tables, NULL) < 0 || !strstr(tables, "filter\n")) {
		*ret = false;
		return 0;
	}
	fd = socket(AF_INET, SOCK_RAW | SOCK_CLOEXEC, IPPROTO_RAW);
	if (fd < 0 || getsockopt(fd, IPPROTO_IP, IPT_SO_GET_INFO, &info, &len) < 0)
		return -errno;
	if (info.size > RULES_MAX)
		return -EFBIG;
	len = (socklen_t)(sizeof *all + info.size);
	all = xcalloc(1, len);
	memcpy(all->name, info.name, sizeof all->name);
	all->size = info.size;
	if (getsockopt(fd, IPPROTO_IP, IPT_SO_GET_ENTRIES, all, &len) < 0)
		return -errno;
	*ret = policy_drops(all, info.underflow[NF_INET_FORWARD]);
	return 0;
}
