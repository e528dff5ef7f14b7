/* stage.c - a new read-only layer, first half: unpacked by a worker in tmp/, verified, marked. Second half: add.c. */
#include "store/priv.h"
#include "store/stage.h"
#include "store/worker_call.h"

#include <fcntl.h>
#include <sys/stat.h>

/* The worker cannot set trusted.* attributes: its list of directories comes back and is walked below the layer again. */
static int mark_opaque(struct store *s, int diff, int list, struct err *e)
{
	AUTO_FREE char *text = NULL;
	size_t n = 0;
	int r = list < 0 ? -EBADMSG : fd_read_all(list, WORKER_LIST_MAX, &text, &n);

	if (r < 0)
		return err_sys(e, r, "reading hoy-worker's answer");
	for (const char *p = text; p < text + n; p += strlen(p) + 1) {
		r = s->driver->opaque ? s->driver->opaque(s, diff, p) : -EBADMSG;
		if (r < 0)
			return err_sys(e, r, "marking %.200s opaque", p);
	}
	return 0;
}

static int take_digest(char to[DIGEST_TEXT], const char *from)
{
	if (!digest_valid(from))
		return -EBADMSG;
	memcpy(to, from, DIGEST_TEXT);
	return 0;
}

static int run_worker(struct store *s, const struct store_blob *blob, int diff, int recipe, struct msg *ret,
		      struct err *e)
{
	AUTO_WORKER struct worker w = WORKER_NONE;
	AUTO_STRB struct strb body = STRB_INIT;
	struct pump pump;
	int r = pump_open(&blob->src, &pump, e);

	if (r < 0)
		return r;
	pump.progress = blob->progress;
	pump.progress_ctx = blob->progress_ctx;
	msg_put_str(&body, blob->what);
	msg_put_u32(&body, s->driver->unpack);
	msg_put_u32(&body, blob->progress && pump.our_end < 0); /* a pump knows itself how far it is */
	r = worker_start(s->worker, "unpack", WORKER_UNPACK, &body, (int[]){ pump.worker_end, diff, recipe }, 3, &w, e);
	if (r == 0)
		r = pump_run(&pump, e);
	if (r < 0)
		worker_done(&w); /* before the socket closes: it would look like the end */
	pump_close(&pump);
	return r < 0 ? r : worker_answer_watched(&w, WORKER_UNPACKED, blob->progress, blob->progress_ctx, ret, e);
}

static int unpack(struct store *s, const struct store_blob *blob, int diff, struct store_stage *st, struct err *e)
{
	AUTO_FD int recipe = openat(st->dir, LAYER_RECIPE, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	AUTO_MSG struct msg m = { 0 };
	AUTO_FD int list = -1;
	struct msg_reader rd;
	const char *digest, *diff_id;
	int r = recipe < 0 ? err_sys(e, -errno, "making a layer's recipe") : run_worker(s, blob, diff, recipe, &m, e);

	if (r < 0)
		return r;
	rd = msg_reader(m.body, m.n);
	digest = msg_get_str(&rd);
	diff_id = msg_get_str(&rd);
	st->blob_size = msg_get_i64(&rd);
	st->tar_size = msg_get_i64(&rd);
	st->size = msg_get_i64(&rd);
	if (rd.bad || take_digest(st->digest, digest) < 0 || take_digest(st->diff_id, diff_id) < 0)
		return err_set(e, ERR_SYSTEM, "hoy-worker's answer is malformed");
	list = msg_take_fd(&m, 0);
	return mark_opaque(s, diff, list, e);
}

static int verify(const struct store_blob *blob, const struct store_stage *st, struct err *e)
{
	const char *what = blob->what ? blob->what : "layer";

	if (blob->digest && !streq(blob->digest, st->digest))
		return err_set(e, ERR_INVALID, "%s: content does not match its digest: expected %s, got %s", what,
			       blob->digest, st->digest);
	if (blob->diff_id && !streq(blob->diff_id, st->diff_id))
		return err_set(e, ERR_INVALID, "invalid diffID for %s: expected \"%s\", got \"%s\"", what,
			       blob->diff_id, st->diff_id);
	return 0;
}

static int fill(struct store *s, const struct store_blob *blob, struct store_stage *st, struct err *e)
{
	AUTO_FREE char *below = layer_name(s, st->parent);
	AUTO_FD int diff = -1;
	int r;

	if (mkdirat(s->tmp, st->name, 0710) < 0 || (st->dir = dir_open(s->tmp, st->name)) < 0)
		return err_sys(e, -errno, "making a directory for a layer");
	st->opened_ns = time_mono_ns();
	r = s->driver->layer_make(s, st->dir, below, e);
	if (r < 0)
		return r;
	diff = dir_open(st->dir, "diff");
	if (diff < 0)
		return err_sys(e, diff, "opening a directory for a layer");
	r = unpack(s, blob, diff, st, e);
	if (r == 0)
		r = verify(blob, st, e);
	if (r == 0 && s->driver->layer_seal)
		r = s->driver->layer_seal(s, st->dir, e);
	return r;
}

int blob_check(const struct store_blob *blob, struct err *e)
{
	if ((blob->diff_id && !digest_valid(blob->diff_id)) || (blob->digest && !digest_valid(blob->digest)))
		return err_set(e, ERR_INVALID, "invalid checksum digest format");
	return 0;
}

int store_stage(struct store *s, const char *parent, const struct store_blob *blob, struct store_stage **ret,
		struct err *e)
{
	struct store_stage *st;
	int r = blob_check(blob, e);

	if (r < 0)
		return r;
	st = xcalloc(1, sizeof *st);
	st->dir = -1;
	st->name = name_new();
	st->parent = xstrdup(parent);
	st->media_type = xstrdup(blob->media_type);
	st->repo = xstrdup(blob->repo);
	r = fill(s, blob, st, e);
	if (r < 0) {
		store_stage_drop(s, st);
		return r;
	}
	*ret = st;
	return 0;
}

const char *store_stage_diff_id(const struct store_stage *st)
{
	return st->diff_id;
}

void stage_free(struct store_stage *st)
{
	fd_closep(&st->dir);
	free(st->name);
	free(st->parent);
	free(st->media_type);
	free(st->repo);
	free(st);
}

void store_stage_drop(struct store *s, struct store_stage *st)
{
	if (!st)
		return;
	if (st->dir >= 0)
		doom(s, s->tmp, st->name);
	stage_free(st);
}
