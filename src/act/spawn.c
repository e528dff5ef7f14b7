/* spawn.c - forking with namespaces: clone3 where it is, clone and pidfd_open under qemu-user and old seccomp filters. */
#include "act/act_int.h"
#include "base/kernel.h"

#include <net/if.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/statvfs.h>
#include <sys/wait.h>

const int ns_flag[PLAN_NS_COUNT] = {
	[PLAN_NS_USER] = CLONE_NEWUSER,     [PLAN_NS_PID] = CLONE_NEWPID,   [PLAN_NS_NET] = CLONE_NEWNET,
	[PLAN_NS_IPC] = CLONE_NEWIPC,       [PLAN_NS_MNT] = CLONE_NEWNS,    [PLAN_NS_UTS] = CLONE_NEWUTS,
	[PLAN_NS_CGROUP] = CLONE_NEWCGROUP, [PLAN_NS_TIME] = CLONE_NEWTIME,
};
const char *const ns_name[PLAN_NS_COUNT] = {
	[PLAN_NS_USER] = "user", [PLAN_NS_PID] = "pid", [PLAN_NS_NET] = "net",       [PLAN_NS_IPC] = "ipc",
	[PLAN_NS_MNT] = "mnt",   [PLAN_NS_UTS] = "uts", [PLAN_NS_CGROUP] = "cgroup", [PLAN_NS_TIME] = "time",
};

bool spawn_old_kernel;

pid_t spawn(uint64_t flags, int cgroup, int *ret_pidfd)
{
	int pidfd = -1;
	struct k_clone_args a = {
		.flags = flags | CLONE_PIDFD | K_CLONE_CLEAR_SIGHAND | (cgroup >= 0 ? K_CLONE_INTO_CGROUP : 0),
		.pidfd = (uint64_t)(uintptr_t)&pidfd,
		.exit_signal = flags & CLONE_PARENT ? 0 : SIGCHLD,
		.cgroup = cgroup >= 0 ? (uint64_t)cgroup : 0,
	};
	long pid = spawn_old_kernel ? (errno = ENOSYS, -1) : syscall(SYS_clone3, &a, sizeof a);

	if (pid < 0 && (errno == ENOSYS || errno == EPERM) && cgroup < 0) {
		/* CLONE_NEWTIME is a bit of the exit signal here: it cannot be asked for this way. */
#if defined(__s390x__)
		pid = syscall(SYS_clone, 0, (flags & ~(uint64_t)0xff) | SIGCHLD, NULL, NULL, 0);
#else
		pid = syscall(SYS_clone, (flags & ~(uint64_t)0xff) | SIGCHLD, 0, NULL, NULL, 0);
#endif
		if (pid > 0)
			pidfd = sys_pidfd_open((pid_t)pid, 0);
	}
	if (pid < 0)
		return -errno;
	if (pid > 0) {
		if (ret_pidfd)
			*ret_pidfd = pidfd;
		else if (pidfd >= 0)
			(void)close(pidfd);
	}
	return (pid_t)pid;
}

/* Only children follow a setns of the pid namespace, so we step in, fork and step back: no second fork is needed. */
int spawn_in_pidns(int pidns, uint64_t flags, int cgroup, int *ret_pidfd)
{
	AUTO_FD int own = -1;
	pid_t pid;

	if (pidns < 0)
		return spawn(flags, cgroup, ret_pidfd);
	own = open("/proc/self/ns/pid", O_RDONLY | O_CLOEXEC);
	if (own < 0 || setns(pidns, CLONE_NEWPID) < 0)
		return -errno;
	pid = spawn(flags, cgroup, ret_pidfd);
	if (pid != 0 && setns(own, CLONE_NEWPID) < 0)
		abort(); /* our next child would be born in a container */
	return pid;
}

static int write_map(pid_t pid, const char *file, const struct plan_idmap *map, size_t n)
{
	AUTO_STRB struct strb text = STRB_INIT;
	char path[40];

	for (size_t i = 0; i < n; i++)
		strb_addf(&text, "%u %u %u\n", map[i].inside, map[i].outside, map[i].count);
	(void)snprintf(path, sizeof path, "/proc/%d/%s", (int)pid, file);
	return file_put(AT_FDCWD, path, strb_str(&text));
}

int userns_write_maps(const struct plan *p, pid_t pid, struct err *e)
{
	char path[40];
	int r = 0;

	if (geteuid() != 0) { /* the kernel wants this before an unprivileged gid_map */
		(void)snprintf(path, sizeof path, "/proc/%d/setgroups", (int)pid);
		(void)file_put(AT_FDCWD, path, "deny");
	}
	if (p->n_uid_map)
		r = write_map(pid, "uid_map", p->uid_map, p->n_uid_map);
	if (r == 0 && p->n_gid_map)
		r = write_map(pid, "gid_map", p->gid_map, p->n_gid_map);
	return r < 0 ? err_sys(e, r, "writing the id maps of the user namespace") : 0;
}

int loopback_up(void)
{
	AUTO_FD int s = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	struct ifreq ifr = { .ifr_name = "lo" };

	if (s < 0)
		return errno == EAFNOSUPPORT ? 0 : -errno;
	ifr.ifr_flags = IFF_UP | IFF_RUNNING;
	return ioctl(s, SIOCSIFFLAGS, &ifr) < 0 ? -errno : 0;
}

int act_netns_new(int *ret_ns_fd, struct err *e)
{
	AUTO_FD int own = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC), made = -1;
	int r = 0;

	if (own < 0 || unshare(CLONE_NEWNET) < 0)
		return err_sys(e, -errno, "making a network namespace");
	made = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
	if (made < 0)
		r = -errno;
	if (r == 0)
		r = loopback_up();
	if (setns(own, CLONE_NEWNET) < 0)
		abort(); /* the caller would go on in a foreign network */
	if (r < 0)
		return err_sys(e, r, "making a network namespace");
	*ret_ns_fd = TAKE_FD(made);
	return 0;
}

int act_exe_readonly(char *const argv[])
{
	struct k_mount_attr ro = { .attr_set = K_MOUNT_ATTR_RDONLY };
	AUTO_FD int exe = -1;
	struct statvfs fs;

	if (statvfs("/proc/self/exe", &fs) < 0)
		return -errno;
	if (fs.f_flag & ST_RDONLY)
		return 0;
	exe = sys_open_tree(AT_FDCWD, "/proc/self/exe", OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC);
	if (exe < 0 || sys_mount_setattr(exe, "", AT_EMPTY_PATH, &ro) < 0)
		return -errno;
	(void)syscall(SYS_execveat, exe, "", argv, environ, AT_EMPTY_PATH);
	return -errno;
}
