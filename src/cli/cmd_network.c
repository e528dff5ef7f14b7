/* cmd_network.c - networks and volumes: list, make, remove, prune. */
#include "cli/command.h"
#include "cli/human.h"
#include "cli/jw.h"
#include "cli/rows.h"

static int fetch_list(struct cli *c, const char *base, struct jval **ret, struct err *e)
{
	AUTO_STRB struct strb path = STRB_INIT;
	AUTO_FREE char *filters = filters_json(opt_list(c->o, "filter"));

	strb_adds(&path, base);
	if (filters)
		query_add(&path, "filters", filters);
	return cli_get(c, strb_str(&path), ret, e);
}

static int by_name(const void *a, const void *b)
{
	return strcmp(strmap_get(&((const struct listing_row *)a)->cells, "Name"),
		      strmap_get(&((const struct listing_row *)b)->cells, "Name"));
}

static int finish(struct cli *c, struct listing *l, const char *id_field, const char *table)
{
	struct err e = ERR_INIT;
	const char *format = opt_str(c->o, "format");

	if (l->rows.n)
		qsort(l->rows.v, l->rows.n, sizeof *l->rows.v, by_name);
	if (opt_bool(c->o, "quiet") && (!*format || streq(format, "table"))) {
		for (size_t i = 0; i < l->rows.n; i++)
			(void)printf("%s\n", strmap_get(&l->rows.v[i].cells, id_field));
		return 0;
	}
	return listing_print(l, format, table, &e) < 0 ? cli_report(&e) : 0;
}

int cmd_network_ls(struct cli *c)
{
	AUTO_LISTING struct listing l = {
		.headers = "ID=NETWORK ID,Name=NAME,Driver=DRIVER,Scope=SCOPE,IPv4=IPV4,IPv6=IPV6,"
			   "Internal=INTERNAL,Labels=LABELS,CreatedAt=CREATED AT"
	};
	struct jval *list = NULL;
	struct err e = ERR_INIT;
	int status;

	if (fetch_list(c, "/networks", &list, &e) < 0)
		return cli_report(&e);
	for (size_t i = 0; i < jval_len(list); i++) {
		const struct jval *n = jval_at(list, i);
		struct strmap *cells = listing_add(&l);
		const char *id = jval_str(jval_get(n, "Id"));
		char brief[13], date[TIME_TEXT_MAX] = "";
		int64_t created = 0;

		if (time_parse(jval_str(jval_get(n, "Created")), &created) == 0)
			time_format(created, date);
		if (date[0]) { /* as Go prints a time: "2026-11-22 01:03:57.5 +0000 UTC" */
			date[10] = ' ';
			date[strcspn(date, "Z")] = '\0';
		}
		cell_setf(cells, "CreatedAt", "%s +0000 UTC", date);
		strmap_set(cells, "ID", opt_bool(c->o, "no-trunc") ? id : short_id(id, brief));
		strmap_set(cells, "Name", jval_str(jval_get(n, "Name")));
		strmap_set(cells, "Driver", jval_str(jval_get(n, "Driver")));
		strmap_set(cells, "Scope", jval_str(jval_get(n, "Scope")));
		strmap_set(cells, "IPv4",
			   !jval_get(n, "EnableIPv4") || jval_bool(jval_get(n, "EnableIPv4")) ? "true" : "false");
		strmap_set(cells, "IPv6", jval_bool(jval_get(n, "EnableIPv6")) ? "true" : "false");
		strmap_set(cells, "Internal", jval_bool(jval_get(n, "Internal")) ? "true" : "false");
		listing_labels(&l, jval_get(n, "Labels"));
	}
	status = finish(c, &l, "ID", "{{.ID}}\t{{.Name}}\t{{.Driver}}\t{{.Scope}}");
	jval_free(list);
	return status;
}

void volume_row(struct listing *l, const struct jval *v)
{
	static const char *const unknown[] = { "Availability", "Group", "Links", "Size", "Status" };
	const struct jval *usage = jval_get(v, "UsageData");
	struct strmap *cells = listing_add(l);

	for (size_t k = 0; k < ARRAY_LEN(unknown); k++)
		strmap_set(cells, unknown[k], "N/A");
	if (jval_get(usage, "RefCount"))
		cell_setf(cells, "Links", "%lld", (long long)jval_int(jval_get(usage, "RefCount")));
	if (jval_get(usage, "Size") && jval_int(jval_get(usage, "Size")) >= 0)
		cell_take(cells, "Size", human_size((double)jval_int(jval_get(usage, "Size")), 4));
	strmap_set(cells, "Driver", jval_str(jval_get(v, "Driver")));
	strmap_set(cells, "Mountpoint", jval_str(jval_get(v, "Mountpoint")));
	strmap_set(cells, "Name", jval_str(jval_get(v, "Name")));
	strmap_set(cells, "Scope", jval_str(jval_get(v, "Scope")));
	listing_labels(l, jval_get(v, "Labels"));
}

int cmd_volume_ls(struct cli *c)
{
	AUTO_LISTING struct listing l = { .headers = VOLUME_HEADERS };
	struct jval *answer = NULL;
	const struct jval *list;
	struct err e = ERR_INIT;
	int status;

	if (fetch_list(c, "/volumes", &answer, &e) < 0)
		return cli_report(&e);
	list = jval_get(answer, "Volumes");
	for (size_t i = 0; i < jval_len(list); i++)
		volume_row(&l, jval_at(list, i));
	status = finish(c, &l, "Name", "{{.Driver}}\t{{.Name}}");
	jval_free(answer);
	return status;
}

static void map_write(struct jw *w, const char *key, const struct strv *pairs)
{
	AUTO_STRMAP struct strmap m = { 0 };

	for (size_t i = 0; i < pairs->n; i++) {
		size_t len = strcspn(pairs->v[i], "=");
		AUTO_FREE char *name = xstrndup(pairs->v[i], len);

		strmap_set(&m, name, pairs->v[i][len] ? pairs->v[i] + len + 1 : "");
	}
	jw_map(w, key, &m);
}

/* The n-th of each belong together, as far as one subnet goes; more are the daemon's to refuse. */
static void ipam_write(struct cli *c, struct jw *w)
{
	static const char *const options[] = { "subnet", "ip-range", "gateway" };
	static const char *const members[] = { "Subnet", "IPRange", "Gateway" };
	size_t n = opt_list(c->o, "aux-address")->n ? 1 : 0;

	jw_open(w, "IPAM", '{');
	jw_str(w, "Driver", opt_str(c->o, "ipam-driver"));
	map_write(w, "Options", opt_list(c->o, "ipam-opt"));
	jw_open(w, "Config", '[');
	for (size_t k = 0; k < ARRAY_LEN(options); k++)
		n = MAX(n, opt_list(c->o, options[k])->n);
	for (size_t i = 0; i < n; i++) {
		jw_open(w, NULL, '{');
		for (size_t k = 0; k < ARRAY_LEN(options); k++)
			if (i < opt_list(c->o, options[k])->n)
				jw_str(w, members[k], opt_list(c->o, options[k])->v[i]);
		if (i == 0 && opt_list(c->o, "aux-address")->n)
			map_write(w, "AuxiliaryAddresses", opt_list(c->o, "aux-address"));
		jw_close(w, '}');
	}
	jw_close(w, ']');
	jw_close(w, '}');
}

int cmd_network_create(struct cli *c)
{
	AUTO_JW struct jw w = { 0 };
	struct jval *made = NULL;
	struct err e = ERR_INIT;

	jw_open(&w, NULL, '{');
	jw_str(&w, "Name", c->words->v[0]);
	jw_str(&w, "Driver", opt_str(c->o, "driver"));
	if (opt_bool(c->o, "ipv6"))
		jw_bool(&w, "EnableIPv6", true);
	jw_bool(&w, "Internal", opt_bool(c->o, "internal"));
	jw_bool(&w, "Attachable", opt_bool(c->o, "attachable"));
	ipam_write(c, &w);
	map_write(&w, "Options", opt_list(c->o, "opt"));
	map_write(&w, "Labels", opt_list(c->o, "label"));
	jw_close(&w, '}');
	if (cli_post(c, "/networks/create", strb_str(&w.b), &made, &e) < 0)
		return cli_report(&e);
	(void)printf("%s\n", jval_str(jval_get(made, "Id")));
	jval_free(made);
	return 0;
}

static int join_or_leave(struct cli *c, const char *verb, struct jw *w)
{
	AUTO_FREE char *name = url_escape(c->words->v[0]);
	AUTO_FREE char *path = xasprintf("/networks/%s/%s", name, verb);
	struct err e = ERR_INIT;

	return cli_post(c, path, strb_str(&w->b), NULL, &e) < 0 ? cli_report(&e) : 0;
}

int cmd_network_connect(struct cli *c)
{
	AUTO_JW struct jw w = { 0 };
	const char *ip = opt_str(c->o, "ip"), *ip6 = opt_str(c->o, "ip6"), *prio = opt_str(c->o, "gw-priority");
	int64_t priority = 0;

	if (!str_empty(prio) && str_to_i64(prio, &priority) < 0) {
		(void)fprintf(stderr, "invalid argument \"%s\" for \"--gw-priority\" flag: not an integer\n", prio);
		return 125;
	}
	jw_open(&w, NULL, '{');
	jw_str(&w, "Container", c->words->v[1]);
	jw_open(&w, "EndpointConfig", '{');
	jw_open(&w, "IPAMConfig", '{');
	if (!str_empty(ip))
		jw_str(&w, "IPv4Address", ip);
	if (!str_empty(ip6))
		jw_str(&w, "IPv6Address", ip6);
	if (opt_list(c->o, "link-local-ip")->n)
		jw_strv(&w, "LinkLocalIPs", opt_list(c->o, "link-local-ip"));
	jw_close(&w, '}');
	if (opt_list(c->o, "link")->n)
		jw_strv(&w, "Links", opt_list(c->o, "link"));
	if (opt_list(c->o, "alias")->n)
		jw_strv(&w, "Aliases", opt_list(c->o, "alias"));
	if (opt_list(c->o, "driver-opt")->n)
		map_write(&w, "DriverOpts", opt_list(c->o, "driver-opt"));
	if (priority)
		jw_int(&w, "GwPriority", priority);
	jw_close(&w, '}');
	jw_close(&w, '}');
	return join_or_leave(c, "connect", &w);
}

int cmd_network_disconnect(struct cli *c)
{
	AUTO_JW struct jw w = { 0 };

	jw_open(&w, NULL, '{');
	jw_str(&w, "Container", c->words->v[1]);
	jw_bool(&w, "Force", opt_bool(c->o, "force"));
	jw_close(&w, '}');
	return join_or_leave(c, "disconnect", &w);
}

int cmd_volume_create(struct cli *c)
{
	AUTO_JW struct jw w = { 0 };
	struct jval *made = NULL;
	struct err e = ERR_INIT;
	const char *name = opt_str(c->o, "name");

	if (*name && c->words->n) {
		(void)fprintf(stderr, "conflicting options: cannot specify a volume-name through both --name and as a "
				      "positional arg\n");
		return 1;
	}
	if (c->words->n)
		name = c->words->v[0];
	jw_open(&w, NULL, '{');
	jw_str(&w, "Name", name);
	jw_str(&w, "Driver", opt_str(c->o, "driver"));
	map_write(&w, "DriverOpts", opt_list(c->o, "opt"));
	map_write(&w, "Labels", opt_list(c->o, "label"));
	jw_close(&w, '}');
	if (cli_post(c, "/volumes/create", strb_str(&w.b), &made, &e) < 0)
		return cli_report(&e);
	(void)printf("%s\n", jval_str(jval_get(made, "Name")));
	jval_free(made);
	return 0;
}

static int remove_at(struct cli *c, const char *base, const char *name, struct err *e)
{
	AUTO_FREE char *escaped = url_escape(name);
	AUTO_FREE char *path = xasprintf("%s%s%s", base, escaped, opt_bool(c->o, "force") ? "?force=1" : "");
	int r = cli_delete(c, path, NULL, e);

	if (r < 0 && opt_bool(c->o, "force") && e->kind == ERR_NOT_FOUND) {
		(void)cli_report(e);
		*e = ERR_INIT;
		return 0;
	}
	return r;
}

static int volume_rm(struct cli *c, const char *name, struct err *e)
{
	return remove_at(c, "/volumes/", name, e);
}
static int network_rm(struct cli *c, const char *name, struct err *e)
{
	return remove_at(c, "/networks/", name, e);
}
int cmd_volume_rm(struct cli *c)
{
	return cli_each(c, volume_rm, true);
}
int cmd_network_rm(struct cli *c)
{
	return cli_each(c, network_rm, true);
}

static int prune(struct cli *c, const char *base, const struct strv *given, const char *member, const char *title,
		 bool with_size)
{
	AUTO_STRB struct strb path = STRB_INIT;
	AUTO_FREE char *filters = filters_json(given), *size = NULL;
	struct jval *done = NULL;
	const struct jval *gone;
	struct err e = ERR_INIT;

	strb_adds(&path, base);
	if (filters)
		query_add(&path, "filters", filters);
	if (cli_post(c, strb_str(&path), NULL, &done, &e) < 0)
		return cli_report(&e);
	gone = jval_get(done, member);
	if (jval_len(gone))
		(void)printf("%s\n", title);
	for (size_t i = 0; i < jval_len(gone); i++)
		(void)printf("%s\n", jval_str(jval_at(gone, i)));
	if (jval_len(gone))
		(void)printf("\n");
	size = human_size((double)jval_int(jval_get(done, "SpaceReclaimed")), 4);
	if (with_size)
		(void)printf("Total reclaimed space: %s\n", size);
	jval_free(done);
	return 0;
}

int cmd_network_prune(struct cli *c)
{
	if (!opt_bool(c->o, "force") &&
	    !cli_confirm("WARNING! This will remove all custom networks not used by at least one container."))
		return 0;
	return prune(c, "/networks/prune", opt_list(c->o, "filter"), "NetworksDeleted", "Deleted Networks:", false);
}

int cmd_volume_prune(struct cli *c)
{
	AUTO_STRV struct strv given = { 0 };
	bool all = opt_bool(c->o, "all");

	if (!opt_bool(c->o, "force") &&
	    !cli_confirm(all ? "WARNING! This will remove all local volumes not used by at least one container."
			     : "WARNING! This will remove anonymous local volumes not used by at least one container."))
		return 0;
	strv_copy(&given, opt_list(c->o, "filter"));
	if (all)
		strv_add(&given, "all=1");
	return prune(c, "/volumes/prune", &given, "VolumesDeleted", "Deleted Volumes:", true);
}
