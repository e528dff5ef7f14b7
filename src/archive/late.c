/* late.c - what is remembered of a directory until everything in it is there. */
#include "archive/apply_priv.h"

int late_dirs_add(struct late_dirs *l, const char *path, const struct tar_entry *t, struct err *e)
{
	struct late_dir *d = VEC_ADD(l);

	*d = (struct late_dir){ .path = xstrdup(path),
				.mode = t->mode,
				.uid = t->uid,
				.gid = t->gid,
				.mtime = { .tv_sec = t->mtime, .tv_nsec = t->mtime_ns } };
	l->bytes += sizeof *d + strlen(path) + 1;
	if (t->n_xattrs) {
		d->xattrs = xcalloc(t->n_xattrs, sizeof *d->xattrs);
		for (size_t i = 0; i < t->n_xattrs; i++) {
			struct tar_xattr *x = &d->xattrs[d->n_xattrs++];

			x->name = xstrdup(t->xattrs[i].name);
			x->value = xmalloc(t->xattrs[i].n + 1);
			memcpy(x->value, t->xattrs[i].value, t->xattrs[i].n);
			x->n = t->xattrs[i].n;
			l->bytes += x->n + strlen(x->name);
		}
	}
	if (l->bytes > LATE_BYTES_MAX)
		return err_set(e, ERR_INVALID, "archive has too many directories");
	return 0;
}

void late_dirs_done(struct late_dirs *l)
{
	for (size_t i = 0; i < l->n; i++) {
		free(l->v[i].path);
		for (size_t k = 0; k < l->v[i].n_xattrs; k++) {
			free(l->v[i].xattrs[k].name);
			free(l->v[i].xattrs[k].value);
		}
		free(l->v[i].xattrs);
	}
	free(l->v);
	*l = (struct late_dirs){ 0 };
}
