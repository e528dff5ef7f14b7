/* run_body.h - the options of run and create -> the JSON body of POST /containers/create. Private to cli/. Pure but for
 * the files that options name (--env-file, --label-file, seccomp profiles) and our environment. */
#pragma once

#include "cli/command.h"
#include "cli/jw.h"

struct run_body {
	char *json;
	char *name, *platform, *image;
	bool tty, open_stdin, attach_stdin, attach_stdout, attach_stderr, auto_remove;
};
#define AUTO_RUN_BODY CLEANUP(run_body_done)
void run_body_done(struct run_body *b);
/* detach: run -d, where nothing is attached. rows, columns: of our terminal, 0 where there is none. */
int run_body_make(const struct opts *o, bool detach, unsigned rows, unsigned columns, struct run_body *ret,
		  struct err *e);

/* ---- pieces; each writes one member of the body, or refuses ---- */
struct port {
	char *container; /* "80/tcp" */
	char *ip, *host; /* host: "" any, "8080", or "8000-8010" */
	bool published;
};
struct ports {
	struct port *v;
	size_t n;
};
void ports_done(struct ports *p);
int port_spec(const char *spec, struct ports *ret, struct err *e);   /* -p */
int port_expose(const char *spec, struct ports *ret, struct err *e); /* --expose */
int mount_json(const char *spec, struct jw *w, struct err *e);       /* w NULL: only checks */
int gpus_json(const char *spec, struct jw *w, struct err *e);
int ulimit_json(const char *spec, struct jw *w, struct err *e);
int device_json(const char *spec, struct jw *w, struct err *e);
int weight_device_json(const char *spec, struct jw *w, struct err *e);
int throttle_json(const char *spec, bool bytes, struct jw *w, struct err *e);
/* networks: *ret_mode is the first's name; writes "NetworkingConfig" */
int networks_json(const struct opts *o, struct jw *w, char **ret_mode, struct err *e);
int network_check(const char *spec, struct err *e);
int env_collect(const struct strv *files, const struct strv *given, struct strv *ret, struct err *e);
int labels_collect(const struct strv *files, const struct strv *given, struct strmap *ret, struct err *e);
int security_collect(const struct strv *given, struct strv *ret, bool *ret_unmask, struct err *e);
int restart_json(const char *policy, struct jw *w, bool *ret_none, struct err *e);
int health_json(const struct opts *o, struct jw *w, struct err *e);

/* one CSV record (RFC 4180 quotes), and "k=v" lists */
int csv_split(const char *line, struct strv *ret, struct err *e);
void kv_map(const struct strv *list, struct strmap *ret);
