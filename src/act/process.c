/* process.c - from a prepared child to the program: terminal, limits, identity, working directory, exec. */
#include "act/act_int.h"
#include "base/kernel.h"

#include <limits.h>
#include <sys/ioctl.h>
#include <sys/personality.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/vfs.h>

#define KEYCTL_JOIN_SESSION_KEYRING 1
#define IOPRIO_WHO_PROCESS 1
#define IOPRIO_CLASS_SHIFT 13

/* ---- before the host's /proc is out of reach ---- */
static int oom_score(int64_t adj, struct err *e)
{
	AUTO_FREE char *text = NULL;
	char number[24];
	int r;

	(void)snprintf(number, sizeof number, "%lld", (long long)adj);
	r = file_put(AT_FDCWD, "/proc/self/oom_score_adj", number);

	if (r == 0)
		return 0;
	/* Lowering needs a capability that we may lack: no harm if it is what it should be. */
	if (file_read(AT_FDCWD, "/proc/self/oom_score_adj", 32, &text, NULL) == 0 && strtoll(text, NULL, 10) == adj)
		return 0;
	return err_sys(e, r, "can't set oom score: write /proc/self/oom_score_adj");
}

/* From here to the exec nobody inside may look into us: our memory and /proc/PID/exe are the host's (CVE-2016-9962, CVE-2019-5736).
 * The exec undoes it. */
void process_hide(const struct job *j)
{
	if (!j->rootless)
		(void)prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
}

int process_early(struct job *j, struct err *e)
{
	const struct plan_process *p = j->proc;

	if (p->oom_score_adj != INT64_MIN) {
		int r = oom_score(p->oom_score_adj, e);

		if (r < 0)
			return r;
	}
	if (!p->terminal) {
		j->null_fd = open("/dev/null", O_RDWR | O_CLOEXEC);
		if (j->null_fd < 0)
			return err_sys(e, -errno, "opening /dev/null");
	}
	if (!str_empty(p->apparmor) || !str_empty(p->selinux)) {
		const char *file = str_empty(p->apparmor) ? "/proc/self/attr/exec" : "/proc/self/attr/apparmor/exec";
		struct statfs fs;

		j->lsm_fd = open(file, O_WRONLY | O_CLOEXEC);
		if (j->lsm_fd < 0 && errno == ENOENT)
			j->lsm_fd = open("/proc/self/attr/exec", O_WRONLY | O_CLOEXEC);
		if (j->lsm_fd < 0)
			return err_sys(e, -errno, "opening the security label of the process");
		if (fstatfs(j->lsm_fd, &fs) < 0 || (unsigned long)fs.f_type != K_PROC_MAGIC)
			return err_set(e, ERR_SYSTEM, "/proc is not a proc file system");
	}
	return 0;
}

/* ---- terminal ---- */
/* The pty comes from the container's own devpts, its other side from the master itself. */
static int open_pty(int root, int *ret_peer, struct err *e)
{
	AUTO_FD int master = open_in_root(root, "/dev/pts/ptmx", O_RDWR | O_NOCTTY, 0), peer = -1;
	struct statfs fs;
	int unlock = 0;

	if (master < 0)
		return err_sys(e, master, "opening /dev/pts/ptmx of the container");
	if (fstatfs(master, &fs) < 0 || (unsigned long)fs.f_type != K_DEVPTS_MAGIC)
		return err_set(e, ERR_SYSTEM, "/dev/pts/ptmx of the container is not on a devpts file system");
	if (ioctl(master, TIOCSPTLCK, &unlock) < 0)
		return err_sys(e, -errno, "unlocking the terminal");
	peer = ioctl(master, TIOCGPTPEER, O_RDWR | O_NOCTTY | O_CLOEXEC);
	if (peer < 0)
		return err_sys(e, -errno, "opening the terminal");
	*ret_peer = TAKE_FD(peer);
	return TAKE_FD(master);
}

int process_terminal(struct job *j, bool console, struct err *e)
{
	struct winsize size = { .ws_row = (unsigned short)j->proc->rows, .ws_col = (unsigned short)j->proc->cols };
	struct gate_msg m = { .kind = GATE_TERMINAL };
	AUTO_FD int peer = -1, master = -1;
	int r;

	if (!j->proc->terminal)
		return 0;
	master = open_pty(j->m.root, &peer, e);
	if (master < 0)
		return master;
	if ((size.ws_row || size.ws_col) && ioctl(master, TIOCSWINSZ, &size) < 0)
		return err_sys(e, -errno, "setting the size of the terminal");
	if (console) {
		r = console_bind(j, peer, e);
		if (r < 0)
			return r;
	}
	j->null_fd = TAKE_FD(peer); /* what becomes 0, 1 and 2 */
	r = gate_send(j->gate, &m, master);
	return r < 0 ? err_sys(e, r, "handing out the terminal") : 0;
}

/* All to high numbers first: sources and targets may overlap. */
static int place_fds(struct job *j, struct err *e)
{
	int base = MAX(3 + (int)j->o->n_keep_fds, 16), fds[3];
	int *const moved[] = { &j->gate, &j->lsm_fd };
	AUTO_FREE int *keep = xcalloc(j->o->n_keep_fds + 1, sizeof(int));

	for (size_t i = 0; i < ARRAY_LEN(moved); i++)
		if (*moved[i] >= 0 && *moved[i] < base) {
			int fd = fcntl(*moved[i], F_DUPFD_CLOEXEC, base);

			if (fd < 0)
				return err_sys(e, -errno, "moving descriptors");
			*moved[i] = fd;
		}
	for (int i = 0; i < 3; i++) {
		int from = j->proc->terminal || j->o->stdio[i] < 0 ? j->null_fd : j->o->stdio[i];

		fds[i] = from >= base ? from : fcntl(from, F_DUPFD_CLOEXEC, base);
		if (fds[i] < 0)
			return err_sys(e, -errno, "moving standard streams");
	}
	for (size_t i = 0; i < j->o->n_keep_fds; i++) {
		keep[i] = fcntl(j->o->keep_fds[i], F_DUPFD_CLOEXEC, base);
		if (keep[i] < 0)
			return err_sys(e, -errno, "preserving descriptor %d", j->o->keep_fds[i]);
	}
	for (int i = 0; i < 3; i++)
		if (dup2(fds[i], i) < 0)
			return err_sys(e, -errno, "setting standard streams");
	for (size_t i = 0; i < j->o->n_keep_fds; i++)
		if (dup2(keep[i], 3 + (int)i) < 0)
			return err_sys(e, -errno, "preserving descriptors");
	return 0;
}

int process_stdio(struct job *j, struct err *e)
{
	int r;

	(void)setsid();
	r = place_fds(j, e);
	if (r < 0)
		return r;
	if (j->proc->terminal && ioctl(0, TIOCSCTTY, 0) < 0)
		return err_sys(e, -errno, "taking the terminal");
	/* Everything else of the caller ends at exec, whatever it forgot. */
	(void)sys_close_range(3 + (unsigned)j->o->n_keep_fds, ~0u, 1u << 2 /* CLOEXEC */);
	return 0;
}

/* ---- limits and scheduling ---- */
int process_rlimits(const struct plan_process *p, pid_t pid, struct err *e)
{
	for (size_t i = 0; i < p->n_rlimits; i++) {
		uint64_t v[2] = { p->rlimits[i].soft, p->rlimits[i].hard };

		if (syscall(SYS_prlimit64, pid, p->rlimits[i].resource, v, NULL) < 0)
			return err_sys(e, -errno, "error setting rlimit type %u", p->rlimits[i].resource);
	}
	return 0;
}

/* "0-3,7" */
int process_affinity(pid_t pid, const char *list, struct err *e)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	for (const char *p = list; *p;) {
		char *end;
		unsigned long from = strtoul(p, &end, 10), to = from;

		if (end == p)
			return err_set(e, ERR_INVALID, "invalid CPU list \"%s\"", list);
		if (*end == '-') {
			p = end + 1;
			to = strtoul(p, &end, 10);
		}
		if (end == p || to < from || to >= CPU_SETSIZE || (*end && *end != ','))
			return err_set(e, ERR_INVALID, "invalid CPU list \"%s\"", list);
		for (; from <= to; from++)
			CPU_SET(from, &set);
		p = *end ? end + 1 : end;
	}
	return sched_setaffinity(pid, sizeof set, &set) < 0 ? err_sys(e, -errno, "setting CPU affinity %s", list) : 0;
}

static int set_scheduling(const struct plan_process *p, struct err *e)
{
	struct {
		uint32_t size, policy;
		uint64_t flags;
		int32_t nice;
		uint32_t priority;
		uint64_t runtime, deadline, period;
	} a = { .size = 48,
		.policy = (uint32_t)p->sched_policy,
		.flags = p->sched_flags,
		.nice = (int32_t)p->sched_nice,
		.priority = (uint32_t)p->sched_priority,
		.runtime = p->sched_runtime,
		.deadline = p->sched_deadline,
		.period = p->sched_period };

	if (p->sched_policy >= 0 && syscall(SYS_sched_setattr, 0, &a, 0) < 0)
		return err_sys(e, -errno, "error setting scheduler");
	if (p->io_class >= 0 &&
	    syscall(SYS_ioprio_set, IOPRIO_WHO_PROCESS, 0, (p->io_class << IOPRIO_CLASS_SHIFT) | p->io_priority) < 0)
		return err_sys(e, -errno, "failed to set io priority");
	if (p->personality >= 0 && personality((unsigned long)p->personality) < 0)
		return err_sys(e, -errno, "setting the personality");
	if (!str_empty(p->exec_cpu_affinity_final))
		return process_affinity(0, p->exec_cpu_affinity_final, e);
	return 0;
}

/* ---- working directory ---- */
static int enter_cwd(struct job *j, bool last, struct err *e)
{
	const char *cwd = str_empty(j->proc->cwd) ? "/" : j->proc->cwd;
	char where[PATH_MAX];
	long n;

	if (chdir(cwd) < 0) {
		int r = -errno;

		if (!last && (r == -EPERM || r == -EACCES))
			return 1; /* perhaps as the user (a volume of a network file system) */
		j->failure = ACT_FAILED_CWD;
		return err_sys(e, r, "chdir to cwd (\"%s\") set in config.json failed", cwd);
	}
	/* CVE-2024-21626: a cwd like /proc/self/fd/N must not lead to a directory of the host. The kernel says "(unreachable)";
	 * the raw call, since libc hides that. */
	n = syscall(SYS_getcwd, where, sizeof where);
	if (n < 0 || where[0] != '/') {
		j->failure = ACT_FAILED_CWD;
		return err_set(e, ERR_FORBIDDEN,
			       "current working directory is outside of container mount namespace root -- possible "
			       "container breakout detected");
	}
	return 0;
}

/* ---- the program ---- */
static int runnable(const char *path, int *ret)
{
	struct stat st;

	if (stat(path, &st) < 0)
		return -errno;
	if (S_ISDIR(st.st_mode))
		*ret = -EISDIR;
	else
		/* as execve will see it: with the effective ids and the capabilities that last until then */
		*ret = faccessat(AT_FDCWD, path, X_OK, AT_EACCESS) < 0 ? -errno : st.st_mode & 0111 ? 0 : -EACCES;
	return 0;
}

static int process_find(const char *arg0, const char *path_env, char **ret, enum act_failure *failure, struct err *e)
{
	int verdict = 0, r;

	if (strchr(arg0, '/')) {
		r = runnable(arg0, &verdict);
		if (r == -ENOENT || r == -ENOTDIR || r == -ELOOP) {
			*failure = ACT_FAILED_NOT_FOUND;
			return err_sys(e, r, "exec: \"%s\": stat %s", arg0, arg0);
		}
		if (r < 0 || verdict < 0) {
			*failure = ACT_FAILED_NOT_EXECUTABLE;
			return r < 0 ? err_sys(e, r, "exec: \"%s\": stat %s", arg0, arg0)
				     : err_sys(e, verdict, "exec: \"%s\"", arg0);
		}
		*ret = xstrdup(arg0);
		return 0;
	}
	for (const char *p = path_env; p && *arg0;) {
		const char *colon = strchr(p, ':');
		AUTO_FREE char *dir = colon ? xstrndup(p, (size_t)(colon - p)) : xstrdup(p);
		AUTO_FREE char *path = path_join(*dir ? dir : ".", arg0);

		if (runnable(path, &verdict) == 0 && verdict == 0) {
			*ret = TAKE_PTR(path);
			return 0;
		}
		p = colon ? colon + 1 : NULL;
	}
	*failure = ACT_FAILED_NOT_FOUND;
	(void)err_set(e, ERR_NOT_FOUND, "exec: \"%s\": executable file not found in $PATH", arg0);
	return -ENOENT;
}

static const char *env_get(char *const *env, const char *key)
{
	for (; *env; env++) {
		const char *v = str_after(*env, key);

		if (v && *v == '=')
			return v + 1;
	}
	return NULL;
}

/* The plan's environment, and HOME of the user's row where it has none (or an empty one). */
static void build_env(struct job *j)
{
	const char *const *from = j->proc->env;
	size_t n = 0, to = 0;

	while (from && from[n])
		n++;
	j->env = xcalloc(n + 2, sizeof(char *));
	for (size_t i = 0; i < n; i++)
		if (!((j->proc->late & PLAN_LATE_HOME) && streq(from[i], "HOME=")))
			j->env[to++] = (char *)(uintptr_t)from[i];
	if ((j->proc->late & PLAN_LATE_HOME) && !env_get(j->env, "HOME"))
		j->env[to++] = xasprintf("HOME=%s", j->id.home);
}

static int join_keyring(struct job *j, struct err *e)
{
#ifdef SYS_keyctl
	AUTO_FREE char *name = j->p && j->p->id ? xasprintf("_ses.%s", j->p->id) : NULL;

	if (j->p && j->p->no_new_keyring)
		return 0;
	if (syscall(SYS_keyctl, KEYCTL_JOIN_SESSION_KEYRING, name, 0, 0, 0) < 0 && errno != ENOSYS && errno != EPERM)
		return err_sys(e, -errno, "unable to join session keyring");
#endif
	return 0;
}

static int filter(struct job *j, struct err *e)
{
	AUTO_FD int listener = -1;
	struct gate_msg m = { .kind = GATE_SECCOMP };
	int r = seccomp_install(j->proc, &listener, e);

	if (r == 0 && listener >= 0) {
		r = gate_send(j->gate, &m, listener);
		if (r < 0)
			return err_sys(e, r, "handing out the seccomp descriptor");
	}
	return r;
}

int process_become(struct job *j, struct err *e)
{
	const struct plan_process *p = j->proc;
	int r, early;

	r = join_keyring(j, e);
	if (r == 0) {
		r = identity_resolve(j->m.root, p, &j->id, e);
		if (r < 0) {
			j->failure = ACT_FAILED_USER;
			return r;
		}
	}
	build_env(j);
	if (r == 0)
		r = set_scheduling(p, e);
	if (r == 0 && !j->userns) /* in a user namespace the caller has set them */
		r = process_rlimits(p, 0, e);
	if (r < 0)
		return r;
	if (p->terminal && fchown(0, j->id.uid, (gid_t)-1) < 0 && errno != EPERM && errno != EINVAL && errno != EROFS)
		return err_sys(e, -errno, "giving the terminal to the user");
	(void)umask(p->umask >= 0 ? (mode_t)p->umask : 022);
	early = enter_cwd(j, false, e);
	if (early < 0)
		return early;
	if (p->no_new_privs && prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		return err_sys(e, -errno, "setting no_new_privs");
	/* Without no_new_privs the filter needs CAP_SYS_ADMIN, so it comes before the drop; a listener is told before the gate too. */
	if (!p->no_new_privs || p->seccomp_listener)
		r = filter(j, e);
	if (r == 0)
		r = caps_bound(p->caps, e);
	if (r == 0)
		r = identity_take(&j->id, e);
	if (r == 0)
		r = caps_set(p->caps, e);
	if (r == 0 && early == 1)
		r = enter_cwd(j, true, e);
	if (r == 0)
		r = process_find(p->args[0], env_get(j->env, "PATH"), &j->program, &j->failure, e);
	/* The kernel forgets this wish when ids change, so it comes last; a parent that is gone already shows at the gate. */
	if (r == 0 && j->o->die_with_parent && prctl(PR_SET_PDEATHSIG, SIGKILL) < 0)
		return err_sys(e, -errno, "asking to end with the parent");
	return r;
}

void process_exec(struct job *j, struct err *e)
{
	const struct plan_process *p = j->proc;
	const char *label = str_empty(p->apparmor) ? p->selinux : p->apparmor;
	char *const *args = (char *const *)(uintptr_t)p->args;
	struct gate_msg m = { .kind = GATE_FAILED, .failure = ACT_FAILED_SETUP };
	sigset_t none;
	int r = 0;

	sigemptyset(&none);
	for (int s = 1; s < 65; s++)
		(void)signal(s, SIG_DFL);
	(void)sigprocmask(SIG_SETMASK, &none, NULL);
	if (j->lsm_fd >= 0) {
		AUTO_FREE char *text = str_empty(p->apparmor) ? xstrdup(label) : xasprintf("exec %s", label);

		if (write(j->lsm_fd, text, strlen(text)) < 0)
			r = err_sys(e, -errno, "unable to apply the security label %s", label);
	}
	if (r == 0 && p->no_new_privs && !p->seccomp_listener)
		r = filter(j, e);
	if (r == 0) {
		(void)execve(j->program, args, j->env);
		r = -errno;
		m.failure = ACT_FAILED_EXEC;
		(void)err_sys(e, r, "exec %s", j->program ? j->program : p->args[0]);
		/* The container has started for all the world: its own stderr is told, as runc does. */
		if (write(2, e->msg, strlen(e->msg)) > 0)
			(void)!write(2, "\n", 1);
	}
	m.sys = r;
	m.err_kind = (uint32_t)e->kind;
	(void)snprintf(m.text, sizeof m.text, "%s", e->msg);
	(void)gate_say(j->gate, &m);
	_exit(255);
}
