#include "api/fake_engine.h"
#include "store/store.h"

#include <sys/stat.h>

#include "schema/docker.h"

#include <sys/socket.h>

struct fake fake;

static int say(struct err *e, const char *fmt, ...) PRINTF(2, 3);
static int say(struct err *e, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(fake.said, sizeof fake.said, fmt, ap);
	va_end(ap);
	return fake.fail ? err_set(e, fake.fail, "%s", fake.message) : 0;
}

void engine_filters_done(struct engine_filters *f)
{
	for (size_t i = 0; i < f->n; i++) {
		free(f->v[i].key);
		strv_done(&f->v[i].values);
	}
	free(f->v);
}

static void say_filters(const struct engine_filters *f)
{
	AUTO_STRB struct strb b = STRB_INIT;

	for (size_t i = 0; i < f->n; i++)
		for (size_t k = 0; k < f->v[i].values.n; k++)
			strb_addf(&b, " %s=%s", f->v[i].key, f->v[i].values.v[k]);
	(void)snprintf(fake.said + strlen(fake.said), sizeof fake.said - strlen(fake.said), "%s", strb_str(&b));
}

static int hand_over(const struct engine_conn *conn, enum engine_stream kind, const char *text, struct err *e)
{
	const void *unread = NULL;
	size_t n = 0;
	int fd = -1, r = conn->take(conn->ctx, kind, &fd, &unread, &n, e);

	if (r < 0)
		return r;
	(void)send(fd, text, strlen(text), MSG_NOSIGNAL);
	(void)send(fd, unread, n, MSG_NOSIGNAL);
	(void)close(fd);
	return 0;
}

int container_create(struct engine *en, const char *name, const char *platform,
		     const struct docker_container_create_request *req, struct docker_container_create_response *ret,
		     struct err *e)
{
	int r = say(e, "create %s %s %lld %s", name, req->image, (long long)req->host_config.memory,
		    req->host_config.cgroupns_mode ? req->host_config.cgroupns_mode : "-");

	if (r == 0)
		ret->id = xstrdup("abc");
	return r;
}

#define SIMPLE(f) \
	int f(struct engine *en, const char *ref, struct err *e) \
	{ \
		return say(e, #f " %s", ref); \
	}
SIMPLE(container_start)
SIMPLE(container_pause)
SIMPLE(container_unpause)

int container_stop(struct engine *en, const char *ref, const char *signal, int64_t timeout_s, struct err *e)
{
	return say(e, "stop %s %s %lld", ref, signal ? signal : "-",
		   timeout_s == STOP_TIMEOUT_DEFAULT ? -999LL : (long long)timeout_s);
}

int container_restart(struct engine *en, const char *ref, const char *signal, int64_t timeout_s, struct err *e)
{
	return say(e, "restart %s", ref);
}

int container_kill(struct engine *en, const char *ref, const char *signal, struct err *e)
{
	return say(e, "kill %s %s", ref, signal ? signal : "-");
}

int container_update(struct engine *en, const char *ref, const struct docker_host_config *q, struct strv *ret_warnings,
		     struct err *e)
{
	strv_add(ret_warnings, "careful");
	return say(e, "update %s %lld", ref, (long long)q->memory);
}

int container_rename(struct engine *en, const char *ref, const char *name, struct err *e)
{
	return say(e, "rename %s %s", ref, name);
}

int container_remove(struct engine *en, const char *ref, const struct container_remove_opts *o, struct err *e)
{
	return say(e, "remove %s %d%d%d", ref, o->force, o->volumes, o->link);
}

int container_wait(struct engine *en, const char *ref, enum wait_condition condition, const struct engine_conn *conn,
		   struct err *e)
{
	int r = say(e, "wait %s %d", ref, condition);

	return r < 0 ? r : hand_over(conn, ENGINE_STREAM_JSON, "11\r\n{\"StatusCode\":3}\n\r\n0\r\n\r\n", e);
}

int container_known(struct engine *en, const char *ref, struct err *e)
{
	return 0;
}

int container_inspect(struct engine *en, const char *ref, bool size, struct docker_container_inspect *ret,
		      struct err *e)
{
	ret->name = xstrdup("/x");
	return say(e, "inspect %s", ref);
}

int container_list(struct engine *en, const struct container_list_opts *o, struct docker_container_summary **ret_v,
		   size_t *ret_n, struct err *e)
{
	int r = say(e, "list all=%d size=%d limit=%lld", o->all, o->size, (long long)o->limit);

	say_filters(o->filters);
	*ret_v = xcalloc(1, sizeof **ret_v);
	(*ret_v)->id = xstrdup("one");
	*ret_n = 1;
	return r;
}

int container_attach(struct engine *en, const char *ref, const struct attach_opts *o, const struct engine_conn *conn,
		     struct err *e)
{
	int r = say(e, "attach %s %d%d%d%d%d", ref, o->logs, o->stream, o->in, o->out, o->err);

	return r < 0 ? r : hand_over(conn, ENGINE_STREAM_MUX, "hello ", e);
}

int container_logs(struct engine *en, const char *ref, const struct logs_opts *o, const struct engine_conn *conn,
		   struct err *e)
{
	int r = say(e, "logs %s since=%lld tail=%lld", ref, (long long)o->since_ns, (long long)o->tail);

	return r < 0 ? r : hand_over(conn, ENGINE_STREAM_LOG_MUX, "0\r\n\r\n", e);
}

int container_resize(struct engine *en, const char *ref, uint32_t rows, uint32_t cols, struct err *e)
{
	return say(e, "resize %s %u %u", ref, rows, cols);
}

int container_top(struct engine *en, const char *ref, const char *ps_args, struct strv *ret_titles,
		  struct strv **ret_rows, size_t *ret_n, struct err *e)
{
	strv_add(ret_titles, "PID");
	*ret_rows = xcalloc(1, sizeof **ret_rows);
	strv_add(*ret_rows, "7");
	*ret_n = 1;
	return say(e, "top %s %s", ref, ps_args);
}

int container_prune(struct engine *en, const struct engine_filters *f, struct strv *ret_deleted, int64_t *ret_bytes,
		    struct err *e)
{
	int r = say(e, "prune");

	say_filters(f);
	return r;
}

int exec_create(struct engine *en, const char *ref, const struct docker_exec_options *c, char **ret_id, struct err *e)
{
	*ret_id = xstrdup("e1");
	return say(e, "exec_create %s %s", ref, c->cmd.v[0]);
}

int exec_start(struct engine *en, const char *id, const struct exec_start_opts *o, const struct engine_conn *conn,
	       struct err *e)
{
	int r = say(e, "exec_start %s %d %u %u", id, o->detach, o->rows, o->cols);

	if (r < 0 || o->detach)
		return r;
	return hand_over(conn, ENGINE_STREAM_RAW, "hello ", e);
}

int exec_resize(struct engine *en, const char *id, uint32_t rows, uint32_t cols, struct err *e)
{
	return say(e, "exec_resize %s", id);
}

int exec_inspect(struct engine *en, const char *id, struct docker_exec_inspect *ret, struct err *e)
{
	return say(e, "exec_inspect %s", id);
}

int images_list(struct engine *en, bool all, bool shared_size, bool digests, const struct engine_filters *f,
		struct docker_image_summary **ret_v, size_t *ret_n, struct err *e)
{
	*ret_v = xcalloc(1, sizeof **ret_v);
	(*ret_v)->size = 42;
	*ret_n = 1;
	return say(e, "images %d", all);
}

int images_inspect(struct engine *en, const char *ref, struct docker_image_inspect *ret, struct err *e)
{
	return say(e, "image %s", ref);
}

int images_history(struct engine *en, const char *ref, struct docker_image_history_item **ret_v, size_t *ret_n,
		   struct err *e)
{
	*ret_v = NULL;
	*ret_n = 0;
	return say(e, "history %s", ref);
}

int images_tag(struct engine *en, const char *ref, const char *repo, const char *tag, struct err *e)
{
	return say(e, "tag %s %s %s", ref, repo, tag);
}

int images_heal(struct engine *en, const struct strv *names, const struct engine_registry *reg,
		const struct engine_progress *p, struct err *e)
{
	return say(e, "heal %zu", names->n);
}

int images_gc(struct engine *en, bool dry, const struct engine_progress *p, struct err *e)
{
	return say(e, "gc %d", dry);
}

int images_verify(struct engine *en, const struct strv *names, const struct engine_progress *p, struct err *e)
{
	int r = say(e, "verify %zu", names->n);

	return r < 0 ? r : p->line(p->ctx, "{\"layers\":0}");
}

int images_prune(struct engine *en, const struct engine_filters *f, struct docker_image_delete_item **ret_v,
		 size_t *ret_n, int64_t *ret_bytes, struct err *e)
{
	int r = say(e, "image prune");

	say_filters(f);
	*ret_v = NULL;
	*ret_n = 0;
	*ret_bytes = 7;
	return r;
}

int engine_df(struct engine *en, unsigned what, struct engine_df *ret, struct err *e)
{
	ret->layers_size = 42;
	return say(e, "df %u", what);
}

void engine_df_done(struct engine_df *d UNUSED)
{
}

int images_remove(struct engine *en, const char *ref, bool force, bool no_prune,
		  struct docker_image_delete_item **ret_v, size_t *ret_n, struct err *e)
{
	*ret_v = NULL;
	*ret_n = 0;
	return say(e, "rmi %s", ref);
}

int container_stats(struct engine *en, const char *ref, struct docker_stats *ret, struct err *e)
{
	ret->id = xstrdup(ref);
	return say(e, "stats %s", ref);
}

int images_load(struct engine *en, int in_fd, bool quiet, const struct engine_platform *platform,
		const struct engine_progress *p, struct err *e)
{
	char buf[4096];
	ssize_t n;

	fake.body_bytes = 0;
	while ((n = read(in_fd, buf, sizeof buf)) > 0) {
		fake.body_bytes += n;
		if (fake.stop_early)
			return err_set(e, ERR_INVALID, "not a tar archive");
		if (fake.body_bytes == n)
			p->line(p->ctx, "{\"stream\":\"working\"}");
	}
	return say(e, "load quiet=%d", quiet);
}

int images_save(struct engine *en, const struct strv *names, const struct engine_platform *platform,
		const struct engine_out *out, struct err *e)
{
	AUTO_STRB struct strb all = STRB_INIT;
	int r;

	for (size_t i = 0; i < names->n; i++)
		strb_addf(&all, " %s", names->v[i]);
	r = say(e, "save%s %s/%s", strb_str(&all), platform->os, platform->arch);
	if (r < 0)
		return r;
	r = out->begin(out->ctx);
	if (r == 0)
		r = out->write(out->ctx, "archive", 7);
	return r == 0 && strv_has(names, "torn") ? err_set(e, ERR_SYSTEM, "layer is gone") : r;
}

int images_import_url(struct engine *en, const char *url, const struct image_import_opts *o,
		      const struct engine_progress *p, struct err *e)
{
	return say(e, "import %s as %s", url, o->repo);
}

int images_import(struct engine *en, int in_fd, const struct image_import_opts *o, const struct engine_progress *p,
		  struct err *e)
{
	return say(e, "import %s %s %zu", o->repo, o->tag, o->changes->n);
}

int images_pull(struct engine *en, const char *from, const char *tag, const char *platform,
		const struct engine_registry *r, const struct engine_progress *p, struct err *e)
{
	if (streq(tag, "none"))
		return err_set(e, ERR_NOT_FOUND, "manifest for %s:none not found", from);
	(void)p->line(p->ctx, "{\"status\":\"working\"}");
	return say(e, "pull %s %s as %s", from, tag, r->auth ? r->auth->username : "-");
}

int images_push(struct engine *en, const char *name, const char *tag, const char *platform,
		const struct engine_registry *r, const struct engine_progress *p, struct err *e)
{
	return say(e, "push %s %s", name, tag);
}

int images_copy(struct engine *en, const char *from, const char *to, const char *platform,
		const struct engine_registry *from_reg, const struct engine_registry *to_reg,
		const struct engine_progress *p, struct err *e)
{
	return say(e, "copy %s to %s as %s and %s", from, to, from_reg->auth ? from_reg->auth->username : "-",
		   to_reg->auth ? to_reg->auth->username : "-");
}

int images_search(struct engine *en, const char *term, int64_t limit, const struct engine_filters *f,
		  const struct engine_registry *r, struct docker_search_result **ret_v, size_t *ret_n, struct err *e)
{
	*ret_v = NULL;
	*ret_n = 0;
	return say(e, "search %s %lld", term, (long long)limit);
}

int distribution_inspect(struct engine *en, const char *name, const struct engine_registry *r,
			 struct docker_distribution *ret, struct err *e)
{
	return say(e, "distribution %s", name);
}

int registry_login(struct engine *en, const struct docker_auth_config *a, struct docker_auth_response *ret,
		   struct err *e)
{
	return say(e, "login %s", a->username);
}

int volumes_create(struct engine *en, const struct docker_volume_create *req, struct docker_volume *ret, struct err *e)
{
	return say(e, "volume_create %s", req->name);
}

int volumes_list(struct engine *en, const struct engine_filters *f, struct docker_volume **ret_v, size_t *ret_n,
		 struct err *e)
{
	*ret_v = xcalloc(1, sizeof **ret_v);
	*ret_n = 1;
	return say(e, "volumes");
}

int volumes_inspect(struct engine *en, const char *name, struct docker_volume *ret, struct err *e)
{
	return say(e, "volume %s", name);
}

int volumes_remove(struct engine *en, const char *name, bool force, struct err *e)
{
	return say(e, "volume_rm %s %d", name, force);
}

int volumes_prune(struct engine *en, const struct engine_filters *f, struct strv *ret_deleted, int64_t *ret_bytes,
		  struct err *e)
{
	return say(e, "volume_prune");
}

int networks_list(struct engine *en, const struct engine_filters *f, struct docker_network_inspect **ret_v,
		  size_t *ret_n, struct err *e)
{
	*ret_v = NULL;
	*ret_n = 0;
	return say(e, "networks");
}

int networks_inspect(struct engine *en, const char *ref, const char *scope, struct docker_network_inspect *ret,
		     struct err *e)
{
	return say(e, "network %s", ref);
}

int networks_remove(struct engine *en, const char *ref, struct err *e)
{
	return say(e, "network_rm %s", ref);
}

int networks_create(struct engine *en, const struct docker_network_create *req, char **ret_id, struct err *e)
{
	*ret_id = xstrdup("n1");
	return say(e, "network_create %s", req->name ? req->name : "");
}

int networks_connect(struct engine *en, const char *network, const struct docker_network_connect *req, struct err *e)
{
	return say(e, "network_connect %s %s", network, req->container);
}

int networks_disconnect(struct engine *en, const char *network, const struct docker_network_connect *req, struct err *e)
{
	return say(e, "network_disconnect %s %s force=%d", network, req->container, req->force);
}

int networks_prune(struct engine *en, const struct engine_filters *f, struct strv *ret_deleted, struct err *e)
{
	return say(e, "network_prune");
}

int engine_info(struct engine *en, struct docker_info *ret, struct err *e)
{
	return say(e, "info");
}

int engine_version(struct engine *en, struct docker_version *ret, struct err *e)
{
	return say(e, "version");
}

struct events_sub {
	int left;
};

int events_subscribe(struct engine *en, const struct events_opts *o, struct events_sub **ret, struct err *e)
{
	int r = say(e, "events %lld", (long long)o->since_ns);

	say_filters(o->filters);
	if (r == 0) {
		*ret = xcalloc(1, sizeof **ret);
		(*ret)->left = 3;
	}
	return r;
}

int events_next(struct events_sub *s, int timeout_ms, char **ret_json)
{
	if (s->left == 2) {
		s->left--;
		return -ETIMEDOUT;
	}
	if (!s->left--)
		return 0;
	*ret_json = xstrdup("{\"Type\":\"container\"}");
	return 1;
}

void events_unsubscribe(struct events_sub *s)
{
	free(s);
}

int container_export(struct engine *en, const char *ref, const struct engine_out *out, struct err *e)
{
	int r = say(e, "export %s", ref);

	if (r == 0)
		r = out->begin(out->ctx);
	return r < 0 ? r : out->write(out->ctx, "archive", 7);
}

int container_changes(struct engine *en, const char *ref, char **ret, size_t *ret_n, struct err *e)
{
	static const char list[] = "0/a\0001/a/b\0002/c";
	int r = say(e, "changes %s", ref);

	if (r < 0)
		return r;
	*ret_n = streq(ref, "unchanged") ? 0 : sizeof list;
	*ret = xmalloc(sizeof list);
	memcpy(*ret, list, sizeof list);
	return 0;
}

static void fake_stat(const char *path, struct store_stat *ret)
{
	*ret = (struct store_stat){
		.mode = S_IFLNK | 0777, .size = 3, .mtime_ns = 1500000000, .target = xstrdup(path)
	};
}

int container_path_stat(struct engine *en, const char *ref, const char *path, struct store_stat *ret, struct err *e)
{
	int r = say(e, "stat %s %s", ref, path);

	if (r == 0)
		fake_stat(path, ret);
	return r;
}

int container_get(struct engine *en, const char *ref, const char *path, const struct container_get *out, struct err *e)
{
	struct store_stat st;
	int r = say(e, "get %s %s", ref, path);

	if (r < 0)
		return r;
	fake_stat(path, &st);
	r = out->begin(out->ctx, &st);
	free(st.target);
	return r < 0 ? r : out->write(out->ctx, "archive", 7);
}

int container_put(struct engine *en, const char *ref, int in_fd, const struct container_put *o, struct err *e)
{
	AUTO_FREE char *body = NULL;
	size_t n = 0;

	(void)fd_read_all(in_fd, 1 << 20, &body, &n);
	return say(e, "put %s %s %d %d %s", ref, o->path, o->no_overwrite, o->to_user, body ? body : "");
}

int container_commit(struct engine *en, const char *ref, const struct container_commit *o, char **ret_id, struct err *e)
{
	*ret_id = xstrdup("sha256:c0");
	return say(e, "commit %s %s:%s pause=%d %s %s", ref, o->repo, o->tag, o->pause, o->config ? o->config : "-",
		   o->changes->n ? o->changes->v[0] : "-");
}
