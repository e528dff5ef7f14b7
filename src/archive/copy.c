/* copy.c - a tree, copied with all that an image can say of its files. Contents are shared with the original where the file system
 * can (reflinks), else moved by the kernel. Names are walked one directory descriptor at a time: no link is ever followed. */
#include "archive/archive.h"
#include "archive/apply_priv.h"

#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/xattr.h>

#ifndef FICLONE
#define FICLONE _IOW(0x94, 9, int)
#endif
#ifndef XATTR_LIST_MAX
#define XATTR_LIST_MAX 65536
#endif
#ifndef XATTR_SIZE_MAX
#define XATTR_SIZE_MAX 65536
#endif
#define DEPTH_MAX 2048 /* a path has no more components */

struct known { /* a file with several names, where its first copy is */
	dev_t dev;
	ino_t ino;
	char *path;
};
struct copy {
	int to_root;
	struct copy_result res;
	struct strb path; /* of what is being copied, for hard links and sentences */
	struct known *known;
	size_t n_known, cap_known;
	bool no_clone;
	char *names, *value; /* of attributes */
	struct err *e;
};

static int fail(struct copy *c, int r)
{
	return err_sys(c->e, r, "copying %.300s", c->path.len ? strb_str(&c->path) : "/");
}

/* ---- hard links ---- */
static struct known *known_slot(const struct copy *c, const struct stat *st)
{
	size_t i = ((size_t)st->st_ino * 0x9e3779b97f4a7c15u >> 20) & (c->cap_known - 1);

	while (c->known[i].path && (c->known[i].ino != st->st_ino || c->known[i].dev != st->st_dev))
		i = (i + 1) & (c->cap_known - 1);
	return &c->known[i];
}

static struct known *know(struct copy *c, const struct stat *st)
{
	if (c->n_known * 2 >= c->cap_known) {
		struct known *old = c->known;
		size_t n = c->cap_known;

		c->cap_known = n ? n * 2 : 256;
		c->known = xcalloc(c->cap_known, sizeof *c->known);
		for (size_t i = 0; i < n; i++)
			if (old[i].path) {
				struct stat key = { .st_dev = old[i].dev, .st_ino = old[i].ino };

				*known_slot(c, &key) = old[i];
			}
		free(old);
	}
	return known_slot(c, st);
}

/* 1 = it is a further name of a file that is there already */
static int link_known(struct copy *c, const struct stat *st, int to, const char *name)
{
	struct known *k;

	if (st->st_nlink < 2 || S_ISDIR(st->st_mode))
		return 0;
	k = know(c, st);
	if (k->path)
		return linkat(c->to_root, k->path, to, name, 0) < 0 ? -errno : 1;
	*k = (struct known){ .dev = st->st_dev, .ino = st->st_ino, .path = xstrdup(strb_str(&c->path)) };
	c->n_known++;
	return 0;
}

/* ---- attributes ---- */
static int copy_xattrs(struct copy *c, int from, int to)
{
	ssize_t n = flistxattr(from, c->names, XATTR_LIST_MAX);

	for (const char *p = c->names; n > 0 && p < c->names + n; p += strlen(p) + 1) {
		ssize_t size = xattr_wanted(p) ? fgetxattr(from, p, c->value, XATTR_SIZE_MAX) : -1;

		if (size >= 0 && fsetxattr(to, p, c->value, (size_t)size, 0) < 0 && errno != EOPNOTSUPP &&
		    errno != EPERM)
			return -errno;
	}
	return 0;
}

static int copy_stat(int to, const struct stat *st)
{
	struct timespec times[2] = { st->st_atim, st->st_mtim };

	if ((st->st_uid || st->st_gid) && fchown(to, st->st_uid, st->st_gid) < 0)
		return -errno;
	if (fchmod(to, st->st_mode & 07777) < 0 || futimens(to, times) < 0)
		return -errno;
	return 0;
}

static int copy_stat_at(int to, const char *name, const struct stat *st)
{
	struct timespec times[2] = { st->st_atim, st->st_mtim };

	if ((st->st_uid || st->st_gid) && fchownat(to, name, st->st_uid, st->st_gid, AT_SYMLINK_NOFOLLOW) < 0)
		return -errno;
	if (!S_ISLNK(st->st_mode) && fchmodat(to, name, st->st_mode & 07777, 0) < 0) /* just made: no symlink */
		return -errno;
	return utimensat(to, name, times, AT_SYMLINK_NOFOLLOW) < 0 ? -errno : 0;
}

/* ---- contents ---- */
static int copy_piece(struct copy *c, int from, int to, off_t at, off_t n)
{
	off_t in = at, out = at;

	while (n > 0) {
		ssize_t k = copy_file_range(from, &in, to, &out, (size_t)MIN(n, (off_t)1 << 30), 0);

		if (k < 0 && errno == EINTR)
			continue;
		if (k < 0 && (errno == EXDEV || errno == EINVAL || errno == EOPNOTSUPP || errno == ENOSYS)) {
			char buf[65536];

			k = pread(from, buf, MIN((size_t)n, sizeof buf), in);
			if (k > 0)
				k = pwrite(to, buf, (size_t)k, out);
			if (k > 0) {
				in += k;
				out += k;
			}
		}
		if (k < 0)
			return -errno;
		if (k == 0)
			return 0; /* it became shorter meanwhile */
		n -= k;
		c->res.bytes += k;
	}
	return 0;
}

static int copy_data(struct copy *c, int from, int to, off_t size)
{
	if (!c->no_clone && size > 0) {
		if (ioctl(to, FICLONE, from) == 0) {
			c->res.cloned++;
			return 0;
		}
		c->no_clone = errno == EOPNOTSUPP || errno == EXDEV || errno == ENOTTY || errno == EINVAL;
	}
	for (off_t at = 0; at < size;) {
		off_t data = lseek(from, at, SEEK_DATA), hole;
		int r;

		if (data < 0 && errno == ENXIO)
			break; /* a hole up to the end */
		if (data < 0)
			data = at;
		hole = lseek(from, data, SEEK_HOLE);
		if (hole < 0)
			hole = size;
		r = copy_piece(c, from, to, data, hole - data);
		if (r < 0)
			return r;
		at = hole;
	}
	return ftruncate(to, size) < 0 ? -errno : 0;
}

static int copy_file(struct copy *c, int from, int to, const char *name, const struct stat *st)
{
	AUTO_FD int in = openat(from, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	AUTO_FD int out = -1;
	int r;

	if (in < 0)
		return -errno;
	out = openat(to, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (out < 0)
		return -errno;
	r = copy_data(c, in, out, st->st_size);
	if (r == 0 && (st->st_uid || st->st_gid) &&
	    fchown(out, st->st_uid, st->st_gid) < 0) /* takes capabilities away: first */
		r = -errno;
	if (r == 0)
		r = copy_xattrs(c, in, out);
	return r < 0 ? r : copy_stat(out, st);
}

static int copy_symlink(int from, int to, const char *name)
{
	char target[PATH_MAX];
	ssize_t n = readlinkat(from, name, target, sizeof target - 1);

	if (n < 0)
		return -errno;
	target[n] = 0;
	return symlinkat(target, to, name) < 0 ? -errno : 0;
}

static int copy_dir(struct copy *c, int from, int to, int depth);

static int copy_sub(struct copy *c, int from, int to, const char *name, const struct stat *st, int depth)
{
	AUTO_FD int in = openat(from, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	AUTO_FD int out = -1;
	bool made;
	int r;

	if (in < 0)
		return -errno;
	made = mkdirat(to, name, 0700) == 0;
	if (!made && errno != EEXIST)
		return -errno;
	out = openat(to, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (out < 0)
		return !made && (errno == ENOTDIR || errno == ELOOP) ? 0
								     : -errno; /* something else is there, and stays */
	r = copy_dir(c, in, out, depth + 1);
	if (r == 0 && made && (r = copy_xattrs(c, in, out)) == 0)
		r = copy_stat(out, st);
	return r;
}

static int copy_entry(struct copy *c, int from, int to, const char *name, int depth)
{
	struct stat st, old;
	int r;

	if (fstatat(from, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return -errno;
	c->res.entries++;
	if (S_ISDIR(st.st_mode))
		return copy_sub(c, from, to, name, &st, depth);
	if (fstatat(to, name, &old, AT_SYMLINK_NOFOLLOW) == 0)
		return 0;
	r = link_known(c, &st, to, name);
	if (r != 0)
		return r < 0 ? r : 0;
	if (S_ISREG(st.st_mode))
		return copy_file(c, from, to, name, &st);
	if (S_ISLNK(st.st_mode))
		r = copy_symlink(from, to, name);
	else
		r = mknodat(to, name, st.st_mode & (S_IFMT | 0777), st.st_rdev) < 0 ? -errno : 0;
	return r < 0 ? r : copy_stat_at(to, name, &st);
}

static int copy_dir(struct copy *c, int from, int to, int depth)
{
	int again = openat(from, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC), r = 0;
	DIR *d = again < 0 ? NULL : fdopendir(again);
	struct dirent *x;

	if (!d)
		return fail(c, -errno);
	if (depth > DEPTH_MAX)
		r = fail(c, -ELOOP);
	while (r == 0 && (errno = 0, x = readdir(d))) {
		size_t before = c->path.len;

		if (streq(x->d_name, ".") || streq(x->d_name, ".."))
			continue;
		strb_addf(&c->path, "%s%s", before ? "/" : "", x->d_name);
		r = copy_entry(c, from, to, x->d_name, depth);
		if (r < 0 && !(c->e && c->e->kind))
			r = fail(c, r);
		c->path.s[c->path.len = before] = 0;
	}
	if (r == 0 && errno)
		r = fail(c, -errno);
	(void)closedir(d);
	return r;
}

/* Three descriptors per level: the usual 1024 are not enough for every tree. */
static void more_descriptors(void)
{
	struct rlimit l;

	if (getrlimit(RLIMIT_NOFILE, &l) == 0 && l.rlim_cur < l.rlim_max) {
		l.rlim_cur = l.rlim_max;
		(void)setrlimit(RLIMIT_NOFILE, &l);
	}
}

int archive_copy(int from, int to, bool as_root, struct copy_result *ret, struct err *e)
{
	struct err mine = ERR_INIT;
	struct copy c = {
		.to_root = to, .names = xmalloc(XATTR_LIST_MAX), .value = xmalloc(XATTR_SIZE_MAX), .e = e ? e : &mine
	};
	struct stat st;
	int r;

	more_descriptors();
	*c.e = ERR_INIT;
	r = copy_dir(&c, from, to, 0);
	if (r == 0 && as_root) {
		r = fstat(from, &st) < 0 ? -errno : copy_xattrs(&c, from, to);
		if (r == 0)
			r = copy_stat(to, &st);
		if (r < 0)
			r = fail(&c, r);
	}
	for (size_t i = 0; i < c.cap_known; i++)
		free(c.known[i].path);
	free(c.known);
	free(c.names);
	free(c.value);
	strb_done(&c.path);
	if (r == 0 && ret)
		*ret = c.res;
	return r;
}
