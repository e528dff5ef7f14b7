#include "plan/defaults.h"

static const char *const docker_caps[] = {
	"CAP_CHOWN",   "CAP_DAC_OVERRIDE", "CAP_FSETID",           "CAP_FOWNER",
	"CAP_MKNOD",   "CAP_NET_RAW",      "CAP_SETGID",           "CAP_SETUID",
	"CAP_SETFCAP", "CAP_SETPCAP",      "CAP_NET_BIND_SERVICE", "CAP_SYS_CHROOT",
	"CAP_KILL",    "CAP_AUDIT_WRITE",
};

struct default_mount {
	const char *destination, *type, *source, *options;
	const char *privileged; /* options there, where they differ */
};
static const struct default_mount mounts[] = {
	{ "/proc", "proc", "proc", "nosuid,noexec,nodev", NULL },
	{ "/dev", "tmpfs", "tmpfs", "nosuid,strictatime,mode=755,size=65536k", NULL },
	{ "/dev/pts", "devpts", "devpts", "nosuid,noexec,newinstance,ptmxmode=0666,mode=0620,gid=5", NULL },
	{ "/sys", "sysfs", "sysfs", "nosuid,noexec,nodev,ro", "nosuid,noexec,nodev" },
	{ "/sys/fs/cgroup", "cgroup", "cgroup", "ro,nosuid,noexec,nodev", "nosuid,noexec,nodev" },
	{ "/dev/mqueue", "mqueue", "mqueue", "nosuid,noexec,nodev", NULL },
	{ "/dev/shm", "tmpfs", "shm", "nosuid,noexec,nodev,mode=1777,size=67108864", NULL },
};

static const char *const masked[] = {
	"/proc/asound",      "/proc/acpi",          "/proc/interrupts", "/proc/kcore",
	"/proc/keys",        "/proc/latency_stats", "/proc/timer_list", "/proc/timer_stats",
	"/proc/sched_debug", "/proc/scsi",          "/sys/firmware",    "/sys/devices/virtual/powercap",
};
static const char *const readonly[] = { "/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger" };
static const char *const namespaces[] = { "mount", "network", "uts", "pid", "ipc" };

/* null, zero, random, urandom, tty and console, the rest comes with every plan */
static const struct {
	int64_t major, minor;
} device_rules[] = { { 1, 5 }, { 1, 3 }, { 1, 9 }, { 1, 8 }, { 5, 0 }, { 5, 1 } };

uint64_t spec_docker_caps(void)
{
	uint64_t mask = 0;

	for (size_t i = 0; i < ARRAY_LEN(docker_caps); i++)
		mask |= UINT64_C(1) << plan_cap_number(docker_caps[i]);
	return mask;
}

static void cap_list(struct strv *to, uint64_t caps)
{
	strv_done(to);
	for (unsigned i = 0; i < plan_cap_count(); i++)
		if (caps >> i & 1)
			strv_add(to, plan_cap_name(i));
}

void spec_set_caps(struct oci_process *p, uint64_t caps)
{
	cap_list(&p->capabilities.bounding, caps);
	cap_list(&p->capabilities.effective, caps);
	cap_list(&p->capabilities.permitted, caps);
	strv_done(&p->capabilities.inheritable);
	strv_done(&p->capabilities.ambient);
}

static struct oci_namespace *namespace_find(struct oci_spec *s, const char *type)
{
	for (size_t i = 0; i < s->linux_.namespaces.n; i++)
		if (streq(s->linux_.namespaces.v[i].type, type))
			return &s->linux_.namespaces.v[i];
	return NULL;
}

void spec_set_namespace(struct oci_spec *s, const char *type, const char *path)
{
	struct oci_namespace *n = namespace_find(s, type);

	if (!n) {
		n = VEC_ADD(&s->linux_.namespaces);
		n->type = xstrdup(type);
	}
	free(n->path);
	n->path = xstrdup(path);
}

void spec_drop_namespace(struct oci_spec *s, const char *type)
{
	struct oci_namespace *n = namespace_find(s, type), *last;

	if (!n)
		return;
	last = &s->linux_.namespaces.v[--s->linux_.namespaces.n];
	json_done(&oci_namespace_type, n);
	memmove(n, n + 1, (size_t)((char *)last - (char *)n));
}

static struct oci_mount *mount_find(struct oci_spec *s, const char *destination)
{
	for (size_t i = 0; i < s->mounts.n; i++)
		if (streq(s->mounts.v[i].destination, destination))
			return &s->mounts.v[i];
	return NULL;
}

void spec_set_mount(struct oci_spec *s, const char *destination, const char *type, const char *source,
		    const char *options)
{
	struct oci_mount *m = mount_find(s, destination);

	if (m)
		json_done(&oci_mount_type, m);
	else
		m = VEC_ADD(&s->mounts);
	m->destination = xstrdup(destination);
	m->type = xstrdup(type);
	m->source = xstrdup(source);
	strv_split(&m->options, options, ",");
}

bool spec_drop_mount(struct oci_spec *s, const char *destination)
{
	struct oci_mount *m = mount_find(s, destination), *last;

	if (!m)
		return false;
	last = &s->mounts.v[--s->mounts.n];
	json_done(&oci_mount_type, m);
	memmove(m, m + 1, (size_t)((char *)last - (char *)m));
	return true;
}

static void add_all(struct strv *to, const char *const *from, size_t n)
{
	for (size_t i = 0; i < n; i++)
		strv_add(to, from[i]);
}

static void device_rule(struct oci_spec *s, bool allow, const char *type, int64_t major, int64_t minor)
{
	struct oci_device_rule *r = VEC_ADD(&s->linux_.resources.devices);

	r->allow = allow;
	r->access = xstrdup("rwm");
	r->type = xstrdup(type);
	if (type) {
		r->major = (struct json_oint){ true, major };
		r->minor = (struct json_oint){ true, minor };
	}
}

static uint64_t all_caps(void)
{
	return (UINT64_C(1) << plan_cap_count()) - 1;
}

void spec_docker_default(const struct spec_defaults *d, struct oci_spec *ret)
{
	struct oci_linux *l = &ret->linux_;

	ret->oci_version = xstrdup("1.2.1");
	ret->process.cwd = xstrdup("/");
	ret->process.oom_score_adj = (struct json_oint){ true, 0 };
	spec_set_caps(&ret->process, !d->privileged ? spec_docker_caps() : d->host_caps ? d->host_caps : all_caps());
	for (size_t i = 0; i < ARRAY_LEN(mounts); i++)
		spec_set_mount(ret, mounts[i].destination, mounts[i].type, mounts[i].source,
			       d->privileged && mounts[i].privileged ? mounts[i].privileged : mounts[i].options);
	for (size_t i = 0; i < ARRAY_LEN(namespaces); i++)
		spec_set_namespace(ret, namespaces[i], NULL);
	if (d->cgroup_version == 2)
		spec_set_namespace(ret, "cgroup", NULL);
	strmap_set(&l->sysctl, "net.ipv4.ip_unprivileged_port_start", "0");
	strmap_set(&l->sysctl, "net.ipv4.ping_group_range", "0 2147483647");
	if (d->privileged) {
		device_rule(ret, true, NULL, 0, 0);
		return;
	}
	device_rule(ret, false, NULL, 0, 0);
	for (size_t i = 0; i < ARRAY_LEN(device_rules); i++)
		device_rule(ret, true, "c", device_rules[i].major, device_rules[i].minor);
	add_all(&l->masked_paths, masked, ARRAY_LEN(masked));
	add_all(&l->readonly_paths, readonly, ARRAY_LEN(readonly));
}

/* ---- runc's example ---- */
static const char *const example_caps[] = { "CAP_AUDIT_WRITE", "CAP_KILL", "CAP_NET_BIND_SERVICE" };
static const char *const example_masked[] = {
	"/proc/acpi",       "/proc/asound",      "/proc/kcore",       "/proc/keys",    "/proc/latency_stats",
	"/proc/timer_list", "/proc/timer_stats", "/proc/sched_debug", "/sys/firmware", "/proc/scsi",
};
static const struct default_mount example_mounts[] = {
	{ "/proc", "proc", "proc", "", NULL },
	{ "/dev", "tmpfs", "tmpfs", "nosuid,strictatime,mode=755,size=65536k", NULL },
	{ "/dev/pts", "devpts", "devpts", "nosuid,noexec,newinstance,ptmxmode=0666,mode=0620,gid=5", NULL },
	{ "/dev/shm", "tmpfs", "shm", "nosuid,noexec,nodev,mode=1777,size=65536k", NULL },
	{ "/dev/mqueue", "mqueue", "mqueue", "nosuid,noexec,nodev", NULL },
	{ "/sys", "sysfs", "sysfs", "nosuid,noexec,nodev,ro", NULL },
	{ "/sys/fs/cgroup", "cgroup", "cgroup", "nosuid,noexec,nodev,relatime,ro", NULL },
};

void spec_runtime_example(bool rootless, struct oci_spec *ret)
{
	static const char *const order[] = { "pid", "network", "ipc", "uts", "mount", "cgroup" };
	struct oci_linux *l = &ret->linux_;

	ret->oci_version = xstrdup("1.2.1");
	ret->hostname = xstrdup("hoy-runtime");
	ret->root.path = xstrdup("rootfs");
	ret->root.readonly = true;
	ret->process.terminal = true;
	ret->process.cwd = xstrdup("/");
	strv_add(&ret->process.args, "sh");
	strv_add(&ret->process.env, "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin");
	strv_add(&ret->process.env, "TERM=xterm");
	add_all(&ret->process.capabilities.bounding, example_caps, ARRAY_LEN(example_caps));
	add_all(&ret->process.capabilities.effective, example_caps, ARRAY_LEN(example_caps));
	add_all(&ret->process.capabilities.permitted, example_caps, ARRAY_LEN(example_caps));
	*VEC_ADD(&ret->process.rlimits) = (struct oci_rlimit){ .type = xstrdup("RLIMIT_NOFILE"),
							       .hard = 1024,
							       .soft = 1024 };
	ret->process.no_new_privs = true;
	for (size_t i = 0; i < ARRAY_LEN(example_mounts); i++)
		spec_set_mount(ret, example_mounts[i].destination, example_mounts[i].type, example_mounts[i].source,
			       example_mounts[i].options);
	device_rule(ret, false, NULL, 0, 0);
	for (size_t i = 0; i < ARRAY_LEN(order); i++)
		if (!rootless || !streq(order[i], "network"))
			spec_set_namespace(ret, order[i], NULL);
	add_all(&l->masked_paths, example_masked, ARRAY_LEN(example_masked));
	add_all(&l->readonly_paths, readonly, ARRAY_LEN(readonly));
	if (!rootless)
		return;
	spec_set_namespace(ret, "user", NULL);
	*VEC_ADD(&l->uid_mappings) = (struct oci_id_mapping){ 0, geteuid(), 1 };
	*VEC_ADD(&l->gid_mappings) = (struct oci_id_mapping){ 0, getegid(), 1 };
	spec_set_mount(ret, "/sys", "none", "/sys", "rbind,nosuid,noexec,nodev,ro");
	spec_set_mount(ret, "/dev/pts", "devpts", "devpts", "nosuid,noexec,newinstance,ptmxmode=0666,mode=0620");
}
