/* worker.c - the frame of every verb: read the request, lock ourselves in, work, answer. */
#include "worker/worker.h"
#include "base/kernel.h"
#include "registry/registry.h"
#include "store/worker_call.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>

static const struct verb verbs[] = {
	{ "unpack", WORKER_UNPACK, WORKER_UNPACKED, verb_unpack },
	{ "pack", WORKER_PACK, WORKER_PACKED, verb_pack },
	{ "tree", WORKER_TREE, WORKER_PACKED, verb_tree, tree_prepare },
	{ "load", WORKER_SPOOL, WORKER_SPOOLED, verb_spool },
	{ "verify", WORKER_VERIFY, WORKER_VERIFIED, verb_verify },
	{ "copy", WORKER_COPY, WORKER_COPIED, verb_copy },
	{ "stat", WORKER_STAT, WORKER_STATED, verb_stat, view_prepare },
	{ "get", WORKER_GET, WORKER_PACKED, verb_get, view_prepare },
	{ "put", WORKER_PUT, WORKER_PUT_DONE, verb_put, view_prepare },
	{ "changes", WORKER_CHANGES, WORKER_CHANGED, verb_changes, view_prepare },
};

enum { /* linux/capability.h */
       CAP_CHOWN_BIT = 0,
       CAP_DAC_OVERRIDE_BIT = 1,
       CAP_FOWNER_BIT = 3,
       CAP_FSETID_BIT = 4,
       CAP_MKNOD_BIT = 27,
       CAP_SETFCAP_BIT = 31,
};
#define BIT(n) ((uint64_t)1 << (n))
#define KEEP_CAPS \
	(BIT(CAP_CHOWN_BIT) | BIT(CAP_DAC_OVERRIDE_BIT) | BIT(CAP_FOWNER_BIT) | BIT(CAP_FSETID_BIT) | \
	 BIT(CAP_MKNOD_BIT) | BIT(CAP_SETFCAP_BIT))

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define MEMORY_MAX 0 /* sanitizers map terabytes */
#else
#define MEMORY_MAX ((int64_t)2 << 30)
#endif

int job_list(struct job *j, const struct strb *text, struct err *e)
{
	if (text->len > WORKER_LIST_MAX)
		return err_set(e, ERR_INVALID, "archive has too many entries to report");
	j->list = memfd_of("list", strb_str(text), text->len);
	return j->list < 0 ? err_sys(e, j->list, "making the answer") : 0;
}

int job_lists(struct job *j, struct strv *opaque, struct strv *ignore, struct err *e)
{
	AUTO_FD int fd = msg_take_fd(j->req, 2);
	AUTO_FREE char *text = NULL;
	struct strv *to = opaque;
	size_t n = 0;
	int r = fd < 0 ? 0 : fd_read_all(fd, WORKER_LIST_MAX, &text, &n);

	if (r < 0)
		return err_sys(e, r, "reading the request");
	for (const char *p = text; p && p < text + n; p += strlen(p) + 1) {
		if (*p)
			strv_add(to, p);
		else
			to = ignore;
	}
	strv_sort(opaque);
	strv_sort(ignore);
	return 0;
}

int job_write(void *out, const void *p, size_t n)
{
	struct job_out *o = out;

	o->n += (int64_t)n;
	return fd_write_all(o->fd, p, n);
}

void job_progress(int64_t done)
{
	AUTO_STRB struct strb body = STRB_INIT;

	msg_put_i64(&body, done);
	(void)msg_send(WORKER_SOCKET, WORKER_PROGRESS, 0, strb_str(&body), body.len, NULL, 0);
}

static int lock_in(struct job *j, struct err *e)
{
	int r = sandbox_enter(
		&(struct sandbox){ .flags = SANDBOX_NO_NETWORK | SANDBOX_ROOT | SANDBOX_SECCOMP | j->root_flags,
				   .root_fd = j->target,
				   .keep_caps = KEEP_CAPS,
				   .max_memory = MEMORY_MAX },
		e);

	if (r < 0)
		return r;
	fd_closep(&j->target); /* it belongs to the mount namespace we left */
	j->target = dir_open(AT_FDCWD, "/");
	return j->target < 0 ? err_sys(e, j->target, "opening the target") : 0;
}

static const struct verb *verb_find(const char *name)
{
	for (size_t i = 0; i < ARRAY_LEN(verbs); i++)
		if (streq(verbs[i].name, name))
			return &verbs[i];
	return NULL;
}

static int run(const struct verb *v, struct job *j, struct err *e)
{
	int r;

	if (j->req->type != v->request || j->req->n_fds < 2)
		return err_set(e, ERR_INVALID, "hoy-worker %s: wrong request", v->name);
	j->input = msg_take_fd(j->req, 0);
	j->target = msg_take_fd(j->req, 1);
	r = hash_prepare();
	if (r < 0)
		return err_sys(e, r, "loading SHA-256");
	r = v->prepare ? v->prepare(j, e) : 0;
	if (r == 0)
		r = lock_in(j, e);
	return r < 0 ? r : v->run(j, e);
}

static int answer(const struct verb *v, const struct job *j, int r, const struct err *e)
{
	AUTO_STRB struct strb body = STRB_INIT;

	if (r >= 0)
		return msg_send(WORKER_SOCKET, v->answer, j->req->seq, strb_str(&j->body), j->body.len, &j->list,
				j->list >= 0);
	msg_put_u32(&body, e->kind);
	msg_put_u32(&body, e->sys < 0 ? (uint32_t)-e->sys : 0);
	msg_put_str(&body, e->msg);
	return msg_send(WORKER_SOCKET, WORKER_ERROR, j->req->seq, strb_str(&body), body.len, NULL, 0);
}

int worker_main(int argc, char **argv)
{
	const struct verb *v = argc == 2 ? verb_find(argv[1]) : NULL;
	struct err e = ERR_INIT;
	struct msg req = { 0 };
	struct job j = { .req = &req, .input = -1, .target = -1, .list = -1 };
	bool registry = argc == 2 && streq(argv[1], "registry"); /* a session, not one job */
	int r;

	if ((!v && !registry) || fcntl(WORKER_SOCKET, F_GETFD) < 0) {
		(void)fprintf(stderr, "hoy-worker is started by hoyd and is of no use by itself.\n");
		return 2;
	}
	if (getenv("HOY_PDEATH"))
		(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
	(void)signal(SIGPIPE, SIG_IGN);
	(void)fcntl(WORKER_SOCKET, F_SETFD, FD_CLOEXEC);
	(void)umask(0);
	if (registry)
		return registry_main(WORKER_SOCKET);
	r = msg_recv(WORKER_SOCKET, &req);
	if (r <= 0)
		return 3; /* hoyd is gone */
	r = run(v, &j, &e);
	/* No clean-up behind this line: a thread may be waiting for input that never comes. */
	_exit(answer(v, &j, r, &e) < 0 ? 3 : r < 0);
}
