/* container_remove.c - rm, rename and prune. */
#include "engine/engine_private.h"

#include <fcntl.h>

static void remove_files(struct container *c)
{
	AUTO_FREE char *socket = xasprintf("%s.sock", c->id);
	struct err e = ERR_INIT;
	int r;

	if (c->rec.rw_layer)
		store_rw_remove(c->en->store, c->rec.rw_layer);
	(void)unlinkat(c->en->shims_fd, socket, 0); /* of a shim that was killed */
	r = dir_remove(c->en->containers_fd, c->id);
	if (r < 0 && r != -ENOENT) {
		err_sys(&e, r, "removing the folder of container %s", c->id);
		log_warn("%s", e.msg);
	}
}

static void remove_anonymous_volumes(struct container *c)
{
	for (size_t i = 0; i < c->rec.mounts.n; i++) {
		struct err e = ERR_INIT;
		AUTO_CONTAINERS struct container_set all = { 0 };
		const char *name = c->rec.mounts.v[i].name;
		bool used = false;

		if (!c->rec.mounts.v[i].anonymous || str_empty(name))
			continue;
		container_set(c->en, &all);
		for (size_t k = 0; k < all.n && !used; k++)
			for (size_t m = 0; all.v[k] != c && m < all.v[k]->rec.mounts.n && !used; m++)
				used = streq(all.v[k]->rec.mounts.v[m].name, name);
		if (!used && volume_remove(c->en->volumes, name, &e) < 0 && e.kind != ERR_NOT_FOUND)
			log_warn("removing volume %s: %s", name, e.msg);
	}
}

/* save_lock held. Should a power loss bring back the record of one that removes itself, it is removed again before any client is heard. */
static int forget_record(struct container *c, struct err *e)
{
	AUTO_DB_BATCH struct db_batch b = { .lazy = c->rec.host.auto_remove };

	db_del(&b, DB_CONTAINERS, c->id);
	return db_commit(c->en->db, &b, e);
}

int container_remove_op(struct container *c, const char *ref, const struct container_remove_opts *o, struct err *e)
{
	struct engine *en = c->en;
	int r = 0;

	if (c->rec.image)
		image_use(en->images, c->rec.image);
	pthread_mutex_lock(&c->lock);
	if (c->removed)
		r = err_set(e, ERR_NOT_FOUND, "No such container: %s", ref);
	else if (c->rec.state.removing)
		r = err_set(e, ERR_CONFLICT, "removal of container %s is already in progress", ref);
	else if (c->rec.state.running && !o->force)
		r = err_set(e, ERR_CONFLICT,
			    c->rec.state.paused
				    ? "cannot remove container \"%s\": container is paused and must be unpaused first"
			    : c->rec.state.restarting
				    ? "cannot remove container \"%s\": container is restarting: stop the container "
				      "before removing or force remove"
				    : "cannot remove container \"%s\": container is running: stop the container "
				      "before removing or force remove",
			    ref);
	else
		c->rec.state.removing = true;
	pthread_mutex_unlock(&c->lock);
	if (r < 0)
		return r;
	if (container_running(c)) {
		struct err ignored = ERR_INIT;

		(void)container_kill(en, c->id, "KILL", &ignored);
		if (container_running(c)) {
			pthread_mutex_lock(&c->lock);
			c->rec.state.removing = false;
			container_unlock(c);
			return err_set(e, ERR_SYSTEM, "cannot remove container \"%s\": could not kill container: %s",
				       ref, ignored.msg);
		}
		container_after_exit(c);
	}
	container_shim_end(c); /* returns when cgroup, mounts and namespaces are gone */
	pthread_mutex_lock(&c->save_lock);
	r = forget_record(c, e);
	c->gone = r == 0;
	pthread_mutex_unlock(&c->save_lock);
	if (r < 0) {
		pthread_mutex_lock(&c->lock);
		c->rec.state.removing = false;
		container_unlock(c);
		return r;
	}
	remove_files(c);
	if (o->volumes)
		remove_anonymous_volumes(c);
	container_event(c, "destroy", NULL);
	container_forget(c);
	execs_forget(
		en,
		c->id); /* after: an exec that is created just now sees that the container is gone, or is among these */
	return 0;
}

int container_remove(struct engine *en, const char *ref, const struct container_remove_opts *o, struct err *e)
{
	AUTO_CONTAINER struct container *c = NULL;
	int r = container_find(en, ref, &c, e);

	if (r < 0)
		return r;
	if (o->link)
		return err_set(e, ERR_SYSTEM, "Conflict, cannot remove the default link name of the container");
	if (pthread_mutex_trylock(&c->op) != 0) {
		if (o->force && container_running(c)) /* a patient stop must not make force wait */
			(void)container_kill(en, c->id, "KILL", NULL);
		pthread_mutex_lock(&c->op);
	}
	r = container_remove_op(c, ref, o, e);
	pthread_mutex_unlock(&c->op);
	return r;
}

int container_rename(struct engine *en, const char *ref, const char *name, struct err *e)
{
	AUTO_CONTAINER struct container *c = NULL;
	AUTO_STRMAP struct strmap more = { 0 };
	AUTO_FREE char *old = NULL;
	AUTO_FREE char *was = NULL;
	AUTO_FREE char *slashed = NULL;
	int r = container_find(en, ref, &c, e);

	if (r < 0)
		return r;
	if (name && *name == '/')
		name++;
	if (str_empty(name))
		return err_set(e, ERR_INVALID, "Neither old nor new names may be empty");
	slashed = xasprintf("/%s", name);
	pthread_mutex_lock(&c->op);
	if (streq(c->rec.name, name))
		r = err_set(e, ERR_INVALID, "Renaming a container with the same name as its current name");
	else if ((r = container_name_reserve(en, slashed, c->id, e)) < 0)
		r = err_wrap(e, r, "Error when allocating new name");
	if (r == 0) {
		pthread_mutex_lock(&en->lock);
		pthread_mutex_lock(&c->lock);
		old = TAKE_PTR(c->rec.name);
		c->rec.name = xstrdup(name);
		pthread_mutex_unlock(&c->lock);
		pthread_mutex_unlock(&en->lock);
		container_name_release(en, name);
		container_nets_rename(c);
		r = container_save(c, e);
		if (r < 0) {
			pthread_mutex_lock(&en->lock);
			pthread_mutex_lock(&c->lock);
			free(c->rec.name);
			c->rec.name = TAKE_PTR(old);
			pthread_mutex_unlock(&c->lock);
			pthread_mutex_unlock(&en->lock);
			container_nets_rename(c);
		}
	}
	pthread_mutex_unlock(&c->op);
	if (r < 0)
		return r;
	container_names_changed(c, NULL);
	was = xasprintf("/%s", old);
	strmap_set(&more, "oldName", was);
	container_event(c, "rename", &more);
	return 0;
}

int container_prune(struct engine *en, const struct engine_filters *f, struct strv *ret_deleted, int64_t *ret_bytes,
		    struct err *e)
{
	AUTO_CONTAINERS struct container_set all = { 0 };
	const struct strv *labels = engine_filter(f, "label"), *labels_not = engine_filter(f, "label!"),
			  *until = engine_filter(f, "until");
	int64_t before = INT64_MAX;

	for (size_t i = 0; f && i < f->n; i++)
		if (!streq(f->v[i].key, "label") && !streq(f->v[i].key, "label!") && !streq(f->v[i].key, "until"))
			return err_set(e, ERR_INVALID, "invalid filter '%s'", f->v[i].key);
	if (until && until->n) {
		int r = engine_time_parse(until->v[0], &before);

		if (r < 0)
			return err_set(e, ERR_INVALID, "failed to parse value as time or duration: \"%s\"",
				       until->v[0]);
	}
	container_set(en, &all);
	*ret_bytes = 0;
	for (size_t i = 0; i < all.n; i++) {
		struct container *c = all.v[i];
		int64_t size = 0;
		bool wanted;

		pthread_mutex_lock(&c->lock);
		wanted = !c->rec.state.running && c->rec.created_ns < before &&
			 engine_labels_match(&c->rec.config.labels, labels, true) &&
			 engine_labels_match(&c->rec.config.labels, labels_not, false);
		pthread_mutex_unlock(&c->lock);
		if (!wanted || store_rw_size(en->store, c->rec.rw_layer, &size, NULL) < 0)
			continue;
		pthread_mutex_lock(&c->op);
		if (container_remove_op(c, c->id, &(struct container_remove_opts){ 0 }, NULL) == 0) {
			strv_add(ret_deleted, c->id);
			*ret_bytes += size;
		}
		pthread_mutex_unlock(&c->op);
	}
	return 0;
}
