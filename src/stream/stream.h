/* stream.h - the byte formats of a hijacked Docker connection: multiplexed stdout/stderr frames, detach keys, HTTP chunks.
 * Pure: bytes in, bytes out; knows no sockets. libc only. */
#pragma once

#include "base/base.h"

/* ---- frames: {id, 0, 0, 0, length as four big-endian bytes} then the payload ---- */
#define STREAM_HEAD 8
enum stream_id {
	STREAM_STDIN = 0,
	STREAM_STDOUT = 1,
	STREAM_STDERR = 2,
	STREAM_SYSTEM = 3, /* an error of the daemon, as text */
};
void stream_head(char ret[STREAM_HEAD], enum stream_id id, uint32_t n);
void stream_add(struct strb *b, enum stream_id id, const void *p, size_t n);

/* Incremental reader. Start zeroed; feed what arrived; every call takes bytes off (*p, *n):
 *     while ((r = stream_next(&s, &p, &n, &piece)) > 0) ... use piece (lent from the input)
 * 1 = a piece, 0 = all input is used, -EBADMSG = not a frame. A frame may come in several pieces. */
struct stream_reader {
	unsigned char head[STREAM_HEAD];
	uint32_t n_head, left;
};
struct stream_piece {
	enum stream_id id;
	const char *p;
	size_t n;
};
int stream_next(struct stream_reader *s, const char **p, size_t *n, struct stream_piece *ret);
static inline bool stream_between_frames(const struct stream_reader *s) /* false at the end of input = it was cut off */
{
	return s->n_head == 0 && s->left == 0;
}

/* ---- detach keys ---- */
#define DETACH_KEYS_MAX 32
#define DETACH_KEYS_DEFAULT "\x10\x11" /* ctrl-p,ctrl-q */
struct detach_keys {
	char keys[DETACH_KEYS_MAX];
	size_t n; /* 0 = the default is meant */
};
/* "ctrl-p,ctrl-q", "a,ctrl-[", "DEL": Docker's grammar. ERR_INVALID with Docker's sentence. */
int detach_keys_parse(const char *text, struct detach_keys *ret, struct err *e);

/* Incremental matcher: copies input to out without a completed sequence; keys typed so far are held back until the next one
 * decides. True = the sequence is complete; what came before it is in out, what came after it is dropped. */
struct detach_matcher {
	struct detach_keys keys;
	size_t matched;
};
void detach_init(struct detach_matcher *m, const struct detach_keys *keys);
bool detach_match(struct detach_matcher *m, const char *p, size_t n, struct strb *out);

/* ---- HTTP chunks, for writers of a connection whose head (Transfer-Encoding: chunked) is out ---- */
#define CHUNK_HEAD_MAX 20
#define CHUNK_TAIL "\r\n"
#define CHUNK_LAST "0\r\n\r\n"
size_t chunk_head(char ret[CHUNK_HEAD_MAX],
		  size_t n); /* length of the head; n > 0: an empty chunk would end the body */
void chunk_add(struct strb *b, const void *p, size_t n); /* nothing where n == 0 */
