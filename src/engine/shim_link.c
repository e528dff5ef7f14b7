/* shim_link.c - see shim_link.h. */
#include "engine/shim_link.h"
#include "base/kernel.h"

#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/wait.h>

#define SICK_S 1 /* patience with a shim that did not answer the last time */

struct answer {
	struct msg m;
	struct answer *next;
};

struct shim_talk {
	struct shim_link *link;
	uint32_t seq;
	struct answer *first, **last;
	struct shim_talk *next;
	pthread_cond_t news; /* monotonic */
};

struct shim_link {
	struct shim_hub *hub;
	int refs;                /* guarded by lock */
	pthread_mutex_t lock;    /* guards all below */
	pthread_mutex_t calling; /* held by the receiving thread during a callback, and by shim_forget_owner */
	int fd;
	pid_t pid; /* ours to reap, or 0 */
	uint32_t next_seq;
	struct shim_talk *talks;
	bool dead, sick;
	void *owner;
};

struct shim_hub {
	struct shim_callbacks cb;
	int epoll, stop;
	pthread_t thread;
};

static void talk_push(struct shim_talk *t, struct msg *m)
{
	struct answer *a = xcalloc(1, sizeof *a);

	a->m = *m;
	*m = (struct msg){ 0 };
	*t->last = a;
	t->last = &a->next;
	pthread_cond_signal(&t->news);
}

static void deliver(struct shim_link *l, struct msg *m)
{
	pthread_mutex_lock(&l->lock);
	l->sick = false;
	for (struct shim_talk *t = l->talks; t; t = t->next)
		if (t->seq == m->seq) {
			talk_push(t, m);
			break;
		}
	pthread_mutex_unlock(&l->lock);
}

bool shim_news_read(const void *body, size_t size, struct shim_news *ret)
{
	struct msg_reader r = msg_reader(body, size);
	struct shim_news n = { 0 };

	n.seq = msg_get_i64(&r);
	n.event = msg_get_u32(&r);
	n.time_ns = msg_get_i64(&r);
	n.exec_id = msg_get_str(&r);
	n.a = msg_get_i64(&r);
	n.b = msg_get_i64(&r);
	n.text = msg_get_str(&r);
	*ret = n;
	return !r.bad;
}

static void tell_owner(struct shim_link *l, const struct msg *m)
{
	struct shim_news n;

	if (!shim_news_read(m->body, m->n, &n)) {
		log_error("a shim's event is malformed (%zu bytes)", m->n);
		return;
	}
	pthread_mutex_lock(&l->calling);
	if (l->owner)
		l->hub->cb.news(l->owner, l, &n);
	pthread_mutex_unlock(&l->calling);
}

static void reap(struct shim_link *l)
{
	pid_t pid;
	int status = 0;

	pthread_mutex_lock(&l->lock); /* shim_kill uses the number only while nobody has reaped it */
	pid = l->pid;
	l->pid = 0;
	pthread_mutex_unlock(&l->lock);
	if (pid > 0)
		(void)proc_wait(pid, &status);
}

static void link_died(struct shim_link *l)
{
	void *owner;

	(void)epoll_ctl(l->hub->epoll, EPOLL_CTL_DEL, l->fd, NULL);
	pthread_mutex_lock(&l->lock);
	l->dead = true;
	for (struct shim_talk *t = l->talks; t; t = t->next)
		pthread_cond_signal(&t->news);
	pthread_mutex_unlock(&l->lock);
	(void)shutdown(l->fd, SHUT_RDWR);
	reap(l); /* a shim's socket closes in its exit, so this is short */
	pthread_mutex_lock(&l->calling);
	owner = TAKE_PTR(l->owner);
	pthread_mutex_unlock(&l->calling);
	if (owner)
		l->hub->cb.dead(owner, l);
	shim_link_unref(l); /* the hub's */
}

static void receive(struct shim_link *l)
{
	for (int budget = 64; budget > 0; budget--) {
		AUTO_MSG struct msg m = { 0 };
		struct pollfd p = { .fd = l->fd, .events = POLLIN };
		int r;

		if (poll(&p, 1, 0) == 0)
			return;
		r = msg_recv(l->fd, &m);
		if (r == -EAGAIN)
			return;
		if (r == -EBADMSG) {
			log_error("a shim sent a malformed message");
			continue;
		}
		if (r <= 0) {
			link_died(l);
			return;
		}
		if (m.type == SHIM_EVENT)
			tell_owner(l, &m);
		else
			deliver(l, &m);
	}
}

static void *hub_main(void *arg)
{
	struct shim_hub *h = arg;

	for (;;) {
		struct epoll_event ev[32];
		int n = epoll_wait(h->epoll, ev, ARRAY_LEN(ev), -1);

		for (int i = 0; i < n; i++) {
			if (!ev[i].data.ptr)
				return NULL;
			receive(ev[i].data.ptr);
		}
	}
}

int shim_hub_new(const struct shim_callbacks *cb, struct shim_hub **ret, struct err *e)
{
	struct shim_hub *h = xcalloc(1, sizeof *h);
	struct epoll_event ev = { .events = EPOLLIN };
	int r = 0;

	h->cb = *cb;
	h->epoll = epoll_create1(EPOLL_CLOEXEC);
	h->stop = eventfd(0, EFD_CLOEXEC);
	if (h->epoll < 0 || h->stop < 0 || epoll_ctl(h->epoll, EPOLL_CTL_ADD, h->stop, &ev) < 0)
		r = -errno;
	if (r == 0)
		r = -pthread_create(&h->thread, NULL, hub_main, h);
	if (r < 0) {
		fd_closep(&h->epoll);
		fd_closep(&h->stop);
		free(h);
		return err_sys(e, r, "starting the thread that listens to shims");
	}
	*ret = h;
	return 0;
}

void shim_hub_free(struct shim_hub *h)
{
	uint64_t one = 1;

	if (!h)
		return;
	(void)!write(h->stop, &one, sizeof one);
	(void)pthread_join(h->thread, NULL);
	(void)close(h->stop);
	(void)close(h->epoll);
	free(h);
}

static struct shim_link *link_new(struct shim_hub *h, int fd, pid_t pid)
{
	struct shim_link *l = xcalloc(1, sizeof *l);

	l->hub = h;
	l->refs = 1;
	l->fd = fd;
	(void)fd_nonblock(fd, true); /* a shim that does not read must not hold up who writes */
	l->pid = pid;
	(void)pthread_mutex_init(&l->lock, NULL);
	(void)pthread_mutex_init(&l->calling, NULL);
	return l;
}

int shim_spawn(struct shim_hub *h, const struct shim_place *p, struct shim_link **ret, struct err *e)
{
	AUTO_FREE char *name = xasprintf("%s.sock", p->id);
	AUTO_FD int listener = sock_listen(p->sockets, name, SOCK_SEQPACKET, 0600);
	AUTO_FD int ours = -1;
	AUTO_FD int theirs = -1;
	char *argv[] = { (char *)"hoy-shim", (char *)p->id, NULL };
	int pair[2];
	pid_t pid = 0;
	int r;

	if (listener < 0)
		return err_sys(e, listener, "making the shim's socket");
	r = msg_pair(pair);
	if (r < 0)
		return err_sys(e, r, "making the shim's socket");
	ours = pair[0];
	theirs = pair[1];
	{
		struct proc_fd fds[] = { { p->folder, 3 }, { theirs, 4 }, { listener, 5 }, { p->sockets, 6 } };
		struct proc_opts o = {
			.path = p->program, .argv = argv, .fds = fds, .n_fds = ARRAY_LEN(fds), .new_session = true
		};

		r = proc_spawn(&o, &pid, NULL);
	}
	if (r < 0) {
		(void)unlinkat(p->sockets, name, 0);
		return err_sys(e, r, "starting %s", p->program);
	}
	*ret = link_new(h, TAKE_FD(ours), pid);
	return 0;
}

int shim_find(struct shim_hub *h, const struct shim_place *p, struct shim_link **ret, struct err *e)
{
	AUTO_FREE char *name = xasprintf("%s.sock", p->id);
	int fd = sock_connect(p->sockets, name, SOCK_SEQPACKET);

	if (fd < 0)
		return err_sys(e, fd, "connecting to the shim of %s", p->id);
	*ret = link_new(h, fd, 0);
	return 0;
}

int shim_hello(struct shim_link *l, int64_t journal_seq, void *owner, struct msg *ret_state, struct err *e)
{
	AUTO_STRB struct strb b = STRB_INIT;
	struct epoll_event ev = { .events = EPOLLIN, .data.ptr = l };
	struct shim_request q = { .type = SHIM_HELLO };
	struct shim_talk *t = NULL;
	int r;

	msg_put_u32(&b, SHIM_PROTO_VERSION);
	msg_put_i64(&b, journal_seq);
	q.body = b.s;
	q.n = b.len;
	l->owner = owner;
	(void)shim_link_ref(l); /* the hub's, until link_died */
	if (epoll_ctl(l->hub->epoll, EPOLL_CTL_ADD, l->fd, &ev) < 0) {
		r = -errno;
		shim_link_unref(l);
		return err_sys(e, r, "watching a shim");
	}
	r = shim_talk_begin(l, &q, &t, e);
	if (r == 0)
		r = shim_talk_next(t, SHIM_CALL_S, ret_state, NULL, e);
	shim_talk_end(t);
	return r;
}

struct shim_link *shim_link_ref(struct shim_link *l)
{
	pthread_mutex_lock(&l->lock);
	l->refs++;
	pthread_mutex_unlock(&l->lock);
	return l;
}

void shim_link_unref(struct shim_link *l)
{
	bool last;

	if (!l)
		return;
	pthread_mutex_lock(&l->lock);
	last = --l->refs == 0;
	pthread_mutex_unlock(&l->lock);
	if (!last)
		return;
	(void)close(l->fd);
	reap(l);
	(void)pthread_mutex_destroy(&l->lock);
	(void)pthread_mutex_destroy(&l->calling);
	free(l);
}

bool shim_alive(struct shim_link *l)
{
	bool alive;

	pthread_mutex_lock(&l->lock);
	alive = !l->dead;
	pthread_mutex_unlock(&l->lock);
	return alive;
}

bool shim_forget_owner(struct shim_link *l)
{
	bool had;

	pthread_mutex_lock(&l->calling);
	had = l->owner;
	l->owner = NULL;
	pthread_mutex_unlock(&l->calling);
	return had;
}

static int silent(struct err *e)
{
	(void)err_set(e, ERR_UNAVAILABLE, "the container's shim does not answer");
	if (e)
		e->sys = SHIM_SILENT;
	return SHIM_SILENT;
}

/* How long to wait for it now. */
static int patience(struct shim_link *l, int wanted_s)
{
	int s;

	pthread_mutex_lock(&l->lock);
	s = l->sick ? MIN(SICK_S, wanted_s) : wanted_s;
	pthread_mutex_unlock(&l->lock);
	return s;
}

static void note_silence(struct shim_link *l)
{
	pthread_mutex_lock(&l->lock);
	l->sick = true;
	pthread_mutex_unlock(&l->lock);
}

static int send_request(struct shim_link *l, uint32_t seq, const struct shim_request *q, struct err *e)
{
	int64_t until = time_mono_ns() + patience(l, SHIM_CALL_S) * 1000000000LL;

	for (;;) {
		struct pollfd p = { .fd = l->fd, .events = POLLOUT };
		int r = msg_send(l->fd, q->type, seq, q->body, q->n, q->fds, q->n_fds);
		int64_t rest_ms = (until - time_mono_ns()) / 1000000;

		if (r != -EAGAIN)
			return r < 0 ? err_sys(e, r, "talking to the container's shim") : 0;
		if (rest_ms <= 0) {
			note_silence(l);
			return silent(e);
		}
		(void)poll(&p, 1, (int)rest_ms);
	}
}

int shim_talk_begin(struct shim_link *l, const struct shim_request *q, struct shim_talk **ret, struct err *e)
{
	struct shim_talk *t = xcalloc(1, sizeof *t);
	pthread_condattr_t attr;
	int r;

	t->link = shim_link_ref(l);
	t->last = &t->first;
	(void)pthread_condattr_init(&attr);
	(void)pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	(void)pthread_cond_init(&t->news, &attr);
	(void)pthread_condattr_destroy(&attr);
	pthread_mutex_lock(&l->lock);
	if (++l->next_seq == 0)
		l->next_seq = 1;
	t->seq = l->next_seq;
	t->next = l->talks;
	l->talks = t;
	pthread_mutex_unlock(&l->lock);
	r = send_request(l, t->seq, q, e);
	if (r < 0) {
		shim_talk_end(t);
		return r;
	}
	*ret = t;
	return 0;
}

int shim_talk_say(struct shim_talk *t, const struct shim_request *q, struct err *e)
{
	return send_request(t->link, t->seq, q, e);
}

static int talk_wait(struct shim_talk *t, int timeout_s, struct msg *ret, uint32_t *ret_failure, struct err *e)
{
	struct shim_link *l = t->link;
	struct timespec end;
	struct answer *a;
	bool late = false;

	(void)clock_gettime(CLOCK_MONOTONIC, &end);
	end.tv_sec += timeout_s;
	pthread_mutex_lock(&l->lock);
	while (!t->first && !l->dead && !late)
		late = pthread_cond_timedwait(&t->news, &l->lock, &end) == ETIMEDOUT;
	a = t->first;
	if (a) {
		t->first = a->next;
		if (!t->first)
			t->last = &t->first;
	}
	pthread_mutex_unlock(&l->lock);
	if (!a && late)
		return silent(e);
	if (!a)
		return err_sys(e, -EPIPE, "the container's shim is gone");
	*ret = a->m;
	free(a);
	if (ret->type == SHIM_ERROR) {
		struct msg_reader r = msg_reader(ret->body, ret->n);
		int number = (int)msg_get_u32(&r);
		uint32_t failure = msg_get_u32(&r);
		const char *text = msg_get_str(&r);

		if (ret_failure)
			*ret_failure = failure;
		/* EBUSY is how a shim says that the container is not in the state for this */
		err_set(e, number == EBUSY ? ERR_CONFLICT : ERR_SYSTEM, "%s", text ? text : "the shim refused");
		if (e)
			e->sys = -number;
		msg_done(ret);
		*ret = (struct msg){ 0 };
		return number > 0 ? -number : -EIO;
	}
	return 0;
}

int shim_talk_next(struct shim_talk *t, int patience_s, struct msg *ret, uint32_t *ret_failure, struct err *e)
{
	int r = talk_wait(t, patience(t->link, patience_s), ret, ret_failure, e);

	if (r == SHIM_SILENT)
		note_silence(t->link);
	return r;
}

void shim_talk_end(struct shim_talk *t)
{
	struct shim_link *l;

	if (!t)
		return;
	l = t->link;
	pthread_mutex_lock(&l->lock);
	for (struct shim_talk **p = &l->talks; *p; p = &(*p)->next)
		if (*p == t) {
			*p = t->next;
			break;
		}
	pthread_mutex_unlock(&l->lock);
	for (struct answer *a = t->first, *next; a; a = next) {
		next = a->next;
		msg_done(&a->m);
		free(a);
	}
	(void)pthread_cond_destroy(&t->news);
	shim_link_unref(l);
	free(t);
}

int shim_call(struct shim_link *l, const struct shim_request *q, struct msg *ret, uint32_t *ret_failure, struct err *e)
{
	AUTO_MSG struct msg ignored = { 0 };
	struct shim_talk *t = NULL;
	int r = shim_talk_begin(l, q, &t, e);

	if (r < 0)
		return r;
	r = shim_talk_next(t, q->patience_s ? q->patience_s : SHIM_CALL_S, ret ? ret : &ignored, ret_failure, e);
	shim_talk_end(t);
	return r;
}

int shim_call_patiently(struct shim_link *l, const struct shim_request *q, struct err *e)
{
	AUTO_MSG struct msg m = { 0 };
	struct shim_talk *t = NULL;
	int r = shim_talk_begin(l, q, &t, e);

	if (r < 0)
		return r;
	while ((r = talk_wait(t, patience(l, SHIM_CALL_S), &m, NULL, e)) == SHIM_SILENT)
		if (shim_call(l, &(struct shim_request){ .type = SHIM_SYNC }, NULL, NULL, e) == SHIM_SILENT)
			break;
	shim_talk_end(t);
	return r;
}

int shim_tell(struct shim_link *l, const struct shim_request *q)
{
	return msg_send(l->fd, q->type, 0, q->body, q->n, q->fds, q->n_fds);
}

void shim_ack(struct shim_link *l, int64_t journal_seq)
{
	AUTO_STRB struct strb b = STRB_INIT;

	msg_put_i64(&b, journal_seq);
	(void)shim_tell(l, &(struct shim_request){ .type = SHIM_ACK, .body = b.s, .n = b.len });
}

/* ---- the last resort ---- */
static bool is_shim_of(pid_t pid, const char *id)
{
	AUTO_FREE char *path = xasprintf("/proc/%d/cmdline", (int)pid);
	AUTO_FREE char *have = NULL;
	char want[128];
	size_t n = 0;
	int len = snprintf(want, sizeof want, "hoy-shim%c%s", 0, id);

	return len > 0 && (size_t)len < sizeof want && file_read(AT_FDCWD, path, sizeof want, &have, &n) == 0 &&
	       n == (size_t)len + 1 && memcmp(have, want, n) == 0;
}

/* One that an earlier hoyd has started. It has called listen() itself, so its socket names it. The number is good if the socket is still
 * open when we hold the process by its pidfd: then it had not ended before. */
static int kill_peer(const struct shim_link *l, const char *id)
{
	struct ucred peer = { 0 };
	socklen_t n = sizeof peer;
	struct pollfd p = { .fd = l->fd, .events = POLLRDHUP };
	AUTO_FD int pidfd = -1;

	if (getsockopt(l->fd, SOL_SOCKET, SO_PEERCRED, &peer, &n) < 0)
		return -errno;
	if (peer.pid <= 1 || peer.pid == getpid())
		return -ESRCH;
	pidfd = proc_pidfd(peer.pid);
	if (pidfd < 0)
		return pidfd;
	if (!is_shim_of(peer.pid, id) || (poll(&p, 1, 0) == 1 && p.revents & (POLLHUP | POLLERR | POLLRDHUP)))
		return -ESRCH;
	return sys_pidfd_send_signal(pidfd, SIGKILL) < 0 ? -errno : 0;
}

int shim_kill(struct shim_link *l, const char *id, struct err *e)
{
	int r = 1;

	pthread_mutex_lock(&l->lock);
	if (l->pid > 0)
		r = kill(l->pid, SIGKILL) < 0 ? -errno : 0;
	pthread_mutex_unlock(&l->lock);
	if (r == 1)
		r = kill_peer(l, id);
	return r < 0 ? err_sys(e, r, "ending the shim of container %s", id) : 0;
}
