/* rw.c - containers' read-write layers, and the root file systems made with them. */
#include "store/priv.h"

#include <fcntl.h>
#include <sys/stat.h>

static struct rw_layer *rw_find(struct store *s, const char *name)
{
	for (size_t i = 0; i < s->rw.n; i++)
		if (streq(s->rw.v[i].name, name))
			return &s->rw.v[i];
	return NULL;
}

static void rw_publish(struct store *s, const char *name, const char *top)
{
	struct rw_layer *l;

	pthread_mutex_lock(&s->lock);
	l = VEC_ADD(&s->rw);
	l->name = xstrdup(name);
	l->top = xstrdup(top);
	pthread_mutex_unlock(&s->lock);
}

int store_rw_create(struct store *s, const char *top, uint32_t uid, uint32_t gid, char **ret_name, struct err *e)
{
	AUTO_FREE char *name = name_new(), *below = NULL;
	int r = store_layer_ref(s, top, e);

	if (r < 0)
		return r;
	below = layer_name(s, top);
	r = s->driver->rw_make(s, name, below, uid, gid, e);
	if (r < 0) {
		doom(s, s->layers, name);
		store_layer_unref(s, top);
		return r;
	}
	rw_publish(s, name, top);
	*ret_name = TAKE_PTR(name);
	return 0;
}

/* Power takes directories that were not synced, those made last first. */
static bool rw_whole(const struct store *s, const char *name)
{
	AUTO_FREE char *diff = path_join(name, "diff"), *work = path_join(name, "work");

	return faccessat(s->layers, diff, F_OK, AT_SYMLINK_NOFOLLOW) == 0 &&
	       (s->driver->whole_trees || faccessat(s->layers, work, F_OK, AT_SYMLINK_NOFOLLOW) == 0);
}

int store_rw_claim(struct store *s, const char *name, const char *top, struct err *e)
{
	int r;

	if (str_empty(name) || strchr(name, '/') || *name == '.')
		return err_set(e, ERR_INVALID, "a container's layer cannot have the name %.80s", name ? name : "");
	r = store_layer_ref(s, top, e);
	if (r < 0)
		return r;
	if (!rw_whole(s, name)) {
		AUTO_FREE char *below = layer_name(s, top);

		/* Its record is durable and it is not: power went before anything was written to it. */
		log_warn("layer %s of a container is missing: made anew, empty", name);
		if (s->driver->whole_trees) /* the whole of it; others add what is missing to what there is */
			doom(s, s->layers, name);
		r = s->driver->rw_make(s, name, below, 0, 0, e);
		if (r < 0) {
			store_layer_unref(s, top);
			return r;
		}
	}
	rw_publish(s, name, top);
	return 0;
}

void store_rw_remove(struct store *s, const char *name)
{
	AUTO_FREE char *top = NULL;
	struct rw_layer *l;
	bool known;

	pthread_mutex_lock(&s->lock);
	l = rw_find(s, name);
	known = l;
	if (l) {
		free(l->name);
		top = l->top;
		*l = s->rw.v[--s->rw.n];
	}
	pthread_mutex_unlock(&s->lock);
	if (!known)
		return;
	doom(s, s->layers, name);
	store_layer_unref(s, top);
}

int store_rw_size(struct store *s, const char *name, int64_t *ret, struct err *e)
{
	AUTO_FREE char *path = path_join(name, "diff");
	int r;

	if (s->driver->whole_trees) {
		struct store_diff d = { .tree = -1, .base = -1 };

		r = store_rw_diff(s, name, &d, e);
		if (r < 0)
			return r;
		r = tree_changed_size(&d, ret);
		store_diff_done(&d);
	} else {
		r = tree_bytes(s->layers, path, ret);
	}
	return r < 0 ? err_sys(e, r, "measuring a container's layer") : 0;
}

void store_rootfs_done(struct store_rootfs *r)
{
	if (r->has_lowers_fd)
		fd_closep(&r->lowers_fd);
	free(r->lower_dir);
	free(r->upper);
	free(r->work);
	free(r->bind);
	free(r->fuse);
	strv_done(&r->lowers);
	*r = (struct store_rootfs){ 0 };
}

/* Names of a chain's layers, top first. */
static void chain_names(struct store *s, const char *chain, struct strv *ret)
{
	const struct store_layer *l;

	pthread_mutex_lock(&s->lock);
	for (; chain && (l = layer_find(s, chain)); chain = l->parent)
		strv_add(ret, l->name);
	pthread_mutex_unlock(&s->lock);
}

static int rw_top(struct store *s, const char *name, char **ret, struct err *e)
{
	const struct rw_layer *l;

	pthread_mutex_lock(&s->lock);
	l = rw_find(s, name);
	*ret = l ? xstrdup(l->top) : NULL;
	pthread_mutex_unlock(&s->lock);
	return l ? 0 : err_set(e, ERR_NOT_FOUND, "no layer %s", name);
}

int store_rootfs(struct store *s, const char *rw_name, struct store_rootfs *ret, struct err *e)
{
	AUTO_STRV struct strv lowers = { 0 };
	struct store_rootfs root = { 0 };
	AUTO_FREE char *top = NULL;
	int r = rw_top(s, rw_name, &top, e);

	if (r < 0)
		return r;
	chain_names(s, top, &lowers);
	strv_add(&lowers, INIT_LAYER); /* the lowest of all: see init_layer_make */
	r = s->driver->rootfs(s, rw_name, &lowers, &root, e);
	if (r < 0) {
		store_rootfs_done(&root);
		return r;
	}
	*ret = root;
	return 0;
}

void store_diff_done(struct store_diff *d)
{
	fd_closep(&d->tree);
	fd_closep(&d->base);
	strv_done(&d->ignore);
}

int store_rw_diff(struct store *s, const char *name, struct store_diff *ret, struct err *e)
{
	AUTO_FREE char *top = NULL, *below = NULL, *path = path_join(name, "diff");
	struct store_diff d = { .tree = -1, .base = -1, .compare = s->driver->whole_trees };
	int r = rw_top(s, name, &top, e);

	if (r < 0)
		return r;
	d.tree = dir_open(s->layers, path);
	if (d.tree < 0)
		return err_sys(e, d.tree, "opening a container's layer");
	below = layer_name(s, top);
	if (d.compare && below) {
		d.base = s->driver->layer_dir(s, below, e);
		if (d.base < 0) {
			r = d.base;
			store_diff_done(&d);
			return r;
		}
	}
	if (d.compare)
		init_layer_paths(&d.ignore);
	*ret = d;
	return 0;
}

int store_graph_data(struct store *s, const char *rw_name, const char *chain, struct strmap *ret, struct err *e)
{
	AUTO_FREE char *top = rw_name ? NULL : xstrdup(chain);
	AUTO_STRV struct strv names = { 0 };
	int r = rw_name ? rw_top(s, rw_name, &top, e) : 0;

	if (r < 0)
		return r;
	chain_names(s, top, &names);
	if (rw_name)
		strv_add(&names, INIT_LAYER);
	if (s->driver->graph_data && (rw_name || names.n))
		s->driver->graph_data(s, rw_name, &names, ret);
	return 0;
}
