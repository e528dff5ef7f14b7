/* daemon.h - the body of hoyd: options, sockets, signals, a thread per connection. */
#pragma once

#include "base/base.h"

int daemon_main(int argc, char *const *argv);

/* Sockets for clients (listen.c) */
struct listener {
	int fd;
	char *path; /* of a unix socket that we made, removed at the end */
};
struct listeners {
	struct listener *v;
	size_t n;
};
int listen_on(const char *host, const char *group, struct listener *ret, struct err *e);
void listeners_done(struct listeners *l);
