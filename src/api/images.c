/* images.c - the image routes. Load and import feed the body to a worker through a pipe while progress goes out. */
#include "api/request.h"

#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <sys/socket.h>

/* Clients up to API 1.42 cannot show an image that has neither name nor digest, and get null where there are none of either. */
static void name_as_of_old(struct docker_image_summary *v, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		if (!v[i].repo_tags.n && !v[i].repo_digests.n) {
			strv_add(&v[i].repo_tags, "<none>:<none>");
			strv_add(&v[i].repo_digests, "<none>@<none>");
		}
		if (v[i].repo_tags.n) { /* they move */
			v[i].old_repo_tags = v[i].repo_tags;
			v[i].repo_tags = (struct strv){ 0 };
		}
		if (v[i].repo_digests.n) {
			v[i].old_repo_digests = v[i].repo_digests;
			v[i].repo_digests = (struct strv){ 0 };
		}
	}
}

/* Before 1.25 the name pattern had a parameter of its own. */
static void add_old_filter(struct request *q, struct engine_filters *f)
{
	const char *name = api_q_str(q, "filter");

	if (q->minor >= 41 || !*name)
		return;
	f->v = vec_grow(f->v, f->n, sizeof *f->v);
	f->v[f->n].key = xstrdup("reference");
	strv_add(&f->v[f->n++].values, name);
}

int api_image_list(struct request *q, struct err *e)
{
	AUTO_FILTERS struct engine_filters filters = { 0 };
	struct docker_image_summary *v = NULL;
	size_t n = 0;
	int r = api_q_filters(q, &filters, e);

	if (r < 0)
		return r;
	add_old_filter(q, &filters);
	r = images_list(q->engine, api_q_bool(q, "all"), api_q_bool(q, "shared-size"), api_q_bool(q, "digests"),
			&filters, &v, &n, e);
	if (r < 0)
		return r;
	for (size_t i = 0; i < n; i++) {
		v[i].virtual_size = v[i].size;
		if (q->minor < 51)
			v[i].containers = -1;
	}
	if (q->minor < 43)
		name_as_of_old(v, n);
	return api_reply_list(q, &docker_image_summary_type, v, n);
}

int api_image_inspect(struct request *q, struct err *e)
{
	struct docker_image_inspect image = { 0 };
	int r = images_inspect(q->engine, q->name, &image, e);

	image.virtual_size = image.size;
	image.container_config = xcalloc(
		1, sizeof *image.container_config); /* long unused, but old clients look into it */
	if (r == 0)
		r = api_reply_obj(q, 200, &docker_image_inspect_type, &image);
	json_done(&docker_image_inspect_type, &image);
	return r;
}

int api_image_history(struct request *q, struct err *e)
{
	struct docker_image_history_item *v = NULL;
	size_t n = 0;
	int r = images_history(q->engine, q->name, &v, &n, e);

	return r < 0 ? r : api_reply_list(q, &docker_image_history_item_type, v, n);
}

int api_image_tag(struct request *q, struct err *e)
{
	int r;

	if (!*api_q_str(q, "repo")) /* nothing asked for: dockerd does nothing, and is content */
		return api_reply_empty(q, 200);
	r = images_tag(q->engine, q->name, api_q_str(q, "repo"), api_q_str(q, "tag"), e);
	return r < 0 ? r : api_reply_empty(q, 201);
}

int api_image_remove(struct request *q, struct err *e)
{
	struct docker_image_delete_item *v = NULL;
	size_t n = 0;
	int r = images_remove(q->engine, q->name, api_q_bool(q, "force"), api_q_bool(q, "noprune"), &v, &n, e);

	return r < 0 ? r : api_reply_list(q, &docker_image_delete_item_type, v, n);
}

int api_image_prune(struct request *q, struct err *e)
{
	AUTO_FILTERS struct engine_filters filters = { 0 };
	struct docker_images_pruned gone = { 0 };
	struct docker_image_delete_item *v = NULL;
	size_t n = 0;
	int r = api_q_filters(q, &filters, e);

	if (r == 0)
		r = images_prune(q->engine, &filters, &v, &n, &gone.space_reclaimed, e);
	if (r < 0)
		return r;
	for (size_t i = 0; i < n; i++)
		*VEC_ADD(&gone.deleted) = v[i]; /* they move */
	free(v);
	r = api_reply_obj(q, 200, &docker_images_pruned_type, &gone);
	json_done(&docker_images_pruned_type, &gone);
	return r;
}

/* ---- bodies that become images ---- */
#define FEED_GRACE_S 2
struct feed {
	struct http_conn *conn;
	int to;
	char first[65536]; /* read by the request's thread, so that "100 Continue" is sent from there */
	size_t n_first;
	int broken; /* the body ended badly; atomic */
	int ended;  /* the thread is about to return; atomic */
};

static void *feed_body(void *p)
{
	struct feed *f = p;
	AUTO_FD int to = f->to;
	ssize_t n = (ssize_t)f->n_first;
	sigset_t pipe_gone;

	/* the engine may close its end early: that is an error number here, not a signal */
	(void)sigemptyset(&pipe_gone);
	(void)sigaddset(&pipe_gone, SIGPIPE);
	(void)pthread_sigmask(SIG_BLOCK, &pipe_gone, NULL);
	while (n > 0) {
		if (to >= 0 && fd_write_all(to, f->first, (size_t)n) < 0)
			fd_closep(&to); /* the client goes on sending until it has seen the answer: swallow it */
		n = http_body_read(f->conn, f->first, sizeof f->first);
	}
	if (n < 0)
		__atomic_store_n(&f->broken, 1, __ATOMIC_RELEASE);
	__atomic_store_n(&f->ended, 1, __ATOMIC_RELEASE);
	return NULL;
}

/* The client has its answer. If it is still sending, swallow that for a while (a reset could take the answer from it), then stop listening. */
static void end_feed(struct request *q, pthread_t thread)
{
	struct timespec until = { 0 };

	(void)clock_gettime(CLOCK_REALTIME, &until);
	until.tv_sec += FEED_GRACE_S;
	if (pthread_timedjoin_np(thread, NULL, &until) == 0)
		return;
	(void)shutdown(http_conn_fd(q->conn), SHUT_RD);
	(void)pthread_join(thread, NULL);
}

int api_run_on_body(struct request *q, body_job *job, enum body_answer answer, struct err *e)
{
	struct api_lines lines = { .q = q };
	struct engine_progress progress = { .line = api_line, .ctx = &lines };
	AUTO_FREE struct feed *f = xcalloc(1, sizeof *f);
	AUTO_FD int in = -1;
	pthread_t thread;
	ssize_t n = http_body_read(q->conn, f->first, sizeof f->first);
	int ends[2], r;

	if (n < 0)
		return err_set(e, ERR_INVALID, "malformed or cut off request body");
	if (pipe2(ends, O_CLOEXEC) < 0)
		return err_sys(e, -errno, "making a pipe");
	(void)fcntl(ends[1], F_SETPIPE_SZ, 1 << 20); /* fewer hand-overs between the threads */
	in = ends[0];
	f->conn = q->conn;
	f->to = ends[1];
	f->n_first = (size_t)n;
	http_body_share(q->conn);
	r = pthread_create(&thread, NULL, feed_body, f);
	if (r) {
		fd_closep(&f->to);
		return err_sys(e, -r, "starting a thread");
	}
	r = job(q, in, &progress, e);
	fd_closep(&in);
	if (r >= 0 && __atomic_load_n(&f->broken, __ATOMIC_ACQUIRE))
		r = err_set(e, ERR_INVALID, "unexpected EOF");
	if (!__atomic_load_n(&f->ended, __ATOMIC_ACQUIRE))
		http_close_after(q->conn);
	if (answer == BODY_ANSWER_EMPTY && r >= 0)
		(void)api_reply_empty(q, 200);
	else if (answer == BODY_ANSWER_EMPTY || api_lines_end(&lines, r, e) < 0)
		api_reply_error(q, r, e);
	end_feed(q, thread);
	return 0;
}

static int do_load(struct request *q, int in_fd, const struct engine_progress *p, struct err *e)
{
	(void)http_stream_begin(q->conn, 200, "application/json"); /* its errors are lines, too */
	AUTO_STRV struct strv own = { 0 };
	struct engine_platform platform = { .os = "", .arch = "", .variant = "" };
	int r = api_q_platform(q, 48, &platform, &own, e);

	return r < 0 ? r : images_load(q->engine, in_fd, api_q_bool_or(q, "quiet", false), &platform, p, e);
}

int api_image_load(struct request *q, struct err *e)
{
	AUTO_STRV struct strv own = { 0 };
	struct engine_platform platform = { .os = "", .arch = "", .variant = "" };
	int r = api_q_platform(q, 48, &platform, &own, e); /* said before the answer begins */

	return r < 0 ? r : api_run_on_body(q, do_load, BODY_ANSWER_LINES, e);
}

static void import_opts(const struct request *q, struct strv *changes, struct image_import_opts *o)
{
	*o = (struct image_import_opts){ .repo = api_q_str(q, "repo"),
					 .tag = api_q_str(q, "tag"),
					 .message = api_q_str(q, "message"),
					 .platform = api_q_str(q, "platform"),
					 .changes = changes };
	for (size_t i = 0; i < q->http->query.n; i++)
		if (streq(q->http->query.v[i].k, "changes"))
			strv_add(changes, q->http->query.v[i].v);
}

static int do_import(struct request *q, int in_fd, const struct engine_progress *p, struct err *e)
{
	AUTO_STRV struct strv changes = { 0 };
	struct image_import_opts o;

	import_opts(q, &changes, &o);
	return images_import(q->engine, in_fd, &o, p, e);
}

static int import_url(struct request *q, struct err *e)
{
	struct api_lines lines = { .q = q };
	struct engine_progress progress = { .line = api_line, .gone = api_lines_gone, .ctx = &lines };
	AUTO_STRV struct strv changes = { 0 };
	struct image_import_opts o;
	int r;

	import_opts(q, &changes, &o);
	r = images_import_url(q->engine, api_q_str(q, "fromSrc"), &o, &progress, e);
	return api_lines_end(&lines, r, e);
}

int api_image_create(struct request *q, struct err *e)
{
	if (*api_q_str(q, "fromImage"))
		return api_image_pull(q, e);
	if (!streq(api_q_str(q, "fromSrc"), "-"))
		return import_url(q, e);
	return api_run_on_body(q, do_import, BODY_ANSWER_LINES, e);
}
