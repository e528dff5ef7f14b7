/* client.c - one API call after another over a kept connection. */
#include "client/client.h"
#include "http/http.h"
#include "json/json.h"

#include <sys/stat.h>

#define ANSWER_MAX (64u << 20)
#define ERROR_MAX (1u << 20)

struct client {
	char *host;
	struct http_conn *idle; /* a connection whose last answer was read to its end */
	char version[16];
	bool negotiated;
};
struct answer {
	struct client *c;
	struct http_conn *conn;
	struct http_response head;
};

static bool is_socket(const char *path)
{
	struct stat st;

	return stat(path, &st) == 0 && S_ISSOCK(st.st_mode);
}

static char *default_host(void)
{
	const char *const names[] = { "HOY_HOST", "DOCKER_HOST" };

	for (size_t i = 0; i < ARRAY_LEN(names); i++)
		if (!str_empty(getenv(names[i])))
			return xstrdup(getenv(names[i]));
	if (!is_socket("/run/hoy/hoy.sock") && is_socket("/var/run/docker.sock"))
		return xstrdup("unix:///var/run/docker.sock");
	return xstrdup("unix:///run/hoy/hoy.sock");
}

int client_new(const char *host, struct client **ret, struct err *e)
{
	AUTO_FREE char *address = host ? xstrdup(host) : default_host();
	struct client *c;

	if (*address == '/') {
		char *full = xasprintf("unix://%s", address);

		free(address);
		address = full;
	}
	if (!str_after(address, "unix://") && !str_after(address, "tcp://"))
		return err_set(e, ERR_INVALID, "unable to parse docker host `%s`", address);
	c = xcalloc(1, sizeof *c);
	c->host = TAKE_PTR(address);
	*ret = c;
	return 0;
}

void client_free(struct client *c)
{
	if (!c)
		return;
	http_conn_free(c->idle);
	free(c->host);
	free(c);
}

const char *client_version(const struct client *c)
{
	return c->version;
}
static enum err_kind kind_of(int status)
{
	switch (status) {
	case 304:
		return ERR_NOT_MODIFIED;
	case 400:
		return ERR_INVALID;
	case 401:
		return ERR_UNAUTHORIZED;
	case 403:
		return ERR_FORBIDDEN;
	case 404:
		return ERR_NOT_FOUND;
	case 408:
		return ERR_TIMEOUT;
	case 409:
		return ERR_CONFLICT;
	case 501:
		return ERR_NOT_IMPLEMENTED;
	case 503:
		return ERR_UNAVAILABLE;
	default:
		return ERR_SYSTEM;
	}
}

static int unreachable(const struct client *c, struct err *e)
{
	if (e && (e->sys == -EACCES || e->sys == -EPERM))
		return err_set(e, ERR_FORBIDDEN,
			       "permission denied while trying to connect to the Docker daemon socket at %s", c->host);
	return err_set(e, ERR_UNAVAILABLE, "Cannot connect to the Docker daemon at %s. Is the docker daemon running?",
		       c->host);
}

static int connection(struct client *c, struct http_conn **ret, struct err *e)
{
	struct err why = ERR_INIT;

	if (c->idle) {
		*ret = TAKE_PTR(c->idle);
		return 0;
	}
	if (http_connect(c->host, ret, &why) < 0) {
		if (e)
			*e = why;
		return unreachable(c, e);
	}
	return 0;
}

static ssize_t read_upload(void *ctx, void *buf, size_t n)
{
	ssize_t r;

	do
		r = read(*(int *)ctx, buf, n);
	while (r < 0 && errno == EINTR);
	return r < 0 ? -errno : r;
}

static void answer_finish(struct answer *a)
{
	if (a->conn && http_client_reusable(a->conn) && !a->c->idle)
		a->c->idle = TAKE_PTR(a->conn);
	http_conn_free(a->conn);
	http_response_done(&a->head);
	free(a);
}

const char *answer_header(const struct answer *a, const char *name)
{
	return http_header(&a->head.headers, name);
}

void answer_free(struct answer *a)
{
	if (a)
		answer_finish(a);
}

/* The daemon's own words: {"message": ...}, or the text as it is. */
static int daemon_error(struct answer *a, struct err *e)
{
	AUTO_FREE char *text = NULL;
	size_t n = 0;
	struct jval *tree = NULL;
	int status = a->head.status, r;

	if (http_body_text(a->conn, ERROR_MAX, &text, &n) < 0 || !text)
		text = xstrdup("");
	while (n && text[n - 1] == '\n')
		text[--n] = '\0';
	if (jval_parse(text, n, &json_limits_default, &tree, NULL) >= 0 && *jval_str(jval_get(tree, "message")))
		r = err_set(e, kind_of(status), "Error response from daemon: %s", jval_str(jval_get(tree, "message")));
	else
		r = err_set(e, kind_of(status), "Error response from daemon: %s", n ? text : http_reason(status));
	jval_free(tree);
	return r;
}

static int send_call(struct client *c, const struct client_call *call, const char *target, struct answer **ret,
		     struct err *e)
{
	int fd = call->upload;
	struct http_call hc = { .method = call->method ? call->method : "GET",
				.target = target,
				.headers = call->headers,
				.body = call->body,
				.n_body = call->body ? strlen(call->body) : 0,
				.content_type = call->upload > 0 ? call->type : NULL,
				.source = call->upload > 0 ? read_upload : NULL,
				.source_ctx = &fd,
				.upgrade = call->upgrade };
	struct answer *a;
	struct http_conn *conn = NULL;
	struct http_response head = { 0 };
	bool kept = c->idle != NULL;
	int r = connection(c, &conn, e);

	if (r < 0)
		return r;
	r = http_call(conn, &hc, &head, e);
	if (r < 0) {
		http_conn_free(conn);
		/* a daemon may close a kept connection at any time; what has a body is not sent twice */
		if (kept && !call->upload)
			return send_call(c, call, target, ret, e);
		return r;
	}
	a = xcalloc(1, sizeof *a);
	*a = (struct answer){ .c = c, .conn = conn, .head = head };
	*ret = a;
	return 0;
}

/* The newest version of both: "1.44" is older than "1.51"; majors have always been 1. */
static void version_choose(struct client *c, const char *offered)
{
	const char *forced = getenv("DOCKER_API_VERSION");
	uint32_t theirs = 24, ours = 0;

	if (!str_empty(forced)) {
		(void)snprintf(c->version, sizeof c->version, "%s", *forced == 'v' ? forced + 1 : forced);
		return;
	}
	(void)str_to_u32(CLIENT_API_MAX + 2, 10, &ours);
	if (offered && str_after(offered, "1."))
		(void)str_to_u32(offered + 2, 10, &theirs);
	(void)snprintf(c->version, sizeof c->version, "1.%u", MIN(theirs, ours));
}

int client_negotiate(struct client *c, struct err *e)
{
	struct answer *a = NULL;
	char drain[256];
	int r;

	if (c->negotiated)
		return 0;
	r = send_call(c, &(struct client_call){ .method = "GET" }, "/_ping", &a, e);
	if (r < 0)
		return r;
	version_choose(c, http_header(&a->head.headers, "Api-Version"));
	while (http_body_read(a->conn, drain, sizeof drain) > 0)
		;
	answer_free(a);
	c->negotiated = true;
	return 0;
}

int client_start(struct client *c, const struct client_call *call, struct answer **ret, struct err *e)
{
	AUTO_FREE char *target = NULL;
	struct answer *a = NULL;
	int r = client_negotiate(c, e);

	if (r < 0)
		return r;
	target = xasprintf("/v%s%s", c->version, call->path);
	r = send_call(c, call, target, &a, e);
	if (r < 0)
		return r;
	if (a->head.status >= 400) {
		r = daemon_error(a, e);
		answer_free(a);
		return r;
	}
	*ret = a;
	return 0;
}

ssize_t answer_read(struct answer *a, void *buf, size_t n)
{
	return http_body_read(a->conn, buf, n);
}

int answer_hijack(struct answer *a, int *ret_fd, struct strb *ret_unread)
{
	return http_detach(a->conn, ret_fd, ret_unread);
}

int client_text(struct client *c, const struct client_call *call, char **ret, size_t *ret_n, struct err *e)
{
	struct answer *a = NULL;
	AUTO_FREE char *text = NULL;
	size_t n = 0;
	int r = client_start(c, call, &a, e);

	if (r < 0)
		return r;
	r = http_body_text(a->conn, ANSWER_MAX, &text, &n);
	answer_free(a);
	if (r < 0)
		return err_sys(e, r, "reading the daemon's answer");
	if (ret)
		*ret = TAKE_PTR(text);
	if (ret_n)
		*ret_n = n;
	return 0;
}
