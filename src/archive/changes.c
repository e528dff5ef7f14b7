/* changes.c - what differs between two trees, in Docker's words (0 modified, 1 added, 2 deleted). A directory in which something
 * differs is modified itself. In the language of overlay's upper directories, only what is there is looked at. */
#include "archive/tree.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/xattr.h>

#define DEPTH_MAX 1000
enum { MODIFIED, ADDED, DELETED };

struct walk {
	const struct changes_opts *o;
	struct strb *out;
	struct err *e;
};
struct level {
	struct level *up;
	const char *path; /* "" is the root */
	int fd, base;
	bool told;
	bool hides; /* what base has in it is gone unless it is here */
};

static void tell(struct walk *w, int kind, const char *path)
{
	strb_addc(w->out, (char)('0' + kind));
	strb_addc(w->out, '/');
	strb_add(w->out, path, strlen(path) + 1);
}

static void tell_above(struct walk *w, struct level *l)
{
	if (l->told || !*l->path)
		return;
	tell_above(w, l->up);
	l->told = true;
	tell(w, MODIFIED, l->path);
}

static int by_name(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static bool listed(const struct strv *sorted, const char *path)
{
	return sorted && sorted->n && bsearch(&path, sorted->v, sorted->n, sizeof *sorted->v, by_name);
}

static bool same_time(const struct timespec *a, const struct timespec *b)
{
	/* archives often have whole seconds only */
	return a->tv_sec == b->tv_sec && (a->tv_nsec == b->tv_nsec || a->tv_nsec == 0 || b->tv_nsec == 0);
}

static ssize_t capability(int dir, const char *name, char *buf, size_t n)
{
	AUTO_FD int fd = openat(dir, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);

	return fd < 0 ? -1 : fgetxattr(fd, "security.capability", buf, n);
}

static bool same_capability(const struct level *l, const char *name)
{
	char a[64], b[64];
	ssize_t n = capability(l->fd, name, a, sizeof a), m = capability(l->base, name, b, sizeof b);

	return n == m && (n <= 0 || memcmp(a, b, (size_t)n) == 0);
}

static bool differs(const struct level *l, const char *name, const struct stat *a, const struct stat *b)
{
	if (a->st_mode != b->st_mode || a->st_uid != b->st_uid || a->st_gid != b->st_gid || a->st_rdev != b->st_rdev)
		return true;
	if (S_ISDIR(a->st_mode))
		return false; /* size and time follow from what is in it */
	if (a->st_size != b->st_size || !same_time(&a->st_mtim, &b->st_mtim))
		return true;
	return S_ISREG(a->st_mode) && a->st_mode & 0111 && !same_capability(l, name);
}

static int walk(struct walk *w, struct level *l, int depth);

static int into(struct walk *w, struct level *l, const char *name, const char *path, bool told, bool had, int depth)
{
	AUTO_FD int fd = openat(l->fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	AUTO_FD int base = had ? openat(l->base, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC) : -1;
	struct level sub = { .up = l, .path = path, .fd = fd, .base = base, .told = told };

	if (fd < 0)
		return errno == ENOENT || errno == ENOTDIR || errno == ELOOP
			       ? 0
			       : err_sys(w->e, -errno, "reading %.200s", path);
	sub.hides = l->hides || listed(w->o->opaque, path);
	return walk(w, &sub, depth + 1);
}

static int one(struct walk *w, struct level *l, const char *name, int depth)
{
	AUTO_FREE char *path = *l->path ? xasprintf("%s/%s", l->path, name) : xstrdup(name);
	struct stat st, old;
	bool had = l->base >= 0 && fstatat(l->base, name, &old, AT_SYMLINK_NOFOLLOW) == 0, changed;

	if (fstatat(l->fd, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return errno == ENOENT ? 0 : err_sys(w->e, -errno, "reading %.200s", path);
	if (w->o->upper && S_ISCHR(st.st_mode) && st.st_rdev == 0) {
		if (had) {
			tell_above(w, l);
			tell(w, DELETED, path);
		}
		return 0;
	}
	changed = had ? differs(l, name, &st, &old) : !listed(w->o->ignore, path);
	if (changed) {
		tell_above(w, l);
		tell(w, had ? MODIFIED : ADDED, path);
	}
	if (w->out->len > w->o->max)
		return err_set(w->e, ERR_SYSTEM, "the container changed more files than can be listed");
	return S_ISDIR(st.st_mode) ? into(w, l, name, path, changed, had && S_ISDIR(old.st_mode), depth) : 0;
}

static int deletions(struct walk *w, struct level *l, const struct strv *names)
{
	AUTO_STRV struct strv old = { 0 };
	int r = dir_list(l->base, ".", &old);

	if (r < 0)
		return err_sys(w->e, r, "reading %.200s", l->path);
	for (size_t i = 0; i < old.n; i++) {
		AUTO_FREE char *path = NULL;

		if (listed(names, old.v[i]))
			continue;
		path = *l->path ? xasprintf("%s/%s", l->path, old.v[i]) : xstrdup(old.v[i]);
		tell_above(w, l);
		tell(w, DELETED, path);
	}
	return 0;
}

static int walk(struct walk *w, struct level *l, int depth)
{
	AUTO_STRV struct strv names = { 0 };
	int r = depth > DEPTH_MAX ? -ENAMETOOLONG : dir_list(l->fd, ".", &names);

	if (r < 0)
		return err_sys(w->e, r, "reading %.200s", l->path);
	for (size_t i = 0; r == 0 && i < names.n; i++)
		r = one(w, l, names.v[i], depth);
	if (r == 0 && l->base >= 0 && l->hides)
		r = deletions(w, l, &names);
	return r;
}

int archive_changes(int tree, const struct changes_opts *o, struct strb *ret, struct err *e)
{
	struct changes_opts limited = *o;
	struct walk w = { .o = &limited, .out = ret, .e = e };
	struct level top = { .path = "", .fd = tree, .base = o->base, .hides = !o->upper };

	if (!limited.max)
		limited.max = CHANGES_BYTES_MAX;
	return walk(&w, &top, 0);
}
