/* container_archive.c - a container's files on their way out: export and commit. */
#include "engine/engine_private.h"
#include "schema/docker.h"

int container_export(struct engine *en, const char *ref, const struct engine_out *out, struct err *e)
{
	AUTO_CONTAINER struct container *c = NULL;
	struct store_pack *p = NULL;
	AUTO_FD int ns = -1;
	int64_t size = 0;
	int r = container_find(en, ref, &c, e);

	if (r < 0)
		return r;
	/* What does not run may be started meanwhile: nothing is written to its files here (store/files.c). */
	ns = container_mount_namespace(c);
	r = store_rw_export(en->store, c->rec.rw_layer, ns, &p, e);
	if (r < 0)
		return r;
	r = out->begin(out->ctx);
	if (r == 0)
		r = store_pack_send(p, out->write, out->ctx, &size, e);
	else
		(void)store_pack_end(p, NULL, NULL);
	if (r == 0)
		container_event(c, "export", NULL);
	return r;
}

static int read_files(struct engine *en, struct container *c, bool pause, struct image_committing *i, struct err *e)
{
	bool running, paused;
	int r = 0;

	pthread_mutex_lock(&c->lock);
	running = c->rec.state.running;
	paused = c->rec.state.paused;
	pthread_mutex_unlock(&c->lock);
	pause = pause && running && !paused;
	if (pause)
		r = container_pause(en, c->id, e);
	if (r == 0)
		r = image_commit_files(i, e);
	if (pause)
		(void)container_unpause(en, c->id, NULL); /* it may have ended: then there is nothing to thaw */
	return r;
}

static void tell(struct container *c, const struct container_commit *o, const char *id, const char *name)
{
	AUTO_STRMAP struct strmap more = { 0 };
	AUTO_FREE char *familiar = name ? ref_familiar_latest(name) : NULL;

	strmap_set(&more, "comment", o->comment ? o->comment : "");
	strmap_set(&more, "imageID", id);
	strmap_set(&more, "imageRef", familiar ? familiar : "");
	container_event(c, "commit", &more);
}

int container_commit(struct engine *en, const char *ref, const struct container_commit *o, char **ret_id, struct err *e)
{
	AUTO_FREE char *id = NULL, *name = NULL, *parent = NULL;
	AUTO_CONTAINER struct container *c = NULL;
	AUTO_STRB struct strb config = STRB_INIT;
	struct image_committing *i = NULL;
	int r = container_find(en, ref, &c, e);

	if (r < 0)
		return r;
	pthread_mutex_lock(&c->lock);
	json_write(&docker_config_type, &c->rec.config, JSON_LATEST, &config);
	parent = xstrdup(c->rec.image);
	pthread_mutex_unlock(&c->lock);
	r = image_commit_begin(en->images,
			       &(struct image_commit){ .rw = c->rec.rw_layer,
						       .parent = parent,
						       .container = strb_str(&config),
						       .config = o->config,
						       .changes = o->changes,
						       .author = o->author,
						       .comment = o->comment,
						       .repo = o->repo,
						       .tag = o->tag },
			       &i, e);
	if (r == 0)
		r = read_files(en, c, o->pause, i, e);
	if (r == 0)
		r = image_commit_end(i, &id, &name, e);
	image_commit_done(i);
	if (r < 0)
		return r;
	tell(c, o, id, name);
	*ret_id = TAKE_PTR(id);
	return 0;
}
