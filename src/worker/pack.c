/* pack.c - hoy-worker pack: a layer's directory and its recipe -> the tar that it was unpacked from, plain or compressed. */
#include "worker/worker.h"
#include "archive/recipe.h"
#include "store/worker_call.h"

struct out {
	int fd;
	struct gzip *gzip; /* NULL: as it is */
	struct hash *hash; /* of what is written, where that is not the tar */
	int64_t tar, n;
};

static void out_done(struct out *o)
{
	fd_closep(&o->fd);
	gzip_free(o->gzip);
	hash_free(o->hash);
}

static int write_compressed(void *ctx, const void *p, size_t n)
{
	struct out *o = ctx;

	hash_add(o->hash, p, n);
	o->n += (int64_t)n;
	return fd_write_all(o->fd, p, n);
}

static int write_tar(void *ctx, const void *p, size_t n)
{
	struct out *o = ctx;

	o->tar += (int64_t)n;
	return o->gzip ? gzip_add(o->gzip, p, n) : fd_write_all(o->fd, p, n);
}

int verb_pack(struct job *j, struct err *e)
{
	struct msg_reader rd = msg_reader(j->req->body, j->req->n);
	const char *diff_id = msg_get_str(&rd);
	uint32_t comp = msg_get_u32(&rd);
	CLEANUP(out_done) struct out out = { .fd = msg_take_fd(j->req, 2) };
	char digest[72];
	int r;

	if (rd.bad || !diff_id || out.fd < 0 || (comp != WORKER_COMP_NONE && comp != WORKER_COMP_GZIP))
		return err_set(e, ERR_INVALID, "hoy-worker pack: wrong request");
	if (comp == WORKER_COMP_GZIP) {
		out.hash = hash_new();
		out.gzip = gzip_new(write_compressed, &out);
	}
	r = recipe_play(j->input, j->target, diff_id, &(struct recipe_sink){ .write = write_tar, .ctx = &out }, e);
	if (r == 0 && out.gzip) {
		r = gzip_end(out.gzip);
		if (r < 0)
			r = err_sys(e, r, "writing the archive");
	}
	if (r < 0)
		return r;
	if (out.gzip)
		hash_text(out.hash, digest);
	msg_put_str(&j->body, out.gzip ? digest : diff_id);
	msg_put_i64(&j->body, out.gzip ? out.n : out.tar);
	return 0;
}
