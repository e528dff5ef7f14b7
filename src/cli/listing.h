/* listing.h - rows of named texts printed as a table, by a template, or as JSON lines: the --format of every list. */
#pragma once

#include "base/base.h"
#include "json/json.h"

struct listing_row {
	struct strmap cells;  /* "ID" -> "0123456789ab" */
	struct strmap labels; /* for {{.Label "x"}} */
};
struct listing {
	const char *headers; /* "ID=CONTAINER ID,Image=IMAGE,...": the fields that tables can show */
	struct {
		struct listing_row *v;
		size_t n;
	} rows;
};
#define AUTO_LISTING CLEANUP(listing_done)
void listing_done(struct listing *l);
struct strmap *listing_add(struct listing *l);                     /* the new row's cells */
void listing_labels(struct listing *l, const struct jval *labels); /* of the last row; also sets its cell Labels */
void cell_setf(struct strmap *cells, const char *name, const char *fmt, ...) PRINTF(3, 4);
void cell_take(struct strmap *cells, const char *name, char *owned);

char *listing_json(const struct listing *l); /* its rows as a JSON list */
/* format: as given (NULL or "" = table); table: the default columns. Writes to stdout. */
int listing_print(const struct listing *l, const char *format, const char *table, struct err *e);
/* Does the format (or the default table) mention the field? {{json .}} mentions all. */
bool format_mentions(const char *format, const char *field);
/* One tree by a template or "json": inspect, info, version, events. A line end is added. */
int format_tree(const struct jval *tree, const char *format, struct strb *out, struct err *e);
