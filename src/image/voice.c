/* voice.c - progress of a transfer: several threads, one client, which may hang up at any time. */
#include "image/pull_priv.h"

#define LINE_EVERY_NS 100000000

void voice_init(struct voice *v, const struct image_transfer *x)
{
	*v = (struct voice){ .x = x };
	pthread_mutex_init(&v->lock, NULL);
}

void voice_done(struct voice *v)
{
	pthread_mutex_destroy(&v->lock);
}

void voice_cancel(struct voice *v, int why)
{
	int none = 0;

	if (__atomic_compare_exchange_n(&v->cancelled, &none, why, false, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE) &&
	    v->remote) {
		remote_cancel(v->remote);
		if (v->other)
			remote_cancel(v->other);
	}
}

void voice_say(struct voice *v, const struct image_note *n)
{
	int r;

	pthread_mutex_lock(&v->lock);
	r = v->x->note ? v->x->note(v->x->ctx, n) : 0;
	pthread_mutex_unlock(&v->lock);
	if (r < 0)
		voice_cancel(v, -ECANCELED);
}

void voice_status(struct voice *v, const char *id, const char *status)
{
	voice_say(v, &(struct image_note){ .id = id, .status = status, .detail = true });
}

void voice_poll(struct voice *v)
{
	if (v->x->gone && v->x->gone(v->x->ctx))
		voice_cancel(v, -ECANCELED);
}

void meter_at(void *meter, int64_t current)
{
	struct meter *m = meter;
	int64_t now = time_mono_ns();

	if (now < m->next_ns && current < m->total)
		return;
	m->next_ns = now + LINE_EVERY_NS;
	voice_say(m->voice,
		  &(struct image_note){
			  .id = m->id, .status = m->status, .detail = true, .current = current, .total = m->total });
}
