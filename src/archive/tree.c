/* tree.c - walking a directory and writing it as a tar. A container may be running in it: what vanishes is left out, what changes its
 * size is padded or cut to the length its header promised. */
#include "archive/tree.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>

#define DEPTH_MAX 1000 /* each level holds two descriptors while it is walked */
#define BUFFER (256 * 1024)
#define OPAQUE ".wh..wh..opq"
#define WHITEOUT ".wh."

struct seen { /* files with several names: which came first */
	dev_t dev;
	ino_t ino;
	char *path;
};
struct walk {
	const struct tree_opts *o;
	struct {
		struct seen *v;
		size_t n;
	} links;
	size_t *by_inode; /* hash: index + 1; power of two */
	size_t by_cap;
	uint8_t *buf;
	struct err *e;
};
/* A directory being walked. Its own entry is written when something in it is (comparisons), or at once. */
struct level {
	struct level *up;
	const char *path;
	const struct stat *st;
	int fd;
	bool written;
};

/* ---- headers ---- */
static int put(struct walk *w, const void *p, size_t n)
{
	int r = w->o->write(w->o->ctx, p, n);

	return r < 0 ? err_sys(w->e, r, "writing the archive") : 0;
}

static int pad(struct walk *w, int64_t size)
{
	static const char zero[TAR_BLOCK];

	return size % TAR_BLOCK ? put(w, zero, (size_t)(TAR_BLOCK - size % TAR_BLOCK)) : 0;
}

static void add_record(struct strb *b, const char *key, const void *value, size_t n)
{
	size_t body = strlen(key) + n + 3, len = body + 1;

	for (size_t was = 0; was != len;) { /* the length counts its own digits */
		was = len;
		len = body + (size_t)snprintf(NULL, 0, "%zu", len);
	}
	strb_addf(b, "%zu %s=", len, key);
	strb_add(b, value, n);
	strb_addc(b, '\n');
}

/* Octal with a NUL behind; false where it does not fit: the field is 0 then, and a record says it. */
static bool octal(char *field, size_t n, uint64_t v)
{
	bool fits = v >> (3 * (n - 1)) == 0;

	(void)snprintf(field, n, "%0*llo", (int)n - 1, (unsigned long long)(fits ? v : 0));
	return fits;
}

static bool ascii(const char *s)
{
	for (; *s; s++)
		if ((unsigned char)*s >= 0x80)
			return false;
	return true;
}

struct head {
	char type;
	const char *path, *link;
	const struct stat *st;
	int64_t size;
};

static int put_block(struct walk *w, char h[TAR_BLOCK])
{
	unsigned sum = 0;

	memcpy(h + 257, "ustar", 6);
	memcpy(h + 263, "00", 2);
	memset(h + 148, ' ', 8);
	for (int i = 0; i < TAR_BLOCK; i++)
		sum += (unsigned char)h[i];
	(void)snprintf(h + 148, 7, "%06o", sum);
	return put(w, h, TAR_BLOCK);
}

static int put_records(struct walk *w, const struct strb *records)
{
	char h[TAR_BLOCK] = { 0 };
	int r;

	memcpy(h, "PaxHeaders.0/x", 14);
	(void)octal(h + 100, 8, 0644);
	(void)octal(h + 108, 8, 0);
	(void)octal(h + 116, 8, 0);
	(void)octal(h + 124, 12, records->len);
	(void)octal(h + 136, 12, 0);
	h[156] = 'x';
	r = put_block(w, h);
	if (r == 0)
		r = put(w, records->s, records->len);
	return r < 0 ? r : pad(w, (int64_t)records->len);
}

static int put_head(struct walk *w, const struct head *t, struct strb *records)
{
	char h[TAR_BLOCK] = { 0 };
	size_t n = strlen(t->path);
	int r = 0;

	memcpy(h, t->path, MIN(n, (size_t)100));
	if (n > 100 || !ascii(t->path))
		add_record(records, "path", t->path, n);
	if (t->link) {
		memcpy(h + 157, t->link, MIN(strlen(t->link), (size_t)100));
		if (strlen(t->link) > 100 || !ascii(t->link))
			add_record(records, "linkpath", t->link, strlen(t->link));
	}
	(void)octal(h + 100, 8, t->st->st_mode & 07777);
	h[156] = t->type;
	(void)octal(h + 329, 8, t->type == '3' || t->type == '4' ? major(t->st->st_rdev) : 0);
	(void)octal(h + 337, 8, t->type == '3' || t->type == '4' ? minor(t->st->st_rdev) : 0);
	if (!octal(h + 108, 8, t->st->st_uid) || !octal(h + 116, 8, t->st->st_gid) ||
	    !octal(h + 124, 12, (uint64_t)t->size) || !octal(h + 136, 12, (uint64_t)t->st->st_mtime)) {
		AUTO_FREE char *uid = xasprintf("%u", t->st->st_uid), *gid = xasprintf("%u", t->st->st_gid),
			       *size = xasprintf("%lld", (long long)t->size),
			       *mtime = xasprintf("%lld", (long long)t->st->st_mtime);

		(void)octal(h + 116, 8, t->st->st_gid);
		(void)octal(h + 124, 12, (uint64_t)t->size);
		(void)octal(h + 136, 12, (uint64_t)t->st->st_mtime);
		add_record(records, "uid", uid, strlen(uid));
		add_record(records, "gid", gid, strlen(gid));
		add_record(records, "size", size, strlen(size));
		add_record(records, "mtime", mtime, strlen(mtime));
	}
	if (records->len)
		r = put_records(w, records);
	return r < 0 ? r : put_block(w, h);
}

/* Extended attributes that layers keep (apply.c sets the same ones). */
static void add_xattrs(int fd, struct strb *records)
{
	char names[65536], value[65536];
	ssize_t n = flistxattr(fd, names, sizeof names);

	for (const char *p = names; n > 0 && p < names + n; p += strlen(p) + 1) {
		AUTO_FREE char *key = xasprintf("SCHILY.xattr.%s", p);
		ssize_t k;

		if (!streq(p, "security.capability") && !str_after(p, "user.") && !str_after(p, "system.posix_acl_"))
			continue;
		if (str_after(p, "user.overlay."))
			continue;
		k = fgetxattr(fd, p, value, sizeof value);
		if (k >= 0)
			add_record(records, key, value, (size_t)k);
	}
}

/* ---- names seen before ---- */
static size_t *inode_slot(struct walk *w, dev_t dev, ino_t ino)
{
	size_t i = (size_t)((ino * 0x9e3779b97f4a7c15u) >> 20) & (w->by_cap - 1);

	while (w->by_inode[i] &&
	       (w->links.v[w->by_inode[i] - 1].ino != ino || w->links.v[w->by_inode[i] - 1].dev != dev))
		i = (i + 1) & (w->by_cap - 1);
	return &w->by_inode[i];
}

/* The earlier name of the same file, or NULL: this one is remembered then. */
static const char *earlier_name(struct walk *w, const struct stat *st, const char *path)
{
	size_t *slot;

	if (w->links.n * 2 >= w->by_cap) {
		w->by_cap = w->by_cap ? w->by_cap * 2 : 256;
		free(w->by_inode);
		w->by_inode = xcalloc(w->by_cap, sizeof *w->by_inode);
		for (size_t i = 0; i < w->links.n; i++)
			*inode_slot(w, w->links.v[i].dev, w->links.v[i].ino) = i + 1;
	}
	slot = inode_slot(w, st->st_dev, st->st_ino);
	if (*slot)
		return w->links.v[*slot - 1].path;
	*VEC_ADD(&w->links) = (struct seen){ .dev = st->st_dev, .ino = st->st_ino, .path = xstrdup(path) };
	*slot = w->links.n;
	return NULL;
}

/* ---- entries ---- */
static int put_level(struct walk *w, struct level *l)
{
	AUTO_STRB struct strb records = STRB_INIT;
	AUTO_FREE char *name = NULL;
	int r;

	if (!l || l->written)
		return 0;
	r = put_level(w, l->up);
	if (r < 0)
		return r;
	l->written = true;
	if (!l->up && !w->o->name)
		return 0; /* the root has no entry of its own */
	add_xattrs(l->fd, &records);
	name = xasprintf("%s/", l->path);
	return put_head(w, &(struct head){ .type = '5', .path = name, .st = l->st }, &records);
}

static int put_content(struct walk *w, int fd, int64_t size)
{
	int64_t left = size;

	while (left > 0) {
		ssize_t n = read(fd, w->buf, (size_t)MIN(left, (int64_t)BUFFER));
		int r;

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return err_sys(w->e, -errno, "reading a file");
		if (n == 0) { /* it shrank */
			n = (ssize_t)MIN(left, (int64_t)BUFFER);
			memset(w->buf, 0, (size_t)n);
		}
		r = put(w, w->buf, (size_t)n);
		if (r < 0)
			return r;
		left -= n;
	}
	return pad(w, size);
}

static int put_file(struct walk *w, struct level *l, const char *base, const char *path, const struct stat *st)
{
	AUTO_STRB struct strb records = STRB_INIT;
	AUTO_FD int fd = openat(l->fd, base, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	const char *first = NULL;
	struct stat now;
	int r;

	if (fd < 0 || fstat(fd, &now) < 0)
		return errno == ENOENT || errno == ELOOP ? 0 : err_sys(w->e, -errno, "opening %.200s", path);
	if (!S_ISREG(now.st_mode))
		return 0; /* something else by now */
	if (st->st_nlink > 1)
		first = earlier_name(w, st, path);
	if (first)
		return put_head(w, &(struct head){ .type = '1', .path = path, .link = first, .st = st }, &records);
	add_xattrs(fd, &records);
	r = put_head(w, &(struct head){ .type = '0', .path = path, .st = &now, .size = now.st_size }, &records);
	return r < 0 ? r : put_content(w, fd, now.st_size);
}

static int put_symlink(struct walk *w, struct level *l, const char *base, const char *path, const struct stat *st)
{
	AUTO_STRB struct strb records = STRB_INIT;
	char target[TAR_NAME_MAX];
	ssize_t n = readlinkat(l->fd, base, target, sizeof target - 1);

	if (n < 0)
		return errno == ENOENT || errno == EINVAL ? 0 : err_sys(w->e, -errno, "reading %.200s", path);
	target[n] = 0;
	return put_head(w, &(struct head){ .type = '2', .path = path, .link = target, .st = st }, &records);
}

/* An empty file whose name says that path is gone, or that a directory hides what is below it. */
static int put_whiteout(struct walk *w, const char *dir, const char *prefix, const char *base)
{
	AUTO_STRB struct strb records = STRB_INIT;
	AUTO_FREE char *path = xasprintf("%s%s%s%s", dir, *dir ? "/" : "", prefix, base);
	struct stat st = { .st_mode = 0600, .st_mtime = 0 };

	return put_head(w, &(struct head){ .type = '0', .path = path, .st = &st }, &records);
}

static int put_other(struct walk *w, struct level *l, const char *base, const char *path, const struct stat *st)
{
	AUTO_STRB struct strb records = STRB_INIT;

	if (S_ISREG(st->st_mode))
		return put_file(w, l, base, path, st);
	if (S_ISLNK(st->st_mode))
		return put_symlink(w, l, base, path, st);
	if (S_ISSOCK(st->st_mode))
		return 0;
	if (w->o->upper && S_ISCHR(st->st_mode) && st->st_rdev == 0)
		return put_whiteout(w, l->path, WHITEOUT, base);
	return put_head(w,
			&(struct head){ .type = S_ISCHR(st->st_mode)   ? '3'
						: S_ISBLK(st->st_mode) ? '4'
								       : '6',
					.path = path,
					.st = st },
			&records);
}

/* ---- walking ---- */
static bool listed(const struct strv *sorted, const char *path)
{
	size_t lo = 0, hi = sorted ? sorted->n : 0;

	while (lo < hi) {
		size_t mid = (lo + hi) / 2;
		int c = strcmp(sorted->v[mid], path);

		if (c == 0)
			return true;
		if (c < 0)
			lo = mid + 1;
		else
			hi = mid;
	}
	return false;
}

static bool same_link(int a, int b, const char *base)
{
	char x[TAR_NAME_MAX], y[TAR_NAME_MAX];
	ssize_t n = readlinkat(a, base, x, sizeof x), m = readlinkat(b, base, y, sizeof y);

	return n >= 0 && n == m && memcmp(x, y, (size_t)n) == 0;
}

static bool differs(const struct level *l, int base_dir, const char *base, const struct stat *a, const struct stat *b)
{
	if (a->st_mode != b->st_mode || a->st_uid != b->st_uid || a->st_gid != b->st_gid || a->st_rdev != b->st_rdev)
		return true;
	if (S_ISDIR(a->st_mode))
		return false; /* its time follows from what is in it */
	if (S_ISLNK(a->st_mode))
		return !same_link(l->fd, base_dir, base);
	return a->st_size != b->st_size || a->st_mtim.tv_sec != b->st_mtim.tv_sec ||
	       a->st_mtim.tv_nsec != b->st_mtim.tv_nsec;
}

static int walk(struct walk *w, struct level *l, int base_dir, int depth);

static int one(struct walk *w, struct level *l, int base_dir, const char *base, int depth)
{
	AUTO_FREE char *path = l->up || w->o->name ? xasprintf("%s/%s", l->path, base) : xstrdup(base);
	struct stat st, old;
	bool had = base_dir >= 0 && fstatat(base_dir, base, &old, AT_SYMLINK_NOFOLLOW) == 0;
	bool changed;

	if (fstatat(l->fd, base, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return errno == ENOENT ? 0 : err_sys(w->e, -errno, "reading %.200s", path);
	changed = w->o->base < 0 || (had ? differs(l, base_dir, base, &st, &old) : !listed(w->o->ignore, path));
	if (!S_ISDIR(st.st_mode)) {
		int r = changed ? put_level(w, l) : 0;

		return r < 0 || !changed ? r : put_other(w, l, base, path, &st);
	} else {
		AUTO_FD int fd = openat(l->fd, base, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
		AUTO_FD int below = had && S_ISDIR(old.st_mode)
					    ? openat(base_dir, base, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)
					    : -1;
		struct level sub = { .up = l, .path = path, .st = &st, .fd = fd };
		int r;

		if (fd < 0)
			return errno == ENOENT || errno == ENOTDIR || errno == ELOOP
				       ? 0
				       : err_sys(w->e, -errno, "opening %.200s", path);
		r = changed ? put_level(w, &sub) : 0;
		if (r == 0 && listed(w->o->opaque, path))
			r = put_whiteout(w, path, OPAQUE, "");
		return r < 0 ? r : walk(w, &sub, below, depth + 1);
	}
}

/* What base has and the tree has not. */
static int deletions(struct walk *w, struct level *l, int base_dir, const struct strv *names)
{
	AUTO_STRV struct strv old = { 0 };
	int r = dir_list(base_dir, ".", &old);

	if (r < 0)
		return err_sys(w->e, r, "reading %.200s", l->path);
	for (size_t i = 0; r == 0 && i < old.n; i++) {
		if (listed(names, old.v[i]))
			continue;
		r = put_level(w, l);
		if (r == 0)
			r = put_whiteout(w, l->path, WHITEOUT, old.v[i]);
	}
	return r;
}

static int walk(struct walk *w, struct level *l, int base_dir, int depth)
{
	AUTO_STRV struct strv names = { 0 };
	int r = depth > DEPTH_MAX ? -ENAMETOOLONG : dir_list(l->fd, ".", &names);

	if (r < 0)
		return err_sys(w->e, r, "reading %.200s", l->path);
	for (size_t i = 0; r == 0 && i < names.n; i++)
		r = one(w, l, base_dir, names.v[i], depth);
	if (r == 0 && base_dir >= 0)
		r = deletions(w, l, base_dir, &names);
	return r;
}

static void begin(struct walk *w, const struct tree_opts *o, struct err *e)
{
	*w = (struct walk){ .o = o, .e = e };
	w->buf = xmalloc(BUFFER);
}

static int end(struct walk *w, int r)
{
	static const char zero[2 * TAR_BLOCK];

	if (r == 0)
		r = put(w, zero, sizeof zero);
	for (size_t i = 0; i < w->links.n; i++)
		free(w->links.v[i].path);
	free(w->links.v);
	free(w->by_inode);
	free(w->buf);
	return r;
}

int archive_tree(int root, const struct tree_opts *o, struct err *e)
{
	struct walk w;
	struct stat st = { 0 };
	struct level top = { .path = o->name ? o->name : "", .st = &st, .fd = root };
	int r = 0;

	begin(&w, o, e);
	if (o->name)
		r = fstat(root, &st) < 0 ? err_sys(e, -errno, "reading a directory") : put_level(&w, &top);
	if (r == 0)
		r = walk(&w, &top, o->base, 0);
	return end(&w, r);
}

int archive_one(int dir, const char *base, const struct tree_opts *o, struct err *e)
{
	struct walk w;
	struct stat st;
	struct level top = { .path = "", .st = &st, .fd = dir };
	int r;

	begin(&w, o, e);
	if (fstatat(dir, base, &st, AT_SYMLINK_NOFOLLOW) < 0)
		r = err_sys(e, -errno, "reading %.200s", base);
	else if (S_ISDIR(st.st_mode)) /* it was none a moment ago */
		r = err_sys(e, -EISDIR, "reading %.200s", base);
	else
		r = put_other(&w, &top, base, o->name, &st);
	return end(&w, r);
}
