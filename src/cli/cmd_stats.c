/* cmd_stats.c - stats. Each round asks for one sample of every container; without --no-stream the table is redrawn. */
#include "cli/command.h"
#include "cli/human.h"
#include "cli/listing.h"

#define STATS_TABLE "{{.ID}}\t{{.Name}}\t{{.CPUPerc}}\t{{.MemUsage}}\t{{.MemPerc}}\t{{.NetIO}}\t{{.BlockIO}}\t{{.PIDs}}"
#define STATS_HEADERS \
	"Container=CONTAINER,ID=CONTAINER ID,Name=NAME,CPUPerc=CPU %,MemUsage=MEM USAGE / LIMIT,MemPerc=MEM " \
	"%,NetIO=NET I/O," \
	"BlockIO=BLOCK I/O,PIDs=PIDS"

static double number(const struct jval *tree, const char *a, const char *b)
{
	const struct jval *v = jval_get(tree, a);

	if (b)
		v = jval_get(v, b);
	return jval_kind(v) == JVAL_DBL ? jval_dbl(v) : (double)jval_int(v);
}

static double cpu_percent(const struct jval *s)
{
	const struct jval *now = jval_get(s, "cpu_stats"), *then = jval_get(s, "precpu_stats");
	double used = number(now, "cpu_usage", "total_usage") - number(then, "cpu_usage", "total_usage");
	double all = number(now, "system_cpu_usage", NULL) - number(then, "system_cpu_usage", NULL);
	double cpus = number(now, "online_cpus", NULL);

	if (cpus < 1)
		cpus = (double)jval_len(jval_get(jval_get(now, "cpu_usage"), "percpu_usage"));
	return all > 0 && used > 0 ? used / all * cpus * 100 : 0;
}

/* The page cache that can be dropped does not count. */
static double memory_used(const struct jval *s)
{
	const struct jval *m = jval_get(s, "memory_stats"), *detail = jval_get(m, "stats");
	double usage = number(m, "usage", NULL), cache;

	cache = jval_get(detail, "total_inactive_file") ? number(detail, "total_inactive_file", NULL)
							: number(detail, "inactive_file", NULL);
	return cache < usage ? usage - cache : usage;
}

static void pair(struct strmap *cells, const char *name, double a, double b, bool binary)
{
	AUTO_FREE char *x = binary ? human_bytes(a) : human_size(a, 3);
	AUTO_FREE char *y = binary ? human_bytes(b) : human_size(b, 3);

	cell_setf(cells, name, "%s / %s", x, y);
}

static void row(struct listing *l, const char *asked, const struct jval *s, bool full)
{
	struct strmap *cells = listing_add(l);
	const struct jval *nets = jval_get(s, "networks");
	const struct jval *io = jval_get(jval_get(s, "blkio_stats"), "io_service_bytes_recursive");
	double received = 0, sent = 0, read_bytes = 0, written = 0, used = memory_used(s),
	       limit = number(s, "memory_stats", "limit");
	const char *id = jval_str(jval_get(s, "id")), *name = jval_str(jval_get(s, "name"));
	char brief[13];

	for (size_t i = 0; i < jval_len(nets); i++) {
		const char *key;
		const struct jval *n = jval_entry(nets, i, &key);

		received += number(n, "rx_bytes", NULL);
		sent += number(n, "tx_bytes", NULL);
	}
	for (size_t i = 0; i < jval_len(io); i++) {
		const char *op = jval_str(jval_get(jval_at(io, i), "op"));

		if (*op == 'r' || *op == 'R')
			read_bytes += number(jval_at(io, i), "value", NULL);
		else if (*op == 'w' || *op == 'W')
			written += number(jval_at(io, i), "value", NULL);
	}
	strmap_set(cells, "Container", asked);
	strmap_set(cells, "ID", full ? id : short_id(id, brief));
	strmap_set(cells, "Name", *name == '/' ? name + 1 : name);
	cell_setf(cells, "CPUPerc", "%.2f%%", cpu_percent(s));
	pair(cells, "MemUsage", used, limit, true);
	cell_setf(cells, "MemPerc", "%.2f%%", limit > 0 ? used / limit * 100 : 0);
	pair(cells, "NetIO", received, sent, false);
	pair(cells, "BlockIO", read_bytes, written, false);
	cell_setf(cells, "PIDs", "%lld", (long long)number(s, "pids_stats", "current"));
}

static int names_collect(struct cli *c, struct strv *ret, struct err *e)
{
	struct jval *list = NULL;
	int r;

	if (c->words->n) {
		strv_copy(ret, c->words);
		return 0;
	}
	r = cli_get(c, opt_bool(c->o, "all") ? "/containers/json?all=1" : "/containers/json", &list, e);
	for (size_t i = 0; r >= 0 && i < jval_len(list); i++)
		strv_add(ret, jval_str(jval_get(jval_at(list, i), "Id")));
	jval_free(list);
	return r;
}

static int round_once(struct cli *c, struct err *e)
{
	AUTO_STRV struct strv names = { 0 };
	AUTO_LISTING struct listing l = { .headers = STATS_HEADERS };
	bool stream = !opt_bool(c->o, "no-stream");
	int r = names_collect(c, &names, e);

	for (size_t i = 0; r >= 0 && i < names.n; i++) {
		AUTO_FREE char *escaped = url_escape(names.v[i]);
		AUTO_FREE char *path = xasprintf("/containers/%s/stats?stream=0", escaped);
		struct jval *s = NULL;

		r = cli_get(c, path, &s, e);
		if (r >= 0)
			row(&l, names.v[i], s, opt_bool(c->o, "no-trunc"));
		jval_free(s);
	}
	if (r >= 0 && stream && isatty(STDOUT_FILENO))
		(void)printf("\033[2J\033[H");
	if (r >= 0)
		r = listing_print(&l, opt_str(c->o, "format"), STATS_TABLE, e);
	(void)fflush(stdout);
	return r;
}

int cmd_stats(struct cli *c)
{
	struct err e = ERR_INIT;
	int r;

	do
		r = round_once(c, &e);
	while (r >= 0 && !opt_bool(c->o, "no-stream") && usleep(500000) == 0);
	return r < 0 ? cli_report(&e) : 0;
}
