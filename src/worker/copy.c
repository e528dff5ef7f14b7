/* copy.c - hoy-worker copy: a tree (a layer) -> an empty directory. */
#include "worker/worker.h"
#include "store/worker_call.h"

int verb_copy(struct job *j, struct err *e)
{
	struct copy_result res = { 0 };
	int r = archive_copy(j->input, j->target, true, &res, e);

	msg_put_i64(&j->body, (int64_t)res.entries);
	msg_put_i64(&j->body, (int64_t)res.cloned);
	msg_put_i64(&j->body, res.bytes);
	return r;
}
