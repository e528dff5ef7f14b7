/* net.h - the loop that moves bytes, and one HTTP exchange as a call that waits. Private to registry/. */
#pragma once

#include "registry/curl_api.h"
#include "registry/fiber.h"
#include "registry/headers.h"

struct tls_files { /* paths in the worker's own root; NULL = none */
	char *ca, *cert, *key;
};
struct net_opts {
	const char *user_agent, *http_proxy, *https_proxy, *no_proxy;
	const struct strmap *meta_headers;
	unsigned stall_s;
};

struct http {
	/* in */
	const char *method;        /* "GET", "HEAD", "POST", "PATCH", "PUT", "DELETE" */
	const char *as;            /* what errors call it, where Docker would ask in another way; NULL = method */
	const char *url;           /* lent */
	struct strv headers;       /* "Name: value"; owned */
	const char *authorization; /* lent; NULL = none */
	const struct tls_files *tls;
	bool insecure;
	const void *body; /* of POST, PUT: lent */
	size_t body_n;
	/* or the body from a descriptor: src_n bytes of a file from src_at, or a pipe to its end (src_n -1) */
	bool from_fd;
	int src;
	int64_t src_at, src_n;
	const char *first; /* of a pipe: lent bytes that go out before what it gives; not told to sent */
	size_t first_n;
	void (*sent)(void *ctx, const void *p, size_t n); /* each piece that goes out; may be NULL */
	/* of a 2xx answer; others are kept in text. Not 0 = give up with that error */
	int (*sink)(struct http *h, const char *p, size_t n);
	void *ctx;
	size_t max;       /* of text */
	unsigned stall_s; /* without a byte; 0 = the default */

	/* out */
	long status;  /* 0 = no answer came */
	char *reason; /* "404 Not Found" */
	struct strmap
		resp; /* names in lower case, the last one of each; Warning, WWW-Authenticate, Link joined with ", " */
	struct strb text;
	char error[300]; /* status 0, or the body broke: in Go's words */
	bool moved;      /* the answer is another origin's than url's */
	bool broken;     /* the answer's body did not come whole */
	bool tls_failed,
		refused; /* of status 0: whether plain HTTP may be tried instead, whether trying again is pointless */
	int sink_error;
	int64_t wire; /* bytes of the answer's body that came */

	/* private */
	CURL *easy;
	struct fiber *fiber;
	char dialed[80];
	size_t header_bytes;
	int code;
	bool paused, eof, cut_source;
	int64_t src_sent;
	struct http *next_paused;
};
#define AUTO_HTTP CLEANUP(http_done)
void http_done(struct http *h);
void http_again(struct http *h); /* clears what came out, so that it can be sent once more */
/* Waits for the whole answer. Does not follow redirects. The verdict is in status, error and broken. */
void http_run(struct http *h);
const char *http_get(const struct http *h, const char *name); /* a header of the answer, or NULL */
void http_go_method(const struct http *h, char ret[16]);      /* "Get", as Go's errors begin */
void http_header(struct http *h, const char *fmt, ...) PRINTF(2, 3);

void net_sleep(int64_t ms); /* the fiber's */
int net_open(const struct curl_api *c, const struct net_opts *o, struct err *e);
/* Runs until on_input() says to end (not 0): called whenever input can be read. */
int net_loop(int input, int (*on_input)(void *ctx), void *ctx);
