/* info.c - `docker info` and `docker version`. */
#include "act/act.h"
#include "engine/engine_private.h"
#include "schema/docker.h"

#include <fcntl.h>
#include <sys/utsname.h>

#define API_VERSION "1.51"
#define API_VERSION_MIN "1.24"

static char *os_name(void)
{
	AUTO_FREE char *text = NULL;
	const char *p;

	if (file_read(AT_FDCWD, "/etc/os-release", 65536, &text, NULL) < 0 &&
	    file_read(AT_FDCWD, "/usr/lib/os-release", 65536, &text, NULL) < 0)
		return xstrdup("Linux");
	p = strstr(text, "PRETTY_NAME=\"");
	if (!p)
		return xstrdup("Linux");
	p += strlen("PRETTY_NAME=\"");
	return xstrndup(p, strcspn(p, "\"\n"));
}

static int64_t memory_total(void)
{
	return (int64_t)sysconf(_SC_PHYS_PAGES) * sysconf(_SC_PAGESIZE);
}

static bool ip_forwards(void)
{
	AUTO_FREE char *text = NULL;

	return file_read(AT_FDCWD, "/proc/sys/net/ipv4/ip_forward", 16, &text, NULL) == 0 && text[0] == '1';
}

static int64_t open_files(void)
{
	AUTO_STRV struct strv names = { 0 };

	return dir_list(AT_FDCWD, "/proc/self/fd", &names) < 0 ? 0 : (int64_t)names.n;
}

static void add_status(struct docker_info *r, const char *k, const char *v)
{
	__typeof__(r->driver_status.v) row = VEC_ADD(&r->driver_status);

	strv_add(&row->list, k);
	strv_add(&row->list, v);
}

static void count_containers(struct engine *en, struct docker_info *r)
{
	AUTO_CONTAINERS struct container_set all = { 0 };

	container_set(en, &all);
	for (size_t i = 0; i < all.n; i++) {
		pthread_mutex_lock(&all.v[i]->lock);
		r->containers++;
		if (all.v[i]->rec.state.paused)
			r->containers_paused++;
		else if (all.v[i]->rec.state.running)
			r->containers_running++;
		else
			r->containers_stopped++;
		pthread_mutex_unlock(&all.v[i]->lock);
	}
}

/* What a firewall beside ours does to our packets is the first thing to know when nothing answers. */
static void firewall(struct engine *en, struct docker_info *r)
{
	struct net_status s = { 0 };
	__typeof__(r->firewall_backend) f = xcalloc(1, sizeof *f);

	f->driver = xstrdup("nftables");
	r->firewall_backend = f;
	if (net_status(en->net, &s, NULL) < 0)
		return;
	{
		__typeof__(f->info.v) row = VEC_ADD(&f->info);

		strv_add(&row->list, "Table");
		strv_add(&row->list, s.table);
	}
	if (s.blocker && !s.passed)
		strv_addf(&r->warnings,
			  "WARNING: forwarded packets are dropped by %s: published ports and containers' connections "
			  "will not work. Accept traffic of %s there, or start hoyd with "
			  "--firewall-integration=docker-user",
			  s.blocker, s.bridge);
	if (s.set_ip_forward)
		add_status(r, "Set by hoyd", "net.ipv4.ip_forward");
	if (s.set_route_localnet)
		add_status(r, "Set by hoyd", "net.ipv4.conf.*.route_localnet");
	net_status_done(&s);
}

static void storage(struct engine *en, struct docker_info *r)
{
	AUTO_STRMAP struct strmap rows = { 0 };
	AUTO_STRV struct strv others = { 0 };

	store_status(en->store, &rows);
	for (size_t i = 0; i < rows.n; i++)
		add_status(r, rows.v[i].k, rows.v[i].v);
	store_other_drivers(en->store, &others);
	for (size_t i = 0; i < others.n; i++)
		strv_addf(&r->warnings,
			  "WARNING: images of storage driver %s are kept, but not seen while hoyd runs with %s",
			  others.v[i], r->driver);
}

/* Docker Hub, and the registries of this machine, which need no TLS. */
static void registry(struct docker_info *r)
{
	__typeof__(r->registry_config) c = xcalloc(1, sizeof *c);
	__typeof__(c->index_configs.v) hub = VEC_ADD(&c->index_configs);

	hub->key = xstrdup("docker.io");
	hub->val.name = xstrdup("docker.io");
	hub->val.official = hub->val.secure = true;
	strv_add(&c->insecure_cidrs, "::1/128");
	strv_add(&c->insecure_cidrs, "127.0.0.0/8");
	r->registry_config = c;
}

/* Only the old cgroups can. */
static bool kernel_limits(const char *file)
{
	AUTO_FREE char *path = path_join("/sys/fs/cgroup/memory", file);

	return act_cgroup_version() == ACT_CGROUP_V1 && access(path, F_OK) == 0;
}

int engine_info(struct engine *en, struct docker_info *r, struct err *e UNUSED)
{
	static const char *const logs[] = { "json-file", "none" };
	static const char *const networks[] = { "bridge", "host", "null" };
	static const char *const runtimes[] = { "io.containerd.runc.v2", "runc" }; /* clients' names for hoy's own */
	struct utsname u = { 0 };
	char when[TIME_TEXT_MAX], name[256] = "";

	(void)uname(&u);
	(void)gethostname(name, sizeof name - 1);
	r->id = xstrdup(en->id);
	count_containers(en, r);
	r->images = (int64_t)image_count(en->images);
	r->driver = xstrdup(store_driver(en->store));
	storage(en, r);
	strv_add(&r->plugins.volume, "local");
	for (size_t i = 0; i < ARRAY_LEN(networks); i++)
		strv_add(&r->plugins.network, networks[i]);
	for (size_t i = 0; i < ARRAY_LEN(logs); i++)
		strv_add(&r->plugins.log, logs[i]);
	r->memory_limit = r->swap_limit = r->cpu_cfs_period = r->cpu_cfs_quota = r->cpu_shares = r->cpu_set =
		r->pids_limit = true;
	r->kernel_memory = kernel_limits("memory.kmem.limit_in_bytes");
	r->kernel_memory_tcp = kernel_limits("memory.kmem.tcp.limit_in_bytes");
	r->oom_kill_disable = act_cgroup_version() == ACT_CGROUP_V1;
	r->ipv4_forwarding = ip_forwards();
	r->debug = en->config.debug;
	r->n_fd = open_files();
	time_format(time_now_ns(), when);
	r->system_time = xstrdup(when);
	r->logging_driver = xstrdup(en->config.log_driver ? en->config.log_driver : "json-file");
	r->cgroup_driver = xstrdup("cgroupfs");
	r->cgroup_version = xstrdup(act_cgroup_version() == ACT_CGROUP_V2 ? "2" : "1");
	r->kernel_version = xstrdup(u.release);
	r->operating_system = os_name();
	r->os_version = xstrdup("");
	r->os_type = xstrdup("linux");
	r->architecture = xstrdup(u.machine);
	r->index_server_address = xstrdup("https://index.docker.io/v1/");
	r->n_cpu = sysconf(_SC_NPROCESSORS_ONLN);
	r->mem_total = memory_total();
	r->docker_root_dir = xstrdup(en->config.data_root);
	r->name = xstrdup(name);
	strv_copy(&r->labels, &en->config.labels);
	r->server_version = xstrdup(HOY_VERSION);
	for (size_t i = 0; i < ARRAY_LEN(runtimes); i++) {
		__typeof__(r->runtimes.v) row = VEC_ADD(&r->runtimes);

		row->key = xstrdup(runtimes[i]);
		row->val.path = xstrdup("hoy-shim");
	}
	r->runc_commit.id = xstrdup(HOY_VERSION);
	r->runc_commit.expected = xstrdup(HOY_VERSION);
	r->init_commit.id = xstrdup(HOY_VERSION);
	registry(r);
	r->default_runtime = xstrdup("runc");
	r->swarm.local_node_state = xstrdup("inactive");
	r->live_restore_enabled = true;
	r->init_binary = xstrdup("hoy-init");
	strv_add(&r->security_options, streq(en->config.seccomp_profile, "unconfined")
					       ? "name=seccomp,profile=unconfined"
				       : en->config.seccomp_profile ? "name=seccomp,profile=custom"
								    : "name=seccomp,profile=builtin");
	if (act_cgroup_version() == ACT_CGROUP_V2)
		strv_add(&r->security_options, "name=cgroupns");
	firewall(en, r);
	return 0;
}

int engine_version(struct engine *en UNUSED, struct docker_version *r, struct err *e UNUSED)
{
	struct utsname u = { 0 };
	__typeof__(r->components.v) c;

	(void)uname(&u);
	r->platform.name = xstrdup("Hoy");
	r->version = xstrdup(HOY_VERSION);
	r->api_version = xstrdup(API_VERSION);
	r->min_api_version = xstrdup(API_VERSION_MIN);
	r->os = xstrdup("linux");
	r->arch = xstrdup(streq(u.machine, "x86_64") ? "amd64" : streq(u.machine, "aarch64") ? "arm64" : u.machine);
	r->kernel_version = xstrdup(u.release);
	r->git_commit = xstrdup("");
	r->go_version = xstrdup("");
	r->build_time = xstrdup("");
	c = VEC_ADD(&r->components);
	c->name = xstrdup("Engine");
	c->version = xstrdup(HOY_VERSION);
	strmap_set(&c->details, "ApiVersion", API_VERSION);
	strmap_set(&c->details, "Arch", r->arch);
	strmap_set(&c->details, "BuildTime", "");
	strmap_set(&c->details, "Experimental", "false");
	strmap_set(&c->details, "GitCommit", "");
	strmap_set(&c->details, "GoVersion", "");
	strmap_set(&c->details, "KernelVersion", u.release);
	strmap_set(&c->details, "MinAPIVersion", API_VERSION_MIN);
	strmap_set(&c->details, "Os", "linux");
	return 0;
}
