/* containers.c - the table of containers: finding by name, id and prefix; reserving names; saving records. */
#include "engine/engine_private.h"

#include <fcntl.h>

/* clang-format off */
JSON_TYPE(container_state, CONTAINER_STATE_FIELDS)
JSON_TYPE(container_mount, CONTAINER_MOUNT_FIELDS)
JSON_TYPE(container_record, CONTAINER_RECORD_FIELDS)
/* clang-format on */

struct container *container_ref(struct container *c)
{
	pthread_mutex_lock(&c->en->lock);
	c->refs++;
	pthread_mutex_unlock(&c->en->lock);
	return c;
}

void container_unref(struct container *c)
{
	bool last;

	if (!c)
		return;
	pthread_mutex_lock(&c->en->lock);
	last = --c->refs == 0;
	pthread_mutex_unlock(&c->en->lock);
	if (!last)
		return;
	shim_link_unref(c->shim); /* it has no owner any more: as one it would hold a reference */
	json_done(&container_record_type, &c->rec);
	(void)pthread_mutex_destroy(&c->op);
	(void)pthread_mutex_destroy(&c->shim_lock);
	(void)pthread_mutex_destroy(&c->save_lock);
	(void)pthread_mutex_destroy(&c->lock);
	(void)pthread_cond_destroy(&c->changed);
	free(c);
}

struct container *container_new(struct engine *en, struct container_record *rec)
{
	struct container *c = xcalloc(1, sizeof *c);
	pthread_condattr_t attr;

	c->en = en;
	c->refs = 1;
	(void)snprintf(c->id, sizeof c->id, "%s", rec->id);
	(void)pthread_mutex_init(&c->op, NULL);
	(void)pthread_mutex_init(&c->shim_lock, NULL);
	(void)pthread_mutex_init(&c->save_lock, NULL);
	(void)pthread_mutex_init(&c->lock, NULL);
	(void)pthread_condattr_init(&attr);
	(void)pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	(void)pthread_cond_init(&c->changed, &attr);
	c->rec = *rec;
	*rec = (struct container_record){ 0 };
	return c;
}

static struct container *find_locked(struct engine *en, const char *ref, size_t *ret_prefixes)
{
	struct container *by_prefix = NULL;
	const char *name = *ref == '/' ? ref + 1 : ref;
	size_t n = strlen(ref);

	*ret_prefixes = 0;
	for (size_t i = 0; i < en->n; i++)
		if (streq(en->containers[i]->id, ref))
			return en->containers[i];
	for (size_t i = 0; i < en->n; i++)
		if (streq(en->containers[i]->rec.name, name)) /* renamed only with en->lock held too */
			return en->containers[i];
	for (size_t i = 0; i < en->n; i++)
		if (n && strncmp(en->containers[i]->id, ref, n) == 0) {
			by_prefix = en->containers[i];
			++*ret_prefixes;
		}
	return *ret_prefixes == 1 ? by_prefix : NULL;
}

int container_find(struct engine *en, const char *ref, struct container **ret, struct err *e)
{
	struct container *c;
	size_t prefixes = 0;

	pthread_mutex_lock(&en->lock);
	c = str_empty(ref) ? NULL : find_locked(en, ref, &prefixes);
	if (c)
		c->refs++;
	pthread_mutex_unlock(&en->lock);
	if (c) {
		*ret = c;
		return 0;
	}
	if (prefixes > 1)
		return err_set(e, ERR_INVALID, "Multiple IDs found with provided prefix: %s", ref);
	return err_set(e, ERR_NOT_FOUND, "No such container: %s", ref);
}

int container_known(struct engine *en, const char *ref, struct err *e)
{
	AUTO_CONTAINER struct container *c = NULL;

	return container_find(en, ref, &c, e);
}

void container_set(struct engine *en, struct container_set *ret)
{
	pthread_mutex_lock(&en->lock);
	ret->n = en->n;
	ret->v = xcalloc(en->n, sizeof *ret->v);
	for (size_t i = 0; i < en->n; i++) {
		ret->v[i] = en->containers[i];
		ret->v[i]->refs++;
	}
	pthread_mutex_unlock(&en->lock);
}

void container_set_done(struct container_set *s)
{
	for (size_t i = 0; i < s->n; i++)
		container_unref(s->v[i]);
	free(s->v);
	*s = (struct container_set){ 0 };
}

static bool name_valid(const char *name)
{
	/* Docker: [a-zA-Z0-9][a-zA-Z0-9_.-]+ */
	size_t n = strlen(name);

	for (size_t i = 0; i < n; i++) {
		char c = name[i];
		bool alnum = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');

		if (!alnum && (i == 0 || !strchr("_.-", c)))
			return false;
	}
	return n >= 2;
}

int container_name_reserve(struct engine *en, const char *asked, const char *own_id, struct err *e)
{
	const char *name = *asked == '/' ? asked + 1 : asked;
	const struct container *holder = NULL;
	int r = 0;

	if (!name_valid(name))
		return err_set(e, ERR_INVALID,
			       "Invalid container name (%s), only [a-zA-Z0-9][a-zA-Z0-9_.-] are allowed", asked);
	pthread_mutex_lock(&en->lock);
	for (size_t i = 0; i < en->n && !holder; i++)
		if (streq(en->containers[i]->rec.name, name) && !streq(en->containers[i]->id, own_id))
			holder = en->containers[i];
	if (holder)
		r = err_set(e, ERR_CONFLICT,
			    "Conflict. The container name \"/%s\" is already in use by container \"%s\". You have to "
			    "remove (or rename) that container to be able to reuse that name.",
			    name, holder->id);
	else if (strv_has(&en->reserved_names, name))
		r = err_set(e, ERR_CONFLICT,
			    "Conflict. The container name \"/%s\" is already in use by container that is being "
			    "created. You have to remove (or rename) that container to be able to reuse that name.",
			    name);
	else
		strv_add(&en->reserved_names, name);
	pthread_mutex_unlock(&en->lock);
	return r;
}

void container_name_release(struct engine *en, const char *name)
{
	pthread_mutex_lock(&en->lock);
	for (size_t i = 0; i < en->reserved_names.n; i++)
		if (streq(en->reserved_names.v[i], name)) {
			strv_remove(&en->reserved_names, i);
			break;
		}
	pthread_mutex_unlock(&en->lock);
}

void container_insert(struct engine *en, struct container *c)
{
	pthread_mutex_lock(&en->lock);
	en->containers = xrealloc(en->containers, en->n + 1, sizeof *en->containers);
	memmove(en->containers + 1, en->containers, en->n * sizeof *en->containers);
	en->containers[0] = c;
	en->n++;
	c->refs++;
	pthread_mutex_unlock(&en->lock);
}

void container_forget(struct container *c)
{
	struct engine *en = c->en;
	bool was_in = false;

	pthread_mutex_lock(&en->lock);
	for (size_t i = 0; i < en->n; i++)
		if (en->containers[i] == c) {
			memmove(en->containers + i, en->containers + i + 1, (en->n - i - 1) * sizeof *en->containers);
			en->n--;
			was_in = true;
			break;
		}
	pthread_mutex_unlock(&en->lock);
	container_lock(c);
	c->removed = true;
	container_unlock(c);
	if (was_in)
		container_unref(c);
}

static int save(struct container *c, bool lazy, struct err *e)
{
	AUTO_DB_BATCH struct db_batch b = { .lazy = lazy };
	AUTO_STRB struct strb text = STRB_INIT;
	int r;

	pthread_mutex_lock(&c->save_lock); /* a later state must not be overwritten by an earlier one */
	if (c->gone) {
		pthread_mutex_unlock(&c->save_lock);
		return 0;
	}
	pthread_mutex_lock(&c->lock);
	json_write(&container_record_type, &c->rec, JSON_LATEST, &text);
	pthread_mutex_unlock(&c->lock);
	db_put(&b, DB_CONTAINERS, c->id, strb_str(&text));
	r = db_commit(c->en->db, &b, e);
	pthread_mutex_unlock(&c->save_lock);
	return r;
}

int container_save(struct container *c, struct err *e)
{
	return save(c, false, e);
}

int container_save_lazy(struct container *c, struct err *e)
{
	return save(c, true, e);
}

int container_folder(struct container *c)
{
	return dir_open(c->en->containers_fd, c->id);
}

void container_lock(struct container *c)
{
	pthread_mutex_lock(&c->lock);
}

void container_unlock(struct container *c)
{
	pthread_cond_broadcast(&c->changed);
	pthread_mutex_unlock(&c->lock);
}

const char *container_status(const struct container_record *rec)
{
	if (rec->state.running)
		return rec->state.paused ? "paused" : rec->state.restarting ? "restarting" : "running";
	if (rec->state.removing)
		return "removing";
	if (rec->state.dead)
		return "dead";
	return rec->state.started_ns ? "exited" : "created";
}

bool container_running(struct container *c)
{
	bool running;

	pthread_mutex_lock(&c->lock);
	running = c->rec.state.running;
	pthread_mutex_unlock(&c->lock);
	return running;
}

void container_event(struct container *c, const char *action, const struct strmap *more)
{
	pthread_mutex_lock(&c->lock);
	container_event_locked(c, action, more);
	pthread_mutex_unlock(&c->lock);
}

void container_event_locked(struct container *c, const char *action, const struct strmap *more)
{
	AUTO_STRMAP struct strmap attributes = { 0 };
	struct event ev = { .type = "container", .action = action, .id = c->id, .attributes = &attributes };
	AUTO_FREE char *image = NULL;

	strmap_copy(&attributes, &c->rec.config.labels);
	image = xstrdup(c->rec.config.image);
	strmap_set(&attributes, "image", image ? image : "");
	strmap_set(&attributes, "name", c->rec.name);
	for (size_t i = 0; more && i < more->n; i++)
		strmap_set(&attributes, more->v[i].k, more->v[i].v);
	ev.from = image;
	events_emit(c->en->events, &ev);
}
