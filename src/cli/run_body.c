/* run_body.c - the whole body of POST /containers/create, in the order of the API's structs. */
#include "cli/run_body.h"

#include <ctype.h>
#include <strings.h>

void run_body_done(struct run_body *b)
{
	free(b->json);
	free(b->name);
	free(b->platform);
	free(b->image);
	*b = (struct run_body){ 0 };
}

/* Members that are written as they are given: option, member. */
static const struct {
	const char *option, *member;
} host_texts[] = {
	{ "cgroup-parent", "CgroupParent" }, { "cpuset-cpus", "CpusetCpus" }, { "cpuset-mems", "CpusetMems" },
	{ "ipc", "IpcMode" },		     { "pid", "PidMode" },	      { "uts", "UTSMode" },
	{ "userns", "UsernsMode" },	     { "cgroupns", "CgroupnsMode" },  { "volume-driver", "VolumeDriver" },
	{ "isolation", "Isolation" },	     { "cidfile", "ContainerIDFile" }, { "runtime", "Runtime" },
}, config_texts[] = {
	{ "hostname", "Hostname" }, { "domainname", "Domainname" },   { "user", "User" },
	{ "workdir", "WorkingDir" }, { "stop-signal", "StopSignal" }, 
}, host_numbers[] = {
	{ "cpu-shares", "CpuShares" },	 { "memory", "Memory" },	{ "cpus", "NanoCpus" },
	{ "blkio-weight", "BlkioWeight" }, { "cpu-period", "CpuPeriod" }, { "cpu-quota", "CpuQuota" },
	{ "cpu-rt-period", "CpuRealtimePeriod" }, { "cpu-rt-runtime", "CpuRealtimeRuntime" },
	{ "memory-reservation", "MemoryReservation" }, { "memory-swap", "MemorySwap" }, { "memory-swappiness", "MemorySwappiness" },
	 { "pids-limit", "PidsLimit" }, { "oom-score-adj", "OomScoreAdj" },
	{ "shm-size", "ShmSize" }, { "cpu-count", "CpuCount" }, { "cpu-percent", "CpuPercent" },
}, host_flags[] = {
	{ "rm", "AutoRemove" }, { "privileged", "Privileged" }, { "publish-all", "PublishAllPorts" },
	{ "read-only", "ReadonlyRootfs" }, { "oom-kill-disable", "OomKillDisable" },
}, host_lists[] = {
	{ "dns", "Dns" }, { "dns-search", "DnsSearch" },
	{ "group-add", "GroupAdd" }, { "link", "Links" }, { "volumes-from", "VolumesFrom" }, { "device-cgroup-rule", "DeviceCgroupRules" },
}, host_maps[] = {
	{ "sysctl", "Sysctls" }, { "annotation", "Annotations" }, { "storage-opt", "StorageOpt" },
};

/* Go's Contains for "host", "private", "container:x" and the like */
static int mode_check(const struct opts *o, const char *option, const char *label, const char *const *good,
		      struct err *e)
{
	const char *v = opt_str(o, option);

	if (!*v)
		return 0;
	for (; *good; good++)
		if (str_ends(*good, ":") ? str_after(v, *good) && *str_after(v, *good) : streq(v, *good))
			return 0;
	return err_set(e, ERR_INVALID, "--%s: invalid %s mode", option, label);
}

static bool mac_valid(const char *s)
{
	for (int i = 0; i < 6; s += i < 5 ? 3 : 2, i++)
		if (!isxdigit((unsigned char)s[0]) || !isxdigit((unsigned char)s[1]) ||
		    (i < 5 && s[2] != ':' && s[2] != '-'))
			return false;
	return !*s;
}

static int modes_check(const struct opts *o, struct err *e)
{
	static const char *const pid[] = { "host", "private", "container:", NULL }, *const uts[] = { "host", "private",
												     NULL };
	const struct strv *storage = opt_list(o, "storage-opt");
	int64_t swappiness = opt_int(o, "memory-swappiness");
	int r;

	if (*opt_str(o, "mac-address") && !mac_valid(opt_str(o, "mac-address")))
		return err_set(e, ERR_INVALID, "%s is not a valid mac address", opt_str(o, "mac-address"));
	for (size_t i = 0; i < storage->n; i++)
		if (!strchr(storage->v[i], '='))
			return err_set(e, ERR_INVALID, "invalid storage option");

	if (swappiness != -1 && (swappiness < 0 || swappiness > 100))
		return err_set(e, ERR_INVALID, "invalid value: %lld. Valid memory swappiness range is 0-100",
			       (long long)swappiness);
	r = mode_check(o, "pid", "PID", pid, e);
	if (r >= 0)
		r = mode_check(o, "uts", "UTS", uts, e);
	if (r >= 0)
		r = mode_check(o, "userns", "USER", uts, e);
	if (r >= 0)
		r = mode_check(o, "cgroupns", "CGROUP", uts, e);
	return r;
}

static bool attach_has(const struct opts *o, const char *name)
{
	const struct strv *a = opt_list(o, "attach");

	for (size_t i = 0; i < a->n; i++)
		if (strcasecmp(a->v[i], name) == 0)
			return true;
	return false;
}

static void attach_resolve(const struct opts *o, bool detach, struct run_body *b)
{
	bool none = opt_list(o, "attach")->n == 0;

	b->tty = opt_bool(o, "tty");
	b->open_stdin = opt_bool(o, "interactive");
	if (detach)
		return;
	b->attach_stdin = b->open_stdin || attach_has(o, "stdin");
	b->attach_stdout = none || attach_has(o, "stdout");
	b->attach_stderr = none || attach_has(o, "stderr");
}

/* ---- -v: source:path[:options], or a path alone, which is an anonymous volume ---- */
static bool volume_anonymous(const char *spec)
{
	return !strchr(spec, ':');
}

static char *bind_absolute(const char *spec)
{
	const char *colon = strchr(spec, ':');
	AUTO_FREE char *source = xstrndup(spec, (size_t)(colon - spec));
	AUTO_FREE char *cwd = NULL, *joined = NULL, *clean = NULL;

	if (*source != '.' && *source != '~')
		return xstrdup(spec);
	if (*source == '~') {
		joined = path_join(getenv("HOME") ? getenv("HOME") : "/", source + 1);
	} else {
		cwd = getcwd(NULL, 0);
		joined = path_join(cwd ? cwd : "/", source);
	}
	clean = path_clean(joined);
	return xasprintf("%s%s", clean, colon);
}

static int volumes_check(const struct strv *volumes, struct err *e)
{
	for (size_t i = 0; i < volumes->n; i++)
		if (!*volumes->v[i])
			return err_set(e, ERR_INVALID, "invalid empty volume spec");
	return 0;
}

static void volumes_write(const struct strv *volumes, struct jw *w)
{
	jw_open(w, "Volumes", '{');
	for (size_t i = 0; i < volumes->n; i++)
		if (volume_anonymous(volumes->v[i]))
			jw_raw(w, volumes->v[i], "{}");
	jw_close(w, '}');
}

static void binds_write(const struct strv *volumes, struct jw *w)
{
	jw_open(w, "Binds", '[');
	for (size_t i = 0; i < volumes->n; i++) {
		AUTO_FREE char *bind = volume_anonymous(volumes->v[i]) ? NULL : bind_absolute(volumes->v[i]);

		if (bind)
			jw_str(w, NULL, bind);
	}
	jw_close(w, ']');
}

/* ---- ports ---- */
static int ports_read(const struct opts *o, struct ports *ret, struct err *e)
{
	const struct strv *publish = opt_list(o, "publish"), *expose = opt_list(o, "expose");
	int r = 0;

	for (size_t i = 0; i < publish->n && r >= 0; i++)
		r = port_spec(publish->v[i], ret, e);
	for (size_t i = 0; i < expose->n && r >= 0; i++)
		r = port_expose(expose->v[i], ret, e);
	return r;
}

static bool port_seen(const struct ports *p, size_t i, bool published)
{
	for (size_t k = 0; k < i; k++)
		if (streq(p->v[k].container, p->v[i].container) && (!published || p->v[k].published))
			return true;
	return false;
}

static void exposed_write(const struct ports *p, struct jw *w)
{
	if (p->n == 0)
		return;
	jw_open(w, "ExposedPorts", '{');
	for (size_t i = 0; i < p->n; i++)
		if (!port_seen(p, i, false))
			jw_raw(w, p->v[i].container, "{}");
	jw_close(w, '}');
}

static void bindings_write(const struct ports *p, struct jw *w)
{
	jw_open(w, "PortBindings", '{');
	for (size_t i = 0; i < p->n; i++) {
		if (!p->v[i].published || port_seen(p, i, true))
			continue;
		jw_open(w, p->v[i].container, '[');
		for (size_t k = i; k < p->n; k++) {
			if (!p->v[k].published || !streq(p->v[k].container, p->v[i].container))
				continue;
			jw_open(w, NULL, '{');
			jw_str(w, "HostIp", p->v[k].ip);
			jw_str(w, "HostPort", p->v[k].host);
			jw_close(w, '}');
		}
		jw_close(w, ']');
	}
	jw_close(w, '}');
}

/* ---- devices: of the host, or by CDI name (vendor/class=name) ---- */
static bool device_is_cdi(const char *spec)
{
	const char *eq = strchr(spec, '=');

	return *spec != '/' && eq && memchr(spec, '/', (size_t)(eq - spec));
}

static int devices_write(const struct opts *o, struct jw *w, struct err *e)
{
	const struct strv *devices = opt_list(o, "device"), *gpus = opt_list(o, "gpus");
	AUTO_STRV struct strv cdi = { 0 };

	jw_open(w, "Devices", '[');
	for (size_t i = 0; i < devices->n; i++) {
		int r = 0;

		if (device_is_cdi(devices->v[i]))
			strv_add(&cdi, devices->v[i]);
		else
			r = device_json(devices->v[i], w, e);
		if (r < 0)
			return r;
	}
	jw_close(w, ']');
	if (cdi.n == 0 && gpus->n == 0)
		return 0;
	jw_open(w, "DeviceRequests", '[');
	for (size_t i = 0; i < gpus->n; i++)
		(void)gpus_json(gpus->v[i], w, NULL);
	if (cdi.n) {
		jw_open(w, NULL, '{');
		jw_str(w, "Driver", "cdi");
		jw_strv(w, "DeviceIDs", &cdi);
		jw_close(w, '}');
	}
	jw_close(w, ']');
	return 0;
}

static void throttles_write(const struct opts *o, struct jw *w)
{
	static const struct {
		const char *option, *member;
		bool bytes;
	} rows[] = { { "device-read-bps", "BlkioDeviceReadBps", true },
		     { "device-write-bps", "BlkioDeviceWriteBps", true },
		     { "device-read-iops", "BlkioDeviceReadIOps", false },
		     { "device-write-iops", "BlkioDeviceWriteIOps", false } };
	const struct strv *weights = opt_list(o, "blkio-weight-device");

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		const struct strv *list = opt_list(o, rows[i].option);

		if (list->n == 0)
			continue;
		jw_open(w, rows[i].member, '[');
		for (size_t k = 0; k < list->n; k++)
			(void)throttle_json(list->v[k], rows[i].bytes, w, NULL);
		jw_close(w, ']');
	}
	if (weights->n == 0)
		return;
	jw_open(w, "BlkioWeightDevice", '[');
	for (size_t i = 0; i < weights->n; i++)
		(void)weight_device_json(weights->v[i], w, NULL);
	jw_close(w, ']');
}

static void map_write(const struct strv *list, const char *member, struct jw *w)
{
	AUTO_STRMAP struct strmap m = { 0 };

	kv_map(list, &m);
	if (m.n)
		jw_map(w, member, &m);
}

static int logging_write(const struct opts *o, struct jw *w, struct err *e)
{
	AUTO_STRMAP struct strmap m = { 0 };

	kv_map(opt_list(o, "log-opt"), &m);
	if (streq(opt_str(o, "log-driver"), "none") && m.n)
		return err_set(e, ERR_INVALID, "invalid logging opts for driver none");
	jw_open(w, "LogConfig", '{');
	jw_str(w, "Type", opt_str(o, "log-driver"));
	jw_map(w, "Config", &m);
	jw_close(w, '}');
	return 0;
}

static int security_write(const struct opts *o, struct jw *w, struct err *e)
{
	AUTO_STRV struct strv opts = { 0 };
	bool unmask = false;
	int r = security_collect(opt_list(o, "security-opt"), &opts, &unmask, e);

	if (r < 0)
		return r;
	if (opts.n)
		jw_strv(w, "SecurityOpt", &opts);
	if (unmask) {
		jw_raw(w, "MaskedPaths", "[]");
		jw_raw(w, "ReadonlyPaths", "[]");
	}
	return 0;
}

static void dns_options_write(const struct opts *o, struct jw *w)
{
	AUTO_STRV struct strv all = { 0 };

	strv_addv(&all, opt_list(o, "dns-option"));
	strv_addv(&all, opt_list(o, "dns-opt"));
	jw_strv(w, "DnsOptions", &all);
}

/* name=ip is kept as name:ip, brackets of IPv6 dropped */
static void hosts_write(const struct strv *hosts, struct jw *w)
{
	if (hosts->n == 0)
		return;
	jw_open(w, "ExtraHosts", '[');
	for (size_t i = 0; i < hosts->n; i++) {
		size_t name = strcspn(hosts->v[i], ":=");
		const char *ip = hosts->v[i] + name + 1;
		size_t len = strlen(ip);
		AUTO_FREE char *line = NULL;

		if (*ip == '[' && len > 2) {
			ip++;
			len -= 2;
		}
		line = xasprintf("%.*s:%.*s", (int)name, hosts->v[i], (int)len, ip);
		jw_str(w, NULL, line);
	}
	jw_close(w, ']');
}

/* Upper case, with CAP_, sorted, each once: as Docker's client sends them. */
static void capabilities_write(const struct strv *given, const char *member, struct jw *w)
{
	AUTO_STRV struct strv all = { 0 };

	for (size_t i = 0; i < given->n; i++) {
		AUTO_FREE char *name = xstrdup(given->v[i]);

		for (char *p = name; *p; p++)
			*p = (char)toupper((unsigned char)*p);
		if (!streq(name, "ALL") && !str_after(name, "CAP_")) {
			char *full = xasprintf("CAP_%s", name);

			free(name);
			name = full;
		}
		if (!strv_has(&all, name))
			strv_add(&all, name);
	}
	strv_sort(&all);
	if (all.n)
		jw_strv(w, member, &all);
}

static void tmpfs_write(const struct strv *list, struct jw *w)
{
	if (list->n == 0)
		return;
	jw_open(w, "Tmpfs", '{');
	for (size_t i = 0; i < list->n; i++) {
		size_t path = strcspn(list->v[i], ":");
		AUTO_FREE char *key = xstrndup(list->v[i], path);

		jw_str(w, key, list->v[i][path] ? list->v[i] + path + 1 : "");
	}
	jw_close(w, '}');
}

static int lists_write(const struct opts *o, struct jw *w, struct err *e)
{
	const struct strv *mounts = opt_list(o, "mount"), *ulimits = opt_list(o, "ulimit");
	int r = 0;

	if (mounts->n) {
		jw_open(w, "Mounts", '[');
		for (size_t i = 0; i < mounts->n; i++)
			(void)mount_json(mounts->v[i], w, NULL);
		jw_close(w, ']');
	}
	jw_open(w, "Ulimits", '[');
	for (size_t i = 0; i < ulimits->n && r >= 0; i++)
		r = ulimit_json(ulimits->v[i], w, e);
	jw_close(w, ']');
	return r;
}

static int host_config(const struct opts *o, const struct ports *ports, const char *network, unsigned rows,
		       unsigned columns, struct jw *w, struct err *e)
{
	bool restart_none = true;

	jw_open(w, "HostConfig", '{');
	binds_write(opt_list(o, "volume"), w);
	if (logging_write(o, w, e) < 0)
		return -EINVAL;
	jw_str(w, "NetworkMode", network);
	bindings_write(ports, w);
	if (restart_json(opt_str(o, "restart"), w, &restart_none, e) < 0)
		return -EINVAL;
	if (opt_bool(o, "rm") && !restart_none)
		return err_set(e, ERR_INVALID, "conflicting options: cannot specify both --restart and --rm");
	jw_open(w, "ConsoleSize", '[');
	jw_int(w, NULL, rows);
	jw_int(w, NULL, columns);
	jw_close(w, ']');
	for (size_t i = 0; i < ARRAY_LEN(host_texts); i++)
		if (*opt_str(o, host_texts[i].option))
			jw_str(w, host_texts[i].member, opt_str(o, host_texts[i].option));
	for (size_t i = 0; i < ARRAY_LEN(host_numbers); i++)
		if (opt_int(o, host_numbers[i].option))
			jw_int(w, host_numbers[i].member, opt_int(o, host_numbers[i].option));
	for (size_t i = 0; i < ARRAY_LEN(host_flags); i++)
		jw_bool(w, host_flags[i].member, opt_bool(o, host_flags[i].option));
	for (size_t i = 0; i < ARRAY_LEN(host_lists); i++)
		if (opt_list(o, host_lists[i].option)->n)
			jw_strv(w, host_lists[i].member, opt_list(o, host_lists[i].option));
	for (size_t i = 0; i < ARRAY_LEN(host_maps); i++)
		map_write(opt_list(o, host_maps[i].option), host_maps[i].member, w);
	capabilities_write(opt_list(o, "cap-add"), "CapAdd", w);
	capabilities_write(opt_list(o, "cap-drop"), "CapDrop", w);
	dns_options_write(o, w);
	hosts_write(opt_list(o, "add-host"), w);
	tmpfs_write(opt_list(o, "tmpfs"), w);
	throttles_write(o, w);
	if (devices_write(o, w, e) < 0 || security_write(o, w, e) < 0 || lists_write(o, w, e) < 0)
		return -EINVAL;
	if (opt_set(o, "init"))
		jw_bool(w, "Init", opt_bool(o, "init"));
	jw_close(w, '}');
	return 0;
}

static void command_write(const struct opts *o, struct jw *w)
{
	if (o->words.n > 1) {
		jw_open(w, "Cmd", '[');
		for (size_t i = 1; i < o->words.n; i++)
			jw_str(w, NULL, o->words.v[i]);
		jw_close(w, ']');
	}
	if (opt_set(o, "entrypoint")) {
		jw_open(w, "Entrypoint", '[');
		jw_str(w, NULL, opt_str(o, "entrypoint"));
		jw_close(w, ']');
	}
}

static int config(const struct opts *o, const struct ports *ports, const struct run_body *b, struct jw *w,
		  struct err *e)
{
	AUTO_STRV struct strv env = { 0 };
	AUTO_STRMAP struct strmap labels = { 0 };

	if (env_collect(opt_list(o, "env-file"), opt_list(o, "env"), &env, e) < 0 ||
	    labels_collect(opt_list(o, "label-file"), opt_list(o, "label"), &labels, e) < 0)
		return -EINVAL;
	for (size_t i = 0; i < ARRAY_LEN(config_texts); i++)
		if (*opt_str(o, config_texts[i].option))
			jw_str(w, config_texts[i].member, opt_str(o, config_texts[i].option));
	jw_bool(w, "AttachStdin", b->attach_stdin);
	jw_bool(w, "AttachStdout", b->attach_stdout);
	jw_bool(w, "AttachStderr", b->attach_stderr);
	exposed_write(ports, w);
	jw_bool(w, "Tty", b->tty);
	jw_bool(w, "OpenStdin", b->open_stdin);
	jw_bool(w, "StdinOnce", b->open_stdin && b->attach_stdin);
	if (env.n)
		jw_strv(w, "Env", &env);
	command_write(o, w);
	if (health_json(o, w, e) < 0)
		return -EINVAL;
	jw_str(w, "Image", o->words.v[0]);
	volumes_write(opt_list(o, "volume"), w);
	jw_map(w, "Labels", &labels);
	if (opt_set(o, "stop-timeout"))
		jw_int(w, "StopTimeout", opt_int(o, "stop-timeout"));
	return 0;
}

int run_body_make(const struct opts *o, bool detach, unsigned rows, unsigned columns, struct run_body *ret,
		  struct err *e)
{
	struct run_body b = { 0 };
	struct ports ports = { 0 };
	AUTO_JW struct jw w = { 0 }, net = { 0 };
	AUTO_FREE char *network = NULL;
	int r;

	attach_resolve(o, detach, &b);
	r = modes_check(o, e);
	if (r >= 0)
		r = volumes_check(opt_list(o, "volume"), e);
	if (r >= 0)
		r = ports_read(o, &ports, e);
	if (r >= 0)
		r = networks_json(o, &net, &network, e);
	jw_open(&w, NULL, '{');
	if (r >= 0)
		r = config(o, &ports, &b, &w, e);
	if (r >= 0)
		r = host_config(o, &ports, network, rows, columns, &w, e);
	ports_done(&ports);
	if (r < 0)
		return r;
	strb_addf(&w.b, ",%s", strb_str(&net.b));
	jw_close(&w, '}');
	b.json = strb_take(&w.b);
	b.name = xstrdup(opt_str(o, "name"));
	b.platform = xstrdup(opt_str(o, "platform"));
	b.image = xstrdup(o->words.v[0]);
	b.auto_remove = opt_bool(o, "rm");
	*ret = b;
	return 0;
}
