/* credentials.h - what people told `login`: config.json below $DOCKER_CONFIG or ~/.docker, shared with Docker's own client, and the
 * credential helpers it names (docker-credential-<name>, Docker's protocol: a verb, the server on stdin, JSON back). */
#pragma once

#include "base/base.h"

struct credentials { /* owned; NULL where unknown */
	char *username, *password, *identity_token;
};
#define AUTO_CREDENTIALS CLEANUP(credentials_done)
void credentials_done(struct credentials *c);
#define HUB_SERVER "https://index.docker.io/v1/"
char *credentials_server(const char *image); /* "debian" -> HUB_SERVER, "reg:5000/x" -> "reg:5000" */
/* Nothing known is no error: all NULL. */
int credentials_get(const char *server, struct credentials *ret, struct err *e);
/* *ret_file: the path, where they went unencrypted into a file for the first time; else NULL. */
int credentials_store(const char *server, const struct credentials *c, char **ret_file, struct err *e);
int credentials_erase(const char *server, struct err *e);
char *credentials_header(const char *server, const struct credentials *c); /* value of X-Registry-Auth */
