/* view.c - a container's files as a tree of mounts that is ours alone. Of one that runs: clones of what its own mount namespace has, so
 * that volumes are what they are to it. Of one that does not: its root file system, mounted in a namespace of ours, with its volumes
 * on it. Everything here happens before the sandbox closes; no name that a container chose is followed out of its root. */
#include "archive/archive.h"
#include "base/kernel.h"
#include "store/worker_call.h"
#include "worker/worker.h"

#include <fcntl.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/stat.h>

#define QUIET (MS_NODEV | MS_NOSUID | MS_NOEXEC)
enum { FD_TARGET = 1, FD_MOUNTS = 2, FD_ROOT = 3 }; /* of the request; 0 is the data */

struct msg_reader view_read(const struct job *j, struct view *ret)
{
	struct msg_reader rd = msg_reader(j->req->body, j->req->n);
	uint32_t n;

	ret->kind = msg_get_u32(&rd);
	ret->flags = msg_get_u32(&rd);
	ret->dir = msg_get_str(&rd);
	ret->upper = msg_get_str(&rd);
	ret->work = msg_get_str(&rd);
	n = msg_get_u32(&rd);
	if (n >= ARRAY_LEN(ret->lowers))
		rd.bad = true;
	for (ret->n_lowers = 0; ret->n_lowers < n && !rd.bad; ret->n_lowers++)
		ret->lowers[ret->n_lowers] = msg_get_str(&rd);
	for (size_t i = 0; i < ret->n_lowers; i++)
		rd.bad |= !ret->lowers[i];
	if (ret->kind == WORKER_VIEW_OVERLAY && (!ret->dir || (ret->upper && !ret->work) || !ret->n_lowers))
		rd.bad = true;
	return rd;
}

/* ---- mounts ---- */
void view_mounts_done(struct view_mounts *m)
{
	free(m->v);
	free(m->text);
	*m = (struct view_mounts){ 0 };
}

int view_mounts_read(const struct job *j, struct view_mounts *ret, struct err *e)
{
	int fd = j->req->n_fds > FD_MOUNTS ? j->req->fds[FD_MOUNTS] : -1;
	size_t n = 0;
	int r = fd < 0 ? 0 : lseek(fd, 0, SEEK_SET) < 0 ? -errno : fd_read_all(fd, WORKER_LIST_MAX, &ret->text, &n);
	const char *p = ret->text, *end = p ? p + n : NULL;

	if (r < 0)
		return err_sys(e, r, "reading the request");
	while (p && p < end) {
		const char *part[3] = { "", "", "" };

		for (int i = 0; i < 3 && p < end; i++) {
			part[i] = p;
			p += strlen(p) + 1;
		}
		*VEC_ADD(ret) = (struct view_mount){ .flags = part[0], .source = part[1], .destination = part[2] };
	}
	return 0;
}

/* Makes the mount point and what leads to it, as the engine does when a container starts. */
static int make_target(int root, const char *path, bool dir)
{
	AUTO_FREE char *clean = path_clean(path);
	AUTO_FD int at = open_in_root(root, "/", O_PATH | O_DIRECTORY, 0);

	for (char *p = clean + 1, *next; at >= 0 && *p; p = next) {
		size_t n = strcspn(p, "/");
		bool last = !p[n];
		char *slash = p + n;
		int fd;

		next = last ? slash : slash + 1;
		*slash = 0;
		if (last && !dir ? mknodat(at, p, S_IFREG | 0755, 0) < 0 : mkdirat(at, p, 0755) < 0)
			if (errno != EEXIST)
				return -errno;
		fd = open_in_root(root, clean, O_PATH, 0);
		if (!last)
			*slash = '/';
		(void)close(at);
		at = fd;
	}
	return TAKE_FD(at);
}

static int fill(int from, int mount, struct err *e)
{
	AUTO_FD int in = openat(from, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	AUTO_FD int out = openat(mount, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	AUTO_STRV struct strv names = { 0 };

	if (in < 0 || out < 0 || dir_list(out, ".", &names) < 0 || names.n)
		return 0;
	return archive_copy(in, out, true, NULL, e);
}

static int add_mount(int root, const struct view_mount *m, bool may_write, struct err *e)
{
	struct k_mount_attr attr = { .attr_set = strchr(m->flags, 'r') ? K_MOUNT_ATTR_RDONLY : 0,
				     .propagation = MS_PRIVATE };
	bool deep = !strchr(m->flags, '1');
	AUTO_FD int fd = sys_open_tree(AT_FDCWD, m->source,
				       OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | (deep ? AT_RECURSIVE : 0));
	AUTO_FD int target = open_in_root(root, m->destination, O_PATH, 0);
	struct stat st;
	int r = 0;

	if (fd < 0 || fstat(fd, &st) < 0)
		return err_sys(e, -errno, "%s", m->source);
	if (target == -ENOENT && !may_write) /* hoyd asks again, and keeps the container from starting meanwhile */
		return err_sys(e, -EROFS, "making the mount point %s", m->destination);
	if (target >= 0 && strchr(m->flags, 'c') && S_ISDIR(st.st_mode))
		r = fill(target, fd, e);
	if (r < 0)
		return r;
	if (target == -ENOENT)
		target = make_target(root, m->destination, S_ISDIR(st.st_mode));
	if (target < 0)
		return err_sys(e, target, "%s", m->destination);
	if (sys_mount_setattr(fd, "", AT_EMPTY_PATH | AT_RECURSIVE, &attr) < 0 ||
	    sys_move_mount(fd, "", target, "", K_MOVE_MOUNT_F_EMPTY_PATH | K_MOVE_MOUNT_T_EMPTY_PATH) < 0)
		return err_sys(e, -errno, "mounting %s at %s", m->source, m->destination);
	return 0;
}

static int add_mounts(struct job *j, int root, bool may_write, struct err *e)
{
	CLEANUP(view_mounts_done) struct view_mounts m = { 0 };
	int r = view_mounts_read(j, &m, e);

	for (size_t i = 0; r == 0 && i < m.n; i++)
		if (!strchr(m.v[i].flags, 't')) /* lives in memory, while the container does */
			r = add_mount(root, &m.v[i], may_write, e);
	return r;
}

/* ---- root file systems ---- */
static int private_mounts(void)
{
	return unshare(CLONE_NEWNS) < 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ? -errno : 0;
}

/* By mount(2), in the directory where all names are short: what old kernels know, and long paths need. */
static int mount_overlay_here(const struct view *v)
{
	AUTO_STRB struct strb o = STRB_INIT;

	for (size_t i = 0; i < v->n_lowers; i++)
		strb_addf(&o, "%s%s", i ? ":" : "lowerdir=", v->lowers[i]);
	if (v->upper)
		strb_addf(&o, ",upperdir=%s,workdir=%s", v->upper, v->work);
	if (o.len >= 4000)
		return -E2BIG;
	return mount("overlay", v->dir, "overlay", QUIET | (v->upper ? 0 : MS_RDONLY), strb_str(&o)) < 0 ? -errno : 0;
}

static int option(int fs, const char *key, const char *value)
{
	return sys_fsconfig(fs, K_FSCONFIG_SET_STRING, key, value, 0) < 0 ? -errno : 0;
}

/* Layers that are mounts nobody sees: clones of them must live until the overlay is made. */
static int mount_overlay_of_mounts(const struct view *v, int lowers)
{
	AUTO_FD int fs = sys_fsopen("overlay", K_FSOPEN_CLOEXEC);
	AUTO_FD int made = -1;
	int clones[ARRAY_LEN(v->lowers)], r = fs < 0 ? -errno : 0;
	size_t n = 0;

	for (; r == 0 && n < v->n_lowers; n++) {
		/* a path that begins with "./" is a directory on disk, not one of the mounts */
		bool plain = str_after(v->lowers[n], "./");

		clones[n] = sys_open_tree(plain ? AT_FDCWD : lowers, v->lowers[n], OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC);
		if (clones[n] < 0 || sys_fsconfig(fs, K_FSCONFIG_SET_FD, "lowerdir+", NULL, clones[n]) < 0)
			r = -errno;
	}
	if (r == 0 && v->upper && (r = option(fs, "upperdir", v->upper)) == 0)
		r = option(fs, "workdir", v->work);
	if (r == 0 && sys_fsconfig(fs, K_FSCONFIG_CMD_CREATE, NULL, NULL, 0) < 0)
		r = -errno;
	if (r == 0)
		made = sys_fsmount(fs, K_FSMOUNT_CLOEXEC,
				   K_MOUNT_ATTR_NODEV | K_MOUNT_ATTR_NOSUID | K_MOUNT_ATTR_NOEXEC);
	if (r == 0 && (made < 0 || sys_move_mount(made, "", AT_FDCWD, v->dir, K_MOVE_MOUNT_F_EMPTY_PATH) < 0))
		r = -errno;
	while (n > 0)
		fd_closep(&clones[--n]);
	return r;
}

static int overlay(const struct view *v, int lowers)
{
	int r = private_mounts();

	if (r == 0 && chdir(v->dir) < 0)
		r = -errno;
	if (r < 0)
		return r;
	if (!v->upper && v->n_lowers == 1 && !(v->flags & WORKER_VIEW_LOWERS_FD))
		return dir_open(AT_FDCWD, v->lowers[0]);
	r = v->flags & WORKER_VIEW_LOWERS_FD ? mount_overlay_of_mounts(v, lowers) : mount_overlay_here(v);
	return r < 0 ? r : dir_open(AT_FDCWD, v->dir);
}

/* A directory becomes a mount of ours, for others to be put upon it. */
static int directory(int fd, const char *place)
{
	AUTO_FD int tree = sys_open_tree(fd, "", OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_EMPTY_PATH);
	int r = tree < 0 ? -errno : private_mounts();

	if (r == 0 && sys_move_mount(tree, "", AT_FDCWD, place, K_MOVE_MOUNT_F_EMPTY_PATH) < 0)
		r = -errno;
	return r < 0 ? r : TAKE_FD(tree);
}

/* Of what the container has mounted: its root and what its user asked for, wherever that came from. Not /proc, /sys and /dev, nor what it
 * mounted itself: as dockerd sees it, whole trees can be copied. Clones first, then our own namespace to put them together in. */
struct clone {
	const char *destination;
	int fd;
};

static int attach_clones(int root, const struct clone *v, size_t n)
{
	AUTO_FD int slash = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);

	if (slash < 0 || sys_move_mount(root, "", slash, "", K_MOVE_MOUNT_F_EMPTY_PATH | K_MOVE_MOUNT_T_EMPTY_PATH) < 0)
		return -errno;
	for (size_t i = 0; i < n; i++) {
		AUTO_FD int at = v[i].fd < 0 ? -1 : open_in_root(root, v[i].destination, O_PATH, 0);

		if (at >= 0 &&
		    sys_move_mount(v[i].fd, "", at, "", K_MOVE_MOUNT_F_EMPTY_PATH | K_MOVE_MOUNT_T_EMPTY_PATH) < 0)
			return -errno;
	}
	return 0;
}

static int running(struct job *j, struct err *e)
{
	/* the container's first process's, not the namespace's: it may have pivoted */
	AUTO_FD int root = msg_take_fd(j->req, FD_ROOT), tree = -1;
	CLEANUP(view_mounts_done) struct view_mounts m = { 0 };
	struct clone *clones;
	int r = view_mounts_read(j, &m, e);

	if (r == 0 && setns(j->target, CLONE_NEWNS) < 0)
		r = -errno;
	if (r < 0)
		return r;
	tree = sys_open_tree(root, "", OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_EMPTY_PATH);
	if (tree < 0)
		return -errno;
	clones = xcalloc(m.n + 1, sizeof *clones);
	for (size_t i = 0; i < m.n; i++) {
		AUTO_FD int there = open_in_root(root, m.v[i].destination, O_PATH, 0);
		unsigned deep = strchr(m.v[i].flags, '1') ? 0 : AT_RECURSIVE;

		clones[i].destination = m.v[i].destination;
		clones[i].fd = there < 0 ? -1
					 : sys_open_tree(there, "",
							 OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_EMPTY_PATH | deep);
	}
	r = private_mounts();
	if (r == 0)
		r = attach_clones(tree, clones, m.n);
	for (size_t i = 0; i < m.n; i++)
		fd_closep(&clones[i].fd);
	free(clones);
	return r < 0 ? r : TAKE_FD(tree);
}

int view_prepare(struct job *j, struct err *e)
{
	bool changes = j->req->type == WORKER_CHANGES;
	struct view v = { 0 };
	int fd, r = 0;

	if (view_read(j, &v).bad)
		return err_set(e, ERR_INVALID, "hoy-worker: wrong request");
	if (!(v.flags & WORKER_VIEW_WRITE))
		j->root_flags |= SANDBOX_READONLY;
	j->root_flags |= SANDBOX_SUBMOUNTS;
	if (v.kind == WORKER_VIEW_NS)
		fd = running(j, e);
	else if (v.kind == WORKER_VIEW_OVERLAY)
		fd = overlay(&v, j->target);
	else
		fd = changes ? fcntl(j->target, F_DUPFD_CLOEXEC, 3) : directory(j->target, v.dir ? v.dir : "/");
	if (fd < 0)
		return err_sys(e, fd, "opening the container's root file system");
	if (v.kind != WORKER_VIEW_NS && !changes)
		r = add_mounts(j, fd, v.flags & WORKER_VIEW_WRITE, e);
	fd_closep(&j->target);
	j->target = fd;
	return r;
}
