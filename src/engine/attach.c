/* attach.c - attach, logs, wait, resize: the engine decides, writes what is history, and hands the connection to the shim. */
#include "engine/engine_private.h"
#include "logfile/logfile.h"
#include "stream/stream.h"

#include <sys/socket.h>

#define OUT_BATCH 65536

static const char *log_name(const struct container *c, char buf[80])
{
	(void)snprintf(buf, 80, "%s-json.log", c->id);
	return buf;
}

/* A connection that a shim did not take may lie in its queue: closing our descriptor alone would not end it for the client. */
static void cut_off(int fd, int r)
{
	if (r < 0 && fd >= 0)
		(void)shutdown(fd, SHUT_RDWR);
}

/* ---- attach ---- */
struct history {
	int fd;
	bool mux, chunked, out, err, timestamps, details;
};

static int flush(const struct history *h, struct strb *b)
{
	int r = 0;

	if (b->len && h->chunked) {
		AUTO_STRB struct strb chunk = STRB_INIT;

		chunk_add(&chunk, b->s, b->len);
		r = fd_write_all(h->fd, chunk.s, chunk.len);
	} else if (b->len) {
		r = fd_write_all(h->fd, b->s, b->len);
	}
	strb_clear(b);
	return r;
}

/* Writes the log's records to the client. A client that went away is -EPIPE, which is nobody's error. */
static int write_history(struct container *c, const struct history *h, const struct logfile_query *q)
{
	AUTO_FD int folder = container_folder(c);
	AUTO_STRB struct strb b = STRB_INIT;
	AUTO_STRB struct strb line = STRB_INIT;
	struct logfile_reader *reader = NULL;
	struct logfile_record rec;
	char name[80];
	int r;

	if (folder < 0)
		return folder;
	r = logfile_reader_new(folder, log_name(c, name), q, &reader);
	if (r == -ENOENT)
		return 0;
	if (r < 0)
		return r;
	while ((r = logfile_next(reader, &rec)) > 0) {
		if (rec.stream == LOGFILE_STDOUT ? !h->out : !h->err)
			continue;
		strb_clear(&line);
		logfile_print(&rec, h->timestamps, h->details, &line);
		if (h->mux)
			stream_add(&b, rec.stream == LOGFILE_STDOUT ? STREAM_STDOUT : STREAM_STDERR, line.s, line.len);
		else
			strb_add(&b, line.s, line.len);
		if (b.len >= OUT_BATCH) {
			r = flush(h, &b);
			if (r < 0)
				break;
		}
	}
	if (r == 0)
		r = flush(h, &b);
	logfile_reader_free(reader);
	return r;
}

static int log_mark(struct shim_link *l, struct logfile_pos *ret, struct err *e)
{
	AUTO_MSG struct msg m = { 0 };
	struct msg_reader rd;
	const char *file;
	int r = shim_call(l, &(struct shim_request){ .type = SHIM_LOG_MARK }, &m, NULL, e);

	if (r < 0)
		return r;
	rd = msg_reader(m.body, m.n);
	file = msg_get_str(&rd);
	return logfile_pos_parse(file ? file : "", msg_get_i64(&rd), ret);
}

int container_attach(struct engine *en, const char *ref, const struct attach_opts *o, const struct engine_conn *conn,
		     struct err *e)
{
	AUTO_CONTAINER struct container *c = NULL;
	AUTO_STRB struct strb b = STRB_INIT;
	AUTO_FD int fd = -1;
	struct detach_keys keys = { 0 };
	struct shim_link *l = NULL;
	const void *unread = NULL;
	size_t unread_n = 0;
	bool tty, paused, gone;
	uint32_t flags = 0;
	int r;

	if (detach_keys_parse(o->detach_keys, &keys, NULL) < 0)
		return err_set(e, ERR_INVALID, "Invalid detach keys (%s) provided", o->detach_keys);
	r = container_find(en, ref, &c, e);
	if (r < 0)
		return r;
	pthread_mutex_lock(&c->lock);
	tty = c->rec.config.tty;
	paused = c->rec.state.paused;
	gone = c->rec.state.removing || c->removed;
	pthread_mutex_unlock(&c->lock);
	if (paused)
		return err_set(e, ERR_CONFLICT, "container %s is paused, unpause the container before attach", ref);
	if (gone)
		return err_set(e, ERR_CONFLICT, "container %s is marked for removal and cannot be attached to", c->id);
	r = container_shim(c, &l, e);
	if (r < 0)
		return r;
	r = conn->take(conn->ctx, tty ? ENGINE_STREAM_RAW : ENGINE_STREAM_MUX, &fd, &unread, &unread_n, e);
	if (r == 0 && o->logs) {
		struct history h = { .fd = fd, .mux = !tty, .out = o->out, .err = o->err };
		struct logfile_query q = LOGFILE_QUERY_ALL;

		r = log_mark(l, &q.to, e);
		if (r == 0)
			r = write_history(c, &h, &q);
	}
	if (r == 0 && o->stream) {
		flags |= o->in ? SHIM_IO_STDIN : 0;
		flags |= o->out ? SHIM_IO_STDOUT : 0;
		flags |= o->err ? SHIM_IO_STDERR : 0;
		flags |= tty ? SHIM_IO_TTY : 0;
		msg_put_u32(&b, flags);
		msg_put_bytes(&b, keys.keys, keys.n);
		msg_put_bytes(&b, unread, unread_n);
		r = shim_call(
			l,
			&(struct shim_request){ .type = SHIM_ATTACH, .body = b.s, .n = b.len, .fds = &fd, .n_fds = 1 },
			NULL, NULL, e);
	}
	cut_off(fd, r);
	if (r == 0)
		container_event(c, "attach", NULL);
	shim_link_unref(l);
	return r;
}

/* ---- logs ---- */
static int follow(struct shim_link *l, const struct history *h, const struct logs_opts *o,
		  const struct logfile_pos *from, struct err *e)
{
	AUTO_STRB struct strb b = STRB_INIT;
	char file[LOGFILE_POS_TEXT];
	uint32_t flags = SHIM_IO_CHUNKED;

	flags |= h->mux ? 0 : SHIM_IO_TTY;
	flags |= h->out ? SHIM_IO_STDOUT : 0;
	flags |= h->err ? SHIM_IO_STDERR : 0;
	flags |= h->timestamps ? SHIM_IO_TIMESTAMPS : 0;
	flags |= h->details ? SHIM_IO_DETAILS : 0;
	logfile_pos_format(from, file);
	msg_put_u32(&b, flags);
	msg_put_i64(&b, o->since_ns);
	msg_put_i64(&b, o->until_ns);
	msg_put_str(&b, file);
	msg_put_i64(&b, from->offset);
	msg_put_u32(&b, 0);
	return shim_call(
		l, &(struct shim_request){ .type = SHIM_FOLLOW, .body = b.s, .n = b.len, .fds = &h->fd, .n_fds = 1 },
		NULL, NULL, e);
}

int container_logs(struct engine *en, const char *ref, const struct logs_opts *o, const struct engine_conn *conn,
		   struct err *e)
{
	AUTO_CONTAINER struct container *c = NULL;
	AUTO_FD int fd = -1;
	struct history h = {
		.chunked = true, .out = o->out, .err = o->err, .timestamps = o->timestamps, .details = o->details
	};
	struct logfile_query q = { .tail = o->tail, .since_ns = o->since_ns, .until_ns = o->until_ns };
	struct shim_link *l = NULL;
	const void *unread = NULL;
	size_t unread_n = 0;
	bool none, running;
	int r;

	if (!o->out && !o->err)
		return err_set(e, ERR_INVALID, "Bad parameters: you must choose at least one stream");
	r = container_find(en, ref, &c, e);
	if (r < 0)
		return r;
	pthread_mutex_lock(&c->lock);
	h.mux = !c->rec.config.tty;
	none = streq(c->rec.host.log_config.type, "none");
	running = c->rec.state.running;
	pthread_mutex_unlock(&c->lock);
	if (none)
		return err_set(e, ERR_NOT_IMPLEMENTED, "configured logging driver does not support reading");
	l = container_shim_now(c);
	if (l) { /* what the shim still has in memory is history too */
		r = log_mark(l, &q.to, e);
		if (r < 0) {
			shim_link_unref(l);
			l = NULL;
		}
	}
	r = conn->take(conn->ctx, h.mux ? ENGINE_STREAM_LOG_MUX : ENGINE_STREAM_LOG_RAW, &fd, &unread, &unread_n, e);
	h.fd = fd;
	if (r == 0)
		r = write_history(c, &h, &q);
	if (r == 0 && o->follow && l && running)
		r = follow(l, &h, o, &q.to, e);
	else if (r == 0)
		r = fd_write_all(fd, CHUNK_LAST, strlen(CHUNK_LAST));
	cut_off(fd, r);
	shim_link_unref(l);
	return r == -EPIPE || r == -ECONNRESET ? 0 : r;
}

/* ---- wait ---- */
static int answer_wait(int fd, int64_t code)
{
	AUTO_FREE char *json = xasprintf("{\"StatusCode\":%lld}\n", (long long)code);
	AUTO_STRB struct strb b = STRB_INIT;
	int r;

	chunk_add(&b, json, strlen(json));
	strb_adds(&b, CHUNK_LAST);
	r = fd_write_all(fd, b.s, b.len);
	return r == -EPIPE || r == -ECONNRESET ? 0 : r;
}

static int wait_removed(struct container *c, int fd, const struct engine_conn *conn)
{
	int64_t code;

	pthread_mutex_lock(&c->lock);
	while (!c->removed && !c->en->closing) {
		struct timespec t;

		(void)clock_gettime(CLOCK_MONOTONIC, &t);
		t.tv_sec += 5;
		if (pthread_cond_timedwait(&c->changed, &c->lock, &t) == ETIMEDOUT && conn->gone &&
		    conn->gone(conn->ctx))
			break;
	}
	code = c->rec.state.exit_code;
	pthread_mutex_unlock(&c->lock);
	return answer_wait(fd, code);
}

int container_wait(struct engine *en, const char *ref, enum wait_condition condition, const struct engine_conn *conn,
		   struct err *e)
{
	AUTO_CONTAINER struct container *c = NULL;
	AUTO_STRB struct strb b = STRB_INIT;
	AUTO_FD int fd = -1;
	struct shim_link *l = NULL;
	const void *unread = NULL;
	size_t unread_n = 0;
	bool running;
	int64_t code;
	int r = container_find(en, ref, &c, e);

	if (r < 0)
		return r;
	pthread_mutex_lock(&c->lock);
	running = c->rec.state.running;
	code = c->rec.state.exit_code;
	pthread_mutex_unlock(&c->lock);
	if (condition == WAIT_NEXT_EXIT || (condition == WAIT_NOT_RUNNING && running)) {
		r = container_shim(c, &l, e);
		if (r < 0)
			return r;
	}
	r = conn->take(conn->ctx, ENGINE_STREAM_JSON, &fd, &unread, &unread_n, e);
	if (r < 0) {
		shim_link_unref(l);
		return r;
	}
	if (condition == WAIT_REMOVED)
		return wait_removed(c, fd, conn);
	if (!l)
		return answer_wait(fd, code);
	msg_put_u32(&b, condition == WAIT_NEXT_EXIT);
	msg_put_u32(&b, SHIM_IO_CHUNKED);
	r = shim_call(l, &(struct shim_request){ .type = SHIM_WAIT, .body = b.s, .n = b.len, .fds = &fd, .n_fds = 1 },
		      NULL, NULL, e);
	cut_off(fd, r);
	shim_link_unref(l);
	return r;
}

/* ---- resize ---- */
int container_resize(struct engine *en, const char *ref, uint32_t rows, uint32_t cols, struct err *e)
{
	AUTO_CONTAINER struct container *c = NULL;
	AUTO_STRB struct strb b = STRB_INIT;
	struct shim_link *l;
	int r = container_find(en, ref, &c, e);

	if (r < 0)
		return r;
	l = container_running(c) ? container_shim_now(c) : NULL;
	if (!l)
		return err_set(e, ERR_CONFLICT, "container %s is not running", c->id);
	msg_put_str(&b, NULL);
	msg_put_u32(&b, rows);
	msg_put_u32(&b, cols);
	r = shim_call(l, &(struct shim_request){ .type = SHIM_RESIZE, .body = b.s, .n = b.len }, NULL, NULL, e);
	shim_link_unref(l);
	if (r == -ESRCH)
		return err_set(e, ERR_CONFLICT, "container %s is not running", c->id);
	if (r == -ENOTTY) /* dockerd has no window to resize either, and says nothing */
		r = 0;
	if (r == 0) {
		AUTO_STRMAP struct strmap more = { 0 };
		AUTO_FREE char *h = xasprintf("%u", rows);
		AUTO_FREE char *w = xasprintf("%u", cols);

		strmap_set(&more, "height", h);
		strmap_set(&more, "width", w);
		container_event(c, "resize", &more);
	}
	return r;
}
