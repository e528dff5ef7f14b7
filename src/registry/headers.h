/* headers.h - the parsers of what registries write into headers: pure, any text gives values or nothing; fuzzed. */
#pragma once

#include "base/base.h"

/* WWW-Authenticate (RFC 9110): several challenges in one header, or several headers. */
#define CHALLENGES_MAX 16
#define CHALLENGE_PARAMS_MAX 32
struct challenge {
	char *scheme;         /* lower case */
	struct strmap params; /* names in lower case */
};
struct challenges {
	struct challenge *v;
	size_t n;
};
void challenges_done(struct challenges *c);
void challenges_add(struct challenges *c, const char *header); /* what cannot be read is left out */
const struct challenge *challenge_find(const struct challenges *c, const char *scheme);

/* Link: <url>; rel="next". NULL where there is no such relation. */
char *link_next(const char *header);

/* Retry-After: seconds or a date, as seconds from now (0 for a date that is over); -1 where it is neither. */
int64_t retry_after(const char *header, int64_t now_s);

/* Warning: 299 - "text" -> text, or NULL where it is not of code 299. */
char *warning_text(const char *header);

/* Content-Range: bytes first-last/total; total -1 for "*". "bytes * / total" gives first -1. */
bool content_range(const char *header, int64_t *ret_first, int64_t *ret_last, int64_t *ret_total);
/* Range: 0-last of an upload's status (no unit), as the number of bytes that are there; -1 where it cannot be read */
int64_t upload_range(const char *header);

/* A reference resolved against the URL it came from (RFC 3986, as far as registries use it). NULL where the result is not http(s). */
char *url_resolve(const char *base, const char *ref);
bool url_same_origin(const char *a, const char *b); /* scheme, host, port */
char *url_host(const char *url);                    /* host[:port] as written, without user; NULL where it is none */
bool url_has_scheme(const char *url, const char *scheme);
void url_escape(struct strb *out, const char *s); /* for a value in a query, as Go's url.QueryEscape */
