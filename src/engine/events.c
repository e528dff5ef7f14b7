/* events.c - see events.h. */
#include "engine/events.h"
#include "engine/engine_private.h"
#include "json/json.h"

#include <pthread.h>

#define REMEMBERED 256
#define QUEUE_MAX 1024

struct kept { /* immutable once made; counted */
	int refs;
	char *type, *action, *id, *json;
	struct strmap attributes;
	int64_t time_ns;
};

struct events_sub {
	struct events *ev;
	const struct engine_filters *filters; /* lent for the subscription's life */
	int64_t since_ns, until_ns;
	struct kept **queue;
	size_t n;
	pthread_cond_t news;
	struct events_sub *next;
};

struct events {
	pthread_mutex_t lock; /* guards everything */
	pthread_cond_t idle;
	struct kept *ring[REMEMBERED];
	size_t n, newest; /* ring[(newest - k) % REMEMBERED] */
	struct events_sub *subs;
	bool closing;
};

static void kept_unref(struct kept *k)
{
	if (!k || --k->refs > 0)
		return;
	free(k->type);
	free(k->action);
	free(k->id);
	free(k->json);
	strmap_done(&k->attributes);
	free(k);
}

static int by_key(const void *a, const void *b)
{
	return strcmp(((const struct strkv *)a)->k, ((const struct strkv *)b)->k);
}

static char *event_json(const struct event *w, const struct strmap *attributes, int64_t time_ns)
{
	struct strb b = STRB_INIT;

	strb_addc(&b, '{');
	if (streq(w->type, "container") || streq(w->type, "image")) {
		strb_adds(&b, "\"status\":");
		json_add_str(&b, w->action);
		if (!str_empty(w->id)) { /* prune has none */
			strb_adds(&b, ",\"id\":");
			json_add_str(&b, w->id);
		}
		strb_addc(&b, ',');
		if (!str_empty(w->from)) {
			strb_adds(&b, "\"from\":");
			json_add_str(&b, w->from);
			strb_addc(&b, ',');
		}
	}
	strb_adds(&b, "\"Type\":");
	json_add_str(&b, w->type);
	strb_adds(&b, ",\"Action\":");
	json_add_str(&b, w->action);
	strb_adds(&b, ",\"Actor\":{\"ID\":");
	json_add_str(&b, w->id);
	strb_adds(&b, ",\"Attributes\":{");
	for (size_t i = 0; i < attributes->n; i++) {
		if (i)
			strb_addc(&b, ',');
		json_add_str(&b, attributes->v[i].k);
		strb_addc(&b, ':');
		json_add_str(&b, attributes->v[i].v);
	}
	strb_addf(&b, "}},\"scope\":\"local\",\"time\":%lld,\"timeNano\":%lld}", (long long)(time_ns / 1000000000),
		  (long long)time_ns);
	return strb_take(&b);
}

struct events *events_new(void)
{
	struct events *ev = xcalloc(1, sizeof *ev);

	(void)pthread_mutex_init(&ev->lock, NULL);
	(void)pthread_cond_init(&ev->idle, NULL);
	return ev;
}

void events_free(struct events *ev)
{
	if (!ev)
		return;
	pthread_mutex_lock(&ev->lock);
	ev->closing = true;
	for (struct events_sub *s = ev->subs; s; s = s->next)
		pthread_cond_broadcast(&s->news);
	while (ev->subs)
		pthread_cond_wait(&ev->idle, &ev->lock);
	for (size_t i = 0; i < REMEMBERED; i++)
		kept_unref(ev->ring[i]);
	pthread_mutex_unlock(&ev->lock);
	free(ev);
}

/* Labels and names: "label=k" or "label=k=v" against attributes; the rest against id or the "name"/"image" attribute. */
static bool names_object(const struct kept *k, const char *type, const char *want)
{
	const char *name = strmap_get(&k->attributes, "name");

	if (!streq(k->type, type)) {
		const char *other = strmap_get(&k->attributes, type); /* network events carry "container" */

		return other && *want && str_after(other, want);
	}
	return (*want && str_after(k->id, want)) || streq(name, want) ||
	       (streq(type, "image") && name && str_after(name, want) && name[strlen(want)] == ':');
}

static bool image_of(const struct kept *k, const char *want)
{
	const char *image = strmap_get(&k->attributes, "image");

	return names_object(k, "image", want) ||
	       (image && (streq(image, want) || (str_after(image, want) && image[strlen(want)] == ':')));
}

static bool action_is(const struct kept *k, const char *want)
{
	const char *rest = str_after(k->action, want);

	return rest && (*rest == 0 || *rest == ':'); /* "exec_create: sh" is an exec_create */
}

static bool value_matches(const struct kept *k, const char *key, const char *v)
{
	static const char *const objects[] = { "container", "volume", "network" };

	if (streq(key, "type"))
		return streq(k->type, v);
	if (streq(key, "event"))
		return action_is(k, v);
	if (streq(key, "label"))
		return strmap_has(&k->attributes, v);
	if (streq(key, "image"))
		return image_of(k, v);
	if (streq(key, "scope"))
		return streq(v, "local");
	for (size_t i = 0; i < ARRAY_LEN(objects); i++)
		if (streq(key, objects[i]))
			return names_object(k, objects[i], v);
	return false; /* daemon, plugin, ...: nothing of ours is one */
}

static bool wanted(const struct events_sub *s, const struct kept *k)
{
	if (s->until_ns && k->time_ns > s->until_ns)
		return false;
	for (size_t i = 0; s->filters && i < s->filters->n; i++) {
		const struct strv *values = &s->filters->v[i].values;
		bool all = streq(s->filters->v[i].key, "label"), ok = all || !values->n;

		for (size_t j = 0; j < values->n; j++) {
			bool m = value_matches(k, s->filters->v[i].key, values->v[j]);

			ok = all ? ok && m : ok || m;
		}
		if (!ok)
			return false;
	}
	return true;
}

static void queue_drop_first(struct events_sub *s)
{
	kept_unref(s->queue[0]);
	memmove(s->queue, s->queue + 1, --s->n * sizeof *s->queue);
}

static void queue_push(struct events_sub *s, struct kept *k)
{
	if (s->n == QUEUE_MAX)
		queue_drop_first(s);
	s->queue = xrealloc(s->queue, s->n + 1, sizeof *s->queue);
	s->queue[s->n++] = k;
	k->refs++;
}

void events_emit(struct events *ev, const struct event *what)
{
	struct kept *k = xcalloc(1, sizeof *k);

	k->refs = 1;
	k->time_ns = what->time_ns ? what->time_ns : time_now_ns();
	k->type = xstrdup(what->type);
	k->action = xstrdup(what->action);
	k->id = xstrdup(what->id);
	if (what->attributes)
		strmap_copy(&k->attributes, what->attributes);
	if (k->attributes.n)
		qsort(k->attributes.v, k->attributes.n, sizeof *k->attributes.v, by_key);
	k->json = event_json(what, &k->attributes, k->time_ns);
	pthread_mutex_lock(&ev->lock);
	ev->newest = (ev->newest + 1) % REMEMBERED;
	kept_unref(ev->ring[ev->newest]);
	ev->ring[ev->newest] = k;
	ev->n = MIN(ev->n + 1, (size_t)REMEMBERED);
	for (struct events_sub *s = ev->subs; s; s = s->next)
		if (wanted(s, k)) {
			queue_push(s, k);
			pthread_cond_signal(&s->news);
		}
	pthread_mutex_unlock(&ev->lock);
}

int events_subscribe(struct engine *en, const struct events_opts *o, struct events_sub **ret, struct err *e)
{
	struct events *ev = en->events;
	struct events_sub *s;
	pthread_condattr_t attr;

	if (o->since_ns && o->until_ns && o->until_ns < o->since_ns)
		return err_set(e, ERR_INVALID, "`since` time (%lld.%09lld) cannot be after `until` time (%lld.%09lld)",
			       (long long)(o->since_ns / 1000000000), (long long)(o->since_ns % 1000000000),
			       (long long)(o->until_ns / 1000000000), (long long)(o->until_ns % 1000000000));
	s = xcalloc(1, sizeof *s);
	s->ev = ev;
	s->filters = o->filters;
	s->since_ns = o->since_ns;
	s->until_ns = o->until_ns;
	(void)pthread_condattr_init(&attr);
	(void)pthread_cond_init(&s->news, &attr);
	pthread_mutex_lock(&ev->lock);
	for (size_t back = ev->n; (o->since_ns || o->until_ns) && back > 0; back--) {
		struct kept *k = ev->ring[(ev->newest + REMEMBERED - (back - 1)) % REMEMBERED];

		if (k->time_ns >= o->since_ns && wanted(s, k))
			queue_push(s, k);
	}
	s->next = ev->subs;
	ev->subs = s;
	pthread_mutex_unlock(&ev->lock);
	*ret = s;
	return 0;
}

int events_next(struct events_sub *s, int timeout_ms, char **ret_json)
{
	struct events *ev = s->ev;
	int64_t end = time_now_ns() + (int64_t)timeout_ms * 1000000;
	int r;

	if (s->until_ns)
		end = MIN(end, s->until_ns);
	pthread_mutex_lock(&ev->lock);
	while (!s->n && !ev->closing && time_now_ns() < end) {
		struct timespec t = { .tv_sec = end / 1000000000, .tv_nsec = end % 1000000000 };

		(void)pthread_cond_timedwait(&s->news, &ev->lock, &t);
	}
	if (s->n) {
		*ret_json = xstrdup(s->queue[0]->json);
		queue_drop_first(s);
		r = 1;
	} else {
		r = ev->closing || (s->until_ns && time_now_ns() >= s->until_ns) ? 0 : -ETIMEDOUT;
	}
	pthread_mutex_unlock(&ev->lock);
	return r;
}

void events_unsubscribe(struct events_sub *s)
{
	struct events *ev;

	if (!s)
		return;
	ev = s->ev;
	pthread_mutex_lock(&ev->lock);
	for (struct events_sub **p = &ev->subs; *p; p = &(*p)->next)
		if (*p == s) {
			*p = s->next;
			break;
		}
	while (s->n)
		queue_drop_first(s);
	pthread_cond_signal(&ev->idle);
	pthread_mutex_unlock(&ev->lock);
	(void)pthread_cond_destroy(&s->news);
	free(s->queue);
	free(s);
}
