/* sandbox.c - what a worker gives up before it looks at untrusted bytes: network, the host's file system, capabilities, and
 * every system call that unpacking or hashing never needs. The order matters: each step needs rights the next one drops. */
#include "proc/proc.h"
#include "base/kernel.h"

#include <fcntl.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>

#ifndef PR_CAP_AMBIENT
#define PR_CAP_AMBIENT 47
#define PR_CAP_AMBIENT_CLEAR_ALL 4
#endif

/* ---- root ---- */
static int enter_root(int root_fd, unsigned flags)
{
	bool attached = flags & SANDBOX_ROOT;
	unsigned deep = flags & SANDBOX_SUBMOUNTS ? AT_RECURSIVE : 0;
	/* private: a clone of a shared mount (systemd makes all of them so) is shared, and pivot_root refuses that */
	struct k_mount_attr attr = { .attr_set = K_MOUNT_ATTR_NODEV | K_MOUNT_ATTR_NOSUID | K_MOUNT_ATTR_NOEXEC |
						 (flags & SANDBOX_READONLY ? K_MOUNT_ATTR_RDONLY : 0),
				     .propagation = MS_PRIVATE };
	/* cloned before unshare: afterwards root_fd belongs to a foreign mount namespace */
	AUTO_FD int tree = attached ? sys_open_tree(root_fd, "",
						    OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_EMPTY_PATH | deep)
				    : fcntl(root_fd, F_DUPFD_CLOEXEC, 3);

	if (tree < 0 || sys_mount_setattr(tree, "", AT_EMPTY_PATH | deep, &attr) < 0)
		return -errno;
	if (unshare(CLONE_NEWNS) < 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0)
		return -errno;
	if (sys_move_mount(tree, "", AT_FDCWD, "/", K_MOVE_MOUNT_F_EMPTY_PATH) < 0)
		return -errno;
	if (fchdir(tree) < 0 || syscall(SYS_pivot_root, ".", ".") < 0)
		return -errno;
	if (umount2(".", MNT_DETACH) < 0 || chdir("/") < 0)
		return -errno;
	return 0;
}

/* ---- capabilities ---- */
struct cap_header {
	uint32_t version;
	int pid;
};
struct cap_data {
	uint32_t effective, permitted, inheritable;
};
#define CAP_VERSION_3 0x20080522
#define CAPS_MAX 63

static int drop_caps(uint64_t keep)
{
	struct cap_header h = { .version = CAP_VERSION_3 };
	struct cap_data d[2] = { { 0 } };

	for (unsigned cap = 0; cap <= CAPS_MAX; cap++)
		if (!(keep >> cap & 1) && prctl(PR_CAPBSET_DROP, cap, 0, 0, 0) < 0 && errno != EINVAL)
			if (errno != EPERM || prctl(PR_CAPBSET_READ, cap, 0, 0, 0) == 1)
				return -errno;
	(void)prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
	if (syscall(SYS_capget, &h, d) < 0)
		return -errno;
	for (int i = 0; i < 2; i++) {
		d[i].permitted &= (uint32_t)(keep >> (32 * i));
		d[i].effective = d[i].permitted;
		d[i].inheritable = 0;
	}
	return syscall(SYS_capset, &h, d) < 0 ? -errno : 0;
}

/* ---- seccomp: BPF by hand; the layout of struct seccomp_data is nr, arch, ip, args[6] ---- */
struct insn {
	uint16_t code;
	uint8_t jt, jf;
	uint32_t k;
};
struct prog {
	unsigned short len;
	struct insn *filter;
};
#define LD_ABS 0x20
#define JEQ 0x15
#define JGE 0x35
#define JSET 0x45
#define RET 0x06
#define RET_ALLOW 0x7fff0000u
#define RET_ERRNO 0x00050000u
#define RET_KILL 0x80000000u
#define OFF_NR 0
#define OFF_ARCH 4
#define OFF_ARG(i) (16 + 8 * (i) + ARG_LOW)
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
#define ARG_LOW 4
#else
#define ARG_LOW 0
#endif

#if defined(__x86_64__)
#define ARCH 0xc000003eu
#elif defined(__aarch64__)
#define ARCH 0xc00000b7u
#elif defined(__riscv) && __riscv_xlen == 64
#define ARCH 0xc00000f3u
#elif defined(__arm__)
#define ARCH 0x40000028u
#elif defined(__i386__)
#define ARCH 0x40000003u
#else
#error "seccomp architecture unknown: add its AUDIT_ARCH value"
#endif

/* clang-format off */
static const uint16_t denied[] = {
	SYS_execve, SYS_execveat, SYS_ptrace, SYS_process_vm_readv, SYS_process_vm_writev, SYS_kcmp,
	SYS_mount, SYS_umount2, SYS_pivot_root, SYS_chroot, SYS_unshare, SYS_setns,
	SYS_open_tree, SYS_move_mount, SYS_fsopen, SYS_fsconfig, SYS_fsmount, SYS_fspick, SYS_mount_setattr,
	SYS_bpf, SYS_perf_event_open, SYS_userfaultfd, SYS_keyctl, SYS_add_key, SYS_request_key,
	SYS_init_module, SYS_finit_module, SYS_delete_module, SYS_kexec_load,
	SYS_reboot, SYS_swapon, SYS_swapoff, SYS_sethostname, SYS_setdomainname, SYS_settimeofday, SYS_clock_settime,
	SYS_clock_adjtime, SYS_adjtimex, SYS_acct, SYS_quotactl, SYS_syslog, SYS_personality, SYS_vhangup,
	SYS_open_by_handle_at, SYS_fanotify_init, SYS_migrate_pages, SYS_move_pages,
	SYS_pidfd_getfd, SYS_pidfd_send_signal, SYS_kill, SYS_tkill, SYS_rt_sigqueueinfo, SYS_rt_tgsigqueueinfo,
	425 /* io_uring_setup */, 426, 427,
#ifdef SYS_kexec_file_load
	SYS_kexec_file_load,
#endif
#ifdef SYS_iopl
	SYS_iopl, SYS_ioperm, SYS_modify_ldt,
#endif
#ifdef SYS_lookup_dcookie
	SYS_lookup_dcookie,
#endif
};
static const uint16_t denied_network[] = { /* inherited sockets still read and write */
	SYS_socket, SYS_bind, SYS_connect, SYS_listen,
#ifdef SYS_accept
	SYS_accept,
#endif
	SYS_accept4,
};
#define CLONE_NAMESPACES (CLONE_NEWNS | CLONE_NEWUTS | CLONE_NEWIPC | CLONE_NEWUSER | CLONE_NEWPID | CLONE_NEWNET | \
			  CLONE_NEWCGROUP)
/* clang-format on */

struct filter {
	struct insn v[256];
	size_t n;
};

static void add(struct filter *f, uint16_t code, uint32_t k, uint8_t jt, uint8_t jf)
{
	f->v[f->n++] = (struct insn){ .code = code, .jt = jt, .jf = jf, .k = k };
}

static void refuse(struct filter *f, uint32_t nr, int errnum)
{
	add(f, JEQ, nr, 0, 1);
	add(f, RET, RET_ERRNO | (uint32_t)errnum, 0, 0);
}

/* `nr` is refused when its argument i meets the test (jump code with value); the accumulator is reloaded behind it. */
static void refuse_arg(struct filter *f, uint32_t nr, int i, uint16_t test, uint32_t value, bool when)
{
	add(f, JEQ, nr, 0, 4);
	add(f, LD_ABS, (uint32_t)OFF_ARG(i), 0, 0);
	add(f, test, value, when ? 0 : 1, when ? 1 : 0);
	add(f, RET, RET_ERRNO | EPERM, 0, 0);
	add(f, RET, RET_ALLOW, 0, 0);
}

static int deny_calls(bool network)
{
	struct filter f = { 0 };
	struct prog p = { 0 };

	add(&f, LD_ABS, OFF_ARCH, 0, 0);
	add(&f, JEQ, ARCH, 1, 0);
	add(&f, RET, RET_KILL, 0, 0);
	add(&f, LD_ABS, OFF_NR, 0, 0);
#ifdef __x86_64__
	add(&f, JGE, 0x40000000u, 0, 1); /* x32 has other numbers for the same calls */
	add(&f, RET, RET_KILL, 0, 0);
#endif
	for (size_t i = 0; i < ARRAY_LEN(denied); i++)
		refuse(&f, denied[i], EPERM);
	for (size_t i = 0; network && i < ARRAY_LEN(denied_network); i++)
		refuse(&f, denied_network[i], EPERM);
	refuse(&f, SYS_clone3, ENOSYS); /* its flags are behind a pointer; libc falls back to clone */
	refuse_arg(&f, SYS_clone, 0, JSET, CLONE_NAMESPACES, true);
	refuse_arg(&f, SYS_tgkill, 0, JEQ, (uint32_t)getpid(), false); /* abort() still works */
	refuse_arg(&f, SYS_prlimit64, 0, JEQ, 0, false);
	refuse_arg(&f, SYS_ioctl, 1, JEQ, TIOCSTI, true);
	add(&f, RET, RET_ALLOW, 0, 0);
	p = (struct prog){ .len = (unsigned short)f.n, .filter = f.v };
	return prctl(PR_SET_SECCOMP, 2 /* filter */, &p, 0, 0) < 0 ? -errno : 0;
}

static int limit(int what, int64_t max)
{
	struct rlimit l = { .rlim_cur = (rlim_t)max, .rlim_max = (rlim_t)max };

	return max > 0 && setrlimit(what, &l) < 0 ? -errno : 0;
}

int sandbox_enter(const struct sandbox *s, struct err *e)
{
	int r;

	if ((r = limit(RLIMIT_AS, s->max_memory)) < 0 || (r = limit(RLIMIT_FSIZE, s->max_file)) < 0 ||
	    setrlimit(RLIMIT_CORE, &(struct rlimit){ 0 }) < 0)
		return err_sys(e, r < 0 ? r : -errno, "sandbox: setting limits");
	if (s->flags & SANDBOX_NO_NETWORK && unshare(CLONE_NEWNET) < 0)
		return err_sys(e, -errno, "sandbox: new network namespace");
	if (s->flags & (SANDBOX_ROOT | SANDBOX_NEW_ROOT) && (r = enter_root(s->root_fd, s->flags)) < 0)
		return err_sys(e, r, "sandbox: changing the root");
	if ((r = drop_caps(s->keep_caps)) < 0)
		return err_sys(e, r, "sandbox: dropping capabilities");
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		return err_sys(e, -errno, "sandbox: no_new_privs");
	if (s->flags & SANDBOX_SECCOMP && (r = deny_calls(s->flags & SANDBOX_NO_NETWORK)) < 0)
		return err_sys(e, r, "sandbox: seccomp filter");
	return 0;
}
