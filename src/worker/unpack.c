/* unpack.c - hoy-worker unpack: one layer archive -> a directory. */
#include "worker/worker.h"
#include "archive/recipe.h"
#include "store/worker_call.h"

#include <fcntl.h>

static int opaque_list(struct job *j, const struct apply_result *res, struct err *e)
{
	AUTO_STRB struct strb list = STRB_INIT;

	for (size_t i = 0; i < res->opaque.n; i++)
		strb_add(&list, res->opaque.v[i], strlen(res->opaque.v[i]) + 1);
	return job_list(j, &list, e);
}

/* The archive, with a word to hoyd about every few megabytes of it. Called by the thread that decompresses. */
#define TELL_EVERY (4 << 20)
struct watched_input {
	int fd;
	bool wanted;
	int64_t done, told;
};

static ssize_t read_watched(void *ctx, void *p, size_t n)
{
	struct watched_input *in = ctx;
	ssize_t r;

	do
		r = read(in->fd, p, n);
	while (r < 0 && errno == EINTR);
	if (r < 0)
		return -errno;
	in->done += r;
	if (in->wanted && in->done - in->told >= TELL_EVERY) {
		in->told = in->done;
		job_progress(in->done);
	}
	return r;
}

static int to_image(struct source *src, int target, const struct apply_budget *budget, struct recipe *recipe,
		    struct apply_result *res, struct err *e)
{
	AUTO_FD int image = openat(target, WORKER_EROFS_NAME, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);

	return image < 0 ? err_sys(e, -errno, "making a layer's image")
			 : archive_erofs(src, image, budget, recipe, res, e);
}

int verb_unpack(struct job *j, struct err *e)
{
	struct msg_reader rd = msg_reader(j->req->body, j->req->n);
	const char *what = msg_get_str(&rd);
	uint32_t form = msg_get_u32(&rd);
	struct watched_input in = { .fd = j->input, .wanted = msg_get_u32(&rd) };
	struct decomp *d = decomp_new((struct decomp_input){ .read = read_watched, .ctx = &in },
				      &decomp_budget_default);
	int recipe_fd = msg_take_fd(j->req, 2);
	struct recipe *recipe = recipe_fd < 0 ? NULL : recipe_new(recipe_fd);
	struct apply_budget budget = apply_budget_default;
	struct pipe_source *p = NULL;
	struct apply_result res = { 0 };
	struct decomp_sums sums = { 0 };
	const char *diff_id = NULL;
	int r;

	if (form > WORKER_FORM_EROFS)
		return err_set(e, ERR_NOT_IMPLEMENTED, "this hoy-worker cannot make layers of form %u", form);
	r = pipe_source_new(d, &p, e);
	if (r < 0)
		return r;
	budget.whole_tree = form == WORKER_FORM_WHOLE;
	r = form == WORKER_FORM_EROFS ? to_image(pipe_source_src(p), j->target, &budget, recipe, &res, e)
				      : archive_apply_recipe(pipe_source_src(p), j->target, &budget, recipe, &res, e);
	if (r < 0)
		return what ? err_wrap(e, r, "%s", what) : r;
	diff_id = pipe_source_digest(p, e);
	if (!diff_id)
		return what ? err_wrap(e, -EINVAL, "%s", what) : -EINVAL;
	r = decomp_finish(d, &sums, e);
	if (r == 0 && recipe)
		r = recipe_end(recipe, diff_id, sums.out, e);
	if (r < 0)
		return r;
	msg_put_str(&j->body, *sums.digest ? sums.digest : diff_id);
	msg_put_str(&j->body, diff_id);
	msg_put_i64(&j->body, sums.in);
	msg_put_i64(&j->body, sums.out);
	msg_put_i64(&j->body, res.size);
	msg_put_i64(&j->body, (int64_t)res.entries);
	msg_put_str(&j->body, comp_name(sums.comp));
	return opaque_list(j, &res, e);
}
