/* kernel.h - kernel constants and thin system calls that libc may not know. musl-gcc on Debian brings no linux headers,
 * so what the static shim needs stands here, named as in the kernel's uapi headers, behind #ifndef.
 * Sources: linux/mount.h, linux/openat2.h, linux/sched.h, linux/close_range.h, linux/fs.h, linux/capability.h. */
#pragma once

#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <sys/syscall.h>
#include <unistd.h>

/* openat2(2), linux 5.6 */
struct k_open_how {
	uint64_t flags, mode, resolve;
};
#define K_RESOLVE_NO_XDEV 0x01
#define K_RESOLVE_NO_MAGICLINKS 0x02
#define K_RESOLVE_NO_SYMLINKS 0x04
#define K_RESOLVE_BENEATH 0x08
#define K_RESOLVE_IN_ROOT 0x10

/* clone3(2), linux 5.3; the size passed selects the version */
struct k_clone_args {
	uint64_t flags, pidfd, child_tid, parent_tid, exit_signal, stack, stack_size, tls, set_tid, set_tid_size,
		cgroup;
};
#ifndef CLONE_PIDFD
#define CLONE_PIDFD 0x00001000
#endif
#ifndef CLONE_NEWCGROUP
#define CLONE_NEWCGROUP 0x02000000
#endif
#ifndef CLONE_NEWTIME
#define CLONE_NEWTIME 0x00000080
#endif
#define K_CLONE_INTO_CGROUP 0x200000000ULL

/* new mount API, linux 5.2; mount_setattr 5.12 */
#ifndef OPEN_TREE_CLONE
#define OPEN_TREE_CLONE 1
#define OPEN_TREE_CLOEXEC O_CLOEXEC
#endif
#ifndef AT_RECURSIVE
#define AT_RECURSIVE 0x8000
#endif
#ifndef AT_EMPTY_PATH
#define AT_EMPTY_PATH 0x1000
#endif
#ifndef AT_NO_AUTOMOUNT
#define AT_NO_AUTOMOUNT 0x800
#endif
#define K_MOVE_MOUNT_F_EMPTY_PATH 0x00000004
#define K_MOVE_MOUNT_T_EMPTY_PATH 0x00000040
#define K_FSOPEN_CLOEXEC 1
#define K_FSMOUNT_CLOEXEC 1
#define K_FSCONFIG_SET_FLAG 0
#define K_FSCONFIG_SET_STRING 1
#define K_FSCONFIG_SET_FD 5
#define K_FSCONFIG_CMD_CREATE 6
#define K_FSCONFIG_CMD_RECONFIGURE 7
#define K_MOUNT_ATTR_RDONLY 0x00000001
#define K_MOUNT_ATTR_NOSUID 0x00000002
#define K_MOUNT_ATTR_NODEV 0x00000004
#define K_MOUNT_ATTR_NOEXEC 0x00000008
#define K_MOUNT_ATTR__ATIME 0x00000070
#define K_MOUNT_ATTR_RELATIME 0x00000000
#define K_MOUNT_ATTR_NOATIME 0x00000010
#define K_MOUNT_ATTR_STRICTATIME 0x00000020
#define K_MOUNT_ATTR_NODIRATIME 0x00000080
#define K_MOUNT_ATTR_IDMAP 0x00100000
#define K_MOUNT_ATTR_NOSYMFOLLOW 0x00200000
struct k_mount_attr {
	uint64_t attr_set, attr_clr, propagation, userns_fd;
};

/* numbers are the same on every architecture since 5.0's unified table (except alpha) */
#ifndef SYS_pidfd_send_signal
#define SYS_pidfd_send_signal 424
#endif
#ifndef SYS_open_tree
#define SYS_open_tree 428
#define SYS_move_mount 429
#define SYS_fsopen 430
#define SYS_fsconfig 431
#define SYS_fsmount 432
#define SYS_fspick 433
#endif
#ifndef SYS_pidfd_open
#define SYS_pidfd_open 434
#endif
#ifndef SYS_clone3
#define SYS_clone3 435
#endif
#ifndef SYS_close_range
#define SYS_close_range 436
#endif
#ifndef SYS_openat2
#define SYS_openat2 437
#endif
#ifndef SYS_pidfd_getfd
#define SYS_pidfd_getfd 438
#endif
#ifndef SYS_mount_setattr
#define SYS_mount_setattr 442
#endif

static inline int sys_openat2(int dir, const char *path, struct k_open_how *how)
{
	return (int)syscall(SYS_openat2, dir, path, how, sizeof *how);
}
static inline int sys_pidfd_open(pid_t pid, unsigned flags)
{
	return (int)syscall(SYS_pidfd_open, pid, flags);
}
static inline int sys_pidfd_send_signal(int pidfd, int sig)
{
	return (int)syscall(SYS_pidfd_send_signal, pidfd, sig, NULL, 0);
}
static inline int sys_close_range(unsigned first, unsigned last, unsigned flags)
{
	return (int)syscall(SYS_close_range, first, last, flags);
}
static inline int sys_open_tree(int dir, const char *path, unsigned flags)
{
	return (int)syscall(SYS_open_tree, dir, path, flags);
}
static inline int sys_move_mount(int from, const char *from_path, int to, const char *to_path, unsigned flags)
{
	return (int)syscall(SYS_move_mount, from, from_path, to, to_path, flags);
}
static inline int sys_fsopen(const char *fs, unsigned flags)
{
	return (int)syscall(SYS_fsopen, fs, flags);
}
static inline int sys_fsconfig(int fd, unsigned cmd, const char *key, const void *value, int aux)
{
	return (int)syscall(SYS_fsconfig, fd, cmd, key, value, aux);
}
static inline int sys_fsmount(int fd, unsigned flags, unsigned attr)
{
	return (int)syscall(SYS_fsmount, fd, flags, attr);
}
static inline int sys_mount_setattr(int dir, const char *path, unsigned flags, struct k_mount_attr *attr)
{
	return (int)syscall(SYS_mount_setattr, dir, path, flags, attr, sizeof *attr);
}

/* ---- for act ---- */
#define K_CLONE_CLEAR_SIGHAND 0x100000000ULL
#ifndef SYS_keyctl
#define K_NO_KEYCTL 1
#endif
#ifndef TIOCGPTPEER
#define TIOCGPTPEER 0x5441
#endif
#ifndef TIOCSPTLCK
#define TIOCSPTLCK 0x40045431
#endif
#define K_DEVPTS_MAGIC 0x1cd1
#define K_PROC_MAGIC 0x9fa0
