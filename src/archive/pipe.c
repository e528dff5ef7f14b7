/* pipe.c - the two halves of unpacking on two processors: a thread reads, hashes and inflates into a ring of buffers, the caller
 * takes them as a source, hashes and writes. */
#include "archive/archive.h"

#include <pthread.h>

#define RING 4
#define RING_SIZE (512 * 1024)

struct pipe_source {
	struct source src; /* first: next() gets a pointer to it */
	struct decomp *d;
	pthread_t thread;
	bool joined;
	struct hash *hash; /* of what came out */
	char digest[72];
	/* below: guarded by lock */
	pthread_mutex_t lock;
	pthread_cond_t changed;
	uint8_t *buf[RING];
	size_t n[RING];
	unsigned filled, taken; /* counts of buffers; filled - taken are waiting */
	bool lent;              /* the buffer before `taken` is in the caller's hands */
	bool end, stop;
	int error;
	struct err err;
};

static void *fill_ring(void *arg)
{
	struct pipe_source *p = arg;
	bool end = false;

	while (!end) {
		struct err err = ERR_INIT;
		size_t n = 0;
		unsigned slot;
		int r;

		pthread_mutex_lock(&p->lock);
		while (!p->stop && p->filled - p->taken + p->lent >= RING)
			pthread_cond_wait(&p->changed, &p->lock);
		end = p->stop;
		slot = p->filled % RING;
		pthread_mutex_unlock(&p->lock);
		if (end)
			break;
		r = decomp_read(p->d, p->buf[slot], RING_SIZE, &n, &err);
		pthread_mutex_lock(&p->lock);
		if (r < 0) {
			p->error = r;
			p->err = err;
		} else if (n) {
			p->n[slot] = n;
			p->filled++;
		}
		end = p->end = r < 0 || n < RING_SIZE;
		pthread_cond_signal(&p->changed);
		pthread_mutex_unlock(&p->lock);
	}
	return NULL;
}

static int next(struct source *s, const uint8_t **ret, size_t *ret_n, struct err *e)
{
	struct pipe_source *p = (struct pipe_source *)s;
	unsigned slot;

	pthread_mutex_lock(&p->lock);
	p->lent = false;
	pthread_cond_signal(&p->changed);
	while (p->filled == p->taken && !p->end)
		pthread_cond_wait(&p->changed, &p->lock);
	if (p->filled == p->taken) {
		int r = p->error;

		if (r < 0 && e)
			*e = p->err;
		pthread_mutex_unlock(&p->lock);
		*ret_n = 0;
		return r;
	}
	slot = p->taken++ % RING;
	p->lent = true;
	*ret = p->buf[slot];
	*ret_n = p->n[slot];
	pthread_mutex_unlock(&p->lock);
	if (p->hash)
		hash_add(p->hash, *ret, *ret_n);
	return 0;
}

int pipe_source_new(struct decomp *d, struct pipe_source **ret, struct err *e)
{
	struct pipe_source *p = xcalloc(1, sizeof *p);
	int r;

	p->src.next = next;
	p->d = d;
	p->hash = hash_new();
	pthread_mutex_init(&p->lock, NULL);
	pthread_cond_init(&p->changed, NULL);
	for (int i = 0; i < RING; i++)
		p->buf[i] = xmalloc(RING_SIZE);
	r = -pthread_create(&p->thread, NULL, fill_ring, p);
	if (r < 0) {
		p->joined = true;
		pipe_source_free(p);
		return err_sys(e, r, "starting the decompression thread");
	}
	*ret = p;
	return 0;
}

void pipe_source_unhashed(struct pipe_source *p)
{
	hash_free(p->hash);
	p->hash = NULL;
}

struct source *pipe_source_src(struct pipe_source *p)
{
	return &p->src;
}

const char *pipe_source_digest(struct pipe_source *p, struct err *e)
{
	const uint8_t *chunk;
	size_t n = 1;

	while (n > 0)
		if (next(&p->src, &chunk, &n, e) < 0)
			return NULL;
	if (p->hash && !p->digest[0])
		hash_text(p->hash, p->digest);
	return p->digest;
}

void pipe_source_free(struct pipe_source *p)
{
	if (!p)
		return;
	if (!p->joined) {
		pthread_mutex_lock(&p->lock);
		p->stop = true;
		pthread_cond_signal(&p->changed);
		pthread_mutex_unlock(&p->lock);
		pthread_join(p->thread, NULL);
	}
	for (int i = 0; i < RING; i++)
		free(p->buf[i]);
	hash_free(p->hash);
	pthread_cond_destroy(&p->changed);
	pthread_mutex_destroy(&p->lock);
	free(p);
}

/* ---- memory as a source ---- */
static int mem_next(struct source *s, const uint8_t **ret, size_t *ret_n, struct err *e)
{
	struct mem_source *m = (struct mem_source *)s;

	*ret = m->p;
	*ret_n = MIN(m->n, m->chunk);
	m->p += *ret_n;
	m->n -= *ret_n;
	return 0;
}

void mem_source_init(struct mem_source *m, const void *p, size_t n, size_t chunk)
{
	*m = (struct mem_source){ .src = { .next = mem_next }, .p = p, .n = n, .chunk = chunk };
}
