/* cgroup.c - finds the machine's cgroup trees and does what both versions do alike: kill, signal, count, remove. */
#include "act/cgroup.h"
#include "base/kernel.h"

#include <dirent.h>
#include <sys/stat.h>
#include <sys/vfs.h>

#define CGROUP2_MAGIC 0x63677270
#define MOUNTINFO_MAX (16 * 1024 * 1024)
#define PIDS_FILE_MAX (8 * 1024 * 1024)

static struct cg_host found;
static const struct cg_host *current; /* set once; the caller is single-threaded */

/* mountinfo writes space, tab, newline and backslash as \ooo. */
static void unescape(char *s)
{
	char *to = s;

	for (; *s; s++) {
		if (s[0] == '\\' && s[1] >= '0' && s[1] <= '3' && s[2] >= '0' && s[2] <= '7' && s[3] >= '0' &&
		    s[3] <= '7') {
			*to++ = (char)((s[1] - '0') << 6 | (s[2] - '0') << 3 | (s[3] - '0'));
			s += 3;
		} else {
			*to++ = *s;
		}
	}
	*to = 0;
}

static void add_tree(struct cg_host *h, const char *mount, const char *controllers)
{
	int fd;

	if (h->n == ARRAY_LEN(h->tree))
		return;
	fd = open(mount, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return;
	h->tree[h->n++] = (struct cg_tree){ fd, xstrdup(mount), xasprintf(",%s,", controllers) };
}

/* "36 31 0:33 /root /mount opts [tags] - cgroup source super,options". Of two mounts of one hierarchy the first is taken. */
static void scan_line(struct cg_host *h, char *line, char **unified)
{
	char *dash = strstr(line, " - "), *mount = line, *end, *type, *super;
	AUTO_STRB struct strb names = STRB_INIT;
	AUTO_STRV struct strv opts = { 0 };

	if (!dash)
		return;
	*dash = 0;
	type = dash + 3;
	for (int i = 0; i < 4 && mount; i++)
		mount = (mount = strchr(mount, ' ')) ? mount + 1 : NULL;
	if (!mount || !(end = strchr(mount, ' ')))
		return;
	*end = 0;
	unescape(mount);
	if (str_after(type, "cgroup2 ")) {
		if (!*unified)
			*unified = xstrdup(mount);
		return;
	}
	if (!str_after(type, "cgroup ") || !(super = strrchr(type, ' ')))
		return;
	strv_split(&opts, super + 1, ",");
	for (size_t i = 0; i < opts.n; i++) {
		static const char *const not_controllers[] = {
			"rw",           "ro", "xattr", "clone_children", "noprefix", "seclabel", "cpuset_v2_mode",
			"favordynmods", NULL
		};
		bool skip = str_after(opts.v[i], "release_agent=") != NULL;

		for (size_t k = 0; not_controllers[k]; k++)
			skip = skip || streq(opts.v[i], not_controllers[k]);
		if (!skip)
			strb_addf(&names, "%s%s", names.len ? "," : "", opts.v[i]);
	}
	for (size_t i = 0; i < h->n; i++) {
		AUTO_FREE char *all = xasprintf(",%s,", strb_str(&names));

		if (streq(h->tree[i].controllers, all))
			return;
	}
	add_tree(h, mount, strb_str(&names));
}

static void find_host(struct cg_host *h)
{
	AUTO_FREE char *text = NULL, *unified = NULL;
	struct statfs fs;

	*h = (struct cg_host){ .version = ACT_CGROUP_V2 };
	if (statfs("/sys/fs/cgroup", &fs) == 0 && (unsigned long)fs.f_type == CGROUP2_MAGIC) {
		add_tree(h, "/sys/fs/cgroup", "");
		return;
	}
	if (file_read(AT_FDCWD, "/proc/self/mountinfo", MOUNTINFO_MAX, &text, NULL) < 0)
		return;
	for (char *line = text, *next; line && *line; line = next) {
		next = strchr(line, '\n');
		if (next)
			*next++ = 0;
		scan_line(h, line, &unified);
	}
	/* A named hierarchy alone (systemd's) limits nothing: then the controllers are on the v2 side. */
	for (size_t i = 0; i < h->n; i++)
		if (!str_after(h->tree[i].controllers, ",name="))
			h->version = ACT_CGROUP_V1;
	if (h->version == ACT_CGROUP_V2) {
		h->n = 0;
		if (unified)
			add_tree(h, unified, "");
	}
}

const struct cg_host *cg_host(void)
{
	if (!current) {
		if (!found.version)
			find_host(&found);
		current = &found;
	}
	return current;
}

void cg_host_force(const struct cg_host *h)
{
	current = h ? h : found.n ? &found : NULL;
}

enum act_cgroup_version act_cgroup_version(void)
{
	return cg_host()->version;
}

static const struct cg_ops *ops(void)
{
	return cg_host()->version == ACT_CGROUP_V1 ? &cg_v1 : &cg_v2;
}

bool cg_tree_has(const struct cg_tree *t, const char *controller)
{
	size_t n = strlen(controller);

	for (const char *p = t->controllers; (p = strstr(p, controller)); p++)
		if (p > t->controllers && p[-1] == ',' && p[n] == ',')
			return true;
	return false;
}

const struct cg_tree *cg_find(const struct cg_host *h, const char *controller)
{
	for (size_t i = 0; i < h->n; i++)
		if (cg_tree_has(&h->tree[i], controller))
			return &h->tree[i];
	return NULL;
}

const char *cg_rel(const char *path)
{
	while (*path == '/')
		path++;
	return *path ? path : ".";
}

int cg_path_check(const char *path, struct err *e)
{
	bool bad = str_empty(path) || streq(cg_rel(path), ".") || strlen(path) > 3500;

	for (const char *p = path; p && !bad; p = strchr(p, '/')) {
		p += strspn(p, "/");
		bad = strncmp(p, "..", 2) == 0 && (p[2] == '/' || p[2] == 0);
	}
	return bad ? err_set(e, ERR_INVALID, "invalid cgroup path \"%s\"", path ? path : "") : 0;
}

int cg_open(const struct cg_tree *t, const char *path)
{
	int fd = openat(t->fd, cg_rel(path), O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

	return fd < 0 ? -errno : fd;
}

int cg_put_i64(int dir, const char *file, int64_t v)
{
	char text[24];

	(void)snprintf(text, sizeof text, "%lld", (long long)v);
	return file_put(dir, file, text);
}

int cg_read_key(int dir, const char *file, const char *key, int64_t *ret)
{
	AUTO_FREE char *text = NULL;
	const char *p;
	int r = file_read(dir, file, 65536, &text, NULL);

	if (r < 0)
		return r;
	for (p = text; p && *p; p = strchr(p, '\n') ? strchr(p, '\n') + 1 : NULL) {
		const char *v = key ? str_after(p, key) : p;

		if (v && (!key || *v == ' ')) {
			*ret = strncmp(v, "max", 3) == 0 ? INT64_MAX : strtoll(v, NULL, 10);
			return 0;
		}
	}
	return -ENOENT;
}

static void add_pids(const char *text, struct act_pids *ret)
{
	while (*text) {
		char *end;
		long pid = strtol(text, &end, 10);

		if (end == text)
			break;
		if (pid > 0) /* 0: a process that our pid namespace does not see */
			*VEC_ADD(ret) = (pid_t)pid;
		text = end + strspn(end, "\n");
	}
}

int cg_walk_pids(int dir, struct act_pids *ret)
{
	AUTO_FREE char *text = NULL;
	AUTO_FD int fd = openat(dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	struct stat st;
	DIR *d;
	int r;

	if (fd < 0)
		return -errno;
	r = file_read(dir, "cgroup.procs", PIDS_FILE_MAX, &text, NULL);
	if (r < 0 && r != -EOPNOTSUPP) /* v2: a threaded cgroup has none of its own */
		return r;
	if (text)
		add_pids(text, ret);
	/* Link count of a cgroup directory is 2 + its children: most have none, so there is nothing to list. */
	if (fstat(fd, &st) == 0 && st.st_nlink == 2)
		return 0;
	d = fdopendir(fd);
	if (!d)
		return -errno;
	(void)TAKE_FD(fd);
	for (struct dirent *e; (e = readdir(d));) {
		if (e->d_type == DT_DIR && e->d_name[0] != '.') {
			AUTO_FD int sub = openat(dirfd(d), e->d_name, O_PATH | O_DIRECTORY | O_CLOEXEC);

			if (sub >= 0)
				(void)cg_walk_pids(sub, ret); /* it may go while we look */
		}
	}
	(void)closedir(d);
	return 0;
}

static void pause_ms(int ms)
{
	struct timespec t = { ms / 1000, (ms % 1000) * 1000000L };

	(void)nanosleep(&t, NULL);
}

int cg_rmdir(int parent, const char *rel)
{
	for (int wait = 0;; wait = wait ? MIN(wait * 2, 100) : 1) {
		static const int give_up_ms = 100; /* a sum of about 300 ms of waiting */

		if (unlinkat(parent, rel, AT_REMOVEDIR) == 0 || errno == ENOENT || errno == ENODEV)
			return 0;
		if (errno != EBUSY)
			return -errno;
		if (wait == 0) { /* children first */
			int fd = openat(parent, rel, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
			DIR *d = fd < 0 ? NULL : fdopendir(fd);

			if (!d) {
				if (fd >= 0)
					(void)close(fd);
				return errno == ENOENT ? 0 : -errno;
			}
			for (struct dirent *e; (e = readdir(d));)
				if (e->d_type == DT_DIR && e->d_name[0] != '.')
					(void)cg_rmdir(dirfd(d), e->d_name);
			(void)closedir(d);
			continue;
		}
		if (wait >= give_up_ms)
			return -EBUSY;
		pause_ms(wait);
	}
}

int act_cgroup_make(const struct plan_cgroup *c, bool adopt, struct err *e)
{
	const struct cg_host *h = cg_host();
	int r = cg_path_check(c->path, e);

	if (r < 0)
		return r;
	if (h->n == 0)
		return err_set(e, ERR_UNAVAILABLE, "cgroups: no cgroup file system is mounted on this host");
	r = ops()->make(h, c->path, adopt, e);
	if (r < 0)
		return r;
	r = ops()->apply(h, c, e);
	if (r < 0 && !adopt)
		(void)act_cgroup_remove(c->path);
	return r;
}

int act_cgroup_update(const struct plan_cgroup *c, struct err *e)
{
	int r = cg_path_check(c->path, e);

	return r < 0 ? r : ops()->apply(cg_host(), c, e);
}

int cg_join(const char *path, pid_t pid, struct err *e)
{
	return ops()->join(cg_host(), path, pid, e);
}

int act_cgroup_freeze(const char *path, bool frozen, struct err *e)
{
	int r = cg_path_check(path, e);

	return r < 0 ? r : ops()->freeze(cg_host(), path, frozen, e);
}

int act_cgroup_pids(const char *path, struct act_pids *ret)
{
	const struct cg_tree *t = ops()->pids_tree(cg_host());
	AUTO_FD int dir = -1;
	struct act_pids pids = { 0 };
	int r;

	if (cg_path_check(path, NULL) < 0 || !t)
		return -EINVAL;
	dir = cg_open(t, path);
	if (dir < 0)
		return dir;
	r = cg_walk_pids(dir, &pids);
	if (r < 0) {
		free(pids.v);
		return r;
	}
	*ret = pids;
	return 0;
}

int act_cgroup_signal(const char *path, int sig)
{
	struct act_pids pids = { 0 };
	int r = act_cgroup_pids(path, &pids);

	for (size_t i = 0; i < pids.n; i++)
		if (kill(pids.v[i], sig) < 0 && errno != ESRCH && r == 0)
			r = -errno;
	free(pids.v);
	return r;
}

/* What outlives the first rounds may be forking faster than we kill: frozen first then, so that nothing moves under our hands. */
static int kill_each(const char *path, bool freeze)
{
	int r;

	if (freeze)
		(void)act_cgroup_freeze(path, true, NULL);
	r = act_cgroup_signal(path, SIGKILL);
	(void)act_cgroup_freeze(path, false, NULL); /* on v1 a frozen process does not die */
	return r;
}

int act_cgroup_kill(const char *path)
{
	const struct cg_host *h = cg_host();
	int64_t until = time_mono_ns() + 10 * (int64_t)1000000000;
	int r;

	if (cg_path_check(path, NULL) < 0)
		return -EINVAL;
	for (int round = 0;; round++) {
		struct act_pids pids = { 0 };
		bool none;

		r = act_cgroup_pids(path, &pids);
		none = pids.n == 0;
		free(pids.v);
		if (r < 0 || none)
			return r == -ENOENT || r == -ENODEV ? 0 : r;
		if (time_mono_ns() > until) /* stuck in the kernel: nobody can end it */
			return -ETIMEDOUT;
		r = ops()->kill ? ops()->kill(h, path) : -EOPNOTSUPP;
		if (r == -EOPNOTSUPP)
			r = kill_each(path, round >= 5);
		if (r < 0 && r != -ENOENT && r != -ENODEV)
			return r;
		pause_ms(round < 10 ? 1 : 20);
	}
}

size_t act_cgroup_fds(int ret[ACT_CGROUP_FDS_MAX])
{
	const struct cg_host *h = cg_host();
	size_t n = MIN(h->n, (size_t)ACT_CGROUP_FDS_MAX);

	for (size_t i = 0; i < n; i++)
		ret[i] = h->tree[i].fd;
	return n;
}

int act_cgroup_remove(const char *path)
{
	const struct cg_host *h = cg_host();
	int r = 0;

	if (cg_path_check(path, NULL) < 0)
		return -EINVAL;
	for (size_t i = 0; i < h->n; i++) {
		int k = cg_rmdir(h->tree[i].fd, cg_rel(path));

		if (k < 0 && r == 0)
			r = k;
	}
	return r;
}

int act_cgroup_oom_fd(const char *path, int *ret_fd)
{
	return cg_path_check(path, NULL) < 0 ? -EINVAL : ops()->oom_fd(cg_host(), path, ret_fd);
}

int64_t act_cgroup_oom_count(const char *path)
{
	return cg_path_check(path, NULL) < 0 ? 0 : ops()->oom_count(cg_host(), path);
}

int act_cgroup_dir(const char *controller, const char *path)
{
	const struct cg_host *h = cg_host();
	const struct cg_tree *t = h->version == ACT_CGROUP_V1 ? cg_find(h, controller) : h->n ? &h->tree[0] : NULL;

	return t ? cg_open(t, path) : -ENOENT;
}
