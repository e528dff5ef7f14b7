/* container_stop.c - ending, signalling, pausing: what changes a running container without replacing it. */
#include "engine/engine_private.h"
#include "act/act.h"

#include <signal.h>

#define DEFAULT_STOP_S 10
#define KILL_WAIT_S 10

static const struct {
	const char *name;
	int number;
} signals[] = {
#define S(n) \
	{ \
#n, SIG##n \
	}
	S(ABRT),
	S(ALRM),
	S(BUS),
	S(CHLD),
	S(CONT),
	S(FPE),
	S(HUP),
	S(ILL),
	S(INT),
	S(IO),
	S(KILL),
	S(PIPE),
	S(POLL),
	S(PROF),
	S(PWR),
	S(QUIT),
	S(SEGV),
	S(STKFLT),
	S(STOP),
	S(SYS),
	S(TERM),
	S(TRAP),
	S(TSTP),
	S(TTIN),
	S(TTOU),
	S(URG),
	S(USR1),
	S(USR2),
	S(VTALRM),
	S(WINCH),
	S(XCPU),
	S(XFSZ),
#undef S
	{ "CLD", SIGCHLD },
	{ "IOT", SIGABRT },
};

static int real_time_signal(const char *s)
{
	int64_t n = 0;
	const char *rest;

	if (streq(s, "RTMIN"))
		return 34;
	if (streq(s, "RTMAX"))
		return 64;
	rest = str_after(s, "RTMIN+");
	if (rest && str_to_i64(rest, &n) == 0 && n >= 0 && n <= 15)
		return 34 + (int)n;
	rest = str_after(s, "RTMAX-");
	if (rest && str_to_i64(rest, &n) == 0 && n >= 0 && n <= 14)
		return 64 - (int)n;
	return 0;
}

int signal_parse(const char *text, int *ret, struct err *e)
{
	AUTO_FREE char *upper = xstrdup(text);
	const char *s = upper;
	int64_t n = 0;
	int rt;

	if (str_to_i64(text, &n) == 0) {
		if (n == 0)
			return err_set(e, ERR_INVALID, "invalid signal: %s", text);
		if (n < 0 || n > 64 || n == 32 || n == 33) /* 32 and 33 are libc's own */
			return err_set(e, ERR_INVALID, "the linux daemon does not support signal %lld", (long long)n);
		*ret = (int)n;
		return 0;
	}
	for (char *p = upper; *p; p++)
		if (*p >= 'a' && *p <= 'z')
			*p = (char)(*p - 32);
	if (str_after(s, "SIG"))
		s += 3;
	for (size_t i = 0; i < ARRAY_LEN(signals); i++)
		if (streq(signals[i].name, s)) {
			*ret = signals[i].number;
			return 0;
		}
	rt = real_time_signal(s);
	if (!rt)
		return err_set(e, ERR_INVALID, "invalid signal: %s", text);
	*ret = rt;
	return 0;
}

static int send_signal(struct container *c, int sig, bool all, bool stop_intent, struct err *e)
{
	struct shim_link *l = container_shim_now(c);
	AUTO_STRB struct strb b = STRB_INIT;
	int r;

	if (!l)
		return err_set(e, ERR_CONFLICT, "container %s is not running", c->id);
	msg_put_u32(&b, (uint32_t)sig);
	msg_put_u32(&b, all);
	msg_put_u32(&b, stop_intent);
	r = shim_call(l, &(struct shim_request){ .type = SHIM_SIGNAL, .body = b.s, .n = b.len }, NULL, NULL, e);
	shim_link_unref(l);
	return r;
}

/* Until the container has ended, or timeout; <0 = for ever. True when it has. */
static bool wait_ended(struct container *c, int64_t timeout_s)
{
	struct timespec end;
	bool ended;

	(void)clock_gettime(CLOCK_MONOTONIC, &end);
	end.tv_sec += (time_t)MIN(timeout_s, (int64_t)INT32_MAX);
	pthread_mutex_lock(&c->lock);
	while (c->rec.state.running) {
		if (timeout_s < 0)
			pthread_cond_wait(&c->changed, &c->lock);
		else if (pthread_cond_timedwait(&c->changed, &c->lock, &end) == ETIMEDOUT)
			break;
	}
	ended = !c->rec.state.running;
	pthread_mutex_unlock(&c->lock);
	return ended;
}

static int freeze(struct container *c, bool frozen, struct err *e)
{
	struct shim_link *l = container_shim_now(c);
	AUTO_STRB struct strb b = STRB_INIT;
	int r;

	if (!l)
		return err_set(e, ERR_CONFLICT, "container %s is not running", c->id);
	msg_put_u32(&b, frozen);
	r = shim_call(
		l,
		&(struct shim_request){ .type = SHIM_FREEZE, .body = b.s, .n = b.len, .patience_s = SHIM_CALL_S + 2 },
		NULL, NULL, e);
	if (r ==
	    SHIM_SILENT) { /* if it wakes up it will do as it was told: told at once to undo it, since we say that it failed */
		strb_clear(&b);
		msg_put_u32(&b, !frozen);
		(void)shim_tell(l, &(struct shim_request){ .type = SHIM_FREEZE, .body = b.s, .n = b.len });
	}
	shim_link_unref(l);
	if (r == 0) {
		pthread_mutex_lock(&c->lock);
		c->rec.state.paused = frozen && c->rec.state.running;
		container_unlock(c);
	}
	return r;
}

/* Before the signal is sent: what it brings about must not be told first. */
static void tell_kill(struct container *c, int sig)
{
	AUTO_STRMAP struct strmap more = { 0 };
	AUTO_FREE char *number = xasprintf("%d", sig);

	strmap_set(&more, "signal", number);
	container_event(c, "kill", &more);
}

/* Durable before the signal is sent. Where the disk is full the signal is sent all the same: stopping is how space is made. */
static void note_intent(struct container *c)
{
	struct err e = ERR_INIT;

	if (container_save(c, &e) < 0)
		log_error("container %s: %s", c->id, e.msg);
}

/* op held */
static int container_stop_op(struct container *c, const char *signal, int64_t timeout_s, struct err *e)
{
	int sig = SIGTERM, r;

	pthread_mutex_lock(&c->lock);
	if (str_empty(signal))
		signal = c->rec.config.stop_signal;
	if (timeout_s == STOP_TIMEOUT_DEFAULT)
		timeout_s = c->rec.config.stop_timeout.set ? c->rec.config.stop_timeout.v : DEFAULT_STOP_S;
	r = str_empty(signal) ? 0 : signal_parse(signal, &sig, e);
	if (r == 0)
		c->rec.state.stop_requested = true;
	pthread_mutex_unlock(&c->lock);
	if (r < 0)
		return r;
	if (!container_running(c))
		return 0;
	note_intent(c);
	/* A container that ends just now is not an error of stop. */
	tell_kill(c, sig);
	r = send_signal(c, sig, false, true, NULL);
	if (r == SHIM_SILENT && timeout_s > 0) /* that was waiting too */
		timeout_s = MAX(timeout_s - SHIM_CALL_S, (int64_t)0);
	if (!wait_ended(c, timeout_s)) {
		log_info("container %s did not end within %lld s of signal %d: killing it", c->id, (long long)timeout_s,
			 sig);
		tell_kill(c, SIGKILL);
		if (send_signal(c, SIGKILL, false, true, NULL) == SHIM_SILENT)
			(void)container_shim_kill(c, e);
		if (!wait_ended(c, KILL_WAIT_S)) {
			(void)send_signal(c, SIGKILL, true, true, NULL);
			if (!wait_ended(c, KILL_WAIT_S))
				return err_set(e, ERR_SYSTEM,
					       "tried to kill container, but did not receive an exit event");
		}
	}
	container_event(c, "stop", NULL);
	return 0;
}

int container_stop(struct engine *en, const char *ref, const char *signal, int64_t timeout_s, struct err *e)
{
	AUTO_CONTAINER struct container *c = NULL;
	struct err why = ERR_INIT;
	int r = container_find(en, ref, &c, e);

	if (r < 0)
		return r;
	pthread_mutex_lock(&c->op);
	if (!container_running(c))
		r = err_set(e, ERR_NOT_MODIFIED, "container already stopped");
	else if (container_stop_op(c, signal, timeout_s, &why) < 0) /* whatever it is: dockerd answers 500 */
		r = err_set(e, ERR_SYSTEM, "cannot stop container: %s: %s", ref, why.msg);
	pthread_mutex_unlock(&c->op);
	return r;
}

int container_restart(struct engine *en, const char *ref, const char *signal, int64_t timeout_s, struct err *e)
{
	AUTO_CONTAINER struct container *c = NULL;
	struct err why = ERR_INIT;
	int r = container_find(en, ref, &c, e);

	if (r < 0)
		return r;
	pthread_mutex_lock(&c->op); /* auto-remove cannot fire between stop and start: it waits for this lock */
	r = container_stop_op(c, signal, timeout_s, &why);
	if (r == 0)
		r = container_start_op(c, &why);
	pthread_mutex_unlock(&c->op);
	if (r < 0) /* whatever it is: dockerd answers 500 */
		return err_set(e, ERR_SYSTEM, "Cannot restart container %s: %s", ref, why.msg);
	container_event(c, "restart", NULL);
	return 0;
}

/* Not an operation that waits: takes no op lock, so that a long stop can be cut short by a kill. */
int container_kill(struct engine *en, const char *ref, const char *signal, struct err *e)
{
	AUTO_CONTAINER struct container *c = NULL;
	int sig = SIGKILL, own = 0;
	bool stops;
	int r = str_empty(signal) ? 0 : signal_parse(signal, &sig, e);

	if (r == 0)
		r = container_find(en, ref, &c, e);
	if (r < 0)
		return err_wrap(e, r, "cannot kill container: %s", ref);
	if (!container_running(c))
		return err_set(e, ERR_CONFLICT, "cannot kill container: %s: container %s is not running", ref, c->id);
	pthread_mutex_lock(&c->lock);
	stops = sig == SIGKILL || str_empty(c->rec.config.stop_signal) ||
		(signal_parse(c->rec.config.stop_signal, &own, NULL) == 0 && own == sig);
	pthread_mutex_unlock(&c->lock);
	if (stops) { /* meant to end it, as dockerd sees it: any signal where the container names none of its own */
		pthread_mutex_lock(&c->lock);
		c->rec.state.stop_requested = true;
		pthread_mutex_unlock(&c->lock);
		note_intent(c);
	}
	tell_kill(c, sig);
	r = send_signal(c, sig, false, stops, e);
	if (r == SHIM_SILENT && sig == SIGKILL)
		r = container_shim_kill(c, e);
	if (r == -ESRCH) /* it has just ended */
		return err_set(e, ERR_CONFLICT, "cannot kill container: %s: container %s is not running", ref, c->id);
	if (r < 0)
		return err_wrap(e, r, "cannot kill container: %s", ref);
	if (sig == SIGKILL) {
		bool paused;

		pthread_mutex_lock(&c->lock);
		paused = c->rec.state.paused;
		pthread_mutex_unlock(&c->lock);
		if (paused) /* a frozen process of cgroup v1 dies only when thawed */
			(void)freeze(c, false, NULL);
		(void)wait_ended(c, KILL_WAIT_S);
	}
	return 0;
}

int container_pause(struct engine *en, const char *ref, struct err *e)
{
	AUTO_CONTAINER struct container *c = NULL;
	bool running, paused;
	int r = container_find(en, ref, &c, e);

	if (r < 0)
		return r;
	pthread_mutex_lock(&c->op);
	pthread_mutex_lock(&c->lock);
	running = c->rec.state.running;
	paused = c->rec.state.paused;
	pthread_mutex_unlock(&c->lock);
	if (!running)
		r = err_set(e, ERR_CONFLICT, "container %s is not running", c->id);
	else if (paused)
		r = err_set(e, ERR_CONFLICT, "Container %s is already paused", c->id);
	else
		r = freeze(c, true, e);
	if (r == 0)
		r = container_save(c, e);
	pthread_mutex_unlock(&c->op);
	if (r == 0)
		container_event(c, "pause", NULL);
	return r;
}

int container_unpause(struct engine *en, const char *ref, struct err *e)
{
	AUTO_CONTAINER struct container *c = NULL;
	bool paused;
	int r = container_find(en, ref, &c, e);

	if (r < 0)
		return r;
	pthread_mutex_lock(&c->op);
	pthread_mutex_lock(&c->lock);
	paused = c->rec.state.paused;
	pthread_mutex_unlock(&c->lock);
	r = paused ? freeze(c, false, e) : err_set(e, ERR_SYSTEM, "Container %s is not paused", c->id);
	if (r == 0)
		r = container_save(c, e);
	pthread_mutex_unlock(&c->op);
	if (r == 0)
		container_event(c, "unpause", NULL);
	return r;
}
