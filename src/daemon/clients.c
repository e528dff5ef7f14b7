/* clients.c - see clients.h. */
#include "daemon/clients.h"
#include "api/api.h"
#include "http/http.h"
#include "proc/threads.h"

#include <poll.h>
#include <pthread.h>
#include <sys/resource.h>
#include <sys/socket.h>

#define CLIENTS_MAX 4096
#define REFUSERS 16                   /* threads that tell the rest that the house is full */
#define REFUSE_MS 2000                /* ... each that patient */
#define BODIES_MAX (64 * 1024 * 1024) /* memory for large JSON bodies, all connections together */

struct client {
	struct clients *house;
	struct client *next;
	int fd;             /* the connection's own; ours to shut down only while idle_since is set */
	int64_t idle_since; /* 0 = a request is being worked on */
	bool refused;
};

struct clients {
	struct api *api;
	size_t max;
	struct http_budget bodies;
	struct threads *threads;
	pthread_mutex_t lock; /* guards all below, and the clients */
	pthread_cond_t left;
	size_t n, n_refused;
	struct client *first;
};

size_t clients_max(void)
{
	struct rlimit files = { 0 };

	/* half of them: the other half is for containers, workers, the database */
	if (getrlimit(RLIMIT_NOFILE, &files) < 0 || files.rlim_cur / 2 >= CLIENTS_MAX)
		return CLIENTS_MAX;
	return (size_t)MAX(files.rlim_cur / 2, (rlim_t)16);
}

struct clients *clients_new(struct api *api, struct threads *threads, size_t max)
{
	struct clients *c = xcalloc(1, sizeof *c);
	pthread_condattr_t mono;

	c->api = api;
	c->threads = threads;
	c->max = max;
	c->bodies.left = BODIES_MAX;
	(void)pthread_mutex_init(&c->lock, NULL);
	(void)pthread_condattr_init(&mono);
	(void)pthread_condattr_setclock(&mono, CLOCK_MONOTONIC);
	(void)pthread_cond_init(&c->left, &mono);
	(void)pthread_condattr_destroy(&mono);
	return c;
}

static void note_idle(void *ctx, bool idle)
{
	struct client *k = ctx;

	pthread_mutex_lock(&k->house->lock);
	k->idle_since = idle ? time_mono_ns() : 0;
	pthread_mutex_unlock(&k->house->lock);
}

static void refuse(struct http_conn *conn, const struct http_request *rq UNUSED, void *ctx UNUSED)
{
	static const char text[] = "{\"message\":\"too many connections: try again later\"}\n";

	http_close_after(conn);
	(void)http_reply(conn, 503, "application/json", text, sizeof text - 1);
}

static void leave(struct client *k)
{
	struct clients *c = k->house;

	pthread_mutex_lock(&c->lock);
	for (struct client **p = &c->first; *p; p = &(*p)->next)
		if (*p == k) {
			*p = k->next;
			break;
		}
	*(k->refused ? &c->n_refused : &c->n) -= 1;
	pthread_cond_signal(&c->left);
	pthread_mutex_unlock(&c->lock);
	free(k);
}

static void client_main(void *arg)
{
	struct client *k = arg;
	struct clients *c = k->house;
	struct http_serve_opts o = { .budget = &c->bodies, .idle = note_idle, .idle_ctx = k };

	if (k->refused) {
		o = (struct http_serve_opts){ .idle_ms = REFUSE_MS, .head_ms = REFUSE_MS, .body_ms = REFUSE_MS };
		http_serve_conn(k->fd, &o, refuse, NULL);
	} else {
		http_serve_conn(k->fd, &o, api_handle, c->api);
	}
	leave(k);
}

/* lock held. Who has been idle longest goes: its thread wakes up, sees the end of file and leaves. */
static void make_room(struct clients *c)
{
	struct client *oldest = NULL;

	for (struct client *k = c->first; k; k = k->next)
		if (!k->refused && k->idle_since && (!oldest || k->idle_since < oldest->idle_since))
			oldest = k;
	if (!oldest)
		return;
	oldest->idle_since = 0;
	(void)shutdown(oldest->fd, SHUT_RD);
}

/* lock held. False: not even for a refusal. */
static bool find_room(struct clients *c, bool *ret_refused)
{
	if (c->n >= c->max - c->max / 4)
		make_room(c);
	*ret_refused = c->n >= c->max;
	if (!*ret_refused || c->n_refused < REFUSERS)
		return true;
	struct timespec until = { 0 };

	(void)clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_nsec += 100 * 1000000;
	if (until.tv_nsec >= 1000000000) {
		until.tv_nsec -= 1000000000;
		until.tv_sec++;
	}
	(void)pthread_cond_timedwait(&c->left, &c->lock, &until);
	*ret_refused = c->n >= c->max;
	return !*ret_refused || c->n_refused < REFUSERS;
}

void clients_accept(struct clients *c, int listener)
{
	struct client *k;
	bool room, refused = false;
	int fd;

	pthread_mutex_lock(&c->lock);
	room = find_room(c, &refused);
	pthread_mutex_unlock(&c->lock);
	if (!room)
		return;
	fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
	if (fd < 0) {
		if (errno == EMFILE || errno == ENFILE) {
			log_error("too many open files: a client has to wait");
			(void)poll(NULL, 0, 100);
		}
		return;
	}
	k = xmalloc(sizeof *k);
	pthread_mutex_lock(&c->lock);
	*k = (struct client){ .house = c, .next = c->first, .fd = fd, .refused = refused };
	c->first = k;
	*(refused ? &c->n_refused : &c->n) += 1;
	pthread_mutex_unlock(&c->lock);
	if (threads_run(c->threads, client_main, k) < 0) {
		log_error("cannot start a thread for a client");
		(void)close(fd);
		leave(k);
	}
}
