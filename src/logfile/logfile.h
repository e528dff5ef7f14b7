/* logfile.h - a container's log as Docker's json-file driver keeps it: one JSON record per line, rotated by size. The shim
 * writes (one writer), anybody reads, at the same time. libc only. Names are relative to the container's folder: NAME is the
 * newest file, NAME.1 the one before, ... A record is complete when its newline is there: a torn tail (power loss) is never
 * returned, and the next writer cuts it off. */
#pragma once

#include "base/base.h"

#define LOGFILE_LINE_MAX 16384 /* longer lines become several records, all but the last without "\n": as dockerd does */
enum logfile_stream { LOGFILE_STDOUT, LOGFILE_STDERR, LOGFILE_STREAMS };

/* ---- writing ---- */
struct logfile_opts {
	int64_t max_size;  /* bytes after which a new file begins; <= 0 = never */
	uint32_t max_file; /* files kept, the newest included; 0 counts as 1 */
	const char *attrs; /* text of a JSON object put into each record, or NULL */
};
struct logfile;
int logfile_open(int dir, const char *name, const struct logfile_opts *o, struct logfile **ret);
/* What a process wrote, cut anywhere; now_ns stamps what it completes. Whole records collect in memory: end a loop turn with
 * logfile_flush. A negative return (disk full) means that records were dropped; the file stays well-formed. */
int logfile_write(struct logfile *l, enum logfile_stream s, const char *p, size_t n, int64_t now_ns);
int logfile_end(struct logfile *l, enum logfile_stream s,
		int64_t now_ns); /* the stream ended: what has no newline yet */
int logfile_flush(struct logfile *l);
void logfile_rest(struct logfile *l); /* traffic has ceased: gives the memory back that bursts need */
void logfile_free(struct logfile *l); /* flushes */

/* ---- places: stay true while files are rotated, because they name the file and not its name ---- */
struct logfile_pos {
	uint64_t inode; /* 0 = none */
	int64_t offset;
};
#define LOGFILE_POS_TEXT 24
struct logfile_pos logfile_end_pos(struct logfile *l);                            /* flushes first */
void logfile_pos_format(const struct logfile_pos *p, char ret[LOGFILE_POS_TEXT]); /* the file's part, for messages */
int logfile_pos_parse(const char *file, int64_t offset, struct logfile_pos *ret);

/* ---- reading ---- */
struct logfile_record { /* all lent until the next call */
	const char *line;
	size_t n; /* with its "\n" when the line is complete */
	enum logfile_stream stream;
	int64_t time_ns;
	const char *attrs; /* JSON object or NULL */
	size_t n_attrs;
};
struct logfile_query {
	int64_t tail;            /* the last N records, counted before since/until, as Docker does; < 0 = all */
	int64_t since_ns;        /* older ones are skipped; 0 = none */
	int64_t until_ns;        /* the first newer one ends the reading; 0 = none */
	struct logfile_pos from; /* begin here instead of at the oldest (tail < 0) */
	struct logfile_pos to;   /* end before this place */
	size_t buffer;           /* bytes read at once; 0 = 256 KiB */
};
#define LOGFILE_QUERY_ALL ((struct logfile_query){ .tail = -1 })
struct logfile_reader;
int logfile_reader_new(int dir, const char *name, const struct logfile_query *q, struct logfile_reader **ret);
/* 1 = a record; 0 = nothing more (ask again later to follow; rotations are followed too); negative errno. Lines that are no
 * records are skipped. */
int logfile_next(struct logfile_reader *r, struct logfile_record *ret);
bool logfile_over(const struct logfile_reader *r); /* after 0: `to` or `until` was reached, nothing will ever come */
void logfile_reader_free(struct logfile_reader *r);

/* One record without its newline, unescaped in place. 0 or -EBADMSG. Any bytes are safe (fuzzed). */
int logfile_parse(char *line, size_t n, struct logfile_record *ret);
/* What `docker logs` prints before and with the line: "TIME " (timestamps), "k=v,k2=v2 " (details), the line. */
void logfile_print(const struct logfile_record *r, bool timestamps, bool details, struct strb *out);
