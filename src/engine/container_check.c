/* container_check.c - what a create request may ask for: every refusal has dockerd's sentence. Pure. */
#include "engine/container_check.h"
#include "net/net.h"
#include "engine/engine_private.h"
#include "plan/plan.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <stdio.h>

#define MIN_MEMORY (6LL * 1024 * 1024)

/* update: of a container that has limits already */
static int check_memory(const struct docker_host_config *h, bool update, struct err *e)
{
	if (h->memory && h->memory < MIN_MEMORY)
		return err_set(e, ERR_INVALID, "Minimum memory limit allowed is 6MB");
	if (h->memory > 0 && h->memory_swap > 0 && h->memory_swap < h->memory)
		return err_set(e, ERR_INVALID,
			       "Minimum memoryswap limit should be larger than memory limit, see usage");
	if (h->memory == 0 && h->memory_swap > 0 && !update)
		return err_set(e, ERR_INVALID,
			       "You should always set the Memory limit when using Memoryswap limit, see usage");
	if (h->memory_swappiness.set && (h->memory_swappiness.v < -1 || h->memory_swappiness.v > 100))
		return err_set(e, ERR_INVALID, "Invalid value: %lld, valid memory swappiness range is 0-100",
			       (long long)h->memory_swappiness.v);
	if (h->memory_reservation && h->memory_reservation < MIN_MEMORY)
		return err_set(e, ERR_INVALID, "Minimum memory reservation allowed is 6MB");
	if (h->memory > 0 && h->memory_reservation > 0 && h->memory < h->memory_reservation)
		return err_set(e, ERR_INVALID,
			       "Minimum memory limit can not be less than memory reservation limit, see usage");
	if (h->shm_size < 0)
		return err_set(e, ERR_INVALID, "SHM size can not be less than 0");
	if (h->oom_score_adj < -1000 || h->oom_score_adj > 1000)
		return err_set(e, ERR_INVALID, "Invalid value %lld, range for oom score adj is [-1000, 1000]",
			       (long long)h->oom_score_adj);
	return 0;
}

static int check_cpu(const struct docker_host_config *h, struct err *e)
{
	long cpus = sysconf(_SC_NPROCESSORS_ONLN);

	if (h->nano_cpus && (h->cpu_period || h->cpu_quota))
		return err_set(e, ERR_INVALID, "Conflicting options: Nano CPUs and CPU %s cannot both be set",
			       h->cpu_period ? "Period" : "Quota");
	if (h->nano_cpus < 0 || h->nano_cpus > cpus * 1000000000LL)
		return err_set(e, ERR_INVALID,
			       "range of CPUs is from 0.01 to %ld.00, as there are only %ld CPUs available", cpus,
			       cpus);
	if (h->cpu_shares < 0)
		return err_set(e, ERR_INVALID, "invalid CPU shares (%lld): value must be a positive integer",
			       (long long)h->cpu_shares);
	if (h->cpu_period && (h->cpu_period < 1000 || h->cpu_period > 1000000))
		return err_set(e, ERR_INVALID,
			       "CPU cfs period can not be less than 1ms (i.e. 1000) or larger than 1s (i.e. 1000000)");
	if (h->cpu_quota > 0 && h->cpu_quota < 1000)
		return err_set(e, ERR_INVALID, "CPU cfs quota can not be less than 1ms (i.e. 1000)");
	if (h->blkio_weight && (h->blkio_weight < 10 || h->blkio_weight > 1000))
		return err_set(e, ERR_INVALID, "Range of blkio weight is from 10 to 1000");
	if (!str_empty(h->isolation) && !streq(h->isolation, "default"))
		return err_set(e, ERR_INVALID, "invalid isolation (%s): linux only supports 'default'", h->isolation);
	return 0;
}

/* "0-3,8": the highest number, or -EINVAL */
static int cpuset_highest(const char *s)
{
	AUTO_STRV struct strv parts = { 0 };
	int highest = 0;

	strv_split(&parts, s, ",");
	for (size_t i = 0; i < parts.n; i++) {
		const char *dash = strchr(parts.v[i], '-');
		AUTO_FREE char *first = dash ? xstrndup(parts.v[i], (size_t)(dash - parts.v[i])) : xstrdup(parts.v[i]);
		uint32_t from = 0, to = 0;

		if (str_to_u32(first, 10, &from) < 0 || str_to_u32(dash ? dash + 1 : first, 10, &to) < 0 || to < from ||
		    to > 8192)
			return -EINVAL;
		highest = MAX(highest, (int)to);
	}
	return highest;
}

static int check_cpuset(const struct docker_host_config *h, struct err *e)
{
	const struct {
		const char *what, *many, *value, *list;
	} sets[] = {
		{ "cpuset cpus", "CPUs", h->cpuset_cpus, "/sys/devices/system/cpu/online" },
		{ "cpuset mems", "memory nodes", h->cpuset_mems, "/sys/devices/system/node/online" },
	};

	for (size_t i = 0; i < ARRAY_LEN(sets); i++) {
		AUTO_FREE char *has = NULL;
		int highest;

		if (str_empty(sets[i].value))
			continue;
		highest = cpuset_highest(sets[i].value);
		if (highest < 0)
			return err_set(e, ERR_INVALID, "Invalid value %s for %s: invalid format: %s", sets[i].value,
				       sets[i].what, sets[i].value);
		if (file_read(AT_FDCWD, sets[i].list, 4096, &has, NULL) < 0)
			continue;
		has[strcspn(has, "\n")] = '\0';
		if (highest > cpuset_highest(has))
			return err_set(e, ERR_INVALID, "Requested %s are not available - requested %s, available: %s",
				       sets[i].many, sets[i].value, has);
	}
	return 0;
}

static int check_restart(const struct docker_host_config *h, struct err *e)
{
	static const char *const known[] = { "no", "always", "on-failure", "unless-stopped" };
	const char *name = h->restart_policy.name;
	bool ok = str_empty(name);

	for (size_t i = 0; i < ARRAY_LEN(known); i++)
		ok |= streq(known[i], name);
	if (!ok)
		return err_set(e, ERR_INVALID,
			       "invalid restart policy: unknown policy '%s'; use one of 'no', 'always', 'on-failure', "
			       "or 'unless-stopped'",
			       name);
	if (h->restart_policy.maximum_retry_count < 0 && !streq(name, "on-failure"))
		return err_set(e, ERR_INVALID,
			       "invalid restart policy: maximum retry count can only be used with 'on-failure' and "
			       "cannot be negative");
	if (h->restart_policy.maximum_retry_count < 0)
		return err_set(e, ERR_INVALID, "invalid restart policy: maximum retry count cannot be negative");
	if (h->restart_policy.maximum_retry_count && !streq(name, "on-failure"))
		return err_set(e, ERR_INVALID,
			       "invalid restart policy: maximum retry count can only be used with 'on-failure'");
	if (h->auto_remove && !str_empty(name) && !streq(name, "no"))
		return err_set(e, ERR_INVALID, "can't create 'AutoRemove' container with restart policy");
	return 0;
}

bool port_key_parse(const char *key, uint16_t *ret_port, const char **ret_proto)
{
	const char *slash = strchr(key, '/');
	AUTO_FREE char *number = slash ? xstrndup(key, (size_t)(slash - key)) : xstrdup(key);
	uint32_t port = 0;

	if (str_to_u32(number, 10, &port) < 0 || port == 0 || port > 65535)
		return false;
	if (slash && !streq(slash + 1, "tcp") && !streq(slash + 1, "udp") && !streq(slash + 1, "sctp"))
		return false;
	*ret_port = (uint16_t)port;
	*ret_proto = slash ? slash + 1 : "tcp";
	return true;
}

/* dockerd names the number alone where that is what is wrong */
static int bad_port(const char *key, struct err *e)
{
	uint32_t port = 0;
	AUTO_FREE char *number = xstrndup(key, strcspn(key, "/"));
	bool number_bad = str_to_u32(number, 10, &port) < 0 || port > 65535;

	return err_set(e, ERR_INVALID, "invalid port specification: \"%s\"", number_bad ? number : key);
}

static int check_ports(const struct docker_config *c, const struct docker_host_config *h, struct err *e)
{
	const char *proto;
	uint16_t port;

	for (size_t i = 0; i < c->exposed_ports.n; i++)
		if (!port_key_parse(c->exposed_ports.v[i], &port, &proto))
			return bad_port(c->exposed_ports.v[i], e);
	for (size_t i = 0; i < h->port_bindings.n; i++) {
		const char *key = h->port_bindings.v[i].key;

		if (!port_key_parse(key, &port, &proto))
			return bad_port(key, e);
		if (streq(proto, "sctp"))
			return err_set(e, ERR_NOT_IMPLEMENTED, "publishing SCTP ports is not supported: \"%s\"", key);
		for (size_t k = 0; k < h->port_bindings.v[i].val.list.n; k++) {
			const char *host = h->port_bindings.v[i].val.list.v[k].host_port;
			uint16_t first, last;
			int r = net_host_port_parse(host ? host : "", &first, &last, e);

			if (r < 0)
				return r;
		}
	}
	return 0;
}

static bool mac_valid(const char *s)
{
	unsigned m[6];
	int end = 0;

	return sscanf(s, "%2x:%2x:%2x:%2x:%2x:%2x%n", &m[0], &m[1], &m[2], &m[3], &m[4], &m[5], &end) == 6 && !s[end];
}

static int check_network(const struct docker_config *c, const struct docker_host_config *h, struct err *e)
{
	const char *mode = h->network_mode;
	bool other = str_after(mode, "container:") != NULL;

	if (!str_empty(c->mac_address) && !mac_valid(c->mac_address))
		return err_set(e, ERR_INVALID, "invalid config for network %s: invalid MAC address %s", mode,
			       c->mac_address);
	if (other && !str_empty(c->hostname))
		return err_set(e, ERR_INVALID, "conflicting options: hostname and the network mode");

	if (other && !*str_after(mode, "container:"))
		return err_set(e, ERR_INVALID, "invalid network mode: invalid container format container:<name|id>");
	if ((other || streq(mode, "host")) && h->links.n)
		return err_set(e, ERR_INVALID,
			       "conflicting options: %s type networking can't be used with links. This would result in "
			       "undefined behavior",
			       other ? "container" : "host");
	if (other && (h->port_bindings.n || h->publish_all_ports))
		return err_set(e, ERR_INVALID,
			       "conflicting options: port publishing and the container type network mode");
	if (other && h->dns.n)
		return err_set(e, ERR_INVALID, "conflicting options: dns and the network mode");
	if (other && h->extra_hosts.n)
		return err_set(e, ERR_INVALID, "conflicting options: custom host-to-IP mapping and the network mode");
	if (h->links.n)
		return err_set(e, ERR_NOT_IMPLEMENTED, "links are not supported by this version of hoyd: %s",
			       h->links.v[0]);
	return 0;
}

static int mode_is(const char *what, const char *mode, const char *const *known, struct err *e)
{
	if (str_empty(mode) || str_after(mode, "container:"))
		return 0;
	for (; *known; known++)
		if (streq(mode, *known))
			return 0;
	return err_set(e, ERR_INVALID, "invalid %s mode: %s", what, mode);
}

static int check_modes(const struct docker_host_config *h, struct err *e)
{
	static const char *const ipc[] = { "none", "private", "shareable", "host", NULL };
	static const char *const pid[] = { "host", NULL };
	static const char *const cgroupns[] = { "host", "private", NULL };
	static const char *const userns[] = { "host", NULL };
	int r = mode_is("IPC", h->ipc_mode, ipc, e);

	if (r == 0)
		r = mode_is("PID", h->pid_mode, pid, e);
	if (r == 0)
		r = mode_is("UTS", h->uts_mode, pid, e);
	if (r == 0)
		r = mode_is("cgroup namespace", h->cgroupns_mode, cgroupns, e);
	if (r == 0)
		r = mode_is("userns", h->userns_mode, userns, e);
	if (r == 0 && !str_empty(h->runtime) && !streq(h->runtime, "runc") && !streq(h->runtime, "hoy") &&
	    !streq(h->runtime, "io.containerd.runc.v2"))
		r = err_set(e, ERR_INVALID, "unknown or invalid runtime name: %s", h->runtime);
	return r;
}

static int check_caps(const char *what, const struct strv *v, struct err *e)
{
	for (size_t i = 0; i < v->n; i++) {
		AUTO_FREE char *name = cap_normalize(v->v[i]);

		if (!streq(name, "ALL") && plan_cap_number(name) < 0)
			return err_set(e, ERR_INVALID, "invalid %s: unknown capability: \"%s\"", what, name);
	}
	return 0;
}

char *cap_normalize(const char *name)
{
	AUTO_FREE char *upper = xstrdup(name);

	for (char *p = upper; *p; p++)
		if (*p >= 'a' && *p <= 'z')
			*p = (char)(*p - 32);
	if (streq(upper, "ALL") || streq(upper, "CAP_ALL"))
		return xstrdup("ALL");
	return str_after(upper, "CAP_") ? TAKE_PTR(upper) : xasprintf("CAP_%s", upper);
}

int security_parse(const struct strv *opts, struct security *ret, struct err *e)
{
	struct security s = { 0 };

	for (size_t i = 0; i < opts->n; i++) {
		const char *o = opts->v[i];
		size_t n = strcspn(o, "=:");
		const char *v = o[n] ? o + n + 1 : NULL;

		if (streq(o, "no-new-privileges")) {
			s.no_new_privileges = (struct json_obool){ true, true };
		} else if (streq(o, "disable")) {
			continue; /* SELinux labels: there are none here */
		} else if (!v) {
			return err_set(e, ERR_SYSTEM, "invalid --security-opt 1: \"%s\"", o); /* 500, as dockerd */
		} else if (n == 17 && strncmp(o, "no-new-privileges", n) == 0) {
			if (!streq(v, "true") && !streq(v, "false"))
				return err_set(e, ERR_SYSTEM, "invalid --security-opt 2: \"%s\"", o);
			s.no_new_privileges = (struct json_obool){ true, streq(v, "true") };
		} else if (n == 7 && strncmp(o, "seccomp", n) == 0) {
			s.seccomp = v;
		} else if (n == 8 && strncmp(o, "apparmor", n) == 0) {
			s.apparmor = v;
		} else if (n == 5 && strncmp(o, "label", n) == 0) {
			continue;
		} else if (n == 11 && strncmp(o, "systempaths", n) == 0 && streq(v, "unconfined")) {
			s.systempaths_unconfined = true;
		} else if (n == 14 && strncmp(o, "writable-cgroups", n) == 0) {
			continue;
		} else {
			return err_set(e, ERR_SYSTEM, "invalid --security-opt 2: \"%s\"", o);
		}
	}
	*ret = s;
	return 0;
}

static int check_lists(const struct docker_host_config *h, struct err *e)
{
	struct security s;
	int r = check_caps("CapAdd", &h->cap_add, e);

	if (r == 0)
		r = check_caps("CapDrop", &h->cap_drop, e);
	if (r == 0)
		r = security_parse(&h->security_opt, &s, e);
	if (r < 0)
		return r;
	for (size_t i = 0; i < h->extra_hosts.n; i++) {
		const char *colon = strchr(h->extra_hosts.v[i], ':');
		struct in6_addr a;

		if (!colon || colon == h->extra_hosts.v[i])
			return err_set(e, ERR_INVALID, "bad format for add-host: \"%s\"", h->extra_hosts.v[i]);
		if (!streq(colon + 1, "host-gateway") && inet_pton(AF_INET, colon + 1, &a) != 1 &&
		    inet_pton(AF_INET6, colon + 1, &a) != 1)
			return err_set(e, ERR_INVALID, "invalid IP address in add-host: \"%s\"", colon + 1);
	}
	for (size_t i = 0; i < h->ulimits.n; i++) {
		const struct docker_ulimit *u = &h->ulimits.v[i];

		if (rlimit_number(u->name) < 0)
			return err_set(e, ERR_INVALID, "invalid ulimit type: %s", u->name ? u->name : "");
		if (u->hard != -1 && u->soft > u->hard)
			return err_set(e, ERR_INVALID,
				       "ulimit soft limit must be less than or equal to hard limit: %lld > %lld",
				       (long long)u->soft, (long long)u->hard);
	}
	if (!str_empty(h->log_config.type) && !streq(h->log_config.type, "json-file") &&
	    !streq(h->log_config.type, "none"))
		return err_set(e, ERR_INVALID, "error looking up logging plugin %s: plugin \"%s\" not found",
			       h->log_config.type, h->log_config.type);
	for (size_t i = 0; i < h->log_config.config.n; i++) {
		const struct strkv *kv = &h->log_config.config.v[i];
		int64_t v = 0;

		if (streq(kv->k, "max-size")) {
			if (bytes_parse(kv->v, &v, NULL) < 0 && !streq(kv->v, "-1"))
				return err_set(e, ERR_INVALID, "invalid value for 'max-size': invalid size: '%s'",
					       kv->v);
		} else if (streq(kv->k, "max-file")) {
			if (str_to_i64(kv->v, &v) < 0 || v < 1 || v > 100000)
				return err_set(e, ERR_INVALID, "max-file cannot be less than 1");
		} else if (!streq(kv->k, "compress") && !streq(kv->k, "labels") && !streq(kv->k, "env") &&
			   !streq(kv->k, "tag") && !streq(kv->k, "labels-regex") && !streq(kv->k, "env-regex") &&
			   !streq(kv->k, "mode") && !streq(kv->k, "max-buffer-size")) {
			return err_set(e, ERR_INVALID, "unknown log opt '%s' for json-file log driver", kv->k);
		}
	}
	return 0;
}

static const struct {
	const char *name;
	int number;
} rlimits[] = {
	{ "core", 4 },    { "cpu", 0 },       { "data", 2 },    { "fsize", 1 },       { "locks", 10 },
	{ "memlock", 8 }, { "msgqueue", 12 }, { "nice", 13 },   { "nofile", 7 },      { "nproc", 6 },
	{ "rss", 5 },     { "rtprio", 14 },   { "rttime", 15 }, { "sigpending", 11 }, { "stack", 3 },
};

int rlimit_number(const char *name)
{
	for (size_t i = 0; i < ARRAY_LEN(rlimits); i++)
		if (streq(rlimits[i].name, name))
			return rlimits[i].number;
	return -EINVAL;
}

int ulimit_parse(const char *text, struct docker_ulimit *ret, struct err *e)
{
	size_t n = strcspn(text, "=");
	AUTO_FREE char *name = xstrndup(text, n);
	AUTO_FREE char *soft = text[n] ? xstrndup(text + n + 1, strcspn(text + n + 1, ":")) : xstrdup("");
	const char *colon = text[n] ? strchr(text + n, ':') : NULL;
	int64_t s = 0, h = 0;

	if (!text[n] || str_to_i64(soft, &s) < 0 || (colon && str_to_i64(colon + 1, &h) < 0))
		return err_set(e, ERR_INVALID, "invalid ulimit argument: %s", text);
	if (rlimit_number(name) < 0)
		return err_set(e, ERR_INVALID, "invalid ulimit type: %s", name);
	if (!colon)
		h = s;
	if (h != -1 && (s > h || s == -1))
		return err_set(e, ERR_INVALID,
			       "ulimit soft limit must be less than or equal to hard limit: %lld > %lld", (long long)s,
			       (long long)h);
	*ret = (struct docker_ulimit){ .name = TAKE_PTR(name), .soft = s, .hard = h };
	return 0;
}

static int check_health(const struct docker_healthcheck *h, struct err *e)
{
	const struct {
		const char *name;
		int64_t ns;
	} times[] = { { "Interval", h->interval },
		      { "Timeout", h->timeout },
		      { "StartPeriod", h->start_period },
		      { "StartInterval", h->start_interval } };

	for (size_t i = 0; i < ARRAY_LEN(times); i++)
		if (times[i].ns && times[i].ns < 1000000)
			return err_set(e, ERR_INVALID, "%s in Healthcheck cannot be less than 1ms", times[i].name);
	return h->retries < 0 ? err_set(e, ERR_INVALID, "Retries in Healthcheck cannot be negative") : 0;
}

static int check_config(const struct docker_config *c, struct err *e)
{
	int sig;

	if (c->healthcheck && check_health(c->healthcheck, e) < 0)
		return -EINVAL;

	for (size_t i = 0; i < c->env.n; i++)
		if (!c->env.v[i][0] || c->env.v[i][0] == '=')
			return err_set(e, ERR_INVALID, "invalid environment variable: %s", c->env.v[i]);
	if (!str_empty(c->working_dir) && c->working_dir[0] != '/')
		return err_set(e, ERR_INVALID, "the working directory '%s' is invalid, it needs to be an absolute path",
			       c->working_dir);
	if (!str_empty(c->stop_signal) && signal_parse(c->stop_signal, &sig, e) < 0)
		return -EINVAL;
	if (c->hostname && (strlen(c->hostname) > 64 ||
			    strspn(c->hostname, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._") !=
				    strlen(c->hostname)))
		return err_set(e, ERR_INVALID, "invalid hostname format: %s", c->hostname);
	return 0;
}

int container_check(const struct docker_config *c, const struct docker_host_config *h, struct err *e)
{
	int r = check_config(c, e);

	if (r == 0)
		r = check_memory(h, false, e);
	if (r == 0)
		r = check_cpu(h, e);
	if (r == 0)
		r = check_cpuset(h, e);
	if (r == 0)
		r = check_restart(h, e);
	if (r == 0)
		r = check_ports(c, h, e);
	if (r == 0)
		r = check_network(c, h, e);
	if (r == 0)
		r = check_modes(h, e);
	if (r == 0)
		r = check_lists(h, e);
	return r;
}

int container_update_check(const struct docker_host_config *h, struct err *e)
{
	int r = check_memory(h, true, e);

	if (r == 0)
		r = check_cpu(h, e);
	if (r == 0)
		r = check_cpuset(h, e);
	return r < 0 ? r : check_restart(h, e);
}

static bool is_address(int family, const char *s)
{
	struct in6_addr a;

	return inet_pton(family, s, &a) == 1;
}

static bool predefined(const char *network)
{
	return net_predefined(network) || str_after(network, "container:");
}

/* A fixed address needs a subnet that the user chose, and must lie in it. */
static void subnet_faults(struct net *net, const char *network, const struct docker_endpoint_ipam *ipam,
			  struct strv *ret)
{
	struct net_network nw = { 0 };

	if (!predefined(network) && net_get(net, network, &nw, NULL) < 0)
		return; /* told at start */
	if (predefined(network) || !nw.user_subnet)
		strv_add(ret, "user specified IP address is supported only when connecting to networks with user "
			      "configured subnets");
	else if (!str_empty(ipam->ipv4_address) && !net_subnet_has(nw.subnet, ipam->ipv4_address))
		strv_addf(ret, "no configured subnet or ip-range contain the IP address %s", ipam->ipv4_address);
	net_network_done(&nw);
}

static void endpoint_faults(struct net *net, const char *network, const struct docker_endpoint_settings *s,
			    struct strv *ret)
{
	static const struct docker_endpoint_ipam no_ipam;
	const struct docker_endpoint_ipam *ipam = s->ipam_config ? (const struct docker_endpoint_ipam *)s->ipam_config
								 : &no_ipam;
	bool own = !str_empty(ipam->ipv4_address) || !str_empty(ipam->ipv6_address);

	if (predefined(network) && own)
		strv_add(ret, "user specified IP address is supported on user defined networks only");
	if (predefined(network) && s->aliases.n)
		strv_add(ret, "network-scoped alias is supported only for containers in user defined networks");
	if (!str_empty(ipam->ipv4_address) && !is_address(AF_INET, ipam->ipv4_address))
		strv_push(ret, xasprintf("invalid IPv4 address: %s", ipam->ipv4_address));
	if (!str_empty(ipam->ipv6_address) && !is_address(AF_INET6, ipam->ipv6_address))
		strv_push(ret, xasprintf("invalid IPv6 address: %s", ipam->ipv6_address));
	for (size_t i = 0; i < ipam->link_local_ips.n; i++)
		if (!is_address(AF_INET, ipam->link_local_ips.v[i]) && !is_address(AF_INET6, ipam->link_local_ips.v[i]))
			strv_push(ret, xasprintf("invalid link-local IP address: %s", ipam->link_local_ips.v[i]));
	if (own)
		subnet_faults(net, network, ipam, ret);
	if (!str_empty(s->mac_address) && !mac_valid(s->mac_address))
		strv_push(ret, xasprintf("invalid MAC address %s", s->mac_address));
}

int endpoint_check(struct net *net, const char *network, const struct docker_endpoint_settings *s, struct err *e)
{
	AUTO_STRV struct strv faults = { 0 };
	AUTO_STRB struct strb said = STRB_INIT;

	endpoint_faults(net, network, s, &faults);
	for (size_t k = 0; k < faults.n; k++)
		strb_addf(&said, "\n%s%s", faults.n > 1 ? "* " : "", faults.v[k]);
	return faults.n ? err_set(e, ERR_INVALID, "invalid endpoint settings:%s", said.s) : 0;
}

int endpoints_check(struct net *net, const struct docker_networking_config *n, struct err *e)
{
	for (size_t i = 0; i < n->endpoints_config.n; i++) {
		const char *network = n->endpoints_config.v[i].key;
		struct err why = ERR_INIT;

		if (endpoint_check(net, network, (const struct docker_endpoint_settings *)&n->endpoints_config.v[i].val,
				   &why) < 0)
			return err_set(e, ERR_INVALID, "invalid config for network %s: %s", network, why.msg);
	}
	return 0;
}
