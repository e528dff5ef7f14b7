/* container_files.c - hostname, hosts and resolv.conf in the container's folder. They are bind-mounted into the container, so they are
 * written in place: a rename would leave it on the old inode. */
#include "engine/engine_private.h"

#include <arpa/inet.h>

#include <fcntl.h>

static char *read_host_file(const char *path)
{
	char *text = NULL;

	return file_read(AT_FDCWD, path, 1024 * 1024, &text, NULL) == 0 ? text : NULL;
}

static char *hosts_text(struct container *c, const struct net_endpoints *eps)
{
	const struct docker_host_config *h = &c->rec.host;
	struct net_host_entry *own = xcalloc((eps ? eps->n : 0) + 1, sizeof *own);
	struct net_host_entry *extra = xcalloc(h->extra_hosts.n + 1, sizeof *extra);
	AUTO_STRV struct strv kept = { 0 };
	AUTO_FREE char *names = NULL;
	const char *gateway = "127.0.0.1";
	size_t n = 0, n_own = 0;
	char *text;
	/* "ship.example" alone is a full name too: the short one stands beside it */
	AUTO_FREE char *full = str_empty(c->rec.config.domainname)
				       ? xstrdup(c->rec.config.hostname)
				       : xasprintf("%s.%s", c->rec.config.hostname, c->rec.config.domainname);
	size_t short_n = strcspn(full ? full : "", ".");

	if (full)
		names = full[short_n] ? xasprintf("%s %.*s", full, (int)short_n, full) : xstrdup(full);
	for (size_t i = 0; eps && i < eps->n; i++) {
		if (eps->v[i].default_route)
			gateway = eps->v[i].gateway;
		if (!str_empty(eps->v[i].ip) && names)
			own[n_own++] = (struct net_host_entry){ .ip = eps->v[i].ip, .names = names };
	}
	for (size_t i = 0; i < h->extra_hosts.n; i++) { /* "name:address" */
		const char *colon = strchr(h->extra_hosts.v[i], ':');
		const char *ip = streq(colon + 1, "host-gateway") ? gateway : colon + 1;

		strv_push(&kept, xstrndup(h->extra_hosts.v[i], (size_t)(colon - h->extra_hosts.v[i])));
		strv_add(&kept, ip);
		extra[n].names = kept.v[kept.n - 2];
		extra[n++].ip = kept.v[kept.n - 1];
	}
	text = net_hosts_text(own, n_own, extra, n, true);
	free(extra);
	free(own);
	return text;
}

static char *resolv_text(struct container *c)
{
	const struct docker_host_config *h = &c->rec.host;
	const struct engine_config *ec = &c->en->config;
	AUTO_FREE char *host = read_host_file("/etc/resolv.conf");
	struct net_resolv r = {
		.host_text = host,
		.dns = h->dns.n ? h->dns : ec->dns,
		.search = h->dns_search.n ? h->dns_search : ec->dns_search,
		.options = h->dns_options.n ? h->dns_options : ec->dns_opts,
		.host_network = streq(h->network_mode, "host"),
	};

	return net_resolv_text(&r);
}

static int check_dns(const struct container *c, struct err *e)
{
	const struct strv *dns = &c->rec.host.dns; /* settled at create */

	for (size_t i = 0; i < dns->n; i++) {
		bool six = strchr(dns->v[i], ':') != NULL;
		AUTO_FREE char *address = xstrndup(dns->v[i], six ? strcspn(dns->v[i], "%") : strlen(dns->v[i]));
		struct in6_addr a;

		if (inet_pton(six ? AF_INET6 : AF_INET, address, &a) != 1) /* 500, as dockerd */
			return err_set(e, ERR_SYSTEM,
				       "bad nameserver address %s: ParseAddr(\"%s\"): unable to parse IP", dns->v[i],
				       dns->v[i]);
	}
	return 0;
}

const char *container_files_id(const struct container_record *rec)
{
	const char *other = str_after(rec->host.network_mode, "container:");

	return other ? other : rec->id;
}

static void files_made(struct container *c)
{
	pthread_mutex_lock(&c->lock);
	c->rec.files_made = true;
	pthread_mutex_unlock(&c->lock);
}

/* Of a container that joins another's network: the other's files are there already; its host name counts for both. */
static int take_over(struct container *c, const char *other, struct err *e)
{
	AUTO_CONTAINER struct container *o = NULL;
	AUTO_FREE char *name = NULL;
	int r = container_find(c->en, other, &o, e);

	if (r < 0)
		return err_set(e, ERR_SYSTEM, "joining network namespace of container: No such container: %s", other);
	pthread_mutex_lock(&o->lock);
	if (o->rec.state.running)
		name = xstrdup(o->rec.config.hostname);
	else
		r = err_set(e, ERR_CONFLICT,
			    "cannot join network namespace of a non running container: container %s is %s", o->rec.name,
			    container_status(&o->rec));
	pthread_mutex_unlock(&o->lock);
	if (r < 0)
		return r;
	pthread_mutex_lock(&c->lock);
	free(c->rec.config.hostname);
	c->rec.config.hostname = TAKE_PTR(name);
	pthread_mutex_unlock(&c->lock);
	files_made(c);
	return 0;
}

int container_write_files(struct container *c, const struct net_endpoints *eps, struct err *e)
{
	AUTO_FD int folder = container_folder(c);
	AUTO_FREE char *hostname = NULL;
	AUTO_FREE char *hosts = NULL;
	AUTO_FREE char *resolv = NULL;
	char host_name[256] = "";
	const char *other = str_after(c->rec.host.network_mode, "container:");
	int r;

	if (other)
		return take_over(c, other, e);
	if (folder < 0)
		return err_sys(e, folder, "opening the folder of container %s", c->id);
	r = check_dns(c, e);
	if (r < 0)
		return r;
	pthread_mutex_lock(&c->lock);
	if (str_empty(c->rec.config.hostname)) {
		(void)gethostname(host_name, sizeof host_name - 1);
		hostname = xasprintf("%s\n", host_name);
	} else {
		hostname = xasprintf("%s\n", c->rec.config.hostname);
	}
	if (streq(c->rec.host.network_mode, "host"))
		hosts = read_host_file("/etc/hosts");
	if (!hosts)
		hosts = hosts_text(c, eps);
	resolv = resolv_text(c);
	pthread_mutex_unlock(&c->lock);
	r = file_write(folder, "hostname", hostname, strlen(hostname), 0644);
	if (r == 0)
		r = file_write(folder, "hosts", hosts, strlen(hosts), 0644);
	if (r == 0)
		r = file_write(folder, "resolv.conf", resolv, strlen(resolv), 0644);
	if (r < 0)
		return err_sys(e, r, "writing the network files of container %s", c->id);
	files_made(c);
	return 0;
}
