/* container_spec.c - from a container's record to the OCI configuration of its start, and from there to the plan's bytes. What the
 * plan cannot know by itself (devices of the host, other containers' namespaces) is looked up here. */
#include "act/act.h"
#include "engine/container_check.h"
#include "engine/engine_private.h"
#include "engine/exec_private.h"
#include "plan/defaults.h"
#include "plan/plan.h"
#include "plan/seccomp_cache.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

/* what dockerd hears from its runtime */
#define RUNTIME_REFUSES \
	"failed to create task for container: failed to create shim task: OCI runtime create failed: runc create " \
	"failed: "
#define INIT_INSIDE "/sbin/docker-init" /* programs look for Docker's name */
#define DEFAULT_PATH "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

void plan_slots_done(struct plan_slots *s)
{
	for (size_t i = 0; i < s->n; i++)
		(void)close(s->v[i]);
	s->n = 0;
}

struct building {
	struct container *c;
	const struct container_record *rec; /* a copy: no lock is held while building */
	struct oci_spec spec;
	struct security security;
	uint64_t caps;
	struct plan_slots *slots;
	struct plan_ns_choice ns[PLAN_NS_COUNT];
	bool new_netns;
	bool init; /* hoy-init is process 1 */
	struct seccomp_ready seccomp;
	bool filtered;
};

/* ---- capabilities ---- */
static uint64_t all_caps(void)
{
	return plan_cap_count() >= 64 ? UINT64_MAX : ((uint64_t)1 << plan_cap_count()) - 1;
}

static uint64_t container_caps(const struct docker_host_config *h)
{
	uint64_t caps = h->privileged ? all_caps() : spec_docker_caps();
	bool drop_all = false, add_all = false;

	if (h->privileged)
		return caps;
	for (size_t i = 0; i < h->cap_drop.n; i++) {
		AUTO_FREE char *name = cap_normalize(h->cap_drop.v[i]);

		drop_all |= streq(name, "ALL");
	}
	for (size_t i = 0; i < h->cap_add.n; i++) {
		AUTO_FREE char *name = cap_normalize(h->cap_add.v[i]);

		add_all |= streq(name, "ALL");
	}
	if (drop_all)
		caps = 0;
	if (add_all)
		caps = all_caps();
	for (size_t i = 0; i < h->cap_add.n; i++) {
		AUTO_FREE char *name = cap_normalize(h->cap_add.v[i]);
		int n = plan_cap_number(name);

		caps |= n >= 0 ? (uint64_t)1 << n : 0;
	}
	for (size_t i = 0; i < h->cap_drop.n; i++) {
		AUTO_FREE char *name = cap_normalize(h->cap_drop.v[i]);
		int n = plan_cap_number(name);

		caps &= n >= 0 ? ~((uint64_t)1 << n) : ~(uint64_t)0;
	}
	return caps;
}

/* ---- process ---- */
static void process_env(struct strv *env, const struct container_record *rec, bool tty)
{
	strv_env_set(env, DEFAULT_PATH);
	if (!str_empty(rec->config.hostname)) {
		AUTO_FREE char *host = xasprintf("HOSTNAME=%s", rec->config.hostname);

		strv_env_set(env, host);
	}
	if (tty)
		strv_env_set(env, "TERM=xterm");
	for (size_t i = 0; i < rec->config.env.n; i++) {
		const char *v = rec->config.env.v[i];

		if (strchr(v, '='))
			strv_env_set(env, v);
	}
}

static void set_process(struct building *b)
{
	const struct container_record *rec = b->rec;
	struct oci_process *p = &b->spec.process;

	if (b->init) {
		strv_add(&p->args, INIT_INSIDE);
		strv_add(&p->args, "--");
	}
	strv_add(&p->args, rec->path);
	strv_addv(&p->args, &rec->args);
	process_env(&p->env, rec, rec->config.tty);
	free(p->cwd);
	p->cwd = xstrdup(str_empty(rec->config.working_dir) ? "/" : rec->config.working_dir);
	p->terminal = rec->config.tty;
	if (rec->host.console_size.n == 2) {
		p->console_size = xcalloc(1, sizeof *p->console_size);
		p->console_size->height = (uint64_t)rec->host.console_size.v[0];
		p->console_size->width = (uint64_t)rec->host.console_size.v[1];
	}
	spec_set_caps(p, b->caps);
	p->no_new_privs = b->security.no_new_privileges.set ? b->security.no_new_privileges.v
							    : b->c->en->config.no_new_privileges;
	if (rec->host.oom_score_adj)
		p->oom_score_adj = (struct json_oint){ true, rec->host.oom_score_adj };
	for (size_t i = 0; i < rec->host.ulimits.n; i++) {
		__typeof__(p->rlimits.v) l = VEC_ADD(&p->rlimits);
		AUTO_FREE char *name = xasprintf("RLIMIT_%s", rec->host.ulimits.v[i].name);

		for (char *s = name; *s; s++)
			if (*s >= 'a' && *s <= 'z')
				*s = (char)(*s - 32);
		l->type = TAKE_PTR(name);
		l->soft = (uint64_t)rec->host.ulimits.v[i].soft;
		l->hard = (uint64_t)rec->host.ulimits.v[i].hard;
	}
}

/* ---- namespaces ---- */
static int join(struct building *b, const char *ref, enum plan_ns which, struct err *e)
{
	AUTO_CONTAINER struct container *other = NULL;
	AUTO_MSG struct msg m = { 0 };
	AUTO_STRB struct strb body = STRB_INIT;
	struct shim_link *l;
	const char *kind = which == PLAN_NS_NET ? "network" : which == PLAN_NS_PID ? "PID" : "IPC";
	int fd, r;

	if (!*ref)
		return err_set(e, ERR_INVALID, "failed to join %s namespace: invalid name or ID supplied: \"\"", kind);
	r = container_find(b->c->en, ref, &other, e);
	if (r < 0)
		return err_set(e, ERR_INVALID, "failed to join %s namespace: No such container: %s", kind, ref);
	l = container_running(other) ? container_shim_now(other) : NULL;
	if (!l)
		return err_set(e, ERR_CONFLICT, "failed to join %s namespace: container %s is not running", kind,
			       other->id);
	msg_put_u32(&body, 1u << which);
	r = shim_call(l, &(struct shim_request){ .type = SHIM_LEND_NS, .body = body.s, .n = body.len }, &m, NULL, e);
	shim_link_unref(l);
	if (r < 0)
		return r;
	fd = msg_take_fd(&m, 0);
	if (fd < 0)
		return err_set(e, ERR_SYSTEM, "the shim of container %s did not lend its namespace", other->id);
	b->ns[which] = (struct plan_ns_choice){ .mode = 3, .slot = (int32_t)b->slots->n };
	b->slots->v[b->slots->n++] = fd;
	return 0;
}

static int namespace(struct building *b, const char *mode, enum plan_ns which, const char *type, struct err *e)
{
	const char *other = str_after(mode, "container:");

	if (other)
		return join(b, other, which, e);
	if (streq(mode, "host"))
		spec_drop_namespace(&b->spec, type);
	else
		spec_set_namespace(&b->spec, type, NULL);
	return 0;
}

static int set_namespaces(struct building *b, struct err *e)
{
	const struct docker_host_config *h = &b->rec->host;
	int r = namespace(b, h->network_mode, PLAN_NS_NET, "network", e);

	b->new_netns = !streq(h->network_mode, "host") && !str_after(h->network_mode, "container:");
	if (r == 0)
		r = namespace(b, h->pid_mode, PLAN_NS_PID, "pid", e);
	if (r == 0)
		r = namespace(b, h->ipc_mode, PLAN_NS_IPC, "ipc", e);
	if (r == 0)
		r = namespace(b, h->uts_mode, PLAN_NS_UTS, "uts", e);
	if (r < 0)
		return r;
	if (streq(h->cgroupns_mode, "private"))
		spec_set_namespace(&b->spec, "cgroup", NULL);
	else
		spec_drop_namespace(&b->spec, "cgroup");
	if (!streq(h->uts_mode, "host") && !str_empty(b->rec->config.hostname)) {
		b->spec.hostname = xstrdup(b->rec->config.hostname);
		b->spec.domainname = str_empty(b->rec->config.domainname) ? NULL : xstrdup(b->rec->config.domainname);
	}
	return 0;
}

/* ---- mounts ---- */
static bool mounted_by_user(const struct container_record *rec, const char *destination)
{
	for (size_t i = 0; i < rec->mounts.n; i++)
		if (streq(rec->mounts.v[i].destination, destination))
			return true;
	return false;
}

static void set_files(struct building *b)
{
	static const char *const files[] = { "hostname", "hosts", "resolv.conf" };

	for (size_t i = 0; i < ARRAY_LEN(files); i++) {
		AUTO_FREE char *source = xasprintf("%s/docker/containers/%s/%s", b->c->en->config.data_root,
						   container_files_id(b->rec), files[i]);
		AUTO_FREE char *destination = xasprintf("/etc/%s", files[i]);

		if (!mounted_by_user(b->rec, destination))
			spec_set_mount(&b->spec, destination, "bind", source,
				       b->rec->host.readonly_rootfs ? "rbind,rprivate,ro" : "rbind,rprivate");
	}
}

static unsigned path_depth(const char *path)
{
	unsigned n = 0;

	for (; *path; path++)
		n += *path == '/' && path[1];
	return n;
}

/* Outer mounts before those inside them, else in the order given: a volume at /etc goes below our /etc/hosts. */
static void sort_mounts(struct oci_spec *s, size_t first)
{
	for (size_t i = first + 1; i < s->mounts.n; i++) {
		__typeof__(*s->mounts.v) m = s->mounts.v[i];
		size_t k = i;

		for (; k > first && path_depth(s->mounts.v[k - 1].destination) > path_depth(m.destination); k--)
			s->mounts.v[k] = s->mounts.v[k - 1];
		s->mounts.v[k] = m;
	}
}

/* Refused by dockerd itself, before the kernel could. */
static int check_tmpfs(const char *options, struct err *e)
{
	static const char *const plain[] = { "defaults",   "ro",          "rw",           "suid",        "nosuid",
					     "dev",        "nodev",       "exec",         "noexec",      "sync",
					     "async",      "dirsync",     "remount",      "mand",        "nomand",
					     "atime",      "noatime",     "diratime",     "nodiratime",  "bind",
					     "rbind",      "private",     "rprivate",     "shared",      "rshared",
					     "slave",      "rslave",      "unbindable",   "runbindable", "relatime",
					     "norelatime", "strictatime", "nostrictatime" };
	static const char *const valued[] = { "", "size", "mode", "uid", "gid", "nr_inodes", "nr_blocks", "mpol" };
	AUTO_STRV struct strv words = { 0 };

	strv_split(&words, options, ",");
	for (size_t i = words.n; i-- > 0;) { /* from the last one, as dockerd */
		size_t n = strcspn(words.v[i], "=");
		AUTO_FREE char *name = xstrndup(words.v[i], n);
		bool known = false;

		for (size_t k = 0; k < ARRAY_LEN(plain); k++)
			known |= !words.v[i][n] && streq(name, plain[k]);
		for (size_t k = 0; k < ARRAY_LEN(valued); k++)
			known |= words.v[i][n] && streq(name, valued[k]);
		if (!known) /* 500, as dockerd */
			return err_set(e, ERR_SYSTEM, "invalid tmpfs option \"%s\"", name);
	}
	return 0;
}

static int set_mounts(struct building *b, struct err *e)
{
	const struct container_record *rec = b->rec;
	size_t first;
	AUTO_FREE char *shm = xasprintf("nosuid,noexec,nodev,mode=1777,size=%lld", (long long)rec->host.shm_size);

	if (streq(rec->host.ipc_mode, "none"))
		(void)spec_drop_mount(&b->spec, "/dev/shm");
	else if (streq(rec->host.ipc_mode, "host"))
		spec_set_mount(&b->spec, "/dev/shm", "bind", "/dev/shm", "rbind,rprivate");
	else
		spec_set_mount(&b->spec, "/dev/shm", "tmpfs", "shm", shm);
	first = b->spec.mounts.n;
	set_files(b);
	if (b->init) {
		AUTO_FREE char *program = path_join(b->c->en->config.programs, "hoy-init");

		spec_set_mount(&b->spec, INIT_INSIDE, "bind", program, "bind,rprivate,ro");
	}
	for (size_t i = 0; i < rec->mounts.n; i++) {
		const __typeof__(*rec->mounts.v) *m = &rec->mounts.v[i];
		AUTO_STRB struct strb o = STRB_INIT;

		if (streq(m->type, "tmpfs")) {
			int r = check_tmpfs(m->options ? m->options : "", e);

			if (r < 0)
				return r;
			strb_adds(&o, m->options ? m->options : "");
			if (!m->rw)
				strb_adds(&o, ",ro");
			spec_set_mount(&b->spec, m->destination, "tmpfs", "tmpfs", o.s);
			continue;
		}
		strb_addf(&o, "%s,%s", m->non_recursive ? "bind" : "rbind",
			  str_empty(m->propagation) ? "rprivate" : m->propagation);
		if (!m->rw) /* recursively, as Docker 25+ does where the kernel can */
			strb_adds(&o, m->non_recursive ? ",ro" : ",rro");
		if (streq(m->type, "volume") && !m->no_copy &&
		    !rec->state.started_ns) /* once: what was deleted stays so */
			strb_adds(&o, ",volumecopyup");
		spec_set_mount(&b->spec, m->destination, "bind", m->source, o.s);
	}
	sort_mounts(&b->spec, first);
	return 0;
}

/* ---- devices ---- */
static int add_device(struct oci_spec *spec, const char *host, const char *inside, const char *access, struct err *e)
{
	struct stat st;
	__typeof__(spec->linux_.devices.v) d;
	__typeof__(spec->linux_.resources.devices.v) rule;

	if (stat(host, &st) < 0 || !(S_ISCHR(st.st_mode) || S_ISBLK(st.st_mode)))
		return err_set(e, ERR_SYSTEM, /* 500 for these, as dockerd */
			       "error gathering device information while adding custom device \"%s\": %s", host,
			       access && errno == ENOENT ? "no such file or directory" : "not a device node");
	d = VEC_ADD(&spec->linux_.devices);
	d->path = xstrdup(inside);
	d->type = xstrdup(S_ISCHR(st.st_mode) ? "c" : "b");
	d->major = major(st.st_rdev);
	d->minor = minor(st.st_rdev);
	d->file_mode = (struct json_oint){ true, st.st_mode & 07777 };
	d->uid = (struct json_oint){ true, st.st_uid };
	d->gid = (struct json_oint){ true, st.st_gid };
	if (!access)
		return 0;
	rule = VEC_ADD(&spec->linux_.resources.devices);
	rule->allow = true;
	rule->type = xstrdup(d->type);
	rule->major = (struct json_oint){ true, d->major };
	rule->minor = (struct json_oint){ true, d->minor };
	rule->access = xstrdup(access);
	return 0;
}

/* Privileged: every device node of the host's /dev, except ptys and what Docker leaves out. */
static void add_all_devices(struct oci_spec *spec, const char *folder, int depth)
{
	AUTO_STRV struct strv names = { 0 };

	if (depth > 4 || dir_list(AT_FDCWD, folder, &names) < 0)
		return;
	for (size_t i = 0; i < names.n; i++) {
		AUTO_FREE char *path = path_join(folder, names.v[i]);
		struct stat st;

		if (lstat(path, &st) < 0)
			continue;
		if (S_ISDIR(st.st_mode)) {
			static const char *const skipped[] = { "pts",  "shm",         "fd",   "mqueue",
							       ".lxc", ".lxd-mounts", ".udev" };
			bool skip = false;

			for (size_t k = 0; k < ARRAY_LEN(skipped); k++)
				skip |= streq(names.v[i], skipped[k]);
			if (!skip)
				add_all_devices(spec, path, depth + 1);
		} else if ((S_ISCHR(st.st_mode) || S_ISBLK(st.st_mode)) && !streq(names.v[i], "console")) {
			(void)add_device(spec, path, path, NULL, NULL);
		}
	}
}

/* "--gpus": no driver of such devices is known here. */
static int check_device_requests(const struct docker_host_config *h, struct err *e)
{
	AUTO_STRB struct strb caps = STRB_INIT;

	if (!h->device_requests.n)
		return 0;
	for (size_t i = 0; i < h->device_requests.v[0].capabilities.n; i++) {
		const struct strv *any = &h->device_requests.v[0].capabilities.v[i].list;

		strb_adds(&caps, i ? " [" : "[");
		for (size_t k = 0; k < any->n; k++)
			strb_addf(&caps, "%s%s", k ? " " : "", any->v[k]);
		strb_addc(&caps, ']');
	}
	return err_set(e, ERR_SYSTEM,
		       "could not select device driver \"%s\" with capabilities: [%s]", /* 500, as dockerd */
		       h->device_requests.v[0].driver ? h->device_requests.v[0].driver : "", strb_str(&caps));
}

static int set_devices(struct building *b, struct err *e)
{
	const struct docker_host_config *h = &b->rec->host;
	struct oci_spec *s = &b->spec;
	int r = check_device_requests(h, e);

	if (r < 0)
		return r;
	if (h->privileged) {
		__typeof__(s->linux_.resources.devices.v) all;

		add_all_devices(s, "/dev", 0);
		all = VEC_ADD(&s->linux_.resources.devices);
		all->allow = true;
		all->type = xstrdup("a");
		all->access = xstrdup("rwm");
		return 0;
	}
	for (size_t i = 0; r == 0 && i < h->devices.n; i++) {
		const __typeof__(*h->devices.v) *d = &h->devices.v[i];

		r = add_device(s, d->path_on_host,
			       str_empty(d->path_in_container) ? d->path_on_host : d->path_in_container,
			       str_empty(d->cgroup_permissions) ? "rwm" : d->cgroup_permissions, e);
	}
	for (size_t i = 0; r == 0 && i < h->device_cgroup_rules.n; i++) {
		char type = 0, access[8] = "";
		char maj[16] = "", min[16] = "";
		__typeof__(s->linux_.resources.devices.v) rule;
		int64_t v = 0;

		if (sscanf(h->device_cgroup_rules.v[i], "%c %15[0-9*]:%15[0-9*] %7[rwm]", &type, maj, min, access) !=
			    4 ||
		    !strchr("abc", type))
			return err_set(e, ERR_SYSTEM, "invalid device cgroup rule format: '%s'",
				       h->device_cgroup_rules.v[i]);
		rule = VEC_ADD(&s->linux_.resources.devices);
		rule->allow = true;
		rule->type = xasprintf("%c", type);
		rule->access = xstrdup(access);
		if (str_to_i64(maj, &v) == 0)
			rule->major = (struct json_oint){ true, v };
		if (str_to_i64(min, &v) == 0)
			rule->minor = (struct json_oint){ true, v };
	}
	return r;
}

/* ---- limits ---- */
static void set_if(struct json_oint *o, int64_t v)
{
	if (v)
		*o = (struct json_oint){ true, v };
}

void container_limits(const struct docker_host_config *h, struct oci_resources *r)
{
	set_if(&r->memory.limit, h->memory);
	set_if(&r->memory.reservation, h->memory_reservation);
	set_if(&r->memory.swap, h->memory_swap);
	if (act_cgroup_version() == ACT_CGROUP_V1) /* the new ones count it with the rest */
		set_if(&r->memory.kernel_tcp, h->kernel_memory_tcp);
	if (h->memory_swappiness.set && h->memory_swappiness.v >= 0)
		r->memory.swappiness = h->memory_swappiness;
	if (h->oom_kill_disable.set && h->oom_kill_disable.v)
		r->memory.disable_oom_killer = h->oom_kill_disable;
	set_if(&r->cpu.shares, h->cpu_shares);
	set_if(&r->cpu.period, h->cpu_period);
	set_if(&r->cpu.quota, h->cpu_quota);
	if (h->nano_cpus) {
		r->cpu.period = (struct json_oint){ true, 100000 };
		r->cpu.quota = (struct json_oint){ true, h->nano_cpus * 100000 / 1000000000 };
	}
	set_if(&r->cpu.rt_period, h->cpu_realtime_period);
	set_if(&r->cpu.rt_runtime, h->cpu_realtime_runtime);
	if (!str_empty(h->cpuset_cpus))
		r->cpu.cpus = xstrdup(h->cpuset_cpus);
	if (!str_empty(h->cpuset_mems))
		r->cpu.mems = xstrdup(h->cpuset_mems);
	if (h->pids_limit.set && h->pids_limit.v)
		r->pids.limit = h->pids_limit;
	set_if(&r->block_io.weight, (int64_t)h->blkio_weight);
}

static int throttle_list(const char *what, const void *from, void *to, struct err *e)
{
	/* All throttle lists have the same shape on both sides. */
	const __typeof__((struct docker_host_config){ 0 }.blkio_read_bps) *f = from;
	__typeof__((struct oci_block_io){ 0 }.read_bps) *t = to;

	for (size_t i = 0; i < f->n; i++) {
		__typeof__(t->v) row;
		struct stat st;

		if (stat(f->v[i].path, &st) < 0)
			return err_sys(e, -errno, "%s %s", what, f->v[i].path);
		row = VEC_ADD(t);
		row->major = major(st.st_rdev);
		row->minor = minor(st.st_rdev);
		row->rate = (uint64_t)f->v[i].rate;
	}
	return 0;
}

static int set_blkio(struct building *b, struct err *e)
{
	const struct docker_host_config *h = &b->rec->host;
	struct oci_block_io *io = &b->spec.linux_.resources.block_io;
	int r = throttle_list("device-read-bps", &h->blkio_read_bps, &io->read_bps, e);

	if (r == 0)
		r = throttle_list("device-write-bps", &h->blkio_write_bps, &io->write_bps, e);
	if (r == 0)
		r = throttle_list("device-read-iops", &h->blkio_read_iops, &io->read_iops, e);
	if (r == 0)
		r = throttle_list("device-write-iops", &h->blkio_write_iops, &io->write_iops, e);
	return r;
}

/* ---- seccomp, sysctl ---- */
/* *ret stays empty, and *ret_any false, where nothing is filtered. */
static int seccomp_filter(struct engine *en, const struct docker_host_config *h, const struct security *s,
			  uint64_t caps, struct seccomp_ready *ret, bool *ret_any, struct err *e)
{
	const char *profile = s->seccomp ? s->seccomp : en->config.seccomp_profile;
	struct err why = ERR_INIT;
	bool read = false;
	int r;

	if ((h->privileged && !s->seccomp) || streq(profile, "unconfined"))
		return 0;
	r = seccomp_cache_get(en->seccomp, streq(profile, "builtin") ? NULL : profile, caps, ret, &read, &why);
	*ret_any = r == 0;
	if (r < 0) /* 500, as dockerd; what is wrong with its rules dockerd hears from its runtime */
		return err_set(e, ERR_SYSTEM, "%s%s", read ? RUNTIME_REFUSES : "", why.msg);
	return 0;
}

static void set_sysctls(struct building *b)
{
	struct strmap *s = &b->spec.linux_.sysctl;

	if (!b->new_netns) /* Docker's defaults, ports below 1024 and ping for everybody, are for a namespace of one's own */
		strmap_done(s);
	for (size_t i = 0; i < b->rec->host.sysctls.n; i++)
		strmap_set(s, b->rec->host.sysctls.v[i].k, b->rec->host.sysctls.v[i].v);
}

/* ---- the whole ---- */
static int build_spec(struct building *b, struct err *e)
{
	const struct docker_host_config *h = &b->rec->host;
	struct spec_defaults d = { .privileged = h->privileged, .cgroup_version = act_cgroup_version() };
	int r = security_parse(&h->security_opt, &b->security, e);

	if (r < 0)
		return r;
	b->caps = container_caps(h);
	spec_docker_default(&d, &b->spec);
	set_process(b);
	r = set_namespaces(b, e);
	if (r < 0)
		return r;
	b->spec.root.readonly = h->readonly_rootfs;
	r = set_mounts(b, e);
	if (r == 0)
		r = set_devices(b, e);
	if (r < 0)
		return r;
	container_limits(h, &b->spec.linux_.resources);
	r = set_blkio(b, e);
	if (r == 0)
		r = seccomp_filter(b->c->en, h, &b->security, b->caps, &b->seccomp, &b->filtered, e);
	if (r < 0)
		return r;
	set_sysctls(b);
	strv_copy(&b->spec.linux_.masked_paths, &h->masked_paths);
	strv_copy(&b->spec.linux_.readonly_paths, &h->readonly_paths);
	if (!str_empty(b->rec->config.user)) /* the daemon's numbers are not the container's */
		b->spec.process.user.uid = 0;
	return 0;
}

static int root_mount(struct container *c, const struct container_record *rec, struct store_rootfs *fs,
		      struct plan_slots *slots, struct plan_mount *ret, struct err *e)
{
	int r = store_rootfs(c->en->store, rec->rw_layer, fs, e);

	if (r < 0)
		return r;
	*ret = (struct plan_mount){ .target = "/", .slot = -1 };
	if (fs->bind) {
		ret->kind = PLAN_MOUNT_BIND;
		ret->source = fs->bind;
		return 0;
	}
	ret->kind = fs->fuse ? PLAN_MOUNT_FUSE_OVERLAY : PLAN_MOUNT_OVERLAY;
	ret->source = fs->fuse;
	ret->lowers = (const char *const *)fs->lowers.v;
	ret->lower_dir = fs->lower_dir;
	ret->upper = fs->upper;
	ret->work = fs->work;
	if (fs->has_lowers_fd) {
		ret->extra |= PLAN_MOUNT_LOWERS_IN_SLOT;
		ret->slot = (int32_t)slots->n;
		slots->v[slots->n++] = fs->lowers_fd;
		fs->has_lowers_fd = false;
	}
	if (rec->host.auto_remove) {
		AUTO_FD int work = dir_open(AT_FDCWD, fs->work);

		/* Nobody needs these files after a power loss. A mark left by an earlier run of this boot must go: the kernel
		 * would refuse to mount the upper directory again, which is meant for after a crash. */
		ret->extra |= PLAN_MOUNT_VOLATILE;
		if (work >= 0)
			(void)dir_remove(work, "work/incompat");
	}
	return 0;
}

static void record_copy(struct container *c, struct container_record *ret)
{
	pthread_mutex_lock(&c->lock);
	json_copy(&container_record_type, ret, &c->rec);
	pthread_mutex_unlock(&c->lock);
}

int container_plan(struct container *c, struct strb *ret, struct plan_slots *ret_slots, bool *ret_new_netns,
		   struct err *e)
{
	struct container_record rec = { 0 };
	struct building b = { .c = c, .rec = &rec, .slots = ret_slots };
	struct store_rootfs fs = { 0 };
	struct plan_mount root;
	struct err refused = ERR_INIT;
	AUTO_FREE char *cgroup = xasprintf("%s/%s", c->en->cgroup_parent, c->id);
	struct plan_env env = {
		.id = c->id,
		.bundle = "/",
		.root = &root,
		.n_root = 1,
		.cgroup_version = act_cgroup_version(),
		.cgroup_path = cgroup,
		.group_names = &rec.host.group_add,
		.late = PLAN_LATE_HOME | PLAN_LATE_PATH | PLAN_LATE_CWD_MAKE,
		.ns = b.ns,
		.no_new_keyring = true,
	};
	int r;

	record_copy(c, &rec);
	env.user = str_empty(rec.config.user) ? NULL : rec.config.user;
	/* In the pid namespace of somebody else there is a process 1 already. */
	b.init = rec.host.init.set && rec.host.init.v && str_empty(rec.host.pid_mode);
	r = root_mount(c, &rec, &fs, ret_slots, &root, e);
	if (r == 0)
		r = build_spec(&b, e);
	env.seccomp = b.filtered ? &b.seccomp : NULL;
	if (r == 0 && plan_bytes_from_spec(&b.spec, &env, ret, &refused) < 0)
		r = err_set(e, ERR_SYSTEM, RUNTIME_REFUSES "%s", refused.msg);
	if (r == 0)
		*ret_new_netns = b.new_netns;
	json_done(&oci_spec_type, &b.spec);
	seccomp_ready_done(&b.seccomp);
	store_rootfs_done(&fs);
	json_done(&container_record_type, &rec);
	return r;
}

int exec_plan(struct container *c, const struct exec *x, struct strb *ret, struct err *e)
{
	struct container_record rec = { 0 };
	struct oci_spec spec = { 0 };
	struct oci_process *p = &spec.process;
	AUTO_SECCOMP struct seccomp_ready seccomp = { 0 };
	bool filtered = false;
	struct security security = { 0 };
	struct plan_env env = { .id = c->id, .late = PLAN_LATE_HOME | PLAN_LATE_PATH };
	uint64_t caps;
	int r;

	record_copy(c, &rec);
	env.group_names = &rec.host.group_add;
	env.user = !str_empty(x->config.user) ? x->config.user : !str_empty(rec.config.user) ? rec.config.user : NULL;
	caps = x->config.privileged ? all_caps() : container_caps(&rec.host);
	strv_copy(&p->args, &x->config.cmd);
	process_env(&p->env, &rec, x->config.tty);
	for (size_t i = 0; i < x->config.env.n; i++)
		strv_env_set(&p->env, x->config.env.v[i]);
	p->cwd = xstrdup(!str_empty(x->config.working_dir)    ? x->config.working_dir
			 : !str_empty(rec.config.working_dir) ? rec.config.working_dir
							      : "/");
	p->terminal = x->config.tty;
	spec_set_caps(p, caps);
	r = security_parse(&rec.host.security_opt, &security, e);
	if (r == 0) {
		p->no_new_privs = security.no_new_privileges.set && security.no_new_privileges.v;
		if (!x->config.privileged)
			r = seccomp_filter(c->en, &rec.host, &security, caps, &seccomp, &filtered, e);
	}
	env.seccomp = filtered ? &seccomp : NULL;
	if (r == 0)
		r = plan_process_bytes_from_spec(p, NULL, &env, ret, e);
	json_done(&oci_spec_type, &spec);
	json_done(&container_record_type, &rec);
	return r;
}
