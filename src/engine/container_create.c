/* container_create.c - from a client's request and an image to a record. Nothing runs yet. */
#include "act/act.h"
#include "engine/container_check.h"
#include "engine/container_mounts.h"
#include "plan/defaults.h"
#include "plan/plan.h"
#include "schema/platform.h"

#include <fcntl.h>
#include <sys/stat.h>

/* What the image says where the client says nothing (moby: merge()). */
static void merge_env(struct strv *env, const struct strv *image)
{
	AUTO_STRV struct strv merged = { 0 };

	for (size_t i = 0; i < image->n; i++) {
		AUTO_FREE char *key = xstrndup(image->v[i], strcspn(image->v[i], "="));
		bool set = false;

		for (size_t k = 0; k < env->n && !set; k++)
			set = strncmp(env->v[k], key, strlen(key)) == 0 &&
			      (env->v[k][strlen(key)] == '=' || !env->v[k][strlen(key)]);
		if (!set)
			strv_add(&merged, image->v[i]);
	}
	strv_addv(env, &merged);
}

static void merge_set(struct strv *to, const struct strv *from)
{
	for (size_t i = 0; i < from->n; i++)
		if (!strv_has(to, from->v[i]))
			strv_add(to, from->v[i]);
}

static void take_default(char **at, const char *v)
{
	if (str_empty(*at) && v) {
		free(*at);
		*at = xstrdup(v);
	}
}

static void merge(struct docker_config *c, const struct oci_config *i)
{
	take_default(&c->user, i->user);
	merge_set(&c->exposed_ports, &i->ports);
	merge_env(&c->env, &i->env);
	if (!c->labels.v)
		c->labels.v = xcalloc(1, sizeof *c->labels.v); /* {}, never null */
	for (size_t k = 0; k < i->labels.n; k++)
		if (!strmap_get(&c->labels, i->labels.v[k].k))
			strmap_set(&c->labels, i->labels.v[k].k, i->labels.v[k].v);
	if (!c->entrypoint.n && !c->cmd.n)
		strv_copy(&c->cmd, &i->cmd);
	if (c->entrypoint.n == 1 && !*c->entrypoint.v[0]) /* --entrypoint "" resets the image's */
		strv_done(&c->entrypoint);
	else if (!c->entrypoint.v) /* [] is an answer, null is not */
		strv_copy(&c->entrypoint, &i->entrypoint);
	if (!c->healthcheck && i->health) {
		AUTO_STRB struct strb text = STRB_INIT;

		json_write(&oci_health_type, i->health, JSON_LATEST, &text);
		c->healthcheck = xcalloc(1, sizeof *c->healthcheck);
		(void)json_read(&docker_healthcheck_type, text.s, text.len, NULL, c->healthcheck, NULL);
	}
	take_default(&c->working_dir, i->workdir);
	merge_set(&c->volumes, &i->volumes);
	take_default(&c->stop_signal, i->stop_signal);
}

static void set_oint(struct json_oint *o, int64_t v)
{
	if (!o->set)
		*o = (struct json_oint){ true, v };
}

/* The daemon's --default-ulimit, for what the client does not name. The texts were checked when the engine was opened. */
static void fill_ulimits(const struct engine_config *ec, struct docker_host_config *h)
{
	for (size_t i = 0; i < ec->default_ulimits.n; i++) {
		struct docker_ulimit u = { 0 };
		bool named = false;

		if (ulimit_parse(ec->default_ulimits.v[i], &u, NULL) < 0)
			continue;
		for (size_t k = 0; k < h->ulimits.n; k++)
			named |= streq(h->ulimits.v[k].name, u.name);
		if (named) {
			json_done(&docker_ulimit_type, &u);
		} else {
			struct docker_ulimit *row = (struct docker_ulimit *)VEC_ADD(&h->ulimits);

			*row = u;
		}
	}
}

/* What dockerd fills in before it stores a HostConfig. */
static void fill_host(struct engine *en, struct docker_host_config *h)
{
	const struct engine_config *ec = &en->config;

	if (h->shm_size == 0)
		h->shm_size = ec->default_shm_size ? ec->default_shm_size : 64LL * 1024 * 1024;
	if (h->memory > 0 && h->memory_swap == 0)
		h->memory_swap = h->memory > INT64_MAX / 2 ? INT64_MAX : h->memory * 2;
	if (h->memory_swappiness.set && h->memory_swappiness.v == -1)
		h->memory_swappiness = (struct json_oint){ 0 };
	if (h->pids_limit.set && h->pids_limit.v <= 0)
		h->pids_limit = (struct json_oint){ 0 };
	take_default(&h->ipc_mode, ec->default_ipc_mode ? ec->default_ipc_mode : "private");
	take_default(&h->cgroupns_mode, h->privileged                           ? "host"
					: ec->default_cgroupns                  ? ec->default_cgroupns
					: act_cgroup_version() == ACT_CGROUP_V2 ? "private"
										: "host");
	if (str_empty(h->network_mode) || streq(h->network_mode, "default")) {
		free(h->network_mode);
		h->network_mode = xstrdup("bridge");
	}
	fill_ulimits(ec, h);
	take_default(&h->restart_policy.name, "no");
	take_default(&h->runtime, "runc");
	if (str_empty(h->log_config.type)) {
		free(h->log_config.type);
		h->log_config.type = xstrdup(ec->log_driver ? ec->log_driver : "json-file");
		if (!h->log_config.config.n)
			strmap_copy(&h->log_config.config, &ec->log_opts);
		if (!h->log_config.config.v)
			h->log_config.config.v = xcalloc(1, sizeof *h->log_config.config.v); /* {}, never null */
	}
	if (!h->oom_kill_disable.set)
		h->oom_kill_disable = (struct json_obool){ true, false };
	set_oint(&h->memory_swappiness, -1);
	if (h->memory_swappiness.v == -1)
		h->memory_swappiness.set = false;
	if (!h->init.set && ec->init)
		h->init = (struct json_obool){ true, true };
	/* where the host's processes or memory are shared, labels would only be in the way */
	if (!h->security_opt.n && (h->privileged || streq(h->ipc_mode, "host") || streq(h->pid_mode, "host")))
		strv_add(&h->security_opt, "label=disable");
	if (h->privileged) {
		strv_done(&h->masked_paths);
		strv_done(&h->readonly_paths);
	}
}

static int fill_paths(struct docker_host_config *h, struct err *e)
{
	struct oci_spec spec = { 0 };
	struct security s;
	int r = security_parse(&h->security_opt, &s, e);

	if (r < 0 || h->privileged || s.systempaths_unconfined)
		return r;
	spec_docker_default(&(struct spec_defaults){ .cgroup_version = act_cgroup_version() }, &spec);
	if (!h->masked_paths.v)
		strv_copy(&h->masked_paths, &spec.linux_.masked_paths);
	if (!h->readonly_paths.v)
		strv_copy(&h->readonly_paths, &spec.linux_.readonly_paths);
	json_done(&oci_spec_type, &spec);
	return 0;
}

static void fill_command(struct container_record *rec)
{
	struct strv all = { 0 };

	strv_addv(&all, &rec->config.entrypoint);
	strv_addv(&all, &rec->config.cmd);
	rec->path = xstrdup(all.v[0]);
	for (size_t i = 1; i < all.n; i++)
		strv_add(&rec->args, all.v[i]);
	strv_done(&all);
}

static void warn(struct docker_container_create_response *ret, const struct container_record *rec)
{
	const struct docker_host_config *h = &rec->host;

	if (!str_empty(rec->config.mac_address))
		strv_add(&ret->warnings,
			 "The container-wide MacAddress field is now deprecated. It should be specified in "
			 "EndpointsConfig instead.");
	if (rec->config.healthcheck && rec->config.healthcheck->test.n &&
	    !streq(rec->config.healthcheck->test.v[0], "NONE"))
		strv_add(&ret->warnings, "Health checks are kept, but not run by this version of hoyd.");
	if (h->port_bindings.n && (streq(h->network_mode, "host") || streq(h->network_mode, "none")))
		strv_add(&ret->warnings, "Published ports are discarded when using host network mode");
}

/* Whose namespace is joined must be known by now; "container:NAME" is stored by id, which a rename does not change. */
static int resolve_others(struct engine *en, struct docker_host_config *h, struct err *e)
{
	char **modes[] = { &h->ipc_mode, &h->pid_mode, &h->network_mode };

	for (size_t i = 0; i < ARRAY_LEN(modes); i++) {
		AUTO_CONTAINER struct container *other = NULL;
		const char *ref = str_after(*modes[i], "container:");
		int r = str_empty(ref) ? 0 : container_find(en, ref, &other, e);

		if (r < 0 && i < 2) { /* of the network dockerd speaks at start */
			e->kind = ERR_INVALID;
			return r;
		}
		if (r < 0)
			*e = (struct err)ERR_INIT;
		if (other && modes[i] == &h->network_mode) {
			free(*modes[i]);
			*modes[i] = xasprintf("container:%s", other->id);
		}
	}
	return 0;
}

static int make_folder(struct engine *en, const char *id, struct err *e)
{
	AUTO_FD int fd = -1;

	if (mkdirat(en->containers_fd, id, 0710) < 0)
		return err_sys(e, -errno, "making the folder of container %s", id);
	fd = dir_open(en->containers_fd, id);
	return fd < 0 ? err_sys(e, fd, "opening the folder of container %s", id) : 0;
}

static const struct docker_config *request_config(const struct docker_container_create_request *req)
{
	return (const struct docker_config *)req; /* docker_request_config() for a const request */
}

static int build_record(struct engine *en, const struct docker_container_create_request *req, const struct image *image,
			struct container_record *rec, struct err *e)
{
	const struct docker_config *config = request_config(req);
	int r;

	json_copy(&docker_config_type, &rec->config, config);
	json_copy(&docker_host_config_type, &rec->host, &req->host_config);
	json_copy(&docker_networking_config_type, &rec->networking, &req->networking_config);
	merge(&rec->config, &image->oci.config);
	if (!rec->config.entrypoint.n && !rec->config.cmd.n)
		return err_set(e, ERR_INVALID, "no command specified");
	fill_host(en, &rec->host);
	r = container_check(&rec->config, &rec->host, e);
	if (r == 0)
		r = endpoints_check(en->net, &rec->networking, e);
	if (r == 0)
		r = resolve_others(en, &rec->host, e);
	if (r == 0)
		r = fill_paths(&rec->host, e);
	if (r < 0)
		return r;
	for (size_t i = 0; i < rec->networking.endpoints_config.n; i++)
		endpoint_forget_state((struct docker_endpoint_settings *)&rec->networking.endpoints_config.v[i].val);
	container_nets_settle(en, rec);
	rec->image = xstrdup(image->id);
	rec->top = xstrdup(image->top);
	if (str_empty(rec->config.hostname)) {
		char host[256] = "";

		(void)gethostname(host, sizeof host - 1);
		free(rec->config.hostname);
		rec->config.hostname = streq(rec->host.network_mode, "host") ? xstrdup(host) : xstrndup(rec->id, 12);
	}
	fill_command(rec);
	return container_resolve_mounts(en, rec, e);
}

static int reserve_name(struct engine *en, const char *asked, const char *id, char **ret, struct err *e)
{
	if (!str_empty(asked)) {
		*ret = xstrdup(*asked == '/' ? asked + 1 : asked);
		return container_name_reserve(en, asked, id, e);
	}
	for (int i = 0; i < 32; i++) {
		AUTO_FREE char *name = name_generate();

		if (i > 6) { /* crowded: add a number */
			char *longer = xasprintf("%s%d", name, i - 6);

			free(name);
			name = longer;
		}
		if (container_name_reserve(en, name, id, e) == 0) {
			*ret = TAKE_PTR(name);
			return 0;
		}
	}
	*ret = xstrndup(id, 12);
	return container_name_reserve(en, *ret, id, e);
}

static void undo(struct engine *en, struct container_record *rec)
{
	if (rec->rw_layer)
		store_rw_remove(en->store, rec->rw_layer);
	(void)dir_remove(en->containers_fd, rec->id);
	for (size_t i = 0; i < rec->mounts.n; i++)
		if (rec->mounts.v[i].anonymous && rec->mounts.v[i].name)
			(void)volume_remove(en->volumes, rec->mounts.v[i].name, NULL);
}

static int platform_check(const struct oci_platform *want, const struct image *image, const char *ref, struct err *e)
{
	const struct oci_image *i = &image->oci;
	AUTO_FREE char *asked = platform_text(want);

	if (!want->os || platform_match(want, &(struct oci_platform){ .os = i->os ? i->os : (char[]){ "linux" },
								      .architecture = i->architecture,
								      .variant = i->variant }) >= 0)
		return 0;
	return err_set(e, ERR_NOT_FOUND,
		       "image with reference %s was found but its platform (%s/%s) does not match the specified "
		       "platform (%s)",
		       ref, str_empty(i->os) ? "linux" : i->os, i->architecture, asked);
}

int container_create(struct engine *en, const char *name, const char *platform,
		     const struct docker_container_create_request *req, struct docker_container_create_response *ret,
		     struct err *e)
{
	AUTO_IMAGE struct image *image = NULL;
	AUTO_FREE char *reserved = NULL;
	struct oci_platform wanted = { 0 };
	struct container_record rec = { 0 };
	char id[65];
	int r;

	r = str_empty(platform) ? 0 : platform_parse(platform, &wanted, e);
	if (r == 0 && str_empty(req->image))
		r = err_set(e, ERR_INVALID, "no image specified");
	if (r == 0)
		r = image_find(en->images, req->image, &image, e);
	if (r == 0)
		r = platform_check(&wanted, image, req->image, e);
	json_done(&oci_platform_type, &wanted);
	if (r < 0)
		return r;
	id_new(id);
	r = reserve_name(en, name, id, &reserved, e);
	if (r < 0)
		return r;
	rec.id = xstrdup(id);
	rec.name = xstrdup(reserved);
	rec.created_ns = time_now_ns();
	rec.driver = xstrdup(store_driver(en->store));
	r = build_record(en, req, image, &rec, e);
	if (r == 0)
		r = make_folder(en, id, e);
	if (r == 0)
		r = store_rw_create(en->store, image->top, 0, 0, &rec.rw_layer, e);
	if (r == 0) {
		AUTO_STRB struct strb text = STRB_INIT;

		json_write(&container_record_type, &rec, JSON_LATEST, &text);
		r = db_put_one(en->db, DB_CONTAINERS, id, text.s, e);
	}
	if (r < 0) {
		undo(en, &rec);
	} else {
		struct container *c;

		ret->id = xstrdup(id);
		warn(ret, &rec);
		c = container_new(en, &rec);
		image_use(en->images, c->rec.image);
		container_insert(en, c);
		container_event(c, "create", NULL);
		container_unref(c);
	}
	container_name_release(en, reserved);
	json_done(&container_record_type, &rec);
	return r;
}
