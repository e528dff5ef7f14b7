/* verify.c - is a layer still what it was? A worker compares; what only hoyd can see (trusted attributes) is looked at here. */
#include "store/priv.h"
#include "store/worker_call.h"

#include <fcntl.h>
#include <sys/xattr.h>

void store_check_done(struct store_check *c)
{
	for (size_t i = 0; i < c->flaws.n; i++) {
		free(c->flaws.v[i].path);
		free(c->flaws.v[i].why);
	}
	free(c->flaws.v);
	*c = (struct store_check){ 0 };
}

static void flaw(struct store_check *c, const char *path, const char *why)
{
	*VEC_ADD(&c->flaws) = (struct store_flaw){ xstrdup(path), xstrdup(why) };
}

static bool is_opaque(int dir, const char *path)
{
	static const char *const names[] = { "trusted.overlay.opaque", "user.overlay.opaque",
					     "user.fuseoverlayfs.opaque" };
	AUTO_FD int fd = open_in_root(dir, path, O_RDONLY | O_DIRECTORY, 0);
	char value[2];

	for (size_t i = 0; fd >= 0 && i < ARRAY_LEN(names); i++)
		if (fgetxattr(fd, names[i], value, sizeof value) == 1 && (*value == 'y' || *value == 'x'))
			return true;
	return false;
}

static int read_answer(struct msg *m, int dir, struct store_check *ret, struct err *e)
{
	struct msg_reader rd = msg_reader(m->body, m->n);
	AUTO_FREE char *text = NULL;
	AUTO_FD int list = -1;
	const char *p, *end;
	uint32_t listed;
	size_t n = 0;
	int r;

	ret->entries = msg_get_i64(&rd);
	ret->bytes = msg_get_i64(&rd);
	ret->all = msg_get_i64(&rd);
	listed = msg_get_u32(&rd);
	list = msg_take_fd(m, 0);
	r = rd.bad || list < 0 ? -EBADMSG : fd_read_all(list, WORKER_LIST_MAX, &text, &n);
	if (r < 0)
		return err_sys(e, r, "reading hoy-worker's answer");
	end = text + n;
	for (p = text; listed-- && p < end;) {
		const char *path = p, *why = path + strlen(path) + 1;

		if (why >= end)
			return err_set(e, ERR_SYSTEM, "hoy-worker's answer is malformed");
		flaw(ret, path, why);
		p = why + strlen(why) + 1;
	}
	for (; p < end; p += strlen(p) + 1)
		if (!is_opaque(dir, p)) {
			flaw(ret, p, "the mark that hides what lower layers have in it is gone");
			ret->all++;
		}
	return 0;
}

int store_layer_verify(struct store *s, const char *chain, struct store_check *ret, struct err *e)
{
	AUTO_WORKER struct worker w = WORKER_NONE;
	AUTO_STRB struct strb body = STRB_INIT;
	AUTO_MSG struct msg m = { 0 };
	AUTO_FD int recipe = recipe_open(s, chain, e);
	AUTO_FD int dir = -1;
	struct store_layer l = { 0 };
	int r = recipe < 0 ? recipe : store_layer_get(s, chain, &l, e);

	if (r < 0)
		return r;
	dir = store_layer_dir(s, chain, e);
	if (dir < 0) { /* a driver that cannot even open it */
		flaw(ret, "", e ? e->msg : strerror(-dir));
		ret->all = 1;
		store_layer_done(&l);
		return 0;
	}
	msg_put_str(&body, l.diff_id);
	msg_put_u32(&body, s->driver->unpack);
	store_layer_done(&l);
	r = worker_start(s->worker, "verify", WORKER_VERIFY, &body, (int[]){ recipe, dir }, 2, &w, e);
	if (r == 0)
		r = worker_answer(&w, WORKER_VERIFIED, &m, e);
	return r < 0 ? r : read_answer(&m, dir, ret, e);
}
