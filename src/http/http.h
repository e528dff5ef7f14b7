/* http.h - HTTP/1.1 with blocking I/O: both ends of a connection over unix or TCP sockets. The server gives each connection a thread and
 * calls http_serve_conn() in it; the client is the same object turned round. Parsing of heads, chunks and URLs is pure (http_parse.h).
 *
 * What Docker needs and plain HTTP libraries lack: a connection can be taken over (hijack) with the bytes already read, and handed to
 * another process; one side may stop sending while the other goes on.
 *
 * Strict: Content-Length beside Transfer-Encoding, repeated lengths, bare LF, folded headers, odd chunk sizes and the like are answered
 * with 400 and the connection is closed. Never raises SIGPIPE. One struct http_conn belongs to one thread, with one exception: once the
 * response's head is made (http_stream_begin) and the first body bytes are read, another thread may read the rest of the body. */
#pragma once

#include "base/base.h"

#define HTTP_HEAD_MAX 65536
#define HTTP_HEADERS_MAX 128

/* ---- heads; headers and queries are ordered and may repeat a name ---- */
struct http_request {
	char *method;        /* "GET" */
	char *target;        /* as sent */
	char *path;          /* percent-decoded, without the query; begins with '/' */
	char *raw_path;      /* not decoded */
	struct strmap query; /* decoded; strmap_get gives the first, as Go's Form.Get */
	char *query_fault; /* what is wrong with the query, in Go's words; NULL: nothing. What stood before it is in query */
	struct strmap headers;  /* names as sent: use http_header() */
	int minor;              /* HTTP/1.minor */
	int64_t content_length; /* -1 = none given */
	bool chunked, keep_alive, expect_continue;
	bool upgrade; /* Connection: Upgrade is there; to what: http_header(.., "Upgrade") */
};
struct http_response {
	int status;
	char *reason;
	struct strmap headers;
	int minor;
	int64_t content_length; /* -1 = none given */
	bool chunked, keep_alive;
};
void http_request_done(struct http_request *rq);
void http_response_done(struct http_response *rs);
#define AUTO_HTTP_RESPONSE CLEANUP(http_response_done)
const char *http_header(const struct strmap *headers, const char *name); /* any case; NULL where absent */
const char *http_reason(int status);                                     /* "Not Found" */

/* ---- URLs ---- */
int http_decode(const char *s, size_t n, bool plus_is_space,
		struct strb *ret);                                 /* %XX; -EINVAL on a bad escape or %00 */
void http_encode(struct strb *out, const char *s);                 /* as Go's url.QueryEscape, blanks as %20 */
void http_encode_path(struct strb *out, const char *s);            /* keeps '/' and ':' */
int http_query_parse(const char *s, size_t n, struct strmap *ret); /* appends; -EINVAL */
char *http_query_fault(const char *s, size_t n);                   /* the sentence for a query that was refused */
void http_query_add(struct strb *out, const char *name,
		    const char *value); /* "?a=b" or "&a=b", encoded; nothing when value is NULL */

/* ---- server ---- */
struct http_conn;
typedef void http_handler(struct http_conn *c, const struct http_request *rq, void *ctx);
struct http_budget {  /* memory for bodies that are held whole, shared by many connections */
	int64_t left; /* bytes; atomic */
};
struct http_serve_opts {
	int idle_ms; /* between requests; 0 = for ever */
	int head_ms; /* from the first byte of a head to its end; 0 = 5 minutes */
	int body_ms; /* for a body that is held whole (http_body_text) or that nobody wants; 0 = 1 minute */
	int stall_ms; /* no byte of a streamed body arrives, or of a plain answer leaves; 0 = 10 minutes. Streams out may wait for ever */
	struct http_budget *budget; /* NULL = none */
	void (*idle)(
		void *ctx,
		bool idle); /* true while no request is being worked on, from before its head; NULL = nobody asks */
	void *idle_ctx;
};
/* Takes fd. Runs the keep-alive loop in the calling thread until the peer leaves, a rule is broken or the connection is detached.
 * opts may be NULL. Each request gets exactly one response: when the handler writes none, 500. */
void http_serve_conn(int fd, const struct http_serve_opts *opts, http_handler *handler, void *ctx);

/* Request body. The first read sends "100 Continue" where the client waits for it. */
ssize_t http_body_read(struct http_conn *c, void *buf,
		       size_t n); /* 0 = end; -EPROTO malformed or cut off, -ETIMEDOUT too slow, -errno */
/* Whole body, NUL-terminated; -EFBIG over max, -ENOBUFS when the connections' common budget is used up. "" when there is none. */
int http_body_text(struct http_conn *c, size_t max, char **ret, size_t *ret_n);

/* Another thread reads the rest of the body from here on; the first read is done, and an answer's head may still be to come. */
void http_body_share(struct http_conn *c);

/* Response: set headers, then exactly one of http_reply, http_stream_begin.., http_hijack_head. A failed write (-EPIPE) ends the connection
 * after the handler returns; handlers of streams stop at it, others may ignore it. */
void http_set_header(struct http_conn *c, const char *name,
		     const char *value); /* copies; replaces; CR and LF are dropped */
int http_reply(struct http_conn *c, int status, const char *content_type, const void *body,
	       size_t n);                                                         /* type NULL = none */
int http_stream_begin(struct http_conn *c, int status, const char *content_type); /* chunked (HTTP/1.0: until close) */
int http_stream_write(struct http_conn *c, const void *p, size_t n);              /* buffered up to 16 KiB */
int http_stream_flush(struct http_conn *c);
int http_stream_end(struct http_conn *c);     /* the last chunk; done by itself when the handler returns */
bool http_replied(const struct http_conn *c); /* a head is written: too late for an error */
void http_close_after(struct http_conn *c); /* no further request on this connection; before the head: says so in it */
void http_abort(struct http_conn *c);       /* cut the connection: the client sees a stream without its end */

/* Take-over: the head, then http_detach. The head is 101 UPGRADED with Upgrade: tcp (or what the client named) when
 * the client asked for an upgrade, and 200 otherwise. */
int http_hijack_head(struct http_conn *c,
		     const char *content_type); /* ".../vnd.docker.raw-stream" or multiplexed-stream */
/* Flushes and gives the socket away (also in the middle of a stream: the new owner continues with chunks); the connection object stops
 * touching it. ret_unread gets bytes that the client has sent and nobody read. */
int http_detach(struct http_conn *c, int *ret_fd, struct strb *ret_unread);
int http_conn_fd(const struct http_conn *c);    /* lent: to pass on before the head is out, or to poll */
bool http_conn_gone(const struct http_conn *c); /* the client hung up (end of file counts, as in Go) */

/* ---- client ---- */
/* "unix:///path" or "tcp://host:port" (DOCKER_HOST). The err says what people know: "Cannot connect to ...". */
int http_connect(const char *host, struct http_conn **ret, struct err *e);
struct http_conn *http_client_new(int fd, const char *host_header); /* takes fd */
void http_conn_free(struct http_conn *c);                           /* NULL is fine */
struct http_call {
	const char *method, *target;  /* target is encoded already */
	const struct strmap *headers; /* more headers, or NULL */
	const void *body;             /* n_body bytes; NULL = none */
	size_t n_body;
	const char *content_type; /* of the body; NULL = application/json when there is one */
	ssize_t (*source)(void *ctx, void *buf,
			  size_t n); /* instead of body: sent in chunks; 0 = end, -errno gives up */
	void *source_ctx;
	bool upgrade; /* Connection: Upgrade, Upgrade: tcp */
};
/* Sends and reads the head of the answer (1xx are skipped, 101 is an answer). The connection serves one call after another when the
 * body was read to its end; http_client_reusable() says so. */
int http_call(struct http_conn *c, const struct http_call *call, struct http_response *ret, struct err *e);
bool http_client_reusable(const struct http_conn *c);
/* Then: http_body_read / http_body_text for the answer's body, or http_detach for 101 and raw streams (200 without length): the fd and
 * what was read too much. */
