/* conn.h - private to http/: one connection, seen from either end. Reading and bodies are in conn.c, the rest in server.c and client.c. */
#pragma once

#include "http/http_parse.h"

enum http_body {
	BODY_NONE = 0,
	BODY_LENGTH,
	BODY_CHUNKED,
	BODY_TO_CLOSE, /* answers only */
};
enum http_progress {
	REPLY_NONE = 0,
	REPLY_STREAM,
	REPLY_DONE,
};
struct http_conn {
	int fd;
	char *host;     /* clients: the Host header */
	struct strb in; /* bytes received; those before pos are used up */
	size_t pos;
	struct strb out; /* bytes to send */
	/* Sending and receiving fail apart: after a broken body an answer is still possible, and two threads may do one each. Sticky. */
	int error;      /* of sending */
	int body_error; /* of receiving, or malformed */

	enum http_body body; /* BODY_NONE also when it is read to its end */
	uint64_t left;       /* BODY_LENGTH */
	struct http_chunks chunks;
	int body_ms, stall_ms;      /* servers: see http_serve_opts; 0 = for ever */
	int64_t body_deadline;      /* of the body that is being read; 0 = none */
	struct http_budget *budget; /* NULL = none */
	int64_t charged;            /* taken from it by this request */
	bool body_shared;           /* another thread reads it: the head does not look at it any more */
	bool want_continue;         /* the peer waits for 100 Continue before it sends the body */

	enum http_progress progress;
	struct strmap headers; /* of the response being made */
	bool head_only, chunked_out, keep_alive, taken;
	int minor;
	const char *upgrade; /* lent from the request */
};

int http_conn_send(struct http_conn *c, const void *p, size_t n);
int http_conn_flush(struct http_conn *c);
/* The next head: its length (it starts at in.s + pos), 0 = end of file before its first byte, or -errno as http_head_len. */
ssize_t http_conn_read_head(struct http_conn *c, int idle_ms, int head_ms);
void http_conn_set_body(struct http_conn *c, bool chunked, int64_t length, bool to_close);
void http_conn_hurry(struct http_conn *c);    /* the rest of the body has to be there within body_ms */
void http_conn_pay_back(struct http_conn *c); /* the request is over: what its body took from the budget */
void http_conn_add_chunk(struct http_conn *c, const void *p, size_t n);
void http_conn_use(struct http_conn *c, size_t n); /* n received bytes are used up */
