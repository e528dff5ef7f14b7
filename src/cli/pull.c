/* pull.c - see pull.h. Progress bars are left out: one line a state, none for bytes. */
#include "cli/pull.h"

#define LINE_MAX_BYTES (1u << 20)

static int message_show(const char *text, size_t n, bool quiet, FILE *to, struct err *e)
{
	struct jval *m = NULL;
	const char *id, *status, *stream, *why;
	int r = 0;

	if (n == 0 || jval_parse(text, n, &json_limits_default, &m, NULL) < 0)
		return 0;
	id = jval_str(jval_get(m, "id"));
	status = jval_str(jval_get(m, "status"));
	stream = jval_str(jval_get(m, "stream"));
	why = jval_str(jval_get(jval_get(m, "errorDetail"), "message"));
	if (!*why)
		why = jval_str(jval_get(m, "error"));
	if (*why)
		r = err_set(e, ERR_SYSTEM, "%s", why);
	else if (!quiet && *stream)
		(void)fputs(stream, to);
	else if (!quiet && *status && jval_len(jval_get(m, "progressDetail")) == 0)
		(void)fprintf(to, "%s%s%s\n", id, *id ? ": " : "", status);
	jval_free(m);
	return r;
}

int progress_show(struct answer *a, bool quiet, FILE *to, struct err *e)
{
	AUTO_STRB struct strb line = STRB_INIT;
	char buf[4096];
	ssize_t n;

	while ((n = answer_read(a, buf, sizeof buf)) != 0) {
		if (n < 0)
			return err_set(e, ERR_SYSTEM, "unexpected EOF");
		for (ssize_t i = 0; i < n; i++) {
			int r;

			if (buf[i] != '\n' && line.len < LINE_MAX_BYTES) {
				strb_addc(&line, buf[i]);
				continue;
			}
			r = message_show(strb_str(&line), line.len, quiet, to, e);
			if (r < 0)
				return r;
			strb_clear(&line);
		}
	}
	return message_show(strb_str(&line), line.len, quiet, to, e);
}

int pull_image(struct cli *c, const char *image, const char *platform, bool quiet, FILE *to, struct err *e)
{
	AUTO_FREE char *name = NULL, *tag = NULL;
	AUTO_STRB struct strb path = STRB_INIT;
	struct answer *a = NULL;
	int r = cli_client(c, e);

	if (r < 0)
		return r;
	reference_split(image, &name, &tag);
	strb_adds(&path, "/images/create");
	query_add(&path, "fromImage", name);
	query_add(&path, "tag", tag);
	if (!str_empty(platform))
		query_add(&path, "platform", platform);
	r = client_start(c->client, &(struct client_call){ .method = "POST", .path = strb_str(&path) }, &a, e);
	if (r < 0)
		return r;
	r = progress_show(a, quiet, to, e);
	answer_free(a);
	return r;
}
