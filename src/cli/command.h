/* command.h - what the dispatcher hands to a command, and what commands share. Private to cli/.
 *
 * A command returns the exit status. What went wrong it writes to stderr itself (cli_report), once, at its end. */
#pragma once

#include "base/base.h"
#include "cli/opt.h"
#include "client/client.h"
#include "json/json.h"

#define CMD_STOP_AT_WORD 0x01u /* the first word ends the options: the rest belongs to the container's command */

struct command;
struct cli {
	const struct command *command;
	const char *path; /* "run", "container ls": as help names it */
	struct opts *o;   /* of the command */
	const struct strv *words;
	const char *host;      /* -H, or NULL */
	struct client *client; /* NULL until cli_client() */
};
typedef int command_fn(struct cli *c);
struct command {
	const char *names;
	const char *arguments;
	int least, most;
	unsigned flags;
	const struct opt *options;
	size_t n_options;
	command_fn *run;
	const char *help;
};
#define COMMAND(fn, options, names, arguments, least, most, flags, help) command_fn fn;
#include "cli/commands.def"
#undef COMMAND

/* The connection's settings: resolves the address, asks for the API version; once. */
int cli_client(struct cli *c, struct err *e);
/* "Error response from daemon: ..." and the like, to stderr; returns 1 for `return`. */
int cli_report(const struct err *e);

/* One request that answers JSON. *ret may be NULL where the answer does not matter. */
int cli_get(struct cli *c, const char *path, struct jval **ret, struct err *e);
int cli_post(struct cli *c, const char *path, const char *body, struct jval **ret, struct err *e);
int cli_delete(struct cli *c, const char *path, struct jval **ret, struct err *e);
/* The same small request for each word; prints the word (or not) when it worked (0; not for 1), the error when not. */
typedef int each_fn(struct cli *c, const char *word, struct err *e);
int cli_each(struct cli *c, each_fn *fn, bool print);

/* --filter values as the API's {"name":{"value":true}}; NULL where there are none. escaped: ready for a query. */
char *filters_json(const struct strv *filters);
void query_add(struct strb *path, const char *key, const char *value); /* "?key=value" or "&key=value", escaped */
char *url_escape(const char *s);

/* "[y/N]" on the terminal */
bool cli_confirm(const char *warning);
/* Go's time for --since/--until: a date, a number of seconds, or an age -> what the API takes */
int parse_when(const char *text, char **ret, struct err *e);
/* repository:tag of a reference: "busybox" -> "busybox", "latest" */
void reference_split(const char *ref, char **ret_name, char **ret_tag);
char *reference_display(const char *ref); /* with ":latest" where it has neither tag nor digest */

/* checks of option values, in run_check.c */
int check_add_host(const char *v, struct err *e);
int check_attach(const char *v, struct err *e);
int check_weight_device(const char *v, struct err *e);
int check_device_rule(const char *v, struct err *e);
int check_throttle_bytes(const char *v, struct err *e);
int check_throttle_ops(const char *v, struct err *e);
int check_ip(const char *v, struct err *e);
int check_env(const char *v, struct err *e);
int check_gpus(const char *v, struct err *e);
int check_link(const char *v, struct err *e);
int check_mount(const char *v, struct err *e);
int check_network(const char *v, struct err *e);
int check_key_value_sysctl(const char *v, struct err *e);
int check_ulimit(const char *v, struct err *e);
