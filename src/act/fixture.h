/* fixture.h - for act's tests as root: a private mount namespace, a root file system of busybox, and a plan to vary. */
#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "act/act.h"

#define ALL_CAPS 0x00000000a80425fbULL /* Docker's fourteen */

static char fx_dir[64]; /* temp directory; the root is fx_dir/root */
static char fx_cgroup[64];

static inline char *fx_path(const char *rel)
{
	return path_join(fx_dir, rel);
}

static inline void fx_applet(const char *name)
{
	AUTO_FREE char *to = xasprintf("%s/root/bin/%s", fx_dir, name),
		       *from = xasprintf("%s/root/bin/busybox", fx_dir);

	assert_int_equal(link(from, to), 0);
}

static inline void fx_copy(const char *from, const char *to)
{
	AUTO_FREE char *bytes = NULL;
	size_t n = 0;

	assert_int_equal(file_read(AT_FDCWD, from, 1 << 24, &bytes, &n), 0);
	assert_int_equal(file_write(AT_FDCWD, to, bytes, n, 0755), 0);
}

/* A reason to skip, or NULL. */
static inline const char *fx_unusable(void)
{
	if (geteuid() != 0)
		return "needs root: makes namespaces, mounts and cgroups";
	if (access("/bin/busybox", X_OK) < 0)
		return "needs /bin/busybox (package busybox-static) for a root file system";
	return NULL;
}

static int fx_setup(void **state)
{
	static const char *const dirs[] = { "root/bin", "root/etc", "root/proc", "root/tmp", "vol", "up", "work" };
	static const char *const applets[] = { "sh",  "cat",   "true", "sleep", "id",  "ls",       "stat",  "touch",
					       "pwd", "mkdir", "grep", "mknod", "tty", "hostname", "mount", "chmod" };
	AUTO_FREE char *busybox = NULL, *passwd = NULL, *group = NULL;

	if (fx_unusable())
		return 0;
	if (unshare(CLONE_NEWNS) < 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0)
		return -1;
	(void)snprintf(fx_dir, sizeof fx_dir, "/tmp/act-test-%d", (int)getpid());
	(void)snprintf(fx_cgroup, sizeof fx_cgroup, "/hoy-act-test-%d", (int)getpid());
	for (size_t i = 0; i < ARRAY_LEN(dirs); i++) {
		AUTO_FREE char *d = fx_path(dirs[i]);

		if (dir_make(AT_FDCWD, d, 0755) < 0)
			return -1;
	}
	busybox = fx_path("root/bin/busybox");
	fx_copy("/bin/busybox", busybox);
	for (size_t i = 0; i < ARRAY_LEN(applets); i++)
		fx_applet(applets[i]);
	passwd = fx_path("root/etc/passwd");
	group = fx_path("root/etc/group");
	if (file_write(AT_FDCWD, passwd, "root:x:0:0:r:/root:/bin/sh\nbob:x:1000:1001::/home/bob:/bin/sh\n", 63, 0644) <
		    0 ||
	    file_write(AT_FDCWD, group, "root:x:0:\nusers:x:1001:\naudio:x:29:bob\n", 39, 0644) < 0)
		return -1;
	return 0;
}

static int fx_teardown(void **state)
{
	if (fx_unusable())
		return 0;
	(void)act_cgroup_remove(fx_cgroup);
	(void)dir_remove(AT_FDCWD, fx_dir);
	return 0;
}

/* Everything a test may want to change stands here; strings are lent. */
struct fx {
	struct plan p;
	struct plan_mount mounts[24];
	char root[80];
	const char *args[8];
	const char *env[4];
	struct plan_device devices[8];
	struct plan_device_rule rules[8];
	char out[8192]; /* what fx_run read from stdout and stderr */
	int exit_code;
	struct act_child child;
	struct err e;
	int pipe; /* reading end */
};

static inline struct plan_mount *fx_mount(struct fx *f, struct plan_mount m)
{
	if (m.slot == 0)
		m.slot = -1;
	f->mounts[f->p.n_mounts++] = m;
	return &f->mounts[f->p.n_mounts - 1];
}

static inline void fx_init(struct fx *f)
{
	static const struct plan_device nodes[] = {
		{ "/dev/null", S_IFCHR, 1, 3, 0666, 0, 0 },    { "/dev/zero", S_IFCHR, 1, 5, 0666, 0, 0 },
		{ "/dev/full", S_IFCHR, 1, 7, 0666, 0, 0 },    { "/dev/random", S_IFCHR, 1, 8, 0666, 0, 0 },
		{ "/dev/urandom", S_IFCHR, 1, 9, 0666, 0, 0 }, { "/dev/tty", S_IFCHR, 5, 0, 0666, 0, 0 },
	};
	static const struct plan_device_rule rules[] = {
		{ 0, 'a', -1, -1, 7 }, { 1, 'c', -1, -1, 4 }, { 1, 'b', -1, -1, 4 },  { 1, 'c', 1, 3, 7 },
		{ 1, 'c', 1, 5, 7 },   { 1, 'c', 5, -1, 7 },  { 1, 'c', 136, -1, 7 },
	};

	*f = (struct fx){ .child = ACT_CHILD_INIT, .pipe = -1 };
	(void)snprintf(f->root, sizeof f->root, "%s/root", fx_dir);
	f->p.id = "test";
	for (int i = 0; i < PLAN_NS_COUNT; i++)
		f->p.ns[i] = (struct plan_ns_choice){
			.mode = i == PLAN_NS_USER || i == PLAN_NS_CGROUP || i == PLAN_NS_TIME ? 0 : 1, .slot = -1
		};
	f->p.mounts = f->mounts;
	fx_mount(f, (struct plan_mount){ .kind = PLAN_MOUNT_BIND, .flags = MS_REC, .target = "/", .source = f->root });
	fx_mount(f, (struct plan_mount){ .kind = PLAN_MOUNT_FS,
					 .flags = MS_NOSUID | MS_NODEV | MS_NOEXEC,
					 .target = "/proc",
					 .source = "proc",
					 .fstype = "proc" });
	fx_mount(f, (struct plan_mount){ .kind = PLAN_MOUNT_FS,
					 .flags = MS_NOSUID | MS_STRICTATIME,
					 .target = "/dev",
					 .source = "tmpfs",
					 .fstype = "tmpfs",
					 .data = "mode=755,size=65536k" });
	fx_mount(f, (struct plan_mount){ .kind = PLAN_MOUNT_FS,
					 .flags = MS_NOSUID | MS_NOEXEC,
					 .target = "/dev/pts",
					 .source = "devpts",
					 .fstype = "devpts",
					 .data = "newinstance,ptmxmode=0666,mode=0620,gid=5" });
	fx_mount(f, (struct plan_mount){ .kind = PLAN_MOUNT_FS,
					 .flags = MS_NOSUID | MS_NODEV | MS_NOEXEC,
					 .target = "/dev/mqueue",
					 .source = "mqueue",
					 .fstype = "mqueue" });
	fx_mount(f, (struct plan_mount){ .kind = PLAN_MOUNT_FS,
					 .flags = MS_NOSUID | MS_NODEV | MS_NOEXEC,
					 .target = "/dev/shm",
					 .source = "shm",
					 .fstype = "tmpfs",
					 .data = "mode=1777,size=65536k" });
	fx_mount(f, (struct plan_mount){ .kind = PLAN_MOUNT_FS,
					 .flags = MS_NOSUID | MS_NODEV | MS_NOEXEC | MS_RDONLY,
					 .target = "/sys",
					 .source = "sysfs",
					 .fstype = "sysfs" });
	memcpy(f->devices, nodes, sizeof nodes);
	f->p.devices = f->devices;
	f->p.n_devices = ARRAY_LEN(nodes);
	memcpy(f->rules, rules, sizeof rules);
	f->p.hostname = "box";
	f->p.cgroup = (struct plan_cgroup){
		.path = fx_cgroup, .swappiness = -1, .cpu_idle = -1, .devices = f->rules, .n_devices = ARRAY_LEN(rules)
	};
	f->env[0] = "PATH=/usr/bin:/bin";
	f->p.process = (struct plan_process){ .args = f->args,
					      .env = f->env,
					      .cwd = "/",
					      .umask = -1,
					      .late = PLAN_LATE_HOME | PLAN_LATE_PATH,
					      .caps = { ALL_CAPS, ALL_CAPS, ALL_CAPS, 0, 0 },
					      .oom_score_adj = INT64_MIN,
					      .io_class = -1,
					      .sched_policy = -1,
					      .personality = -1 };
}

static inline void fx_sh(struct fx *f, const char *script)
{
	f->args[0] = "sh";
	f->args[1] = "-c";
	f->args[2] = script;
	f->args[3] = NULL;
}

static inline int fx_create(struct fx *f)
{
	struct act_opts o = ACT_OPTS_INIT;
	int out[2], r;

	assert_int_equal(pipe2(out, O_CLOEXEC), 0);
	if (!f->p.process.terminal)
		o.stdio[1] = o.stdio[2] = out[1];
	r = act_create(&f->p, &o, &f->child, &f->e);
	(void)close(out[1]);
	f->pipe = out[0];
	return r;
}

static inline int fx_wait(pid_t pid)
{
	int status = 0;

	assert_int_equal(waitpid(pid, &status, 0), pid);
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

static inline void fx_read(struct fx *f)
{
	size_t n = 0;
	ssize_t k;

	while (n < sizeof f->out - 1 && (k = read(f->pipe, f->out + n, sizeof f->out - 1 - n)) > 0)
		n += (size_t)k;
	f->out[n] = 0;
	(void)close(f->pipe);
	f->pipe = -1;
}

static inline void fx_done(struct fx *f)
{
	act_child_done(&f->child);
	if (f->pipe >= 0)
		(void)close(f->pipe);
	(void)act_cgroup_kill(fx_cgroup);
	assert_int_equal(act_cgroup_remove(fx_cgroup), 0);
}

/* Create, start, read all output, wait. Fails the test where the start fails. */
static inline void fx_run(struct fx *f, const char *script)
{
	int r;

	fx_sh(f, script);
	r = fx_create(f);
	if (r == 0)
		r = act_start(&f->child, &f->e);
	if (r < 0)
		fail_msg("start: %s", f->e.msg);
	fx_read(f);
	f->exit_code = fx_wait(f->child.pid);
	fx_done(f);
}

#define NEEDS_ROOT() \
	do { \
		if (fx_unusable()) { \
			print_message("skipped: %s\n", fx_unusable()); \
			skip(); \
		} \
	} while (0)
