/* worker.h - the body of hoy-worker: one request in, one answer out, in a sandbox (store/worker_call.h has the protocol).
 * Everything untrusted is parsed here and nowhere else: archives, compression. */
#pragma once

#include "archive/archive.h"
#include "proc/proc.h"

int worker_main(int argc, char **argv);

/* ---- for the verbs ---- */
struct job {
	struct msg *req;     /* the request */
	int input, target;   /* target: a directory, the whole file system that is left to us */
	struct strb body;    /* of the answer */
	int list;            /* memfd to send with it, or -1 */
	unsigned root_flags; /* more of enum sandbox_flags */
};
struct verb {
	const char *name;
	uint16_t request, answer;
	int (*run)(struct job *j, struct err *e);
	/* before the sandbox closes: finds the target. NULL = it was given */
	int (*prepare)(struct job *j, struct err *e);
};
int job_list(struct job *j, const struct strb *text, struct err *e); /* becomes the answer's memfd */
/* The request's descriptor 2, where it has one: names ended by NUL, an empty one between the two lists; sorted when they come back. */
int job_lists(struct job *j, struct strv *ret_opaque, struct strv *ret_ignore, struct err *e);
struct job_out { /* a stream that the job writes, and how long it is by now */
	int fd;
	int64_t n;
};
int job_write(void *out, const void *p, size_t n); /* out: struct job_out */
void job_progress(int64_t done);                   /* WORKER_PROGRESS; waits while hoyd does not listen */
int verb_unpack(struct job *j, struct err *e);
int verb_pack(struct job *j, struct err *e);
int verb_tree(struct job *j, struct err *e);
int tree_prepare(struct job *j, struct err *e);
int verb_spool(struct job *j, struct err *e);
int verb_verify(struct job *j, struct err *e);
int verb_copy(struct job *j, struct err *e);
int verb_stat(struct job *j, struct err *e);
int verb_get(struct job *j, struct err *e);
int verb_put(struct job *j, struct err *e);
int verb_changes(struct job *j, struct err *e);

/* ---- view.c: a container's files, whether it runs or not ---- */
struct view {
	uint32_t kind, flags;
	const char *dir, *upper, *work; /* lent from the request */
	const char *lowers[256];
	size_t n_lowers;
};
struct msg_reader view_read(const struct job *j,
			    struct view *ret); /* what stands behind the view; bad where it is none */
int view_prepare(struct job *j, struct err *e);
struct view_mount {
	const char *flags, *source, *destination; /* lent */
};
struct view_mounts {
	struct view_mount *v;
	size_t n;
	char *text;
};
int view_mounts_read(const struct job *j, struct view_mounts *ret, struct err *e);
void view_mounts_done(struct view_mounts *m);
