/* The bridge network in real namespaces: this process leaves the machine's namespace before the first test, and each test has a
 * new one as its "host". Needs root. */
#include "net/test_box.h"
#include "net/relay.h"

#include <linux/if_packet.h>
#include <linux/netfilter.h>
#include <net/if.h>
#include <signal.h>
#include <sys/wait.h>
#include <net/ethernet.h>
#include <netinet/ip.h>
#include <netinet/udp.h>
#include <libnftnl/expr.h>
#include <libnftnl/rule.h>
#include <linux/netfilter/nf_tables.h>

struct world {
	struct net *net;
	int host;           /* namespace */
	struct box out;     /* another host: 10.77.0.2, behind our 10.77.0.1 */
	struct strmap rows; /* what the store keeps */
};

/* ---- a store in memory ---- */
static int mem_save(void *ctx, const char *id, const char *json, size_t n, struct err *e)
{
	char *text = xstrndup(json, n);

	strmap_set(ctx, id, text);
	free(text);
	return 0;
}

static int mem_load(void *ctx, int (*each)(void *arg, const char *json, size_t n, struct err *e), void *arg,
		    struct err *e)
{
	struct strmap *rows = ctx;
	int r = 0;

	for (size_t i = 0; i < rows->n && r >= 0; i++)
		r = each(arg, rows->v[i].v, strlen(rows->v[i].v), e);
	return r;
}

static void open_net(struct world *w, const struct net_config *c, const struct net_endpoint *running, size_t n)
{
	struct net_store store = { .ctx = &w->rows, .save = mem_save, .load = mem_load };
	struct err e = ERR_INIT;

	if (net_open(c, &store, &w->net, &e) < 0 || net_start(w->net, running, n, &e) < 0)
		fail_msg("%s", e.msg);
}

static void put_sysctl(const char *path, const char *value)
{
	(void)file_put(AT_FDCWD, path, value);
}

static void world_new(struct world *w, const struct net_config *c)
{
	struct nl_batch b = NL_BATCH_INIT;
	struct rtnl_info link;
	int rt;

	*w = (struct world){ 0 };
	assert_int_equal(unshare(CLONE_NEWNET), 0);
	w->host = ns_here();
	w->out = box_new();
	rt = nl_open(NETLINK_ROUTE);
	link_up(rt, "lo");
	rtnl_veth_add(&b, "uplink", &(struct rtnl_veth){ .name = "up0", .peer_name = "eth0", .peer_ns_fd = w->out.ns });
	assert_int_equal(nl_run(&b, rt, NULL), 0);
	assert_int_equal(rtnl_link_get(rt, "up0", &link, NULL), 0);
	rtnl_addr_add(&b, "address", link.index, inet_addr("10.77.0.1"), 24);
	rtnl_link_up(&b, "up", (struct rtnl_link){ .name = "up0" }, true);
	assert_int_equal(nl_run(&b, rt, NULL), 0);
	assert_int_equal(rtnl_link_get(w->out.rt, "eth0", &link, NULL), 0);
	rtnl_addr_add(&b, "address", link.index, inet_addr("10.77.0.2"), 24);
	rtnl_link_up(&b, "up", (struct rtnl_link){ .name = "eth0" }, true);
	assert_int_equal(nl_run(&b, w->out.rt, NULL), 0);
	nl_batch_done(&b);
	close(rt);
	if (c)
		open_net(w, c, NULL, 0);
}

static void world_done(struct world *w)
{
	net_close(w->net);
	box_done(&w->out);
	close(w->host);
	strmap_done(&w->rows);
}

/* ---- containers ---- */
struct con {
	struct box box;
	struct net_endpoint ep;
	struct net_sockets socks;
};

static struct con con_start(struct world *w, const char *name, const struct net_publish *ports, size_t n)
{
	struct net_endpoint_req req = { .network = "default", .container_id = name, .container_name = name };
	struct con c = { .box = box_new() };
	struct err e = ERR_INIT;

	if (net_endpoint_prepare(w->net, &req, &c.ep, &e) < 0)
		fail_msg("%s", e.msg);
	c.ep.default_route = !str_empty(c.ep.gateway);
	if (net_ports_reserve(w->net, &c.ep, ports, n, &c.socks, &e) < 0 ||
	    net_endpoint_attach(w->net, &c.ep, c.box.ns, c.box.rt, c.box.nf, &e) < 0)
		fail_msg("%s", e.msg);
	return c;
}

static void con_stop(struct world *w, struct con *c)
{
	net_endpoint_detach(w->net, &c->ep, NET_NAMESPACE_DIES);
	net_endpoint_release(w->net, &c->ep);
	net_sockets_done(&c->socks);
	net_endpoint_done(&c->ep);
	box_done(&c->box);
}

static const struct net_config plain;
static const struct net_publish web = { .proto = "tcp", .port = 80, .host_port_first = 8080, .host_port_last = 8080 };

/* ---- tests ---- */
static void test_containers_and_host_reach_each_other(void **state)
{
	struct world w;
	struct con a, b;
	int la, lh;

	world_new(&w, &plain);
	a = con_start(&w, "a", NULL, 0);
	b = con_start(&w, "b", NULL, 0);
	la = listen_in(a.box.ns, "0.0.0.0", 80);
	lh = listen_in(w.host, "0.0.0.0", 99);
	assert_string_equal(a.ep.ip, "172.17.0.2");
	assert_string_equal(b.ep.ip, "172.17.0.3");
	assert_string_equal(a.ep.gateway, "172.17.0.1");
	assert_string_equal(a.ep.mac, "02:42:ac:11:00:02");
	assert_reaches(w.host, "172.17.0.2", 80, la, "172.17.0.1");
	assert_reaches(b.box.ns, "172.17.0.2", 80, la, "172.17.0.3");
	assert_reaches(a.box.ns, "127.0.0.1", 80, la, "127.0.0.1");
	assert_reaches(a.box.ns, "172.17.0.1", 99, lh, "172.17.0.2");
	close(la);
	close(lh);
	con_stop(&w, &a);
	con_stop(&w, &b);
	world_done(&w);
}

static void test_container_reaches_outside_masqueraded(void **state)
{
	struct world w;
	struct con a;
	int l;

	world_new(&w, &plain);
	a = con_start(&w, "a", NULL, 0);
	l = listen_in(w.out.ns, "0.0.0.0", 7);
	assert_reaches(a.box.ns, "10.77.0.2", 7, l, "10.77.0.1");
	close(l);
	con_stop(&w, &a);
	world_done(&w);
}

static void test_published_port_shows_the_true_source(void **state)
{
	struct world w;
	struct con a;
	int l;

	world_new(&w, &plain);
	a = con_start(&w, "a", &web, 1);
	l = listen_in(a.box.ns, "0.0.0.0", 80);
	assert_reaches(w.out.ns, "10.77.0.1", 8080, l, "10.77.0.2");
	assert_reaches(w.host, "10.77.0.1", 8080, l, "10.77.0.1");
	assert_reaches(w.host, "172.17.0.1", 8080, l, "172.17.0.1");
	close(l);
	con_stop(&w, &a);
	assert_silent(w.out.ns, "10.77.0.1", 8080);
	world_done(&w);
}

static void test_published_port_answers_at_loopback(void **state)
{
	struct net_status s;
	struct world w;
	struct con a;
	int l;

	world_new(&w, &plain);
	assert_int_equal(net_status(w.net, &s, NULL), 0);
	assert_true(s.set_ip_forward && !s.set_route_localnet);
	a = con_start(&w, "a", &web, 1);
	l = listen_in(a.box.ns, "0.0.0.0", 80);
	assert_reaches(w.host, "127.0.0.1", 8080, l, "172.17.0.1");
	assert_int_equal(net_status(w.net, &s, NULL), 0);
	assert_true(s.set_route_localnet);
	assert_null(s.blocker);
	close(l);
	con_stop(&w, &a);
	world_done(&w);
}

static void test_port_of_one_host_address_answers_only_there(void **state)
{
	const struct net_publish at[] = {
		{ .port = 80, .host_ip = "127.0.0.1", .host_port_first = 81 },
		{ .port = 80, .host_ip = "10.77.0.1", .host_port_first = 82 },
	};
	struct nl_batch b = NL_BATCH_INIT;
	struct rtnl_info link;
	struct world w;
	struct con a;
	int l;

	world_new(&w, &plain);
	a = con_start(&w, "a", at, 2);
	l = listen_in(a.box.ns, "0.0.0.0", 80);
	assert_int_equal(a.ep.ports.n, 2);
	assert_reaches(w.host, "127.0.0.1", 81, l, NULL);
	assert_silent(w.out.ns, "10.77.0.1", 81);
	assert_reaches(w.out.ns, "10.77.0.1", 82, l, "10.77.0.2");
	assert_silent(w.host, "127.0.0.1", 82);
	/* a neighbour that routes 127/8 to us must not get in */
	put_sysctl("/proc/sys/net/ipv4/conf/all/route_localnet", "1");
	assert_int_equal(rtnl_link_get(w.out.rt, "eth0", &link, NULL), 0);
	assert_int_equal(setns(w.out.ns, CLONE_NEWNET), 0);
	put_sysctl("/proc/sys/net/ipv4/conf/all/route_localnet", "1");
	assert_int_equal(setns(w.host, CLONE_NEWNET), 0);
	rtnl_route_default_add(&b, "route", link.index, inet_addr("10.77.0.1"));
	assert_int_equal(nl_run(&b, w.out.rt, NULL), 0);
	nl_batch_done(&b);
	assert_silent(w.out.ns, "127.0.0.1", 81);
	close(l);
	con_stop(&w, &a);
	world_done(&w);
}

static void test_unpublished_port_is_closed_to_neighbours(void **state)
{
	struct nl_batch b = NL_BATCH_INIT;
	struct rtnl_info link;
	struct world w;
	struct con a;
	int l;

	world_new(&w, &plain);
	a = con_start(&w, "a", &web, 1);
	l = listen_in(a.box.ns, "0.0.0.0", 80);
	assert_int_equal(rtnl_link_get(w.out.rt, "eth0", &link, NULL), 0);
	rtnl_route_default_add(&b, "route", link.index, inet_addr("10.77.0.1"));
	assert_int_equal(nl_run(&b, w.out.rt, NULL), 0);
	nl_batch_done(&b);
	assert_silent(w.out.ns, "172.17.0.2", 80);
	assert_reaches(w.out.ns, "10.77.0.1", 8080, l, "10.77.0.2");
	close(l);
	con_stop(&w, &a);
	world_done(&w);
}

static void hairpin(const char *bridge_nf)
{
	struct world w;
	struct con a, b;
	int l;

	world_new(&w, &plain);
	put_sysctl("/proc/sys/net/bridge/bridge-nf-call-iptables", bridge_nf);
	a = con_start(&w, "a", &web, 1);
	b = con_start(&w, "b", NULL, 0);
	l = listen_in(a.box.ns, "0.0.0.0", 80);
	assert_reaches(b.box.ns, "10.77.0.1", 8080, l, NULL);
	assert_reaches(b.box.ns, "172.17.0.1", 8080, l, NULL);
	assert_reaches(a.box.ns, "10.77.0.1", 8080, l, NULL);
	assert_reaches(a.box.ns, "172.17.0.1", 8080, l, NULL);
	assert_reaches(b.box.ns, "172.17.0.2", 80, l, "172.17.0.3");
	close(l);
	con_stop(&w, &a);
	con_stop(&w, &b);
	world_done(&w);
}

static void test_containers_reach_published_ports_by_host_addresses(void **state)
{
	hairpin("0");
}

static void test_the_same_where_bridged_packets_meet_the_firewall(void **state)
{
	hairpin("1");
}

static void test_udp_port(void **state)
{
	const struct net_publish dns = { .proto = "udp", .port = 53, .host_port_first = 5353 };
	struct sockaddr_in any = addr4("0.0.0.0", 53), from;
	socklen_t len = sizeof from;
	const struct {
		bool outside;
		const char *to, *source;
	} ways[] = { { true, "10.77.0.1", "10.77.0.2" },
		     { false, "10.77.0.1", "10.77.0.1" },
		     { false, "127.0.0.1", "172.17.0.1" } };
	struct world w;
	struct con a;
	int s;

	world_new(&w, &plain);
	a = con_start(&w, "a", &dns, 1);
	s = socket_in(a.box.ns, AF_INET, SOCK_DGRAM);
	assert_int_equal(bind(s, (void *)&any, sizeof any), 0);
	for (size_t i = 0; i < ARRAY_LEN(ways); i++) {
		struct sockaddr_in to = addr4(ways[i].to, 5353);
		int c = socket_in(ways[i].outside ? w.out.ns : w.host, AF_INET, SOCK_DGRAM);
		char buf[8] = "", text[INET_ADDRSTRLEN];

		assert_int_equal(connect(c, (void *)&to, sizeof to), 0);
		assert_int_equal(send(c, "ask", 3, 0), 3);
		assert_true(readable(s, PATIENCE_MS));
		assert_int_equal(recvfrom(s, buf, sizeof buf, 0, (void *)&from, &len), 3);
		inet_ntop(AF_INET, &from.sin_addr, text, sizeof text);
		assert_string_equal(text, ways[i].source);
		assert_int_equal(sendto(s, "answer", 6, 0, (void *)&from, len), 6);
		assert_true(readable(c, PATIENCE_MS));
		assert_int_equal(recv(c, buf, sizeof buf, 0), 6);
		close(c);
	}
	close(s);
	con_stop(&w, &a);
	world_done(&w);
}

/* A client that goes on sending from one socket is not tied to what was there before */
static void test_udp_client_follows_the_port_to_a_new_container(void **state)
{
	const struct net_publish dns = { .proto = "udp", .port = 53, .host_port_first = 5353 };
	struct sockaddr_in any = addr4("0.0.0.0", 53), to = addr4("10.77.0.1", 5353);
	struct world w;
	struct con a = { 0 }, filler = { 0 }, b = { 0 };
	int s, c;

	world_new(&w, &plain);
	c = socket_in(w.out.ns, AF_INET, SOCK_DGRAM);
	assert_int_equal(sendto(c, "0", 1, 0, (void *)&to, sizeof to), 1); /* before there is anything */
	for (int i = 0; i < 2; i++) {
		struct con *me = i ? &b : &a;

		if (i)
			filler = con_start(&w, "filler", NULL, 0); /* takes a's address */
		*me = con_start(&w, "server", &dns, 1);
		s = socket_in(me->box.ns, AF_INET, SOCK_DGRAM);
		assert_int_equal(bind(s, (void *)&any, sizeof any), 0);
		assert_int_equal(sendto(c, "1", 1, 0, (void *)&to, sizeof to), 1);
		assert_true(readable(s, PATIENCE_MS));
		close(s);
		con_stop(&w, me);
	}
	con_stop(&w, &filler);
	close(c);
	world_done(&w);
}

static void test_ipv6_loopback_is_relayed(void **state)
{
	struct sockaddr_in6 to = { .sin6_family = AF_INET6,
				   .sin6_port = htons(8080),
				   .sin6_addr = IN6ADDR_LOOPBACK_INIT };
	struct world w;
	struct con a;
	int l, out, in;
	char buf[4] = "";
	pid_t pid;

	world_new(&w, &plain);
	a = con_start(&w, "a", &web, 1);
	l = listen_in(a.box.ns, "0.0.0.0", 80);
	assert_int_equal(a.socks.n, 2);
	assert_false(a.socks.v[0].relay);
	assert_true(a.socks.v[1].relay && a.ep.ports.v[1].relay);
	assert_string_equal(a.ep.ports.v[1].host_ip, "::");
	pid = fork();
	if (pid == 0)
		_exit(-net_relay(a.socks.v[1].fd, a.socks.v[1].proto, a.socks.v[1].target, a.socks.v[1].target_port));
	out = connect_in(w.host, &to, sizeof to, PATIENCE_MS);
	assert_true(out >= 0);
	assert_true(readable(l, PATIENCE_MS));
	in = accept(l, NULL, NULL);
	assert_int_equal(write(out, "abc", 3), 3);
	shutdown(out, SHUT_WR);
	assert_true(readable(in, PATIENCE_MS));
	assert_int_equal(read(in, buf, 3), 3);
	assert_true(readable(in, PATIENCE_MS));
	assert_int_equal(read(in, buf, 3), 0); /* the half-close went through ... */
	assert_int_equal(write(in, "de", 2), 2);
	close(in);
	assert_true(readable(out, PATIENCE_MS));
	assert_int_equal(read(out, buf, 3), 2); /* ... and the other direction was still open */
	close(out);
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	close(l);
	con_stop(&w, &a);
	world_done(&w);
}

static void test_port_conflicts_have_dockers_words(void **state)
{
	struct net_endpoint_req req = { .network = "bridge", .container_id = "c", .container_name = "second" };
	const struct net_publish taken = { .port = 80, .host_port_first = 9000 },
				 range = { .port = 80, .host_port_first = 8080, .host_port_last = 8081 };
	struct net_sockets socks = { 0 };
	struct net_endpoint ep;
	struct err e = ERR_INIT;
	char want[256];
	struct world w;
	struct con a;
	int l;

	world_new(&w, &plain);
	a = con_start(&w, "first", &web, 1);
	assert_int_equal(net_endpoint_prepare(w.net, &req, &ep, &e), 0);
	assert_true(net_ports_reserve(w.net, &ep, &web, 1, &socks, &e) < 0);
	snprintf(want, sizeof want,
		 "driver failed programming external connectivity on endpoint second (%s): Bind for 0.0.0.0:8080 "
		 "failed: port is already allocated",
		 ep.id);
	assert_string_equal(e.msg, want);
	assert_int_equal(ep.ports.n, 0);

	l = listen_in(w.host, "127.0.0.1", 9000);
	assert_true(net_ports_reserve(w.net, &ep, &taken, 1, &socks, &e) < 0);
	snprintf(want, sizeof want,
		 "driver failed programming external connectivity on endpoint second (%s): failed to bind host port "
		 "for 0.0.0.0:9000:172.17.0.3:80/tcp: address already in use",
		 ep.id);
	assert_string_equal(e.msg, want);
	close(l);
	assert_int_equal(net_ports_reserve(w.net, &ep, &taken, 1, &socks, &e), 0); /* nothing was left behind */
	net_sockets_done(&socks);

	assert_int_equal(net_ports_reserve(w.net, &ep, &range, 1, &socks, &e), 0); /* the free one of the range */
	assert_int_equal(ep.ports.v[ep.ports.n - 1].host_port, 8081);
	net_sockets_done(&socks);
	net_endpoint_release(w.net, &ep);
	net_endpoint_done(&ep);
	con_stop(&w, &a);
	a = con_start(&w, "third", &web, 1); /* and what was released can be taken again */
	con_stop(&w, &a);
	world_done(&w);
}

static void test_reserved_port_is_closed_to_other_processes(void **state)
{
	struct sockaddr_in any = addr4("0.0.0.0", 8080);
	int fd, on = 1;
	struct world w;
	struct con a;

	world_new(&w, &plain);
	a = con_start(&w, "a", &web, 1);
	fd = socket_in(w.host, AF_INET, SOCK_STREAM);
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
	assert_int_equal(bind(fd, (void *)&any, sizeof any), -1);
	assert_int_equal(errno, EADDRINUSE);
	close(fd);
	con_stop(&w, &a);
	world_done(&w);
}

static void test_port_of_a_server_that_just_ended_can_be_taken(void **state)
{
	const struct net_publish just = { .port = 80, .host_port_first = 9100 };
	int l, in, out, other, on = 1;
	struct sockaddr_in any = addr4("0.0.0.0", 9100);
	struct world w;
	struct con a;
	char c;

	world_new(&w, &plain);
	l = listen_in(w.host, "127.0.0.1", 9100);
	out = connect4(w.host, "127.0.0.1", 9100, PATIENCE_MS);
	in = accept(l, NULL, NULL);
	assert_true(out >= 0 && in >= 0);
	close(in); /* the server's end closes first: TIME_WAIT is its */
	assert_true(readable(out, PATIENCE_MS) && read(out, &c, 1) == 0);
	close(out);
	close(l);
	other = socket_in(w.host, AF_INET, SOCK_STREAM);
	assert_int_equal(bind(other, (void *)&any, sizeof any), -1); /* it is there */
	close(other);
	a = con_start(&w, "a", &just, 1);
	l = listen_in(a.box.ns, "0.0.0.0", 80);
	assert_reaches(w.host, "127.0.0.1", 9100, l, NULL);
	other = socket_in(w.host, AF_INET, SOCK_STREAM); /* and nobody else gets in */
	setsockopt(other, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
	assert_true(bind(other, (void *)&any, sizeof any) < 0 || listen(other, 1) < 0);
	close(other);
	close(l);
	con_stop(&w, &a);
	world_done(&w);
}

static void test_ephemeral_ports_ascend_through_the_kernels_range(void **state)
{
	const struct net_publish any[] = { { .port = 80 }, { .port = 81 } };
	struct world w;
	struct con a;

	world_new(&w, &plain);
	put_sysctl("/proc/sys/net/ipv4/ip_local_port_range", "40000 40003");
	a = con_start(&w, "a", any, 2);
	assert_int_equal(a.ep.ports.n, 4);
	assert_int_equal(a.ep.ports.v[0].host_port, 40000);
	assert_int_equal(a.ep.ports.v[1].host_port, 40000);
	assert_int_equal(a.ep.ports.v[2].host_port, 40001);
	con_stop(&w, &a);
	a = con_start(&w, "b", any, 1);
	assert_int_equal(a.ep.ports.v[0].host_port, 40002);
	con_stop(&w, &a);
	world_done(&w);
}

static void icc_off(const char *bridge_nf)
{
	const struct net_config c = { .icc_off = true };
	struct world w;
	struct con a, b;
	int l;

	world_new(&w, &c);
	put_sysctl("/proc/sys/net/bridge/bridge-nf-call-iptables", bridge_nf);
	a = con_start(&w, "a", &web, 1);
	b = con_start(&w, "b", NULL, 0);
	l = listen_in(a.box.ns, "0.0.0.0", 80);
	assert_silent(b.box.ns, "172.17.0.2", 80);
	assert_reaches(w.host, "172.17.0.2", 80, l, NULL);
	if (*bridge_nf == '0')
		assert_reaches(b.box.ns, "10.77.0.1", 8080, l, NULL);
	close(l);
	con_stop(&w, &a);
	con_stop(&w, &b);
	world_done(&w);
}

static void test_icc_off_separates_containers_but_not_published_ports(void **state)
{
	icc_off("0");
	icc_off("1");
}

/* CVE-2020-8558: with route_localnet on the bridge, a container must not reach what listens on the host's loopback */
static void test_loopback_of_the_host_is_closed_to_containers(void **state)
{
	struct {
		struct ether_header eth;
		struct iphdr ip;
		struct udphdr udp;
		char data;
	} __attribute__((packed)) frame = { 0 };
	struct sockaddr_ll to = { .sll_family = AF_PACKET, .sll_protocol = htons(ETH_P_IP), .sll_halen = 6 };
	struct sockaddr_in loopback = addr4("127.0.0.1", 777), gateway = addr4("172.17.0.1", 778);
	int victim, control, raw, rt;
	struct rtnl_info inside, bridge;
	struct world w;
	struct con a;

	world_new(&w, &plain);
	a = con_start(&w, "a", &web, 1); /* switches route_localnet on */
	victim = socket_in(w.host, AF_INET, SOCK_DGRAM);
	assert_int_equal(bind(victim, (void *)&loopback, sizeof loopback), 0);
	control = socket_in(w.host, AF_INET, SOCK_DGRAM);
	assert_int_equal(bind(control, (void *)&gateway, sizeof gateway), 0);
	rt = nl_open(NETLINK_ROUTE);
	assert_int_equal(rtnl_link_get(rt, "hoy0", &bridge, NULL), 0);
	close(rt);
	assert_int_equal(rtnl_link_get(a.box.rt, "eth0", &inside, NULL), 0);
	raw = socket_in(a.box.ns, AF_PACKET, SOCK_RAW);
	to.sll_ifindex = (int)inside.index;
	memcpy(frame.eth.ether_dhost, bridge.mac, 6);
	memcpy(frame.eth.ether_shost, inside.mac, 6);
	frame.eth.ether_type = htons(ETH_P_IP);
	for (int i = 0; i < 2; i++) {
		const struct sockaddr_in *dst = i ? &gateway : &loopback;
		uint32_t sum = 0;

		frame.ip = (struct iphdr){ .version = 4, .ihl = 5, .ttl = 64, .protocol = IPPROTO_UDP };
		frame.ip.tot_len = htons(sizeof frame - sizeof frame.eth);
		frame.ip.saddr = inet_addr("172.17.0.2");
		frame.ip.daddr = dst->sin_addr.s_addr;
		for (int k = 0; k < 10; k++) {
			uint16_t word;

			memcpy(&word, (const char *)&frame.ip + k * 2, 2);
			sum += word;
		}
		frame.ip.check = (uint16_t) ~((sum & 0xffff) + (sum >> 16));
		frame.udp = (struct udphdr){ .uh_sport = htons(1), .uh_dport = dst->sin_port, .uh_ulen = htons(9) };
		assert_int_equal(sendto(raw, &frame, sizeof frame, 0, (void *)&to, sizeof to), sizeof frame);
	}
	assert_true(readable(control, PATIENCE_MS)); /* the frame is a good one: the same to another address arrives */
	assert_false(readable(victim, SILENCE_MS));
	close(raw);
	close(victim);
	close(control);
	con_stop(&w, &a);
	world_done(&w);
}

/* ---- beside another table ---- */
static void foreign_table(bool docker_user)
{
	const struct nft_chain forward = { NFPROTO_IPV4, "filter", "FORWARD", "filter", NF_INET_FORWARD, 0, true },
			       user = { NFPROTO_IPV4, "filter", "DOCKER-USER" };
	struct nl_batch b = NL_BATCH_INIT;
	int fd = nl_open(NETLINK_NETFILTER);

	nft_begin(&b);
	nft_table_add(&b, "table", NFPROTO_IPV4, "filter");
	nft_chain_add(&b, "chain", &forward);
	if (docker_user) {
		struct nftnl_rule *r = nft_rule_new(NFPROTO_IPV4, "filter", "FORWARD");
		struct nftnl_expr *x = nftnl_expr_alloc("immediate");

		nft_chain_add(&b, "chain", &user);
		nftnl_expr_set_u32(x, NFTNL_EXPR_IMM_DREG, NFT_REG_VERDICT);
		nftnl_expr_set_u32(x, NFTNL_EXPR_IMM_VERDICT, (uint32_t)NFT_JUMP);
		nftnl_expr_set_str(x, NFTNL_EXPR_IMM_CHAIN, "DOCKER-USER");
		nftnl_rule_add_expr(r, x);
		nft_rule_add(&b, "jump", r, NFT_APPEND);
	}
	assert_int_equal(nl_run(&b, fd, NULL), 0);
	nl_batch_done(&b);
	close(fd);
}

static void test_a_table_that_drops_is_told(void **state)
{
	struct net_status s;
	struct world w;
	struct con a;
	int l;

	world_new(&w, NULL);
	foreign_table(false);
	open_net(&w, &plain, NULL, 0);
	a = con_start(&w, "a", &web, 1);
	l = listen_in(a.box.ns, "0.0.0.0", 80);
	assert_silent(w.out.ns, "10.77.0.1", 8080);
	assert_reaches(w.host, "10.77.0.1", 8080, l, NULL); /* not forwarded */
	assert_int_equal(net_status(w.net, &s, NULL), 0);
	assert_string_equal(s.blocker, "table ip filter, chain FORWARD (policy drop)");
	assert_false(s.passed);
	net_status_done(&s);
	close(l);
	con_stop(&w, &a);
	world_done(&w);
}

static bool old_iptables(const char *a, const char *b, const char *c, const char *d)
{
	int status = -1;
	pid_t pid = fork();

	if (pid == 0) {
		execl("/usr/sbin/iptables-legacy", "iptables-legacy", a, b, c, d, NULL);
		_exit(127);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return status == 0;
}

static void test_old_iptables_that_drops_is_told(void **state)
{
	struct net_status s;
	struct world w;

	if (access("/usr/sbin/iptables-legacy", X_OK) < 0)
		skip();
	world_new(&w, &plain);
	assert_int_equal(net_status(w.net, &s, NULL), 0);
	assert_null(s.blocker);
	if (!old_iptables("-P", "FORWARD", "DROP", NULL)) {
		world_done(&w);
		skip(); /* a kernel without it */
	}
	assert_true(old_iptables("-A", "FORWARD", "-j", "ACCEPT")); /* the policy is not the chain's first rule */
	assert_int_equal(net_status(w.net, &s, NULL), 0);
	assert_string_equal(s.blocker, "iptables-legacy table filter, chain FORWARD (policy drop)");
	net_status_done(&s);
	assert_true(old_iptables("-P", "FORWARD", "ACCEPT", NULL));
	assert_int_equal(net_status(w.net, &s, NULL), 0);
	assert_null(s.blocker);
	world_done(&w);
}

static void test_docker_user_integration_passes_and_leaves_no_trace(void **state)
{
	const struct net_config c = { .integration = NET_FIREWALL_DOCKER_USER };
	uint64_t *handles = NULL;
	struct net_status s;
	struct world w;
	struct con a;
	int l, fd;

	world_new(&w, NULL);
	foreign_table(true);
	open_net(&w, &c, NULL, 0);
	assert_int_equal(net_start(w.net, NULL, 0, NULL), 0); /* twice: the rules are not doubled */
	a = con_start(&w, "a", &web, 1);
	l = listen_in(a.box.ns, "0.0.0.0", 80);
	assert_reaches(w.out.ns, "10.77.0.1", 8080, l, "10.77.0.2");
	assert_int_equal(net_status(w.net, &s, NULL), 0);
	assert_non_null(s.blocker);
	assert_true(s.passed);
	net_status_done(&s);
	fd = nl_open(NETLINK_NETFILTER);
	assert_int_equal(nft_rules_by_comment(fd, NFPROTO_IPV4, "filter", "DOCKER-USER", "hoy", &handles, NULL), 2);
	free(handles);
	assert_int_equal(net_purge(w.net, NULL), 0);
	assert_int_equal(nft_rules_by_comment(fd, NFPROTO_IPV4, "filter", "DOCKER-USER", "hoy", &handles, NULL), 0);
	free(handles);
	close(fd);
	close(l);
	con_stop(&w, &a);
	world_done(&w);
}

static void test_purge_removes_ours_and_nothing_else(void **state)
{
	struct nft_chains before = { 0 }, after = { 0 };
	struct rtnl_info link;
	struct world w;
	int fd, rt;

	world_new(&w, NULL);
	foreign_table(true);
	fd = nl_open(NETLINK_NETFILTER);
	rt = nl_open(NETLINK_ROUTE);
	assert_int_equal(nft_chains_get(fd, &before, NULL), 0);
	open_net(&w, &plain, NULL, 0);
	assert_int_equal(rtnl_link_get(rt, "hoy0", &link, NULL), 0);
	assert_int_equal(net_purge(w.net, NULL), 0);
	assert_int_equal(rtnl_link_get(rt, "hoy0", &link, NULL), -ENODEV);
	assert_int_equal(nft_chains_get(fd, &after, NULL), 0);
	assert_int_equal(after.n, before.n);
	free(before.v);
	free(after.v);
	close(fd);
	close(rt);
	world_done(&w);
}

/* ---- lives ---- */
static void test_restart_of_the_daemon_keeps_connections_and_ports(void **state)
{
	char id[65], c = 0;
	struct net_endpoints known = { 0 };
	struct net_network nw = { 0 };
	struct world w;
	struct con a, b;
	int l, out, in;

	world_new(&w, &plain);
	a = con_start(&w, "a", &web, 1);
	l = listen_in(a.box.ns, "0.0.0.0", 80);
	out = connect4(w.out.ns, "10.77.0.1", 8080, PATIENCE_MS);
	in = accept(l, NULL, NULL);
	assert_true(out >= 0 && in >= 0);
	assert_int_equal(net_get(w.net, "bridge", &nw, NULL), 0);
	snprintf(id, sizeof id, "%s", nw.id);
	net_network_done(&nw);

	net_close(w.net);
	assert_int_equal(write(out, "1", 1), 1); /* nobody is there, and it goes on */
	assert_true(readable(in, PATIENCE_MS) && read(in, &c, 1) == 1);
	open_net(&w, &plain, &a.ep, 1);
	assert_int_equal(write(in, "2", 1), 1);
	assert_true(readable(out, PATIENCE_MS) && read(out, &c, 1) == 1 && c == '2');
	assert_reaches(w.out.ns, "10.77.0.1", 8080, l, "10.77.0.2");
	assert_int_equal(net_get(w.net, "bridge", &nw, NULL), 0);
	assert_string_equal(nw.id, id);
	net_network_done(&nw);
	assert_int_equal(net_start(w.net, &a.ep, 1, NULL), 0); /* once more changes nothing */
	assert_int_equal(net_network_endpoints(w.net, id, &known), 0);
	assert_int_equal(known.n, 1);
	net_endpoints_done(&known);
	b = con_start(&w, "b", NULL, 0);
	assert_string_equal(b.ep.ip, "172.17.0.3"); /* .2 is known to be in use */
	close(in);
	close(out);
	close(l);
	con_stop(&w, &a);
	con_stop(&w, &b);
	world_done(&w);
}

static void test_subnet_of_the_host_is_avoided_and_bip_wins(void **state)
{
	struct net_config c = { 0 };
	struct nl_batch b = NL_BATCH_INIT;
	struct net_network nw = { 0 };
	struct rtnl_info link;
	struct world w;
	int rt;

	world_new(&w, NULL);
	rt = nl_open(NETLINK_ROUTE);
	assert_int_equal(rtnl_link_get(rt, "up0", &link, NULL), 0);
	rtnl_addr_add(&b, "address", link.index, inet_addr("172.17.200.1"), 24);
	assert_int_equal(nl_run(&b, rt, NULL), 0);
	open_net(&w, &c, NULL, 0);
	assert_int_equal(net_get(w.net, "bridge", &nw, NULL), 0);
	assert_string_equal(nw.subnet, "172.18.0.0/16");
	net_network_done(&nw);
	net_close(w.net);
	open_net(&w, &c, NULL, 0); /* and stays */
	assert_int_equal(net_get(w.net, nw.id ? nw.id : "bridge", &nw, NULL), 0);
	assert_string_equal(nw.subnet, "172.18.0.0/16");
	net_network_done(&nw);
	assert_int_equal(net_purge(w.net, NULL), 0);
	net_close(w.net);
	c.bip = "192.168.5.1/24";
	c.instance = "/some/where";
	open_net(&w, &c, NULL, 0);
	assert_int_equal(net_get(w.net, "bridge", &nw, NULL), 0);
	assert_string_equal(nw.subnet, "192.168.5.0/24");
	assert_string_equal(nw.gateway, "192.168.5.1");
	assert_int_equal(strlen(nw.bridge), strlen("hoy-01234567"));
	net_network_done(&nw);
	assert_int_equal(net_purge(w.net, NULL), 0);
	nl_batch_done(&b);
	close(rt);
	world_done(&w);
}

static void test_changed_configuration_renews_our_bridge(void **state)
{
	struct net_config c = { .bip = "192.168.5.1/24" };
	struct rtnl_subnets known = { 0 };
	struct rtnl_info link;
	struct world w;
	int rt, addresses = 0;

	world_new(&w, &c);
	net_close(w.net);
	c.bip = "192.168.6.1/24";
	c.mtu = 1400;
	open_net(&w, &c, NULL, 0);
	rt = nl_open(NETLINK_ROUTE);
	assert_int_equal(rtnl_link_get(rt, "hoy0", &link, NULL), 0);
	assert_int_equal(link.mtu, 1400);
	assert_int_equal(rtnl_subnets_get(rt, &known, NULL), 0);
	for (size_t i = 0; i < known.n; i++)
		if (known.v[i].is_addr && known.v[i].ifindex == link.index) {
			assert_int_equal(known.v[i].ip4, inet_addr("192.168.6.1"));
			addresses++;
		}
	assert_int_equal(addresses, 1);
	free(known.v);
	close(rt);
	world_done(&w);
}

static void test_bridge_of_the_user_is_taken_as_it_is(void **state)
{
	const struct net_config c = { .bridge = "mine0" };
	static const uint8_t mac[6] = { 0x02, 1, 2, 3, 4, 5 };
	struct nl_batch b = NL_BATCH_INIT;
	struct rtnl_info link;
	struct world w;
	struct con a;
	int rt;

	world_new(&w, NULL);
	rt = nl_open(NETLINK_ROUTE);
	rtnl_bridge_add(&b, "bridge", "mine0", mac, 1450);
	assert_int_equal(nl_run(&b, rt, NULL), 0);
	assert_int_equal(rtnl_link_get(rt, "mine0", &link, NULL), 0);
	rtnl_addr_add(&b, "address", link.index, inet_addr("10.5.0.7"), 24);
	assert_int_equal(nl_run(&b, rt, NULL), 0);
	open_net(&w, &c, NULL, 0);
	assert_int_equal(rtnl_link_get(rt, "mine0", &link, NULL), 0);
	assert_int_equal(link.mtu, 1450);
	assert_memory_equal(link.mac, mac, 6);
	a = con_start(&w, "a", NULL, 0);
	assert_string_equal(a.ep.gateway, "10.5.0.7");
	assert_string_equal(a.ep.ip, "10.5.0.1");
	con_stop(&w, &a);
	nl_batch_done(&b);
	close(rt);
	world_done(&w);
}

static void test_without_firewall_ports_are_relayed(void **state)
{
	const struct net_config c = { .firewall_off = true };
	struct net_status s;
	struct world w;
	struct con a;
	pid_t pid;
	int l;

	world_new(&w, &c);
	a = con_start(&w, "a", &web, 1);
	l = listen_in(a.box.ns, "0.0.0.0", 80);
	assert_true(a.socks.v[0].relay);
	pid = fork();
	if (pid == 0)
		_exit(-net_relay(a.socks.v[0].fd, "tcp", a.socks.v[0].target, a.socks.v[0].target_port));
	assert_reaches(w.out.ns, "10.77.0.1", 8080, l, "172.17.0.1");
	assert_reaches(w.host, "127.0.0.1", 8080, l, "172.17.0.1");
	assert_int_equal(net_status(w.net, &s, NULL), 0);
	assert_false(s.set_route_localnet);
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	close(l);
	con_stop(&w, &a);
	world_done(&w);
}

/* ---- many at once ---- */
struct crowd {
	struct world *w;
	int id, failures;
	char ips[20][16];
};

static void *crowd_run(void *arg)
{
	struct net_publish any = { .port = 80 };
	struct crowd *c = arg;

	for (int i = 0; i < 20; i++) {
		struct net_endpoint_req req = { .network = "bridge", .container_id = "c", .container_name = "c" };
		struct net_sockets socks = { 0 };
		struct net_endpoint ep = { 0 };
		struct err e = ERR_INIT;
		struct box x = box_new();

		if (net_endpoint_prepare(c->w->net, &req, &ep, &e) < 0 ||
		    net_ports_reserve(c->w->net, &ep, &any, 1, &socks, &e) < 0 ||
		    net_endpoint_attach(c->w->net, &ep, x.ns, x.rt, x.nf, &e) < 0)
			c->failures++;
		snprintf(c->ips[i], sizeof c->ips[i], "%s", ep.ip ? ep.ip : "");
		if (i % 2) { /* half of them stay */
			net_endpoint_detach(c->w->net, &ep, NET_NAMESPACE_DIES);
			net_endpoint_release(c->w->net, &ep);
			c->ips[i][0] = 0;
		}
		net_sockets_done(&socks);
		net_endpoint_done(&ep);
		box_done(&x);
	}
	return NULL;
}

static void test_parallel_starts_get_different_addresses(void **state)
{
	enum { THREADS = 6 };
	struct crowd c[THREADS] = { 0 };
	pthread_t t[THREADS];
	struct strv seen = { 0 };
	struct net_endpoints left = { 0 };
	struct net_network nw = { 0 };
	struct world w;

	world_new(&w, &plain);
	for (int i = 0; i < THREADS; i++) {
		c[i].w = &w;
		assert_int_equal(pthread_create(&t[i], NULL, crowd_run, &c[i]), 0);
	}
	for (int i = 0; i < THREADS; i++) {
		pthread_join(t[i], NULL);
		assert_int_equal(c[i].failures, 0);
		for (int k = 0; k < 20; k++)
			if (c[i].ips[k][0]) {
				assert_false(strv_has(&seen, c[i].ips[k]));
				strv_add(&seen, c[i].ips[k]);
			}
	}
	assert_int_equal(net_get(w.net, "bridge", &nw, NULL), 0);
	assert_int_equal(net_network_endpoints(w.net, nw.id, &left), 0);
	assert_int_equal(left.n, THREADS * 10);
	net_endpoints_done(&left);
	net_network_done(&nw);
	strv_done(&seen);
	world_done(&w);
}

static void test_flushed_ruleset_is_made_again(void **state)
{
	const struct net_publish other = { .port = 80, .host_port_first = 8081 };
	struct nl_batch b = NL_BATCH_INIT;
	struct world w;
	struct con a, c;
	int l, fd;

	world_new(&w, &plain);
	a = con_start(&w, "a", &web, 1);
	l = listen_in(a.box.ns, "0.0.0.0", 80);
	fd = nl_open(NETLINK_NETFILTER);
	for (int ports = 0; ports <= 1; ports++) {
		nft_begin(&b);
		nft_table_del(&b, "flush", NFPROTO_IPV4, "hoy");
		assert_int_equal(nl_run(&b, fd, NULL), 0);
		assert_silent(w.out.ns, "10.77.0.1", 8080);
		c = con_start(&w, "c", &other, (size_t)ports);
		assert_reaches(w.out.ns, "10.77.0.1", 8080, l, "10.77.0.2");
		con_stop(&w, &c);
	}
	nl_batch_done(&b);
	close(fd);
	close(l);
	con_stop(&w, &a);
	world_done(&w);
}

static void test_failed_start_leaves_no_link(void **state)
{
	struct rtnl_info link;
	struct world w;
	struct con a;
	int rt;

	world_new(&w, &plain);
	a = con_start(&w, "a", &web, 1);
	rt = nl_open(NETLINK_ROUTE);
	assert_int_equal(rtnl_link_get(rt, a.ep.host_ifname, &link, NULL), 0);
	net_endpoint_detach(w.net, &a.ep, NET_NAMESPACE_LIVES);
	assert_int_equal(rtnl_link_get(rt, a.ep.host_ifname, &link, NULL), -ENODEV);
	net_endpoint_detach(w.net, &a.ep, NET_NAMESPACE_LIVES); /* again: nothing happens */
	close(rt);
	con_stop(&w, &a);
	world_done(&w);
}

static void test_host_none_and_unknown_networks(void **state)
{
	struct net_endpoint_req req = { .network = "none", .container_id = "c", .container_name = "c" };
	struct box x;
	struct net_endpoint ep;
	struct err e = ERR_INIT;
	struct world w;
	int l;

	world_new(&w, &plain);
	x = box_new();
	assert_int_equal(net_endpoint_prepare(w.net, &req, &ep, &e), 0);
	assert_int_equal(net_endpoint_attach(w.net, &ep, x.ns, x.rt, x.nf, &e), 0);
	assert_true(str_empty(ep.ip) && str_empty(ep.mac));
	l = listen_in(x.ns, "127.0.0.1", 80);
	assert_reaches(x.ns, "127.0.0.1", 80, l, NULL);
	close(l);
	net_endpoint_release(w.net, &ep);
	net_endpoint_done(&ep);
	req.network = "host";
	assert_int_equal(net_endpoint_prepare(w.net, &req, &ep, &e), 0);
	assert_int_equal(net_endpoint_attach(w.net, &ep, -1, -1, -1, &e), 0);
	net_endpoint_release(w.net, &ep);
	net_endpoint_done(&ep);
	req.network = "nowhere";
	assert_true(net_endpoint_prepare(w.net, &req, &ep, &e) < 0);
	assert_int_equal(e.kind, ERR_NOT_FOUND);
	assert_string_equal(e.msg, "network nowhere not found");
	box_done(&x);
	world_done(&w);
}

static void test_addresses_can_be_asked_for(void **state)
{
	struct net_endpoint_req req = { .network = "bridge", .ip = "172.17.9.9", .mac = "02:00:00:00:00:07" };
	struct net_endpoint ep, second;
	struct err e = ERR_INIT;
	struct world w;

	world_new(&w, &plain);
	assert_int_equal(net_endpoint_prepare(w.net, &req, &ep, &e), 0);
	assert_string_equal(ep.ip, "172.17.9.9");
	assert_string_equal(ep.mac, "02:00:00:00:00:07");
	assert_true(net_endpoint_prepare(w.net, &req, &second, &e) < 0);
	assert_string_equal(e.msg, "Address already in use");
	net_endpoint_release(w.net, &ep);
	net_endpoint_done(&ep);
	req.ip = "10.0.0.1";
	assert_true(net_endpoint_prepare(w.net, &req, &second, &e) < 0);
	assert_int_equal(e.kind, ERR_INVALID);
	req.ip = NULL;
	req.mac = "01:00:00:00:00:07"; /* multicast */
	assert_true(net_endpoint_prepare(w.net, &req, &second, &e) < 0);
	assert_int_equal(e.kind, ERR_INVALID);
	world_done(&w);
}

static void test_networks_of_the_users_own_come_and_go(void **state UNUSED)
{
	struct net_network want = { .name = xstrdup("crew") }, made = { 0 }, other = { 0 }, was = { 0 };
	struct rtnl_info link;
	struct err e = ERR_INIT;
	struct world w;

	world_new(&w, &plain);
	assert_int_equal(net_network_create(w.net, &want, &made, &e), 0);
	assert_string_equal(made.subnet, "172.18.0.0/16");
	assert_string_equal(made.gateway, "172.18.0.1");
	assert_int_equal(rtnl_link_get(w.net->rt_fd, made.bridge, &link, &e), 0);
	assert_true(net_network_create(w.net, &want, &other, &e) < 0);
	assert_string_equal(e.msg, "network with name crew already exists");
	free(want.name);
	want.name = xstrdup("hold");
	want.subnet = xstrdup("172.18.4.0/24");
	assert_true(net_network_create(w.net, &want, &other, &e) < 0);
	assert_int_equal(e.kind, ERR_FORBIDDEN);
	free(want.subnet);
	want.subnet = xstrdup("172.19.0.0/24"); /* beside the other, without a gap */
	want.ip_range = xstrdup("172.19.0.64/26");
	assert_int_equal(net_network_create(w.net, &want, &other, &e), 0);
	assert_string_equal(other.gateway, "172.19.0.64");
	assert_int_equal(net_network_remove(w.net, "crew", &was, &e), 0);
	assert_int_equal(rtnl_link_get(w.net->rt_fd, made.bridge, &link, NULL), -ENODEV);
	net_network_done(&was);
	assert_int_equal(net_network_remove(w.net, "hold", &was, &e), 0);
	assert_true(net_network_remove(w.net, "bridge", &was, &e) < 0);
	assert_string_equal(e.msg, "bridge is a pre-defined network and cannot be removed");
	net_network_done(&was);
	net_network_done(&want);
	net_network_done(&made);
	net_network_done(&other);
	world_done(&w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_containers_and_host_reach_each_other),
		cmocka_unit_test(test_container_reaches_outside_masqueraded),
		cmocka_unit_test(test_published_port_shows_the_true_source),
		cmocka_unit_test(test_published_port_answers_at_loopback),
		cmocka_unit_test(test_port_of_one_host_address_answers_only_there),
		cmocka_unit_test(test_unpublished_port_is_closed_to_neighbours),
		cmocka_unit_test(test_containers_reach_published_ports_by_host_addresses),
		cmocka_unit_test(test_the_same_where_bridged_packets_meet_the_firewall),
		cmocka_unit_test(test_udp_port),
		cmocka_unit_test(test_udp_client_follows_the_port_to_a_new_container),
		cmocka_unit_test(test_ipv6_loopback_is_relayed),
		cmocka_unit_test(test_port_conflicts_have_dockers_words),
		cmocka_unit_test(test_reserved_port_is_closed_to_other_processes),
		cmocka_unit_test(test_port_of_a_server_that_just_ended_can_be_taken),
		cmocka_unit_test(test_ephemeral_ports_ascend_through_the_kernels_range),
		cmocka_unit_test(test_icc_off_separates_containers_but_not_published_ports),
		cmocka_unit_test(test_loopback_of_the_host_is_closed_to_containers),
		cmocka_unit_test(test_a_table_that_drops_is_told),
		cmocka_unit_test(test_old_iptables_that_drops_is_told),
		cmocka_unit_test(test_docker_user_integration_passes_and_leaves_no_trace),
		cmocka_unit_test(test_purge_removes_ours_and_nothing_else),
		cmocka_unit_test(test_restart_of_the_daemon_keeps_connections_and_ports),
		cmocka_unit_test(test_subnet_of_the_host_is_avoided_and_bip_wins),
		cmocka_unit_test(test_changed_configuration_renews_our_bridge),
		cmocka_unit_test(test_bridge_of_the_user_is_taken_as_it_is),
		cmocka_unit_test(test_without_firewall_ports_are_relayed),
		cmocka_unit_test(test_parallel_starts_get_different_addresses),
		cmocka_unit_test(test_flushed_ruleset_is_made_again),
		cmocka_unit_test(test_failed_start_leaves_no_link),
		cmocka_unit_test(test_host_none_and_unknown_networks),
		cmocka_unit_test(test_addresses_can_be_asked_for),
		cmocka_unit_test(test_networks_of_the_users_own_come_and_go),
	};

	if (unshare(CLONE_NEWNET) < 0) {
		fprintf(stderr, "needs network namespaces (root): %s\n", strerror(errno));
		return 77; /* meson: skipped */
	}
	signal(SIGPIPE, SIG_IGN);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
