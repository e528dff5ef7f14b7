/* cmd_df.c - system df: the disk by kinds of things, or thing by thing. */
#include "cli/command.h"
#include "cli/human.h"
#include "cli/rows.h"

#define DF_HEADERS "Type=TYPE,TotalCount=TOTAL,Active=ACTIVE,Size=SIZE,Reclaimable=RECLAIMABLE"
#define DF_TABLE "{{.Type}}\t{{.TotalCount}}\t{{.Active}}\t{{.Size}}\t{{.Reclaimable}}"
#define DF_IMAGES \
	"{{.Repository}}\t{{.Tag}}\t{{.ID}}\t{{.CreatedSince}}\t{{.Size}}\t{{.SharedSize}}\t{{.UniqueSize}}\t{{." \
	"Containers}}"
#define DF_CONTAINERS \
	"{{.ID}}\t{{.Image}}\t{{.Command}}\t{{.LocalVolumes}}\t{{.Size}}\t{{.RunningFor}}\t{{.Status}}\t{{.Names}}"
#define DF_VOLUMES "{{.Name}}\t{{.Links}}\t{{.Size}}"
#define CACHE_HEADERS \
	"ID=CACHE ID,CacheType=CACHE TYPE,Size=SIZE,CreatedSince=CREATED,LastUsedSince=LAST USED,UsageCount=USAGE," \
	"Shared=SHARED,Parent=PARENT,Description=DESCRIPTION,InUse=IN USE"
#define DF_CACHE \
	"{{.ID}}\t{{.CacheType}}\t{{.Size}}\t{{.CreatedSince}}\t{{.LastUsedSince}}\t{{.UsageCount}}\t{{.Shared}}"

static int64_t number(const struct jval *of, const char *key)
{
	return jval_int(jval_get(of, key));
}

/* ---- by kinds ---- */
struct kind {
	const char *name;
	int64_t total, active, size, free;
	bool percent;
};

static struct kind images_kind(const struct jval *df)
{
	const struct jval *list = jval_get(df, "Images");
	struct kind k = {
		.name = "Images", .total = (int64_t)jval_len(list), .size = number(df, "LayersSize"), .percent = true
	};
	int64_t used = 0;

	for (size_t i = 0; i < jval_len(list); i++) {
		const struct jval *image = jval_at(list, i);

		k.active += number(image, "Containers") > 0;
		if (number(image, "Containers") != 0 && number(image, "Size") != -1 &&
		    number(image, "SharedSize") != -1)
			used += number(image, "Size") - number(image, "SharedSize");
	}
	k.free = k.size - used;
	return k;
}

static struct kind containers_kind(const struct jval *df)
{
	const struct jval *list = jval_get(df, "Containers");
	struct kind k = { .name = "Containers", .total = (int64_t)jval_len(list), .percent = true };

	for (size_t i = 0; i < jval_len(list); i++) {
		const struct jval *c = jval_at(list, i);
		const char *state = jval_str(jval_get(c, "State"));
		bool active = strstr(state, "running") || strstr(state, "paused") || strstr(state, "restarting");

		k.active += active;
		k.size += number(c, "SizeRw");
		k.free += active ? 0 : number(c, "SizeRw");
	}
	return k;
}

static struct kind volumes_kind(const struct jval *df)
{
	const struct jval *list = jval_get(df, "Volumes");
	struct kind k = { .name = "Local Volumes", .total = (int64_t)jval_len(list), .percent = true };

	for (size_t i = 0; i < jval_len(list); i++) {
		const struct jval *usage = jval_get(jval_at(list, i), "UsageData");
		int64_t size = MAX(number(usage, "Size"), (int64_t)0);

		k.active += number(usage, "RefCount") > 0;
		k.size += size;
		k.free += number(usage, "RefCount") == 0 ? size : 0;
	}
	return k;
}

static struct kind cache_kind(const struct jval *df)
{
	const struct jval *list = jval_get(df, "BuildCache");
	struct kind k = { .name = "Build Cache", .total = (int64_t)jval_len(list) };

	for (size_t i = 0; i < jval_len(list); i++) {
		const struct jval *b = jval_at(list, i);
		bool used = jval_bool(jval_get(b, "InUse")), shared = jval_bool(jval_get(b, "Shared"));

		k.active += used;
		k.size += shared ? 0 : number(b, "Size");
		k.free += used || shared ? 0 : number(b, "Size");
	}
	return k;
}

static void kind_row(struct listing *l, struct kind k)
{
	struct strmap *cells = listing_add(l);
	AUTO_FREE char *free_text = human_size((double)k.free, 4);

	cell_setf(cells, "Active", "%lld", (long long)k.active);
	if (k.percent && k.size > 0)
		cell_setf(cells, "Reclaimable", "%s (%lld%%)", free_text, (long long)(k.free * 100 / k.size));
	else
		strmap_set(cells, "Reclaimable", free_text);
	cell_take(cells, "Size", human_size((double)k.size, 4));
	cell_setf(cells, "TotalCount", "%lld", (long long)k.total);
	strmap_set(cells, "Type", k.name);
}

static int summary(const struct jval *df, const char *format, struct err *e)
{
	AUTO_LISTING struct listing l = { .headers = DF_HEADERS };

	kind_row(&l, images_kind(df));
	kind_row(&l, containers_kind(df));
	kind_row(&l, volumes_kind(df));
	kind_row(&l, cache_kind(df));
	return listing_print(&l, format, DF_TABLE, e);
}

/* ---- thing by thing ---- */
struct detail {
	struct listing images, containers, volumes, cache;
};

static void detail_fill(const struct jval *df, bool full, struct detail *d)
{
	const struct jval *images = jval_get(df, "Images"), *containers = jval_get(df, "Containers"),
			  *volumes = jval_get(df, "Volumes");

	*d = (struct detail){ .images.headers = IMAGE_HEADERS,
			      .containers.headers = PS_HEADERS,
			      .volumes.headers = VOLUME_HEADERS,
			      .cache.headers = CACHE_HEADERS };
	for (size_t i = 0; i < jval_len(images); i++) { /* its first name only */
		const struct jval *tags = jval_get(jval_at(images, i), "RepoTags");
		AUTO_FREE char *repo = NULL, *tag = NULL;

		if (jval_len(tags) && !streq(jval_str(jval_at(tags, 0)), "<none>:<none>"))
			reference_split(jval_str(jval_at(tags, 0)), &repo, &tag);
		image_row(&d->images, jval_at(images, i), repo ? repo : "<none>", tag ? tag : "<none>", "", full);
	}
	for (size_t i = 0; i < jval_len(containers); i++) {
		const struct jval *c = jval_at(containers, i);

		container_row(&d->containers, c, full);
		cell_take(&d->containers.rows.v[i].cells, "Size", human_size((double)number(c, "SizeRw"), 3));
	}
	for (size_t i = 0; i < jval_len(volumes); i++)
		volume_row(&d->volumes, jval_at(volumes, i));
}

static int detail_tables(const struct jval *df, struct detail *d, struct err *e)
{
	AUTO_FREE char *cache = human_size((double)cache_kind(df).size, 4);
	int r;

	(void)printf("Images space usage:\n\n");
	r = listing_print(&d->images, NULL, DF_IMAGES, e);
	(void)printf("\nContainers space usage:\n\n");
	if (r >= 0)
		r = listing_print(&d->containers, NULL, DF_CONTAINERS, e);
	(void)printf("\nLocal Volumes space usage:\n\n");
	if (r >= 0)
		r = listing_print(&d->volumes, NULL, DF_VOLUMES, e);
	(void)printf("\nBuild cache usage: %s\n\n", cache);
	return r < 0 ? r : listing_print(&d->cache, NULL, DF_CACHE, e);
}

static int detail_tree(const struct detail *d, const char *format, struct err *e)
{
	AUTO_FREE char *images = listing_json(&d->images), *containers = listing_json(&d->containers),
		       *volumes = listing_json(&d->volumes), *cache = listing_json(&d->cache);
	AUTO_FREE char *text = xasprintf("{\"Images\":%s,\"Containers\":%s,\"Volumes\":%s,\"BuildCache\":%s}", images,
					 containers, volumes, cache);
	AUTO_STRB struct strb out = STRB_INIT;
	struct jval *tree = NULL;
	int r = jval_parse(text, strlen(text), &json_limits_default, &tree, e);

	if (r >= 0)
		r = format_tree(tree, format, &out, e);
	if (r >= 0)
		(void)fputs(strb_str(&out), stdout);
	jval_free(tree);
	return r;
}

static int details(const struct jval *df, const char *format, struct err *e)
{
	bool table = str_empty(format) || streq(format, "table");
	struct detail d;
	int r;

	detail_fill(df, !table, &d);
	r = table ? detail_tables(df, &d, e) : detail_tree(&d, format, e);
	listing_done(&d.images);
	listing_done(&d.containers);
	listing_done(&d.volumes);
	listing_done(&d.cache);
	return r;
}

int cmd_df(struct cli *c)
{
	const char *format = opt_str(c->o, "format");
	struct jval *df = NULL;
	struct err e = ERR_INIT;
	int r = cli_get(c, "/system/df", &df, &e);

	if (r >= 0)
		r = opt_bool(c->o, "verbose") ? details(df, format, &e) : summary(df, format, &e);
	jval_free(df);
	return r < 0 ? cli_report(&e) : 0;
}
