/* stats.c - what a container uses now: out of its cgroups and the counters of its network devices, in the numbers that Docker's clients
 * compute with. Both cgroup versions (kernel: Documentation/admin-guide/cgroup-v1, cgroup-v2.rst). */
#include "act/act.h"
#include "engine/engine_private.h"
#include "schema/docker.h"

#include <ctype.h>
#include <fcntl.h>
#include <inttypes.h>

#define FILE_MAX ((size_t)1 << 20)
#define NEVER "0001-01-01T00:00:00Z"

/* ---- small files ---- */
static char *text_of(int dir, const char *file)
{
	char *text = NULL;

	return (dir >= 0 || dir == AT_FDCWD) && file_read(dir, file, FILE_MAX, &text, NULL) == 0 ? text : NULL;
}

static uint64_t number_of(int dir, const char *file)
{
	AUTO_FREE char *text = text_of(dir, file);

	return text ? strtoull(text, NULL, 10) : 0;
}

/* Of lines "key number". */
static uint64_t key_of(const char *text, const char *key)
{
	size_t n = strlen(key);

	for (const char *p = text; p && *p; p = strchr(p, '\n') ? strchr(p, '\n') + 1 : NULL)
		if (strncmp(p, key, n) == 0 && p[n] == ' ')
			return strtoull(p + n, NULL, 10);
	return 0;
}

static int cgroup_of(const struct container *c, const char *controller)
{
	AUTO_FREE char *path = xasprintf("%s/%s", c->en->cgroup_parent, c->id);

	return act_cgroup_dir(controller, path);
}

/* ---- the machine's own ---- */
static void read_machine_cpu(struct docker_cpu_stats *ret)
{
	AUTO_FREE char *text = text_of(AT_FDCWD, "/proc/stat");
	uint64_t ticks = 0;
	char *p = text ? text + strlen("cpu") : NULL;

	for (int i = 0; p && i < 7; i++) /* user ... softirq, as Docker sums them */
		ticks += strtoull(p, &p, 10);
	ret->system = ticks * (1000000000 / (uint64_t)sysconf(_SC_CLK_TCK));
	for (p = text; p && (p = strstr(p, "\ncpu")); p++)
		ret->online++;
}

static uint64_t machine_memory(void)
{
	return (uint64_t)sysconf(_SC_PHYS_PAGES) * (uint64_t)sysconf(_SC_PAGESIZE);
}

/* ---- cpu ---- */
static void read_cpu_v1(const struct container *c, struct docker_cpu_stats *ret)
{
	AUTO_FD int acct = cgroup_of(c, "cpuacct");
	AUTO_FD int cpu = cgroup_of(c, "cpu");
	AUTO_FREE char *stat = text_of(acct, "cpuacct.stat"), *percpu = text_of(acct, "cpuacct.usage_percpu"),
		       *throttling = text_of(cpu, "cpu.stat");
	uint64_t tick_ns = 1000000000 / (uint64_t)sysconf(_SC_CLK_TCK);
	char *p = percpu, *end;

	ret->usage.total = number_of(acct, "cpuacct.usage");
	ret->usage.user = key_of(stat, "user") * tick_ns;
	ret->usage.kernel = key_of(stat, "system") * tick_ns;
	for (int64_t v; p && (v = strtoll(p, &end, 10), end != p); p = end)
		*VEC_ADD(&ret->usage.percpu) = v;
	ret->throttling.periods = key_of(throttling, "nr_periods");
	ret->throttling.throttled = key_of(throttling, "nr_throttled");
	ret->throttling.time = key_of(throttling, "throttled_time");
}

static void read_cpu_v2(const struct container *c, struct docker_cpu_stats *ret)
{
	AUTO_FD int dir = cgroup_of(c, "cpu");
	AUTO_FREE char *stat = text_of(dir, "cpu.stat");

	ret->usage.total = key_of(stat, "usage_usec") * 1000;
	ret->usage.user = key_of(stat, "user_usec") * 1000;
	ret->usage.kernel = key_of(stat, "system_usec") * 1000;
	ret->throttling.periods = key_of(stat, "nr_periods");
	ret->throttling.throttled = key_of(stat, "nr_throttled");
	ret->throttling.time = key_of(stat, "throttled_usec") * 1000;
}

/* ---- memory ---- */
static const char *const memory_v1[] = {
	"cache",         "rss",         "rss_huge",      "mapped_file", "dirty",
	"writeback",     "pgpgin",      "pgpgout",       "pgfault",     "pgmajfault",
	"inactive_anon", "active_anon", "inactive_file", "active_file", "unevictable"
};
static const char *const memory_v2[] = { "anon",
					 "file",
					 "kernel_stack",
					 "slab",
					 "sock",
					 "shmem",
					 "file_mapped",
					 "file_dirty",
					 "file_writeback",
					 "anon_thp",
					 "inactive_anon",
					 "active_anon",
					 "inactive_file",
					 "active_file",
					 "unevictable",
					 "slab_reclaimable",
					 "slab_unreclaimable",
					 "pgfault",
					 "pgmajfault",
					 "workingset_refault",
					 "workingset_activate",
					 "workingset_nodereclaim",
					 "pgrefill",
					 "pgscan",
					 "pgsteal",
					 "pgactivate",
					 "pgdeactivate",
					 "pglazyfree",
					 "pglazyfreed",
					 "thp_fault_alloc",
					 "thp_collapse_alloc" };

static void add_stat(struct strb *json, const char *name, uint64_t v)
{
	strb_addf(json, "%s\"%s\":%" PRIu64, json->len ? "," : "{", name, v);
}

static void read_memory_v1(const struct container *c, struct docker_memory_stats *ret)
{
	AUTO_FD int dir = cgroup_of(c, "memory");
	AUTO_FREE char *stat = text_of(dir, "memory.stat");
	AUTO_STRB struct strb json = STRB_INIT;

	for (size_t i = 0; stat && i < ARRAY_LEN(memory_v1); i++) {
		AUTO_FREE char *total = xasprintf("total_%s", memory_v1[i]);

		add_stat(&json, memory_v1[i], key_of(stat, memory_v1[i]));
		add_stat(&json, total, key_of(stat, total));
	}
	if (stat) {
		add_stat(&json, "hierarchical_memory_limit", key_of(stat, "hierarchical_memory_limit"));
		add_stat(&json, "hierarchical_memsw_limit", key_of(stat, "hierarchical_memsw_limit"));
		strb_addc(&json, '}');
		ret->stats = strb_take(&json);
	}
	ret->usage = number_of(dir, "memory.usage_in_bytes");
	ret->max_usage = number_of(dir, "memory.max_usage_in_bytes");
	ret->failcnt = number_of(dir, "memory.failcnt");
	ret->limit = number_of(dir, "memory.limit_in_bytes");
}

static void read_memory_v2(const struct container *c, struct docker_memory_stats *ret)
{
	AUTO_FD int dir = cgroup_of(c, "memory");
	AUTO_FREE char *stat = text_of(dir, "memory.stat"), *events = text_of(dir, "memory.events");
	AUTO_STRB struct strb json = STRB_INIT;

	for (size_t i = 0; stat && i < ARRAY_LEN(memory_v2); i++)
		add_stat(&json, memory_v2[i], key_of(stat, memory_v2[i]));
	if (stat) {
		strb_addc(&json, '}');
		ret->stats = strb_take(&json);
	}
	ret->usage = number_of(dir, "memory.current");
	ret->failcnt = key_of(events, "oom");
	ret->limit = number_of(dir, "memory.max"); /* "max" reads as 0 */
}

/* ---- block I/O ---- */
static void add_io(struct docker_blkio_entry **v, size_t *n, unsigned major, unsigned minor, const char *op,
		   uint64_t value)
{
	*v = vec_grow(*v, *n, sizeof **v);
	(*v)[(*n)++] = (struct docker_blkio_entry){ .major = major, .minor = minor, .op = xstrdup(op), .value = value };
}

/* "254:0 Read 4096"; the last line is the sum of all devices. */
static void read_io_file(int dir, const char *file, struct docker_blkio_entry **v, size_t *n)
{
	AUTO_FREE char *text = text_of(dir, file);
	AUTO_STRV struct strv lines = { 0 };

	*v = xcalloc(1, sizeof **v); /* [], not null */
	if (text)
		strv_split(&lines, text, "\n");
	for (size_t i = 0; i < lines.n; i++) {
		unsigned major, minor;
		char op[16];
		uint64_t value;

		if (sscanf(lines.v[i], "%u:%u %15s %" SCNu64, &major, &minor, op, &value) == 4)
			add_io(v, n, major, minor, op, value);
	}
}

static void read_io_v1(const struct container *c, struct docker_blkio_stats *ret)
{
	AUTO_FD int dir = cgroup_of(c, "blkio");

	read_io_file(dir, "blkio.throttle.io_service_bytes_recursive", &ret->service_bytes.v, &ret->service_bytes.n);
	read_io_file(dir, "blkio.throttle.io_serviced_recursive", &ret->serviced.v, &ret->serviced.n);
	ret->queue.v = xcalloc(1, sizeof *ret->queue.v);
	ret->service_time.v = xcalloc(1, sizeof *ret->service_time.v);
	ret->wait_time.v = xcalloc(1, sizeof *ret->wait_time.v);
	ret->merged.v = xcalloc(1, sizeof *ret->merged.v);
	ret->time.v = xcalloc(1, sizeof *ret->time.v);
	ret->sectors.v = xcalloc(1, sizeof *ret->sectors.v);
}

/* "254:0 rbytes=4096 wbytes=0 rios=1 ..." */
static void read_io_v2(const struct container *c, struct docker_blkio_stats *ret)
{
	AUTO_FD int dir = cgroup_of(c, "io");
	AUTO_FREE char *text = text_of(dir, "io.stat");
	AUTO_STRV struct strv lines = { 0 };

	if (text)
		strv_split(&lines, text, "\n");
	for (size_t i = 0; i < lines.n; i++) {
		const char *r = strstr(lines.v[i], "rbytes="), *w = strstr(lines.v[i], "wbytes=");
		unsigned major, minor;

		if (sscanf(lines.v[i], "%u:%u", &major, &minor) != 2 || !r || !w)
			continue;
		add_io(&ret->service_bytes.v, &ret->service_bytes.n, major, minor, "read", strtoull(r + 7, NULL, 10));
		add_io(&ret->service_bytes.v, &ret->service_bytes.n, major, minor, "write", strtoull(w + 7, NULL, 10));
	}
}

/* ---- processes, network ---- */
static void read_pids(const struct container *c, struct docker_pids_stats *ret)
{
	AUTO_FD int dir = cgroup_of(c, "pids");

	ret->current = number_of(dir, "pids.current");
	ret->limit = number_of(dir, "pids.max");
}

/* "  eth0: bytes packets errs drop fifo frame compressed multicast bytes ..." as seen by the container's first process */
static void read_networks(pid_t pid, struct docker_stats *ret)
{
	AUTO_FREE char *path = xasprintf("/proc/%d/net/dev", (int)pid), *text = text_of(AT_FDCWD, path);
	AUTO_STRV struct strv lines = { 0 };

	if (text)
		strv_split(&lines, text, "\n");
	for (size_t i = 2; i < lines.n; i++) {
		char *name = lines.v[i], *colon = strchr(name, ':');
		uint64_t v[16] = { 0 };
		char *p = colon;

		if (!colon)
			continue;
		*p++ = 0;
		while (isspace((unsigned char)*name))
			name++;
		if (streq(name, "lo"))
			continue;
		for (size_t k = 0; k < ARRAY_LEN(v); k++)
			v[k] = strtoull(p, &p, 10);
		{
			__typeof__(*ret->networks.v) *to = VEC_ADD(&ret->networks);

			to->key = xstrdup(name);
			to->val = (struct docker_network_stats){ .rx_bytes = v[0],
								 .rx_packets = v[1],
								 .rx_errors = v[2],
								 .rx_dropped = v[3],
								 .tx_bytes = v[8],
								 .tx_packets = v[9],
								 .tx_errors = v[10],
								 .tx_dropped = v[11] };
		}
	}
}

int container_stats(struct engine *en, const char *ref, struct docker_stats *ret, struct err *e)
{
	bool v1 = act_cgroup_version() == ACT_CGROUP_V1, own_network;
	AUTO_CONTAINER struct container *c = NULL;
	char when[TIME_TEXT_MAX];
	pid_t pid;
	int r = container_find(en, ref, &c, e);

	if (r < 0)
		return r;
	container_lock(c);
	ret->name = xasprintf("/%s", c->rec.name);
	pid = c->rec.state.running ? (pid_t)c->rec.state.pid : 0;
	own_network = !streq(c->rec.host.network_mode, "host") && !streq(c->rec.host.network_mode, "none") &&
		      !str_after(c->rec.host.network_mode, "container:");
	container_unlock(c);
	ret->id = xstrdup(c->id);
	ret->preread = xstrdup(NEVER);
	if (!pid) {
		ret->read = xstrdup(NEVER);
		return 0;
	}
	time_format(time_now_ns(), when);
	ret->read = xstrdup(when);
	read_machine_cpu(&ret->cpu);
	(v1 ? read_cpu_v1 : read_cpu_v2)(c, &ret->cpu);
	(v1 ? read_memory_v1 : read_memory_v2)(c, &ret->memory);
	if (!ret->memory.limit || ret->memory.limit > machine_memory())
		ret->memory.limit = machine_memory();
	(v1 ? read_io_v1 : read_io_v2)(c, &ret->blkio);
	read_pids(c, &ret->pids);
	if (own_network)
		read_networks(pid, ret);
	return 0;
}
