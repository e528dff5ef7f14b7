/* heal.c - a broken layer gives way to a new one of the same archive, under its name and in one step. */
#include "store/priv.h"
#include "store/stage.h"

#include <fcntl.h>
#include <stdio.h>

static int fits(struct store *s, const char *chain, const struct store_stage *st, char **ret_name, struct err *e)
{
	struct store_layer l = { 0 };
	int r = store_layer_get(s, chain, &l, e);

	if (r == 0 && s->driver->whole_trees)
		r = err_set(e, ERR_NOT_IMPLEMENTED,
			    "with storage driver %s layers hold copies of what is below them: remove the images and "
			    "pull or "
			    "load them again",
			    s->driver->name);
	else if (r == 0 && !streq(l.diff_id, st->diff_id))
		r = err_set(e, ERR_INVALID, "layer %s: got another archive, %s", chain, st->diff_id);
	if (r == 0)
		*ret_name = TAKE_PTR(l.name);
	store_layer_done(&l);
	return r;
}

static int exchange(struct store *s, const char *name, struct store_stage *st, struct err *e)
{
	if (syncfs(st->dir) < 0)
		return err_sys(e, -errno, "syncing the layer");
	if (renameat2(s->tmp, st->name, s->layers, name, RENAME_EXCHANGE) < 0)
		return err_sys(e, -errno, "exchanging the layer");
	if (s->driver->forget)
		s->driver->forget(s, name); /* what is mounted of the old one */
	if (fsync(s->layers) < 0 || fsync(s->tmp) < 0)
		return err_sys(e, -errno, "syncing the layers");
	return 0;
}

int store_layer_exchange(struct store *s, const char *chain, struct store_stage *st, bool (*in_use)(void *ctx),
			 void *ctx, struct err *e)
{
	AUTO_FREE char *name = NULL;
	bool used = in_use(ctx);
	int r = used ? err_set(e, ERR_CONFLICT, "a running container uses the layer: stop it first") : 0;

	if (r == 0)
		r = fits(s, chain, st, &name, e);
	if (r == 0) {
		pthread_mutex_lock(&s->lock);
		busy_enter(s, chain);
		pthread_mutex_unlock(&s->lock);
		r = exchange(s, name, st, e);
		pthread_mutex_lock(&s->lock);
		busy_leave(s, chain);
		pthread_mutex_unlock(&s->lock);
		used = in_use(ctx);
	}
	if (r == 0 && used) { /* it may have been mounted the moment before */
		log_warn("layer %s was healed while a container started: what it was is kept until the next start",
			 chain);
		stage_free(st);
	} else {
		store_stage_drop(s, st); /* what has the stage's name now */
	}
	return r;
}
