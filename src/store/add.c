/* add.c - a new read-only layer: unpacked by a worker in tmp/, verified, marked, synced, moved into place, recorded. */
#include "store/priv.h"
#include "store/worker_call.h"

#include <fcntl.h>
#include <sys/stat.h>

struct unpacked {
	char digest[DIGEST_TEXT], diff_id[DIGEST_TEXT];
	int64_t blob_size, size;
};

/* The worker cannot set trusted.* attributes: its list of directories comes back and is walked below the layer again. */
static int mark_opaque(struct store *s, int diff, int list, struct err *e)
{
	AUTO_FREE char *text = NULL;
	size_t n = 0;
	int r = list < 0 ? -EBADMSG : fd_read_all(list, WORKER_LIST_MAX, &text, &n);

	if (r < 0)
		return err_sys(e, r, "reading hoy-worker's answer");
	for (const char *p = text; p < text + n; p += strlen(p) + 1) {
		r = s->driver->opaque ? s->driver->opaque(s, diff, p) : -EBADMSG;
		if (r < 0)
			return err_sys(e, r, "marking %.200s opaque", p);
	}
	return n && syncfs(diff) < 0 ? err_sys(e, -errno, "syncing the layer") : 0;
}

static int take_digest(char to[DIGEST_TEXT], const char *from)
{
	if (!digest_valid(from))
		return -EBADMSG;
	memcpy(to, from, DIGEST_TEXT);
	return 0;
}

static int unpack(struct store *s, const struct store_blob *blob, int diff, struct unpacked *ret, struct err *e)
{
	AUTO_WORKER struct worker w = WORKER_NONE;
	AUTO_STRB struct strb body = STRB_INIT;
	AUTO_MSG struct msg m = { 0 };
	AUTO_FD int list = -1;
	struct msg_reader rd;
	const char *digest, *diff_id;
	struct pump pump;
	int r = pump_open(&blob->src, &pump, e);

	if (r < 0)
		return r;
	msg_put_str(&body, blob->what);
	msg_put_u32(&body, s->driver->unpack);
	r = worker_start(s->worker, "unpack", WORKER_UNPACK, &body, (int[]){ pump.worker_end, diff }, 2, &w, e);
	if (r == 0)
		r = pump_run(&pump, e);
	if (r < 0)
		worker_done(&w); /* before the socket closes: it would look like the end */
	pump_close(&pump);
	if (r == 0)
		r = worker_answer(&w, WORKER_UNPACKED, &m, e);
	if (r < 0)
		return r;
	rd = msg_reader(m.body, m.n);
	digest = msg_get_str(&rd);
	diff_id = msg_get_str(&rd);
	ret->blob_size = msg_get_i64(&rd);
	(void)msg_get_i64(&rd);
	ret->size = msg_get_i64(&rd);
	if (rd.bad || take_digest(ret->digest, digest) < 0 || take_digest(ret->diff_id, diff_id) < 0)
		return err_set(e, ERR_SYSTEM, "hoy-worker's answer is malformed");
	list = msg_take_fd(&m, 0);
	return mark_opaque(s, diff, list, e);
}

static int verify(const struct store_blob *blob, const struct unpacked *u, struct err *e)
{
	const char *what = blob->what ? blob->what : "layer";

	if (blob->digest && !streq(blob->digest, u->digest))
		return err_set(e, ERR_INVALID, "%s: content does not match its digest: expected %s, got %s", what,
			       blob->digest, u->digest);
	if (blob->diff_id && !streq(blob->diff_id, u->diff_id))
		return err_set(e, ERR_INVALID, "invalid diffID for %s: expected \"%s\", got \"%s\"", what,
			       blob->diff_id, u->diff_id);
	return 0;
}

/* tmp/<name> holds a whole, synced layer: into layers/, then into the database. */
static int settle(struct store *s, const char *name, const struct store_layer *l, struct err *e)
{
	int r;

	if (renameat(s->tmp, name, s->layers, name) < 0 || fsync(s->layers) < 0)
		return err_sys(e, -errno, "moving the layer into place");
	r = layer_record(s, l, e);
	if (r < 0)
		doom(s, s->layers, name);
	return r;
}

static int make(struct store *s, const char *parent, const struct store_blob *blob, const char *name,
		struct store_layer *ret, struct err *e)
{
	AUTO_FREE char *below = layer_name(s, parent);
	struct unpacked u = { 0 };
	AUTO_FD int dir = -1;
	AUTO_FD int diff = -1;
	char chain[DIGEST_TEXT];
	int r;

	if (mkdirat(s->tmp, name, 0710) < 0 || (dir = dir_open(s->tmp, name)) < 0)
		return err_sys(e, -errno, "making a directory for a layer");
	r = s->driver->layer_make(s, dir, below, e);
	if (r < 0)
		return r;
	diff = dir_open(dir, "diff");
	if (diff < 0)
		return err_sys(e, diff, "opening a directory for a layer");
	r = unpack(s, blob, diff, &u, e);
	if (r == 0)
		r = verify(blob, &u, e);
	if (r == 0 && s->driver->layer_seal)
		r = s->driver->layer_seal(s, dir, e);
	if (r < 0)
		return r;
	chain_id(parent, u.diff_id, chain);
	*ret = (struct store_layer){ .chain_id = xstrdup(chain),
				     .diff_id = xstrdup(u.diff_id),
				     .parent = xstrdup(parent),
				     .name = xstrdup(name),
				     .blob_digest = xstrdup(u.digest),
				     .blob_size = u.blob_size,
				     .size = u.size,
				     .refs = 1 };
	return 0;
}

/* True with a reference taken when the chain is there; otherwise the chain is ours to make (busy). */
static bool have_or_claim(struct store *s, const char *chain)
{
	struct store_layer *l;

	pthread_mutex_lock(&s->lock);
	busy_enter(s, chain);
	l = layer_find(s, chain);
	if (l) {
		l->refs++;
		busy_leave(s, chain);
	}
	pthread_mutex_unlock(&s->lock);
	return l;
}

static void unclaim(struct store *s, const char *chain, struct store_layer *publish)
{
	pthread_mutex_lock(&s->lock);
	if (publish)
		layer_publish(s, publish);
	busy_leave(s, chain);
	pthread_mutex_unlock(&s->lock);
}

static int add_claimed(struct store *s, const char *parent, const struct store_blob *blob, char *chain, struct err *e)
{
	AUTO_FREE char *name = name_new();
	struct store_layer l = { 0 };
	bool known = *chain; /* import: the chain id shows only when everything is unpacked */
	int r = make(s, parent, blob, name, &l, e);

	if (r == 0 && !known) {
		(void)snprintf(chain, DIGEST_TEXT, "%s", l.chain_id);
		if (have_or_claim(s, chain)) {
			doom(s, s->tmp, name);
			store_layer_done(&l);
			return 1; /* there already: the reference on the parent is one too many */
		}
	}
	if (r == 0)
		r = settle(s, name, &l, e);
	if (*chain)
		unclaim(s, chain, r == 0 ? &l : NULL);
	if (r < 0)
		doom(s, s->tmp, name);
	store_layer_done(&l);
	return r;
}

int store_layer_add(struct store *s, const char *parent, const struct store_blob *blob, char ret_chain[DIGEST_TEXT],
		    struct err *e)
{
	char chain[DIGEST_TEXT] = "";
	int r;

	if ((blob->diff_id && !digest_valid(blob->diff_id)) || (blob->digest && !digest_valid(blob->digest)))
		return err_set(e, ERR_INVALID, "invalid checksum digest format");
	if (blob->diff_id) {
		chain_id(parent, blob->diff_id, chain);
		if (have_or_claim(s, chain)) {
			memcpy(ret_chain, chain, sizeof chain);
			return 0;
		}
	}
	r = store_layer_ref(s, parent, e);
	if (r < 0) {
		if (*chain)
			unclaim(s, chain, NULL);
		return r;
	}
	r = add_claimed(s, parent, blob, chain, e);
	if (r != 0)
		store_layer_unref(s, parent);
	if (r >= 0)
		memcpy(ret_chain, chain, sizeof chain);
	return r < 0 ? r : 0;
}
