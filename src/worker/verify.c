/* verify.c - hoy-worker verify: a layer's directory against its recipe. */
#include "worker/worker.h"
#include "archive/verify.h"
#include "store/worker_call.h"

int verb_verify(struct job *j, struct err *e)
{
	struct msg_reader rd = msg_reader(j->req->body, j->req->n);
	const char *diff_id = msg_get_str(&rd);
	uint32_t form = msg_get_u32(&rd);
	struct verify_result res = { 0 };
	AUTO_STRB struct strb list = STRB_INIT;
	int r;

	if (rd.bad || !diff_id)
		return err_set(e, ERR_INVALID, "hoy-worker verify: wrong request");
	r = archive_verify(j->input, j->target, diff_id, form == WORKER_FORM_WHOLE, &res, e);
	if (r == 0) {
		msg_put_i64(&j->body, (int64_t)res.entries);
		msg_put_i64(&j->body, res.bytes);
		msg_put_i64(&j->body, (int64_t)(res.flaws.n + res.more));
		msg_put_u32(&j->body, (uint32_t)res.flaws.n);
		for (size_t i = 0; i < res.flaws.n; i++) {
			strb_add(&list, res.flaws.v[i].path, strlen(res.flaws.v[i].path) + 1);
			strb_add(&list, res.flaws.v[i].why, strlen(res.flaws.v[i].why) + 1);
		}
		for (size_t i = 0; i < res.opaque.n; i++)
			strb_add(&list, res.opaque.v[i], strlen(res.opaque.v[i]) + 1);
		r = job_list(j, &list, e);
	}
	verify_result_done(&res);
	return r;
}
