/* files.c - a container's files for workers: what it changed, and what `docker cp` reads and writes.
 *
 * While a container runs it is its own mount namespace that is looked at. While it does not, a worker mounts its root file system
 * privately: for reading only, with the upper directory as the topmost lower one. A container may be started on top of that: an overlay
 * does not mind that a lower directory of another one changes, the reader at worst sees a name that has gone; nothing is written. To
 * write, the real overlay is mounted, and two of these on one upper would tread on each other: the caller keeps the container from
 * starting for so long. */
#include "store/priv.h"
#include "store/worker_call.h"

#include <fcntl.h>

struct view_fds {
	int target;      /* namespace, directory, or lowers */
	int root;        /* in the namespace; lent */
	bool target_own; /* ours to close */
};

static void put_view(struct strb *b, uint32_t kind, uint32_t flags, const char *dir, const char *upper,
		     const char *work, const struct strv *lowers)
{
	msg_put_u32(b, kind);
	msg_put_u32(b, flags);
	msg_put_str(b, dir);
	msg_put_str(b, upper);
	msg_put_str(b, work);
	msg_put_u32(b, lowers ? (uint32_t)lowers->n : 0);
	for (size_t i = 0; lowers && i < lowers->n; i++)
		msg_put_str(b, lowers->v[i]);
}

/* The container's root file system as the store would have it mounted; name NULL: without the container's own layer. */
static int resting_view(struct store *s, const char *name, bool below_only, bool write, struct strb *b,
			struct view_fds *fds, struct err *e)
{
	struct store_rootfs fs = { 0 };
	AUTO_STRV struct strv lowers = { 0 };
	AUTO_FREE char *upper = xasprintf("%s/diff", name), *work = xasprintf("%s/work", name);
	int r = store_rootfs(s, name, &fs, e);

	if (r < 0)
		return r;
	if (fs.bind) {
		fds->target = dir_open(AT_FDCWD, fs.bind);
		put_view(b, WORKER_VIEW_DIR, write ? WORKER_VIEW_WRITE : 0, s->layers_path, NULL, NULL, NULL);
	} else {
		uint32_t flags = (write ? WORKER_VIEW_WRITE : 0) | (fs.has_lowers_fd ? WORKER_VIEW_LOWERS_FD : 0);

		if (!write && !below_only)
			strv_addf(&lowers, "%s%s/diff", fs.has_lowers_fd ? "./" : "", name);
		strv_addv(&lowers, &fs.lowers);
		fds->target = fs.has_lowers_fd ? fcntl(fs.lowers_fd, F_DUPFD_CLOEXEC, 3)
					       : dir_open(AT_FDCWD, s->layers_path);
		put_view(b, WORKER_VIEW_OVERLAY, flags, s->layers_path, write ? upper : NULL, write ? work : NULL,
			 &lowers);
	}
	fds->target_own = true;
	if (fds->target < 0)
		r = err_sys(e, fds->target, "opening a container's files");
	store_rootfs_done(&fs);
	return r;
}

static int view_of(struct store *s, const struct store_view *v, bool write, struct strb *b, struct view_fds *fds,
		   struct err *e)
{
	*fds = (struct view_fds){ .target = -1, .root = v->root };
	if (v->mount_ns < 0)
		return resting_view(s, v->name, false, write, b, fds, e);
	fds->target = v->mount_ns;
	put_view(b, WORKER_VIEW_NS, write ? WORKER_VIEW_WRITE : 0, NULL, NULL, NULL, NULL);
	return 0;
}

static int start(struct store *s, const char *verb, uint16_t type, const struct strb *body, int data,
		 const struct view_fds *f, const struct strb *list, struct worker *ret, struct err *e)
{
	AUTO_FD int memfd = memfd_of("list", strb_str(list), list->len);
	int fds[4] = { data >= 0 ? data : f->target, f->target, memfd, f->root };

	if (memfd < 0)
		return err_sys(e, memfd, "making a request");
	return worker_start(s->worker, verb, type, body, fds, f->root >= 0 ? 4 : 3, ret, e);
}

static void fds_done(struct view_fds *f)
{
	if (f->target_own)
		fd_closep(&f->target);
}

static int read_stat(const struct msg *m, struct store_stat *ret, struct err *e)
{
	struct msg_reader rd = msg_reader(m->body, m->n);

	ret->mode = msg_get_u32(&rd);
	ret->size = msg_get_i64(&rd);
	ret->mtime_ns = msg_get_i64(&rd);
	ret->target = xstrdup(msg_get_str(&rd));
	return rd.bad ? err_set(e, ERR_SYSTEM, "hoy-worker answered something else") : 0;
}

int store_files_stat(struct store *s, const struct store_view *v, const char *path, struct store_stat *ret,
		     struct err *e)
{
	AUTO_WORKER struct worker w = WORKER_NONE;
	AUTO_STRB struct strb body = STRB_INIT;
	AUTO_MSG struct msg m = { 0 };
	struct view_fds f;
	int r = view_of(s, v, v->write, &body, &f, e);

	msg_put_str(&body, path);
	if (r == 0)
		r = start(s, "stat", WORKER_STAT, &body, -1, &f, v->mounts, &w, e);
	fds_done(&f);
	if (r == 0)
		r = worker_answer(&w, WORKER_STATED, &m, e);
	return r < 0 ? r : read_stat(&m, ret, e);
}

int store_files_get(struct store *s, const struct store_view *v, const char *path, struct store_stat *ret_stat,
		    struct store_pack **ret, struct err *e)
{
	struct store_pack *p = pack_new();
	AUTO_STRB struct strb body = STRB_INIT;
	AUTO_FD int theirs = -1;
	AUTO_MSG struct msg m = { 0 };
	struct view_fds f;
	int r = view_of(s, v, v->write, &body, &f, e);

	msg_put_str(&body, path);
	if (r == 0)
		r = pack_pipe(p, &theirs, e);
	if (r == 0)
		r = start(s, "get", WORKER_GET, &body, theirs, &f, v->mounts, pack_worker(p), e);
	fds_done(&f);
	fd_closep(&theirs);
	if (r == 0)
		r = worker_answer(pack_worker(p), WORKER_STATED, &m, e);
	if (r == 0)
		r = read_stat(&m, ret_stat, e);
	if (r < 0) {
		pack_free(p);
		return r;
	}
	*ret = p;
	return 0;
}

int store_files_put(struct store *s, const struct store_view *v, const struct store_put *o, struct err *e)
{
	AUTO_WORKER struct worker w = WORKER_NONE;
	AUTO_STRB struct strb body = STRB_INIT;
	AUTO_MSG struct msg m = { 0 };
	struct view_fds f;
	int r = view_of(s, v, true, &body, &f, e);

	msg_put_str(&body, o->path);
	msg_put_u32(&body, (o->no_overwrite ? WORKER_PUT_NO_OVERWRITE : 0) | (o->user ? WORKER_PUT_OWNER : 0) |
				   (o->root_readonly ? WORKER_PUT_ROOT_READONLY : 0));
	msg_put_str(&body, o->user);
	if (r == 0)
		r = start(s, "put", WORKER_PUT, &body, o->fd, &f, v->mounts, &w, e);
	fds_done(&f);
	return r < 0 ? r : worker_answer(&w, WORKER_PUT_DONE, &m, e);
}

/* ---- changes ---- */
static int below(struct store *s, const char *name, struct store_diff *d, struct strb *body, struct view_fds *f,
		 struct err *e)
{
	if (!d->compare)
		return resting_view(s, name, true, false, body, f, e);
	*f = (struct view_fds){ .target = d->base >= 0 ? d->base : d->tree, .root = -1 };
	put_view(body, WORKER_VIEW_DIR, d->base >= 0 ? 0 : WORKER_VIEW_EMPTY, NULL, NULL, NULL, NULL);
	return 0;
}

int store_rw_list(struct store *s, const char *name, char **ret, size_t *ret_n, struct err *e)
{
	AUTO_WORKER struct worker w = WORKER_NONE;
	AUTO_STRB struct strb body = STRB_INIT, lists = STRB_INIT;
	AUTO_FD int list = -1;
	AUTO_MSG struct msg m = { 0 };
	struct view_fds f = { .target = -1, .root = -1 };
	struct store_diff d = { .tree = -1, .base = -1 };
	int r = store_rw_diff(s, name, &d, e);

	if (r == 0)
		r = diff_lists(&d, &lists, e);
	if (r == 0)
		r = below(s, name, &d, &body, &f, e);
	msg_put_u32(&body, !d.compare);
	if (r == 0)
		r = start(s, "changes", WORKER_CHANGES, &body, d.tree, &f, &lists, &w, e);
	fds_done(&f);
	store_diff_done(&d);
	if (r == 0)
		r = worker_answer(&w, WORKER_CHANGED, &m, e);
	if (r < 0)
		return r;
	list = msg_take_fd(&m, 0);
	r = list < 0 ? -EBADMSG : fd_read_all(list, WORKER_LIST_MAX, ret, ret_n);
	return r < 0 ? err_sys(e, r, "reading the container's changes") : 0;
}
