/* control.c - hoyd's messages. Anything may come in them: whatever is wrong is answered with an error and changes nothing. */
#include "shim/core.h"

#include <poll.h>
#include <sys/socket.h>

#define SEND_WAIT_MS 2000

struct request { /* of one message */
	struct shim *s;
	struct msg *m;
	struct msg_reader in;
	struct err e;
	enum act_failure failure;
};
enum { REPLY_OK, REPLY_NONE }; /* what a handler returns on success: its caller answers OK, or it has answered */

static void drop_hoyd(struct shim *s)
{
	loop_close(&s->loop, &s->control);
	s->hello = false;
	s->hoyd_gone_ns = time_mono_ns();
	task_give_up(s); /* nobody is left to say go */
	if (s->wait_by)
		wait_answer_all(s, WAIT_EXITED);
}

/* A hoyd that does not read is dropped after a while: it connects again and gets the journal. */
static int send_message(struct shim *s, uint32_t seq, uint16_t type, const struct strb *body, const int *fds,
			size_t n_fds)
{
	for (;;) {
		struct pollfd p = { .fd = s->control.fd, .events = POLLOUT };
		int r;

		if (s->control.fd < 0)
			return -ENOTCONN;
		r = msg_send(s->control.fd, type, seq, body ? body->s : NULL, body ? body->len : 0, fds, n_fds);
		if (r != -EAGAIN)
			return r;
		if (poll(&p, 1, SEND_WAIT_MS) <= 0)
			return -ETIMEDOUT;
	}
}

int control_reply(struct shim *s, uint32_t seq, uint16_t type, const struct strb *body, const int *fds, size_t n_fds)
{
	int r = send_message(s, seq, type, body, fds, n_fds);

	if (r == -ETIMEDOUT) /* end of file follows, and with it the rest */
		(void)shutdown(s->control.fd, SHUT_RDWR);
	return r;
}

void control_error(struct shim *s, uint32_t seq, int r, enum act_failure f, const char *text)
{
	AUTO_STRB struct strb body = STRB_INIT;

	msg_put_u32(&body, (uint32_t)-r);
	msg_put_u32(&body, f);
	msg_put_str(&body, text);
	(void)control_reply(s, seq, SHIM_ERROR, &body, NULL, 0);
}

void control_send_event(struct shim *s, const struct event *ev)
{
	if (s->hello)
		(void)control_reply(s, 0, SHIM_EVENT, &ev->body, NULL, 0);
}

static uint32_t count_attached(const struct shim *s)
{
	uint32_t n = 0;

	for (const struct conn *c = s->conns; c; c = c->next)
		n += c->kind == CONN_ATTACH && c->io == &s->io;
	return n;
}

/* ---- handlers ---- */
static int on_hello(struct request *q)
{
	struct shim *s = q->s;
	AUTO_STRB struct strb body = STRB_INIT;
	int64_t known;

	(void)msg_get_u32(&q->in); /* its version: layouts only grow, so any is understood */
	known = msg_get_i64(&q->in);
	if (q->in.bad)
		return -EBADMSG;
	journal_known(&s->journal, known);
	msg_put_u32(&body, SHIM_PROTO_VERSION);
	msg_put_u32(&body, s->state == RUNNING);
	msg_put_u32(&body, s->state == RUNNING ? (uint32_t)s->child.pid : 0);
	msg_put_i64(&body, s->started_ns);
	msg_put_i64(&body, MAX(s->journal.newest, s->journal.acked));
	msg_put_u32(&body, s->frozen);
	msg_put_u32(&body, count_attached(s));
	msg_put_u32(&body, s->restart.at_ns != 0);
	(void)control_reply(s, q->m->seq, SHIM_STATE, &body, NULL, 0);
	s->hello = true;
	for (size_t i = 0; i < s->journal.events.n; i++)
		control_send_event(s, &s->journal.events.v[i]);
	return REPLY_NONE;
}

static int on_config(struct request *q)
{
	struct shim *s = q->s;
	uint32_t flags = msg_get_u32(&q->in);
	const char *driver = msg_get_str(&q->in);
	int64_t max_size = msg_get_i64(&q->in);
	uint32_t max_file = msg_get_u32(&q->in);
	const char *name = msg_get_str(&q->in), *attrs = msg_get_str(&q->in);
	struct logfile_opts o = { .max_size = max_size, .max_file = max_file, .attrs = attrs };
	struct logfile *log = NULL;
	int r;

	if (q->in.bad || !driver)
		return -EBADMSG;
	if (s->state != IDLE)
		return err_set(&q->e, ERR_CONFLICT, "the container is running");
	if (!streq(driver, "none") && !streq(driver, "json-file"))
		return err_set(&q->e, ERR_INVALID, "the shim has no log driver %s", driver);
	if (streq(driver, "json-file")) {
		r = logfile_open(s->o.folder, str_empty(name) ? "" : name, &o, &log);
		if (r < 0)
			return err_sys(&q->e, r, "opening the log %s", name ? name : "");
	}
	logfile_free(s->log);
	free(s->log_name);
	s->log = log;
	s->log_name = xstrdup(name);
	s->cfg = flags;
	s->io.logged = log;
	s->io.tty = flags & SHIM_CFG_TTY;
	return REPLY_OK;
}

static int on_start(struct request *q)
{
	int r = task_start(q->s, q->m->seq, q->m, &q->e);

	q->failure = q->s->child.failure;
	return r < 0 ? r : REPLY_NONE;
}

static int on_go(struct request *q)
{
	struct shim *s = q->s;
	uint32_t refused = msg_get_u32(&q->in);
	int r;

	if (q->in.bad)
		return -EBADMSG;
	if (q->m->seq == s->failed_seq) /* it crossed the news that the start has failed */
		return REPLY_NONE;
	if (s->state != PREPARED || q->m->seq != s->start_seq)
		return err_set(&q->e, ERR_CONFLICT, "nothing is prepared");
	if (refused) {
		task_give_up(s);
		return err_sys(&q->e, -ECANCELED, "the start was given up");
	}
	r = task_go(s, &q->e);
	q->failure = s->child.failure;
	return r < 0 ? r : REPLY_NONE;
}

static int on_signal(struct request *q)
{
	uint32_t signo = msg_get_u32(&q->in), all = msg_get_u32(&q->in), stop = msg_get_u32(&q->in);

	if (q->in.bad || signo > 64)
		return -EBADMSG;
	if (stop) {
		q->s->restart.stopping = true;
		if (q->s->restart.at_ns) {
			restart_cancel(q->s);
			return REPLY_OK;
		}
	}
	return task_signal(q->s, (int)signo, all);
}

static int on_freeze(struct request *q)
{
	uint32_t frozen = msg_get_u32(&q->in);

	return q->in.bad ? -EBADMSG : task_freeze(q->s, frozen, &q->e);
}

static int on_attach(struct request *q)
{
	uint32_t flags = msg_get_u32(&q->in);
	struct detach_keys k = { 0 };
	size_t n_keys = 0, n = 0;
	const char *keys = msg_get_bytes(&q->in, &n_keys), *input = msg_get_bytes(&q->in, &n);

	if (q->in.bad || q->m->n_fds < 1)
		return -EBADMSG;
	k.n = MIN(n_keys, sizeof k.keys);
	if (k.n)
		memcpy(k.keys, keys, k.n);
	attach_new(&q->s->io, msg_take_fd(q->m, 0), flags, NULL, &k, input, n);
	return REPLY_OK;
}

static int on_attach_close(struct request *q)
{
	attach_end_all(&q->s->io);
	io_balance(&q->s->io);
	return REPLY_OK;
}

static int on_follow(struct request *q)
{
	uint32_t flags = msg_get_u32(&q->in);
	int64_t since = msg_get_i64(&q->in), until = msg_get_i64(&q->in);
	const char *file = msg_get_str(&q->in);
	int64_t offset = msg_get_i64(&q->in);
	struct logfile_pos pos = { 0 };

	if (q->in.bad || q->m->n_fds < 1 || !file || logfile_pos_parse(file, offset, &pos) < 0)
		return -EBADMSG;
	return follow_new(q->s, msg_take_fd(q->m, 0), flags, since, until, &pos, &q->e);
}

static int on_log_mark(struct request *q)
{
	AUTO_STRB struct strb body = STRB_INIT;
	char file[LOGFILE_POS_TEXT] = "";
	struct logfile_pos pos;

	if (!q->s->log)
		return err_sys(&q->e, -ENOENT, "the container has no log file");
	pos = logfile_end_pos(q->s->log);
	logfile_pos_format(&pos, file);
	msg_put_str(&body, file);
	msg_put_i64(&body, pos.offset);
	(void)control_reply(q->s, q->m->seq, SHIM_LOG_AT, &body, NULL, 0);
	return REPLY_NONE;
}

static int on_wait(struct request *q)
{
	uint32_t condition = msg_get_u32(&q->in), flags = msg_get_u32(&q->in);

	if (q->in.bad || q->m->n_fds < 1 || condition > 1)
		return -EBADMSG;
	wait_new(q->s, msg_take_fd(q->m, 0), flags, condition);
	return REPLY_OK;
}

static int on_exec(struct request *q)
{
	int r = task_exec(q->s, q->m->seq, q->m, &q->failure, &q->e);

	return r < 0 ? r : REPLY_NONE;
}

static int on_resize(struct request *q)
{
	const char *id = msg_get_str(&q->in);
	uint32_t rows = msg_get_u32(&q->in), cols = msg_get_u32(&q->in);

	return q->in.bad ? -EBADMSG : task_resize(q->s, id, rows, cols);
}

static int on_ack(struct request *q)
{
	struct shim *s = q->s;
	int64_t seq = msg_get_i64(&q->in);

	if (q->in.bad)
		return REPLY_NONE;
	journal_known(&s->journal, MIN(seq, s->journal.newest));
	if (s->wait_by && seq >= s->exit_seq)
		wait_answer_all(s, WAIT_EXITED);
	return REPLY_NONE;
}

static int on_lend_ns(struct request *q)
{
	uint32_t mask = msg_get_u32(&q->in), given = 0;
	AUTO_STRB struct strb body = STRB_INIT;
	int fds[PLAN_NS_COUNT];
	size_t n = 0;

	if (q->in.bad)
		return -EBADMSG;
	for (int i = 0; i < PLAN_NS_COUNT; i++) {
		if (!(mask & 1U << i) || q->s->child.ns[i] < 0 || q->s->state != RUNNING)
			continue;
		given |= 1U << i;
		fds[n++] = q->s->child.ns[i];
	}
	msg_put_u32(&body, given);
	(void)control_reply(q->s, q->m->seq, SHIM_NS, &body, fds, n);
	return REPLY_NONE;
}

static int on_lend_netlink(struct request *q)
{
	struct shim *s = q->s;
	int netns = s->netns >= 0 ? s->netns : s->child.ns[PLAN_NS_NET];
	int fds[3] = { -1, -1, netns };
	int r;

	if ((s->state == IDLE && !s->restart.at_ns) || netns < 0)
		return err_set(&q->e, ERR_CONFLICT, "the container has no network namespace of its own");
	r = netlink_pair(netns, fds);
	if (r < 0)
		return r;
	(void)control_reply(s, q->m->seq, SHIM_NETLINK, NULL, fds, 3);
	fd_closep(&fds[0]);
	fd_closep(&fds[1]);
	return REPLY_NONE;
}

static int on_lend_root(struct request *q)
{
	if (q->s->state != RUNNING || q->s->child.root_fd < 0)
		return err_set(&q->e, ERR_CONFLICT, "the container is not running");
	(void)control_reply(q->s, q->m->seq, SHIM_ROOT, NULL, &q->s->child.root_fd, 1);
	return REPLY_NONE;
}

static int on_update(struct request *q)
{
	size_t n = 0;
	const void *bytes = msg_get_bytes(&q->in, &n);
	struct plan *p = NULL;
	int r;

	if (q->in.bad)
		return -EBADMSG;
	r = plan_decode(bytes, n, &p);
	if (r < 0)
		return r;
	if (q->s->state != RUNNING || !q->s->cgroup || !streq(p->cgroup.path, q->s->cgroup))
		r = err_set(&q->e, ERR_CONFLICT, "the container is not running");
	else
		r = act_cgroup_update(&p->cgroup, &q->e);
	plan_free(p);
	return r;
}

static int on_reserve(struct request *q)
{
	uint32_t n = msg_get_u32(&q->in);

	if (q->in.bad || n > MSG_FDS_MAX || n > q->m->n_fds)
		return -EBADMSG;
	if (n == 0)
		relay_drop_all(q->s);
	for (uint32_t i = 0; i < n; i++) {
		uint32_t relayed = msg_get_u32(&q->in);
		const char *proto = msg_get_str(&q->in), *target = msg_get_str(&q->in);
		uint32_t port = msg_get_u32(&q->in);
		int r = -EBADMSG;

		if (!q->in.bad && port <= 65535 && (!relayed || (proto && target)))
			r = relay_add(q->s, msg_take_fd(q->m, i), relayed, proto, target, (uint16_t)port);
		if (r < 0)
			return err_sys(&q->e, r, "keeping a published port");
	}
	return REPLY_OK;
}

static int on_restart(struct request *q)
{
	uint32_t policy = msg_get_u32(&q->in), max = msg_get_u32(&q->in);

	if (q->in.bad || policy > SHIM_RESTART_ON_FAILURE)
		return -EBADMSG;
	q->s->restart.policy = policy;
	q->s->restart.max = max;
	return REPLY_OK;
}

static int on_sync(struct request *q)
{
	(void)q;
	return REPLY_OK;
}

static int on_quit(struct request *q)
{
	struct shim *s = q->s;

	restart_cancel(s);
	if (s->state != IDLE)
		return err_sys(&q->e, -EBUSY, "the container is running");
	s->quit = true;
	s->quit_seq = q->m->seq;
	return REPLY_NONE; /* when everything is cleaned up: control_maybe_end */
}

/* clang-format off */
static const struct {
	uint16_t type;
	int (*handle)(struct request *q);
} handlers[] = {
	{ SHIM_HELLO, on_hello },           { SHIM_CONFIG, on_config },             { SHIM_START, on_start },
	{ SHIM_GO, on_go },                 { SHIM_SIGNAL, on_signal },             { SHIM_FREEZE, on_freeze },
	{ SHIM_ATTACH, on_attach },         { SHIM_FOLLOW, on_follow },             { SHIM_LOG_MARK, on_log_mark },
	{ SHIM_WAIT, on_wait },             { SHIM_EXEC, on_exec },
	{ SHIM_RESIZE, on_resize },         { SHIM_ACK, on_ack },                   { SHIM_LEND_NS, on_lend_ns },
	{ SHIM_LEND_NETLINK, on_lend_netlink }, { SHIM_QUIT, on_quit },             { SHIM_LEND_ROOT, on_lend_root },
	{ SHIM_UPDATE, on_update },         { SHIM_RESERVE, on_reserve },           { SHIM_ATTACH_CLOSE, on_attach_close },
	{ SHIM_RESTART, on_restart },       { SHIM_SYNC, on_sync },
};
/* clang-format on */

void control_message(struct shim *s, struct msg *m)
{
	struct request q = { .s = s, .m = m, .in = msg_reader(m->body, m->n) };
	int r = -ENOSYS;

	for (size_t i = 0; i < ARRAY_LEN(handlers); i++)
		if (handlers[i].type == m->type)
			r = handlers[i].handle(&q);
	if (r == REPLY_OK)
		(void)control_reply(s, m->seq, SHIM_OK, NULL, NULL, 0);
	else if (r < 0)
		control_error(s, m->seq, r, q.failure, *q.e.msg ? q.e.msg : strerror(-r));
}

static void ready(struct source *src, uint32_t events)
{
	struct shim *s = (struct shim *)((char *)src - offsetof(struct shim, control));
	AUTO_MSG struct msg m = { 0 };
	int r = msg_recv(src->fd, &m);

	if (r == -EAGAIN)
		return;
	if (r > 0)
		control_message(s, &m);
	else if (r == -EBADMSG)
		control_error(s, 0, r, 0, "malformed message");
	else
		drop_hoyd(s);
}

void control_open(struct shim *s, int fd)
{
	if (s->control.fd >= 0)
		drop_hoyd(s);
	(void)fd_nonblock(fd, true);
	s->control = (struct source){ .fd = fd, .ready = ready };
	s->hoyd_gone_ns = 0;
	loop_want(&s->loop, &s->control, EPOLLIN);
}

/* ---- the end ---- */
static bool idle_conns_only(struct shim *s)
{
	for (const struct conn *c = s->conns; c; c = c->next)
		if (c->kind == CONN_ATTACH || conn_pending(c))
			return false;
	return true;
}

#define GONE_NS (10000 * MS)

void control_maybe_end(struct shim *s, int64_t now)
{
	bool clean = s->state == IDLE && !s->restart.at_ns && s->cleaner <= 0 && !s->execs;

	if (clean && s->quit)
		task_clean_now(s);
	if (!clean || s->clean_by)
		return;
	if (s->quit) {
		attach_end_all(&s->io);
		wait_answer_all(s, WAIT_EVERYBODY);
		follow_pump_all(s, true);
		loop_close(&s->loop, &s->listener); /* from here on a new shim may take our place */
		{
			AUTO_FREE char *name = xasprintf("%s.sock", s->o.id);

			(void)unlinkat(s->o.run_dir, name, 0);
		}
		(void)control_reply(s, s->quit_seq, SHIM_OK, NULL, NULL, 0);
		s->stop = true;
	} else if (s->hoyd_gone_ns && now - s->hoyd_gone_ns > GONE_NS && s->journal.events.n == 0 &&
		   idle_conns_only(s)) {
		s->stop = true;
	}
}
