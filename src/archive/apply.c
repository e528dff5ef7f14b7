/* apply.c - tar entries -> files below a directory. Every name is walked by the kernel inside root (RESOLVE_IN_ROOT): a symlink in
 * an archive may point anywhere, following it never leaves root. Attributes of directories are set last, so that their
 * times, setgid bits and default ACLs do not meddle with what is put into them. */
#include "archive/archive.h"
#include "archive/apply_priv.h"
#include "archive/recipe.h"
#include "base/kernel.h"

#include <fcntl.h>
#include <limits.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>

#ifndef XATTR_LIST_MAX
#define XATTR_LIST_MAX 65536
#endif

const struct apply_budget apply_budget_default = {
	.entries = 10000000,
	.devices = 8192,
	.bytes = (int64_t)1 << 42,
};

void apply_result_done(struct apply_result *r)
{
	strv_done(&r->opaque);
	*r = (struct apply_result){ 0 };
}

int apply_refuse(const char *name, const char *why, struct err *e)
{
	return err_set(e, ERR_INVALID, "%s: %.200s", why, name);
}

/* ---- names ---- */
/* "./a//b/" -> "a/b", "/" -> "". What climbs out is refused, as Docker does ("breakout"). */
int apply_clean_name(const char *name, char **ret, struct err *e)
{
	AUTO_FREE char *clean = NULL;
	bool plain = true;

	while (*name == '/')
		name++;
	for (const char *p = name; plain && (p = strchr(p, '.')); p++)
		plain = p != name && p[-1] != '/'; /* no component starts with a dot */
	if (plain && !strstr(name, "//")) {
		size_t n = strlen(name);

		*ret = xstrndup(name, n && name[n - 1] == '/' ? n - 1 : n);
		return 0;
	}
	clean = path_clean(name);
	if (streq(clean, "..") || str_after(clean, "../"))
		return apply_refuse(name, "path leads out of the archive's root", e);
	if (streq(clean, "."))
		*clean = 0;
	*ret = TAKE_PTR(clean);
	return 0;
}

static void rename_first(const struct apply_budget *b, char **path)
{
	const char *rest = *path;
	char *was = *path;

	if (!b->from)
		return;
	if (!streq(b->from, ".")) {
		rest = str_after(was, b->from);
		if (!rest || (*rest && *rest != '/'))
			return;
		rest += *rest == '/';
	}
	*path = streq(b->to, ".") ? xstrdup(rest) : xasprintf("%s%s%s", b->to, *rest ? "/" : "", rest);
	free(was);
}

/* ---- directories on the way ---- */
#define DIRS_CACHED 16
struct known_dir {
	char *path; /* clean */
	int fd;     /* O_PATH */
	bool linked;
};
struct apply {
	int root;
	struct apply_budget budget;
	struct apply_result *res;
	struct known_dir known[DIRS_CACHED];
	unsigned next_known;
	uint64_t devices;
	struct late_dirs late;
	struct tar *tar;
	struct recipe *recipe; /* or NULL */
	bool linked;      /* the directory looked up last has a symlink on its way: its path may lead elsewhere later */
	struct seen seen; /* whole_tree: what this archive brought */
};

static void forget_dirs(struct apply *a)
{
	for (size_t i = 0; i < DIRS_CACHED; i++) {
		freep(&a->known[i].path);
		fd_closep(&a->known[i].fd);
	}
}

static int know_dir(struct apply *a, const char *path, int fd)
{
	struct known_dir *k = &a->known[a->next_known++ % DIRS_CACHED];

	free(k->path);
	fd_closep(&k->fd);
	k->path = xstrdup(path);
	k->linked = a->linked;
	return k->fd = fd;
}

static int dir_lookup(struct apply *a, const char *path)
{
	int fd = open_beneath(a->root, *path ? path : ".", O_PATH | O_DIRECTORY, 0);

	a->linked = fd == -ELOOP;
	return a->linked ? open_in_root(a->root, path, O_PATH | O_DIRECTORY, 0) : fd;
}

/* Directories that the archive does not list itself: root's, 0755. */
static int make_way(struct apply *a, const char *path)
{
	AUTO_FREE char *copy = xstrdup(path);

	for (char *slash = copy;; slash++) {
		AUTO_FD int up = -1;
		AUTO_FD int fd = -1;
		char *base;

		slash = strchr(slash, '/');
		if (slash)
			*slash = 0;
		fd = dir_lookup(a, copy);
		if (fd == -ENOENT) {
			base = strrchr(copy, '/');
			if (base)
				*base = 0;
			up = dir_lookup(a, base ? copy : "");
			if (base)
				*base = '/';
			if (up < 0)
				return up;
			if (mkdirat(up, base ? base + 1 : copy, 0755) < 0)
				return errno == EEXIST ? -ELOOP : -errno; /* a dangling symlink is in the way */
		} else if (fd < 0) {
			return fd;
		}
		if (!slash)
			return 0;
		*slash = '/';
	}
}

/* Lends a descriptor of the directory; valid until the next call of this or of forget_dirs. */
static int dir_of(struct apply *a, const char *path)
{
	int fd;

	for (size_t i = 0; i < DIRS_CACHED; i++)
		if (a->known[i].path && streq(a->known[i].path, path)) {
			a->linked = a->known[i].linked;
			return a->known[i].fd;
		}
	fd = dir_lookup(a, path);
	if (fd == -ENOENT) {
		int r = make_way(a, path);

		if (r < 0)
			return r;
		fd = dir_lookup(a, path);
	}
	return fd < 0 ? fd : know_dir(a, path, fd);
}

/* Splits "a/b/c" into its directory, opened, and "c". */
static int parent_of(struct apply *a, char *path, const char **ret_base)
{
	char *slash = strrchr(path, '/');
	int fd;

	if (!slash) {
		*ret_base = path;
		return dir_of(a, "");
	}
	*slash = 0;
	fd = dir_of(a, path);
	*slash = '/';
	*ret_base = slash + 1;
	return fd;
}

/* ---- one entry ---- */
static void make_opaque(struct apply *a, const char *path)
{
	if (!a->budget.whole_tree)
		strv_add(&a->res->opaque, path);
}

static bool is_whiteout(const struct stat *st)
{
	return S_ISCHR(st->st_mode) && st->st_rdev == 0;
}

/* Something has this name already: it gives way. *ret_whiteout when it was a whiteout of this layer. */
static int clear_way(struct apply *a, int dir, const char *base, bool *ret_whiteout)
{
	struct stat st;

	if (a->recipe)
		recipe_lost(a->recipe, dir, base);
	if (fstatat(dir, base, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return -errno;
	*ret_whiteout = is_whiteout(&st);
	if (S_ISDIR(st.st_mode))
		forget_dirs(a); /* dir is closed now: the caller asks for it again */
	else
		return unlinkat(dir, base, 0) < 0 ? -errno : 0;
	return 1;
}

/* As above with the path: directories go with all that is in them. */
static int replace(struct apply *a, char *path, int *dir, const char **base, bool *ret_whiteout)
{
	int r = clear_way(a, *dir, *base, ret_whiteout);

	if (r == 1) {
		*dir = parent_of(a, path, base);
		r = *dir < 0 ? *dir : dir_remove(*dir, *base);
	} else if (r == 0) {
		/* a symlink that is gone may have been on the way to directories we know */
		forget_dirs(a);
		*dir = parent_of(a, path, base);
		r = *dir < 0 ? *dir : 0;
	}
	return r;
}

bool xattr_wanted(const char *name)
{
	/* trusted.* is hoyd's (overlay), other security.* belongs to the host's policy; user.overlay.* would be overlay's too */
	return streq(name, "security.capability") || streq(name, "system.posix_acl_access") ||
	       streq(name, "system.posix_acl_default") ||
	       (str_after(name, "user.") && !str_after(name, "user.overlay."));
}

static int drop_xattrs(int fd)
{
	AUTO_FREE char *names = xmalloc(XATTR_LIST_MAX);
	ssize_t n = flistxattr(fd, names, XATTR_LIST_MAX);

	for (const char *p = names; n > 0 && p < names + n; p += strlen(p) + 1)
		if (xattr_wanted(p) && fremovexattr(fd, p) < 0 && errno != ENODATA)
			return -errno;
	return 0;
}

static int apply_xattrs(int fd, const struct tar_xattr *v, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (xattr_wanted(v[i].name) && fsetxattr(fd, v[i].name, v[i].value, v[i].n, 0) < 0 &&
		    errno != EOPNOTSUPP && errno != EPERM)
			return -errno;
	return 0;
}

static int write_at(int fd, const uint8_t *p, size_t n, int64_t at)
{
	while (n > 0) {
		ssize_t k = pwrite(fd, p, n, at);

		if (k < 0 && errno == EINTR)
			continue;
		if (k < 0)
			return -errno;
		p += k;
		n -= (size_t)k;
		at += k;
	}
	return 0;
}

static int copy_data(struct apply *a, const struct tar_entry *t, int fd, struct err *e)
{
	const uint8_t *p = NULL;
	int64_t at = 0, end = 0;
	size_t n = 1;

	while (n > 0) {
		int r = tar_data(a->tar, &p, &n, &at, e);

		if (r < 0)
			return r;
		if (n > 0 && (r = write_at(fd, p, n, at)) < 0)
			return err_sys(e, r, "writing %.200s", t->name);
		end = n ? at + (int64_t)n : end;
	}
	if (end < t->size && ftruncate(fd, t->size) < 0)
		return err_sys(e, -errno, "writing %.200s", t->name);
	return 0;
}

/* In a directory that lives, a new file may have got the directory's group and less than its mode (setgid, default ACLs). */
static int set_owner_mode(const struct apply *a, int fd, const struct tar_entry *t)
{
	if (!a->budget.as_me && (t->uid || t->gid || a->budget.plain) && fchown(fd, t->uid, t->gid) < 0)
		return -errno;
	if ((t->mode & 07000 || a->budget.plain) && fchmod(fd, t->mode) < 0) /* chown takes setuid bits away */
		return -errno;
	return 0;
}

/* path: NULL where it leads through a symlink */
static int put_file(struct apply *a, const struct tar_entry *t, int dir, const char *base, const char *path,
		    struct err *e)
{
	struct timespec times[2] = { { .tv_sec = t->mtime, .tv_nsec = t->mtime_ns },
				     { .tv_sec = t->mtime, .tv_nsec = t->mtime_ns } };
	AUTO_FD int fd = openat(dir, base, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, t->mode & 0777);
	int r;

	if (fd < 0)
		return -errno;
	a->budget.bytes -= t->sparse ? 0 : t->size;
	if (a->budget.bytes < 0)
		return err_set(e, ERR_INVALID, "archive is too big: its files are larger than allowed");
	if (a->recipe && path && !t->sparse && t->size > 0) {
		struct stat st;

		if (fstat(fd, &st) < 0)
			return -errno;
		recipe_file(a->recipe, path, t->size, st.st_ino);
		tar_data_apart(a->tar);
	}
	r = copy_data(a, t, fd, e);
	if (r < 0)
		return r;
	a->res->size += t->size;
	if ((r = set_owner_mode(a, fd, t)) < 0 || (r = apply_xattrs(fd, t->xattrs, t->n_xattrs)) < 0 ||
	    (r = futimens(fd, times) < 0 ? -errno : 0) < 0)
		return err_sys(e, r, "setting attributes of %.200s", t->name);
	return 0;
}

static int put_node(struct apply *a, const struct tar_entry *t, int dir, const char *base, struct err *e)
{
	mode_t kind = t->type == '3' ? S_IFCHR : t->type == '4' ? S_IFBLK : S_IFIFO;

	if (kind != S_IFIFO && ++a->devices > a->budget.devices)
		return err_set(e, ERR_INVALID, "archive has more than %llu devices",
			       (unsigned long long)a->budget.devices);
	if (mknodat(dir, base, kind | (t->mode & 0777), makedev(t->major, t->minor)) < 0)
		return -errno;
	return 0;
}

static int put_link(struct apply *a, const struct tar_entry *t, int dir, const char *base, struct err *e)
{
	AUTO_FREE char *target = NULL, *way = NULL;
	AUTO_FD int from = -1;
	const char *slash;
	struct stat st;
	int r = apply_clean_name(t->link, &target, a->budget.plain ? NULL : e);

	if (r < 0 && a->budget.plain)
		return err_set(e, ERR_SYSTEM, "invalid hardlink target \"%.500s\"", t->link);
	if (r < 0)
		return r;
	rename_first(&a->budget, &target);
	slash = strrchr(target, '/');
	way = slash ? xstrndup(target, (size_t)(slash - target)) : xstrdup("");
	from = dir_lookup(a, way);
	if (from < 0 && a->budget.plain)
		return from;
	if (from < 0)
		return err_set(e, ERR_INVALID, "hard link %.200s: its target %.200s is not in this layer", t->name,
			       t->link);
	slash = slash ? slash + 1 : target;
	if (a->budget.plain && *slash && fstatat(from, slash, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return -errno;
	if (!*slash || fstatat(from, slash, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return err_set(e, ERR_INVALID, "hard link %.200s: its target %.200s is not in this layer", t->name,
			       t->link);
	if (S_ISDIR(st.st_mode))
		return err_set(e, ERR_INVALID, "hard link %.200s: its target %.200s is a directory", t->name, t->link);
	return linkat(from, slash, dir, base, 0) < 0 ? -errno : 0;
}

static int put_symlink(const struct tar_entry *t, bool plain, int dir, const char *base, struct err *e)
{
	if (str_empty(t->link) && plain)
		return -ENOENT; /* as the kernel says */
	if (str_empty(t->link))
		return apply_refuse(t->name, "symbolic link without a target", e);
	return symlinkat(t->link, dir, base) < 0 ? -errno : 0;
}

/* What the kernel lets them have: security.capability and ACLs; user.* is for files and directories alone. There is no call that
 * takes a directory and a name: the working directory is ours to move. */
static int set_xattrs_by_name(const struct tar_entry *t, int dir, const char *base)
{
	if (t->n_xattrs && fchdir(dir) < 0)
		return -errno;
	for (size_t i = 0; i < t->n_xattrs; i++)
		if (xattr_wanted(t->xattrs[i].name) &&
		    lsetxattr(base, t->xattrs[i].name, t->xattrs[i].value, t->xattrs[i].n, 0) < 0 &&
		    errno != EOPNOTSUPP && errno != EPERM)
			return -errno;
	return 0;
}

/* Owner, attributes and times of what has no descriptor: symlinks, devices, fifos. */
static int set_by_name(const struct apply *a, const struct tar_entry *t, int dir, const char *base)
{
	struct timespec times[2] = { { .tv_sec = t->mtime, .tv_nsec = t->mtime_ns },
				     { .tv_sec = t->mtime, .tv_nsec = t->mtime_ns } };
	int r;

	if (!a->budget.as_me && (t->uid || t->gid || a->budget.plain) &&
	    fchownat(dir, base, t->uid, t->gid, AT_SYMLINK_NOFOLLOW) < 0)
		return -errno;
	if (t->type != '2' && (t->mode & 07000 || a->budget.plain) &&
	    fchmodat(dir, base, t->mode, 0) < 0) /* just made: no symlink */
		return -errno;
	if ((r = set_xattrs_by_name(t, dir, base)) < 0)
		return r;
	return utimensat(dir, base, times, AT_SYMLINK_NOFOLLOW) < 0 ? -errno : 0;
}

static int put_once(struct apply *a, const struct tar_entry *t, int dir, const char *base, const char *path,
		    struct err *e)
{
	int r;

	switch (t->type) {
	case '0':
		return put_file(a, t, dir, base, a->linked ? NULL : path, e);
	case '1':
		return put_link(a, t, dir, base, e);
	case '2':
		r = put_symlink(t, a->budget.plain, dir, base, e);
		break;
	default:
		r = put_node(a, t, dir, base, e);
	}
	return r < 0 ? r : set_by_name(a, t, dir, base);
}

static int put_dir(struct apply *a, const struct tar_entry *t, char *path, struct err *e)
{
	bool whiteout = false;
	const char *base;
	int dir, r = 0;

	if (*path) {
		struct stat st;

		dir = parent_of(a, path, &base);
		if (dir < 0)
			return dir;
		if (mkdirat(dir, base, 0700) < 0) {
			if (errno != EEXIST)
				return -errno;
			if (fstatat(dir, base, &st, AT_SYMLINK_NOFOLLOW) < 0)
				return -errno;
			if (!S_ISDIR(st.st_mode) && a->budget.no_overwrite)
				return err_set(e, ERR_SYSTEM,
					       "cannot overwrite non-directory \"%.200s\" with directory \"%.200s\"",
					       path, a->budget.where);
			if (!S_ISDIR(st.st_mode)) {
				r = replace(a, path, &dir, &base, &whiteout);
				if (r < 0 || (r = mkdirat(dir, base, 0700) < 0 ? -errno : 0) < 0)
					return r;
			}
		}
		if (whiteout) /* removed below and made anew: nothing of the old one shows through */
			make_opaque(a, path);
	}
	if (!*path && a->budget.plain)
		return 0;
	return late_dirs_add(&a->late, path, t, e);
}

static bool is_directory(int dir, const char *base)
{
	struct stat st;

	return fstatat(dir, base, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISDIR(st.st_mode);
}

static int put(struct apply *a, const struct tar_entry *t, char *path, struct err *e)
{
	bool whiteout;
	const char *base;
	int dir, r;

	if (t->type == '5')
		return put_dir(a, t, path, e);
	if (!*path)
		return apply_refuse(t->name, "an archive's root must be a directory", e);
	dir = parent_of(a, path, &base);
	if (dir < 0)
		return dir;
	if (t->type == '1') { /* a link to itself would remove its own target */
		AUTO_FREE char *target = NULL;

		r = apply_clean_name(t->link, &target, NULL);
		if (r == 0 && streq(target, path))
			return apply_refuse(t->name, "hard link to itself", e);
	}
	r = put_once(a, t, dir, base, path, e);
	if (r == -EEXIST && a->budget.no_overwrite && is_directory(dir, base))
		return err_set(e, ERR_SYSTEM, "cannot overwrite directory \"%.200s\" with non-directory \"%.200s\"",
			       path, a->budget.where);
	if (r == -EEXIST) {
		r = replace(a, path, &dir, &base, &whiteout);
		if (r == 0)
			r = put_once(a, t, dir, base, path, e);
	}
	return r;
}

/* ---- whiteouts ---- */
#define WHITEOUT ".wh."
/* In a whole tree: deletes what layers below have at path (below it, for opaque), and leaves what this archive brought. */
static int delete_lower(struct apply *a, const char *path, bool below, int depth)
{
	AUTO_FREE char *way = xstrdup(path);
	AUTO_STRV struct strv names = { 0 };
	char *slash = strrchr(way, '/');
	AUTO_FD int dir = -1;
	struct stat st;
	int r;

	if (depth > TAR_NAME_MAX / 2)
		return -ELOOP;
	if (slash)
		*slash = 0;
	if (!below && !seen_has(&a->seen, path)) {
		dir = dir_lookup(a, slash ? way : "");
		r = dir < 0 ? dir : dir_remove(dir, slash ? slash + 1 : path);
		return r == -ENOENT ? 0 : r;
	}
	dir = open_in_root(a->root, *path ? path : ".", O_RDONLY | O_DIRECTORY | O_NOFOLLOW, 0);
	if (dir < 0 || fstat(dir, &st) < 0) /* no directory: then it is a file that this archive brought */
		return 0;
	r = dir_list(dir, ".", &names);
	for (size_t i = 0; r == 0 && i < names.n; i++) {
		AUTO_FREE char *sub = *path ? path_join(path, names.v[i]) : xstrdup(names.v[i]);

		r = delete_lower(a, sub, false, depth + 1);
	}
	return r;
}

static int whiteout_whole(struct apply *a, const char *path, bool below)
{
	forget_dirs(a); /* directories that we know may go */
	return delete_lower(a, path, below, 0);
}

/* 1 = it was one */
static int take_whiteout(struct apply *a, char *path, struct err *e)
{
	const char *slash = strrchr(path, '/');
	const char *name = str_after(slash ? slash + 1 : path, WHITEOUT);
	const char *base;
	struct stat st;
	int dir;

	if (!name)
		return 0;
	if (streq(name, ".wh..opq")) {
		AUTO_FREE char *way = xstrndup(path, slash ? (size_t)(slash - path) : 0);

		if (a->budget.whole_tree) {
			int r = whiteout_whole(a, way, true);

			return r < 0 ? r : 1;
		}
		dir = dir_of(a, way);
		if (dir < 0)
			return dir;
		if (*way) /* the root of a merged tree has nothing to hide: overlay does not look at its mark */
			make_opaque(a, way);
		return 1;
	}
	if (str_after(name, WHITEOUT))
		return 1; /* aufs' own bookkeeping */
	if (!*name || streq(name, ".") || streq(name, ".."))
		return apply_refuse(path, "whiteout of no name", e);
	if (a->budget.whole_tree) {
		AUTO_FREE char *way = xstrndup(path, slash ? (size_t)(slash - path) + 1 : 0);
		AUTO_FREE char *full = xasprintf("%s%s", way, name);
		int r = whiteout_whole(a, full, false);

		return r < 0 ? r : 1;
	}
	dir = parent_of(a, path, &base);
	if (dir < 0)
		return dir;
	base += strlen(WHITEOUT);
	if (mknodat(dir, base, S_IFCHR, 0) == 0)
		return 1;
	if (errno != EEXIST)
		return -errno;
	/* What this layer brings itself stays (OCI: whiteouts are about lower layers); a directory hides the old one's entries. */
	if (fstatat(dir, base, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISDIR(st.st_mode)) {
		AUTO_FREE char *way = xstrndup(path, slash ? (size_t)(slash - path) + 1 : 0);
		AUTO_FREE char *full = xasprintf("%s%s", way, base);

		make_opaque(a, full);
	}
	return 1;
}

static int live_error(int r, const char *path, struct err *e)
{
	AUTO_FREE char *why = xstrdup(strerror(-r));

	if (*why >= 'A' && *why <= 'Z')
		*why = (char)(*why + 'a' - 'A');
	err_set(e, r == -ENOENT ? ERR_NOT_FOUND : ERR_SYSTEM, "openat %.500s: %s", path, why);
	if (e)
		e->sys = r;
	return r;
}

static int apply_entry(struct apply *a, const struct tar_entry *t, struct err *e)
{
	AUTO_FREE char *path = NULL;
	struct err mine = ERR_INIT;
	struct tar_entry owned = *t;
	int r = apply_clean_name(t->name, &path, a->budget.plain ? NULL : e);

	if (r < 0 && a->budget.plain)
		return err_set(e, ERR_SYSTEM, "invalid entry name \"%.500s\"", t->name);
	if (r < 0)
		return r;
	rename_first(&a->budget, &path);
	if (a->budget.owned) {
		owned.uid = a->budget.uid;
		owned.gid = a->budget.gid;
		t = &owned;
	}
	if (++a->res->entries > a->budget.entries)
		return err_set(e, ERR_INVALID, "archive has more than %llu entries",
			       (unsigned long long)a->budget.entries);
	r = a->budget.plain ? 0 : take_whiteout(a, path, &mine);
	if (r == 0) {
		if (a->budget.whole_tree)
			seen_add(&a->seen, path);
		r = put(a, t, path, &mine);
	}
	if (r >= 0)
		return 0;
	if (mine.kind) {
		if (e)
			*e = mine;
		return r;
	}
	if (a->budget.plain)
		return live_error(r, path, e);
	/* Names that are too long or lead through a file are the archive's fault, not the machine's. */
	if (r == -ENAMETOOLONG || r == -ENOTDIR || r == -ELOOP || r == -EEXIST || r == -EXDEV || r == -EINVAL)
		return err_set(e, ERR_INVALID, "cannot unpack %.200s: %s", t->name, strerror(-r));
	return err_sys(e, r, "unpacking %.200s", t->name);
}

static int finish_dirs(struct apply *a, struct err *e)
{
	for (size_t i = 0; i < a->late.n; i++) {
		const struct late_dir *l = &a->late.v[i];
		AUTO_FD int fd = open_in_root(a->root, *l->path ? l->path : ".", O_RDONLY | O_DIRECTORY | O_NOFOLLOW,
					      0);
		struct timespec times[2] = { l->mtime, l->mtime };
		int r = 0;

		if (fd == -ENOENT || fd == -ENOTDIR || fd == -ELOOP)
			continue; /* replaced by something else later in the archive */
		if (fd < 0)
			return err_sys(e, fd, "opening %.200s", l->path);
		if (!a->budget.as_me && (l->uid || l->gid || a->budget.plain) && fchown(fd, l->uid, l->gid) < 0)
			r = -errno;
		if (r == 0 && fchmod(fd, l->mode) < 0)
			r = -errno;
		if (r == 0 &&
		    a->budget
			    .whole_tree) /* a copy of a lower layer's directory, perhaps: its attributes are not ours */
			r = drop_xattrs(fd);
		if (r == 0)
			r = apply_xattrs(fd, l->xattrs, l->n_xattrs);
		if (r == 0 && futimens(fd, times) < 0)
			r = -errno;
		if (r < 0)
			return err_sys(e, r, "setting attributes of %.200s", l->path);
	}
	return 0;
}

/* Only what is a directory in the end, each once. */
static void finish_opaque(struct apply *a)
{
	struct strv kept = { 0 };

	strv_sort(&a->res->opaque);
	for (size_t i = 0; i < a->res->opaque.n; i++) {
		const char *path = a->res->opaque.v[i];
		AUTO_FD int fd = open_in_root(a->root, path, O_PATH | O_DIRECTORY, 0);

		if (fd >= 0 && !(i && streq(path, a->res->opaque.v[i - 1])))
			strv_add(&kept, path);
	}
	strv_done(&a->res->opaque);
	a->res->opaque = kept;
}

static int run(struct apply *a, struct err *e)
{
	const struct tar_entry *t = NULL;
	int r;

	while ((r = tar_next(a->tar, &t, e)) > 0) {
		r = apply_entry(a, t, e);
		if (r < 0)
			return r;
	}
	if (r == 0)
		r = finish_dirs(a, e);
	if (r == 0)
		finish_opaque(a);
	return r;
}

static void tap(void *ctx, const void *p, size_t n)
{
	recipe_raw(ctx, p, n);
}

int archive_apply_recipe(struct source *src, int root, const struct apply_budget *b, struct recipe *recipe,
			 struct apply_result *ret, struct err *e)
{
	struct apply_result res = { 0 };
	struct apply a = { .root = root, .budget = *b, .res = &res, .recipe = recipe };
	int r;

	for (size_t i = 0; i < DIRS_CACHED; i++)
		a.known[i].fd = -1;
	a.tar = tar_new(src);
	if (recipe)
		tar_tap(a.tar, tap, recipe);
	r = run(&a, e);
	if (r == 0 && recipe)
		r = tar_drain(a.tar, e);
	tar_free(a.tar);
	forget_dirs(&a);
	late_dirs_done(&a.late);
	free(a.seen.v);
	if (r < 0) {
		apply_result_done(&res);
		return r;
	}
	*ret = res;
	return 0;
}

int archive_apply(struct source *src, int root, const struct apply_budget *b, struct apply_result *ret, struct err *e)
{
	return archive_apply_recipe(src, root, b, NULL, ret, e);
}
