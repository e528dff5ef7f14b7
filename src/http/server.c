/* server.c - requests one after another on a connection: read the head, call the handler, see that exactly one answer went out. */
#include "http/conn.h"

#include <linux/sockios.h>
#include <sys/ioctl.h>
#include <poll.h>
#include <strings.h>
#include <sys/socket.h>

#define DRAIN_MAX (256 * 1024)

static const struct {
	int status;
	const char *reason;
} reasons[] = {
	{ 100, "Continue" },
	{ 101, "Switching Protocols" },
	{ 200, "OK" },
	{ 201, "Created" },
	{ 202, "Accepted" },
	{ 204, "No Content" },
	{ 301, "Moved Permanently" },
	{ 304, "Not Modified" },
	{ 400, "Bad Request" },
	{ 401, "Unauthorized" },
	{ 403, "Forbidden" },
	{ 404, "Not Found" },
	{ 405, "Method Not Allowed" },
	{ 408, "Request Timeout" },
	{ 409, "Conflict" },
	{ 413, "Request Entity Too Large" },
	{ 416, "Requested Range Not Satisfiable" },
	{ 431, "Request Header Fields Too Large" },
	{ 500, "Internal Server Error" },
	{ 501, "Not Implemented" },
	{ 503, "Service Unavailable" },
	{ 505, "HTTP Version Not Supported" },
};

const char *http_reason(int status)
{
	for (size_t i = 0; i < ARRAY_LEN(reasons); i++)
		if (reasons[i].status == status)
			return reasons[i].reason;
	return "Status";
}

void http_set_header(struct http_conn *c, const char *name, const char *value)
{
	AUTO_STRB struct strb clean = STRB_INIT;

	for (const char *s = value; *s; s++)
		if (*s != '\r' && *s != '\n')
			strb_addc(&clean, *s);
	for (size_t i = 0; i < c->headers.n; i++)
		if (strcasecmp(c->headers.v[i].k, name) == 0) {
			free(c->headers.v[i].v);
			c->headers.v[i].v = strb_take(&clean);
			return;
		}
	strmap_set(&c->headers, name, strb_str(&clean));
}

static void add_date(struct strb *out)
{
	static const char days[][4] = { "Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat" };
	static const char months[][4] = { "Jan", "Feb", "Mar", "Apr", "May", "Jun",
					  "Jul", "Aug", "Sep", "Oct", "Nov", "Dec" };
	time_t now = time(NULL);
	struct tm t = { 0 };

	if (gmtime_r(&now, &t))
		strb_addf(out, "Date: %s, %02d %s %d %02d:%02d:%02d GMT\r\n", days[t.tm_wday], t.tm_mday,
			  months[t.tm_mon], t.tm_year + 1900, t.tm_hour, t.tm_min, t.tm_sec);
}

/* Would reading what the client still wants to send be too much? Then the connection cannot go on, and the answer says so. */
static bool body_too_long_to_drain(const struct http_conn *c)
{
	return c->body_error ||
	       (c->body != BODY_NONE && (c->want_continue || (c->body == BODY_LENGTH && c->left > DRAIN_MAX)));
}

static void add_head(struct http_conn *c, int status, const char *content_type)
{
	if (!c->body_shared && body_too_long_to_drain(c))
		c->keep_alive = false;
	strb_addf(&c->out, "HTTP/1.1 %d %s\r\n", status, http_reason(status));
	for (size_t i = 0; i < c->headers.n; i++)
		strb_addf(&c->out, "%s: %s\r\n", c->headers.v[i].k, c->headers.v[i].v);
	if (content_type)
		strb_addf(&c->out, "Content-Type: %s\r\n", content_type);
	add_date(&c->out);
	if (!c->keep_alive)
		strb_adds(&c->out, "Connection: close\r\n");
}

int http_reply(struct http_conn *c, int status, const char *content_type, const void *body, size_t n)
{
	bool bodyless = status == 204 || status == 304 || status < 200;

	if (c->progress != REPLY_NONE || c->taken)
		return -EALREADY;
	add_head(c, status, content_type);
	if (!bodyless)
		strb_addf(&c->out, "Content-Length: %zu\r\n", n);
	strb_adds(&c->out, "\r\n");
	c->progress = REPLY_DONE;
	if (bodyless || c->head_only)
		n = 0;
	if (n <= 65536) {
		strb_add(&c->out, body, n);
		return http_conn_flush(c);
	}
	(void)http_conn_flush(c);
	return http_conn_send(c, body, n);
}

int http_stream_begin(struct http_conn *c, int status, const char *content_type)
{
	if (c->progress != REPLY_NONE || c->taken)
		return -EALREADY;
	c->chunked_out = c->minor == 1;
	if (!c->chunked_out)
		c->keep_alive = false;
	add_head(c, status, content_type);
	strb_adds(&c->out, c->chunked_out ? "Transfer-Encoding: chunked\r\n\r\n" : "\r\n");
	c->progress = REPLY_STREAM;
	return c->error;
}

int http_stream_write(struct http_conn *c, const void *p, size_t n)
{
	if (c->progress != REPLY_STREAM || c->taken)
		return -EINVAL;
	if (c->head_only || c->error)
		return c->error;
	if (c->chunked_out)
		http_conn_add_chunk(c, p, n);
	else
		strb_add(&c->out, p, n);
	return c->out.len >= 16384 ? http_conn_flush(c) : c->error;
}

int http_stream_flush(struct http_conn *c)
{
	return c->taken ? -EINVAL : http_conn_flush(c);
}

int http_stream_end(struct http_conn *c)
{
	if (c->progress != REPLY_STREAM || c->taken)
		return -EINVAL;
	c->progress = REPLY_DONE;
	if (c->chunked_out && !c->head_only)
		strb_adds(&c->out, "0\r\n\r\n");
	return http_conn_flush(c);
}

void http_body_share(struct http_conn *c)
{
	c->body_shared = true;
}

bool http_replied(const struct http_conn *c)
{
	return c->progress != REPLY_NONE;
}

void http_close_after(struct http_conn *c)
{
	c->keep_alive = false;
}

void http_abort(struct http_conn *c)
{
	if (!c->error)
		c->error = -ECONNABORTED;
}

/* Some clients (docker-py) read the head through a buffer and go on without it: bytes that arrived beside the head are lost to them. So
 * nothing follows the head before it is read, or half a second has passed. */
#define HEAD_READ_NS 500000000
static void await_reader(int fd)
{
	int64_t end = time_mono_ns() + HEAD_READ_NS;
	int unread = 0;

	for (long ns = 20000; ioctl(fd, SIOCOUTQ, &unread) == 0 && unread > 0 && time_mono_ns() < end;
	     ns = MIN(ns * 2, 1000000))
		(void)nanosleep(&(struct timespec){ .tv_nsec = ns }, NULL);
}

int http_hijack_head(struct http_conn *c, const char *content_type)
{
	int r;

	if (c->progress != REPLY_NONE || c->taken)
		return -EALREADY;
	strb_adds(&c->out, c->upgrade ? "HTTP/1.1 101 UPGRADED\r\n" : "HTTP/1.1 200 OK\r\n");
	for (size_t i = 0; i < c->headers.n; i++)
		strb_addf(&c->out, "%s: %s\r\n", c->headers.v[i].k, c->headers.v[i].v);
	strb_addf(&c->out, "Content-Type: %s\r\n", content_type);
	if (c->upgrade)
		strb_addf(&c->out, "Connection: Upgrade\r\nUpgrade: %s\r\n", c->upgrade);
	strb_adds(&c->out, "\r\n");
	c->progress = REPLY_DONE;
	c->keep_alive = false;
	r = http_conn_flush(c);
	if (r == 0)
		await_reader(c->fd);
	return r;
}

/* A head that cannot be understood: the answer is plain text as Go's, since who knows what the other side is. */
static void refuse(struct http_conn *c, int r, const char *why)
{
	int status = r == -EMSGSIZE          ? 431
		     : r == -EPROTONOSUPPORT ? 505
		     : r == -EOPNOTSUPP      ? 501
		     : r == -ETIMEDOUT       ? 408
					     : 400;
	AUTO_FREE char *text = xasprintf("%d %s%s%s", status, http_reason(status), *why ? ": " : "", why);

	c->keep_alive = false;
	(void)http_reply(c, status, "text/plain; charset=utf-8", text, strlen(text));
}

/* What the handler did not read stands between us and the next request. */
static bool drain(struct http_conn *c)
{
	char waste[8192];
	size_t total = 0;

	if (body_too_long_to_drain(c))
		return false;
	http_conn_hurry(c);
	while (c->body != BODY_NONE && total < DRAIN_MAX) {
		ssize_t got = http_body_read(c, waste, sizeof waste);

		if (got < 0)
			return false;
		total += (size_t)got;
	}
	return c->body == BODY_NONE;
}

static void run_handler(struct http_conn *c, const struct http_request *rq, http_handler *handler, void *ctx)
{
	c->head_only = streq(rq->method, "HEAD");
	c->keep_alive = rq->keep_alive;
	c->minor = rq->minor;
	c->want_continue = rq->expect_continue;
	c->upgrade = rq->upgrade ? http_header(&rq->headers, "Upgrade") : NULL;
	http_conn_set_body(c, rq->chunked, rq->content_length, false);
	handler(c, rq, ctx);
	c->upgrade = NULL;
	if (c->taken)
		return;
	if (c->progress == REPLY_STREAM)
		(void)http_stream_end(c);
	else if (c->progress == REPLY_NONE)
		(void)http_reply(c, 500, NULL, "", 0);
}

/* One request and its answer; true when another may follow. */
static bool serve_one(struct http_conn *c, const struct http_serve_opts *opts, http_handler *handler, void *ctx)
{
	struct http_request rq = { 0 };
	struct err e = ERR_INIT;
	ssize_t head;
	int r;

	strmap_done(&c->headers);
	c->progress = REPLY_NONE;
	c->head_only = c->chunked_out = c->want_continue = c->body_shared = false;
	c->body = BODY_NONE;
	if (opts->idle)
		opts->idle(opts->idle_ctx, true);
	head = http_conn_read_head(c, opts->idle_ms, opts->head_ms);
	if (opts->idle)
		opts->idle(opts->idle_ctx, false);
	if (head == 0 || c->error || (head == -ETIMEDOUT && c->in.len == c->pos))
		return false;
	if (head < 0) {
		refuse(c, (int)head, "");
		return false;
	}
	r = http_request_parse(c->in.s + c->pos, (size_t)head, &rq, &e);
	http_conn_use(c, (size_t)head);
	if (r < 0) {
		refuse(c, r, e.msg);
		return false;
	}
	run_handler(c, &rq, handler, ctx);
	http_request_done(&rq);
	http_conn_pay_back(c);
	return !c->taken && !c->error && !c->body_error && c->keep_alive && drain(c);
}

/* Closing with unread input would reset the connection and could destroy the answer on its way: say goodbye, then look away for a moment. */
static void linger(struct http_conn *c)
{
	char waste[8192];
	int64_t until = time_mono_ns() + 500 * 1000000LL;
	struct pollfd p = { .fd = c->fd, .events = POLLIN };

	if (shutdown(c->fd, SHUT_WR) < 0)
		return;
	while (time_mono_ns() < until && poll(&p, 1, 100) >= 0)
		if ((p.revents & (POLLIN | POLLHUP | POLLERR)) && recv(c->fd, waste, sizeof waste, MSG_DONTWAIT) <= 0)
			return;
}

void http_serve_conn(int fd, const struct http_serve_opts *opts, http_handler *handler, void *ctx)
{
	struct http_serve_opts o = opts ? *opts : (struct http_serve_opts){ 0 };
	struct http_conn *c = xcalloc(1, sizeof *c);

	c->fd = fd;
	c->minor = 1;
	if (!o.head_ms)
		o.head_ms = 5 * 60 * 1000;
	c->body_ms = o.body_ms ? o.body_ms : 60 * 1000;
	c->stall_ms = o.stall_ms ? o.stall_ms : 10 * 60 * 1000;
	c->budget = o.budget;
	while (serve_one(c, &o, handler, ctx))
		;
	if (!c->taken && !c->error)
		linger(c);
	http_conn_free(c);
}
