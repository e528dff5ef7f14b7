/* threads.c - threads that wait a moment for the next piece of work: for a short request the birth and death of one would cost more
 * than the request. */
#include "proc/threads.h"

#include <pthread.h>

#define IDLE_MAX 8
#define IDLE_S 2

struct work {
	thread_fn *f;
	void *arg;
	struct work *next;
};

struct threads {
	pthread_mutex_t lock; /* guards all below */
	pthread_cond_t news;  /* monotonic */
	struct work *first, **last;
	size_t idle; /* threads that wait and have nothing promised */
	size_t alive;
	bool closing;
	pthread_attr_t attr;
};

/* lock held */
static struct work *take(struct threads *t)
{
	struct work *w = t->first;

	if (!w)
		return NULL;
	t->first = w->next;
	if (!t->first)
		t->last = &t->first;
	return w;
}

/* lock held. NULL: nothing came. */
static struct work *wait_for_work(struct threads *t)
{
	struct timespec end;
	struct work *w = take(t);

	if (w) { /* it was promised to one who has not woken up yet and goes on waiting */
		t->idle++;
		return w;
	}
	if (t->closing || t->idle >= IDLE_MAX)
		return NULL;
	(void)clock_gettime(CLOCK_MONOTONIC, &end);
	end.tv_sec += IDLE_S;
	t->idle++;
	while (!(w = take(t)) && !t->closing)
		if (pthread_cond_timedwait(&t->news, &t->lock, &end) == ETIMEDOUT && !t->first)
			break;
	if (!w)
		t->idle--; /* with work the one who brought it has counted us */
	return w;
}

static void destroy(struct threads *t)
{
	(void)pthread_attr_destroy(&t->attr);
	(void)pthread_cond_destroy(&t->news);
	(void)pthread_mutex_destroy(&t->lock);
	free(t);
}

struct born {
	struct threads *t;
	struct work *w;
};

static void *thread_main(void *arg)
{
	struct born *b = arg;
	struct threads *t = b->t;
	struct work *w = b->w;
	bool last;

	free(b);
	do {
		w->f(w->arg);
		free(w);
		pthread_mutex_lock(&t->lock);
		w = wait_for_work(t);
		last = !w && --t->alive == 0 && t->closing;
		pthread_mutex_unlock(&t->lock);
	} while (w);
	if (last)
		destroy(t);
	return NULL;
}

struct threads *threads_new(size_t stack)
{
	struct threads *t = xcalloc(1, sizeof *t);
	pthread_condattr_t attr;

	(void)pthread_mutex_init(&t->lock, NULL);
	(void)pthread_condattr_init(&attr);
	(void)pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	(void)pthread_cond_init(&t->news, &attr);
	(void)pthread_condattr_destroy(&attr);
	(void)pthread_attr_init(&t->attr);
	(void)pthread_attr_setdetachstate(&t->attr, PTHREAD_CREATE_DETACHED);
	(void)pthread_attr_setstacksize(&t->attr, stack);
	t->last = &t->first;
	return t;
}

int threads_run(struct threads *t, thread_fn *f, void *arg)
{
	struct work *w = xmalloc(sizeof *w);
	struct born *b;
	pthread_t id;
	int r;

	*w = (struct work){ .f = f, .arg = arg };
	pthread_mutex_lock(&t->lock);
	if (t->idle > 0) {
		t->idle--;
		*t->last = w;
		t->last = &w->next;
		pthread_cond_signal(&t->news);
		pthread_mutex_unlock(&t->lock);
		return 0;
	}
	t->alive++;
	pthread_mutex_unlock(&t->lock);
	b = xmalloc(sizeof *b);
	*b = (struct born){ .t = t, .w = w };
	r = -pthread_create(&id, &t->attr, thread_main, b);
	if (r < 0) {
		pthread_mutex_lock(&t->lock);
		t->alive--;
		pthread_mutex_unlock(&t->lock);
		free(w);
		free(b);
	}
	return r;
}

void threads_close(struct threads *t)
{
	bool none;

	if (!t)
		return;
	pthread_mutex_lock(&t->lock);
	t->closing = true;
	none = t->alive == 0;
	pthread_cond_broadcast(&t->news);
	pthread_mutex_unlock(&t->lock);
	if (none)
		destroy(t);
}
