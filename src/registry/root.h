/* root.h - the worker's own root: a small file system in memory with what name resolution and TLS read. Private to registry/. */
#pragma once

#include "registry/net.h"

struct root {
	int fd; /* a detached tmpfs until the sandbox enters it */
	struct strb system_ca;
	struct {
		struct root_host {
			char *name;
			struct strb ca;
			bool cert, key;
		} * v;
		size_t n;
	} hosts;
};
int root_make(struct root *r, struct err *e);
void root_pem(struct root *r, const char *host, const char *kind, const void *p, size_t n); /* kind: ca, cert, key */
int root_finish(struct root *r, struct err *e);
void root_tls(const struct root *r, const char *host, struct tls_files *ret);
