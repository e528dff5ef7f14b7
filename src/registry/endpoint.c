/* endpoint.c - where a repository is served: which hosts may be spoken to in plain HTTP, the first word with each, and the order. */
#include "registry/session.h"

#include <arpa/inet.h>
#include <netdb.h>
#include <netinet/in.h>
#include <sys/socket.h>

/* ---- insecure hosts ---- */
struct ip {
	unsigned char b[16];
	unsigned bits; /* 32 or 128 */
};

static bool ip_read(const char *s, struct ip *ret)
{
	*ret = (struct ip){ 0 };
	if (inet_pton(AF_INET, s, ret->b) == 1)
		ret->bits = 32;
	else if (inet_pton(AF_INET6, s, ret->b) == 1)
		ret->bits = 128;
	return ret->bits > 0;
}

static bool in_cidr(const struct ip *ip, const char *cidr)
{
	const char *slash = strchr(cidr, '/');
	AUTO_FREE char *net = slash ? xstrndup(cidr, (size_t)(slash - cidr)) : NULL;
	struct ip n;
	uint32_t bits = 0;

	if (!slash || !ip_read(net, &n) || n.bits != ip->bits || str_to_u32(slash + 1, 10, &bits) < 0 || bits > n.bits)
		return false;
	for (uint32_t i = 0; i < bits; i++)
		if ((n.b[i / 8] ^ ip->b[i / 8]) >> (7 - i % 8) & 1)
			return false;
	return true;
}

static bool ip_insecure(const struct strv *list, const struct ip *ip)
{
	if (in_cidr(ip, "127.0.0.0/8") || in_cidr(ip, "::1/128"))
		return true;
	for (size_t i = 0; i < list->n; i++)
		if (in_cidr(ip, list->v[i]))
			return true;
	return false;
}

bool insecure_host(const struct strv *list, const char *host)
{
	AUTO_FREE char *name = xstrdup(*host == '[' ? host + 1 : host);
	char *end = *host == '[' ? strchr(name, ']') : strrchr(name, ':');
	struct addrinfo hints = { .ai_socktype = SOCK_STREAM }, *all = NULL;
	struct ip ip;
	bool found = false;

	if (end)
		*end = 0;
	if (strv_has(list, host) || strv_has(list, name))
		return true;
	if (ip_read(name, &ip))
		return ip_insecure(list, &ip);
	if (streq(name, "localhost"))
		return true;
	if (getaddrinfo(name, NULL, &hints, &all) != 0)
		return false;
	for (struct addrinfo *a = all; a && !found; a = a->ai_next) {
		ip = (struct ip){ 0 };
		if (a->ai_family == AF_INET) {
			memcpy(ip.b, &((struct sockaddr_in *)(void *)a->ai_addr)->sin_addr, 4);
			ip.bits = 32;
		} else if (a->ai_family == AF_INET6) {
			memcpy(ip.b, &((struct sockaddr_in6 *)(void *)a->ai_addr)->sin6_addr, 16);
			ip.bits = 128;
		}
		found = ip.bits && ip_insecure(list, &ip);
	}
	freeaddrinfo(all);
	return found;
}

/* ---- the first word ---- */
static int ping_now(struct session *s, struct endpoint *ep, struct err *e)
{
	for (unsigned fails = 0;;) {
		AUTO_FREE char *url = xasprintf("%s/v2/", ep->base);
		AUTO_HTTP struct http h = { .method = "GET", .url = url };
		int64_t wait = -1;
		int r = api_once(s, ep, &h, NULL, &wait, e);

		if (h.status != 0 && r >= 0) {
			ep->pinged = true;
			if (h.status == 401 && http_get(&h, "www-authenticate"))
				challenges_add(&ep->challenges, http_get(&h, "www-authenticate"));
			return 0;
		}
		if (ep->plain_allowed && url_has_scheme(ep->base, "https")) {
			char *plain = xasprintf("http%s", ep->base + strlen("https"));

			free(ep->base);
			ep->base = plain;
			continue;
		}
		if (r < 0)
			return r;
		if (++fails >= s->attempts || !back_off(s, fails, wait))
			return -EIO;
	}
}

int ping(struct session *s, struct endpoint *ep, struct err *e)
{
	int r = 0;

	if (ep->pinged)
		return 0;
	fiber_enter(&ep->gate);
	if (!ep->pinged)
		r = ping_now(s, ep, e);
	fiber_leave(&ep->gate);
	return r;
}

/* ---- the order ---- */
struct endpoint *endpoint_own(struct session *s)
{
	return &s->endpoints.v[s->endpoints.n - 1];
}

int on_endpoints(struct session *s, int (*op)(struct session *s, struct endpoint *ep, void *arg, struct err *e),
		 void *arg, struct err *e)
{
	size_t first = s->best, n = s->endpoints.n;

	for (size_t i = 0;; i++) {
		/* the one that served last, then all others in their order */
		size_t at = i == 0 ? first : i <= first ? i - 1 : i;
		struct endpoint *ep = &s->endpoints.v[at];
		int r = ping(s, ep, e);

		if (r == 0)
			r = op(s, ep, arg, e);
		if (r >= 0) {
			s->best = at;
			return r;
		}
		if (r == -ENOSPC || r == -EDQUOT || r == -EFBIG || i + 1 >= n)
			return r;
		if (ep->mirror) {
			AUTO_FREE char *text = xasprintf("mirror %s: %s", ep->base, e ? e->msg : "failed");

			s->say(s->ctx, text);
		}
	}
}

static char *scope(const char *path, const char *what)
{
	return xasprintf("repository:%s:%s", path, what);
}

static char *with_also(const struct session *s, char *own)
{
	AUTO_STRB struct strb b = STRB_INIT;

	strb_adds(&b, own);
	free(own);
	for (size_t i = 0; i < s->also.n; i++)
		strb_addf(&b, " repository:%s:pull", s->also.v[i]);
	return strb_take(&b);
}

char *scope_pull(const struct session *s)
{
	return s->push ? scope_push(s) : with_also(s, scope(s->path, "pull"));
}

char *scope_push(const struct session *s)
{
	return with_also(s, scope(s->path, "pull,push"));
}
