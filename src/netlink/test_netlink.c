/* Batches against the real kernel, in a network namespace of our own. Needs root. */
#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "netlink/netlink.h"

#include <arpa/inet.h>
#include <sched.h>
#include <linux/netfilter.h>
#include <linux/netlink.h>

static const uint8_t mac[6] = { 0x02, 0x42, 1, 2, 3, 4 };

static void test_refusal_names_its_step(void **state)
{
	AUTO_FD int fd = nl_open(NETLINK_ROUTE);
	struct nl_batch b = NL_BATCH_INIT;
	struct err e = ERR_INIT;
	struct rtnl_info link;

	rtnl_bridge_add(&b, "making the first", "br1", mac, 1400);
	rtnl_bridge_add(&b, "making the second", "br1", mac, 0);
	rtnl_link_up(&b, "setting it up", (struct rtnl_link){ .name = "br1" }, true);
	assert_int_equal(nl_run(&b, fd, &e), -EEXIST);
	assert_int_equal(strncmp(e.msg, "making the second", 17), 0);
	assert_int_equal(rtnl_link_get(fd, "br1", &link, &e), 0); /* the messages after it were worked off */
	assert_true(link.up);
	assert_int_equal(link.mtu, 1400);
	assert_string_equal(link.kind, "bridge");
	assert_memory_equal(link.mac, mac, 6);
	assert_int_equal(nl_run(&b, fd, &e), 0); /* an empty batch */
	nl_batch_done(&b);
}

static void test_absent_link_is_enodev(void **state)
{
	AUTO_FD int fd = nl_open(NETLINK_ROUTE);
	struct rtnl_info link;

	assert_int_equal(rtnl_link_get(fd, "nothere", &link, NULL), -ENODEV);
}

static void test_subnets_of_addresses_are_found(void **state)
{
	AUTO_FD int fd = nl_open(NETLINK_ROUTE);
	struct nl_batch b = NL_BATCH_INIT;
	struct rtnl_subnets s;
	struct rtnl_info link;
	bool addr = false, route = false;

	rtnl_bridge_add(&b, "bridge", "br2", mac, 0);
	assert_int_equal(nl_run(&b, fd, NULL), 0);
	assert_int_equal(rtnl_link_get(fd, "br2", &link, NULL), 0);
	rtnl_addr_add(&b, "address", link.index, inet_addr("10.9.1.7"), 24);
	rtnl_link_up(&b, "up", (struct rtnl_link){ .index = link.index }, true);
	assert_int_equal(nl_run(&b, fd, NULL), 0);
	assert_int_equal(rtnl_subnets_get(fd, &s, NULL), 0);
	for (size_t i = 0; i < s.n; i++) {
		addr = addr || (s.v[i].is_addr && s.v[i].ip4 == inet_addr("10.9.1.7") && s.v[i].prefix_len == 24 &&
				s.v[i].ifindex == link.index);
		route = route || (!s.v[i].is_addr && s.v[i].ip4 == inet_addr("10.9.1.0") && s.v[i].prefix_len == 24);
	}
	assert_true(addr && route);
	free(s.v);
	rtnl_addr_del(&b, "address away", link.index, inet_addr("10.9.1.7"), 24);
	assert_int_equal(nl_run(&b, fd, NULL), 0);
	nl_batch_done(&b);
}

static const struct nft_set set = { NFPROTO_IPV4, "t", "s", 1, 7, 4 };

static int add_elements(int fd, const uint32_t *ips, size_t n, struct err *e)
{
	struct nl_batch b = NL_BATCH_INIT;
	struct nft_elem *v = xcalloc(n, sizeof *v);
	int r;

	for (size_t i = 0; i < n; i++)
		v[i].key = &ips[i];
	nft_begin(&b);
	nft_elems_add(&b, "adding elements", &set, v, n);
	r = nl_run(&b, fd, e);
	free(v);
	nl_batch_done(&b);
	return r;
}

static int del_element(int fd, uint32_t ip)
{
	struct nl_batch b = NL_BATCH_INIT;
	int r;

	nft_begin(&b);
	nft_elems_del(&b, "removing an element", &set, &(struct nft_elem){ .key = &ip }, 1);
	r = nl_run(&b, fd, NULL);
	nl_batch_done(&b);
	return r;
}

static void test_firewall_batch_is_all_or_nothing(void **state)
{
	AUTO_FD int fd = nl_open(NETLINK_NETFILTER);
	struct nl_batch b = NL_BATCH_INIT;
	struct nft_chains c = { 0 };
	struct err e = ERR_INIT;

	nft_begin(&b);
	nft_table_add(&b, "table", NFPROTO_IPV4, "gone");
	nft_chain_add(&b, "chain", &(struct nft_chain){ NFPROTO_IPV4, "gone", "c" });
	nft_table_del(&b, "deleting what is not there", NFPROTO_IPV4, "never");
	nft_chain_add(&b, "chain", &(struct nft_chain){ NFPROTO_IPV4, "gone", "d" });
	assert_int_equal(nl_run(&b, fd, &e), -ENOENT);
	assert_int_equal(strncmp(e.msg, "deleting what is not there", 26), 0);
	assert_int_equal(nft_chains_get(fd, &c, NULL), 0);
	for (size_t i = 0; i < c.n; i++)
		assert_string_not_equal(c.v[i].table, "gone");
	free(c.v);
	nl_batch_done(&b);
}

static void test_thousands_of_elements_in_one_batch(void **state)
{
	AUTO_FD int fd = nl_open(NETLINK_NETFILTER);
	enum { N = 20000 };
	uint32_t *ips = xcalloc(N, sizeof *ips);
	struct nl_batch b = NL_BATCH_INIT;
	struct err e = ERR_INIT;

	nft_begin(&b);
	nft_table_add(&b, "table", NFPROTO_IPV4, "t");
	nft_set_add(&b, "set", &set);
	assert_int_equal(nl_run(&b, fd, NULL), 0);
	for (uint32_t i = 0; i < N; i++)
		ips[i] = htonl(0x0a000000 + i);
	if (add_elements(fd, ips, N, &e) < 0)
		fail_msg("%s", e.msg);
	assert_int_equal(del_element(fd, ips[0]), 0);
	assert_int_equal(del_element(fd, ips[N - 1]), 0);
	assert_int_equal(del_element(fd, ips[0]), -ENOENT);
	nft_begin(&b);
	nft_table_del(&b, "table", NFPROTO_IPV4, "t");
	assert_int_equal(nl_run(&b, fd, NULL), 0);
	nl_batch_done(&b);
	free(ips);
}

static void test_base_chains_are_described(void **state)
{
	AUTO_FD int fd = nl_open(NETLINK_NETFILTER);
	struct nl_batch b = NL_BATCH_INIT;
	struct nft_chains c = { 0 };

	nft_begin(&b);
	nft_table_add(&b, "table", NFPROTO_INET, "x");
	nft_chain_add(&b, "chain", &(struct nft_chain){ NFPROTO_INET, "x", "f", "filter", NF_INET_FORWARD, -7, true });
	nft_chain_add(&b, "chain", &(struct nft_chain){ NFPROTO_INET, "x", "g" });
	assert_int_equal(nl_run(&b, fd, NULL), 0);
	assert_int_equal(nft_chains_get(fd, &c, NULL), 0);
	assert_int_equal(c.n, 2);
	for (size_t i = 0; i < c.n; i++) {
		bool base = strcmp(c.v[i].name, "f") == 0;

		assert_int_equal(c.v[i].family, NFPROTO_INET);
		assert_int_equal(c.v[i].base, base);
		assert_int_equal(c.v[i].policy_drop, base);
		assert_int_equal(c.v[i].priority, base ? -7 : 0);
	}
	free(c.v);
	nl_batch_done(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_refusal_names_its_step),
		cmocka_unit_test(test_absent_link_is_enodev),
		cmocka_unit_test(test_subnets_of_addresses_are_found),
		cmocka_unit_test(test_firewall_batch_is_all_or_nothing),
		cmocka_unit_test(test_thousands_of_elements_in_one_batch),
		cmocka_unit_test(test_base_chains_are_described),
	};

	if (unshare(CLONE_NEWNET) < 0) {
		fprintf(stderr, "needs network namespaces (root): %s\n", strerror(errno));
		return 77; /* meson: skipped */
	}
	return cmocka_run_group_tests(tests, NULL, NULL);
}
