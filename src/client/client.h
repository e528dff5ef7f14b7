/* client.h - calls of the Docker API over one address: which address, which API version, errors in the daemon's words. Knows no
 * command line. Each call opens a connection of its own unless an earlier one can be used again. One thread. */
#pragma once

#include "base/base.h"

struct client;
/* host NULL: DOCKER_HOST, HOY_HOST, /run/hoy/hoy.sock, /var/run/docker.sock. Nothing is sent yet. */
int client_new(const char *host, struct client **ret, struct err *e);
void client_free(struct client *c); /* NULL is fine */
/* Asks /_ping for the newest version both sides speak (DOCKER_API_VERSION overrides); done by itself before the first call. */
int client_negotiate(struct client *c, struct err *e);
const char *client_version(const struct client *c); /* "1.51" */
#define CLIENT_API_MAX "1.51"

struct client_call {
	const char *method;           /* NULL = GET */
	const char *path;             /* without the version: "/containers/json?all=1" */
	const char *body;             /* JSON text, or NULL */
	int upload;                   /* > 0: a descriptor whose bytes are the body */
	const char *type;             /* of the upload */
	bool upgrade;                 /* hijack */
	const struct strmap *headers; /* more headers, or NULL */
};

/* One answer. status below 400; anything else is an error whose message is the daemon's. */
struct answer;
int client_start(struct client *c, const struct client_call *call, struct answer **ret, struct err *e);
ssize_t answer_read(struct answer *a, void *buf, size_t n); /* 0 at the end */
int answer_hijack(struct answer *a, int *ret_fd, struct strb *ret_unread);
const char *answer_header(const struct answer *a, const char *name); /* lent; NULL where absent */
void answer_free(struct answer *a);

/* Whole answer as text; ret may be NULL. */
int client_text(struct client *c, const struct client_call *call, char **ret, size_t *ret_n, struct err *e);
