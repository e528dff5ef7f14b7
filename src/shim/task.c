/* task.c - the container's process: prepared, started, ended, and what it leaves behind. Its exit is told first; its namespaces and
 * cgroup go afterwards in a throw-away child, because the last user of an overlay waits until the upper directory is synced. An overlay
 * that is not synced (volatile) costs no child: hoyd, which removes such a container, is about to tell us to end. */
#include "shim/core.h"
#include "base/kernel.h"

#include <signal.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/wait.h>

#define WAIT_FOR_HOYD_NS (100 * MS)
#define CLEAN_BY_NS (50 * MS)
#define REST_AFTER_NS (1000 * MS)
#define EXEC_DRAIN_NS (2000 * MS) /* as dockerd: what still holds a finished exec's pipes gets two seconds */

/* ---- plans arrive as memfds ---- */
static int read_plan(int fd, char **ret, size_t *ret_n)
{
	struct stat st = { 0 };
	AUTO_FREE char *p = NULL;
	size_t done = 0, n;

	if (fd < 0 || fstat(fd, &st) < 0 || !S_ISREG(st.st_mode))
		return -EBADMSG;
	if (st.st_size <= 0 || st.st_size > PLAN_BYTES_MAX)
		return -EMSGSIZE;
	n = (size_t)st.st_size;
	p = xmalloc(n);
	while (done < n) {
		ssize_t r = pread(fd, p + done, n - done, (off_t)done);

		if (r <= 0)
			return r < 0 ? -errno : -EBADMSG;
		done += (size_t)r;
	}
	*ret = TAKE_PTR(p);
	*ret_n = n;
	return 0;
}

void task_event(struct shim *s, uint32_t what, const char *exec_id, int64_t a, int64_t b, const char *text, bool kept)
{
	if (kept) {
		control_send_event(s, journal_add(&s->journal, what, exec_id, a, b, text));
	} else {
		struct event ev = { .what = what };

		msg_put_i64(&ev.body, 0);
		msg_put_u32(&ev.body, what);
		msg_put_i64(&ev.body, time_now_ns());
		msg_put_str(&ev.body, exec_id);
		msg_put_i64(&ev.body, a);
		msg_put_i64(&ev.body, b);
		msg_put_str(&ev.body, text);
		control_send_event(s, &ev);
		strb_done(&ev.body);
	}
}

/* ---- cleaning up ---- */
static int by_number(const void *a, const void *b)
{
	return *(const int *)a - *(const int *)b;
}

/* The child keeps nothing but the namespaces and the cgroup trees: a connection of a client must not stay open because of it. */
static void keep_only(int *fds, size_t n)
{
	unsigned next = 3;

	qsort(fds, n, sizeof *fds, by_number);
	for (size_t i = 0; i < n; i++) {
		if (fds[i] < 3)
			continue;
		if ((unsigned)fds[i] > next)
			(void)sys_close_range(next, (unsigned)fds[i] - 1, 0);
		next = (unsigned)fds[i] + 1;
	}
	(void)sys_close_range(next, ~0U, 0);
}

static void clean_later(struct shim *s)
{
	int fds[PLAN_NS_COUNT + 2 + ACT_CGROUP_FDS_MAX];
	size_t n = 0;
	bool again = s->restart.at_ns; /* then the network stays as hoyd has configured it */

	for (int i = 0; i < PLAN_NS_COUNT; i++)
		fds[n++] = s->child.ns[i];
	fds[n++] = s->child.root_fd;
	fds[n++] = s->netns;
	n += act_cgroup_fds(fds + n);
	s->cleaner = fork();
	if (s->cleaner == 0) {
		keep_only(fds, n);
		if (s->cgroup)
			(void)act_cgroup_remove(s->cgroup);
		_exit(0);
	}
	act_child_done(&s->child);
	s->child = ACT_CHILD_INIT;
	if (!again)
		fd_closep(&s->netns);
	if (s->cleaner < 0 && s->cgroup) /* no memory for a child: then we wait ourselves */
		(void)act_cgroup_remove(s->cgroup);
}

/* Here and now: only where nothing is slow about it. */
void task_clean_now(struct shim *s)
{
	if (!s->clean_by)
		return;
	s->clean_by = 0;
	act_child_done(&s->child);
	s->child = ACT_CHILD_INIT;
	fd_closep(&s->netns);
	if (s->cgroup)
		(void)act_cgroup_remove(s->cgroup);
}

void task_clean_wait(struct shim *s)
{
	task_clean_now(s);
	if (s->cleaner > 0)
		(void)waitpid(s->cleaner, NULL, 0);
	s->cleaner = -1;
}

/* In a child, for dropping the last one may take a while. */
void task_drop_netns(struct shim *s)
{
	task_clean_wait(s);
	clean_later(s);
}

/* ---- start ---- */
static void forget_start(struct shim *s)
{
	if (s->state != RUNNING)
		s->failed_seq = s->start_seq;
	loop_close(&s->loop, &s->oom);
	if (!s->restart.at_ns)
		relay_drop_all(s);
	io_finish(&s->io);
	s->state = IDLE;
	s->start_seq = 0;
	s->frozen = false;
}

static void kill_child(struct shim *s)
{
	if (s->child.pid > 0) {
		(void)kill(s->child.pid, SIGKILL);
		(void)waitpid(s->child.pid, NULL, 0);
	}
	if (s->cgroup)
		(void)act_cgroup_kill(s->cgroup);
	clean_later(s);
}

void task_give_up(struct shim *s)
{
	if (s->state != PREPARED)
		return;
	kill_child(s);
	forget_start(s);
}

static int lend_netns(struct shim *s, uint32_t seq, struct err *e)
{
	int fds[3] = { s->netns, -1, -1 };
	int r = netlink_pair(s->netns, fds + 1);

	if (r < 0)
		return err_sys(e, r, "opening netlink sockets in the container's network namespace");
	r = control_reply(s, seq, SHIM_NETNS, NULL, fds, 3);
	fd_closep(&fds[1]);
	fd_closep(&fds[2]);
	return r < 0 ? err_sys(e, r, "lending the network namespace") : 0;
}

static void close_ends(int ends[3])
{
	for (int i = 0; i < 3; i++)
		fd_closep(&ends[i]);
}

static int create(struct shim *s, struct plan *p, const int *slots, size_t n_slots, struct err *e)
{
	struct act_opts o = ACT_OPTS_INIT;
	int ends[3] = { -1, -1, -1 };
	int r = 0;

	o.slots = slots;
	o.n_slots = n_slots;
	o.die_with_parent = true;
	s->io.tty = p->process.terminal;
	if (!p->process.terminal) {
		r = io_make(&s->io, s->cfg & SHIM_CFG_OPEN_STDIN, ends);
		if (r < 0)
			return err_sys(e, r, "making pipes");
		memcpy(o.stdio, ends, sizeof ends);
	}
	r = act_create(p, &o, &s->child, e);
	close_ends(ends);
	if (r < 0)
		return r;
	if (p->process.terminal) {
		r = io_terminal(&s->io, TAKE_FD(s->child.terminal));
		if (r < 0)
			return err_sys(e, r, "taking the terminal");
	}
	return 0;
}

static int prepare(struct shim *s, uint32_t seq, struct plan *p, int *slots, size_t n_slots, bool *ret_waits,
		   struct err *e)
{
	struct plan_ns_choice *net = &p->ns[PLAN_NS_NET];
	bool new_net = net->mode == 1, new_user = p->ns[PLAN_NS_USER].mode == 1;
	int r;

	free(s->cgroup);
	s->cgroup = xstrdup(p->cgroup.path);
	s->own_pidns = p->ns[PLAN_NS_PID].mode == 1;
	s->unsynced = p->n_mounts && p->mounts[0].extra & PLAN_MOUNT_VOLATILE;
	s->own_userns = new_user;
	*ret_waits = new_net;
	if (new_net && !new_user) { /* early: hoyd configures it while we prepare the rest */
		r = s->netns >= 0 ? 0 : act_netns_new(&s->netns, e);
		if (r == 0 && seq)
			r = lend_netns(s, seq, e);
		if (r < 0)
			return r;
		*net = (struct plan_ns_choice){ .mode = 3, .slot = (int32_t)n_slots };
		slots[n_slots++] = s->netns;
	}
	r = create(s, p, slots, n_slots, e);
	if (r == 0 && new_net && new_user) { /* it belongs to the container's user namespace */
		s->netns = fcntl(s->child.ns[PLAN_NS_NET], F_DUPFD_CLOEXEC, 3);
		r = s->netns < 0 ? err_sys(e, -errno, "keeping the network namespace") : lend_netns(s, seq, e);
	}
	return r;
}

int task_start(struct shim *s, uint32_t seq, struct msg *m, struct err *e)
{
	AUTO_FREE char *bytes = NULL;
	struct plan *p = NULL;
	int slots[MSG_FDS_MAX + 1];
	size_t n = 0, n_slots = m->n_fds ? m->n_fds - 1 : 0;
	bool waits = false;
	int r;

	if (s->state != IDLE || s->restart.at_ns)
		return err_set(e, ERR_CONFLICT, "the container is already running");
	if (s->quit)
		return err_set(e, ERR_CONFLICT, "the shim is ending");
	if (s->wait_by) /* the last exit's waiters must not wait for this run's */
		wait_answer_all(s, WAIT_EXITED);
	task_clean_wait(s);
	r = read_plan(m->n_fds ? m->fds[0] : -1, &bytes, &n);
	if (r == 0)
		r = plan_decode(bytes, n, &p);
	if (r < 0)
		return err_sys(e, r, "reading the start plan");
	restart_reset(s);
	(void)restart_keep(s, msg_take_fd(m, 0), m->fds + 1, n_slots);
	for (size_t i = 0; i < n_slots; i++)
		slots[i] = m->fds[i + 1];
	s->child = ACT_CHILD_INIT;
	s->start_seq = seq;
	s->failed_seq = 0;
	r = prepare(s, seq, p, slots, n_slots, &waits, e);
	plan_free(p);
	if (r < 0) {
		enum act_failure failure = s->child.failure;

		kill_child(s);
		forget_start(s);
		s->child.failure = failure;
		return r;
	}
	s->state = PREPARED;
	return waits ? 0 : task_go(s, e);
}

int task_again(struct shim *s, struct err *e)
{
	AUTO_FREE char *bytes = NULL;
	struct plan *p = NULL;
	int slots[MSG_FDS_MAX + 1];
	bool waits = false;
	size_t n = 0;
	int r = read_plan(s->restart.plan, &bytes, &n);

	if (r == 0)
		r = plan_decode(bytes, n, &p);
	if (r < 0)
		return err_sys(e, r, "reading the plan of the last start");
	for (size_t i = 0; i < p->n_mounts; i++) /* only new volumes of a new container are filled */
		((struct plan_mount *)p->mounts)[i].extra &= ~(uint32_t)PLAN_MOUNT_VOLUME_COPYUP;
	memcpy(slots, s->restart.slots, s->restart.n_slots * sizeof *slots);
	if (s->wait_by)
		wait_answer_all(s, WAIT_EXITED);
	s->child = ACT_CHILD_INIT;
	s->start_seq = 0;
	r = prepare(s, 0, p, slots, s->restart.n_slots, &waits, e);
	plan_free(p);
	if (r == 0) {
		s->state = PREPARED;
		return task_go(s, e);
	}
	{
		enum act_failure failure = s->child.failure;

		kill_child(s);
		forget_start(s);
		s->child.failure = failure;
	}
	return r;
}

static void oom_ready(struct source *src, uint32_t events)
{
	struct shim *s = (struct shim *)((char *)src - offsetof(struct shim, oom));
	char waste[4096];
	int64_t count = act_cgroup_oom_count(s->cgroup);

	if (read(src->fd, waste, sizeof waste) <= 0 || events & EPOLLERR)
		loop_close(&s->loop, src);
	if (count <= s->oom_seen)
		return;
	s->oom_seen = count;
	s->oomed = true;
	task_event(s, SHIM_EV_OOM, NULL, 0, 0, NULL, true);
}

static void watch_oom(struct shim *s)
{
	s->oomed = false;
	s->oom_seen = 0;
	s->oom = (struct source){ .fd = -1, .ready = oom_ready };
	if (s->cgroup && act_cgroup_oom_fd(s->cgroup, &s->oom.fd) == 0)
		loop_want(&s->loop, &s->oom, EPOLLIN);
}

int task_go(struct shim *s, struct err *e)
{
	AUTO_STRB struct strb body = STRB_INIT;
	uint32_t seq = s->start_seq;
	int r;

	if (s->state != PREPARED)
		return err_set(e, ERR_CONFLICT, "nothing is prepared");
	watch_oom(s); /* before it runs: a small limit may strike in its first instruction */
	r = act_start(&s->child, e);
	if (r < 0 && s->child.failure != ACT_FAILED_EXEC) { /* that one ran: it says so on stderr and exits with 255 */
		enum act_failure failure = s->child.failure;

		kill_child(s);
		forget_start(s);
		s->child.failure = failure;
		return r;
	}
	s->state = RUNNING;
	s->started_ns = time_now_ns();
	s->restart.began_ns = time_mono_ns();
	io_begin(&s->io);
	msg_put_u32(&body, (uint32_t)s->child.pid);
	msg_put_i64(&body, s->started_ns);
	if (seq) /* nobody asked for a restart */
		(void)control_reply(s, seq, SHIM_STARTED, &body, NULL, 0);
	task_event(s, SHIM_EV_START, NULL, s->child.pid, s->restart.count, NULL, true);
	return 0;
}

/* ---- exit ---- */
static void container_exited(struct shim *s, int status)
{
	bool again;

	s->child.pid = -1; /* reaped: the number may be somebody else's soon */
	if (s->cgroup && !s->own_pidns)
		(void)act_cgroup_kill(s->cgroup);
	if (s->state == PREPARED) {
		control_error(s, s->start_seq, -ECHILD, ACT_FAILED_SETUP,
			      "the container's first process was killed before it could start");
		clean_later(s);
		forget_start(s);
		return;
	}
	if (s->cgroup && act_cgroup_oom_count(s->cgroup) > s->oom_seen) {
		s->oomed = true;
		task_event(s, SHIM_EV_OOM, NULL, 0, 0, NULL, true);
	}
	s->exit_code = proc_exit_code(status);
	io_drain(&s->io);
	again = restart_plan(s);
	forget_start(s);
	task_event(s, SHIM_EV_EXIT, NULL, s->exit_code, (s->oomed ? SHIM_EXIT_OOM : 0) | (again ? SHIM_EXIT_AGAIN : 0),
		   NULL, true);
	s->exit_seq = s->journal.newest;
	s->wait_by = time_mono_ns() + WAIT_FOR_HOYD_NS;
	if (!s->hello)
		wait_answer_all(s, WAIT_EXITED);
	follow_pump_all(s, true);
	if (!s->unsynced) /* who removes itself leaves nothing that an exit code could belong to after a power loss */
		(void)journal_sync(&s->journal);
	if (s->unsynced && s->own_pidns && s->hello && !again)
		s->clean_by = time_mono_ns() + CLEAN_BY_NS;
	else
		clean_later(s);
}

void task_reap(struct shim *s)
{
	int status = 0, init_status = 0;
	bool init_gone = false;
	pid_t pid;

	while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
		struct exec *x = s->execs;

		if (pid == s->child.pid) { /* after its execs, which may have ended with it */
			init_gone = true;
			init_status = status;
			continue;
		}
		if (pid == s->cleaner) {
			s->cleaner = -1;
			continue;
		}
		for (struct relay *r = s->relays; r; r = r->next)
			if (r->pid == pid)
				r->pid = -1;
		while (x && x->child.pid != pid)
			x = x->next;
		if (x)
			task_exec_exited(s, x, status);
	}
	if (init_gone)
		container_exited(s, init_status);
}

/* ---- while it runs ---- */
int task_signal(struct shim *s, int signo, bool all)
{
	int r;

	if (s->state != RUNNING)
		return -ESRCH;
	if (all && s->cgroup)
		r = signo == SIGKILL && !s->frozen ? act_cgroup_kill(s->cgroup) : act_cgroup_signal(s->cgroup, signo);
	else
		r = sys_pidfd_send_signal(s->child.pidfd, signo) < 0 ? -errno : 0;
	if (signo == SIGKILL && s->frozen && s->cgroup) { /* a frozen process does not even die */
		(void)act_cgroup_freeze(s->cgroup, false, NULL);
		s->frozen = false;
	}
	return r;
}

int task_freeze(struct shim *s, bool frozen, struct err *e)
{
	int r;

	if (s->state != RUNNING || !s->cgroup)
		return err_set(e, ERR_CONFLICT, "the container is not running");
	r = act_cgroup_freeze(s->cgroup, frozen, e);
	if (r == 0)
		s->frozen = frozen;
	return r;
}

static int resize(struct io *io, uint32_t rows, uint32_t cols)
{
	struct winsize w = { .ws_row = (unsigned short)rows, .ws_col = (unsigned short)cols };

	if (!io->tty || io->out[0].fd < 0)
		return -ENOTTY;
	return ioctl(io->out[0].fd, TIOCSWINSZ, &w) < 0 ? -errno : 0;
}

int task_resize(struct shim *s, const char *exec_id, uint32_t rows, uint32_t cols)
{
	if (!exec_id)
		return s->state == RUNNING ? resize(&s->io, rows, cols) : -ESRCH;
	for (struct exec *x = s->execs; x; x = x->next)
		if (streq(x->id, exec_id))
			return resize(&x->io, rows, cols);
	return -ESRCH;
}

/* ---- execs ---- */
static void exec_free(struct shim *s, struct exec *x)
{
	for (struct exec **p = &s->execs; *p; p = &(*p)->next) {
		if (*p == x) {
			*p = x->next;
			break;
		}
	}
	io_finish(&x->io);
	act_child_done(&x->child);
	free(x->id);
	free(x);
}

/* Its code is told at once; its streams end when nothing holds them, or after a while. */
void task_exec_exited(struct shim *s, struct exec *x, int status)
{
	x->exited = true;
	x->child.pid = -1;
	x->deadline = time_mono_ns() + EXEC_DRAIN_NS;
	io_drain(&x->io);
	task_event(s, SHIM_EV_EXEC_EXIT, x->id, proc_exit_code(status), 0, NULL, true);
	if (x->io.out[0].fd < 0 && x->io.out[1].fd < 0)
		exec_free(s, x);
}

static int exec_process(struct shim *s, struct exec *x, struct plan_process *p, bool keep_stdin, struct err *e)
{
	struct act_target t = {
		.ns = s->child.ns, .init_pidfd = s->child.pidfd, .init_pid = s->child.pid, .cgroup = s->cgroup
	};
	struct act_opts o = ACT_OPTS_INIT;
	int ends[3] = { -1, -1, -1 };
	int r = 0;

	o.die_with_parent = true;
	if (!p->terminal) {
		r = io_make(&x->io, keep_stdin, ends);
		if (r < 0)
			return err_sys(e, r, "making pipes");
		memcpy(o.stdio, ends, sizeof ends);
	}
	r = act_exec(p, &t, &o, &x->child, e);
	close_ends(ends);
	if (r == 0 && p->terminal)
		r = io_terminal(&x->io, TAKE_FD(x->child.terminal));
	return r;
}

int task_exec(struct shim *s, uint32_t seq, struct msg *m, enum act_failure *ret_failure, struct err *e)
{
	struct msg_reader in = msg_reader(m->body, m->n);
	const char *id = msg_get_str(&in);
	uint32_t flags = msg_get_u32(&in), rows, cols;
	size_t n_keys = 0, n_input = 0, n = 0;
	const char *keys = msg_get_bytes(&in, &n_keys);
	const char *input = msg_get_bytes(&in, &n_input);
	AUTO_STRB struct strb body = STRB_INIT;
	AUTO_FREE char *bytes = NULL;
	struct detach_keys k = { .n = MIN(n_keys, sizeof k.keys) };
	struct plan_process *p = NULL;
	struct exec *x = NULL;
	int r;

	rows = msg_get_u32(&in);
	cols = msg_get_u32(&in);
	if (in.bad || !id || m->n_fds < (flags & SHIM_IO_DETACHED ? 1 : 2))
		return err_sys(e, -EBADMSG, "reading an exec request");
	if (s->state != RUNNING)
		return err_set(e, ERR_CONFLICT, "the container is not running");
	if (s->frozen) /* its process would freeze in the cgroup before it has told us anything, and we with it */
		return err_set(e, ERR_CONFLICT, "Container %s is paused, unpause the container before exec", s->o.id);
	r = read_plan(m->fds[0], &bytes, &n);
	if (r == 0)
		r = plan_process_decode(bytes, n, &p);
	if (r < 0)
		return err_sys(e, r, "reading the process of an exec");
	if (rows && cols) {
		p->rows = rows;
		p->cols = cols;
	}
	x = xcalloc(1, sizeof *x);
	*x = (struct exec){ .next = s->execs, .id = xstrdup(id), .child = ACT_CHILD_INIT };
	io_init(&x->io, s);
	s->execs = x;
	r = exec_process(s, x, p, flags & SHIM_IO_STDIN && !(flags & SHIM_IO_DETACHED), e);
	plan_process_free(p);
	if (r < 0) {
		*ret_failure = x->child.failure;
		exec_free(s, x);
		return r;
	}
	if (n_keys)
		memcpy(k.keys, keys, k.n);
	if (!(flags & SHIM_IO_DETACHED))
		attach_new(&x->io, msg_take_fd(m, 1), flags, id, &k, input, n_input);
	io_begin(&x->io);
	msg_put_u32(&body, (uint32_t)x->child.pid);
	msg_put_i64(&body, time_now_ns());
	(void)control_reply(s, seq, SHIM_STARTED, &body, NULL, 0);
	task_event(s, SHIM_EV_EXEC_START, x->id, x->child.pid, 0, NULL, true);
	return 0;
}

/* ---- time ---- */
void task_timers(struct shim *s, int64_t now)
{
	for (struct exec *x = s->execs, *next; x; x = next) {
		next = x->next;
		if (x->exited && (now >= x->deadline || (x->io.out[0].fd < 0 && x->io.out[1].fd < 0)))
			exec_free(s, x);
	}
	for (struct conn *c = s->conns, *next; c; c = next) {
		next = c->next;
		if (c->lingering && now >= c->deadline)
			conn_close(c);
	}
	if (s->wait_by && now >= s->wait_by)
		wait_answer_all(s, WAIT_EXITED);
	if (s->clean_by && now >= s->clean_by) { /* hoyd is busy with something else */
		s->clean_by = 0;
		clean_later(s);
	}
	if (s->restart.at_ns && now >= s->restart.at_ns)
		restart_now(s);
	if (s->busy_ns && now >= s->busy_ns + REST_AFTER_NS) {
		s->busy_ns = 0;
		io_rest();
		if (s->log)
			logfile_rest(s->log);
	}
}

int64_t task_next_timer(const struct shim *s)
{
	int64_t t = s->wait_by ? s->wait_by : INT64_MAX;

	if (s->clean_by)
		t = MIN(t, s->clean_by);
	if (s->restart.at_ns)
		t = MIN(t, s->restart.at_ns);
	if (s->busy_ns)
		t = MIN(t, s->busy_ns + REST_AFTER_NS);
	for (const struct exec *x = s->execs; x; x = x->next)
		if (x->exited)
			t = MIN(t, x->deadline);
	for (const struct conn *c = s->conns; c; c = c->next)
		if (c->lingering)
			t = MIN(t, c->deadline);
	return t;
}
