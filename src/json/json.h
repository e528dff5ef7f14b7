/* json.h - JSON in and out. Two ways in: field tables (struct <-> JSON, for everything with a known shape) and jval (a
 * read-only tree, for templates and odd bodies). json-c is behind it and shows nowhere else.
 *
 * Field tables. One X-macro row makes the struct's member, its JSON both ways and its release. In a header:
 *
 *     #define PORT_FIELDS(F, T)                            \
 *             F(T, STR,  ip,   "IP",          OMIT_EMPTY, none)  \
 *             F(T, INT,  priv, "PrivatePort", 0,          none)  \
 *             F(T, LIST, more, "More",        0,          more)   (a list of struct more)
 *     JSON_STRUCT(port, PORT_FIELDS)      -> struct port { ... }; extern const struct json_type port_type;
 * and in one .c file:
 *     JSON_TYPE(port, PORT_FIELDS)        -> the table
 *
 * Kinds, their member and their JSON (x = the row's last column: the tag of another JSON_STRUCT, or none):
 *     STR     char *name                              string; NULL = absent (written "" unless OMIT_EMPTY or NULL_EMPTY)
 *     BOOL    bool                                    true/false
 *     INT     int64_t                                 exact 64-bit integer; a string or fraction is an error
 *     UINT    uint64_t
 *     DBL     double
 *     OBOOL   struct json_obool {bool set, v;}        absent/null = !set, written null unless OMIT_EMPTY
 *     OINT    struct json_oint {bool set; int64_t v;}
 *     STRV    struct strv                             array of strings
 *     INTS    struct json_ints {int64_t *v; size_t n;}
 *     MAP     struct strmap                           object of strings (JSON null values read as "")
 *     SET     struct strv                             object whose values are empty objects: {"80/tcp": {}}
 *     OBJ     struct x                                nested object, always there
 *     PTR     struct x *                              nested object or NULL (written null unless OMIT_EMPTY)
 *     LIST    struct {struct x *v; size_t n;}         array of objects
 *     DICT    struct {struct {char *key; struct x val;} *v; size_t n;}   object of objects, order kept
 *     RAW     char *                                  any JSON, kept as its text; NULL = absent
 *     EXTRA   struct strmap                           (one per struct, JSON name "") unknown members: name -> JSON text, written back
 * Flags are or-ed: see below. SINCE(44) = the member is written only for API >= 1.44, UNTIL(43) only for <= 1.43.
 *
 * Empty and null are kept apart as Go keeps them: "[]" reads as n = 0 with v allocated, null and absence as v = NULL; NULL_EMPTY writes
 * null only for v = NULL. A struct x whose only row is named "" (and is not EXTRA) *is* that row's JSON: with it a LIST or DICT can hold
 * strings, numbers or lists. MAP, SET and DICT are written with their keys sorted, as Go does; jval keeps the document's order.
 * Overlaying: OBJ and non-NULL PTR members merge, every other member that is present replaces.
 *
 * Reading ignores unknown members (unless EXTRA), accepts null for everything (= zero value), matches names exactly and then
 * case-insensitively as Go does, and refuses wrong types with the member's path in the message.
 * Budgets: json_limits_default is 16 MiB of text, 64 deep, 1,000,000 values. Thread-safe: no shared state. */
#pragma once

#include "base/base.h"

struct json_obool {
	bool set, v;
};
struct json_oint {
	bool set;
	int64_t v;
};
struct json_ints {
	int64_t *v;
	size_t n;
};

enum json_kind {
	JSON_STR,
	JSON_BOOL,
	JSON_INT,
	JSON_UINT,
	JSON_DBL,
	JSON_OBOOL,
	JSON_OINT,
	JSON_STRV,
	JSON_INTS,
	JSON_MAP,
	JSON_SET,
	JSON_OBJ,
	JSON_PTR,
	JSON_LIST,
	JSON_DICT,
	JSON_RAW,
	JSON_EXTRA,
};
#define OMIT_EMPTY 0x01u /* Go's omitempty: zero value, empty string, array or map is not written; for OBJ: never */
#define NULL_EMPTY 0x02u /* a NULL array, map, string or set is written as null, not as [], {}, "" */
#define READ_ONLY 0x04u  /* read, never written (deprecated request fields) */
#define WRITE_ONLY 0x08u
#define REQUIRED 0x10u    /* absent is an error */
#define ONE_OR_MANY 0x20u /* STRV: a lone string is read as a list of one (Docker's Cmd and Entrypoint) */
#define SINCE(minor) ((unsigned)(minor) << 16)
#define UNTIL(minor) ((unsigned)(minor) << 24)

struct json_type;
struct json_field {
	const char *name;
	enum json_kind kind;
	unsigned flags;
	size_t offset;
	const struct json_type *sub;
};
struct json_type {
	const char *name;
	const char *go; /* what a Go server calls it: "container.HostConfig"; NULL = derived from the name */
	size_t size, align;
	const struct json_field *fields;
	size_t n;
};

struct json_limits {
	size_t bytes;
	int depth;
	size_t values;
};
extern const struct json_limits json_limits_default;

/* Text -> struct. *ret must be zeroed or hold an earlier value that is then overlaid (members absent from the text stay).
 * On error *ret is released and zeroed. */
int json_read(const struct json_type *t, const char *text, size_t n, const struct json_limits *limits, void *ret,
	      struct err *e);
#define JSON_LATEST 255 /* api_minor: everything current; UNTIL() members are left out */
void json_write(const struct json_type *t, const void *obj, unsigned api_minor, struct strb *out);
void json_write_list(const struct json_type *t, const void *v, size_t n, unsigned api_minor, struct strb *out);
void json_done(const struct json_type *t, void *obj);                  /* releases members, zeroes; NULL is fine */
void json_copy(const struct json_type *t, void *to, const void *from); /* *to must be zeroed */

/* Building small texts by hand */
void json_add_str(struct strb *out,
		  const char *s); /* quoted and escaped as Go does (<, >, & as \u003c...); invalid UTF-8 -> U+FFFD */
void json_add_str_n(struct strb *out, const char *s, size_t n);

/* Read-only trees */
struct jval; /* lent from its root; the root is freed with jval_free */
enum jval_kind { JVAL_NULL, JVAL_BOOL, JVAL_INT, JVAL_DBL, JVAL_STR, JVAL_LIST, JVAL_DICT };
/* -ENOTEMPTY where only something behind the value is wrong */
int jval_parse(const char *text, size_t n, const struct json_limits *limits, struct jval **ret, struct err *e);
void jval_free(struct jval *root);
enum jval_kind jval_kind(const struct jval *v); /* NULL pointer = JVAL_NULL */
bool jval_bool(const struct jval *v);
int64_t jval_int(const struct jval *v);
double jval_dbl(const struct jval *v);
const char *jval_str(const struct jval *v);                         /* "" where it is not a string */
size_t jval_len(const struct jval *v);                              /* members of a list or dict, else 0 */
const struct jval *jval_at(const struct jval *v, size_t i);         /* lists */
const struct jval *jval_get(const struct jval *v, const char *key); /* dicts; NULL where absent; exact name */
const struct jval *jval_entry(const struct jval *v, size_t i, const char **ret_key); /* dicts in document order */
void jval_write(const struct jval *v, struct strb *out);                             /* compact text */
void jval_write_indent(const struct jval *v, const char *indent, struct strb *out);  /* as Go's json.MarshalIndent */
int json_read_val(const struct json_type *t, const struct jval *v, void *ret, struct err *e); /* tree -> struct */

/* ---- the X-macro machinery ---- */
#define JSON_MEMBER_STR(m, x) char *m;
#define JSON_MEMBER_BOOL(m, x) bool m;
#define JSON_MEMBER_INT(m, x) int64_t m;
#define JSON_MEMBER_UINT(m, x) uint64_t m;
#define JSON_MEMBER_DBL(m, x) double m;
#define JSON_MEMBER_OBOOL(m, x) struct json_obool m;
#define JSON_MEMBER_OINT(m, x) struct json_oint m;
#define JSON_MEMBER_STRV(m, x) struct strv m;
#define JSON_MEMBER_INTS(m, x) struct json_ints m;
#define JSON_MEMBER_MAP(m, x) struct strmap m;
#define JSON_MEMBER_SET(m, x) struct strv m;
#define JSON_MEMBER_OBJ(m, x) struct x m;
#define JSON_MEMBER_PTR(m, x) struct x *m;
#define JSON_MEMBER_LIST(m, x) \
	struct { \
		struct x *v; \
		size_t n; \
	} m;
#define JSON_MEMBER_DICT(m, x) \
	struct { \
		struct { \
			char *key; \
			struct x val; \
		} * v; \
		size_t n; \
	} m;
#define JSON_MEMBER_RAW(m, x) char *m;
#define JSON_MEMBER_EXTRA(m, x) struct strmap m;
#define JSON_AS_MEMBER(T, kind, member, key, flags, x) JSON_MEMBER_##kind(member, x)
#define JSON_AS_ROW(T, tag, member, key, flags_, x) \
	{ .name = (key), \
	  .kind = JSON_##tag, \
	  .flags = (flags_), \
	  .offset = offsetof(struct T, member), \
	  .sub = &x##_type },
extern const struct json_type none_type; /* the sub-type of rows that have none */
#define JSON_STRUCT(tag, FIELDS) \
	struct tag { \
		FIELDS(JSON_AS_MEMBER, tag) \
	}; \
	extern const struct json_type tag##_type;
#define JSON_TYPE(tag, FIELDS) JSON_TYPE_GO(tag, FIELDS, NULL)
#define JSON_TYPE_GO(tag, FIELDS, go_) \
	static const struct json_field tag##_rows[] = { FIELDS(JSON_AS_ROW, tag) }; \
	const struct json_type tag##_type = { .name = #tag, \
					      .go = (go_), \
					      .size = sizeof(struct tag), \
					      .align = _Alignof(struct tag), \
					      .fields = tag##_rows, \
					      .n = ARRAY_LEN(tag##_rows) };
