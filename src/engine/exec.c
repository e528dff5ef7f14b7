/* exec.c - further processes in a running container. Kept in memory only, as Docker does: an exec ends with its container. */
#include "engine/engine_private.h"
#include "act/act.h"
#include "engine/exec_private.h"
#include "stream/stream.h"

#include <sys/socket.h>

#define KEEP_ENDED_NS (300 * 1000000000LL) /* as long as dockerd keeps them at least */

static struct exec *find_locked(struct engine *en, const char *id)
{
	for (size_t i = 0; i < en->n_execs; i++)
		if (streq(en->execs[i]->id, id))
			return en->execs[i];
	return NULL;
}

void exec_free(struct exec *x)
{
	json_done(&docker_exec_options_type, &x->config);
	free(x->container);
	free(x);
}

static bool any_exec(const struct exec *x UNUSED)
{
	return true;
}

static bool unstarted_exec(const struct exec *x)
{
	return x->state == EXEC_CREATED;
}

static void forget_those(struct engine *en, const char *container_id, bool (*which)(const struct exec *x))
{
	size_t kept = 0;

	pthread_mutex_lock(&en->lock);
	for (size_t i = 0; i < en->n_execs; i++) {
		if (streq(en->execs[i]->container, container_id) && which(en->execs[i]))
			exec_free(en->execs[i]);
		else
			en->execs[kept++] = en->execs[i];
	}
	en->n_execs = kept;
	pthread_mutex_unlock(&en->lock);
}

void execs_forget(struct engine *en, const char *container_id)
{
	forget_those(en, container_id, any_exec);
}

/* Those that ran stay known, unlike in dockerd: their client has still to ask for the exit code. */
void execs_forget_unstarted(struct engine *en, const char *container_id)
{
	forget_those(en, container_id, unstarted_exec);
}

void execs_ended(struct engine *en, const char *container_id, int code)
{
	pthread_mutex_lock(&en->lock);
	for (size_t i = 0; i < en->n_execs; i++) {
		struct exec *x = en->execs[i];

		if (!streq(x->container, container_id) || (x->state != EXEC_RUNNING && x->state != EXEC_STARTING))
			continue;
		x->state = EXEC_ENDED;
		x->exit_code = code;
		x->ended_ns = time_mono_ns();
	}
	pthread_mutex_unlock(&en->lock);
}

/* en->lock held. A health check by exec every few seconds must not fill the memory in a year. */
static void forget_old(struct engine *en)
{
	int64_t before = time_mono_ns() - KEEP_ENDED_NS;
	size_t kept = 0;

	for (size_t i = 0; i < en->n_execs; i++) {
		if (en->execs[i]->state == EXEC_ENDED && en->execs[i]->ended_ns < before)
			exec_free(en->execs[i]);
		else
			en->execs[kept++] = en->execs[i];
	}
	en->n_execs = kept;
}

/* ref: what the client called it */
static int need_running(struct container *c, const char *ref, struct err *e)
{
	bool running, paused, restarting;

	pthread_mutex_lock(&c->lock);
	running = c->rec.state.running;
	paused = c->rec.state.paused;
	restarting = c->rec.state.restarting;
	pthread_mutex_unlock(&c->lock);
	if (!running)
		return err_set(e, ERR_CONFLICT, "container %s is not running", c->id);
	if (paused)
		return err_set(e, ERR_CONFLICT, "Container %s is paused, unpause the container before exec", ref);
	if (restarting)
		return err_set(e, ERR_CONFLICT, "Container %s is restarting, wait until the container is running",
			       c->id);
	return 0;
}

static void exec_event(struct container *c, const struct exec *x, const char *action)
{
	AUTO_STRMAP struct strmap more = { 0 };
	AUTO_STRB struct strb text = STRB_INIT;

	strb_addf(&text, "%s: %s ", action, x->config.cmd.v[0]);
	for (size_t i = 1; i < x->config.cmd.n; i++)
		strb_addf(&text, "%s%s", i > 1 ? " " : "", x->config.cmd.v[i]);
	strmap_set(&more, "execID", x->id);
	container_event(c, text.s, &more);
}

/* dockerd looks a user up when the exec is made, in the container's files as they are then. */
static int check_user(struct container *c, const struct exec *x, struct err *e)
{
	AUTO_STRB struct strb plan = STRB_INIT;
	AUTO_MSG struct msg m = { 0 };
	struct plan_process *p = NULL;
	struct shim_link *l;
	int r;

	if (str_empty(x->config.user))
		return 0;
	r = exec_plan(c, x, &plan, e);
	if (r < 0)
		return r;
	l = container_shim_now(c);
	if (!l)
		return err_set(e, ERR_CONFLICT, "container %s is not running", c->id);
	r = shim_call(l, &(struct shim_request){ .type = SHIM_LEND_ROOT }, &m, NULL, e);
	shim_link_unref(l);
	if (r < 0)
		return r;
	if (m.n_fds != 1)
		return err_set(e, ERR_SYSTEM, "the shim answered with message %u instead of the container's root",
			       m.type);
	r = plan_process_decode(plan.s, plan.len, &p);
	if (r < 0)
		return err_sys(e, r, "reading the process of an exec");
	r = act_identity_check(m.fds[0], p, e);
	plan_process_free(p);
	return r;
}

int exec_create(struct engine *en, const char *ref, const struct docker_exec_options *config, char **ret_id,
		struct err *e)
{
	AUTO_CONTAINER struct container *c = NULL;
	struct detach_keys keys = { 0 };
	struct exec *x;
	bool gone;
	int r = container_find(en, ref, &c, e);

	if (r < 0)
		return r;
	if (!config->cmd.n || !config->cmd.v[0] || !*config->cmd.v[0])
		return err_set(e, ERR_INVALID, "No exec command specified");
	r = need_running(c, ref, e);
	if (r == 0 && detach_keys_parse(config->detach_keys, &keys, NULL) < 0) /* ERR_SYSTEM, as dockerd: 500 */
		r = err_set(e, ERR_SYSTEM, "Invalid escape keys (%s) provided", config->detach_keys);
	if (r < 0)
		return r;
	x = xcalloc(1, sizeof *x);
	id_new(x->id);
	x->keys = keys;
	x->container = xstrdup(c->id);
	json_copy(&docker_exec_options_type, &x->config, config);
	r = check_user(c, x, e);
	if (r < 0) {
		exec_free(x);
		return r;
	}
	exec_event(c, x,
		   "exec_create"); /* while it is ours alone: in the table it may be forgotten with its container */
	*ret_id = xstrdup(x->id);
	pthread_mutex_lock(&en->lock);
	forget_old(en);
	en->execs = xrealloc(en->execs, en->n_execs + 1, sizeof *en->execs);
	en->execs[en->n_execs++] = x;
	pthread_mutex_unlock(&en->lock);
	pthread_mutex_lock(&c->lock);
	gone = c->removed;
	pthread_mutex_unlock(&c->lock);
	if (!gone)
		return 0;
	execs_forget(en, c->id); /* removed meanwhile, so nobody else will */
	free(TAKE_PTR(*ret_id));
	return err_set(e, ERR_NOT_FOUND, "No such container: %s", ref);
}

/* The exec as it was asked for: a copy, because it may be forgotten meanwhile. */
static int copy(struct engine *en, const char *id, struct exec *ret, struct err *e)
{
	const struct exec *x;

	pthread_mutex_lock(&en->lock);
	x = find_locked(en, id);
	if (x) {
		*ret = (struct exec){ .container = xstrdup(x->container), .keys = x->keys };
		memcpy(ret->id, x->id, sizeof ret->id);
		json_copy(&docker_exec_options_type, &ret->config, &x->config);
	}
	pthread_mutex_unlock(&en->lock);
	return x ? 0 : err_set(e, ERR_NOT_FOUND, "No such exec instance: %s", id);
}

/* It is started once. */
static int claim(struct engine *en, const char *id, struct err *e)
{
	struct exec *x;
	int r = 0;

	pthread_mutex_lock(&en->lock);
	x = find_locked(en, id);
	if (!x)
		r = err_set(e, ERR_NOT_FOUND, "No such exec instance: %s", id);
	else if (x->state == EXEC_RUNNING || x->state == EXEC_STARTING)
		r = err_set(e, ERR_CONFLICT, "exec command %s is already running", id);
	else if (x->state == EXEC_ENDED)
		r = err_set(e, ERR_CONFLICT, "exec command %s has already run", id);
	else
		x->state = EXEC_STARTING;
	pthread_mutex_unlock(&en->lock);
	return r;
}

static void settle(struct engine *en, const char *id, enum exec_state state, int64_t pid, int code)
{
	struct exec *x;

	pthread_mutex_lock(&en->lock);
	x = find_locked(en, id);
	if (x && x->state != EXEC_ENDED) {
		x->state = state;
		x->pid = pid;
		x->exit_code = code;
		x->ended_ns = time_mono_ns();
	}
	pthread_cond_broadcast(&en->exec_changed);
	pthread_mutex_unlock(&en->lock);
}

/* Told by the shim's news, so that an exec_die that follows at once comes after it. */
void exec_started(struct container *c, const char *id, int64_t pid)
{
	struct exec copy = { 0 };
	struct exec *x;

	pthread_mutex_lock(&c->en->lock);
	x = id ? find_locked(c->en, id) : NULL;
	if (x) {
		x->state = EXEC_RUNNING;
		x->pid = pid;
		pthread_cond_broadcast(&c->en->exec_changed);
		memcpy(copy.id, x->id, sizeof copy.id);
		strv_copy(&copy.config.cmd, &x->config.cmd);
	}
	pthread_mutex_unlock(&c->en->lock);
	if (x)
		exec_event(c, &copy, "exec_start");
	strv_done(&copy.config.cmd);
}

void exec_exited(struct engine *en, const char *id, int code)
{
	AUTO_FREE char *owner = NULL;
	AUTO_CONTAINER struct container *c = NULL;
	AUTO_STRMAP struct strmap more = { 0 };
	AUTO_FREE char *text = xasprintf("%d", code);
	struct exec *x;

	pthread_mutex_lock(&en->lock);
	x = id ? find_locked(en, id) : NULL;
	if (x) {
		x->state = EXEC_ENDED;
		x->exit_code = code;
		x->ended_ns = time_mono_ns();
		owner = xstrdup(x->container);
	}
	pthread_mutex_unlock(&en->lock);
	if (!owner || container_find(en, owner, &c, NULL) < 0)
		return;
	strmap_set(&more, "execID", id);
	strmap_set(&more, "exitCode", text);
	container_event(c, "exec_die", &more);
}

static int failed(uint32_t failure, int r, struct err *e, int *ret_code)
{
	struct err why = *e;

	*ret_code = 126;
	if (!failure)
		return r;
	if (failure == ACT_FAILED_NOT_FOUND || strstr(why.msg, "no such file or directory"))
		*ret_code = 127;
	return err_set(e, failure == ACT_FAILED_SETUP ? ERR_SYSTEM : ERR_INVALID,
		       "OCI runtime exec failed: exec failed: unable to start container process: %s%s", why.msg,
		       str_ends(why.msg, ": is a directory") ? ": permission denied" : "");
}

struct exec_session {
	struct container *c;
	struct shim_link *shim;
	struct shim_talk *talk;
	const struct exec *x;
	const struct exec_start_opts *o;
	int fd; /* the client's connection, its head written; -1 when detached */
	const void *unread;
	size_t unread_n;
};

static int session_begin(struct exec_session *s, struct err *e)
{
	AUTO_STRB struct strb plan = STRB_INIT;
	AUTO_STRB struct strb b = STRB_INIT;
	AUTO_FD int fd = -1;
	const struct docker_exec_options *q = &s->x->config;
	uint32_t flags = 0;
	int fds[2] = { -1, s->fd };
	int r = exec_plan(s->c, s->x, &plan, e);

	if (r < 0)
		return r;
	fd = memfd_of("exec", plan.s, plan.len);
	if (fd < 0)
		return err_sys(e, fd, "keeping the exec's plan");
	fds[0] = fd;
	flags |= s->o->detach ? SHIM_IO_DETACHED : 0;
	flags |= q->attach_stdin ? SHIM_IO_STDIN : 0;
	flags |= q->attach_stdout ? SHIM_IO_STDOUT : 0;
	flags |= q->attach_stderr ? SHIM_IO_STDERR : 0;
	flags |= q->tty ? SHIM_IO_TTY : 0;
	msg_put_str(&b, s->x->id);
	msg_put_u32(&b, flags);
	msg_put_bytes(&b, s->x->keys.keys, s->x->keys.n);
	msg_put_bytes(&b, s->unread, s->unread_n);
	msg_put_u32(&b, s->o->rows);
	msg_put_u32(&b, s->o->cols);
	return shim_talk_begin(
		s->shim,
		&(struct shim_request){
			.type = SHIM_EXEC, .body = b.s, .n = b.len, .fds = fds, .n_fds = s->o->detach ? 1 : 2 },
		&s->talk, e);
}

/* The head is out before the exec is claimed and the command is tried, so a failure is told on the stream, and in the exec's exit code: as dockerd does. */
static void tell_failure(struct exec_session *s, const struct err *e)
{
	AUTO_FREE char *line = xasprintf("%s\r\n", e->msg);
	AUTO_STRB struct strb b = STRB_INIT;

	if (s->x->config.tty)
		strb_adds(&b, line);
	else
		stream_add(&b, STREAM_STDOUT, line, strlen(line));
	(void)fd_write_all(s->fd, b.s, b.len);
	(void)shutdown(s->fd, SHUT_RDWR); /* a shim that did not answer may still have it in its queue */
}

static int session_run(struct exec_session *s, struct err *e)
{
	AUTO_MSG struct msg m = { 0 };
	struct engine *en = s->c->en;
	struct msg_reader rd;
	uint32_t failure = 0;
	int code = 0;
	int r = session_begin(s, e);

	if (r == 0)
		r = shim_talk_next(s->talk, SHIM_EXEC_S, &m, &failure, e);
	if (r < 0) {
		r = failed(failure, r, e, &code);
		settle(en, s->x->id, EXEC_ENDED, 0, code);
		if (s->o->detach)
			return r;
		tell_failure(s, e);
		return 0;
	}
	rd = msg_reader(m.body, m.n);
	settle(en, s->x->id, EXEC_RUNNING, msg_get_u32(&rd), 0);
	return 0;
}

int exec_start(struct engine *en, const char *id, const struct exec_start_opts *o, const struct engine_conn *conn,
	       struct err *e)
{
	AUTO_CONTAINER struct container *c = NULL;
	struct exec x = { 0 };
	struct exec_session s = { .x = &x, .o = o, .fd = -1 };
	int r = copy(en, id, &x, e);

	if (r < 0)
		return r;
	r = container_find(en, x.container, &c, e);
	if (r == 0)
		r = need_running(c, x.container, e);
	if (r == 0) {
		s.c = c;
		s.shim = container_shim_now(c);
		if (!s.shim)
			r = err_set(e, ERR_CONFLICT, "container %s is not running", c->id);
	}
	if (r == 0 && !o->detach)
		r = conn->take(conn->ctx, x.config.tty ? ENGINE_STREAM_RAW : ENGINE_STREAM_MUX, &s.fd, &s.unread,
			       &s.unread_n, e);
	if (r == 0) {
		r = claim(en, id, e);
		if (r == 0) {
			r = session_run(&s, e);
		} else if (!o->detach) {
			tell_failure(&s, e);
			r = 0;
		}
	}
	fd_closep(&s.fd);
	shim_talk_end(s.talk);
	shim_link_unref(s.shim);
	json_done(&docker_exec_options_type, &x.config);
	free(x.container);
	return r;
}

/* A client may ask before it has started the exec, or as soon as it has the response's head, which is before the command runs: dockerd
 * waits as long. */
#define RESIZE_WAIT_S 10

static int await_running(struct engine *en, const char *id, char **ret_owner, struct err *e)
{
	struct timespec end;
	const struct exec *x;
	int r = 0;

	(void)clock_gettime(CLOCK_REALTIME, &end);
	end.tv_sec += RESIZE_WAIT_S;
	pthread_mutex_lock(&en->lock);
	while ((x = find_locked(en, id)) && (x->state == EXEC_CREATED || x->state == EXEC_STARTING) && r != ETIMEDOUT)
		r = pthread_cond_timedwait(&en->exec_changed, &en->lock, &end);
	if (!x)
		r = err_set(e, ERR_NOT_FOUND, "No such exec instance: %s", id);
	else if (x->state == EXEC_ENDED && !x->pid)
		r = err_set(e, ERR_INVALID, "exec process is not started");
	else if (x->state == EXEC_ENDED)
		r = err_set(e, ERR_NOT_FOUND, "NotFound: process does not exist %s: not found", id);
	else if (x->state != EXEC_RUNNING)
		r = err_set(e, ERR_SYSTEM, "timeout waiting for exec session ready");
	else
		r = 0;
	if (r == 0)
		*ret_owner = xstrdup(x->container);
	pthread_mutex_unlock(&en->lock);
	return r;
}

int exec_resize(struct engine *en, const char *id, uint32_t rows, uint32_t cols, struct err *e)
{
	AUTO_FREE char *owner = NULL;
	AUTO_CONTAINER struct container *c = NULL;
	struct shim_link *l;
	AUTO_STRB struct strb b = STRB_INIT;
	int r = await_running(en, id, &owner, e);

	if (r == 0)
		r = container_find(en, owner, &c, e);
	if (r < 0)
		return r;
	l = container_shim_now(c);
	if (!l)
		return err_set(e, ERR_CONFLICT, "container %s is not running", c->id);
	msg_put_str(&b, id);
	msg_put_u32(&b, rows);
	msg_put_u32(&b, cols);
	r = shim_call(l, &(struct shim_request){ .type = SHIM_RESIZE, .body = b.s, .n = b.len }, NULL, NULL, e);
	shim_link_unref(l);
	if (r == -ESRCH) /* it has just ended */
		return err_set(e, ERR_NOT_FOUND, "NotFound: process does not exist %s: not found", id);
	return r == -ENOTTY ? 0 : r; /* dockerd has no window to resize either, and says nothing */
}

/* The shim tells the exec's end before it ends the client's stream. The client, who then asks for the exit code, may be faster
 * than our receiving thread: once the shim has answered, what it told before has been heard. */
static void hear_news(struct engine *en, const char *id)
{
	AUTO_FREE char *owner = NULL;
	AUTO_CONTAINER struct container *c = NULL;
	const struct exec *x;
	struct shim_link *l;

	pthread_mutex_lock(&en->lock);
	x = find_locked(en, id);
	owner = x && (x->state == EXEC_STARTING || x->state == EXEC_RUNNING) ? xstrdup(x->container) : NULL;
	pthread_mutex_unlock(&en->lock);
	if (!owner || container_find(en, owner, &c, NULL) < 0)
		return;
	l = container_shim_now(c);
	if (!l)
		return;
	(void)shim_call(l, &(struct shim_request){ .type = SHIM_SYNC }, NULL, NULL, NULL);
	shim_link_unref(l);
}

int exec_inspect(struct engine *en, const char *id, struct docker_exec_inspect *ret, struct err *e)
{
	const struct exec *x;

	hear_news(en, id);
	pthread_mutex_lock(&en->lock);
	x = find_locked(en, id);
	if (x)
		exec_fill_inspect(x, ret);
	pthread_mutex_unlock(&en->lock);
	return x ? 0 : err_set(e, ERR_NOT_FOUND, "No such exec instance: %s", id);
}

void container_exec_ids(struct container *c, struct strv *ret)
{
	struct engine *en = c->en;

	pthread_mutex_lock(&en->lock);
	for (size_t i = 0; i < en->n_execs; i++)
		if (streq(en->execs[i]->container, c->id) && en->execs[i]->state != EXEC_ENDED)
			strv_add(ret, en->execs[i]->id);
	pthread_mutex_unlock(&en->lock);
}

void exec_fill_inspect(const struct exec *x, struct docker_exec_inspect *r)
{
	r->id = xstrdup(x->id);
	r->running = x->state == EXEC_RUNNING || x->state == EXEC_STARTING;
	r->exit_code = (struct json_oint){ x->state == EXEC_ENDED, x->exit_code };
	r->process_config.tty = x->config.tty;
	r->process_config.entrypoint = xstrdup(x->config.cmd.v[0]);
	for (size_t i = 1; i < x->config.cmd.n; i++)
		strv_add(&r->process_config.arguments, x->config.cmd.v[i]);
	r->process_config.privileged = (struct json_obool){ true, x->config.privileged };
	r->process_config.user = xstrdup(x->config.user);
	r->open_stdin = x->config.attach_stdin;
	r->open_stdout = x->config.attach_stdout;
	r->open_stderr = x->config.attach_stderr;
	r->container_id = xstrdup(x->container);
	r->detach_keys = base64_encode(x->keys.keys, x->keys.n); /* bytes, as Go writes them */
	r->pid = x->pid;
}
