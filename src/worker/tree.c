/* tree.c - hoy-worker tree: a container's files, or its changes -> an archive. */
#include "archive/tree.h"
#include "base/kernel.h"
#include "store/worker_call.h"
#include "worker/worker.h"

#include <fcntl.h>
#include <sched.h>
#include <sys/mount.h>

struct request {
	uint32_t kind;
	bool upper;
	const char *lower_dir, *options;
};

static int read_request(const struct job *j, struct request *ret, struct err *e)
{
	struct msg_reader rd = msg_reader(j->req->body, j->req->n);

	ret->kind = msg_get_u32(&rd);
	ret->upper = msg_get_u32(&rd);
	ret->lower_dir = msg_get_str(&rd);
	ret->options = msg_get_str(&rd);
	return rd.bad ? err_set(e, ERR_INVALID, "hoy-worker tree: wrong request") : 0;
}

/* Over lower_dir itself, in a mount namespace of our own: there is always that directory, and nobody sees it. */
static int mount_overlay(const struct request *q)
{
	if (unshare(CLONE_NEWNS) < 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
	    chdir(q->lower_dir) < 0 ||
	    mount("overlay", q->lower_dir, "overlay", MS_RDONLY | MS_NODEV | MS_NOSUID | MS_NOEXEC, q->options) < 0)
		return -errno;
	return dir_open(AT_FDCWD, q->lower_dir);
}

static int enter_namespace(int ns)
{
	if (setns(ns, CLONE_NEWNS) < 0)
		return -errno;
	return dir_open(AT_FDCWD, "/");
}

int tree_prepare(struct job *j, struct err *e)
{
	struct request q = { 0 };
	int r = read_request(j, &q, e), fd;

	if (r < 0 || q.kind == WORKER_TREE_DIR)
		return r;
	if (q.kind == WORKER_TREE_OVERLAY && (!q.lower_dir || !q.options))
		return err_set(e, ERR_INVALID, "hoy-worker tree: wrong request");
	fd = q.kind == WORKER_TREE_NS ? enter_namespace(j->target) : mount_overlay(&q);
	if (fd < 0)
		return err_sys(e, fd, "opening the container's root file system");
	fd_closep(&j->target);
	j->target = fd;
	return 0;
}

int verb_tree(struct job *j, struct err *e)
{
	AUTO_STRV struct strv opaque = { 0 }, ignore = { 0 };
	struct job_out out = { .fd = j->input };
	AUTO_FD int base = msg_take_fd(j->req, 3);
	struct request q = { 0 };
	int r = read_request(j, &q, e);

	if (r == 0)
		r = job_lists(j, &opaque, &ignore, e);
	if (r == 0)
		r = archive_tree(j->target,
				 &(struct tree_opts){ .upper = q.upper,
						      .opaque = &opaque,
						      .base = base,
						      .ignore = &ignore,
						      .write = job_write,
						      .ctx = &out },
				 e);
	if (r < 0)
		return r;
	msg_put_str(&j->body, NULL);
	msg_put_i64(&j->body, out.n);
	return 0;
}
