/* api.c - the table of routes, and what every request has in common: version, headers, errors. */
#include "api/request.h"

/* clang-format off */
/* Order matters: the first that fits. Plain paths stand before patterns that could match them. */
static const struct route routes[] = {
	{ "GET",    "/_ping",                        api_get_ping },
	{ "HEAD",   "/_ping",                        api_get_ping },
	{ "GET",    "/version",                      api_get_version },
	{ "GET",    "/info",                         api_get_info },
	{ "GET",    "/events",                       api_get_events },
	{ "GET",    "/system/df",                    api_get_df },
	{ "POST",   "/auth",                         api_auth },

	{ "GET",    "/containers/json",              api_containers_list },
	{ "POST",   "/containers/create",            api_containers_create },
	{ "POST",   "/containers/prune",             api_containers_prune },
	{ "GET",    "/containers/{name}/json",       api_containers_inspect },
	{ "GET",    "/containers/{name}/top",        api_containers_top },
	{ "GET",    "/containers/{name}/logs",       api_containers_logs },
	{ "GET",    "/containers/{name}/changes",    api_container_changes },
	{ "GET",    "/containers/{name}/export",     api_container_export },
	{ "GET",    "/containers/{name}/stats",      api_containers_stats },
	{ "GET",    "/containers/{name}/attach/ws",  NULL },
	{ "HEAD",   "/containers/{name}/archive",    api_archive_head },
	{ "GET",    "/containers/{name}/archive",    api_archive_get },
	{ "PUT",    "/containers/{name}/archive",    api_archive_put },
	{ "POST",   "/containers/{name}/start",      api_containers_start },
	{ "POST",   "/containers/{name}/stop",       api_containers_stop },
	{ "POST",   "/containers/{name}/restart",    api_containers_restart },
	{ "POST",   "/containers/{name}/kill",       api_containers_kill },
	{ "POST",   "/containers/{name}/pause",      api_containers_pause },
	{ "POST",   "/containers/{name}/unpause",    api_containers_unpause },
	{ "POST",   "/containers/{name}/wait",       api_containers_wait },
	{ "POST",   "/containers/{name}/rename",     api_containers_rename },
	{ "POST",   "/containers/{name}/resize",     api_containers_resize },
	{ "POST",   "/containers/{name}/attach",     api_containers_attach },
	{ "POST",   "/containers/{name}/update",     api_containers_update },
	{ "POST",   "/containers/{name}/exec",       api_exec_new },
	{ "DELETE", "/containers/{name}",            api_containers_remove },
	{ "POST",   "/commit",                       api_commit },

	{ "POST",   "/exec/{name}/start",            api_exec_run },
	{ "POST",   "/exec/{name}/resize",           api_exec_size },
	{ "GET",    "/exec/{name}/json",             api_exec_show },

	{ "POST",   "/hoy/images/gc",                api_hoy_gc },
	{ "POST",   "/hoy/images/heal",              api_hoy_heal },
	{ "POST",   "/hoy/images/verify",            api_hoy_verify },
	{ "GET",    "/images/json",                  api_image_list },
	{ "GET",    "/images/search",                api_image_search },
	{ "GET",    "/images/get",                   api_images_save },
	{ "POST",   "/images/create",                api_image_create },
	{ "POST",   "/images/load",                  api_image_load },
	{ "POST",   "/images/prune",                 api_image_prune },
	{ "GET",    "/images/{name}/json",           api_image_inspect },
	{ "GET",    "/images/{name}/history",        api_image_history },
	{ "GET",    "/images/{name}/get",            api_image_save },
	{ "POST",   "/images/{name}/push",           api_image_push },
	{ "POST",   "/images/{name}/tag",            api_image_tag },
	{ "DELETE", "/images/{name}",                api_image_remove },
	{ "POST",   "/build",                        NULL },
	{ "POST",   "/build/prune",                  NULL },
	{ "POST",   "/build/cancel",                 NULL },
	{ "POST",   "/session",                      NULL },
	{ "POST",   "/grpc",                         NULL },
	{ "POST",   "/hoy/images/copy",              api_image_copy },
	{ "GET",    "/distribution/{name}/json",     api_distribution_inspect },

	{ "GET",    "/volumes",                      api_volume_list },
	{ "POST",   "/volumes/create",               api_volume_create },
	{ "POST",   "/volumes/prune",                api_volume_prune },
	{ "GET",    "/volumes/{name}",               api_volume_inspect },
	{ "PUT",    "/volumes/{name}",               api_swarm_absent },
	{ "DELETE", "/volumes/{name}",               api_volume_remove },

	{ "GET",    "/networks",                     api_network_list },
	{ "GET",    "/networks/",                    api_network_list },
	{ "POST",   "/networks/create",              api_network_create },
	{ "POST",   "/networks/prune",               api_network_prune },
	{ "POST",   "/networks/{name}/connect",      api_network_connect },
	{ "POST",   "/networks/{name}/disconnect",   api_network_disconnect },
	{ "GET",    "/networks/{name}",              api_network_inspect },
	{ "DELETE", "/networks/{name}",              api_network_remove },

	{ "GET",    "/plugins",                      api_plugins_list },
	{ "POST",   "/swarm/init",                   NULL },
	{ "POST",   "/swarm/join",                   NULL },
	{ "POST",   "/swarm/leave",                  api_swarm_leave },
	{ "POST",   "/swarm/update",                 api_swarm_absent },
	{ "POST",   "/swarm/unlock",                 api_swarm_absent },
	{ "GET",    "/swarm/unlockkey",              api_swarm_absent },
	{ "GET",    "/swarm",                        api_swarm_absent },
	{ "GET",    "/nodes",                        api_swarm_absent },
	{ "GET",    "/nodes/{name}",                 api_swarm_absent },
	{ "DELETE", "/nodes/{name}",                 api_swarm_absent },
	{ "POST",   "/nodes/{name}/update",          api_swarm_absent },
	{ "GET",    "/services",                     api_swarm_absent },
	{ "POST",   "/services/create",              api_swarm_absent },
	{ "GET",    "/services/{name}/logs",         api_swarm_absent },
	{ "GET",    "/services/{name}",              api_swarm_absent },
	{ "DELETE", "/services/{name}",              api_swarm_absent },
	{ "POST",   "/services/{name}/update",       api_swarm_absent },
	{ "GET",    "/tasks",                        api_swarm_absent },
	{ "GET",    "/tasks/{name}/logs",            api_swarm_absent },
	{ "GET",    "/tasks/{name}",                 api_swarm_absent },
	{ "GET",    "/secrets",                      api_swarm_absent },
	{ "POST",   "/secrets/create",               api_swarm_absent },
	{ "GET",    "/secrets/{name}",               api_swarm_absent },
	{ "DELETE", "/secrets/{name}",               api_swarm_absent },
	{ "POST",   "/secrets/{name}/update",        api_swarm_absent },
	{ "GET",    "/configs",                      api_swarm_absent },
	{ "POST",   "/configs/create",               api_swarm_absent },
	{ "GET",    "/configs/{name}",               api_swarm_absent },
	{ "DELETE", "/configs/{name}",               api_swarm_absent },
	{ "POST",   "/configs/{name}/update",        api_swarm_absent },
};
/* clang-format on */

/* "1.51.1": something other than zeros stands behind the minor number */
static bool patched(const char *text, size_t n)
{
	const char *dot = memchr(text, '.', n);
	const char *second = dot ? memchr(dot + 1, '.', (size_t)(text + n - dot - 1)) : NULL;

	for (const char *p = second; p && p < text + n; p++)
		if (*p != '.' && *p != '0')
			return true;
	return false;
}

/* dockerd answers clients older than it knows in plain text: they may not read JSON errors. */
static bool version_refused(struct request *q, int64_t major, int64_t minor, const char *text, size_t n)
{
	struct err e = ERR_INIT;

	if (!text)
		return false;
	if (major < 1 || (major == 1 && minor < API_MIN_MINOR)) {
		AUTO_FREE char *say = xasprintf(
			"client version %.*s is too old. Minimum supported API version is %s, please upgrade "
			"your client to a newer version\n",
			(int)MIN(n, (size_t)200), text, API_MIN_VERSION);

		http_set_header(q->conn, "X-Content-Type-Options", "nosniff");
		(void)http_reply(q->conn, 400, "text/plain; charset=utf-8", say, strlen(say));
		return true;
	}
	if (major > 1 || minor > API_VERSION_MINOR || (minor == API_VERSION_MINOR && patched(text, n))) {
		int r = err_set(&e, ERR_INVALID, "client version %.*s is too new. Maximum supported API version is %s",
				(int)MIN(n, (size_t)200), text, API_VERSION);

		api_reply_error(q, r, &e);
		return true;
	}
	q->minor = (unsigned)minor;
	return false;
}

/* dockerd's router sends "//" and "." elements back to the clean path. */
static bool redirected(struct request *q)
{
	const char *path = q->http->raw_path, *query = strchr(q->http->target, '?');
	AUTO_FREE char *clean = NULL;
	AUTO_FREE char *location = NULL;

	if (*path != '/' || (!strstr(path, "//") && !strstr(path, "/.")))
		return false;
	clean = path_clean(path);
	location = xasprintf("%s%s%s", clean, str_ends(path, "/") && clean[1] ? "/" : "", query ? query : "");
	if (streq(location, q->http->target))
		return false;
	http_set_header(q->conn, "Location", location);
	(void)api_reply_empty(q, 301);
	return true;
}

static int not_implemented(struct request *q, struct err *e)
{
	return err_set(e, ERR_NOT_IMPLEMENTED, "%s %s is not implemented by this engine yet", q->http->method,
		       q->http->path);
}

void api_handle(struct http_conn *c, const struct http_request *rq, void *ctx)
{
	const struct api *api = ctx;
	struct request q = { .conn = c, .http = rq, .engine = api->engine, .minor = API_VERSION_MINOR };
	struct err e = ERR_INIT;
	int64_t major, minor;
	const char *version;
	size_t n_version;
	const char *path = api_route_version(rq->path, &major, &minor, &version, &n_version);
	const struct route *route = api_route_find(routes, ARRAY_LEN(routes), rq->method, path, &q.name);
	int r;

	http_set_header(c, "Server", "Hoy/" HOY_VERSION " (linux)");
	if (redirected(&q)) {
		free(q.name);
		return;
	}
	if (!route && streq(rq->method, "OPTIONS")) {
		(void)api_reply_empty(&q, 200);
		return;
	}
	if (!route) {
		r = err_set(&e, ERR_NOT_FOUND, "page not found");
		api_reply_error(&q, r, &e);
		return;
	}
	http_set_header(c, "Api-Version", API_VERSION);
	http_set_header(c, "Ostype", "linux");
	if (!version_refused(&q, major, minor, version, n_version)) {
		http_set_header(c, "Docker-Experimental", "false");
		r = rq->query_fault ? err_set(&e, ERR_INVALID, "%s", rq->query_fault)
				    : (route->handle ? route->handle : not_implemented)(&q, &e);
		if (r < 0)
			api_reply_error(&q, r, &e);
	}
	free(q.name);
	strb_done(&q.unread);
}
