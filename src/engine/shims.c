/* shims.c - a container and its shim: starting one where it is needed, hearing its news, letting it go, finding it again. */
#include "engine/engine_private.h"
#include "act/act.h"
#include "shim/shim.h"

#include <fcntl.h>
#include <sys/socket.h>

/* ---- background threads: slow work that follows from news ---- */
struct job {
	struct engine *en;
	void *(*f)(void *);
	void *arg;
};

static void job_main(void *arg)
{
	struct job *j = arg;
	struct engine *en = j->en;

	(void)j->f(j->arg);
	free(j);
	engine_background_end(en);
}

void engine_background_end(struct engine *en)
{
	pthread_mutex_lock(&en->lock);
	if (--en->background == 0)
		pthread_cond_broadcast(&en->idle);
	pthread_mutex_unlock(&en->lock);
}

int engine_background(struct engine *en, void *(*f)(void *), void *arg)
{
	struct job *j = xmalloc(sizeof *j);
	int r;

	*j = (struct job){ .en = en, .f = f, .arg = arg };
	pthread_mutex_lock(&en->lock);
	en->background++;
	pthread_mutex_unlock(&en->lock);
	r = threads_run(en->threads, job_main, j);
	if (r < 0) {
		free(j);
		engine_background_end(en);
	}
	return r;
}

/* ---- news ---- */
struct after {
	struct container *c;
	struct shim_link *link; /* NULL: the shim is dead */
	int64_t seq;
	bool exited;
};

static void *after_news(void *arg)
{
	struct after *a = arg;
	struct err e = ERR_INIT;

	/* The record first, then the acknowledgement: a hoyd that dies between hears it again. What is removed at once needs neither:
	 * until its record is gone, its journal tells the next hoyd why it should be. */
	if (!a->exited || !container_removes_itself(a->c)) {
		if (container_save(a->c, &e) < 0)
			log_error("container %s: %s", a->c->id, e.msg);
		else if (a->link && a->seq)
			shim_ack(a->link, a->seq);
	}
	if (a->exited) {
		pthread_mutex_lock(&a->c->op);
		container_after_exit(a->c);
		pthread_mutex_unlock(&a->c->op);
	}
	shim_link_unref(a->link);
	container_unref(a->c);
	free(a);
	return NULL;
}

static void later(struct container *c, struct shim_link *l, int64_t seq, bool exited)
{
	struct after *a = xmalloc(sizeof *a);

	*a = (struct after){ .c = container_ref(c), .link = l ? shim_link_ref(l) : NULL, .seq = seq, .exited = exited };
	if (engine_background(c->en, after_news, a) < 0)
		(void)after_news(a);
}

/* flags: SHIM_EXIT_*. Who will be started again counts as running: its address and its shim are kept. */
static void exited(struct container *c, int64_t seq, int64_t time_ns, int code, int64_t flags)
{
	AUTO_STRMAP struct strmap more = { 0 };
	AUTO_FREE char *exit_code = xasprintf("%d", code);
	AUTO_FREE char *duration = NULL;
	bool was_running, oom = flags & SHIM_EXIT_OOM, again = flags & SHIM_EXIT_AGAIN;

	execs_forget_unstarted(c->en, c->id);
	pthread_mutex_lock(&c->lock);
	was_running = c->rec.state.running && !c->rec.state.restarting; /* the end of a wait was told when it began */
	c->rec.state.running = c->rec.state.restarting = again;
	c->rec.state.paused = false;
	c->rec.state.pid = 0;
	c->rec.state.exit_code = code;
	c->rec.state.oom_killed |= oom;
	c->rec.state.finished_ns = time_ns;
	c->rec.state.journal_seq = MAX(c->rec.state.journal_seq, seq);
	c->exits++;
	duration = xasprintf("%lld", (long long)((time_ns - c->rec.state.started_ns) / 1000000000));
	strmap_set(&more, "exitCode", exit_code);
	strmap_set(&more, "execDuration", duration);
	if (was_running)
		container_event_locked(c, "die",
				       &more); /* before anyone who waits for the end can tell what comes of it */
	container_unlock(c);
}

/* True where a start operation is waiting for this and will save the record itself. */
static bool started(struct container *c, const struct shim_news *n)
{
	struct container_state *s = &c->rec.state;
	bool awaited;

	pthread_mutex_lock(&c->lock);
	s->running = true;
	s->paused = s->oom_killed = s->restarting = false;
	if (n->b == 0) /* by hand, not by the shim */
		s->stop_requested = false;
	c->rec.restarts = n->b;
	s->pid = n->a;
	s->started_ns = n->time_ns;
	s->exit_code = 0;
	s->journal_seq = MAX(s->journal_seq, n->seq);
	free(TAKE_PTR(s->error));
	c->starts++;
	awaited = c->starting;
	container_unlock(c);
	container_event(c, "start", NULL); /* here, so that no "die" can come before it */
	return awaited;
}

static void on_news(void *owner, struct shim_link *link, const struct shim_news *n)
{
	struct container *c = owner;

	if (n->seq) {
		bool old;

		/* A record that knows the number of a start or exit must know the start or exit itself: those two set it with the state. */
		pthread_mutex_lock(&c->lock);
		old = n->seq <= c->rec.state.journal_seq;
		if (!old && n->event != SHIM_EV_START && n->event != SHIM_EV_EXIT)
			c->rec.state.journal_seq = n->seq;
		pthread_mutex_unlock(&c->lock);
		if (old) {
			shim_ack(link, n->seq);
			return;
		}
	}
	switch (n->event) {
	case SHIM_EV_START:
		if (started(c, n))
			return;
		break;
	case SHIM_EV_EXIT:
		exited(c, n->seq, n->time_ns, (int)n->a, n->b);
		later(c, link, n->seq, !(n->b & SHIM_EXIT_AGAIN));
		return;
	case SHIM_EV_OOM:
		pthread_mutex_lock(&c->lock);
		c->rec.state.oom_killed = true;
		container_unlock(c);
		container_event(c, "oom", NULL);
		break;
	case SHIM_EV_EXEC_START:
		exec_started(c, n->exec_id, n->a);
		break;
	case SHIM_EV_EXEC_EXIT:
		exec_exited(c->en, n->exec_id, (int)n->a);
		break;
	case SHIM_EV_DETACH:
		container_event(c, n->exec_id ? "exec_detach" : "detach", NULL);
		break;
	default:
		break;
	}
	if (n->seq)
		later(c, link, n->seq, false);
}

/* A shim that dies takes its container with it. shim_lock held: a new shim uses the same cgroup and socket. */
static void shim_died(struct container *c)
{
	AUTO_FREE char *cgroup = xasprintf("%s/%s", c->en->cgroup_parent, c->id);
	AUTO_FREE char *name = xasprintf("%s.sock", c->id);

	(void)act_cgroup_kill(cgroup);
	(void)act_cgroup_remove(cgroup);
	(void)unlinkat(c->en->shims_fd, name, 0);
}

/* shim_lock held. Whoever comes first, the thread that buries or one that wants a new shim. */
static void clear_after_dead(struct container *c)
{
	bool died;

	pthread_mutex_lock(&c->lock);
	died = c->shim_died;
	c->shim_died = false;
	pthread_mutex_unlock(&c->lock);
	if (died)
		shim_died(c);
}

static void *bury(void *arg)
{
	struct container *c = arg;
	struct err e = ERR_INIT;

	pthread_mutex_lock(&c->shim_lock);
	clear_after_dead(c);
	pthread_mutex_unlock(&c->shim_lock);
	execs_ended(c->en, c->id, 137);
	/* Before the operation lock: the one who holds it may be waiting for just this. No new shim was started for a container that runs. */
	if (container_running(c)) {
		exited(c, 0, time_now_ns(), 137, 0);
		if (container_save(c, &e) < 0)
			log_error("container %s: %s", c->id, e.msg);
		pthread_mutex_lock(&c->op);
		container_after_exit(c);
		pthread_mutex_unlock(&c->op);
	}
	container_unref(c);
	return NULL;
}

static void on_dead(void *owner, struct shim_link *link)
{
	struct container *c = owner;
	bool mourn;

	pthread_mutex_lock(&c->lock);
	if (c->shim == link)
		c->shim = NULL;
	else
		link = NULL;
	mourn = link && (c->rec.state.running || c->starting);
	c->shim_died |= link != NULL;
	container_unlock(c);
	if (mourn) {
		log_error("the shim of container %s died", c->id);
		if (engine_background(c->en, bury, container_ref(c)) < 0)
			(void)bury(c);
	}
	shim_link_unref(link);
	container_unref(c); /* the link's */
}

const struct shim_callbacks engine_shim_callbacks = { .news = on_news, .dead = on_dead };

/* ---- having a shim ---- */
struct shim_link *container_shim_now(struct container *c)
{
	struct shim_link *l;

	pthread_mutex_lock(&c->lock);
	l = c->shim ? shim_link_ref(c->shim) : NULL;
	pthread_mutex_unlock(&c->lock);
	if (l && !shim_alive(l)) {
		shim_link_unref(l);
		return NULL;
	}
	return l;
}

static int configure(struct container *c, struct shim_link *l, struct err *e)
{
	AUTO_STRB struct strb b = STRB_INIT;
	struct shim_request q = { .type = SHIM_CONFIG };
	AUTO_FREE char *log_name = xasprintf("%s-json.log", c->id);
	const char *max_size, *max_file;
	int64_t size = -1;
	uint32_t files = 1, flags = 0;

	pthread_mutex_lock(&c->lock);
	flags |= c->rec.config.tty ? SHIM_CFG_TTY : 0;
	flags |= c->rec.config.open_stdin ? SHIM_CFG_OPEN_STDIN : 0;
	flags |= c->rec.config.stdin_once ? SHIM_CFG_STDIN_ONCE : 0;
	max_size = strmap_get(&c->rec.host.log_config.config, "max-size");
	max_file = strmap_get(&c->rec.host.log_config.config, "max-file");
	if (max_size)
		(void)bytes_parse(max_size, &size, NULL); /* checked at create */
	if (max_file)
		(void)str_to_u32(max_file, 10, &files);
	msg_put_u32(&b, flags);
	msg_put_str(&b, c->rec.host.log_config.type);
	msg_put_i64(&b, size);
	msg_put_u32(&b, files);
	msg_put_str(&b, log_name);
	msg_put_str(&b, NULL);
	pthread_mutex_unlock(&c->lock);
	q.body = b.s;
	q.n = b.len;
	return shim_call(l, &q, NULL, NULL, e);
}

/* shim_lock held */
static int connect_shim(struct container *c, bool may_spawn, struct shim_link **ret, struct msg *ret_state,
			struct err *e)
{
	AUTO_FD int folder = container_folder(c);
	struct shim_place p = {
		.program = c->en->shim_program, .id = c->id, .folder = folder, .sockets = c->en->shims_fd
	};
	struct shim_link *l = NULL;
	int64_t seq;
	int r;

	if (folder < 0)
		return err_sys(e, folder, "opening the folder of container %s", c->id);
	r = may_spawn ? shim_spawn(c->en->hub, &p, &l, e) : shim_find(c->en->hub, &p, &l, e);
	if (r < 0)
		return r;
	pthread_mutex_lock(&c->lock);
	seq = c->rec.state.journal_seq;
	c->shim = shim_link_ref(l);
	pthread_mutex_unlock(&c->lock);
	r = shim_hello(l, seq, container_ref(c), ret_state, e);
	if (r == SHIM_SILENT && may_spawn)
		(void)shim_kill(l, c->id, NULL);
	if (r == SHIM_SILENT &&
	    !may_spawn) { /* one sick shim must not keep hoyd from starting: its news come when it is well */
		log_error("container %s: %s", c->id, e->msg);
		r = 0;
	}
	if (r < 0) {
		if (shim_forget_owner(l))
			container_unref(c);
		pthread_mutex_lock(&c->lock);
		if (c->shim == l) {
			c->shim = NULL;
			shim_link_unref(l);
		}
		pthread_mutex_unlock(&c->lock);
		shim_link_unref(l);
		return r;
	}
	*ret = l;
	return 0;
}

int container_send_policy(struct container *c, struct shim_link *l, struct err *e)
{
	static const char *const names[] = { "no", "always", "unless-stopped", "on-failure" }; /* enum shim_restart */
	AUTO_STRB struct strb b = STRB_INIT;
	uint32_t policy = 0;

	pthread_mutex_lock(&c->lock);
	for (uint32_t i = 0; i < ARRAY_LEN(names); i++)
		if (streq(c->rec.host.restart_policy.name, names[i]))
			policy = i;
	msg_put_u32(&b, policy);
	msg_put_u32(&b, (uint32_t)c->rec.host.restart_policy.maximum_retry_count);
	pthread_mutex_unlock(&c->lock);
	return shim_call(l, &(struct shim_request){ .type = SHIM_RESTART, .body = b.s, .n = b.len }, NULL, NULL, e);
}

/* a restart policy other than "no" */
static bool container_has_policy(struct container *c)
{
	bool has;

	pthread_mutex_lock(&c->lock);
	has = !str_empty(c->rec.host.restart_policy.name) && !streq(c->rec.host.restart_policy.name, "no");
	pthread_mutex_unlock(&c->lock);
	return has;
}

/* shim_lock held. A removal marks the container first and ends its shim then: after that none may come to life in a folder that goes. */
static int going(struct container *c, struct err *e)
{
	bool removing;

	pthread_mutex_lock(&c->lock);
	removing = c->rec.state.removing || c->removed;
	pthread_mutex_unlock(&c->lock);
	return removing ? err_set(e, ERR_CONFLICT, "container %s is marked for removal", c->id) : 0;
}

int container_shim(struct container *c, struct shim_link **ret, struct err *e)
{
	AUTO_MSG struct msg state = { 0 };
	struct shim_link *l;
	int r = 0;

	pthread_mutex_lock(&c->shim_lock);
	l = container_shim_now(c);
	if (!l) {
		clear_after_dead(c);
		r = going(c, e);
	}
	if (!l && r == 0) {
		r = connect_shim(c, true, &l, &state, e);
		if (r == 0)
			r = configure(c, l, e);
		if (r == 0 && container_has_policy(c)) /* the shim's own default is "no" */
			r = container_send_policy(c, l, e);
	}
	pthread_mutex_unlock(&c->shim_lock);
	if (r < 0) {
		shim_link_unref(l);
		return r;
	}
	*ret = l;
	return 0;
}

#define BURIAL_S 10

int container_shim_kill(struct container *c, struct err *e)
{
	struct shim_link *l = container_shim_now(c);
	struct timespec end = { 0 };
	bool gone;
	int r;

	if (!l)
		return 0;
	log_error("the shim of container %s does not answer: ending it", c->id);
	r = shim_kill(l, c->id, e);
	if (r == 0) {
		(void)clock_gettime(CLOCK_MONOTONIC, &end);
		end.tv_sec += BURIAL_S;
		pthread_mutex_lock(&c->lock);
		while (c->shim == l && pthread_cond_timedwait(&c->changed, &c->lock, &end) != ETIMEDOUT)
			;
		gone = c->shim != l;
		pthread_mutex_unlock(&c->lock);
		if (!gone)
			r = err_set(e, ERR_SYSTEM, "the shim of container %s cannot be ended", c->id);
	}
	shim_link_unref(l);
	return r;
}

void container_shim_end(struct container *c)
{
	struct shim_request q = { .type = SHIM_QUIT };
	struct shim_link *l;
	struct err e = ERR_INIT;
	int r;

	pthread_mutex_lock(&c->shim_lock);
	l = container_shim_now(c);
	r = l ? shim_call_patiently(l, &q, &e) : -ESRCH; /* dropping a root file system may have to wait for the disk */
	if (r == SHIM_SILENT && container_shim_kill(c, &e) < 0)
		log_error("%s", e.msg);
	if (r == 0) {
		if (shim_forget_owner(l))
			container_unref(c); /* the caller has one */
		pthread_mutex_lock(&c->lock);
		if (c->shim == l) {
			c->shim = NULL;
			shim_link_unref(l);
		}
		pthread_mutex_unlock(&c->lock);
	}
	shim_link_unref(l);
	clear_after_dead(c);
	pthread_mutex_unlock(&c->shim_lock);
}

/* ---- out of hoyd's own cgroup ---- */
static bool is_own_shim(void *ctx, pid_t pid)
{
	AUTO_FREE char *path = xasprintf("/proc/%d/cmdline", (int)pid);
	AUTO_FREE char *words = NULL;
	AUTO_CONTAINER struct container *c = NULL;
	size_t n = 0;

	if (file_read(AT_FDCWD, path, 4096, &words, &n) < 0 || !streq(words, "hoy-shim") || n < sizeof "hoy-shim")
		return false;
	return container_find(ctx, words + sizeof "hoy-shim", &c, NULL) == 0;
}

/* A service manager takes what is in a unit's cgroup for a part of the unit: when hoyd ends, shims (and what they have forked) would be its
 * left-over processes. They are moved then, and not at their start, where it would cost each container a wait for the kernel's RCU; those
 * of a hoyd that was killed are moved by the next one. */
void engine_shims_move_out(struct engine *en)
{
	AUTO_FREE char *to = xasprintf("%s/hoy-shims", en->cgroup_parent);
	int r = act_cgroup_leave_home(to, is_own_shim, en);

	if (r > 0)
		log_info("%d processes of shims moved to cgroup %s", r, to);
	if (r < 0)
		log_warn("the shims stay in hoyd's own cgroup: %s", strerror(-r));
}

/* ---- after a start of hoyd ---- */
struct replay {
	struct container *c;
	int64_t exit_time;
	int64_t exit_code;
	bool exit_seen, oom;
};

/* What a dead shim left in its journal: the last exit, where hoyd has not heard of it. */
static void replay_entry(void *ctx, const void *body, size_t size)
{
	struct replay *p = ctx;
	struct shim_news n;

	if (!shim_news_read(body, size, &n) || n.seq <= p->c->rec.state.journal_seq)
		return;
	p->c->rec.state.journal_seq = n.seq;
	if (n.event == SHIM_EV_START) {
		p->exit_seen = false;
		p->c->rec.state.running = true;
		p->c->rec.state.started_ns = n.time_ns;
	} else if (n.event == SHIM_EV_EXIT) {
		p->exit_seen = true;
		p->exit_code = n.a;
		p->exit_time = n.time_ns;
		p->oom = n.b & SHIM_EXIT_OOM;
	}
}

static void clear_left_socket(struct container *c)
{
	AUTO_FREE char *name = xasprintf("%s.sock", c->id);

	(void)unlinkat(c->en->shims_fd, name, 0);
}

/* Nobody waits any more for one that was to remove itself: what a lazy commit left of it may be as little as its creation. */
static bool of_an_earlier_boot(const struct container_record *rec)
{
	struct timespec up = { 0 };

	(void)clock_gettime(CLOCK_BOOTTIME, &up);
	return rec->created_ns < time_now_ns() - (int64_t)up.tv_sec * 1000000000 - up.tv_nsec;
}

/* What hoyd was about to do when it died: give back the network, remove what was to be removed by itself. */
static void finish_exit(struct container *c)
{
	bool pending;

	pthread_mutex_lock(&c->lock);
	pending = !c->rec.state.running &&
		  (c->rec.endpoints.n ||
		   (c->rec.host.auto_remove && (c->rec.state.finished_ns || of_an_earlier_boot(&c->rec))));
	pthread_mutex_unlock(&c->lock);
	if (!pending)
		return;
	pthread_mutex_lock(&c->op);
	container_after_exit(c);
	pthread_mutex_unlock(&c->op);
}

static void recover_one(struct container *c)
{
	AUTO_MSG struct msg state = { 0 };
	struct shim_link *l = NULL;
	struct err e = ERR_INIT;
	int r;

	pthread_mutex_lock(&c->shim_lock);
	r = connect_shim(c, false, &l, &state, &e);
	pthread_mutex_unlock(&c->shim_lock);
	if (r == 0 && state.n == 0) { /* it does not answer: as the record says */
		shim_link_unref(l);
		return;
	}
	if (r == 0) {
		struct msg_reader rd = msg_reader(state.body, state.n);
		bool running, restarting, was;
		uint32_t pid;

		(void)msg_get_u32(&rd);
		running = msg_get_u32(&rd) != 0;
		pid = msg_get_u32(&rd);
		(void)msg_get_i64(&rd);
		(void)msg_get_i64(&rd);
		(void)msg_get_u32(&rd);
		(void)msg_get_u32(&rd);
		restarting = msg_get_u32(&rd) != 0; /* 0 from older shims */
		pthread_mutex_lock(&c->lock);
		was = c->rec.state.running || restarting;
		if (running) {
			c->rec.state.running = true;
			c->rec.state.pid = pid;
		}
		container_unlock(c);
		log_info("container %s: its shim lives, %s", c->id, running ? "running" : "not running");
		if (!running && !was) { /* a start that was cut short, or an exit that is known but not finished */
			container_shim_end(c);
			finish_exit(c);
		}
		shim_link_unref(l);
		return;
	}
	clear_left_socket(c);
	if (c->rec.state.running || c->rec.endpoints.n) {
		AUTO_FD int folder = container_folder(c);
		struct replay p = { .c = c, .exit_code = 137, .exit_time = time_now_ns() };

		pthread_mutex_lock(&c->shim_lock);
		shim_died(c);
		pthread_mutex_unlock(&c->shim_lock);
		if (folder >= 0)
			(void)shim_journal_read(folder, replay_entry, &p);
		if (!p.exit_seen)
			p.exit_code = 137;
		log_info("container %s: its shim is gone, exit code %lld", c->id, (long long)p.exit_code);
		if (c->rec.state.running)
			exited(c, 0, p.exit_time, (int)p.exit_code, p.oom ? SHIM_EXIT_OOM : 0);
		if (container_save(c, &e) < 0)
			log_error("container %s: %s", c->id, e.msg);
	}
	finish_exit(c);
}

/* What dockerd starts when it starts: by policy, except what was never started or (unless-stopped) was stopped by hand. */
static bool wants_start(struct container *c)
{
	const char *policy = c->rec.host.restart_policy.name;
	const struct container_state *s = (const struct container_state *)&c->rec.state;
	int64_t most = c->rec.host.restart_policy.maximum_retry_count;

	if (s->running || !s->started_ns || s->removing)
		return false;
	if (streq(policy, "always"))
		return true;
	if (streq(policy, "unless-stopped"))
		return !s->stop_requested;
	return streq(policy, "on-failure") && !s->stop_requested && s->exit_code != 0 &&
	       (most == 0 || c->rec.restarts < most);
}

static void *start_again(void *arg)
{
	struct container *c = arg;
	struct err e = ERR_INIT;
	bool wanted;

	pthread_mutex_lock(&c->op);
	pthread_mutex_lock(&c->lock);
	wanted = wants_start(c); /* a client may have been faster */
	pthread_mutex_unlock(&c->lock);
	if (wanted && container_start_op(c, &e) < 0)
		log_error("container %s: starting it again: %s", c->id, e.msg);
	pthread_mutex_unlock(&c->op);
	container_unref(c);
	return NULL;
}

void engine_start_by_policy(struct engine *en)
{
	AUTO_CONTAINERS struct container_set all = { 0 };

	container_set(en, &all);
	for (size_t i = 0; i < all.n; i++) {
		bool wanted;

		pthread_mutex_lock(&all.v[i]->lock);
		wanted = wants_start(all.v[i]);
		pthread_mutex_unlock(&all.v[i]->lock);
		if (wanted && engine_background(en, start_again, container_ref(all.v[i])) < 0)
			container_unref(all.v[i]);
	}
}

int engine_recover(struct engine *en, struct err *e UNUSED)
{
	AUTO_CONTAINERS struct container_set all = { 0 };

	container_set(en, &all);
	for (size_t i = 0; i < all.n; i++)
		recover_one(all.v[i]);
	if (all.n)
		engine_shims_move_out(en);
	return 0;
}
