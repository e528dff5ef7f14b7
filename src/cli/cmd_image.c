/* cmd_image.c - images: list, history, tag, remove, prune. Archives are in cmd_archive.c. */
#include "cli/command.h"
#include "cli/human.h"
#include "cli/rows.h"

#define IMAGE_TABLE \
	"{{.Repository}}\t{{.Tag}}\t{{.ID}}\t{{if .CreatedSince }}{{.CreatedSince}}{{else}}N/A{{end}}\t{{.Size}}"
#define IMAGE_TABLE_DIGESTS \
	"{{.Repository}}\t{{.Tag}}\t{{.Digest}}\t{{.ID}}\t{{if .CreatedSince " \
	"}}{{.CreatedSince}}{{else}}N/A{{end}}\t{{.Size}}"

static char *local_date(int64_t seconds)
{
	char text[64];
	time_t t = (time_t)seconds;
	struct tm tm;

	(void)localtime_r(&t, &tm);
	(void)strftime(text, sizeof text, "%Y-%m-%d %H:%M:%S %z %Z", &tm);
	return xstrdup(text);
}

void image_row(struct listing *l, const struct jval *image, const char *repo, const char *tag, const char *digest,
	       bool full)
{
	struct strmap *cells = listing_add(l);
	const char *id = jval_str(jval_get(image, "Id"));
	int64_t created = jval_int(jval_get(image, "Created")), users = jval_int(jval_get(image, "Containers"));
	int64_t shared = jval_get(image, "SharedSize") ? jval_int(jval_get(image, "SharedSize")) : -1;
	double size = (double)jval_int(jval_get(image, "Size"));
	char brief[13];

	if (users >= 0 && jval_get(image, "Containers"))
		cell_setf(cells, "Containers", "%lld", (long long)users);
	else
		strmap_set(cells, "Containers", "N/A");
	cell_take(cells, "CreatedAt", local_date(created));
	cell_take(cells, "CreatedSince", human_ago(created));
	strmap_set(cells, "Digest", digest);
	strmap_set(cells, "ID", full ? id : short_id(id, brief));
	strmap_set(cells, "Repository", repo);
	cell_take(cells, "SharedSize", shared >= 0 ? human_size((double)shared, 4) : xstrdup("N/A"));
	cell_take(cells, "Size", human_size(size, 3));
	strmap_set(cells, "Tag", tag);
	cell_take(cells, "UniqueSize", shared >= 0 ? human_size(size - (double)shared, 4) : xstrdup("N/A"));
	cell_take(cells, "VirtualSize", human_size(size, 4));
}

/* One row for each tag (with its repository's digest where asked), one "<none>" row for an image without tags. */
static void image_rows(struct listing *l, const struct jval *image, bool digests, bool full)
{
	const struct jval *tags = jval_get(image, "RepoTags"), *sums = jval_get(image, "RepoDigests");
	size_t shown = 0;

	for (size_t i = 0; i < jval_len(tags); i++) {
		AUTO_FREE char *repo = NULL, *tag = NULL;
		const char *digest = "<none>";

		if (streq(jval_str(jval_at(tags, i)), "<none>:<none>"))
			continue;
		reference_split(jval_str(jval_at(tags, i)), &repo, &tag);
		for (size_t k = 0; digests && k < jval_len(sums); k++) {
			const char *rest = str_after(jval_str(jval_at(sums, k)), repo);

			if (rest && *rest == '@')
				digest = rest + 1;
		}
		image_row(l, image, repo, tag, digest, full);
		shown++;
	}
	for (size_t k = 0; !shown && k < jval_len(sums); k++) {
		AUTO_FREE char *repo = NULL, *digest = NULL;

		reference_split(jval_str(jval_at(sums, k)), &repo, &digest);
		image_row(l, image, repo, "<none>", digests ? digest : "<none>", full);
		shown++;
	}
	if (!shown)
		image_row(l, image, "<none>", "<none>", "<none>", full);
}

/* As many lines as the table has. */
static void print_ids(const struct jval *list, bool full)
{
	for (size_t i = 0; i < jval_len(list); i++) {
		const struct jval *image = jval_at(list, i), *tags = jval_get(image, "RepoTags");
		const char *id = jval_str(jval_get(image, "Id"));
		size_t names = jval_len(tags);
		char brief[13];

		if (names == 1 && streq(jval_str(jval_at(tags, 0)), "<none>:<none>"))
			names = 0;
		if (!names)
			names = MAX(jval_len(jval_get(image, "RepoDigests")), (size_t)1);
		while (names--)
			(void)printf("%s\n", full ? id : short_id(id, brief));
	}
}

int cmd_images(struct cli *c)
{
	const char *format = opt_str(c->o, "format");
	bool full = opt_bool(c->o, "no-trunc"), digests = opt_bool(c->o, "digests") || strstr(format, ".Digest");
	AUTO_STRV struct strv given = { 0 };
	AUTO_STRB struct strb path = STRB_INIT;
	AUTO_FREE char *filters = NULL;
	AUTO_LISTING struct listing l = { .headers = IMAGE_HEADERS };
	struct jval *list = NULL;
	struct err e = ERR_INIT;
	int r;

	strv_copy(&given, opt_list(c->o, "filter"));
	if (c->words->n)
		strv_addf(&given, "reference=%s", c->words->v[0]);
	filters = filters_json(&given);
	strb_adds(&path, "/images/json");
	if (opt_bool(c->o, "all"))
		query_add(&path, "all", "1");
	if (filters)
		query_add(&path, "filters", filters);
	r = cli_get(c, strb_str(&path), &list, &e);
	if (r < 0)
		return cli_report(&e);
	if (opt_bool(c->o, "quiet") && (!*format || streq(format, "table"))) {
		print_ids(list, full);
	} else {
		for (size_t i = 0; i < jval_len(list); i++)
			image_rows(&l, jval_at(list, i), digests, full);
		r = listing_print(&l, format, opt_bool(c->o, "digests") ? IMAGE_TABLE_DIGESTS : IMAGE_TABLE, &e);
	}
	jval_free(list);
	return r < 0 ? cli_report(&e) : 0;
}

/* ---- history ---- */
#define HISTORY_HEADERS(created) \
	"ID=IMAGE,CreatedSince=" created ",CreatedAt=CREATED AT,CreatedBy=CREATED BY,Size=SIZE,Comment=COMMENT"

static void history_row(struct listing *l, const struct jval *layer, bool human, bool full)
{
	struct strmap *cells = listing_add(l);
	const char *id = jval_str(jval_get(layer, "Id"));
	int64_t created = jval_int(jval_get(layer, "Created")), size = jval_int(jval_get(layer, "Size"));
	AUTO_FREE char *by = xstrdup(jval_str(jval_get(layer, "CreatedBy")));
	char date[TIME_TEXT_MAX], brief[13];

	for (char *p = by; *p; p++)
		if (*p == '\t')
			*p = ' ';
	time_format(created * 1000000000, date);
	strmap_set(cells, "ID", full ? id : short_id(id, brief));
	strmap_set(cells, "CreatedAt", date);
	if (human && created <= 0)
		strmap_set(cells, "CreatedSince", "N/A");
	else if (human)
		cell_take(cells, "CreatedSince", human_ago(created));
	else
		strmap_set(cells, "CreatedSince", date);
	cell_take(cells, "CreatedBy", full ? xstrdup(by) : ellipsis(by, 45));
	if (human)
		cell_take(cells, "Size", human_size((double)size, 3));
	else
		cell_setf(cells, "Size", "%lld", (long long)size);
	strmap_set(cells, "Comment", jval_str(jval_get(layer, "Comment")));
}

int cmd_history(struct cli *c)
{
	AUTO_FREE char *name = url_escape(c->words->v[0]);
	AUTO_FREE char *path = xasprintf("/images/%s/history", name);
	AUTO_LISTING struct listing l = { .headers = opt_bool(c->o, "human") ? HISTORY_HEADERS("CREATED")
									     : HISTORY_HEADERS("CREATED AT") };
	struct jval *list = NULL;
	struct err e = ERR_INIT;
	int r = cli_get(c, path, &list, &e);

	if (r < 0)
		return cli_report(&e);
	for (size_t i = 0; i < jval_len(list); i++)
		history_row(&l, jval_at(list, i), opt_bool(c->o, "human"), opt_bool(c->o, "no-trunc"));
	if (opt_bool(c->o, "quiet")) {
		for (size_t i = 0; i < l.rows.n; i++)
			(void)printf("%s\n", strmap_get(&l.rows.v[i].cells, "ID"));
	} else {
		r = listing_print(&l, opt_str(c->o, "format"),
				  "{{.ID}}\t{{.CreatedSince}}\t{{.CreatedBy}}\t{{.Size}}\t{{.Comment}}", &e);
	}
	jval_free(list);
	return r < 0 ? cli_report(&e) : 0;
}

/* ---- tag, rm, prune, pull ---- */
int cmd_tag(struct cli *c)
{
	AUTO_FREE char *source = url_escape(c->words->v[0]), *name = NULL, *tag = NULL;
	AUTO_STRB struct strb path = STRB_INIT;
	struct err e = ERR_INIT;

	if (strchr(c->words->v[1], '@')) {
		(void)fprintf(
			stderr,
			"Error parsing reference: \"%s\" is not a valid repository/tag: invalid reference format\n",
			c->words->v[1]);
		return 1;
	}
	reference_split(c->words->v[1], &name, &tag);
	strb_addf(&path, "/images/%s/tag", source);
	query_add(&path, "repo", name);
	query_add(&path, "tag", tag);
	return cli_post(c, strb_str(&path), NULL, NULL, &e) < 0 ? cli_report(&e) : 0;
}

static void print_removed(const struct jval *list)
{
	for (size_t i = 0; i < jval_len(list); i++) {
		const struct jval *row = jval_at(list, i);

		if (*jval_str(jval_get(row, "Deleted")))
			(void)printf("Deleted: %s\n", jval_str(jval_get(row, "Deleted")));
		else
			(void)printf("Untagged: %s\n", jval_str(jval_get(row, "Untagged")));
	}
}

static int rmi_one(struct cli *c, const char *name, struct err *e)
{
	AUTO_FREE char *escaped = url_escape(name);
	AUTO_STRB struct strb path = STRB_INIT;
	struct jval *list = NULL;

	strb_addf(&path, "/images/%s", escaped);
	if (opt_bool(c->o, "force"))
		query_add(&path, "force", "1");
	if (opt_bool(c->o, "no-prune"))
		query_add(&path, "noprune", "1");
	if (cli_delete(c, strb_str(&path), &list, e) < 0) {
		if (!opt_bool(c->o, "force") || e->kind != ERR_NOT_FOUND)
			return -EINVAL;
		(void)cli_report(e);
		*e = ERR_INIT;
		return 0;
	}
	print_removed(list);
	jval_free(list);
	return 0;
}

int cmd_rmi(struct cli *c)
{
	return cli_each(c, rmi_one, false);
}

int cmd_image_prune(struct cli *c)
{
	bool all = opt_bool(c->o, "all");
	AUTO_STRV struct strv given = { 0 };
	AUTO_STRB struct strb path = STRB_INIT;
	AUTO_FREE char *filters = NULL, *size = NULL;
	struct jval *done = NULL;
	const struct jval *gone;
	struct err e = ERR_INIT;

	if (!opt_bool(c->o, "force") &&
	    !cli_confirm(all ? "WARNING! This will remove all images without at least one container associated to them."
			     : "WARNING! This will remove all dangling images."))
		return 0;
	strv_copy(&given, opt_list(c->o, "filter"));
	strv_addf(&given, "dangling=%s", all ? "false" : "true");
	filters = filters_json(&given);
	strb_adds(&path, "/images/prune");
	query_add(&path, "filters", filters);
	if (cli_post(c, strb_str(&path), NULL, &done, &e) < 0)
		return cli_report(&e);
	gone = jval_get(done, "ImagesDeleted");
	if (jval_len(gone))
		(void)printf("Deleted Images:\n");
	for (size_t i = 0; i < jval_len(gone); i++) {
		const struct jval *row = jval_at(gone, i);
		bool deleted = *jval_str(jval_get(row, "Deleted"));

		(void)printf("%s: %s\n", deleted ? "deleted" : "untagged",
			     jval_str(jval_get(row, deleted ? "Deleted" : "Untagged")));
	}
	size = human_size((double)jval_int(jval_get(done, "SpaceReclaimed")), 4);
	(void)printf("%sTotal reclaimed space: %s\n", jval_len(gone) ? "\n" : "", size);
	jval_free(done);
	return 0;
}
