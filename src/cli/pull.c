/* pull.c - see pull.h. */
#include "cli/pull.h"
#include "cli/credentials.h"
#include "cli/human.h"
#include "cli/session.h"

#define LINE_MAX_BYTES (1u << 20)
#define BAR 50

struct screen {
	FILE *to;
	bool quiet, terminal;
	unsigned columns;
	struct strv ids; /* terminal: which layer has which of the last lines */
};

/* "[=====>    ]  1.2MB/3.4MB", as wide as the terminal lets it be. */
static char *bar_text(const struct screen *s, const struct jval *detail)
{
	int64_t now = jval_int(jval_get(detail, "current")), all = jval_int(jval_get(detail, "total"));
	AUTO_FREE char *done = human_size((double)now, 4), *whole = human_size((double)all, 4);
	char bar[BAR + 1];
	int n;

	if (now <= 0 && all <= 0)
		return xstrdup("");
	if (all <= 0)
		return xasprintf("%8s", done);
	n = MIN((int)((double)now / (double)all * 100.0) / 2, BAR);
	memset(bar, '=', BAR);
	bar[BAR] = 0;
	if (s->columns <= 110)
		return now > all ? xasprintf("%8s", done) : xasprintf("%8s/%s", done, whole);
	if (now > all)
		return xasprintf("[%s>] %8s", bar, done);
	return xasprintf("[%.*s>%*s] %8s/%s", n, bar, BAR - n, "", done, whole);
}

/* One line of the terminal belongs to each layer; any other message ends that block. */
static void show_layer(struct screen *s, const char *id, const char *status, const struct jval *detail)
{
	AUTO_FREE char *bar = bar_text(s, detail);
	size_t line = 0;

	while (line < s->ids.n && !streq(s->ids.v[line], id))
		line++;
	if (line == s->ids.n) {
		strv_add(&s->ids, id);
		(void)fputc('\n', s->to);
	}
	(void)fprintf(s->to, "\033[%zuA\033[2K\r%s: %s %s\r\033[%zuB", s->ids.n - line, id, status, bar,
		      s->ids.n - line);
	(void)fflush(s->to);
}

static int message_show(struct screen *s, const char *text, size_t n, struct err *e)
{
	const struct jval *detail;
	struct jval *m = NULL;
	const char *id, *status, *stream, *why;
	int r = 0;

	if (n == 0 || jval_parse(text, n, &json_limits_default, &m, NULL) < 0)
		return 0;
	id = jval_str(jval_get(m, "id"));
	status = jval_str(jval_get(m, "status"));
	stream = jval_str(jval_get(m, "stream"));
	detail = jval_get(m, "progressDetail");
	why = jval_str(jval_get(jval_get(m, "errorDetail"), "message"));
	if (!*why)
		why = jval_str(jval_get(m, "error"));
	if (*why) {
		r = err_set(e, ERR_SYSTEM, "%s", why);
	} else if (!s->quiet && *stream) {
		(void)fputs(stream, s->to);
	} else if (!s->quiet && *status && *id && detail && s->terminal) {
		show_layer(s, id, status, detail);
	} else if (!s->quiet && *status && jval_len(detail) == 0) {
		strv_done(&s->ids);
		(void)fprintf(s->to, "%s%s%s\n", id, *id ? ": " : "", status);
	}
	jval_free(m);
	return r;
}

int progress_show(struct answer *a, bool quiet, FILE *to, struct err *e)
{
	struct screen s = { .to = to, .quiet = quiet, .terminal = isatty(fileno(to)), .columns = 80 };
	AUTO_STRB struct strb line = STRB_INIT;
	char buf[4096];
	unsigned rows;
	ssize_t n;
	int r = 0;

	if (s.terminal)
		(void)terminal_size(&rows, &s.columns);
	while (r == 0 && (n = answer_read(a, buf, sizeof buf)) != 0) {
		if (n < 0)
			r = err_set(e, ERR_SYSTEM, "unexpected EOF");
		for (ssize_t i = 0; r == 0 && i < n; i++) {
			if (buf[i] != '\n' && line.len < LINE_MAX_BYTES) {
				strb_addc(&line, buf[i]);
				continue;
			}
			r = message_show(&s, strb_str(&line), line.len, e);
			strb_clear(&line);
		}
	}
	if (r == 0)
		r = message_show(&s, strb_str(&line), line.len, e);
	strv_done(&s.ids);
	return r;
}

static int add_credentials(struct strmap *headers, const char *name, const char *image, struct err *e)
{
	AUTO_CREDENTIALS struct credentials who = { 0 };
	AUTO_FREE char *server = credentials_server(image), *header = NULL;
	int r = credentials_get(server, &who, e);

	if (r < 0)
		return r;
	header = credentials_header(server, &who);
	strmap_set(headers, name, header);
	return 0;
}

static int request(struct cli *c, const char *path, const struct strmap *headers, bool quiet, FILE *to, struct err *e)
{
	struct answer *a = NULL;
	int r = cli_client(c, e);

	if (r == 0)
		r = client_start(c->client, &(struct client_call){ .method = "POST", .path = path, .headers = headers },
				 &a, e);
	if (r < 0)
		return r;
	r = progress_show(a, quiet, to, e);
	answer_free(a);
	return r;
}

/* Credentials for the registry of image, and the request. */
static int transfer(struct cli *c, const char *image, const char *path, bool quiet, FILE *to, struct err *e)
{
	AUTO_STRMAP struct strmap headers = { 0 };
	int r = add_credentials(&headers, "X-Registry-Auth", image, e);

	return r < 0 ? r : request(c, path, &headers, quiet, to, e);
}

int pull_image(struct cli *c, const char *image, bool all_tags, const char *platform, bool quiet, FILE *to,
	       struct err *e)
{
	AUTO_FREE char *name = NULL, *tag = NULL;
	AUTO_STRB struct strb path = STRB_INIT;

	reference_split(image, &name, &tag);
	strb_adds(&path, "/images/create");
	query_add(&path, "fromImage", name);
	if (!all_tags)
		query_add(&path, "tag", tag);
	if (!str_empty(platform))
		query_add(&path, "platform", platform);
	return transfer(c, image, strb_str(&path), quiet, to, e);
}

int push_image(struct cli *c, const char *image, bool all_tags, const char *platform, bool quiet, FILE *to,
	       struct err *e)
{
	AUTO_FREE char *name = NULL, *tag = NULL, *escaped = NULL;
	AUTO_STRB struct strb path = STRB_INIT;

	reference_split(image, &name, &tag);
	escaped = url_escape(name);
	strb_addf(&path, "/images/%s/push", escaped);
	if (!all_tags)
		query_add(&path, "tag", tag);
	if (!str_empty(platform)) {
		AUTO_STRV struct strv parts = { 0 };
		AUTO_STRB struct strb json = STRB_INIT;
		static const char *const names[] = { "os", "architecture", "variant" };

		strv_split(&parts, platform, "/");
		strb_addc(&json, '{');
		for (size_t i = 0; i < parts.n && i < ARRAY_LEN(names); i++) {
			strb_addf(&json, "%s\"%s\":", i ? "," : "", names[i]);
			json_add_str(&json, parts.v[i]);
		}
		strb_addc(&json, '}');
		query_add(&path, "platform", strb_str(&json));
	}
	return transfer(c, image, strb_str(&path), quiet, to, e);
}

int copy_image(struct cli *c, const char *from, const char *to, const char *platform, bool quiet, FILE *to_file,
	       struct err *e)
{
	AUTO_STRMAP struct strmap headers = { 0 };
	AUTO_STRB struct strb path = STRB_INIT;
	int r = add_credentials(&headers, "X-Registry-Auth", from, e);

	if (r == 0)
		r = add_credentials(&headers, "X-Hoy-Registry-Auth-To", to, e);
	if (r < 0)
		return r;
	strb_adds(&path, "/hoy/images/copy");
	query_add(&path, "from", from);
	query_add(&path, "to", to);
	if (!str_empty(platform))
		query_add(&path, "platform", platform);
	return request(c, strb_str(&path), &headers, quiet, to_file, e);
}
