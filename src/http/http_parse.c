/* http_parse.c - heads and chunks of HTTP/1.1, strictly: what two parsers could read differently is refused (request smuggling). */
#include "http/http_parse.h"

#include <strings.h>

#define CHUNK_EXT_MAX 256
#define CHUNK_TRAILER_MAX 8192

ssize_t http_head_len(const char *p, size_t n, size_t from)
{
	size_t end = MIN(n, (size_t)HTTP_HEAD_MAX);

	for (size_t i = from > 3 ? from - 3 : 0; i < end; i++) {
		if (!p[i] || (p[i] == '\r' && i + 1 < n && p[i + 1] != '\n') ||
		    (p[i] == '\n' && (i == 0 || p[i - 1] != '\r')))
			return -EBADMSG;
		if (p[i] == '\n' && i >= 3 && p[i - 2] == '\n')
			return (ssize_t)i + 1;
	}
	return n >= HTTP_HEAD_MAX ? -EMSGSIZE : 0;
}

static bool is_token_char(unsigned char c)
{
	return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
	       (c && strchr("!#$%&'*+-.^_`|~", c));
}

static size_t token_len(const char *p, size_t n)
{
	size_t i = 0;

	while (i < n && is_token_char((unsigned char)p[i]))
		i++;
	return i;
}

/* Is `word` one of the comma-separated tokens of a header that may be given several times? */
static bool has_token(const struct strmap *headers, const char *name, const char *word)
{
	for (size_t i = 0; i < headers->n; i++) {
		const char *s = headers->v[i].v;

		if (strcasecmp(headers->v[i].k, name) != 0)
			continue;
		while (*s) {
			size_t n = strcspn(s, ", \t");

			if (n == strlen(word) && strncasecmp(s, word, n) == 0)
				return true;
			s += n;
			s += strspn(s, ", \t");
		}
	}
	return false;
}

const char *http_header(const struct strmap *headers, const char *name)
{
	for (size_t i = 0; i < headers->n; i++)
		if (strcasecmp(headers->v[i].k, name) == 0)
			return headers->v[i].v;
	return NULL;
}

static size_t count_header(const struct strmap *headers, const char *name)
{
	size_t n = 0;

	for (size_t i = 0; i < headers->n; i++)
		n += strcasecmp(headers->v[i].k, name) == 0;
	return n;
}

static int bad(struct err *e, const char *why)
{
	(void)err_set(e, ERR_INVALID, "%s", why);
	return -EBADMSG;
}

/* One "Name: value" line without its CRLF. */
static int add_header(struct strmap *headers, const char *p, size_t n, struct err *e)
{
	size_t name = token_len(p, n), from = name + 1;

	if (!name || name == n || p[name] != ':')
		return bad(e, "malformed header line");
	while (from < n && (p[from] == ' ' || p[from] == '\t'))
		from++;
	while (n > from && (p[n - 1] == ' ' || p[n - 1] == '\t'))
		n--;
	for (size_t i = from; i < n; i++)
		if (((unsigned char)p[i] < 0x20 && p[i] != '\t') || p[i] == 0x7f)
			return bad(e, "invalid header value");
	headers->v = xrealloc(headers->v, headers->n + 1, sizeof *headers->v);
	headers->v[headers->n++] = (struct strkv){ xstrndup(p, name), xstrndup(p + from, n - from) };
	return 0;
}

static int parse_headers(const char *p, size_t n, struct strmap *ret, struct err *e)
{
	while (n > 2) {
		const char *lf = memchr(p, '\n', n);
		size_t line = lf ? (size_t)(lf - p) + 1 : n;
		int r;

		if (ret->n >= HTTP_HEADERS_MAX) {
			(void)err_set(e, ERR_INVALID, "too many headers");
			return -EMSGSIZE;
		}
		r = add_header(ret, p, line - 2, e);
		if (r < 0)
			return r;
		p += line;
		n -= line;
	}
	return 0;
}

/* Where the body ends: one rule, and never two that could differ. */
static int parse_framing(const struct strmap *headers, int minor, int64_t *ret_length, bool *ret_chunked, struct err *e)
{
	const char *length = http_header(headers, "Content-Length"),
		   *coding = http_header(headers, "Transfer-Encoding");

	*ret_length = -1;
	*ret_chunked = false;
	if (length && coding)
		return bad(e, "both Content-Length and Transfer-Encoding");
	if (count_header(headers, "Content-Length") > 1 || count_header(headers, "Transfer-Encoding") > 1)
		return bad(e, "repeated Content-Length or Transfer-Encoding");
	if (coding && strcasecmp(coding, "chunked") != 0) {
		(void)err_set(e, ERR_NOT_IMPLEMENTED, "unsupported transfer encoding");
		return -EOPNOTSUPP;
	}
	if (coding && minor == 0)
		return bad(e, "Transfer-Encoding in HTTP/1.0");
	*ret_chunked = coding != NULL;
	if (length && (!*length || strspn(length, "0123456789") != strlen(length) || strlen(length) > 18 ||
		       str_to_i64(length, ret_length) < 0))
		return bad(e, "bad Content-Length");
	return 0;
}

static bool keeps_alive(const struct strmap *headers, int minor)
{
	return minor == 1 ? !has_token(headers, "Connection", "close") : has_token(headers, "Connection", "keep-alive");
}

static int parse_version(const char *p, size_t n, int *ret_minor, struct err *e)
{
	if (n == 8 && memcmp(p, "HTTP/1.", 7) == 0 && (p[7] == '0' || p[7] == '1')) {
		*ret_minor = p[7] - '0';
		return 0;
	}
	if (n != 8 || memcmp(p, "HTTP/", 5) != 0)
		return bad(e, "malformed HTTP version");
	(void)err_set(e, ERR_INVALID, "unsupported protocol version");
	return -EPROTONOSUPPORT;
}

/* "/path?query", or "http://host/path?query" as proxies send it; "*" only as a whole */
static int parse_target(struct http_request *rq, struct err *e)
{
	const char *s = rq->target, *query, *rest = str_after(s, "http://");
	AUTO_STRB struct strb path = STRB_INIT;

	if (rest)
		s = rest + strcspn(rest, "/?");
	if (*s != '/' && !streq(rq->target, "*") && !rest)
		return bad(e, "malformed request target");
	query = s + strcspn(s, "?");
	if (strchr(s, '#'))
		return bad(e, "malformed request target");
	if (http_decode(s, (size_t)(query - s), false, &path) < 0)
		return bad(e, "invalid URL escape in path");
	rq->raw_path = xstrndup(s, (size_t)(query - s));
	rq->path = path.len ? strb_take(&path) : xstrdup("/");
	if (*query && http_query_parse(query + 1, strlen(query + 1), &rq->query) < 0)
		rq->query_fault = http_query_fault(query + 1,
						   strlen(query + 1)); /* the handler's to answer, as in Go */
	return 0;
}

static int parse_request_line(const char *p, size_t n, struct http_request *rq, struct err *e)
{
	size_t method = token_len(p, n), end;

	if (!method || method > 32 || method == n || p[method] != ' ')
		return bad(e, "malformed request line");
	for (end = method + 1; end < n && p[end] != ' '; end++)
		if ((unsigned char)p[end] < 0x21 || p[end] == 0x7f)
			return bad(e, "invalid character in request target");
	if (end == method + 1 || end == n)
		return bad(e, "malformed request line");
	rq->method = xstrndup(p, method);
	rq->target = xstrndup(p + method + 1, end - method - 1);
	return parse_version(p + end + 1, n - end - 1, &rq->minor, e);
}

static int parse_request(const char *p, size_t n, struct http_request *rq, struct err *e)
{
	const char *lf = memchr(p, '\n', n);
	size_t line = lf ? (size_t)(lf - p) + 1 : 0;
	const char *expect;
	int r;

	if (line < 3 || n < line + 2)
		return bad(e, "malformed request line");
	r = parse_request_line(p, line - 2, rq, e);
	if (r == 0)
		r = parse_headers(p + line, n - line, &rq->headers, e);
	if (r == 0)
		r = parse_target(rq, e);
	if (r == 0)
		r = parse_framing(&rq->headers, rq->minor, &rq->content_length, &rq->chunked, e);
	if (r < 0)
		return r;
	if (count_header(&rq->headers, "Host") > 1)
		return bad(e, "too many Host headers");
	if (rq->minor == 1 && !http_header(&rq->headers, "Host"))
		return bad(e, "missing required Host header");
	expect = http_header(&rq->headers, "Expect");
	if (expect && strcasecmp(expect, "100-continue") != 0)
		return bad(e, "unknown expectation");
	rq->expect_continue = expect && rq->minor == 1;
	rq->keep_alive = keeps_alive(&rq->headers, rq->minor);
	rq->upgrade = rq->minor == 1 && has_token(&rq->headers, "Connection", "Upgrade") &&
		      http_header(&rq->headers, "Upgrade");
	return 0;
}

int http_request_parse(const char *p, size_t n, struct http_request *ret, struct err *e)
{
	int r = parse_request(p, n, ret, e);

	if (r < 0)
		http_request_done(ret);
	return r;
}

static int digits_value(const char *p, size_t n, int *ret)
{
	int v = 0;

	for (size_t i = 0; i < n; i++) {
		if (p[i] < '0' || p[i] > '9')
			return -EBADMSG;
		v = v * 10 + (p[i] - '0');
	}
	*ret = v;
	return 0;
}

static int parse_response(const char *p, size_t n, struct http_response *rs, struct err *e)
{
	const char *lf = memchr(p, '\n', n);
	size_t line = lf ? (size_t)(lf - p) + 1 : 0;
	int r;

	if (line < 14 || n < line + 2 || p[8] != ' ' || (p[12] != ' ' && p[12] != '\r') ||
	    digits_value(p + 9, 3, &rs->status) < 0)
		return bad(e, "malformed status line");
	r = parse_version(p, 8, &rs->minor, e);
	if (r < 0)
		return r;
	rs->reason = line > 15 ? xstrndup(p + 13, line - 15) : xstrdup("");
	r = parse_headers(p + line, n - line, &rs->headers, e);
	if (r == 0)
		r = parse_framing(&rs->headers, rs->minor, &rs->content_length, &rs->chunked, e);
	rs->keep_alive = keeps_alive(&rs->headers, rs->minor);
	return r;
}

int http_response_parse(const char *p, size_t n, struct http_response *ret, struct err *e)
{
	int r = parse_response(p, n, ret, e);

	if (r < 0)
		http_response_done(ret);
	return r;
}

void http_request_done(struct http_request *rq)
{
	free(rq->method);
	free(rq->target);
	free(rq->path);
	free(rq->raw_path);
	strmap_done(&rq->query);
	free(rq->query_fault);
	strmap_done(&rq->headers);
	*rq = (struct http_request){ 0 };
}

void http_response_done(struct http_response *rs)
{
	free(rs->reason);
	strmap_done(&rs->headers);
	*rs = (struct http_response){ 0 };
}

/* ---- chunks ---- */
static int hex_value(char c)
{
	return c >= '0' && c <= '9'   ? c - '0'
	       : c >= 'a' && c <= 'f' ? c - 'a' + 10
	       : c >= 'A' && c <= 'F' ? c - 'A' + 10
				      : -1;
}

static int size_char(struct http_chunks *s, char c)
{
	int v = hex_value(c);

	if (v >= 0) {
		if (++s->digits > 15) /* below 2^60, whatever follows */
			return -EPROTO;
		s->left = s->left << 4 | (uint64_t)v;
		return 0;
	}
	if (!s->digits || (c != '\r' && c != ';'))
		return -EPROTO;
	s->state = c == '\r' ? CHUNK_SIZE_LF : CHUNK_EXT;
	return 0;
}

static int ext_char(struct http_chunks *s, char c)
{
	if (c == '\r')
		s->state = CHUNK_SIZE_LF;
	else if (c == '\n' || !c || ++s->extra > CHUNK_EXT_MAX)
		return -EPROTO;
	return 0;
}

static int trailer_char(struct http_chunks *s, char c)
{
	if (++s->trailer > CHUNK_TRAILER_MAX || !c || c == '\n')
		return -EPROTO;
	if (c == '\r')
		s->state = CHUNK_TRAILER_LF;
	else
		s->line++;
	return 0;
}

/* Every character outside the data. */
static int frame_char(struct http_chunks *s, char c)
{
	switch (s->state) {
	case CHUNK_SIZE:
		return size_char(s, c);
	case CHUNK_EXT:
		return ext_char(s, c);
	case CHUNK_SIZE_LF:
		s->state = s->left ? CHUNK_DATA : CHUNK_TRAILER;
		s->digits = s->extra = 0;
		return c == '\n' ? 0 : -EPROTO;
	case CHUNK_DATA_CR:
		s->state = CHUNK_DATA_LF;
		return c == '\r' ? 0 : -EPROTO;
	case CHUNK_DATA_LF:
		s->state = CHUNK_SIZE;
		return c == '\n' ? 0 : -EPROTO;
	case CHUNK_TRAILER:
		return trailer_char(s, c);
	case CHUNK_TRAILER_LF:
		s->state = s->line ? CHUNK_TRAILER : CHUNK_DONE;
		s->line = 0;
		return c == '\n' ? 0 : -EPROTO;
	case CHUNK_DATA:
	case CHUNK_DONE:
		break;
	}
	return -EPROTO;
}

ssize_t http_chunks_feed(struct http_chunks *s, const char *p, size_t n, const char **ret_data, size_t *ret_n)
{
	size_t i = 0;

	*ret_data = p;
	*ret_n = 0;
	while (i < n && s->state != CHUNK_DONE) {
		if (s->state == CHUNK_DATA) {
			*ret_data = p + i;
			*ret_n = (size_t)MIN(s->left, (uint64_t)(n - i));
			s->left -= *ret_n;
			if (!s->left)
				s->state = CHUNK_DATA_CR;
			return (ssize_t)(i + *ret_n);
		}
		if (frame_char(s, p[i++]) < 0)
			return -EPROTO;
	}
	return (ssize_t)i;
}
