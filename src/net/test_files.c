/* Pure parts of net: address arithmetic, pools, address sets, port texts, hosts and resolv.conf. */
#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "net/internal.h"

static struct ip4_net net_of(const char *s)
{
	struct ip4_net n;

	assert_true(ip4_net_parse(s, &n, NULL));
	return n;
}

static void test_addresses_are_read_strictly(void **state)
{
	static const char *const bad[] = { "",         "1.2.3",       "1.2.3.4",    "1.2.3.4/33", "1.2.3.4/-1",
					   "1.2.3.4/", "256.1.1.1/8", "1.2.3.4/8 ", "::1/64",     "a/8" };
	char text[IP4_TEXT_MAX + 4];
	struct ip4_net n;
	uint8_t mac[6];
	uint32_t ip;

	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		assert_false(ip4_net_parse(bad[i], &n, NULL));
	assert_true(ip4_net_parse("192.168.5.77/22", &n, &ip));
	ip4_net_text(n, text);
	assert_string_equal(text, "192.168.4.0/22");
	ip4_text(ip, text);
	assert_string_equal(text, "192.168.5.77");
	assert_true(mac_parse("02:42:Ac:11:00:fF", mac));
	assert_int_equal(mac[2], 0xac);
	assert_int_equal(mac[5], 0xff);
	assert_false(mac_parse("02:42:ac:11:00:0g", mac));
	assert_false(mac_parse("02:42:ac:11:00:0", mac));
	assert_false(mac_parse("02.42:ac:11:00:02", mac));
}

static void test_networks_overlap_when_one_contains_the_other(void **state)
{
	assert_true(ip4_overlap(net_of("10.0.0.0/8"), net_of("10.200.1.0/24")));
	assert_true(ip4_overlap(net_of("10.200.1.0/24"), net_of("10.0.0.0/8")));
	assert_true(ip4_overlap(net_of("0.0.0.0/0"), net_of("172.17.0.0/16")));
	assert_false(ip4_overlap(net_of("172.17.0.0/16"), net_of("172.18.0.0/16")));
}

static void test_first_free_pool_is_chosen(void **state)
{
	struct strv pools = { 0 };
	struct ip4_net taken[20], got;
	char text[IP4_TEXT_MAX + 4];

	for (size_t i = 0; default_pools[i]; i++)
		strv_add(&pools, default_pools[i]);
	assert_true(pool_choose(&pools, NULL, 0, &got));
	ip4_net_text(got, text);
	assert_string_equal(text, "172.17.0.0/16");
	taken[0] = net_of("172.16.0.0/12"); /* all of Docker's first six */
	assert_true(pool_choose(&pools, taken, 1, &got));
	ip4_net_text(got, text);
	assert_string_equal(text, "192.168.0.0/20");
	taken[1] = net_of("192.168.1.0/24");
	assert_true(pool_choose(&pools, taken, 2, &got));
	ip4_net_text(got, text);
	assert_string_equal(text, "192.168.16.0/20");
	taken[1] = net_of("192.168.0.0/16");
	assert_false(pool_choose(&pools, taken, 2, &got));
	strv_done(&pools);
}

static void test_pools_are_checked(void **state)
{
	static const char *const bad[] = { "10.0.0.0/8",    "10.0.0.0/8,7", "10.0.0.0/8,31",
					   "10.0.0.0/7,16", "x,16",         "10.0.0.0/8,x" };
	struct err e = ERR_INIT;
	struct pool p;

	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		assert_true(pool_parse(bad[i], &p, &e) < 0);
		assert_int_equal(e.kind, ERR_INVALID);
	}
	assert_int_equal(pool_parse("10.0.0.0/8,24", &p, &e), 0);
	assert_int_equal(p.size, 24);
}

static void test_lowest_free_address_is_given(void **state)
{
	struct ip4_set s;
	uint32_t ip, first;

	ip4_set_init(&s, net_of("10.1.0.0/29")); /* .1 to .6 */
	assert_true(ip4_set_take_lowest(&s, s.net, &first));
	assert_int_equal(first & 7, 1);
	for (uint32_t i = 2; i <= 6; i++) {
		assert_true(ip4_set_take_lowest(&s, s.net, &ip));
		assert_int_equal(ip & 7, i);
	}
	assert_false(ip4_set_take_lowest(&s, s.net, &ip));
	assert_false(ip4_set_take(&s, first));
	ip4_set_release(&s, first + 2);
	ip4_set_release(&s, first - 1000); /* not of this network */
	assert_true(ip4_set_take_lowest(&s, s.net, &ip));
	assert_int_equal(ip, first + 2);
	ip4_set_done(&s);

	ip4_set_init(&s, net_of("10.1.0.0/16"));
	for (uint32_t i = 1; i < 65535; i++)
		assert_true(ip4_set_take_lowest(&s, s.net, &ip));
	assert_false(ip4_set_take_lowest(&s, s.net, &ip)); /* the broadcast address is nobody's */
	ip4_set_done(&s);
}

static void test_host_ports(void **state)
{
	static const char *const bad[] = { "x", "70000", "-1", "80-", "-", "90-80", "80-70000", " 80", "80 " };
	struct err e = ERR_INIT;
	uint16_t first = 9, last = 9;

	assert_int_equal(net_host_port_parse("", &first, &last, &e), 0);
	assert_true(first == 0 && last == 0);
	assert_int_equal(net_host_port_parse("8000-8010", &first, &last, &e), 0);
	assert_true(first == 8000 && last == 8010);
	assert_int_equal(net_host_port_parse("80", &first, &last, &e), 0);
	assert_true(first == 80 && last == 80);
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		assert_true(net_host_port_parse(bad[i], &first, &last, &e) < 0);
		assert_int_equal(e.kind, ERR_INVALID);
	}
}

static void test_configuration_is_checked(void **state)
{
	const struct net_config bad[] = {
		{ .bip = "192.168.5.1" },
		{ .bip = "192.168.5.0/24" },
		{ .bip = "192.168.5.255/24" },
		{ .bip = "1.2.3.4/31" },
		{ .bridge = "much-too-long-a-name" },
		{ .bridge = "../x" },
		{ .default_ip = "localhost" },
		{ .mtu = 67 },
		{ .mtu = 70000 },
	};
	enum net_firewall f;
	struct net *n = NULL;

	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		struct err e = ERR_INIT;

		assert_true(net_open(&bad[i], NULL, &n, &e) < 0);
		assert_int_equal(e.kind, ERR_INVALID);
		assert_null(n);
	}
	assert_int_equal(net_firewall_parse("docker-user", &f, NULL), 0);
	assert_int_equal(f, NET_FIREWALL_DOCKER_USER);
	assert_true(net_firewall_parse("iptables", &f, NULL) < 0);
}

/* ---- texts ---- */
static void test_hosts_is_as_dockers(void **state)
{
	const struct net_host_entry own = { "172.17.0.2", "x.y.z x" }, extra = { "1.1.1.1", "a.b" };
	char *text = net_hosts_text(&own, 1, &extra, 1, true);

	assert_string_equal(text, "127.0.0.1\tlocalhost\n"
				  "::1\tlocalhost ip6-localhost ip6-loopback\n"
				  "fe00::\tip6-localnet\n"
				  "ff00::\tip6-mcastprefix\n"
				  "ff02::1\tip6-allnodes\n"
				  "ff02::2\tip6-allrouters\n"
				  "1.1.1.1\ta.b\n"
				  "172.17.0.2\tx.y.z x\n");
	free(text);
	text = net_hosts_text(NULL, 0, NULL, 0, false);
	assert_string_equal(text, "127.0.0.1\tlocalhost\n");
	free(text);
}

#define HEAD "# Generated by Hoy when the container starts, and anew at each start: edits last as long as it runs.\n\n"

static void assert_resolv(struct net_resolv *c, const char *want)
{
	char *text = net_resolv_text(c);

	assert_true(strncmp(text, HEAD, strlen(HEAD)) == 0);
	assert_string_equal(text + strlen(HEAD), want);
	free(text);
	strv_done(&c->dns);
	strv_done(&c->search);
	strv_done(&c->options);
}

static void test_resolv_conf_follows_the_host(void **state)
{
	struct net_resolv c = {
		.host_text = "# comment\n; another\nnameserver 10.0.0.53\r\nnameserver\t127.0.0.53\nnameserver ::1\n"
			     "nameserver 2001:db8::1\nsearch old.example\ndomain example.org\noptions ndots:2\n"
			     "options rotate timeout:1\nsortlist 10.0.0.0\nnameserver\n\n"
	};

	assert_resolv(
		&c, "nameserver 10.0.0.53\nsearch example.org\noptions ndots:2 rotate timeout:1\nsortlist 10.0.0.0\n");
}

static void test_resolv_conf_without_usable_servers_asks_public_ones(void **state)
{
	struct net_resolv c = { .host_text = "nameserver 127.0.0.1\n" };

	assert_resolv(&c, "nameserver 8.8.8.8\nnameserver 8.8.4.4\n");
	c.host_text = NULL;
	assert_resolv(&c, "nameserver 8.8.8.8\nnameserver 8.8.4.4\n");
}

static void test_resolv_conf_of_the_host_network_keeps_loopback(void **state)
{
	struct net_resolv c = { .host_text = "nameserver 127.0.0.53\nnameserver ::1\n", .host_network = true };

	assert_resolv(&c, "nameserver 127.0.0.53\nnameserver ::1\n");
}

static void test_resolv_conf_options_of_the_container_win(void **state)
{
	struct net_resolv c = { .host_text = "nameserver 10.0.0.53\nsearch a b\noptions ndots:2\n" };

	strv_add(&c.dns, "127.0.0.1"); /* asked for: kept */
	strv_add(&c.search, "foo.bar");
	strv_add(&c.options, "ndots:3");
	assert_resolv(&c, "nameserver 127.0.0.1\nsearch foo.bar\noptions ndots:3\n");
	strv_add(&c.search, ".");
	strv_add(&c.options, "");
	assert_resolv(&c, "nameserver 10.0.0.53\n");
}

static void test_resolv_conf_behind_systemds_stub_is_found(void **state)
{
	assert_string_equal(net_resolv_host_path("nameserver 127.0.0.53\noptions edns0\n"),
			    "/run/systemd/resolve/resolv.conf");
	assert_string_equal(net_resolv_host_path("nameserver 127.0.0.53\nnameserver 1.1.1.1\n"), "/etc/resolv.conf");
	assert_string_equal(net_resolv_host_path(NULL), "/etc/resolv.conf");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_addresses_are_read_strictly),
		cmocka_unit_test(test_networks_overlap_when_one_contains_the_other),
		cmocka_unit_test(test_first_free_pool_is_chosen),
		cmocka_unit_test(test_pools_are_checked),
		cmocka_unit_test(test_lowest_free_address_is_given),
		cmocka_unit_test(test_host_ports),
		cmocka_unit_test(test_configuration_is_checked),
		cmocka_unit_test(test_hosts_is_as_dockers),
		cmocka_unit_test(test_resolv_conf_follows_the_host),
		cmocka_unit_test(test_resolv_conf_without_usable_servers_asks_public_ones),
		cmocka_unit_test(test_resolv_conf_of_the_host_network_keeps_loopback),
		cmocka_unit_test(test_resolv_conf_options_of_the_container_win),
		cmocka_unit_test(test_resolv_conf_behind_systemds_stub_is_found),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
