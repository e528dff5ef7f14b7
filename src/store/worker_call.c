/* worker_call.c - hoyd's side of a job for hoy-worker. */
#include "store/worker_call.h"
#include "base/kernel.h"

#include <signal.h>
#include <sys/wait.h>

int worker_start(const char *path, const char *verb, uint16_t type, const struct strb *body, const int *fds,
		 size_t n_fds, struct worker *ret, struct err *e)
{
	char *argv[] = { (char *)(uintptr_t) "hoy-worker", (char *)(uintptr_t)verb, NULL };
	AUTO_WORKER struct worker w = WORKER_NONE;
	AUTO_FD int theirs = -1;
	int pair[2] = { -1, -1 };
	int r = msg_pair(pair);

	if (r < 0)
		return err_sys(e, r, "making a socket for hoy-worker");
	w.sock = pair[0];
	theirs = pair[1];
	r = proc_spawn(&(struct proc_opts){ .path = path,
					    .argv = argv,
					    .fds = &(struct proc_fd){ .from = theirs, .to = WORKER_SOCKET },
					    .n_fds = 1,
					    .die_with_parent = true },
		       &w.pid, &w.pidfd);
	if (r < 0)
		return err_sys(e, r, "starting %s", path);
	fd_closep(&theirs);
	r = msg_send(w.sock, type, 1, strb_str(body), body->len, fds, n_fds);
	if (r < 0)
		return err_sys(e, r, "talking to hoy-worker %s", verb);
	*ret = w;
	w = WORKER_NONE;
	return 0;
}

static int died(struct worker *w, struct err *e)
{
	int status = 0;

	if (w->pid > 0 && proc_wait(w->pid, &status) == 0) {
		w->pid = -1;
		if (WIFSIGNALED(status))
			return err_set(e, ERR_SYSTEM, "hoy-worker was killed by signal %d", WTERMSIG(status));
		return err_set(e, ERR_SYSTEM, "hoy-worker ended with status %d", WEXITSTATUS(status));
	}
	return err_set(e, ERR_SYSTEM, "hoy-worker is gone");
}

int worker_answer(struct worker *w, uint16_t want, struct msg *ret, struct err *e)
{
	return worker_answer_watched(w, want, NULL, NULL, ret, e);
}

int worker_answer_watched(struct worker *w, uint16_t want, void (*progress)(void *ctx, int64_t done), void *ctx,
			  struct msg *ret, struct err *e)
{
	AUTO_MSG struct msg m = { 0 };
	int r = msg_recv(w->sock, &m);

	while (r > 0 && m.type == WORKER_PROGRESS) {
		struct msg_reader rd = msg_reader(m.body, m.n);
		int64_t done = msg_get_i64(&rd);

		if (progress && !rd.bad && done >= 0)
			progress(ctx, done);
		msg_done(&m);
		m = (struct msg){ 0 };
		r = msg_recv(w->sock, &m);
	}

	if (r == 0 || r == -ECONNRESET)
		return died(w, e);
	if (r < 0)
		return err_sys(e, r, "talking to hoy-worker");
	if (m.type == WORKER_ERROR) {
		struct msg_reader rd = msg_reader(m.body, m.n);
		uint32_t kind = msg_get_u32(&rd), number = msg_get_u32(&rd);
		const char *text = msg_get_str(&rd);

		if (kind < ERR_SYSTEM || kind > ERR_TIMEOUT)
			kind = ERR_SYSTEM;
		r = err_set(e, (enum err_kind)kind, "%s", text ? text : "hoy-worker failed");
		if (number > 0 && number < 4096) {
			r = -(int)number;
			if (e)
				e->sys = r;
		}
		return r;
	}
	if (m.type != want)
		return err_set(e, ERR_SYSTEM, "hoy-worker answered something else");
	*ret = m;
	m = (struct msg){ 0 };
	return 0;
}

void worker_done(struct worker *w)
{
	int status = 0;

	fd_closep(&w->sock);
	if (w->pid > 0) {
		if (w->pidfd >= 0)
			(void)sys_pidfd_send_signal(w->pidfd, SIGKILL);
		(void)proc_wait(w->pid, &status);
	}
	fd_closep(&w->pidfd);
	w->pid = -1;
}
