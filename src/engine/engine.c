/* engine.c - the composition root: opens every module, gives each the callbacks it needs, and puts the tables together at start. */
#include "act/act.h"
#include "base/kernel.h"
#include "engine/engine_private.h"
#include "engine/container_check.h"
#include "engine/image_glue.h"
#include "image/trust.h"
#include "plan/seccomp_cache.h"

#include <fcntl.h>
#include <sys/socket.h>
#include <sys/stat.h>

#define THREAD_STACK (512 * 1024)

/* ---- callbacks into the database ---- */
static int save_network(void *ctx, const char *id, const char *json, size_t n, struct err *e)
{
	AUTO_FREE char *text = xstrndup(json, n);

	return db_put_one(((struct engine *)ctx)->db, DB_NETWORKS, id, text, e);
}

static int remove_network(void *ctx, const char *id, struct err *e)
{
	return db_del_one(((struct engine *)ctx)->db, DB_NETWORKS, id, e);
}

struct load_networks {
	int (*each)(void *arg, const char *json, size_t n, struct err *e);
	void *arg;
};

static int load_network(void *ctx, const char *key UNUSED, const char *text, struct err *e)
{
	struct load_networks *l = ctx;

	return l->each(l->arg, text, strlen(text), e);
}

static int load_networks(void *ctx, int (*each)(void *arg, const char *json, size_t n, struct err *e), void *arg,
			 struct err *e)
{
	struct load_networks l = { each, arg };

	return db_each(((struct engine *)ctx)->db, DB_NETWORKS, load_network, &l, e);
}

static int save_volume(void *ctx, const char *name, const char *json, struct err *e)
{
	return db_put_one(((struct engine *)ctx)->db, DB_VOLUMES, name, json, e);
}

static int remove_volume(void *ctx, const char *name, struct err *e)
{
	return db_del_one(((struct engine *)ctx)->db, DB_VOLUMES, name, e);
}

static int load_volume(void *ctx, const char *key UNUSED, const char *text, struct err *e)
{
	return volumes_restore(((struct engine *)ctx)->volumes, text, e);
}

/* ---- opening ---- */
static int folder(int dir, const char *path, mode_t mode, int *ret, struct err *e)
{
	int r = dir_make(dir, path, mode);

	if (r == 0)
		*ret = r = dir_open(dir, path);
	return r < 0 ? err_sys(e, r, "making %s", path) : 0;
}

static int open_folders(struct engine *en, struct err *e)
{
	int r = folder(AT_FDCWD, en->config.data_root, 0710, &en->data_fd, e);

	if (r == 0)
		r = folder(AT_FDCWD, en->config.exec_root, 0711, &en->exec_fd, e);
	if (r == 0)
		r = folder(en->data_fd, "docker/containers", 0710, &en->containers_fd, e);
	if (r == 0)
		r = folder(en->exec_fd, "shim", 0700, &en->shims_fd, e);
	return r;
}

/* Its root is made of layers that are not ours now: kept for the day when that driver is back, as dockerd does. One that runs is a
 * reason to stop here: nobody could stop it any more. */
static int of_other_driver(struct engine *en, const struct container_record *rec, struct err *e)
{
	const char *driver = str_empty(rec->driver) ? "overlay2" : rec->driver;
	AUTO_FREE char *socket = xasprintf("%s.sock", rec->id);
	AUTO_FD int shim = -1;

	if (streq(driver, store_driver(en->store)))
		return 0;
	if (rec->state.running)
		shim = sock_connect(en->shims_fd, socket, SOCK_SEQPACKET);
	if (shim >= 0)
		return err_set(
			e, ERR_CONFLICT,
			"container %.12s (%s) still runs, and was created with storage driver %s: start hoyd with "
			"--storage-driver %s and stop it before changing to %s",
			rec->id, rec->name, driver, driver, store_driver(en->store));
	log_warn("container %.12s: not restoring container because it was created with another storage driver (%s)",
		 rec->id, driver);
	strv_add(&en->foreign, rec->id);
	return 1;
}

static int load_container(void *ctx, const char *key, const char *text, struct err *e)
{
	struct engine *en = ctx;
	struct container_record rec = { 0 };
	struct container *c;
	int r = json_read(&container_record_type, text, strlen(text), NULL, &rec, e);

	if (r < 0)
		return err_wrap(e, r, "record of container %s", key);
	r = of_other_driver(en, &rec, e);
	if (r != 0) {
		json_done(&container_record_type, &rec);
		return r < 0 ? r : 0;
	}
	container_nets_settle(en, &rec);
	rec.state.removing = false; /* a removal that was cut short can be asked for again */
	c = container_new(en, &rec);
	container_insert(en, c);
	container_unref(c);
	return 0;
}

static int by_age(const void *a, const void *b)
{
	const struct container *x = *(struct container *const *)a, *y = *(struct container *const *)b;

	return (x->rec.created_ns < y->rec.created_ns) - (x->rec.created_ns > y->rec.created_ns);
}

/* Folders below docker/containers that no record owns are left-overs of a create or remove that a crash cut short. */
static void sweep_folders(struct engine *en)
{
	AUTO_STRV struct strv names = { 0 };

	if (dir_list(en->containers_fd, ".", &names) < 0)
		return;
	for (size_t i = 0; i < names.n; i++) {
		struct container *c = NULL;

		if (strv_has(&en->foreign, names.v[i]))
			continue;
		if (container_find(en, names.v[i], &c, NULL) == 0 && streq(c->id, names.v[i])) {
			container_unref(c);
			continue;
		}
		container_unref(c);
		log_info("removing docker/containers/%s: no record owns it", names.v[i]);
		(void)dir_remove(en->containers_fd, names.v[i]);
	}
}

static int load_containers(struct engine *en, struct err *e)
{
	int r = db_each(en->db, DB_CONTAINERS, load_container, en, e);

	if (r < 0)
		return r;
	if (en->n)
		qsort(en->containers, en->n, sizeof *en->containers, by_age);
	for (size_t i = 0; i < en->n; i++) {
		struct err why = ERR_INIT;
		const struct container_record *rec = &en->containers[i]->rec;

		if (rec->rw_layer && store_rw_claim(en->store, rec->rw_layer, rec->top, &why) < 0)
			log_warn("container %s: %s", rec->id, why.msg);
	}
	sweep_folders(en);
	return store_sweep(en->store, e);
}

static int start_network(struct engine *en, struct err *e)
{
	AUTO_CONTAINERS struct container_set all = { 0 };
	struct net_endpoint *v;
	size_t n = 0, most = 0;
	int r;

	container_set(en, &all);
	for (size_t i = 0; i < all.n; i++)
		most += all.v[i]->rec.endpoints.n;
	v = xcalloc(most + 1, sizeof *v);
	for (size_t i = 0; i < all.n; i++) {
		struct container *c = all.v[i];

		pthread_mutex_lock(&c->lock);
		for (size_t k = 0; k < c->rec.endpoints.n && c->rec.state.running; k++)
			json_copy(&net_endpoint_type, &v[n++], &c->rec.endpoints.v[k]);
		pthread_mutex_unlock(&c->lock);
	}
	r = net_start(en->net, v, n, e);
	for (size_t i = 0; i < n; i++)
		net_endpoint_done(&v[i]);
	free(v);
	return r;
}

static int open_network(struct engine *en, struct err *e)
{
	const struct engine_config *c = &en->config;
	struct net_config nc = {
		.instance = c->instance,
		.bridge = c->bridge,
		.bip = c->bip,
		.pools = c->default_address_pools,
		.default_ip = c->default_ip,
		.mtu = (int)c->mtu,
		.icc_off = c->no_icc,
		.ip_forward_off = c->no_ip_forward,
		.ip_masq_off = c->no_ip_masq,
		.firewall_off = c->no_iptables,
	};
	struct net_store keep = { .ctx = en, .save = save_network, .remove = remove_network, .load = load_networks };
	int r = 0;

	if (c->firewall_integration)
		r = net_firewall_parse(c->firewall_integration, &nc.integration, e);
	return r < 0 ? r : net_open(&nc, &keep, &en->net, e);
}

static int check_ulimits(const struct strv *v, struct err *e)
{
	for (size_t i = 0; i < v->n; i++) {
		struct docker_ulimit u = { 0 };
		int r = ulimit_parse(v->v[i], &u, e);

		if (r < 0)
			return r;
		json_done(&docker_ulimit_type, &u);
	}
	return 0;
}

static int daemon_id(struct engine *en, struct err *e)
{
	int r = db_get(en->db, DB_META, "daemon-id", &en->id, NULL);
	unsigned char b[16];
	char hex[33];

	if (r != -ENOENT)
		return r < 0 ? err_sys(e, r, "reading hoy.db") : 0;
	if (random_bytes(b, sizeof b) < 0)
		return err_set(e, ERR_SYSTEM, "no random bytes");
	hex_encode(b, sizeof b, hex);
	en->id = xasprintf("%.8s-%.4s-%.4s-%.4s-%.12s", hex, hex + 8, hex + 12, hex + 16, hex + 20);
	return db_put_one(en->db, DB_META, "daemon-id", en->id, e);
}

/* A container can have the shim's own program run inside of it (its command may be /proc/self/exe), find that process and open its
 * /proc/PID/exe for writing when it has ended: CVE-2019-5736. So shims are started from a read-only view of the programs' folder, made
 * once and seen by nobody else; it costs a start nothing. */
static char *shim_program(struct engine *en)
{
	struct k_mount_attr ro = { .attr_set = K_MOUNT_ATTR_RDONLY };

	en->programs_fd = sys_open_tree(AT_FDCWD, en->config.programs, OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC);
	if (en->programs_fd >= 0 && sys_mount_setattr(en->programs_fd, "", AT_EMPTY_PATH, &ro) == 0)
		return xasprintf("/proc/%d/fd/%d/hoy-shim", (int)getpid(), en->programs_fd);
	log_warn("hoy-shim cannot be protected from privileged containers: no read-only view of %s: %s",
		 en->config.programs, strerror(errno));
	return path_join(en->config.programs, "hoy-shim");
}

int engine_open(const struct engine_config *config, struct engine **ret, struct err *e)
{
	struct engine *en = xcalloc(1, sizeof *en);
	AUTO_FREE char *worker = path_join(config->programs, "hoy-worker");
	AUTO_FREE char *volumes = path_join(config->data_root, "volumes");
	struct volume_store vs = { .ctx = en, .save = save_volume, .remove = remove_volume };
	int r;

	en->config = *config;
	(void)act_cgroup_version(); /* looks once, while there is one thread */
	en->data_fd = en->exec_fd = en->containers_fd = en->shims_fd = en->programs_fd = -1;
	en->started_ns = time_now_ns();
	(void)pthread_mutex_init(&en->lock, NULL);
	(void)pthread_cond_init(&en->idle, NULL);
	(void)pthread_cond_init(&en->exec_changed, NULL);
	en->events = events_new();
	en->seccomp = seccomp_cache_new();
	en->threads = threads_new(THREAD_STACK);
	en->shim_program = shim_program(en);
	en->cgroup_parent = config->cgroup_parent
				    ? xasprintf("/%s", config->cgroup_parent + (*config->cgroup_parent == '/'))
				    : xasprintf("/docker%s%s", *config->instance ? "-" : "", config->instance);
	r = check_ulimits(&config->default_ulimits, e);
	if (r == 0 && config->signature_policy)
		r = trust_read(config->signature_policy, &en->trust, e);
	if (r == 0)
		r = open_folders(en, e);
	if (r == 0)
		r = db_open(config->data_root, &en->db, e);
	if (r == 0)
		r = daemon_id(en, e);
	if (r == 0) {
		struct store_opts so = {
			.root = config->data_root, .worker = worker, .driver = config->storage_driver, .db = en->db
		};

		r = store_open(&so, &en->store, e);
	}
	if (r == 0)
		r = engine_images_open(en, e);
	if (r == 0)
		r = volumes_open(volumes, &vs, &en->volumes, e);
	if (r == 0)
		r = db_each(en->db, DB_VOLUMES, load_volume, en, e);
	if (r == 0)
		volumes_sweep(en->volumes);
	if (r == 0)
		r = open_network(en, e);
	if (r == 0)
		r = load_containers(en, e);
	if (r == 0)
		r = shim_hub_new(&engine_shim_callbacks, &en->hub, e);
	if (r == 0)
		r = engine_recover(en, e);
	if (r == 0)
		r = start_network(en, e);
	if (r < 0) {
		engine_close(en);
		return r;
	}
	engine_start_by_policy(en);
	*ret = en;
	return 0;
}

struct threads *engine_threads(struct engine *en)
{
	return en->threads;
}

void engine_stop(struct engine *en)
{
	pthread_mutex_lock(&en->lock);
	en->closing = true;
	while (en->background > 0)
		pthread_cond_wait(&en->idle, &en->lock);
	pthread_mutex_unlock(&en->lock);
	engine_shims_move_out(en);
}

void engine_close(struct engine *en)
{
	if (!en)
		return;
	pthread_mutex_lock(&en->lock);
	en->closing = true;
	while (en->background > 0)
		pthread_cond_wait(&en->idle, &en->lock);
	pthread_mutex_unlock(&en->lock);
	events_free(en->events);
	trust_free(en->trust);
	shim_hub_free(en->hub);
	while (en->n)
		container_forget(en->containers[0]);
	free(en->containers);
	for (size_t i = 0; i < en->n_execs; i++)
		exec_free(en->execs[i]);
	free(en->execs);
	strv_done(&en->reserved_names);
	strv_done(&en->foreign);
	net_close(en->net);
	volumes_free(en->volumes);
	images_close(en->images);
	store_close(en->store);
	db_close(en->db);
	seccomp_cache_free(en->seccomp);
	threads_close(en->threads);
	fd_closep(&en->data_fd);
	fd_closep(&en->exec_fd);
	fd_closep(&en->containers_fd);
	fd_closep(&en->shims_fd);
	fd_closep(&en->programs_fd);
	free(en->shim_program);
	free(en->cgroup_parent);
	free(en->id);
	free(en);
}
