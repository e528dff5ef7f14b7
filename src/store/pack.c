/* pack.c - a layer's archive again, made by a worker. */
#include "store/priv.h"
#include "store/worker_call.h"

#include <fcntl.h>

static int open_recipe(struct store *s, const char *chain, struct err *e)
{
	AUTO_FREE char *name = layer_name(s, chain);
	AUTO_FREE char *path = name ? path_join(name, LAYER_RECIPE) : NULL;
	int fd;

	if (!name)
		return err_set(e, ERR_NOT_FOUND, "layer does not exist: %s", chain);
	fd = openat(s->layers, path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0 && errno == ENOENT)
		return err_set(e, ERR_SYSTEM,
			       "layer %s was unpacked by an older hoyd that kept no recipe of it: "
			       "remove the image and load or pull it again to be able to send it",
			       chain);
	return fd < 0 ? err_sys(e, -errno, "opening the recipe of layer %s", chain) : fd;
}

struct store_pack {
	struct worker w;
	int fd; /* to read from */
	char *diff_id;
};
#define PIPE_BYTES (1 << 20)

static void pack_free(struct store_pack *p)
{
	worker_done(&p->w);
	fd_closep(&p->fd);
	free(p->diff_id);
	free(p);
}

static int start(struct store *s, const char *chain, enum worker_comp comp, struct store_pack *p, struct err *e)
{
	AUTO_STRB struct strb body = STRB_INIT;
	AUTO_FD int recipe = open_recipe(s, chain, e);
	AUTO_FD int dir = recipe < 0 ? -1 : store_layer_dir(s, chain, e);
	AUTO_FD int theirs = -1;
	int ends[2];

	if (recipe < 0 || dir < 0)
		return recipe < 0 ? recipe : dir;
	if (pipe2(ends, O_CLOEXEC) < 0)
		return err_sys(e, -errno, "making a pipe");
	p->fd = ends[0];
	theirs = ends[1];
	(void)fcntl(p->fd, F_SETPIPE_SZ, PIPE_BYTES);
	msg_put_str(&body, p->diff_id);
	msg_put_u32(&body, comp);
	return worker_start(s->worker, "pack", WORKER_PACK, &body, (int[]){ recipe, dir, theirs }, 3, &p->w, e);
}

int store_pack_begin(struct store *s, const char *chain, bool gzip, struct store_pack **ret, struct err *e)
{
	struct store_layer l = { 0 };
	struct store_pack *p;
	int r = store_layer_get(s, chain, &l, e);

	if (r < 0)
		return r;
	p = xcalloc(1, sizeof *p);
	p->w = WORKER_NONE;
	p->fd = -1;
	p->diff_id = TAKE_PTR(l.diff_id);
	store_layer_done(&l);
	r = start(s, chain, gzip ? WORKER_COMP_GZIP : WORKER_COMP_NONE, p, e);
	if (r < 0) {
		pack_free(p);
		return r;
	}
	*ret = p;
	return 0;
}

int store_pack_fd(const struct store_pack *p)
{
	return p->fd;
}

int store_pack_end(struct store_pack *p, int64_t *ret_size, struct err *e)
{
	AUTO_MSG struct msg m = { 0 };
	struct msg_reader rd;
	int r = 0;

	fd_closep(&p->fd); /* a worker that still writes ends */
	if (ret_size)
		r = worker_answer(&p->w, WORKER_PACKED, &m, e);
	if (r < 0)
		r = err_wrap(e, r, "layer %s", p->diff_id);
	if (r == 0 && ret_size) {
		rd = msg_reader(m.body, m.n);
		(void)msg_get_str(&rd);
		*ret_size = msg_get_i64(&rd);
	}
	pack_free(p);
	return r;
}

int store_layer_packable(struct store *s, const char *chain, struct err *e)
{
	AUTO_FD int fd = open_recipe(s, chain, e);

	return fd < 0 ? fd : 0;
}
