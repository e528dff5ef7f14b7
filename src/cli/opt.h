/* opt.h - Docker's option grammar (that of Go's pflag): -it bundles, -p80:80, --opt=value, --opt value, --, interspersed
 * words or not. One row of a .def table is one option; the values are looked up by the option's long name, so that a table
 * is all that a new option needs. Asking for a name that is not in the table is a bug and ends the process. */
#pragma once

#include "base/base.h"

/* kind of the value -> the word that help shows for it (NULL: the option takes no value) */
#define OPT_KINDS(K) \
	K(BOOL, NULL) \
	K(STR, "string") \
	K(INT, "int") \
	K(UINT, "uint") \
	K(UINT16, "uint16") \
	K(BYTES, "bytes") \
	K(DECIMAL, "decimal") \
	K(DURATION, "duration") \
	K(LIST, "list") \
	K(MAP, "map") \
	K(FILTER, "filter") \
	K(STRINGS, "stringArray") \
	K(MOUNT, "mount") \
	K(NETWORK, "network") \
	K(ULIMIT, "ulimit") \
	K(GPUS, "gpu-request")
enum opt_kind {
#define OPT_AS_ENUM(k, word) OPT_##k,
	OPT_KINDS(OPT_AS_ENUM)
#undef OPT_AS_ENUM
};

struct opt {
	char letter; /* 0: none */
	const char *name;
	enum opt_kind kind;
	const char *initial;                            /* value when not given; NULL: none */
	int (*check)(const char *value, struct err *e); /* beyond what the kind checks; NULL: nothing */
	const char *help;                               /* NULL: accepted, not shown */
};
/* a row of an option table: OPT('a', "all", BOOL, NULL, NULL, "Show everything") */
#define OPT(letter, name, kind, initial, check, help) { letter, name, OPT_##kind, initial, check, help },

struct opt_value {
	bool set;
	struct strv given; /* lists: all of them; others: the last */
};
struct opts {
	const struct opt *table;
	size_t n;
	struct opt_value *values; /* beside the table's rows */
	struct strv words;        /* what is not an option */
	bool help;                /* --help was among them: nothing else was looked at */
};
#define AUTO_OPTS CLEANUP(opts_done)

/* stop_at_word: the first word ends the options (run, exec). *ret must be zeroed. */
int opts_parse(const struct opt *table, size_t n, bool stop_at_word, int argc, char *const *argv, struct opts *ret,
	       struct err *e);
void opts_done(struct opts *o);

bool opt_set(const struct opts *o, const char *name);
bool opt_bool(const struct opts *o, const char *name);
const char *opt_str(const struct opts *o, const char *name); /* "" where not given and without initial value */
int64_t opt_int(const struct opts *o, const char *name); /* INT, UINT, BYTES (bytes), DURATION (ns), DECIMAL (1e-9) */
const struct strv *opt_list(const struct opts *o, const char *name);

/* What --help shows: the block below "Options:", wrapped to columns. */
void opts_help(const struct opt *table, size_t n, unsigned columns, struct strb *out);

/* Go's readings of values; also used for parts of values. */
int go_parse_bool(const char *s, bool *ret, struct err *e);
int go_parse_int(const char *s, int bits, int64_t *ret, struct err *e);
int go_parse_uint(const char *s, int bits, int64_t *ret, struct err *e);
int go_parse_duration(const char *s, int64_t *ret_ns, struct err *e);
int parse_bytes(const char *s, int64_t *ret, struct err *e);     /* "512m", "1.5g"; powers of 1024 */
int parse_cpus(const char *s, int64_t *ret_nano, struct err *e); /* "1.5" -> 1500000000 */
