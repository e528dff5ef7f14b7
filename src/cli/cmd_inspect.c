/* cmd_inspect.c - inspect of any object, by type or by trying the types in Docker's order. */
#include "cli/command.h"
#include "cli/listing.h"
#include "cli/template.h"

struct kind {
	const char *name, *path, *rest; /* around the escaped name */
};
static const struct kind kinds[] = {
	{ "container", "/containers/", "/json" },
	{ "image", "/images/", "/json" },
	{ "network", "/networks/", "" },
	{ "volume", "/volumes/", "" },
};

static int fetch(struct cli *c, const struct kind *k, const char *name, const char *query, struct jval **ret,
		 struct err *e)
{
	AUTO_FREE char *escaped = url_escape(name);
	AUTO_FREE char *path = xasprintf("%s%s%s%s", k->path, escaped, k->rest, query);

	return cli_get(c, path, ret, e);
}

/* The first type that has such an object. */
static int fetch_any(struct cli *c, const char *only, const char *name, const char *query, struct jval **ret,
		     struct err *e)
{
	for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
		struct err why = ERR_INIT;

		if (*only && !streq(only, kinds[i].name))
			continue;
		if (fetch(c, &kinds[i], name, i == 0 ? query : "", ret, &why) >= 0)
			return 0;
		if (why.kind != ERR_NOT_FOUND || *only) {
			if (e)
				*e = why;
			return -EINVAL;
		}
	}
	return err_set(e, ERR_NOT_FOUND, "Error: No such object: %s", name);
}

static bool template_refused(const char *format)
{
	struct tmpl *t = NULL;
	struct err e = ERR_INIT;

	if (tmpl_parse(format, &t, &e) >= 0) {
		tmpl_free(t);
		return false;
	}
	(void)fprintf(stderr, "template parsing error: %s\n", e.msg);
	return true;
}

static int inspect(struct cli *c, const char *only, const char *query)
{
	const char *format = opt_str(c->o, "format");
	AUTO_STRB struct strb out = STRB_INIT, errors = STRB_INIT;
	bool json = streq(format, "json"), plain = !*format || json;
	size_t found = 0;

	if (!plain && template_refused(format))
		return 64; /* Docker's status for a template that cannot be read */
	if (plain)
		strb_addc(&out, '[');
	for (size_t i = 0; i < c->words->n; i++) {
		struct jval *tree = NULL;
		struct err e = ERR_INIT;
		int r = fetch_any(c, only, c->words->v[i], query, &tree, &e);

		if (r >= 0 && json) {
			strb_adds(&out, found++ ? "," : "");
			jval_write(tree, &out);
		} else if (r >= 0 && plain) {
			AUTO_STRB struct strb text = STRB_INIT;

			jval_write_indent(tree, "    ", &text);
			strb_adds(&out, found++ ? ",\n    " : "\n    ");
			for (size_t k = 0; k < text.len; k++) {
				strb_addc(&out, text.s[k]);
				if (text.s[k] == '\n')
					strb_adds(&out, "    ");
			}
		} else if (r >= 0) {
			r = format_tree(tree, format, &out, &e);
		}
		jval_free(tree);
		if (r < 0) {
			strb_addf(&errors, "%s\n", e.msg);
			if (e.kind == ERR_UNAVAILABLE)
				break;
		}
	}
	if (plain)
		strb_adds(&out, found && !json ? "\n]\n" : "]\n");
	(void)fwrite(strb_str(&out), 1, out.len, stdout);
	if (!plain && out.len == 0)
		(void)fputc('\n', stdout); /* as docker: the template's output always ends with a line end */
	(void)fflush(stdout);
	(void)fputs(strb_str(&errors), stderr);
	return errors.len ? 1 : 0;
}

int cmd_inspect(struct cli *c)
{
	const char *type = opt_str(c->o, "type");
	bool known = !*type;

	for (size_t i = 0; i < ARRAY_LEN(kinds); i++)
		known |= streq(type, kinds[i].name);
	if (!known) {
		(void)fprintf(
			stderr,
			"unknown type: \"%s\": must be one of \"container\", \"image\", \"network\", \"volume\"\n",
			type);
		return 1;
	}
	return inspect(c, type, opt_bool(c->o, "size") ? "?size=1" : "");
}

int cmd_container_inspect(struct cli *c)
{
	return inspect(c, "container", opt_bool(c->o, "size") ? "?size=1" : "");
}
int cmd_image_inspect(struct cli *c)
{
	return inspect(c, "image", "");
}
int cmd_network_inspect(struct cli *c)
{
	return inspect(c, "network", "");
}
int cmd_volume_inspect(struct cli *c)
{
	return inspect(c, "volume", "");
}
