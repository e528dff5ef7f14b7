/* cmd_cp.c - files between a container and here. The rules of names are docker cp's: onto a directory means into it, "/." means what is in
 * it, and what is not there yet gives the copy its name. */
#include "archive/tree.h"
#include "cli/command.h"
#include "cli/human.h"
#include "cli/session.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>

struct place {
	char *container; /* NULL: here */
	char *path;
	bool there, dir;
};

static void place_done(struct place *p)
{
	free(p->container);
	free(p->path);
}

static bool means_directory(const char *path)
{
	return streq(path, ".") || str_ends(path, "/") || str_ends(path, "/.");
}

/* What a name stands in, and what it is there; "." where what is in it is meant. */
static char *dir_of(const char *path)
{
	AUTO_FREE char *clean = path_clean(path);
	char *slash = strrchr(clean, '/');

	return !slash ? xstrdup(".") : slash == clean ? xstrdup("/") : xstrndup(clean, (size_t)(slash - clean));
}

static char *base_of(const char *path, bool contents)
{
	AUTO_FREE char *clean = path_clean(path);
	const char *slash = strrchr(clean, '/');

	return contents && (streq(path, ".") || str_ends(path, "/.")) ? xstrdup(".")
								      : xstrdup(slash ? slash + 1 : clean);
}

/* "name:path"; a path that begins with "/" or "." is one of ours, whatever colons are in it. */
static void parse(const char *arg, struct place *ret)
{
	const char *colon = strchr(arg, ':');

	if (*arg == '/' || *arg == '.' || !colon || colon == arg) {
		ret->path = xstrdup(arg);
		return;
	}
	ret->container = xstrndup(arg, (size_t)(colon - arg));
	ret->path = xstrdup(colon + 1);
}

static char *archive_path(const struct place *p)
{
	AUTO_FREE char *name = url_escape(p->container);
	struct strb b = STRB_INIT;

	strb_addf(&b, "/containers/%s/archive", name);
	query_add(&b, "path", p->path);
	return strb_take(&b);
}

static int read_stat(const struct answer *a, struct jval **ret, struct err *e)
{
	const char *text = answer_header(a, "X-Docker-Container-Path-Stat");
	AUTO_STRB struct strb json = STRB_INIT;

	if (!text || base64_decode(text, strlen(text), &json) < 0)
		return err_set(e, ERR_SYSTEM, "the server does not say what the path is");
	return jval_parse(strb_str(&json), json.len, &json_limits_default, ret, e);
}

#define GO_DIR ((int64_t)1 << 31)
#define GO_LINK ((int64_t)1 << 27)
/* Follows a link at the end, once: its target is resolved by the server already. */
static int look(struct cli *c, struct place *p, bool follow, struct err *e)
{
	for (int i = 0; i < 2; i++) {
		AUTO_FREE char *path = archive_path(p);
		struct answer *a = NULL;
		struct jval *st = NULL;
		const char *target;
		int64_t mode;
		int r = client_start(c->client, &(struct client_call){ .method = "HEAD", .path = path }, &a, e);

		if (r == 0)
			r = read_stat(a, &st, e);
		answer_free(a);
		if (r < 0)
			return r;
		mode = jval_int(jval_get(st, "mode"));
		target = jval_str(jval_get(st, "linkTarget"));
		p->there = true;
		p->dir = mode & GO_DIR;
		if (!follow || !(mode & GO_LINK) || !*target) {
			jval_free(st);
			return 0;
		}
		free(p->path);
		p->path = xstrdup(target);
		p->there = false;
		jval_free(st);
	}
	return 0;
}

/* Where the copy goes (a directory), and what it is called there. */
static int name_copy(const struct place *from, const struct place *to, const char *called, char **ret_dir,
		     char **ret_name, struct err *e)
{
	if (to->there && to->dir) {
		*ret_dir = xstrdup(to->path);
		*ret_name = xstrdup(called);
		return 0;
	}
	if (to->there && from->dir)
		return err_set(e, ERR_INVALID, "cannot copy directory");
	if (!to->there && !from->dir && means_directory(to->path))
		return err_set(e, ERR_INVALID, "no such directory");
	*ret_dir = dir_of(to->path);
	*ret_name = base_of(to->path, false);
	return 0;
}

static void say_done(struct cli *c, int64_t bytes, const char *to)
{
	AUTO_FREE char *size = human_size((double)bytes, 3);

	if (!opt_bool(c->o, "quiet") && isatty(STDERR_FILENO))
		(void)fprintf(stderr, "Successfully copied %s to %s\n", size, to);
}

/* ---- from a container ---- */
struct download {
	struct answer *a;
	int64_t n;
};

static ssize_t read_download(void *ctx, void *p, size_t n)
{
	struct download *d = ctx;
	ssize_t k = answer_read(d->a, p, n);

	d->n += k > 0 ? k : 0;
	return k;
}

static int to_stdout(struct download *d, struct err *e)
{
	char buf[65536];
	ssize_t n;

	while ((n = read_download(d, buf, sizeof buf)) > 0)
		if (fd_write_full(STDOUT_FILENO, buf, (size_t)n) < 0)
			return err_sys(e, -errno, "writing the archive");
	return n < 0 ? err_set(e, ERR_SYSTEM, "unexpected EOF") : 0;
}

struct download_source {
	struct source src;
	struct download *d;
	uint8_t buf[65536];
};

static int next(struct source *s, const uint8_t **ret, size_t *ret_n, struct err *e)
{
	struct download_source *d = (struct download_source *)s;
	ssize_t n = read_download(d->d, d->buf, sizeof d->buf);

	*ret = d->buf;
	*ret_n = n > 0 ? (size_t)n : 0;
	return n < 0 ? err_set(e, ERR_SYSTEM, "unexpected EOF") : 0;
}

static int unpack(struct cli *c, struct download *d, const char *dir, const char *from, const char *to, struct err *e)
{
	struct download_source src = { .src = { .next = next }, .d = d };
	AUTO_FD int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	struct apply_budget b = apply_budget_default;
	struct apply_result res = { 0 };
	int r;

	if (fd < 0)
		return err_set(e, ERR_INVALID, "invalid output path: directory \"%s\" does not exist", dir);
	b.plain = b.no_overwrite = true;
	b.as_me = !opt_bool(c->o, "archive");
	b.from = from;
	b.to = to;
	b.where = dir;
	r = archive_apply(&src.src, fd, &b, &res, e);
	apply_result_done(&res);
	return r;
}

static int copy_out(struct cli *c, struct place *from, struct place *to, struct err *e)
{
	AUTO_FREE char *called = base_of(from->path, true), *path = NULL, *dir = NULL, *name = NULL, *inside = NULL;
	struct download d = { 0 };
	struct jval *st = NULL;
	struct stat here;
	int r = opt_bool(c->o, "follow-link") ? look(c, from, true, e) : 0;

	if (r < 0)
		return r;
	path = archive_path(from);
	r = client_start(c->client, &(struct client_call){ .path = path }, &d.a, e);
	if (r == 0)
		r = read_stat(d.a, &st, e);
	if (r == 0) {
		from->dir = jval_int(jval_get(st, "mode")) & GO_DIR;
		to->there = stat(to->path, &here) == 0;
		to->dir = to->there && S_ISDIR(here.st_mode);
		inside = base_of(from->path, true);
		r = streq(to->path, "-") ? to_stdout(&d, e) : name_copy(from, to, called, &dir, &name, e);
	}
	if (r == 0 && dir)
		r = unpack(c, &d, dir, *inside ? inside : ".", name, e);
	if (r == 0 && dir)
		say_done(c, d.n, to->path);
	jval_free(st);
	answer_free(d.a);
	return r;
}

/* ---- to a container ---- */
struct upload {
	int fd;
	int64_t *n;
};

static int write_upload(void *ctx, const void *p, size_t n)
{
	struct upload *u = ctx;

	*u->n += (int64_t)n;
	return fd_write_full(u->fd, p, n);
}

static int pack_local(const struct place *from, const char *name, struct upload *u, struct err *e)
{
	struct tree_opts o = { .base = -1, .name = name, .write = write_upload, .ctx = u };
	AUTO_FREE char *dir = dir_of(from->path), *base = base_of(from->path, false);
	AUTO_FD int fd = open(from->dir ? from->path : dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (fd < 0)
		return err_sys(e, -errno, "open %s", from->path);
	return from->dir ? archive_tree(fd, &o, e) : archive_one(fd, base, &o, e);
}

/* The archive is made by a child, so that it can be sent while it grows. */
static int start_packing(const struct place *from, const char *name, int64_t *n, int *ret_fd, pid_t *ret, struct err *e)
{
	int ends[2];
	pid_t pid;

	if (pipe2(ends, O_CLOEXEC) < 0 || (pid = fork()) < 0)
		return err_sys(e, -errno, "making an archive");
	if (pid == 0) {
		struct upload u = { .fd = ends[1], .n = n };
		struct err mine = ERR_INIT;

		(void)close(ends[0]);
		if (pack_local(from, name, &u, &mine) < 0) {
			(void)fprintf(stderr, "%s\n", mine.msg);
			_exit(1);
		}
		_exit(0);
	}
	(void)close(ends[1]);
	*ret_fd = ends[0];
	*ret = pid;
	return 0;
}

static int upload(struct cli *c, const struct place *to, const char *dir, int fd, struct err *e)
{
	struct place at = { .container = to->container, .path = (char *)(uintptr_t)dir };
	AUTO_FREE char *path = archive_path(&at);
	AUTO_STRB struct strb whole = STRB_INIT;
	struct answer *a = NULL;
	int r;

	strb_adds(&whole, path);
	query_add(&whole, "noOverwriteDirNonDir", "true");
	if (opt_bool(c->o, "archive"))
		query_add(&whole, "copyUIDGID", "true");
	r = client_start(c->client,
			 &(struct client_call){
				 .method = "PUT", .path = strb_str(&whole), .upload = fd, .type = "application/x-tar" },
			 &a, e);
	answer_free(a);
	return r;
}

static int look_here(struct place *p, bool follow, struct err *e)
{
	struct stat st;

	if ((follow || means_directory(p->path) ? stat(p->path, &st) : lstat(p->path, &st)) < 0)
		return err_set(e, ERR_INVALID, "lstat %s: %s", p->path,
			       errno == ENOENT ? "no such file or directory" : strerror(errno));
	if (follow && !S_ISDIR(st.st_mode)) {
		char *real = realpath(p->path, NULL);

		if (real) {
			free(p->path);
			p->path = real;
		}
	}
	p->there = true;
	p->dir = S_ISDIR(st.st_mode);
	return 0;
}

static int copy_in(struct cli *c, struct place *from, struct place *to, struct err *e)
{
	AUTO_FREE char *called = base_of(from->path, true), *dir = NULL, *name = NULL,
		       *shown = xasprintf("%s:%s", to->container, to->path);
	int64_t *n = mmap(NULL, sizeof *n, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	AUTO_FD int fd = -1;
	struct err none = ERR_INIT;
	int r = 0, status = 0;
	pid_t pid = 0;

	if (n == MAP_FAILED)
		return err_sys(e, -errno, "making an archive");
	(void)look(c, to, true, &none); /* what is wrong with it, the copy will say */
	if (streq(from->path, "-")) {
		fd = fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 3);
		return !to->dir ? err_set(e, ERR_INVALID, "destination \"%s:%s\" must be a directory", to->container,
					  to->path)
				: upload(c, to, to->path, fd, e);
	}
	r = look_here(from, opt_bool(c->o, "follow-link"), e);
	if (r == 0)
		r = name_copy(from, to, called, &dir, &name, e);
	if (r == 0)
		r = start_packing(from, name, n, &fd, &pid, e);
	if (r == 0)
		r = upload(c, to, dir, fd, e);
	fd_closep(&fd);
	if (pid > 0 && waitpid(pid, &status, 0) == pid && r == 0 && status != 0)
		r = err_set(e, ERR_SYSTEM, "the files could not all be read");
	if (r == 0)
		say_done(c, *n, shown);
	return r;
}

int cmd_cp(struct cli *c)
{
	CLEANUP(place_done) struct place from = { 0 }, to = { 0 };
	struct err e = ERR_INIT;
	int r;

	parse(c->words->v[0], &from);
	parse(c->words->v[1], &to);
	if (from.container && to.container)
		r = err_set(&e, ERR_INVALID, "copying between containers is not supported");
	else if (!from.container && !to.container)
		r = err_set(&e, ERR_INVALID, "must specify at least one container source");
	else if (!*from.path || !*to.path)
		r = err_set(&e, ERR_INVALID, "%s can not be empty", *from.path ? "destination" : "source");
	else
		r = cli_client(c, &e);
	if (r == 0)
		r = from.container ? copy_out(c, &from, &to, &e) : copy_in(c, &from, &to, &e);
	return r < 0 ? cli_report(&e) : 0;
}
