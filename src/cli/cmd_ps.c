/* cmd_ps.c - ps / container ls. */
#include "cli/command.h"
#include "cli/human.h"
#include "cli/ports_text.h"
#include "cli/rows.h"

#define PS_TABLE "{{.ID}}\t{{.Image}}\t{{.Command}}\t{{.RunningFor}}\t{{.Status}}\t{{.Ports}}\t{{.Names}}"
static char *names_text(const struct jval *names, bool all)
{
	struct strb b = STRB_INIT;

	for (size_t i = 0; i < jval_len(names); i++) {
		const char *name = jval_str(jval_at(names, i));

		if (*name == '/')
			name++;
		if (!all && strchr(name, '/')) /* a link's name */
			continue;
		strb_addf(&b, "%s%s", b.len ? "," : "", name);
	}
	return strb_take(&b);
}

static char *image_text(const struct jval *c, bool full)
{
	const char *image = jval_str(jval_get(c, "Image")), *at;
	char a[13], b[13];

	if (!*image)
		return xstrdup("<no image>");
	if (full)
		return xstrdup(image);
	if (streq(short_id(jval_str(jval_get(c, "ImageID")), a), short_id(image, b)))
		return xstrdup(a);
	at = strchr(image, '@');
	return at && strchr(image, ':') < at ? xstrndup(image, (size_t)(at - image)) : xstrdup(image);
}

static char *command_text(const char *command, bool full)
{
	AUTO_FREE char *cut = full ? xstrdup(command) : ellipsis(command, 20);
	struct strb b = STRB_INIT;

	/* as strconv.Quote */
	strb_addc(&b, '"');
	for (const char *p = cut; *p; p++) {
		if (*p == '"' || *p == '\\')
			strb_addf(&b, "\\%c", *p);
		else if (*p == '\n' || *p == '\t' || *p == '\r')
			strb_addf(&b, "\\%c", *p == '\n' ? 'n' : *p == '\t' ? 't' : 'r');
		else if ((unsigned char)*p < 0x20 || *p == 0x7f)
			strb_addf(&b, "\\x%02x", (unsigned char)*p);
		else
			strb_addc(&b, *p);
	}
	strb_addc(&b, '"');
	return strb_take(&b);
}

static char *mounts_text(const struct jval *mounts, bool full, int *ret_local)
{
	struct strb b = STRB_INIT;

	*ret_local = 0;
	for (size_t i = 0; i < jval_len(mounts); i++) {
		const struct jval *m = jval_at(mounts, i);
		const char *name = jval_str(jval_get(m, "Name"));
		AUTO_FREE char *shown = NULL;

		*ret_local += streq(jval_str(jval_get(m, "Driver")), "local");
		if (!*name)
			name = jval_str(jval_get(m, "Source"));
		shown = full ? xstrdup(name) : ellipsis(name, 15);
		strb_addf(&b, "%s%s", i ? "," : "", shown);
	}
	return strb_take(&b);
}

static char *networks_text(const struct jval *networks)
{
	AUTO_STRV struct strv names = { 0 };
	struct strb b = STRB_INIT;

	for (size_t i = 0; i < jval_len(networks); i++) {
		const char *key;

		(void)jval_entry(networks, i, &key);
		strv_add(&names, key);
	}
	strv_sort(&names);
	for (size_t i = 0; i < names.n; i++)
		strb_addf(&b, "%s%s", i ? "," : "", names.v[i]);
	return strb_take(&b);
}

static char *size_text(const struct jval *c)
{
	AUTO_FREE char *own = human_size((double)jval_int(jval_get(c, "SizeRw")), 3);
	AUTO_FREE char *all = human_size((double)jval_int(jval_get(c, "SizeRootFs")), 3);

	if (jval_int(jval_get(c, "SizeRootFs")) > 0)
		return xasprintf("%s (virtual %s)", own, all);
	return xstrdup(own);
}

static char *created_at(int64_t seconds)
{
	char text[64];
	time_t t = (time_t)seconds;
	struct tm tm;

	(void)localtime_r(&t, &tm);
	(void)strftime(text, sizeof text, "%Y-%m-%d %H:%M:%S %z %Z", &tm);
	return xstrdup(text);
}

void container_row(struct listing *l, const struct jval *c, bool full)
{
	struct strmap *cells = listing_add(l);
	const char *id = jval_str(jval_get(c, "Id"));
	int64_t created = jval_int(jval_get(c, "Created"));
	char brief[13];
	int local = 0;

	cell_take(cells, "Command", command_text(jval_str(jval_get(c, "Command")), full));
	cell_take(cells, "CreatedAt", created_at(created));
	strmap_set(cells, "ID", full ? id : short_id(id, brief));
	cell_take(cells, "Image", image_text(c, full));
	cell_take(cells, "Mounts", mounts_text(jval_get(c, "Mounts"), full, &local));
	cell_setf(cells, "LocalVolumes", "%d", local);
	cell_take(cells, "Names", names_text(jval_get(c, "Names"), full));
	cell_take(cells, "Networks", networks_text(jval_get(jval_get(c, "NetworkSettings"), "Networks")));
	strmap_set(cells, "Platform", "");
	cell_take(cells, "Ports", ports_text(jval_get(c, "Ports")));
	cell_take(cells, "RunningFor", human_ago(created));
	cell_take(cells, "Size", size_text(c));
	strmap_set(cells, "State", jval_str(jval_get(c, "State")));
	strmap_set(cells, "Status", jval_str(jval_get(c, "Status")));
	listing_labels(l, jval_get(c, "Labels"));
}

static void print_ids(const struct jval *list, bool full)
{
	char brief[13];

	for (size_t i = 0; i < jval_len(list); i++) {
		const char *id = jval_str(jval_get(jval_at(list, i), "Id"));

		(void)printf("%s\n", full ? id : short_id(id, brief));
	}
}

int cmd_ps(struct cli *c)
{
	const char *format = opt_str(c->o, "format");
	bool quiet = opt_bool(c->o, "quiet"), full = opt_bool(c->o, "no-trunc");
	bool size = opt_bool(c->o, "size") || (!quiet && format_mentions(format, ".Size"));
	int64_t last = opt_bool(c->o, "latest") && !opt_set(c->o, "last") ? 1 : opt_int(c->o, "last");
	AUTO_STRB struct strb path = STRB_INIT;
	AUTO_FREE char *filters = filters_json(opt_list(c->o, "filter"));
	AUTO_LISTING struct listing l = { .headers = PS_HEADERS };
	struct jval *list = NULL;
	struct err e = ERR_INIT;
	int r;

	strb_adds(&path, "/containers/json");
	if (opt_bool(c->o, "all"))
		query_add(&path, "all", "1");
	if (last > 0)
		strb_addf(&path, "%climit=%lld", path.len > 16 ? '&' : '?', (long long)last);
	if (size)
		query_add(&path, "size", "1");
	if (filters)
		query_add(&path, "filters", filters);
	r = cli_get(c, strb_str(&path), &list, &e);
	if (r < 0)
		return cli_report(&e);
	if (quiet && (str_empty(format) || streq(format, "table"))) {
		print_ids(list, full);
	} else {
		for (size_t i = 0; i < jval_len(list); i++)
			container_row(&l, jval_at(list, i), full);
		r = listing_print(&l, format, opt_bool(c->o, "size") ? PS_TABLE "\t{{.Size}}" : PS_TABLE, &e);
	}
	jval_free(list);
	return r < 0 ? cli_report(&e) : 0;
}
