/* copy.c - hoy-worker copy: a tree (a layer) -> an empty directory, and what is missing there from a second tree. */
#include "worker/worker.h"
#include "store/worker_call.h"

int verb_copy(struct job *j, struct err *e)
{
	struct msg_reader rd = msg_reader(j->req->body, j->req->n);
	uint32_t flags = msg_get_u32(&rd);
	AUTO_FD int second = msg_take_fd(j->req, 2);
	struct copy_result res = { 0 };
	int r = archive_copy(j->input, j->target, true, &res, e);

	if (r == 0 && second >= 0)
		r = archive_copy(second, j->target, false, NULL, e);
	if (r == 0 && flags & WORKER_COPY_SYNC && syncfs(j->target) < 0)
		r = err_sys(e, -errno, "syncing the copy");
	msg_put_i64(&j->body, (int64_t)res.entries);
	msg_put_i64(&j->body, (int64_t)res.cloned);
	msg_put_i64(&j->body, res.bytes);
	return r;
}
