/* files.c - hoy-worker stat, get, put: what `docker cp` does in a container. The container's root is all that is left of the file system;
 * whoever runs in it may rename and swap what it likes meanwhile: everything is done below descriptors, and no link leads out. */
#include "act/act.h"
#include "act/plan_format.h"
#include "archive/tree.h"
#include "base/kernel.h"
#include "store/worker_call.h"
#include "worker/worker.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/stat.h>

#define IDS_FILE_MAX (4 << 20)

/* As Go says it: "lstat /a/b: not a directory" */
static int go_error(int r, const char *what, const char *path, struct err *e)
{
	AUTO_FREE char *why = xstrdup(strerror(-r));

	if (*why >= 'A' && *why <= 'Z')
		*why = (char)(*why + 'a' - 'A');
	err_set(e, r == -ENOENT ? ERR_NOT_FOUND : ERR_SYSTEM, "%s%s%.3500s%s%s", what, *what ? " " : "",
		*what ? path : "", *what ? ": " : "", why);
	if (e)
		e->sys = r;
	return r;
}

/* "a/../b/" -> "/b/", "x/." -> "/x/.": cleaned, but what says that a directory is meant stays. */
static char *absolute(const char *path)
{
	AUTO_FREE char *whole = xasprintf("/%s", path);
	AUTO_FREE char *clean = path_clean(whole);
	bool dot = streq(path, ".") || str_ends(path, "/.");
	bool slash = str_ends(path, "/");

	return xasprintf("%s%s", clean, dot ? clean[1] ? "/." : "." : slash && clean[1] ? "/" : "");
}

static const char *base_of(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash ? slash + 1 : path;
}

/* Tells what path is; *ret_st too. */
static int describe(struct job *j, const char *path, struct stat *ret_st, struct strb *body, struct err *e)
{
	AUTO_FD int fd = open_in_root(j->target, path, O_PATH | O_NOFOLLOW, 0);
	AUTO_FREE char *target = NULL;
	int r;

	if (fd < 0 || fstat(fd, ret_st) < 0)
		return go_error(fd < 0 ? fd : -errno, "lstat", path, e);
	if (S_ISLNK(ret_st->st_mode)) {
		r = archive_where(j->target, path, &target);
		if (r == -ELOOP)
			return err_set(e, ERR_SYSTEM, "evalSymlinksInScope: too many links in %.3500s", path);
		if (r < 0)
			return go_error(r, "readlink", path, e);
	}
	msg_put_u32(body, ret_st->st_mode);
	msg_put_i64(body, ret_st->st_size);
	msg_put_i64(body, (int64_t)ret_st->st_mtim.tv_sec * 1000000000 + ret_st->st_mtim.tv_nsec);
	msg_put_str(body, target ? target : "");
	return 0;
}

static int path_of_request(struct job *j, struct msg_reader *ret_rest, char **ret, struct err *e)
{
	struct view v = { 0 };
	const char *path;

	*ret_rest = view_read(j, &v);
	path = msg_get_str(ret_rest);
	if (ret_rest->bad || str_empty(path))
		return err_set(e, ERR_INVALID, "hoy-worker: wrong request");
	*ret = absolute(path);
	return 0;
}

int verb_stat(struct job *j, struct err *e)
{
	AUTO_FREE char *path = NULL;
	struct msg_reader rest;
	struct stat st;
	int r = path_of_request(j, &rest, &path, e);

	return r < 0 ? r : describe(j, path, &st, &j->body, e);
}

/* ---- get ---- */
static int give_dir(struct job *j, const char *path, struct tree_opts *o, struct err *e)
{
	AUTO_FD int fd = open_in_root(j->target, path, O_RDONLY | O_DIRECTORY, 0);

	return fd < 0 ? go_error(fd, "open", path, e) : archive_tree(fd, o, e);
}

static int give_one(struct job *j, const char *path, struct tree_opts *o, struct err *e)
{
	AUTO_FREE char *way = xstrndup(path, (size_t)(base_of(path) - path));
	AUTO_FD int dir = open_in_root(j->target, way, O_RDONLY | O_DIRECTORY, 0);

	return dir < 0 ? go_error(dir, "open", path, e) : archive_one(dir, base_of(path), o, e);
}

int verb_get(struct job *j, struct err *e)
{
	AUTO_STRB struct strb stated = STRB_INIT;
	struct job_out out = { .fd = j->input };
	struct tree_opts o = { .base = -1, .write = job_write, .ctx = &out };
	AUTO_FREE char *path = NULL, *name = NULL;
	struct msg_reader rest;
	struct stat st;
	size_t n;
	int r = path_of_request(j, &rest, &path, e);

	if (r == 0)
		r = describe(j, path, &st, &stated, e);
	if (r == 0)
		r = msg_send(WORKER_SOCKET, WORKER_STATED, 0, stated.s, stated.len, NULL, 0);
	if (r < 0)
		return r;
	name = xstrdup(path);
	n = strlen(name);
	if (n > 1 && name[n - 1] == '/')
		name[n - 1] = 0;
	o.name = base_of(name); /* "" of the root, "." where it was said so */
	r = S_ISDIR(st.st_mode) ? give_dir(j, path, &o, e) : give_one(j, name, &o, e);
	if (r < 0)
		return r;
	msg_put_str(&j->body, NULL);
	msg_put_i64(&j->body, out.n);
	return 0;
}

/* ---- put ---- */
/* The destination must be a directory, and one that may be written to. */
static int find_place(struct job *j, const char *path, uint32_t flags, struct err *e)
{
	CLEANUP(view_mounts_done) struct view_mounts m = { 0 };
	AUTO_FD int fd = open_in_root(j->target, path, O_RDONLY | O_DIRECTORY, 0), any = -1;
	bool readonly = flags & WORKER_PUT_ROOT_READONLY, slash = str_ends(path, "/") || str_ends(path, "/.");
	AUTO_FREE char *real = NULL;
	size_t longest = 0;
	int r;

	if (fd == -ELOOP)
		return err_set(e, ERR_SYSTEM, "EvalSymlinks: too many links");
	if (fd == -ENOTDIR) {
		any = open_in_root(j->target, path, O_PATH, 0);
		if (any >= 0)
			return err_set(e, ERR_INVALID, "extraction point is not a directory");
		return go_error(any, slash ? "lstat" : "", path, e);
	}
	if (fd < 0)
		return go_error(fd, "lstat", path, e);
	r = archive_where(j->target, path, &real);
	if (r == 0)
		r = view_mounts_read(j, &m, e);
	for (size_t i = 0; r == 0 && i < m.n; i++) {
		const char *rest = str_after(real, m.v[i].destination);
		size_t n = strlen(m.v[i].destination);

		if (!rest || (*rest && *rest != '/') || n < longest || strchr(m.v[i].flags, 't'))
			continue;
		longest = n;
		readonly = strchr(m.v[i].flags, 'r');
	}
	if (r == 0 && readonly)
		r = err_set(e, ERR_INVALID,
			    longest ? "mounted volume is marked read-only" : "container rootfs is marked read-only");
	return r < 0 ? r : TAKE_FD(fd);
}

static int read_ids(struct job *j, const char *path, char **ret, size_t *ret_n)
{
	AUTO_FD int fd = open_in_root(j->target, path, O_RDONLY | O_NONBLOCK, 0);
	struct stat st;

	if (fd < 0 || fstat(fd, &st) < 0 || !S_ISREG(st.st_mode))
		return 0; /* no such file: names are not found, numbers are */
	return fd_read_all(fd, IDS_FILE_MAX, ret, ret_n);
}

/* "name:group" as the container's own files say. */
static int find_owner(struct job *j, const char *user, uint32_t *uid, uint32_t *gid, struct err *e)
{
	AUTO_FREE char *passwd = NULL, *group = NULL, *name = xstrndup(user, strcspn(user, ":"));
	struct plan_process p = { .user = user };
	struct act_identity id = { 0 };
	struct err why = ERR_INIT;
	size_t n_passwd = 0, n_group = 0;
	int r = read_ids(j, "/etc/passwd", &passwd, &n_passwd);

	if (r == 0)
		r = read_ids(j, "/etc/group", &group, &n_group);
	if (r < 0)
		return err_sys(e, r, "reading the container's passwd and group files");
	r = act_identity_parse(passwd ? passwd : "", n_passwd, group ? group : "", n_group, &p, &id, &why);
	if (r < 0 && strstr(why.msg, "group file"))
		return err_set(e, ERR_INVALID,
			       "failed to look up group \"%s\" in container: no matching entries in group file",
			       strchr(user, ':') ? strchr(user, ':') + 1 : "");
	if (r < 0 && strstr(why.msg, "passwd file"))
		return err_set(e, ERR_INVALID,
			       "failed to look up user \"%s\" in container: no matching entries in passwd file", name);
	if (r < 0)
		return err_set(e, ERR_INVALID, "%s", why.msg);
	*uid = id.uid;
	*gid = id.gid;
	act_identity_done(&id);
	return 0;
}

static bool nothing(int fd)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };
	int n = 0;

	while (poll(&p, 1, -1) < 0 && errno == EINTR)
		;
	return !(p.revents & POLLIN) || (ioctl(fd, FIONREAD, &n) == 0 && n == 0);
}

static int extract(struct job *j, int place, const struct apply_budget *b, struct err *e)
{
	struct decomp *d = decomp_new(decomp_input_fd(&j->input), &decomp_budget_default);
	struct pipe_source *p = NULL;
	struct apply_result res = { 0 };
	int r;

	decomp_unhashed(d);
	if (nothing(j->input)) /* an archive of no entries to Go */
		return 0;
	r = pipe_source_new(d, &p, e);
	if (r < 0)
		return r;
	pipe_source_unhashed(p);
	r = archive_apply(pipe_source_src(p), place, b, &res, e);
	if (r == 0 && !pipe_source_digest(p, e)) /* reads what stands behind the archive */
		r = -EINVAL;
	if (r < 0 && e && e->kind == ERR_INVALID) { /* 500, as dockerd */
		const char *eof = str_after(e->msg, "archive/tar: unexpected EOF");

		e->kind = ERR_SYSTEM;
		if (eof)
			(void)snprintf(e->msg, sizeof e->msg, "unexpected EOF");
	}
	return r;
}

int verb_put(struct job *j, struct err *e)
{
	struct apply_budget b = apply_budget_default;
	AUTO_FREE char *path = NULL, *shown = NULL;
	AUTO_FD int place = -1;
	struct msg_reader rest;
	const char *user;
	uint32_t flags;
	int r = path_of_request(j, &rest, &path, e);

	if (r < 0)
		return r;
	flags = msg_get_u32(&rest);
	user = msg_get_str(&rest);
	if (rest.bad)
		return err_set(e, ERR_INVALID, "hoy-worker put: wrong request");
	place = find_place(j, path, flags, e);
	if (place < 0)
		return place;
	r = archive_where(j->target, path, &shown);
	if (r == 0 && flags & WORKER_PUT_OWNER) {
		b.owned = true;
		r = find_owner(j, user ? user : "", &b.uid, &b.gid, e);
	}
	b.plain = true;
	b.no_overwrite = flags & WORKER_PUT_NO_OVERWRITE;
	b.where = shown;
	return r < 0 ? r : extract(j, place, &b, e);
}
