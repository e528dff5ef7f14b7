/* pack.c - hoy-worker pack: a layer's directory and its recipe -> the tar that it was unpacked from. */
#include "worker/worker.h"
#include "archive/recipe.h"
#include "store/worker_call.h"

struct out {
	int fd;
	int64_t n;
};

static int write_out(void *ctx, const void *p, size_t n)
{
	struct out *o = ctx;

	o->n += (int64_t)n;
	return fd_write_all(o->fd, p, n);
}

int verb_pack(struct job *j, struct err *e)
{
	struct msg_reader rd = msg_reader(j->req->body, j->req->n);
	const char *diff_id = msg_get_str(&rd);
	uint32_t comp = msg_get_u32(&rd);
	struct out out = { .fd = msg_take_fd(j->req, 2) };
	int r;

	if (rd.bad || !diff_id || out.fd < 0 || comp != WORKER_COMP_NONE)
		return err_set(e, ERR_INVALID, "hoy-worker pack: wrong request");
	r = recipe_play(j->input, j->target, diff_id, &(struct recipe_sink){ .write = write_out, .ctx = &out }, e);
	if (r < 0)
		return r;
	msg_put_str(&j->body, diff_id);
	msg_put_i64(&j->body, out.n);
	return 0;
}
