/* shim.c - putting it together: signals, the listener, the loop. */
#include "shim/core.h"

#include <signal.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>

#ifndef SO_PEERCRED
#define SO_PEERCRED 17
#endif
#define LAST_WORDS_NS (3000 * MS)

struct peer { /* struct ucred, which not every libc shows */
	pid_t pid;
	uid_t uid;
	gid_t gid;
};

static void listener_ready(struct source *src, uint32_t events)
{
	struct shim *s = (struct shim *)((char *)src - offsetof(struct shim, listener));
	AUTO_FD int fd = accept4(src->fd, NULL, NULL, SOCK_CLOEXEC);
	struct peer peer = { 0 };
	socklen_t n = sizeof peer;

	if (fd < 0 || getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &n) < 0 || peer.uid != geteuid())
		return;
	control_open(s, TAKE_FD(fd));
}

static void signals_ready(struct source *src, uint32_t events)
{
	struct shim *s = (struct shim *)((char *)src - offsetof(struct shim, signals));
	struct signalfd_siginfo info;

	while (read(src->fd, &info, sizeof info) == sizeof info)
		;
	task_reap(s);
}

/* SIGCHLD is read; the others would end us and with us the container: a shim ends when told so by hoyd. */
static int take_signals(struct shim *s)
{
	static const int ours[] = { SIGCHLD, SIGPIPE, SIGTERM, SIGINT, SIGHUP };
	sigset_t set;

	(void)sigemptyset(&set);
	for (size_t i = 0; i < ARRAY_LEN(ours); i++)
		(void)sigaddset(&set, ours[i]);
	if (sigprocmask(SIG_SETMASK, &set, NULL) < 0)
		return -errno;
	s->signals.fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	return s->signals.fd < 0 ? -errno : 0;
}

static int setup(struct shim *s, const struct shim_opts *o, struct err *e)
{
	int r, fd;

	if ((r = loop_open(&s->loop)) < 0 || (r = take_signals(s)) < 0)
		return err_sys(e, r, "preparing the event loop");
	if (prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) < 0)
		return err_sys(e, -errno, "becoming subreaper");
	if ((r = journal_open(&s->journal, o->folder, "journal")) < 0)
		return err_sys(e, r, "opening the journal");
	io_init(&s->io, s);
	loop_want(&s->loop, &s->signals, EPOLLIN);
	s->listener.fd = fcntl(o->listener, F_DUPFD_CLOEXEC, 3);
	if (s->listener.fd >= 0) {
		(void)fd_nonblock(s->listener.fd, true);
		(void)listen(s->listener.fd, SOMAXCONN); /* again: who connects is told by the kernel who listens, us */
	}
	loop_want(&s->loop, &s->listener, EPOLLIN);
	fd = fcntl(o->hoyd, F_DUPFD_CLOEXEC, 3);
	if (fd < 0)
		return err_sys(e, -errno, "keeping hoyd's connection");
	control_open(s, fd);
	return 0;
}

static int timeout(const struct shim *s, int64_t now)
{
	int64_t t = task_next_timer(s);

	if (s->hoyd_gone_ns && s->state == IDLE)
		t = MIN(t, now + 1000 * MS); /* to see that there is nothing left to do */
	if (t == INT64_MAX)
		return -1;
	return (int)MIN(MAX((t - now) / MS + 1, 0), 60000);
}

static void done(struct shim *s)
{
	while (s->conns)
		conn_close(s->conns);
	relay_drop_all(s);
	task_clean_wait(s);
	logfile_free(s->log);
	journal_done(&s->journal);
	loop_close(&s->loop, &s->control);
	loop_close(&s->loop, &s->listener);
	loop_close(&s->loop, &s->signals);
	fd_closep(&s->loop.epoll);
	act_child_done(&s->child);
	restart_done(s);
	strb_done(&s->io.queue);
	free(s->cgroup);
	free(s->log_name);
}

/* Told to end: clients still get what is on its way to them. */
static void last_words(struct shim *s)
{
	int64_t until = time_mono_ns() + LAST_WORDS_NS;

	for (struct conn *c = s->conns, *next; c; c = next) {
		next = c->next;
		if (conn_pending(c) == 0 && !c->lingering)
			conn_close(c);
	}
	while (s->conns && time_mono_ns() < until && loop_turn(&s->loop, 100) >= 0)
		task_timers(s, time_mono_ns());
}

int shim_run(const struct shim_opts *o, struct err *e)
{
	struct shim s = { .o = *o,
			  .control = { .fd = -1 },
			  .listener = { .fd = -1, .ready = listener_ready },
			  .signals = { .fd = -1, .ready = signals_ready },
			  .oom = { .fd = -1 },
			  .child = ACT_CHILD_INIT,
			  .netns = -1,
			  .cleaner = -1,
			  .restart = { .plan = -1 } };
	int r = setup(&s, o, e);

	while (r >= 0 && !s.stop) {
		int64_t now = time_mono_ns();

		r = loop_turn(&s.loop, timeout(&s, now));
		now = time_mono_ns();
		task_timers(&s, now);
		control_maybe_end(&s, now);
	}
	if (r >= 0) {
		AUTO_FREE char *name = xasprintf("%s.sock", o->id);

		last_words(&s);
		if (!s.quit)
			(void)unlinkat(o->run_dir, name, 0);
	}
	done(&s);
	return r < 0 ? r : 0;
}
