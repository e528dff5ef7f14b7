/* spool.c - hoy-worker load: an archive of images -> its files, numbered. Only plain files and links are of interest; links
 * (old `docker save` stores equal layers once) are reported as names, never made. */
#include "worker/worker.h"
#include "store/worker_call.h"

#include <fcntl.h>

#define PARTS_MAX 100000

struct spool {
	struct job *job;
	struct tar *tar;
	struct strb list;
	uint32_t n;
};

static int spool_file(struct spool *s, struct err *e)
{
	char name[24];
	AUTO_FD int fd = -1;
	const uint8_t *p = NULL;
	int64_t at = 0;
	size_t n = 1;
	int r = 0;

	(void)snprintf(name, sizeof name, "p%u", s->n);
	fd = openat(s->job->target, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (fd < 0)
		r = err_sys(e, -errno, "making %s", name);
	while (r == 0 && n > 0) {
		r = tar_data(s->tar, &p, &n, &at, e);
		if (r == 0 && n > 0) {
			r = fd_write_all(fd, p, n);
			if (r < 0)
				(void)err_sys(e, r, "writing %s", name);
		}
	}
	return r;
}

static int spool_entry(struct spool *s, const struct tar_entry *t, struct err *e)
{
	int r;

	if (t->type != '0' && t->type != '1' && t->type != '2')
		return 0;
	if (s->n >= PARTS_MAX)
		return err_set(e, ERR_INVALID, "invalid archive: more than %d files", PARTS_MAX);
	if (t->sparse)
		return err_set(e, ERR_INVALID, "invalid archive: %.200s is a sparse file", t->name);
	msg_put_str(&s->list, t->name);
	if (t->type == '0') {
		r = spool_file(s, e);
		if (r < 0)
			return r;
	}
	msg_put_u32(&s->list, t->type == '0');
	msg_put_i64(&s->list, t->size);
	if (t->type == '1') { /* from the archive's root; symlinks are relative to where they stand */
		AUTO_FREE char *rooted = xasprintf("/%s", t->link);

		msg_put_str(&s->list, rooted);
	} else {
		msg_put_str(&s->list, t->type == '2' ? t->link : NULL);
	}
	s->n++;
	return 0;
}

int verb_spool(struct job *j, struct err *e)
{
	struct decomp *d = decomp_new(decomp_input_fd(&j->input), &decomp_budget_default);
	struct spool s = { .job = j };
	AUTO_STRB struct strb all = STRB_INIT;
	const struct tar_entry *t = NULL;
	struct pipe_source *p = NULL;
	int r;

	decomp_unhashed(d);
	r = pipe_source_new(d, &p, e);
	if (r < 0)
		return r;
	pipe_source_unhashed(p); /* who uses a file checks it: layers are hashed when they are unpacked */
	s.tar = tar_new(pipe_source_src(p));
	while ((r = tar_next(s.tar, &t, e)) > 0) {
		r = spool_entry(&s, t, e);
		if (r < 0)
			return r;
		if (s.list.len > WORKER_LIST_MAX)
			return err_set(e, ERR_INVALID, "invalid archive: too many names");
	}
	if (r < 0)
		return r;
	if (!pipe_source_digest(p, e)) /* the stream to its very end: a broken tail is an error */
		return -EINVAL;
	msg_put_u32(&all, s.n);
	strb_add(&all, strb_str(&s.list), s.list.len);
	return job_list(j, &all, e);
}
