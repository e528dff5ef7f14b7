/* net.c - the loop, and HTTP exchanges over libcurl's multi interface. */
#include "registry/net.h"

#include <ctype.h>
#include <arpa/inet.h>
#include <fcntl.h>
#include <poll.h>

#define HEADERS_MAX (256 * 1024)
#define CONNECT_TIMEOUT_MS 30000
#define RECV_BUFFER 131072
#define SEND_BUFFER 262144
#define PAUSED_MAX 64
#define IDLE_MS 60000

struct timer {
	int64_t at_ns;
	struct fiber *fiber;
};
static struct { /* the one loop's state */
	const struct curl_api *c;
	struct net_opts o;
	CURLM *multi;
	struct {
		struct timer *v;
		size_t n;
	} timers;
	struct http *paused;
	char nameserver[64];
} net;

/* ---- struct http ---- */
void http_again(struct http *h)
{
	h->status = 0;
	freep(&h->reason);
	strmap_done(&h->resp);
	strb_clear(&h->text);
	h->error[0] = 0;
	h->moved = h->broken = h->tls_failed = h->refused = h->paused = h->eof = false;
	h->sink_error = h->code = 0;
	h->wire = h->src_sent = 0;
	h->dialed[0] = 0;
	h->header_bytes = 0;
}

void http_done(struct http *h)
{
	http_again(h);
	strb_done(&h->text);
	strv_done(&h->headers);
}

const char *http_get(const struct http *h, const char *name)
{
	return strmap_get(&h->resp, name);
}

void http_go_method(const struct http *h, char ret[16])
{
	(void)snprintf(ret, 16, "%s", h->as ? h->as : h->method);
	for (char *p = ret + (*ret != 0); *p; p++)
		*p = (char)tolower((unsigned char)*p);
}

void http_header(struct http *h, const char *fmt, ...)
{
	AUTO_STRB struct strb b = STRB_INIT;
	va_list ap;

	va_start(ap, fmt);
	strb_addv(&b, fmt, ap);
	va_end(ap);
	strv_push(&h->headers, strb_take(&b));
}

/* ---- what libcurl calls ---- */
static void keep_header(struct http *h, const char *line, size_t n)
{
	static const char *const lists[] = { "www-authenticate", "warning", "link" };
	const char *colon = memchr(line, ':', n), *end = line + n;
	AUTO_FREE char *name = NULL;
	AUTO_FREE char *text = NULL;
	const char *old;

	if (!colon || colon == line || memchr(line, 0, n))
		return;
	name = xstrndup(line, (size_t)(colon - line));
	for (char *p = name; *p; p++)
		*p = (char)tolower((unsigned char)*p);
	for (colon++; colon < end && (*colon == ' ' || *colon == '\t'); colon++)
		;
	while (end > colon && isspace((unsigned char)end[-1]))
		end--;
	text = xstrndup(colon, (size_t)(end - colon));
	old = http_get(h, name);
	for (size_t i = 0; old && i < ARRAY_LEN(lists); i++)
		if (streq(name, lists[i])) {
			char *both = xasprintf("%s, %s", old, text);

			free(text);
			text = both;
		}
	strmap_set(&h->resp, name, text);
}

static size_t on_header(char *line, size_t size, size_t n, void *ctx)
{
	struct http *h = ctx;

	n *= size;
	h->header_bytes += n;
	if (h->header_bytes > HEADERS_MAX)
		return 0;
	if (n > 5 && memcmp(line, "HTTP/", 5) == 0) { /* also behind a "100 Continue" */
		const char *space = memchr(line, ' ', n);
		size_t skip = space ? (size_t)(space + 1 - line) : n;
		size_t end = n;

		while (end > skip && isspace((unsigned char)line[end - 1]))
			end--;
		strmap_done(&h->resp);
		free(h->reason);
		h->reason = xstrndup(line + skip, end - skip);
		(void)net.c->easy_getinfo(h->easy, CURLINFO_RESPONSE_CODE, &h->status);
	} else {
		keep_header(h, line, n);
	}
	return n;
}

static size_t on_body(char *p, size_t size, size_t n, void *ctx)
{
	struct http *h = ctx;

	n *= size;
	h->wire += (int64_t)n;
	if (h->sink && h->status >= 200 && h->status < 300) {
		h->sink_error = h->sink(h, p, n);
		return h->sink_error < 0 ? 0 : n;
	}
	if (h->text.len + n > h->max) {
		h->sink_error = -EFBIG;
		return 0;
	}
	strb_add(&h->text, p, n);
	return n;
}

static void unpause(struct http *h)
{
	for (struct http **p = &net.paused; *p; p = &(*p)->next_paused)
		if (*p == h) {
			*p = h->next_paused;
			break;
		}
	h->paused = false;
}

static size_t on_read(char *buf, size_t size, size_t n, void *ctx)
{
	struct http *h = ctx;
	ssize_t r;

	n *= size;
	if (h->src_n >= 0) {
		n = (size_t)MIN((int64_t)n, h->src_n - h->src_sent);
		r = n ? pread(h->src, buf, n, h->src_at + h->src_sent) : 0;
		if (n && r == 0)
			h->cut_source = true; /* the file is shorter than was said */
	} else if (h->first_n > 0) {
		n = MIN(n, h->first_n);
		memcpy(buf, h->first, n);
		h->first += n;
		h->first_n -= n;
		h->src_sent += (int64_t)n;
		return n;
	} else {
		struct pollfd p = { .fd = h->src, .events = POLLIN };

		if (poll(&p, 1, 0) == 0) {
			/* libcurl begins on a new connection by itself where an old one was closed before anything was sent,
			 * and asks again although it was told to wait */
			if (!h->paused) {
				h->paused = true;
				h->next_paused = net.paused;
				net.paused = h;
			}
			return CURL_READFUNC_PAUSE;
		}
		if (h->paused)
			unpause(h);
		r = read(h->src, buf, n);
		h->eof = r == 0;
	}
	if (r < 0 || h->cut_source) {
		h->sink_error = r < 0 ? -errno : -EIO;
		return CURL_READFUNC_ABORT;
	}
	h->src_sent += r;
	if (r > 0 && h->sent)
		h->sent(h->ctx, buf, (size_t)r);
	return (size_t)r;
}

/* libcurl would send a request again by itself when an old connection turns out to be closed. Part of the body may have arrived:
 * that is for who knows how uploads go on. */
static int on_seek(void *ctx, curl_off_t offset, int origin)
{
	struct http *h = ctx;

	return origin == SEEK_SET && offset == h->src_sent ? CURL_SEEKFUNC_OK : CURL_SEEKFUNC_CANTSEEK;
}

/* Go's errors name the address that was dialed. */
static curl_socket_t on_socket(void *ctx, curlsocktype purpose, struct curl_sockaddr *a)
{
	struct http *h = ctx;
	char ip[INET6_ADDRSTRLEN] = "";

	if (a->family == AF_INET) {
		const struct sockaddr_in *in = (const void *)&a->addr;

		(void)inet_ntop(AF_INET, &in->sin_addr, ip, sizeof ip);
		(void)snprintf(h->dialed, sizeof h->dialed, "%s:%u", ip, ntohs(in->sin_port));
	} else if (a->family == AF_INET6) {
		const struct sockaddr_in6 *in = (const void *)&a->addr;

		(void)inet_ntop(AF_INET6, &in->sin6_addr, ip, sizeof ip);
		(void)snprintf(h->dialed, sizeof h->dialed, "[%s]:%u", ip, ntohs(in->sin6_port));
	}
	return socket(a->family, a->socktype | SOCK_CLOEXEC, a->protocol);
}

/* ---- setting up ---- */
static bool loopback(const char *host)
{
	return strncmp(host, "127.", 4) == 0 || strncmp(host, "[::1]", 5) == 0 || streq(host, "localhost") ||
	       str_after(host, "localhost:");
}

static void set_proxy(struct http *h)
{
	AUTO_FREE char *host = url_host(h->url);
	const char *proxy = url_has_scheme(h->url, "https") ? net.o.https_proxy : net.o.http_proxy;
	const struct curl_api *c = net.c;

	if (str_empty(proxy) || !host || loopback(host)) { /* "" keeps libcurl from the environment */
		(void)c->easy_setopt(h->easy, CURLOPT_PROXY, "");
		return;
	}
	(void)c->easy_setopt(h->easy, CURLOPT_PROXY, proxy);
	(void)c->easy_setopt(h->easy, CURLOPT_NOPROXY, net.o.no_proxy ? net.o.no_proxy : "");
	(void)c->easy_setopt(h->easy, CURLOPT_SUPPRESS_CONNECT_HEADERS, 1L);
}

static void set_tls(struct http *h)
{
	const struct curl_api *c = net.c;

	if (h->insecure) {
		(void)c->easy_setopt(h->easy, CURLOPT_SSL_VERIFYPEER, 0L);
		(void)c->easy_setopt(h->easy, CURLOPT_SSL_VERIFYHOST, 0L);
	}
	(void)c->easy_setopt(h->easy, CURLOPT_CAPATH, NULL);
	(void)c->easy_setopt(h->easy, CURLOPT_CAINFO, h->tls && h->tls->ca ? h->tls->ca : "/ca.pem");
	if (h->tls && h->tls->cert) {
		(void)c->easy_setopt(h->easy, CURLOPT_SSLCERT, h->tls->cert);
		(void)c->easy_setopt(h->easy, CURLOPT_SSLKEY, h->tls->key);
	}
}

static void set_body(struct http *h)
{
	const struct curl_api *c = net.c;

	if (h->from_fd) {
		(void)c->easy_setopt(h->easy, CURLOPT_UPLOAD, 1L);
		(void)c->easy_setopt(h->easy, CURLOPT_READFUNCTION, on_read);
		(void)c->easy_setopt(h->easy, CURLOPT_READDATA, h);
		(void)c->easy_setopt(h->easy, CURLOPT_SEEKFUNCTION, on_seek);
		(void)c->easy_setopt(h->easy, CURLOPT_SEEKDATA, h);
		(void)c->easy_setopt(h->easy, CURLOPT_INFILESIZE_LARGE, (curl_off_t)h->src_n);
		(void)c->easy_setopt(h->easy, CURLOPT_UPLOAD_BUFFERSIZE, (long)SEND_BUFFER);
	} else if (h->body || streq(h->method, "POST") || streq(h->method, "PUT") || streq(h->method, "PATCH")) {
		(void)c->easy_setopt(h->easy, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)h->body_n);
		(void)c->easy_setopt(h->easy, CURLOPT_POSTFIELDS, h->body ? h->body : "");
	} else if (streq(h->method, "HEAD")) {
		(void)c->easy_setopt(h->easy, CURLOPT_NOBODY, 1L);
	}
	if (!streq(h->method, "HEAD") && !streq(h->method, "GET"))
		(void)c->easy_setopt(h->easy, CURLOPT_CUSTOMREQUEST, h->method);
}

static struct curl_slist *header_list(struct http *h)
{
	struct curl_slist *l = NULL;
	bool has_type = false;

	for (size_t i = 0; i < h->headers.n; i++) {
		has_type |= strncasecmp(h->headers.v[i], "content-type:", 13) == 0;
		l = net.c->slist_append(l, h->headers.v[i]);
	}
	if (h->authorization) {
		AUTO_FREE char *line = xasprintf("Authorization: %s", h->authorization);

		l = net.c->slist_append(l, line);
	}
	for (size_t i = 0; net.o.meta_headers && i < net.o.meta_headers->n; i++) {
		AUTO_FREE char *line = xasprintf("%s: %s", net.o.meta_headers->v[i].k, net.o.meta_headers->v[i].v);

		if (!strpbrk(line, "\r\n"))
			l = net.c->slist_append(l, line);
	}
	if (!has_type)
		l = net.c->slist_append(l, "Content-Type:"); /* libcurl's own guess is a web form */
	return net.c->slist_append(l, "Expect:");
}

static void set_all(struct http *h, char *error)
{
	const struct curl_api *c = net.c;
	unsigned stall = h->stall_s ? h->stall_s : net.o.stall_s;

	(void)c->easy_setopt(h->easy, CURLOPT_URL, h->url);
	(void)c->easy_setopt(h->easy, CURLOPT_PRIVATE, h);
	(void)c->easy_setopt(h->easy, CURLOPT_PROTOCOLS_STR, "http,https");
	(void)c->easy_setopt(h->easy, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
	(void)c->easy_setopt(h->easy, CURLOPT_NOSIGNAL, 1L);
	(void)c->easy_setopt(h->easy, CURLOPT_PATH_AS_IS, 1L);
	(void)c->easy_setopt(h->easy, CURLOPT_ERRORBUFFER, error);
	(void)c->easy_setopt(h->easy, CURLOPT_USERAGENT, net.o.user_agent ? net.o.user_agent : "hoy");
	(void)c->easy_setopt(h->easy, CURLOPT_BUFFERSIZE, (long)RECV_BUFFER);
	(void)c->easy_setopt(h->easy, CURLOPT_CONNECTTIMEOUT_MS, (long)CONNECT_TIMEOUT_MS);
	(void)c->easy_setopt(h->easy, CURLOPT_HEADERFUNCTION, on_header);
	(void)c->easy_setopt(h->easy, CURLOPT_HEADERDATA, h);
	(void)c->easy_setopt(h->easy, CURLOPT_WRITEFUNCTION, on_body);
	(void)c->easy_setopt(h->easy, CURLOPT_WRITEDATA, h);
	(void)c->easy_setopt(h->easy, CURLOPT_OPENSOCKETFUNCTION, on_socket);
	(void)c->easy_setopt(h->easy, CURLOPT_OPENSOCKETDATA, h);
	if (!h->from_fd || h->src_n >= 0) { /* a pipe may be slow: it is our own */
		(void)c->easy_setopt(h->easy, CURLOPT_LOW_SPEED_LIMIT, 1L);
		(void)c->easy_setopt(h->easy, CURLOPT_LOW_SPEED_TIME, (long)stall);
	}
	set_proxy(h);
	set_tls(h);
	set_body(h);
}

/* ---- failures, in Go's words ---- */
static void go_dial(struct http *h, struct strb *out)
{
	long sys = 0;
	AUTO_FREE char *text = NULL;

	(void)net.c->easy_getinfo(h->easy, CURLINFO_OS_ERRNO, &sys);
	strb_addf(out, "dial tcp %s: ", h->dialed);
	if (sys == 0 || sys == ETIMEDOUT) {
		strb_adds(out, sys ? "connect: connection timed out" : "i/o timeout");
		return;
	}
	text = xstrdup(strerror((int)sys));
	*text = (char)tolower((unsigned char)*text);
	strb_addf(out, "connect: %s", text);
}

static void go_lookup(struct http *h, struct strb *out)
{
	AUTO_FREE char *host = url_host(h->url);
	char *colon = host ? strrchr(host, ':') : NULL;

	if (colon && !strchr(colon, ']'))
		*colon = 0;
	strb_addf(out, "dial tcp: lookup %s%s%s: no such host", host ? host : "", *net.nameserver ? " on " : "",
		  net.nameserver);
}

static void go_reset(struct http *h, struct strb *out)
{
	const char *ip = NULL;
	long port = 0;

	(void)net.c->easy_getinfo(h->easy, CURLINFO_LOCAL_IP, &ip);
	(void)net.c->easy_getinfo(h->easy, CURLINFO_LOCAL_PORT, &port);
	strb_addf(out,
		  ip && strchr(ip, ':') ? "read tcp [%s]:%ld->%s: read: connection reset by peer"
					: "read tcp %s:%ld->%s: read: connection reset by peer",
		  ip ? ip : "", port, h->dialed);
}

static void go_verify(struct http *h, const char *error, struct strb *out)
{
	AUTO_FREE char *host = url_host(h->url);
	long verdict = 0;

	(void)net.c->easy_getinfo(h->easy, CURLINFO_SSL_VERIFYRESULT, &verdict);
	strb_adds(out, "tls: failed to verify certificate: x509: ");
	if (verdict == 0) /* the chain is good, so it is the name */
		strb_addf(out, "certificate is not valid for %s", host ? host : "this host");
	else if (verdict == 9 || verdict == 10)
		strb_adds(out, "certificate has expired or is not yet valid");
	else if (verdict >= 18 && verdict <= 21)
		strb_adds(out, "certificate signed by unknown authority");
	else if (verdict == 2)
		strb_adds(out, "certificate signed by unknown authority");
	else
		strb_adds(out, error);
}

/* The other side's last word in TLS, which OpenSSL calls "... alert certificate required". */
static bool go_alert(const char *error, struct strb *out)
{
	static const struct {
		const char *openssl, *go;
	} words[] = {
		{ "certificate required", "certificate required" },
		{ "unknown ca", "unknown certificate authority" },
		{ "bad certificate", "bad certificate" },
		{ "certificate unknown", "unknown certificate" },
		{ "certificate expired", "expired certificate" },
		{ "handshake failure", "handshake failure" },
		{ "protocol version", "protocol version not supported" },
		{ "access denied", "access denied" },
		{ "unrecognized name", "unrecognized name" },
		{ "internal error", "internal error" },
	};
	const char *alert = strstr(error, " alert ");

	for (size_t i = 0; alert && i < ARRAY_LEN(words); i++)
		if (strstr(alert, words[i].openssl)) {
			strb_addf(out, "remote error: tls: %s", words[i].go);
			return true;
		}
	return false;
}

static void explain(struct http *h, const char *error)
{
	AUTO_STRB struct strb b = STRB_INIT;
	double appconnect = 0, connect = 0;

	(void)net.c->easy_getinfo(h->easy, CURLINFO_APPCONNECT_TIME, &appconnect);
	(void)net.c->easy_getinfo(h->easy, CURLINFO_CONNECT_TIME, &connect);
	if (h->status == 0) {
		char name[16] = "";

		http_go_method(h, name);
		strb_addf(&b, "%s \"%s\": ", name, h->url);
	}
	switch (h->code) {
	case CURLE_COULDNT_RESOLVE_HOST:
		go_lookup(h, &b);
		h->refused = true;
		break;
	case CURLE_COULDNT_RESOLVE_PROXY:
		strb_adds(&b, "proxyconnect tcp: dial tcp: lookup of the proxy failed: no such host");
		h->refused = true;
		break;
	case CURLE_COULDNT_CONNECT:
		go_dial(h, &b);
		h->refused = true;
		break;
	case CURLE_OPERATION_TIMEDOUT:
		if (connect == 0)
			go_dial(h, &b), h->refused = true;
		else if (h->status == 0 && appconnect == 0 && url_has_scheme(h->url, "https"))
			strb_adds(&b, "net/http: TLS handshake timeout");
		else if (h->status == 0)
			strb_adds(&b, "context deadline exceeded (Client.Timeout exceeded while awaiting headers)");
		else
			strb_adds(&b, "context deadline exceeded (Client.Timeout or context cancellation while reading "
				      "body)");
		break;
	case CURLE_PEER_FAILED_VERIFICATION:
		go_verify(h, error, &b);
		h->refused = true;
		break;
	case CURLE_SSL_CONNECT_ERROR:
		if (strstr(error, "wrong version number") || strstr(error, "packet length too long") ||
		    strstr(error, "http request")) {
			strb_adds(&b, "http: server gave HTTP response to HTTPS client");
			h->refused = true;
		} else if (go_alert(error, &b))
			h->refused = true;
		else if (strstr(error, "reset by peer"))
			go_reset(h, &b);
		else if (strstr(error, "SSL_ERROR_SYSCALL") || strstr(error, "unexpected eof"))
			strb_adds(&b, "EOF");
		else
			strb_addf(&b, "remote error: tls: %s", *error ? error : "handshake failure");
		break;
	case CURLE_GOT_NOTHING:
		strb_adds(&b, "EOF");
		break;
	case CURLE_PARTIAL_FILE:
		strb_adds(&b, "unexpected EOF");
		break;
	case CURLE_RECV_ERROR:
		if (go_alert(error, &b)) /* of TLS 1.3: what we said of ourselves is judged after the handshake */
			h->refused = true;
		else if (strstr(error, "reset"))
			go_reset(h, &b);
		else
			strb_adds(&b, "unexpected EOF");
		break;
	case CURLE_SEND_ERROR:
		strb_addf(&b, "write tcp %s: write: broken pipe", h->dialed);
		break;
	case CURLE_WRITE_ERROR:
		strb_adds(&b, h->header_bytes > HEADERS_MAX ? "net/http: server response headers exceeded the limit"
			      : h->sink_error == -EFBIG     ? "answer is too long"
							    : "answer was refused");
		break;
	case CURLE_ABORTED_BY_CALLBACK:
		strb_adds(&b, "reading what is to be sent failed");
		break;
	default:
		strb_adds(&b, *error ? error : net.c->easy_strerror((CURLcode)h->code));
	}
	(void)snprintf(h->error, sizeof h->error, "%s", strb_str(&b));
	h->tls_failed = h->code == CURLE_SSL_CONNECT_ERROR || h->code == CURLE_PEER_FAILED_VERIFICATION;
}

void http_run(struct http *h)
{
	char error[CURL_ERROR_SIZE] = "";
	struct curl_slist *list = NULL;

	h->easy = net.c->easy_init();
	if (!h->easy) {
		(void)snprintf(h->error, sizeof h->error, "libcurl gave up");
		return;
	}
	if (!h->max)
		h->max = 1 << 20;
	set_all(h, error);
	list = header_list(h);
	(void)net.c->easy_setopt(h->easy, CURLOPT_HTTPHEADER, list);
	h->fiber = fiber_self();
	if (net.c->multi_add_handle(net.multi, h->easy) == CURLM_OK)
		fiber_wait();
	else
		h->code = CURLE_FAILED_INIT;
	if (h->paused)
		unpause(h);
	if (h->code != CURLE_OK) {
		explain(h, error);
		h->broken = h->status != 0;
	}
	(void)net.c->multi_remove_handle(net.multi, h->easy);
	net.c->easy_cleanup(h->easy);
	net.c->slist_free_all(list);
	h->easy = NULL;
}

/* ---- the loop ---- */
void net_sleep(int64_t ms)
{
	struct timer *t = VEC_ADD(&net.timers);

	t->at_ns = time_mono_ns() + ms * 1000000;
	t->fiber = fiber_self();
	fiber_wait();
}

static int next_timer_ms(void)
{
	int64_t now = time_mono_ns(), best = (int64_t)IDLE_MS * 1000000;

	for (size_t i = 0; i < net.timers.n; i++)
		best = MIN(best, MAX(net.timers.v[i].at_ns - now, 0));
	return (int)((best + 999999) / 1000000);
}

static void wake_sleepers(void)
{
	int64_t now = time_mono_ns();

	for (size_t i = 0; i < net.timers.n;) {
		if (net.timers.v[i].at_ns > now) {
			i++;
			continue;
		}
		fiber_wake(net.timers.v[i].fiber);
		net.timers.v[i] = net.timers.v[--net.timers.n];
	}
}

static void wake_finished(void)
{
	CURLMsg *m;
	int left = 0;

	while ((m = net.c->multi_info_read(net.multi, &left))) {
		struct http *h = NULL;

		if (m->msg != CURLMSG_DONE)
			continue;
		(void)net.c->easy_getinfo(m->easy_handle, CURLINFO_PRIVATE, &h);
		h->code = (int)m->data.result;
		fiber_wake(h->fiber);
	}
}

static void wake_paused(void)
{
	struct http *next;

	for (struct http *h = net.paused; h; h = next) {
		struct pollfd p = { .fd = h->src, .events = POLLIN };

		next = h->next_paused;
		if (poll(&p, 1, 0) > 0) {
			unpause(h);
			(void)net.c->easy_pause(h->easy, CURLPAUSE_CONT);
			next = net.paused; /* on_read may have changed the list */
		}
	}
}

int net_open(const struct curl_api *c, const struct net_opts *o, struct err *e)
{
	AUTO_FREE char *text = NULL;
	const char *line;

	net.c = c;
	net.o = *o;
	net.multi = c->multi_init();
	if (!net.multi)
		return err_set(e, ERR_SYSTEM, "libcurl does not start");
	if (file_read(AT_FDCWD, "/etc/resolv.conf", 65536, &text, NULL) == 0 && (line = strstr(text, "nameserver "))) {
		size_t n = strcspn(line + 11, " \t\r\n");

		(void)snprintf(net.nameserver, sizeof net.nameserver, "%.*s:53", (int)MIN(n, (size_t)50), line + 11);
	}
	return 0;
}

int net_loop(int input, int (*on_input)(void *ctx), void *ctx)
{
	for (;;) {
		struct curl_waitfd fds[PAUSED_MAX + 1] = { { .fd = input, .events = CURL_WAIT_POLLIN } };
		struct pollfd in = { .fd = input, .events = POLLIN };
		unsigned n = 1;
		int running = 0, ready = 0, r;

		(void)fiber_run_ready();
		(void)net.c->multi_perform(net.multi, &running);
		wake_finished();
		wake_sleepers();
		wake_paused();
		if (fiber_run_ready())
			continue;
		for (struct http *h = net.paused; h && n <= PAUSED_MAX; h = h->next_paused)
			fds[n++] = (struct curl_waitfd){ .fd = h->src, .events = CURL_WAIT_POLLIN };
		(void)net.c->multi_poll(net.multi, fds, n, next_timer_ms(), &ready);
		if (poll(&in, 1, 0) > 0) {
			r = on_input(ctx);
			if (r != 0)
				return r;
		}
	}
}
