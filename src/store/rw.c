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
	AUTO_FREE char *name = name_new();
	int r = store_layer_ref(s, top, e);

	if (r < 0)
		return r;
	r = s->driver->rw_make(s, name, uid, gid);
	if (r < 0) {
		doom(s, s->layers, name);
		store_layer_unref(s, top);
		return err_sys(e, r, "making a container's layer");
	}
	rw_publish(s, name, top);
	*ret_name = TAKE_PTR(name);
	return 0;
}

int store_rw_claim(struct store *s, const char *name, const char *top, struct err *e)
{
	int r;

	if (str_empty(name) || strchr(name, '/') || *name == '.')
		return err_set(e, ERR_INVALID, "a container's layer cannot have the name %.80s", name ? name : "");
	r = store_layer_ref(s, top, e);
	if (r < 0)
		return r;
	if (faccessat(s->layers, name, F_OK, AT_SYMLINK_NOFOLLOW) < 0) {
		/* Its record is durable and it is not: power went before anything was written to it. */
		log_warn("layer %s of a container is missing: made anew, empty", name);
		r = s->driver->rw_make(s, name, 0, 0);
		if (r < 0) {
			store_layer_unref(s, top);
			return err_sys(e, r, "making a container's layer anew");
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
	int r = tree_size(s->layers, path, ret);

	return r < 0 ? err_sys(e, r, "measuring a container's layer") : 0;
}

void store_rootfs_done(struct store_rootfs *r)
{
	free(r->lower_dir);
	free(r->upper);
	free(r->work);
	free(r->bind);
	strv_done(&r->lowers);
	*r = (struct store_rootfs){ 0 };
}

/* Directories of a chain, top first; the init layer is the lowest of all (see init_layer_make). */
static void chain_dirs(struct store *s, const char *chain, struct strv *ret)
{
	const struct store_layer *l;

	pthread_mutex_lock(&s->lock);
	for (; chain && (l = layer_find(s, chain)); chain = l->parent)
		strv_addf(ret, "%s/diff", l->name);
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
	chain_dirs(s, top, &lowers);
	strv_add(&lowers, INIT_LAYER "/diff");
	s->driver->rootfs(s, rw_name, &lowers, &root);
	*ret = root;
	return 0;
}

int store_graph_data(struct store *s, const char *rw_name, const char *chain, struct strmap *ret, struct err *e)
{
	AUTO_FREE char *top = rw_name ? NULL : xstrdup(chain);
	AUTO_STRV struct strv dirs = { 0 };
	AUTO_STRB struct strb lower = STRB_INIT;
	size_t first = rw_name ? 0 : 1;
	int r = rw_name ? rw_top(s, rw_name, &top, e) : 0;

	if (r < 0)
		return r;
	chain_dirs(s, top, &dirs);
	if (rw_name)
		strv_add(&dirs, INIT_LAYER "/diff");
	for (size_t i = first; i < dirs.n; i++)
		strb_addf(&lower, "%s%s/layers/%s", i > first ? ":" : "", s->root, dirs.v[i]);
	if (rw_name || dirs.n) {
		AUTO_FREE char *name = rw_name ? xstrdup(rw_name) : xstrndup(dirs.v[0], strlen(dirs.v[0]) - 5);
		AUTO_FREE char *merged = xasprintf("%s/layers/%s/merged", s->root, name);
		AUTO_FREE char *upper = xasprintf("%s/layers/%s/diff", s->root, name);
		AUTO_FREE char *work = xasprintf("%s/layers/%s/work", s->root, name);

		if (lower.len)
			strmap_set(ret, "LowerDir", strb_str(&lower));
		strmap_set(ret, "MergedDir", merged);
		strmap_set(ret, "UpperDir", upper);
		strmap_set(ret, "WorkDir", work);
	}
	return 0;
}
