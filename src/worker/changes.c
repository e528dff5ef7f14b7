/* changes.c - hoy-worker changes: which paths a container has added, modified and deleted. */
#include "archive/tree.h"
#include "store/worker_call.h"
#include "worker/worker.h"

int verb_changes(struct job *j, struct err *e)
{
	AUTO_STRV struct strv opaque = { 0 }, ignore = { 0 };
	AUTO_STRB struct strb list = STRB_INIT;
	struct view v = { 0 };
	struct msg_reader rd = view_read(j, &v);
	bool upper = msg_get_u32(&rd);
	int r = rd.bad ? err_set(e, ERR_INVALID, "hoy-worker changes: wrong request")
		       : job_lists(j, &opaque, &ignore, e);

	if (r == 0)
		r = archive_changes(j->input,
				    &(struct changes_opts){ .base = v.flags & WORKER_VIEW_EMPTY ? -1 : j->target,
							    .upper = upper,
							    .opaque = &opaque,
							    .ignore = &ignore },
				    &list, e);
	return r < 0 ? r : job_list(j, &list, e);
}
