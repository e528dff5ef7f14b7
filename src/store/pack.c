/* pack.c - a layer's archive again, made by a worker. */
#include "store/priv.h"
#include "store/worker_call.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/xattr.h>

#define DEPTH_MAX 1000

int recipe_open(struct store *s, const char *chain, struct err *e)
{
	AUTO_FREE char *name = layer_name(s, chain);
	AUTO_FREE char *path = name ? path_join(name, LAYER_RECIPE) : NULL;
	int fd;

	if (!name)
		return err_set(e, ERR_NOT_FOUND, "layer does not exist: %s", chain);
	fd = openat(s->layers, path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0 && errno == ENOENT)
		return err_set(e, ERR_SYSTEM,
			       "layer %s was unpacked by an older hoyd that kept no recipe of it: "
			       "remove the image and load or pull it again to be able to send it",
			       chain);
	return fd < 0 ? err_sys(e, -errno, "opening the recipe of layer %s", chain) : fd;
}

struct store_pack {
	struct worker w;
	int fd;     /* to read from */
	char *what; /* for errors; NULL = they speak for themselves */
};
#define PIPE_BYTES (1 << 20)

struct store_pack *pack_new(void)
{
	struct store_pack *p = xcalloc(1, sizeof *p);

	p->w = WORKER_NONE;
	p->fd = -1;
	return p;
}

struct worker *pack_worker(struct store_pack *p)
{
	return &p->w;
}

void pack_free(struct store_pack *p)
{
	worker_done(&p->w);
	fd_closep(&p->fd);
	free(p->what);
	free(p);
}

int pack_pipe(struct store_pack *p, int *theirs, struct err *e)
{
	int ends[2];

	if (pipe2(ends, O_CLOEXEC) < 0)
		return err_sys(e, -errno, "making a pipe");
	p->fd = ends[0];
	*theirs = ends[1];
	(void)fcntl(p->fd, F_SETPIPE_SZ, PIPE_BYTES);
	return 0;
}

static int start(struct store *s, const char *chain, enum worker_comp comp, struct store_pack *p, struct err *e)
{
	AUTO_STRB struct strb body = STRB_INIT;
	AUTO_FD int recipe = recipe_open(s, chain, e);
	AUTO_FD int dir = recipe < 0 ? -1 : store_layer_dir(s, chain, e);
	AUTO_FD int theirs = -1;
	int r = recipe < 0 ? recipe : dir < 0 ? dir : pack_pipe(p, &theirs, e);

	if (r < 0)
		return r;
	msg_put_str(&body, p->what);
	msg_put_u32(&body, comp);
	return worker_start(s->worker, "pack", WORKER_PACK, &body, (int[]){ recipe, dir, theirs }, 3, &p->w, e);
}

int store_pack_begin(struct store *s, const char *chain, bool gzip, struct store_pack **ret, struct err *e)
{
	struct store_layer l = { 0 };
	struct store_pack *p;
	int r = store_layer_get(s, chain, &l, e);

	if (r < 0)
		return r;
	p = pack_new();
	p->what = TAKE_PTR(l.diff_id);
	store_layer_done(&l);
	r = start(s, chain, gzip ? WORKER_COMP_GZIP : WORKER_COMP_NONE, p, e);
	if (r < 0) {
		pack_free(p);
		return r;
	}
	*ret = p;
	return 0;
}

int store_pack_fd(const struct store_pack *p)
{
	return p->fd;
}

int store_pack_end(struct store_pack *p, int64_t *ret_size, struct err *e)
{
	AUTO_MSG struct msg m = { 0 };
	struct msg_reader rd;
	int r = 0;

	fd_closep(&p->fd); /* a worker that still writes ends */
	if (ret_size)
		r = worker_answer(&p->w, WORKER_PACKED, &m, e);
	if (r < 0 && p->what)
		r = err_wrap(e, r, "layer %s", p->what);
	if (r == 0 && ret_size) {
		rd = msg_reader(m.body, m.n);
		(void)msg_get_str(&rd);
		*ret_size = msg_get_i64(&rd);
	}
	pack_free(p);
	return r;
}

#define SEND_AT_ONCE (256 * 1024)
int store_pack_send(struct store_pack *p, int (*write)(void *ctx, const void *buf, size_t n), void *ctx,
		    int64_t *ret_size, struct err *e)
{
	AUTO_FREE char *buf = xmalloc(SEND_AT_ONCE);
	int r = 0;

	while (r == 0) {
		ssize_t n = read(p->fd, buf, SEND_AT_ONCE);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			break; /* the worker says whether that was the end */
		r = write(ctx, buf, (size_t)n);
	}
	if (r < 0) {
		(void)store_pack_end(p, NULL, NULL);
		return r;
	}
	return store_pack_end(p, ret_size, e);
}

int store_layer_packable(struct store *s, const char *chain, struct err *e)
{
	AUTO_FD int fd = recipe_open(s, chain, e);

	return fd < 0 ? fd : 0;
}

/* ---- containers ---- */
/* The worker may not see trusted attributes: which directories of an upper hide what is below is found here. */
static int find_opaque(int fd, const char *path, int depth, struct strb *ret, struct err *e)
{
	DIR *d = fdopendir(fd);
	char mark[2] = "";
	struct dirent *x;
	int r = 0;

	if (!d) {
		r = -errno;
		(void)close(fd);
		return err_sys(e, r, "reading a container's layer");
	}
	if (*path && fgetxattr(dirfd(d), "trusted.overlay.opaque", mark, sizeof mark) == 1 && mark[0] == 'y')
		strb_add(ret, path, strlen(path) + 1);
	if (fgetxattr(dirfd(d), "trusted.overlay.redirect", mark, 0) > 0)
		r = err_set(e, ERR_SYSTEM, "%.200s was renamed by an overlay with redirect_dir: cannot be committed",
			    path);
	while (r == 0 && (x = readdir(d))) {
		AUTO_FREE char *sub = NULL;
		int child;

		if (streq(x->d_name, ".") || streq(x->d_name, "..") || (x->d_type != DT_DIR && x->d_type != DT_UNKNOWN))
			continue;
		child = openat(dirfd(d), x->d_name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
		if (child < 0)
			continue; /* gone, or no directory */
		sub = *path ? xasprintf("%s/%s", path, x->d_name) : xstrdup(x->d_name);
		if (depth > DEPTH_MAX) {
			(void)close(child);
			r = err_sys(e, -ENAMETOOLONG, "reading %.200s", sub);
		} else {
			r = find_opaque(child, sub, depth + 1, ret, e);
		}
	}
	(void)closedir(d);
	return r;
}

struct tree {
	uint32_t kind;
	bool upper;
	const char *lower_dir, *options;
	int target, base;
	struct strb lists;
};

static int tree_begin(struct store *s, const struct tree *t, struct store_pack **ret, struct err *e)
{
	AUTO_FD int list = memfd_of("lists", strb_str(&t->lists), t->lists.len);
	struct store_pack *p = pack_new();
	AUTO_STRB struct strb body = STRB_INIT;
	AUTO_FD int theirs = -1;
	int r;

	r = list < 0 ? err_sys(e, list, "making a request") : pack_pipe(p, &theirs, e);
	msg_put_u32(&body, t->kind);
	msg_put_u32(&body, t->upper);
	msg_put_str(&body, t->lower_dir);
	msg_put_str(&body, t->options);
	if (r == 0)
		r = worker_start(s->worker, "tree", WORKER_TREE, &body, (int[]){ theirs, t->target, list, t->base },
				 t->base >= 0 ? 4 : 3, &p->w, e);
	if (r < 0) {
		pack_free(p);
		return r;
	}
	*ret = p;
	return 0;
}

int diff_lists(const struct store_diff *d, struct strb *ret, struct err *e)
{
	int r = 0;

	if (!d->compare) {
		int fd = dir_open(d->tree, ".");

		r = fd < 0 ? err_sys(e, fd, "reading a container's layer") : find_opaque(fd, "", 0, ret, e);
	}
	strb_addc(ret, 0);
	for (size_t i = 0; i < d->ignore.n; i++)
		strb_add(ret, d->ignore.v[i], strlen(d->ignore.v[i]) + 1);
	return r;
}

int store_rw_changes(struct store *s, const char *name, struct store_pack **ret, struct err *e)
{
	struct tree t = { .kind = WORKER_TREE_DIR };
	struct store_diff d = { 0 };
	int r = store_rw_diff(s, name, &d, e);

	if (r < 0)
		return r;
	t.target = d.tree;
	t.base = d.base;
	t.upper = !d.compare;
	r = diff_lists(&d, &t.lists, e);
	if (r == 0)
		r = tree_begin(s, &t, ret, e);
	strb_done(&t.lists);
	store_diff_done(&d);
	return r;
}

/* A container that does not run, read-only: its upper directory is the topmost lower one here. */
static int stopped(struct store *s, const char *name, struct store_pack **ret, struct err *e)
{
	struct tree t = { .kind = WORKER_TREE_DIR, .target = -1, .base = -1 };
	AUTO_STRB struct strb options = STRB_INIT;
	AUTO_FD int dir = -1;
	struct store_rootfs fs = { 0 };
	int r = store_rootfs(s, name, &fs, e);

	if (r < 0)
		return r;
	if (fs.has_lowers_fd) { /* its layers are mounts of ours, which the worker could not take along into its namespace */
		store_rootfs_done(&fs);
		return err_set(e, ERR_NOT_IMPLEMENTED,
			       "with storage driver %s only a running container can be exported: start it first",
			       s->driver->name);
	}
	dir = dir_open(AT_FDCWD, fs.bind ? fs.bind : fs.lower_dir);
	t.target = dir;
	if (!fs.bind) {
		t.kind = WORKER_TREE_OVERLAY;
		t.lower_dir = fs.lower_dir;
		strb_addf(&options, "lowerdir=%s/diff", name);
		for (size_t i = 0; i < fs.lowers.n; i++)
			strb_addf(&options, ":%s", fs.lowers.v[i]);
		t.options = strb_str(&options);
	}
	if (dir < 0)
		r = err_sys(e, dir, "opening a container's files");
	else if (options.len >= 4000)
		r = err_set(e, ERR_SYSTEM, "the container has too many layers to be mounted for reading");
	else
		r = tree_begin(s, &t, ret, e);
	store_rootfs_done(&fs);
	return r;
}

int store_rw_export(struct store *s, const char *name, int mount_ns, struct store_pack **ret, struct err *e)
{
	if (mount_ns < 0)
		return stopped(s, name, ret, e);
	return tree_begin(s, &(struct tree){ .kind = WORKER_TREE_NS, .target = mount_ns, .base = -1 }, ret, e);
}
