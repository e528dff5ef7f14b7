/* http_parse.h - the pure part of HTTP/1.1: bytes in, value out. Called by connections and by the fuzzers. */
#pragma once

#include "http/http.h"

/* Length of the head at the start of p with its empty line; 0 = not complete yet; -EMSGSIZE over HTTP_HEAD_MAX; -EBADMSG on a bare CR,
 * bare LF or NUL. `from` = bytes that an earlier call has seen (0 at first), so that slow senders cost linear time. */
ssize_t http_head_len(const char *p, size_t n, size_t from);

/* A complete head (http_head_len bytes). -EBADMSG malformed, -EMSGSIZE too many headers, -EPROTONOSUPPORT not HTTP/1.x,
 * -EOPNOTSUPP a transfer coding we do not know. On error *ret is empty and e says why. */
int http_request_parse(const char *p, size_t n, struct http_request *ret, struct err *e);
int http_response_parse(const char *p, size_t n, struct http_response *ret, struct err *e);

/* Chunked decoding, one step at a time. */
enum http_chunk_state {
	CHUNK_SIZE = 0,
	CHUNK_EXT,
	CHUNK_SIZE_LF,
	CHUNK_DATA,
	CHUNK_DATA_CR,
	CHUNK_DATA_LF,
	CHUNK_TRAILER,
	CHUNK_TRAILER_LF,
	CHUNK_DONE,
};
struct http_chunks {
	enum http_chunk_state state;
	uint64_t left;    /* data bytes of this chunk still to come */
	unsigned digits;  /* of the size read so far */
	unsigned extra;   /* bytes of extensions of this chunk */
	unsigned trailer; /* bytes of trailers */
	unsigned line;    /* bytes of the trailer line so far */
};
/* Eats from p and returns how many bytes (at least 1 unless n = 0 or done); the data among them is *ret_data (n 0 = none this time).
 * -EPROTO when malformed. Finished when state is CHUNK_DONE; later bytes are not eaten. */
ssize_t http_chunks_feed(struct http_chunks *s, const char *p, size_t n, const char **ret_data, size_t *ret_n);
