/* client.c - calls over a connection: send a request, read the answer's head; the body is read as the server's is. */
#include "http/conn.h"

#include "proc/proc.h"

#include <fcntl.h>
#include <netdb.h>
#include <poll.h>
#include <sys/socket.h>

struct http_conn *http_client_new(int fd, const char *host_header)
{
	struct http_conn *c = xcalloc(1, sizeof *c);

	c->fd = fd;
	c->host = xstrdup(host_header);
	c->minor = 1;
	c->keep_alive = true;
	return c;
}

static int connect_address(const struct addrinfo *a)
{
	AUTO_FD int fd = socket(a->ai_family, a->ai_socktype | SOCK_CLOEXEC, a->ai_protocol);

	if (fd < 0 || connect(fd, a->ai_addr, a->ai_addrlen) < 0)
		return -errno;
	return TAKE_FD(fd);
}

/* host:port, [v6]:port; the port may be missing */
static int connect_tcp(const char *address)
{
	const struct addrinfo hints = { .ai_socktype = SOCK_STREAM };
	AUTO_FREE char *host = xstrdup(*address == '[' ? address + 1 : address);
	char *end = *address == '[' ? strchr(host, ']') : strchr(host, ':');
	const char *port = "2375";
	struct addrinfo *list = NULL;
	int fd = -EHOSTUNREACH;

	if (end) {
		const char *colon = *end == ']' ? end + 1 : end;

		if (*colon == ':')
			port = colon + 1;
		*end = 0;
	}
	if (getaddrinfo(host, port, &hints, &list) != 0)
		return -EHOSTUNREACH;
	for (const struct addrinfo *a = list; a && fd < 0; a = a->ai_next)
		fd = connect_address(a);
	freeaddrinfo(list);
	return fd;
}

int http_connect(const char *host, struct http_conn **ret, struct err *e)
{
	const char *path = str_after(host, "unix://"), *tcp = str_after(host, "tcp://");
	int fd;

	if (!tcp)
		tcp = str_after(host, "http://");
	if (!path && !tcp)
		return err_set(e, ERR_INVALID, "unable to parse docker host `%s`", host);
	fd = path ? sock_connect(AT_FDCWD, path, SOCK_STREAM) : connect_tcp(tcp);
	if (fd == -EACCES || fd == -EPERM) {
		(void)err_set(e, ERR_FORBIDDEN,
			      "permission denied while trying to connect to the Docker daemon socket at %s", host);
		return fd;
	}
	if (fd < 0) {
		(void)err_set(e, ERR_UNAVAILABLE,
			      "Cannot connect to the Docker daemon at %s. Is the docker daemon running?", host);
		return fd;
	}
	*ret = http_client_new(fd, path ? "docker" : tcp);
	return 0;
}

static void add_request_head(struct http_conn *c, const struct http_call *call)
{
	struct strb *out = &c->out;

	strb_addf(out, "%s %s HTTP/1.1\r\nHost: %s\r\nUser-Agent: Hoy-Client/%s (linux)\r\n", call->method,
		  call->target, c->host, HOY_VERSION);
	for (size_t i = 0; call->headers && i < call->headers->n; i++)
		strb_addf(out, "%s: %s\r\n", call->headers->v[i].k, call->headers->v[i].v);
	if (call->upgrade)
		strb_adds(out, "Connection: Upgrade\r\nUpgrade: tcp\r\n");
	if (call->content_type || call->body)
		strb_addf(out, "Content-Type: %s\r\n", call->content_type ? call->content_type : "application/json");
	if (call->source)
		strb_adds(out, "Transfer-Encoding: chunked\r\n");
	else if (call->body || (!streq(call->method, "GET") && !streq(call->method, "HEAD")))
		strb_addf(out, "Content-Length: %zu\r\n", call->body ? call->n_body : 0);
	strb_adds(out, "\r\n");
}

static bool answer_waits(const struct http_conn *c)
{
	struct pollfd p = { .fd = c->fd, .events = POLLIN };

	return poll(&p, 1, 0) == 1;
}

/* The server may answer (an error, usually) before it has everything: then stop sending and listen. */
static int send_source(struct http_conn *c, const struct http_call *call)
{
	AUTO_FREE char *buf = xmalloc(65536);

	for (;;) {
		ssize_t n = call->source(call->source_ctx, buf, 65536);

		if (n < 0)
			return (int)n;
		if (!n)
			break;
		if (answer_waits(c)) {
			c->keep_alive = false;
			return 0;
		}
		http_conn_add_chunk(c, buf, (size_t)n);
		if (c->error)
			return 0;
	}
	strb_adds(&c->out, "0\r\n\r\n");
	(void)http_conn_flush(c);
	return 0;
}

static int read_answer(struct http_conn *c, struct http_response *ret, struct err *e)
{
	for (;;) {
		ssize_t head = http_conn_read_head(c, 0, 60 * 1000);
		int r;

		if (head <= 0)
			return err_set(e, ERR_UNAVAILABLE, "error during connect: %s",
				       head == 0 || head == -ECONNRESET ? "EOF" : strerror((int)-head));
		r = http_response_parse(c->in.s + c->pos, (size_t)head, ret, e);
		http_conn_use(c, (size_t)head);
		if (r < 0)
			return err_wrap(e, r, "malformed HTTP response");
		if (ret->status >= 200 || ret->status == 101)
			return 0;
		http_response_done(ret);
	}
}

int http_call(struct http_conn *c, const struct http_call *call, struct http_response *ret, struct err *e)
{
	bool cut, bodyless;
	int r;

	add_request_head(c, call);
	if (call->body && !call->source)
		strb_add(&c->out, call->body, call->n_body);
	(void)http_conn_flush(c);
	r = call->source ? send_source(c, call) : 0;
	if (r < 0)
		return err_sys(e, r, "sending the request's body");
	cut = c->error != 0;
	c->error = 0; /* a server that closed early may have said why */
	r = read_answer(c, ret, e);
	if (r < 0) {
		c->keep_alive = false;
		return r;
	}
	bodyless = streq(call->method, "HEAD") || ret->status == 204 || ret->status == 304 || ret->status == 101;
	c->keep_alive = c->keep_alive && !cut && ret->keep_alive && ret->status != 101;
	if (bodyless)
		http_conn_set_body(c, false, 0, false);
	else
		http_conn_set_body(c, ret->chunked, ret->content_length, true);
	if (c->body == BODY_TO_CLOSE)
		c->keep_alive = false;
	return 0;
}

bool http_client_reusable(const struct http_conn *c)
{
	return c->keep_alive && !c->error && !c->body_error && !c->taken && c->body == BODY_NONE;
}
