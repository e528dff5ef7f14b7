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

int store_layer_pack(struct store *s, const char *chain, int out, int64_t *ret_size, struct err *e)
{
	AUTO_WORKER struct worker w = WORKER_NONE;
	AUTO_STRB struct strb body = STRB_INIT;
	AUTO_MSG struct msg m = { 0 };
	AUTO_FD int recipe = open_recipe(s, chain, e);
	AUTO_FD int dir = recipe < 0 ? -1 : store_layer_dir(s, chain, e);
	struct store_layer l = { 0 };
	struct msg_reader rd;
	int r = recipe < 0 ? recipe : dir < 0 ? dir : store_layer_get(s, chain, &l, e);

	if (r < 0)
		return r;
	msg_put_str(&body, l.diff_id);
	msg_put_u32(&body, WORKER_COMP_NONE);
	r = worker_start(s->worker, "pack", WORKER_PACK, &body, (int[]){ recipe, dir, out }, 3, &w, e);
	if (r == 0)
		r = worker_answer(&w, WORKER_PACKED, &m, e);
	if (r == 0) {
		rd = msg_reader(m.body, m.n);
		(void)msg_get_str(&rd);
		*ret_size = msg_get_i64(&rd);
	} else {
		r = err_wrap(e, r, "layer %s", l.diff_id);
	}
	store_layer_done(&l);
	return r;
}
