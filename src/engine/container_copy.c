/* container_copy.c - docker cp and docker diff: a container's files while it runs, and while it does not.
 *
 * Whoever writes keeps the container from being started on another mount of the same files: while nothing runs, by holding its operation
 * lock, as dockerd does; while it runs, as one of its `writers`, for whom a start waits that follows a stop. Who only reads
 * keeps nobody waiting (store/files.c). */
#include "act/act.h"
#include "engine/engine_private.h"

struct access {
	struct container *c;
	struct strb mounts;
	struct store_view view;
	int ns, root;
	bool held; /* the operation lock */
};

static int lend(struct container *c, uint16_t type, uint32_t mask)
{
	struct shim_link *l = container_running(c) ? container_shim_now(c) : NULL;
	AUTO_STRB struct strb body = STRB_INIT;
	AUTO_MSG struct msg m = { 0 };
	int r;

	if (!l)
		return -1;
	if (mask)
		msg_put_u32(&body, mask);
	r = shim_call(l, &(struct shim_request){ .type = type, .body = body.s, .n = body.len }, &m, NULL, NULL);
	shim_link_unref(l);
	return r < 0 ? -1 : msg_take_fd(&m, 0);
}

int container_mount_namespace(struct container *c)
{
	return lend(c, SHIM_LEND_NS, 1U << PLAN_NS_MNT);
}

static void add_mount(struct strb *b, const char *flags, const char *source, const char *destination)
{
	strb_add(b, flags, strlen(flags) + 1);
	strb_add(b, source, strlen(source) + 1);
	strb_add(b, destination, strlen(destination) + 1);
}

/* What container_spec.c puts upon the root file system for the user. */
static void list_mounts(struct container *c, struct strb *ret)
{
	static const char *const files[] = { "hostname", "hosts", "resolv.conf" };
	const struct container_record *rec = &c->rec;

	pthread_mutex_lock(&c->lock);
	for (size_t i = 0; i < rec->mounts.n; i++) {
		const __typeof__(*rec->mounts.v) *m = &rec->mounts.v[i];
		bool tmpfs = streq(m->type, "tmpfs");
		bool fill = streq(m->type, "volume") && !m->no_copy && !rec->state.started_ns;
		AUTO_FREE char *flags = xasprintf("%s%s%s%s", m->rw ? "" : "r", fill ? "c" : "",
						  m->non_recursive ? "1" : "", tmpfs ? "t" : "");

		add_mount(ret, flags, m->source ? m->source : "", m->destination);
	}
	for (size_t i = 0; i < ARRAY_LEN(files); i++) {
		AUTO_FREE char *destination = xasprintf("/etc/%s", files[i]);
		AUTO_FREE char *source = xasprintf("%s/docker/containers/%s/%s", c->en->config.data_root,
						   container_files_id(rec), files[i]);
		bool taken = false;

		for (size_t k = 0; k < rec->mounts.n; k++)
			taken |= streq(rec->mounts.v[k].destination, destination);
		if (!taken && access(source, F_OK) == 0)
			add_mount(ret, rec->host.readonly_rootfs ? "r" : "", source, destination);
	}
	pthread_mutex_unlock(&c->lock);
}

static void access_end(struct access *a)
{
	if (a->view.write && !a->held) {
		pthread_mutex_lock(&a->c->lock);
		a->c->writers--;
		container_unlock(a->c);
	}
	if (a->held)
		pthread_mutex_unlock(&a->c->op);
	fd_closep(&a->ns);
	fd_closep(&a->root);
	strb_done(&a->mounts);
}

static void access_begin(struct container *c, bool write, struct access *ret)
{
	*ret = (struct access){ .c = c, .ns = -1, .root = -1 };
	if (write)
		pthread_mutex_lock(&c->op);
	ret->ns = container_mount_namespace(c);
	ret->root = ret->ns < 0 ? -1 : lend(c, SHIM_LEND_ROOT, 0);
	if (ret->root < 0)
		fd_closep(&ret->ns);
	ret->held = write && ret->ns < 0;
	if (write && !ret->held) {
		pthread_mutex_lock(&c->lock);
		c->writers++;
		pthread_mutex_unlock(&c->lock);
		pthread_mutex_unlock(&c->op);
	}
	list_mounts(c, &ret->mounts);
	ret->view = (struct store_view){
		.name = c->rec.rw_layer, .mount_ns = ret->ns, .root = ret->root, .mounts = &ret->mounts, .write = write
	};
}

void container_wait_for_writers(struct container *c)
{
	pthread_mutex_lock(&c->lock);
	while (c->writers)
		pthread_cond_wait(&c->changed, &c->lock);
	pthread_mutex_unlock(&c->lock);
}

static int not_found(int r, const char *path, const char *ref, struct err *e)
{
	return r == -ENOENT && e && e->kind == ERR_NOT_FOUND
		       ? err_set(e, ERR_NOT_FOUND, "Could not find the file %.600s in container %.200s", path, ref)
		       : r;
}

int container_path_stat(struct engine *en, const char *ref, const char *path, struct store_stat *ret, struct err *e)
{
	AUTO_CONTAINER struct container *c = NULL;
	int r = container_find(en, ref, &c, e);

	if (r < 0)
		return r;
	for (int write = 0; write < 2; write++) { /* once more where a mount point has to be made first */
		struct access a;

		access_begin(c, write, &a);
		r = store_files_stat(en->store, &a.view, path, ret, e);
		access_end(&a);
		if (r != -EROFS)
			break;
	}
	return not_found(r, path, ref, e);
}

int container_get(struct engine *en, const char *ref, const char *path, const struct container_get *out, struct err *e)
{
	AUTO_CONTAINER struct container *c = NULL;
	struct store_stat st = { 0 };
	struct store_pack *p = NULL;
	int64_t size = 0;
	int r = container_find(en, ref, &c, e);

	if (r < 0)
		return r;
	for (int write = 0; write < 2; write++) {
		struct access a;

		access_begin(c, write, &a);
		r = store_files_get(en->store, &a.view, path, &st, &p, e);
		if (r == 0) {
			r = out->begin(out->ctx, &st);
			if (r == 0)
				r = store_pack_send(p, out->write, out->ctx, &size, e);
			else
				(void)store_pack_end(p, NULL, NULL);
		}
		access_end(&a);
		if (r != -EROFS || p)
			break;
	}
	if (r == 0)
		container_event(c, "archive-path", NULL);
	free(st.target);
	return p ? r : not_found(r, path, ref, e);
}

int container_put(struct engine *en, const char *ref, int in_fd, const struct container_put *o, struct err *e)
{
	AUTO_CONTAINER struct container *c = NULL;
	AUTO_FREE char *user = NULL;
	struct store_put q = { .fd = in_fd, .path = o->path, .no_overwrite = o->no_overwrite };
	struct access a;
	int r = container_find(en, ref, &c, e);

	if (r < 0)
		return r;
	pthread_mutex_lock(&c->lock);
	q.root_readonly = c->rec.host.readonly_rootfs;
	user = o->to_user && !str_empty(c->rec.config.user) ? xstrdup(c->rec.config.user) : NULL;
	pthread_mutex_unlock(&c->lock);
	q.user = user;
	access_begin(c, true, &a);
	r = store_files_put(en->store, &a.view, &q, e);
	access_end(&a);
	if (r == 0)
		container_event(c, "extract-to-dir", NULL);
	return not_found(r, o->path, ref, e);
}

int container_changes(struct engine *en, const char *ref, char **ret, size_t *ret_n, struct err *e)
{
	AUTO_CONTAINER struct container *c = NULL;
	int r = container_find(en, ref, &c, e);

	return r < 0 ? r : store_rw_list(en->store, c->rec.rw_layer, ret, ret_n, e);
}
