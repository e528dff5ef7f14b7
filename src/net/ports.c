/* ports.c - host ports: who has which, and the sockets that keep others away from them.
 *
 * A TCP port that nft forwards is bound, never listened on: no connection can end up in it. A UDP socket has a filter that drops
 * everything. Both without SO_REUSEADDR, so that nobody else can bind beside them. */
#include "net/internal.h"

#include <fcntl.h>
#include <sys/socket.h>
#include <linux/filter.h>

void net_sockets_done(struct net_sockets *s)
{
	for (size_t i = 0; i < s->n; i++)
		fd_closep(&s->v[i].fd);
	free(s->v);
	*s = (struct net_sockets){ 0 };
}

static int parse_port(const char *s, const char *whole, uint16_t *ret, struct err *e)
{
	uint32_t v;

	if (str_to_u32(s, 10, &v) < 0 || v > 65535)
		return err_set(e, ERR_INVALID, "invalid port specification: \"%s\"", whole);
	*ret = (uint16_t)v;
	return 0;
}

int net_host_port_parse(const char *s, uint16_t *ret_first, uint16_t *ret_last, struct err *e)
{
	AUTO_FREE char *text = xstrdup(s ? s : "");
	char *dash = strchr(text, '-');
	uint16_t first = 0, last = 0;
	int r = 0;

	if (*text) {
		if (dash)
			*dash = 0;
		r = parse_port(text, s, &first, e);
		last = first;
		if (r >= 0 && dash)
			r = parse_port(dash + 1, s, &last, e);
		if (r >= 0 && last < first)
			r = err_set(e, ERR_INVALID, "invalid port specification: \"%s\"", s);
	}
	if (r < 0)
		return r;
	*ret_first = first;
	*ret_last = last;
	return 0;
}

/* ---- claims: the ports of our own containers; lock held throughout ---- */
static bool is_any(const char *ip)
{
	return streq(ip, "0.0.0.0") || streq(ip, "::");
}

static bool claimed(const struct net *n, bool udp, const char *ip, uint16_t port)
{
	bool v6 = strchr(ip, ':');

	for (size_t i = 0; i < n->claims.n; i++) {
		const struct claim *c = &n->claims.v[i];

		if (c->udp == udp && c->port == port && !!strchr(c->ip, ':') == v6 &&
		    (is_any(c->ip) || is_any(ip) || streq(c->ip, ip)))
			return true;
	}
	return false;
}

static void claim_add(struct net *n, const char *endpoint, const struct net_port *p)
{
	struct claim *c = VEC_ADD(&n->claims);

	c->udp = streq(p->proto, "udp");
	c->port = (uint16_t)p->host_port;
	snprintf(c->ip, sizeof c->ip, "%s", p->host_ip ? p->host_ip : "");
	snprintf(c->endpoint, sizeof c->endpoint, "%s", endpoint);
}

void claims_restore(struct net *n, const struct net_endpoint *ep)
{
	for (size_t i = 0; i < ep->ports.n; i++)
		claim_add(n, ep->id, &ep->ports.v[i]);
}

void claims_drop(struct net *n, const char *endpoint_id)
{
	for (size_t i = 0; i < n->claims.n;)
		if (streq(n->claims.v[i].endpoint, endpoint_id))
			n->claims.v[i] = n->claims.v[--n->claims.n];
		else
			i++;
}

/* ---- sockets ---- */
static int drop_everything(int fd)
{
	struct sock_filter nothing = BPF_STMT(BPF_RET | BPF_K, 0);
	struct sock_fprog program = { .len = 1, .filter = &nothing };

	return setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof program) < 0 ? -errno : 0;
}

/* A server that was here a minute ago leaves connections in TIME_WAIT, which only SO_REUSEADDR looks past; but that would let others
 * in, too. So: listen for a moment, which fails where somebody else listens, then go back to being bound only, without the option. */
static int bind_past_time_wait(int fd, const struct sockaddr *sa, socklen_t len)
{
	const struct sockaddr nobody = { .sa_family = AF_UNSPEC };
	int on = 1, off = 0;

	if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) < 0 || bind(fd, sa, len) < 0 ||
	    listen(fd, 0) < 0 || connect(fd, &nobody, sizeof nobody) < 0 ||
	    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &off, sizeof off) < 0)
		return -errno;
	return 0;
}

static int bound_socket(bool udp, const char *ip, uint16_t port, bool relay)
{
	struct sockaddr_in6 v6 = { .sin6_family = AF_INET6, .sin6_port = htons(port) };
	struct sockaddr_in v4 = { .sin_family = AF_INET, .sin_port = htons(port) };
	bool is6 = strchr(ip, ':');
	const struct sockaddr *sa = is6 ? (void *)&v6 : (void *)&v4;
	socklen_t len = is6 ? sizeof v6 : sizeof v4;
	AUTO_FD int fd = socket(is6 ? AF_INET6 : AF_INET, (udp ? SOCK_DGRAM : SOCK_STREAM) | SOCK_CLOEXEC, 0);
	int on = 1, r;

	if (fd < 0)
		return -errno;
	if (inet_pton(is6 ? AF_INET6 : AF_INET, ip, is6 ? (void *)&v6.sin6_addr : &v4.sin_addr) != 1)
		return -EINVAL;
	if (is6 && setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof on) < 0)
		return -errno;
	/* a relay's own finished connections linger in TIME_WAIT; that somebody else listens, listen() tells */
	if (relay && !udp && setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) < 0)
		return -errno;
	if (udp && !relay) {
		r = drop_everything(fd);
		if (r < 0)
			return r;
	}
	r = bind(fd, sa, len) < 0 ? -errno : 0;
	if (r == -EADDRINUSE && !udp && !relay)
		r = bind_past_time_wait(fd, sa, len);
	if (r < 0)
		return r;
	if (relay && !udp && listen(fd, 512) < 0)
		return -errno;
	return TAKE_FD(fd);
}

/* as Go's syscall.Errno words it */
static const char *bind_error(int r, char buf[64])
{
	switch (-r) {
	case EADDRINUSE:
		return "address already in use";
	case EADDRNOTAVAIL:
		return "cannot assign requested address";
	case EACCES:
		return "permission denied";
	}
	snprintf(buf, 64, "%s", strerror(-r));
	return buf;
}

struct attempt {
	struct net *n;
	const struct net_endpoint *ep;
	const struct net_publish *p;
	const char *proto, *ips[2];
	size_t n_ips;
	bool both_defaults; /* the second address is [::] that nobody asked for: a host without IPv6 does without */
};

/* One port on all its addresses, or on none. -EADDRINUSE: ours or foreign, the sentence says which. */
static int take_port(const struct attempt *a, uint16_t port, struct net_endpoint *ep, struct net_sockets *socks,
		     struct err *e)
{
	size_t had_ports = ep->ports.n, had_socks = socks->n, had_claims = a->n->claims.n;
	bool udp = streq(a->proto, "udp");
	int r = 0;

	for (size_t i = 0; i < a->n_ips && r >= 0; i++) {
		const char *ip = a->ips[i];
		bool v6 = strchr(ip, ':'), relay = v6 || a->n->firewall_off;
		const char *open = v6 ? "[" : "", *close = v6 ? "]" : "";
		struct net_socket *s;
		struct net_port *out;
		char buf[64];
		int fd;

		if (claimed(a->n, udp, ip, port)) {
			(void)err_set(e, ERR_SYSTEM,
				      "driver failed programming external connectivity on endpoint %s (%s): Bind for "
				      "%s:%u failed: port "
				      "is already allocated",
				      a->ep->name ? a->ep->name : "", a->ep->id, ip, port);
			r = -EADDRINUSE;
			break;
		}
		fd = bound_socket(udp, ip, port, relay);
		if (i == 1 && a->both_defaults && (fd == -EAFNOSUPPORT || fd == -EADDRNOTAVAIL))
			continue;
		if (fd < 0) {
			err_set(e, ERR_SYSTEM,
				"driver failed programming external connectivity on endpoint %s (%s): failed to bind "
				"host port for "
				"%s%s%s:%u:%s:%u/%s: %s",
				a->ep->name ? a->ep->name : "", a->ep->id, open, ip, close, port,
				a->ep->ip ? a->ep->ip : "", a->p->port, a->proto, bind_error(fd, buf));
			r = fd;
			break;
		}
		s = VEC_ADD(socks);
		*s = (struct net_socket){ .fd = fd, .relay = relay, .target_port = a->p->port };
		snprintf(s->proto, sizeof s->proto, "%s", a->proto);
		snprintf(s->target, sizeof s->target, "%s", a->ep->ip);
		out = VEC_ADD(&ep->ports);
		*out = (struct net_port){ .proto = xstrdup(a->proto),
					  .port = a->p->port,
					  .host_ip = xstrdup(ip),
					  .host_port = port,
					  .relay = relay };
		claim_add(a->n, a->ep->id, out);
	}
	if (r >= 0)
		return 0;
	while (socks->n > had_socks)
		fd_closep(&socks->v[--socks->n].fd);
	while (ep->ports.n > had_ports)
		json_done(&net_port_type, &ep->ports.v[--ep->ports.n]);
	a->n->claims.n = had_claims;
	return r;
}

/* Docker takes ephemeral ports from the kernel's own range, ascending, each time from where it left off */
static void ephemeral_range(uint16_t *ret_first, uint16_t *ret_last)
{
	AUTO_STRV struct strv words = { 0 };
	AUTO_FREE char *text = NULL;
	uint32_t first, last;

	*ret_first = 49153;
	*ret_last = 65535;
	if (file_read(AT_FDCWD, "/proc/sys/net/ipv4/ip_local_port_range", 64, &text, NULL) < 0)
		return;
	strv_split(&words, text, " \t\n");
	if (words.n == 2 && str_to_u32(words.v[0], 10, &first) == 0 && str_to_u32(words.v[1], 10, &last) == 0 &&
	    first > 0 && first <= last && last <= 65535) {
		*ret_first = (uint16_t)first;
		*ret_last = (uint16_t)last;
	}
}

static int publish_one(struct net *n, struct net_endpoint *ep, const struct net_publish *p, struct net_sockets *socks,
		       struct err *e)
{
	struct attempt a = { .n = n, .ep = ep, .p = p, .proto = str_empty(p->proto) ? "tcp" : p->proto, .n_ips = 1 };
	uint16_t first = p->host_port_first, last = p->host_port_last ? p->host_port_last : first, start;
	const struct network *w = network_by_id(n, ep->network_id);
	const char *ip = !str_empty(p->host_ip) ? p->host_ip
			 : w && !net_predefined(w->rec.name)
				 ? strmap_get(&w->rec.options, "com.docker.network.bridge.host_binding_ipv4")
				 : n->default_ip;
	struct in6_addr ip6;
	uint32_t ip4;
	int r = 0;

	if (!streq(a.proto, "tcp") && !streq(a.proto, "udp"))
		return err_set(e, ERR_INVALID, "invalid proto: %s: only tcp and udp ports can be published", a.proto);
	if (p->port == 0 || last < first)
		return err_set(e, ERR_INVALID, "invalid port specification: \"%u-%u:%u\"", first, last, p->port);
	if (!str_empty(ip) && !ip4_parse(ip, &ip4) && inet_pton(AF_INET6, ip, &ip6) != 1)
		return err_set(e, ERR_INVALID, "invalid IP address: %s", ip);
	a.ips[0] = str_empty(ip) ? "0.0.0.0" : ip;
	if (str_empty(ip)) {
		a.ips[1] = "::";
		a.n_ips = 2;
		a.both_defaults = true;
	}
	if (first && first == last)
		return take_port(&a, first, ep, socks, e);

	start = first;
	if (!first) {
		ephemeral_range(&first, &last);
		start = n->next_port >= first && n->next_port <= last ? (uint16_t)n->next_port : first;
	}
	for (uint32_t i = 0; i <= (uint32_t)(last - first); i++) {
		uint16_t port = (uint16_t)(first + (start - first + i) % (uint32_t)(last - first + 1));

		r = take_port(&a, port, ep, socks, NULL);
		if (r >= 0 && !p->host_port_first)
			n->next_port = port + 1u;
		if (r != -EADDRINUSE)
			break;
	}
	if (r == -EADDRINUSE)
		return err_set(e, ERR_SYSTEM,
			       "driver failed programming external connectivity on endpoint %s (%s): Bind for %s:%u-%u "
			       "failed: all "
			       "ports are allocated",
			       ep->name ? ep->name : "", ep->id, a.ips[0], first, last);
	return r < 0 ? take_port(&a, first, ep, socks, e) : 0; /* again, for its sentence */
}

static void ports_forget(struct net_endpoint *ep)
{
	for (size_t i = 0; i < ep->ports.n; i++)
		json_done(&net_port_type, &ep->ports.v[i]);
	free(ep->ports.v);
	ep->ports.v = NULL;
	ep->ports.n = 0;
}

void net_ports_release(struct net *n, struct net_endpoint *ep)
{
	struct net_endpoint *known;

	pthread_mutex_lock(&n->lock);
	known = endpoint_find(n, ep->id);
	if (known)
		ports_forget(known);
	claims_drop(n, ep->id);
	pthread_mutex_unlock(&n->lock);
	if (!n->firewall_off)
		firewall_ports_del(n, ep);
	ports_forget(ep);
}

int net_ports_reserve(struct net *n, struct net_endpoint *ep, const struct net_publish *v, size_t n_v,
		      struct net_sockets *ret, struct err *e)
{
	struct net_sockets socks = { 0 };
	int r = 0;

	if (str_empty(ep->ip)) { /* host and none: Docker ignores the ports, too */
		*ret = socks;
		return 0;
	}
	pthread_mutex_lock(&n->lock);
	/* fixed ports first: an ephemeral one must not take what is asked for by number */
	for (int fixed = 1; fixed >= 0; fixed--)
		for (size_t i = 0; i < n_v && r >= 0; i++)
			if ((v[i].host_port_first != 0) == fixed)
				r = publish_one(n, ep, &v[i], &socks, e);
	if (r < 0) {
		ports_forget(ep);
		claims_drop(n, ep->id);
	}
	pthread_mutex_unlock(&n->lock);
	if (r < 0) {
		net_sockets_done(&socks);
		return r;
	}
	*ret = socks;
	return 0;
}
