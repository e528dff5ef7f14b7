/* run_port.c - -p [[ip:]host:]container[/proto] with ranges, and --expose, as Docker's go-connections reads them. */
#include "cli/run_body.h"

#include <arpa/inet.h>

void ports_done(struct ports *p)
{
	for (size_t i = 0; i < p->n; i++) {
		free(p->v[i].container);
		free(p->v[i].ip);
		free(p->v[i].host);
	}
	free(p->v);
	*p = (struct ports){ 0 };
}

static int port_number(const char *s, size_t n, uint32_t *ret)
{
	char text[8] = "";

	if (n == 0 || n >= sizeof text)
		return -EINVAL;
	memcpy(text, s, n);
	return str_to_u32(text, 10, ret) < 0 || *ret > 65535 ? -EINVAL : 0;
}

/* "80" or "80-90" */
static int port_range(const char *s, uint32_t *ret_first, uint32_t *ret_last)
{
	const char *dash = strchr(s, '-');

	if (port_number(s, dash ? (size_t)(dash - s) : strlen(s), ret_first) < 0)
		return -EINVAL;
	*ret_last = *ret_first;
	if (dash && port_number(dash + 1, strlen(dash + 1), ret_last) < 0)
		return -EINVAL;
	return *ret_last < *ret_first ? -EINVAL : 0;
}

static void port_add(struct ports *ret, uint32_t number, const char *proto, const char *ip, char *host, bool published)
{
	*VEC_ADD(ret) = (struct port){
		.container = xasprintf("%u/%s", number, proto), .ip = xstrdup(ip), .host = host, .published = published
	};
}

/* Cuts "ip:host:container" from the right; an IPv6 address stands in []. */
static void port_cut(char *s, char **ret_ip, char **ret_host, char **ret_container)
{
	char *colon = strrchr(s, ':');

	*ret_ip = *ret_host = NULL;
	*ret_container = s;
	if (!colon)
		return;
	*colon = '\0';
	*ret_container = colon + 1;
	*ret_host = s;
	colon = strrchr(s, ':');
	if (!colon)
		return;
	*colon = '\0';
	*ret_host = colon + 1;
	*ret_ip = s;
}

static int ip_check(char *ip, const char **ret, struct err *e)
{
	unsigned char addr[16];

	if (*ip == '[' && str_ends(ip, "]")) {
		ip[strlen(ip) - 1] = '\0';
		ip++;
	}
	if (*ip && inet_pton(AF_INET, ip, addr) != 1 && inet_pton(AF_INET6, ip, addr) != 1)
		return err_set(e, ERR_INVALID, "invalid IP address: %s", ip);
	*ret = ip;
	return 0;
}

static bool proto_known(const char *proto)
{
	return streq(proto, "tcp") || streq(proto, "udp") || streq(proto, "sctp");
}

/* "target=80,published=8080,protocol=tcp" -> "8080:80/tcp" */
static int long_form(const char *spec, char **ret, struct err *e)
{
	AUTO_STRV struct strv fields = { 0 };
	AUTO_STRMAP struct strmap m = { 0 };
	const char *published;

	strv_split(&fields, spec, ",");
	for (size_t i = 0; i < fields.n; i++)
		if (!strchr(fields.v[i], '='))
			return err_set(e, ERR_INVALID,
				       "invalid publish opts format (should be name=value but got '%s')", fields.v[i]);
	kv_map(&fields, &m);
	if (!strmap_get(&m, "target"))
		return err_set(e, ERR_INVALID, "invalid publish opts: %s", spec);
	published = strmap_get(&m, "published");
	*ret = xasprintf("%s:%s/%s", published ? published : "", strmap_get(&m, "target"),
			 strmap_get(&m, "protocol") ? strmap_get(&m, "protocol") : "tcp");
	return 0;
}

int port_spec(const char *spec, struct ports *ret, struct err *e)
{
	AUTO_FREE char *text = NULL;
	char *ip_text, *host, *container, *slash;
	const char *proto = "tcp", *ip = "";
	uint32_t first, last, host_first = 0, host_last = 0;

	if (strchr(spec, '=')) {
		int r = long_form(spec, &text, e);

		if (r < 0)
			return r;
	} else {
		text = xstrdup(spec);
	}
	port_cut(text, &ip_text, &host, &container);
	slash = strchr(container, '/');
	if (slash) {
		*slash = '\0';
		proto = slash[1] ? slash + 1 : "tcp";
	}
	if (ip_text && ip_check(ip_text, &ip, e) < 0)
		return -EINVAL;
	if (!*container)
		return err_set(e, ERR_INVALID, "no port specified: %s<empty>", spec);
	if (port_range(container, &first, &last) < 0)
		return err_set(e, ERR_INVALID, "invalid containerPort: %s", container);
	if (!str_empty(host) && port_range(host, &host_first, &host_last) < 0)
		return err_set(e, ERR_INVALID, "invalid hostPort: %s", host);
	if (!str_empty(host) && last - first != host_last - host_first && first != last)
		return err_set(e, ERR_INVALID, "invalid ranges specified for container and host Ports: %s and %s",
			       container, host);
	if (!proto_known(proto))
		return err_set(e, ERR_INVALID, "invalid proto: %s", proto);
	for (uint32_t i = 0; i <= last - first; i++) {
		char *on = str_empty(host) ? xstrdup("") : xasprintf("%u", host_first + i);

		if (!str_empty(host) && first == last && host_first != host_last) { /* any free one of a range */
			free(on);
			on = xasprintf("%u-%u", host_first, host_last);
		}
		port_add(ret, first + i, proto, ip, on, true);
	}
	return 0;
}

/* Ranges of --expose have errors of their own, and any protocol: the daemon decides. */
int port_expose(const char *spec, struct ports *ret, struct err *e)
{
	const char *slash = strchr(spec, '/');
	AUTO_FREE char *range = slash ? xstrndup(spec, (size_t)(slash - spec)) : xstrdup(spec);
	const char *proto = slash && slash[1] ? slash + 1 : "tcp";
	uint32_t first, last;

	if (strchr(spec, ':'))
		return err_set(e, ERR_INVALID, "invalid port format for --expose: %s", spec);
	if (port_range(range, &first, &last) < 0) {
		if (strspn(range, "0123456789-") == strlen(range) && strchr(range, '-'))
			return err_set(
				e, ERR_INVALID,
				"invalid range format for --expose: %s, error: invalid range specified for port: %s",
				spec, range);
		return err_set(e, ERR_INVALID,
			       "invalid range format for --expose: %s, error: strconv.ParseUint: parsing \"%s\": "
			       "invalid syntax",
			       spec, range);
	}
	for (uint32_t i = first; i <= last; i++)
		port_add(ret, i, proto, "", xstrdup(""), false);
	return 0;
}
