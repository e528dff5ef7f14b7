/* verify.c - see verify.h. A thread plays the recipe, this one reads the tar that comes out and remembers what each path must be in
 * the end, for archives may say things twice. Then the directory is held against that. */
#include "archive/verify.h"
#include "archive/apply_priv.h"

#include <dirent.h>
#include <fcntl.h>
#include <pthread.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>

void verify_result_done(struct verify_result *r)
{
	for (size_t i = 0; i < r->flaws.n; i++) {
		free(r->flaws.v[i].path);
		free(r->flaws.v[i].why);
	}
	free(r->flaws.v);
	strv_done(&r->opaque);
	*r = (struct verify_result){ 0 };
}

/* ---- the bytes on their way from one thread to the other ---- */
#define HALF ((size_t)512 << 10)
struct relay {
	struct source src;
	pthread_mutex_t lock;
	pthread_cond_t moved;
	uint8_t *half[2];
	size_t n[2];      /* bytes in it; guarded by lock from here on */
	unsigned in, out; /* numbers of halves written and given back */
	bool ended, stopped, lent;
	size_t filled; /* the writer's: bytes in the half it fills */
	int64_t bytes;
};

static int relay_hand_over(struct relay *r)
{
	pthread_mutex_lock(&r->lock);
	r->n[r->in % 2] = r->filled;
	r->in++;
	r->filled = 0;
	pthread_cond_broadcast(&r->moved);
	while (r->in - r->out == 2 && !r->stopped)
		pthread_cond_wait(&r->moved, &r->lock);
	pthread_mutex_unlock(&r->lock);
	return 0;
}

static int relay_write(struct relay *r, const uint8_t *p, size_t n)
{
	r->bytes += (int64_t)n;
	while (n > 0) {
		size_t k = MIN(n, HALF - r->filled);

		/* else nobody reads any more: only the digest matters */
		if (!__atomic_load_n(&r->stopped, __ATOMIC_RELAXED))
			memcpy(r->half[r->in % 2] + r->filled, p, k);
		r->filled += k;
		p += k;
		n -= k;
		if (r->filled == HALF && relay_hand_over(r) < 0)
			return -EPIPE;
	}
	return 0;
}

static int relay_next(struct source *s, const uint8_t **ret, size_t *ret_n, struct err *e UNUSED)
{
	struct relay *r = (struct relay *)s;

	pthread_mutex_lock(&r->lock);
	if (r->lent)
		r->out++;
	r->lent = false;
	pthread_cond_broadcast(&r->moved);
	while (r->in == r->out && !r->ended)
		pthread_cond_wait(&r->moved, &r->lock);
	*ret_n = 0;
	if (r->in != r->out) {
		*ret = r->half[r->out % 2];
		*ret_n = r->n[r->out % 2];
		r->lent = true;
	}
	pthread_mutex_unlock(&r->lock);
	return 0;
}

/* ---- what must be there ---- */
enum { WHITEOUT_TYPE = 'w', IMPLICIT_TYPE = 'i' };
struct want {
	char *path;
	struct want *next; /* of the same bucket */
	size_t order;
	char type;
	bool gone, opaque;
	uint32_t mode, uid, gid, major, minor, mtime_ns;
	int64_t mtime, size;
	char *link;
	struct tar_xattr *xattrs;
	size_t n_xattrs;
};
struct inode {
	uint64_t ino, dev;
	int64_t left; /* names that are wanted and were not met in the walk */
	size_t order; /* of the entry that spoke of it last */
	bool judged;
};
struct verify {
	int recipe, dir;
	bool whole_tree;
	const char *diff_id;
	struct verify_result *res;
	pthread_mutex_t lock; /* res->flaws: both threads find some */
	struct {
		struct want **v;
		size_t n;
	} all;
	struct want **bucket;
	size_t buckets;
	struct inode *inodes;
	size_t inodes_cap, inodes_n;
	struct relay relay;
	int play_error;
	struct err play_err;
	struct timespec made;
};

static void flaw(struct verify *v, const char *path, const char *fmt, ...) PRINTF(3, 4);
static void flaw(struct verify *v, const char *path, const char *fmt, ...)
{
	struct strb b = STRB_INIT;
	va_list ap;

	va_start(ap, fmt);
	strb_addv(&b, fmt, ap);
	va_end(ap);
	pthread_mutex_lock(&v->lock);
	if (v->res->flaws.n < FLAWS_MAX)
		*VEC_ADD(&v->res->flaws) = (struct flaw){ xstrdup(path), strb_take(&b) };
	else
		v->res->more++;
	pthread_mutex_unlock(&v->lock);
	strb_done(&b);
}

static size_t hash_of(const char *s)
{
	uint64_t h = 0xcbf29ce484222325u;

	for (; *s; s++)
		h = (h ^ (unsigned char)*s) * 0x100000001b3u;
	return (size_t)(h ^ h >> 29);
}

static void want_clear(struct want *w)
{
	for (size_t i = 0; i < w->n_xattrs; i++) {
		free(w->xattrs[i].name);
		free(w->xattrs[i].value);
	}
	free(w->xattrs);
	free(w->link);
	w->xattrs = NULL;
	w->n_xattrs = 0;
	w->link = NULL;
}

static void grow(struct verify *v)
{
	size_t n = v->buckets ? v->buckets * 2 : 4096;

	free(v->bucket);
	v->bucket = xcalloc(n, sizeof(struct want *));
	v->buckets = n;
	for (size_t i = 0; i < v->all.n; i++) {
		struct want **slot = &v->bucket[hash_of(v->all.v[i]->path) & (n - 1)];

		v->all.v[i]->next = *slot;
		*slot = v->all.v[i];
	}
}

static struct want *want_find(const struct verify *v, const char *path)
{
	struct want *w = v->buckets ? v->bucket[hash_of(path) & (v->buckets - 1)] : NULL;

	while (w && !streq(w->path, path))
		w = w->next;
	return w;
}

static struct want *want_get(struct verify *v, const char *path)
{
	struct want *w = want_find(v, path), **slot;

	if (w)
		return w;
	if (v->all.n >= v->buckets)
		grow(v);
	w = xcalloc(1, sizeof *w);
	w->path = xstrdup(path);
	w->gone = true;
	slot = &v->bucket[hash_of(path) & (v->buckets - 1)];
	w->next = *slot;
	*slot = w;
	*VEC_ADD(&v->all) = w;
	return w;
}

/* Directories that the archive does not list: only that they are there. */
static void want_way(struct verify *v, const char *path)
{
	AUTO_FREE char *way = xstrdup(path);

	for (char *p = strchr(way, '/'); p; p = strchr(p + 1, '/')) {
		struct want *w;

		*p = 0;
		w = want_get(v, way);
		if (w->gone || w->type == WHITEOUT_TYPE) {
			w->gone = false;
			w->type = IMPLICIT_TYPE;
		}
		*p = '/';
	}
}

/* A file in the place of a directory: what was in that is gone. */
static void want_forget_below(struct verify *v, const char *path)
{
	size_t n = strlen(path);

	for (size_t i = 0; i < v->all.n; i++)
		if (strncmp(v->all.v[i]->path, path, n) == 0 && v->all.v[i]->path[n] == '/')
			v->all.v[i]->gone = true;
}

static bool is_dir_type(char type)
{
	return type == '5' || type == IMPLICIT_TYPE;
}

static void want_entry(struct verify *v, const struct tar_entry *t, const char *path)
{
	struct want *w;

	want_way(v, path);
	w = want_get(v, path);
	if (!w->gone && is_dir_type(w->type) && t->type != '5')
		want_forget_below(v, path);
	if (!w->gone && w->type == WHITEOUT_TYPE && t->type == '5')
		w->opaque = true;
	else if (w->gone || t->type != '5' || !is_dir_type(w->type))
		w->opaque = false;
	want_clear(w);
	w->gone = false;
	w->type = t->type;
	w->order = ++v->res->entries;
	w->mode = t->mode;
	w->uid = t->uid;
	w->gid = t->gid;
	w->major = t->major;
	w->minor = t->minor;
	w->mtime = t->mtime;
	w->mtime_ns = t->mtime_ns;
	w->size = t->size;
	w->link = t->type == '1' || t->type == '2' ? xstrdup(t->link ? t->link : "") : NULL;
	if (t->n_xattrs && (t->type == '0' || t->type == '5')) {
		w->xattrs = xcalloc(t->n_xattrs, sizeof *w->xattrs);
		for (size_t i = 0; i < t->n_xattrs; i++) {
			struct tar_xattr *x = &w->xattrs[w->n_xattrs++];

			x->name = xstrdup(t->xattrs[i].name);
			x->n = t->xattrs[i].n;
			x->value = xmalloc(x->n + 1);
			memcpy(x->value, t->xattrs[i].value, x->n);
		}
	}
}

static bool want_whiteout(struct verify *v, const char *path)
{
	const char *slash = strrchr(path, '/'), *name = str_after(slash ? slash + 1 : path, ".wh.");
	AUTO_FREE char *way = xstrndup(path, slash ? (size_t)(slash - path) + 1 : 0);
	AUTO_FREE char *target = name ? xasprintf("%s%s", way, name) : NULL;
	struct want *w;

	if (!name)
		return false;
	if (streq(name, ".wh..opq") && slash) {
		want_way(v, path);
		way[strlen(way) - 1] = 0;
		want_get(v, way)->opaque = true;
	}
	if (str_after(name, ".wh."))
		return true;
	want_way(v, target);
	w = want_get(v, target);
	if (w->gone) {
		w->gone = false;
		w->opaque = false;
		w->type = WHITEOUT_TYPE;
	} else if (is_dir_type(w->type)) {
		w->opaque = true;
	}
	return true;
}

static int read_tar(struct verify *v, struct err *e)
{
	struct tar *tar = tar_new(&v->relay.src);
	const struct tar_entry *t = NULL;
	int r;

	while ((r = tar_next(tar, &t, e)) > 0) {
		AUTO_FREE char *path = NULL;

		r = apply_clean_name(t->name, &path, e);
		if (r < 0)
			break;
		if (!want_whiteout(v, path))
			want_entry(v, t, path);
	}
	if (r == 0)
		r = tar_drain(tar, e);
	tar_free(tar);
	return r;
}

/* ---- what is there ---- */
static struct inode *inode_of(struct verify *v, const struct stat *st)
{
	size_t i;

	if (v->inodes_n * 4 >= v->inodes_cap * 3) {
		struct inode *old = v->inodes;
		size_t cap = v->inodes_cap;

		v->inodes_cap = cap ? cap * 2 : 4096;
		v->inodes = xcalloc(v->inodes_cap, sizeof *v->inodes);
		for (size_t k = 0; k < cap; k++)
			if (old[k].ino) {
				i = (size_t)(old[k].ino * 0x9e3779b97f4a7c15u >> 20) & (v->inodes_cap - 1);
				while (v->inodes[i].ino)
					i = (i + 1) & (v->inodes_cap - 1);
				v->inodes[i] = old[k];
			}
		free(old);
	}
	i = (size_t)(st->st_ino * 0x9e3779b97f4a7c15u >> 20) & (v->inodes_cap - 1);
	while (v->inodes[i].ino && (v->inodes[i].ino != st->st_ino || v->inodes[i].dev != st->st_dev))
		i = (i + 1) & (v->inodes_cap - 1);
	if (!v->inodes[i].ino) {
		v->inodes[i] = (struct inode){ .ino = st->st_ino, .dev = st->st_dev };
		v->inodes_n++;
	}
	return &v->inodes[i];
}

/* The directory of path, symbolic links on the way resolved inside the layer, as when it was unpacked. */
static int parent_of(const struct verify *v, const char *path, const char **ret_base)
{
	const char *slash = strrchr(path, '/');
	AUTO_FREE char *way = slash ? xstrndup(path, (size_t)(slash - path)) : xstrdup(".");

	*ret_base = slash ? slash + 1 : path;
	return open_in_root(v->dir, way, O_PATH | O_DIRECTORY, 0);
}

static mode_t kind_of(char type)
{
	switch (type) {
	case '2':
		return S_IFLNK;
	case '3':
	case WHITEOUT_TYPE:
		return S_IFCHR;
	case '4':
		return S_IFBLK;
	case '5':
	case IMPLICIT_TYPE:
		return S_IFDIR;
	case '6':
		return S_IFIFO;
	default:
		return S_IFREG;
	}
}

static const char *kind_name(mode_t mode)
{
	return S_ISREG(mode)    ? "a file"
	       : S_ISDIR(mode)  ? "a directory"
	       : S_ISLNK(mode)  ? "a symbolic link"
	       : S_ISCHR(mode)  ? "a character device"
	       : S_ISBLK(mode)  ? "a block device"
	       : S_ISFIFO(mode) ? "a fifo"
				: "a socket";
}

#define XATTR_MAX 65536
static void check_xattrs(struct verify *v, const struct want *w, int dir, const char *base)
{
	AUTO_FD int fd = openat(dir, base, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	AUTO_FREE char *names = xmalloc(XATTR_MAX), *value = xmalloc(XATTR_MAX);
	ssize_t n = fd < 0 ? -1 : flistxattr(fd, names, XATTR_MAX);

	for (size_t i = 0; fd >= 0 && i < w->n_xattrs; i++) {
		const struct tar_xattr *x = &w->xattrs[i];
		ssize_t k = xattr_wanted(x->name) ? fgetxattr(fd, x->name, value, XATTR_MAX) : -1;

		if (!xattr_wanted(x->name) || (k < 0 && errno == EOPNOTSUPP))
			continue;
		if (k < 0 || (size_t)k != x->n || memcmp(value, x->value, x->n) != 0)
			flaw(v, w->path, "its attribute %.100s %s", x->name, k < 0 ? "is gone" : "is another one");
	}
	for (const char *p = names; n > 0 && p < names + n; p += strlen(p) + 1) {
		bool wanted = !xattr_wanted(p);

		for (size_t i = 0; i < w->n_xattrs; i++)
			wanted |= streq(w->xattrs[i].name, p);
		/* a default ACL of the directory above, as the kernel hands it on, would be in the archive too */
		if (!wanted)
			flaw(v, w->path, "it has an attribute %.100s that the layer did not bring", p);
	}
}

/* File systems keep times from 1901 to 2446 at least; what is beyond may have been cut. */
static bool time_fits(const struct want *w, const struct stat *st)
{
	return w->mtime < -2147483648LL || w->mtime > 4294967295LL ||
	       (st->st_mtim.tv_sec == w->mtime &&
		((uint32_t)st->st_mtim.tv_nsec == w->mtime_ns || st->st_mtim.tv_nsec == 0));
}

static void check_attributes(struct verify *v, const struct want *w, const struct stat *st, int dir, const char *base)
{
	if (S_ISLNK(st->st_mode)) {
		char target[TAR_NAME_MAX];
		ssize_t n = readlinkat(dir, base, target, sizeof target);

		if (n < 0 || (size_t)n != strlen(w->link) || memcmp(target, w->link, (size_t)n) != 0)
			flaw(v, w->path, "it points to %.*s, not to %.200s", n < 0 ? 0 : (int)MIN(n, (ssize_t)200),
			     target, w->link);
	} else if ((st->st_mode & 07777) != (w->mode & 07777)) {
		flaw(v, w->path, "its mode is %04o, not %04o", st->st_mode & 07777, w->mode & 07777);
	}
	if (st->st_uid != w->uid || st->st_gid != w->gid)
		flaw(v, w->path, "its owner is %u:%u, not %u:%u", st->st_uid, st->st_gid, w->uid, w->gid);
	if (!time_fits(w, st))
		flaw(v, w->path, "its time of change is %lld, not %lld", (long long)st->st_mtim.tv_sec,
		     (long long)w->mtime);
	if ((w->type == '3' || w->type == '4') && st->st_rdev != makedev(w->major, w->minor))
		flaw(v, w->path, "it is device %u:%u, not %u:%u", major(st->st_rdev), minor(st->st_rdev), w->major,
		     w->minor);
	if (S_ISREG(st->st_mode) && st->st_size != w->size)
		flaw(v, w->path, "it has %lld bytes, not %lld", (long long)st->st_size, (long long)w->size);
	if (w->type == '0' || w->type == '5')
		check_xattrs(v, w, dir, base);
}

/* Is it the very file of its target? */
static void check_link(struct verify *v, const struct want *w, const struct stat *st)
{
	AUTO_FREE char *target = NULL;
	const char *base = NULL;
	struct stat other;
	AUTO_FD int dir = apply_clean_name(w->link, &target, NULL) < 0 ? -1 : parent_of(v, target, &base);

	if (dir < 0 || fstatat(dir, base, &other, AT_SYMLINK_NOFOLLOW) < 0)
		return; /* the target was replaced later, or is a flaw of its own */
	if (other.st_ino != st->st_ino && want_find(v, target) && want_find(v, target)->order < w->order)
		flaw(v, w->path, "it is not the same file as %.200s any more", w->link);
}

static void check_one(struct verify *v, const struct want *w)
{
	const char *base = NULL;
	AUTO_FD int dir = *w->path ? parent_of(v, w->path, &base)
				   : openat(v->dir, ".", O_PATH | O_DIRECTORY | O_CLOEXEC);
	struct inode *inode;
	struct stat st;
	mode_t kind = kind_of(w->type);
	bool last;

	if (!*w->path)
		base = ".";
	if (dir < 0 || fstatat(dir, base, &st, AT_SYMLINK_NOFOLLOW) < 0) {
		if (!(v->whole_tree && w->type == WHITEOUT_TYPE))
			flaw(v, w->path, "%s is gone", w->type == WHITEOUT_TYPE ? "the mark that hides it" : "it");
		return;
	}
	if (v->whole_tree && w->type == WHITEOUT_TYPE) {
		flaw(v, w->path, "it is there, but the layer removed it");
		return;
	}
	inode = inode_of(v, &st);
	inode->left++;
	if (w->type == '1')
		return check_link(v, w, &st);
	last = w->order >= inode->order;
	inode->order = MAX(inode->order, w->order);
	if (!last)
		return; /* another name of the archive, through a symbolic link, led here later */
	if ((st.st_mode & S_IFMT) != kind) {
		flaw(v, w->path, "it is %s, not %s", kind_name(st.st_mode), kind_name(kind));
		return;
	}
	if (w->type == WHITEOUT_TYPE) {
		if (st.st_rdev != 0)
			flaw(v, w->path, "it is a device, not the mark that hides it");
	} else if (w->type != IMPLICIT_TYPE) {
		check_attributes(v, w, &st, dir, base);
	}
}

#define DEPTH_MAX 2000
static void walk(struct verify *v, int fd, struct strb *path, int depth)
{
	DIR *d = fdopendir(fd);
	size_t mark = path->len;
	struct dirent *x;

	if (!d || depth > DEPTH_MAX) {
		flaw(v, strb_str(path), "it cannot be read: %s", strerror(d ? ENAMETOOLONG : errno));
		if (d)
			(void)closedir(d);
		else
			(void)close(fd);
		return;
	}
	while ((x = readdir(d))) {
		struct stat st;
		int sub;

		if (streq(x->d_name, ".") || streq(x->d_name, "..") ||
		    fstatat(dirfd(d), x->d_name, &st, AT_SYMLINK_NOFOLLOW) < 0)
			continue;
		strb_addf(path, "%s%s", mark ? "/" : "", x->d_name);
		if (--inode_of(v, &st)->left < 0)
			flaw(v, strb_str(path), "the layer did not bring it");
		else if (S_ISDIR(st.st_mode) &&
			 (sub = openat(dirfd(d), x->d_name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)) >= 0)
			walk(v, sub, path, depth + 1);
		path->len = mark;
		if (path->s)
			path->s[mark] = 0;
	}
	(void)closedir(d);
}

/* Contents have no sums of their own. Whoever writes to a file leaves a time that cannot be set back. */
static void suspect(struct verify *v)
{
	size_t found = 0;

	for (size_t i = 0; i < v->all.n; i++) {
		const struct want *w = v->all.v[i];
		const char *base = NULL;
		struct stat st;
		AUTO_FD int dir = w->gone || w->type != '0' ? -1 : parent_of(v, w->path, &base);

		if (dir < 0 || fstatat(dir, base, &st, AT_SYMLINK_NOFOLLOW) < 0)
			continue;
		if (st.st_ctim.tv_sec < v->made.tv_sec ||
		    (st.st_ctim.tv_sec == v->made.tv_sec && st.st_ctim.tv_nsec <= v->made.tv_nsec))
			continue;
		flaw(v, w->path, "it was written to after the layer was made");
		found++;
	}
	if (!found && !v->res->flaws.n)
		flaw(v, "", "bytes in one of its files have changed without a trace (a fault of disk or memory?)");
}

/* ---- both ---- */
static int take(void *ctx, const void *p, size_t n)
{
	return relay_write(&((struct verify *)ctx)->relay, p, n);
}

static void broken(void *ctx, const char *path, const char *why)
{
	flaw(ctx, path, "%s", why);
}

static void *play(void *arg)
{
	struct verify *v = arg;
	struct recipe_sink sink = { .write = take, .ctx = v, .broken = broken };

	v->play_error = recipe_play(v->recipe, v->dir, v->diff_id, &sink, &v->play_err);
	if (v->relay.filled)
		(void)relay_hand_over(&v->relay);
	pthread_mutex_lock(&v->relay.lock);
	v->relay.ended = true;
	pthread_cond_broadcast(&v->relay.moved);
	pthread_mutex_unlock(&v->relay.lock);
	return NULL;
}

static int by_order(const void *a, const void *b)
{
	const struct want *x = *(struct want *const *)a, *y = *(struct want *const *)b;

	return (x->order < y->order) - (x->order > y->order); /* the last first */
}

static void compare(struct verify *v)
{
	AUTO_STRB struct strb path = STRB_INIT;
	int fd = openat(v->dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (v->all.n)
		qsort(v->all.v, v->all.n, sizeof(struct want *), by_order);
	for (size_t i = 0; i < v->all.n; i++) {
		if (v->all.v[i]->gone)
			continue;
		check_one(v, v->all.v[i]);
		if (v->all.v[i]->opaque && is_dir_type(v->all.v[i]->type) && !v->whole_tree)
			strv_add(&v->res->opaque, v->all.v[i]->path);
	}
	if (fd >= 0 && v->whole_tree)
		(void)close(fd);
	else if (fd >= 0)
		walk(v, fd, &path, 0);
}

static int run(struct verify *v, struct err *e)
{
	struct err tar_err = ERR_INIT;
	pthread_t thread;
	int r = -pthread_create(&thread, NULL, play, v);

	if (r < 0)
		return err_sys(e, r, "starting a thread");
	r = read_tar(v, &tar_err);
	pthread_mutex_lock(&v->relay.lock);
	__atomic_store_n(&v->relay.stopped, true, __ATOMIC_RELAXED);
	pthread_cond_broadcast(&v->relay.moved);
	pthread_mutex_unlock(&v->relay.lock);
	(void)pthread_join(thread, NULL);
	if (v->play_error < 0 && !v->relay.bytes) { /* the recipe itself: nothing to compare with */
		flaw(v, "", "%s", v->play_err.msg);
		return 0;
	}
	if (r < 0)
		flaw(v, "", "%s", v->play_error < 0 ? v->play_err.msg : tar_err.msg);
	else
		compare(v);
	if (r == 0 && v->play_error < 0)
		suspect(v);
	if (v->play_error < 0 && r == 0 && !streq(v->play_err.msg, ""))
		flaw(v, "", "%s", v->play_err.msg);
	v->res->bytes = v->relay.bytes;
	return 0;
}

int archive_verify(int recipe, int dir, const char *diff_id, bool whole_tree, struct verify_result *ret, struct err *e)
{
	struct verify v = { .recipe = recipe, .dir = dir, .diff_id = diff_id, .whole_tree = whole_tree, .res = ret };
	struct stat st;
	int r;

	if (fstat(recipe, &st) < 0)
		return err_sys(e, -errno, "reading the layer's recipe");
	v.made = st.st_mtim;
	v.relay.src.next = relay_next;
	v.relay.half[0] = xmalloc(HALF);
	v.relay.half[1] = xmalloc(HALF);
	pthread_mutex_init(&v.lock, NULL);
	pthread_mutex_init(&v.relay.lock, NULL);
	pthread_cond_init(&v.relay.moved, NULL);
	r = run(&v, e);
	for (size_t i = 0; i < v.all.n; i++) {
		want_clear(v.all.v[i]);
		free(v.all.v[i]->path);
		free(v.all.v[i]);
	}
	free(v.all.v);
	free(v.bucket);
	free(v.inodes);
	free(v.relay.half[0]);
	free(v.relay.half[1]);
	return r;
}
