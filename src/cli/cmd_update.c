/* cmd_update.c - docker update: one body, sent for each container; warnings at the end, as Docker's client does. */
#include "cli/run_body.h"

static const struct {
	const char *option, *member;
	bool text;
} members[] = {
	{ "blkio-weight", "BlkioWeight" },
	{ "cpu-period", "CpuPeriod" },
	{ "cpu-quota", "CpuQuota" },
	{ "cpu-rt-period", "CpuRealtimePeriod" },
	{ "cpu-rt-runtime", "CpuRealtimeRuntime" },
	{ "cpu-shares", "CpuShares" },
	{ "cpus", "NanoCpus" },
	{ "cpuset-cpus", "CpusetCpus", true },
	{ "cpuset-mems", "CpusetMems", true },
	{ "memory", "Memory" },
	{ "memory-reservation", "MemoryReservation" },
	{ "memory-swap", "MemorySwap" },
	{ "pids-limit", "PidsLimit" },
};

static int body_make(const struct opts *o, struct jw *w, struct err *e)
{
	bool any = opt_set(o, "restart"), none;
	int r = 0;

	jw_open(w, NULL, '{');
	for (size_t i = 0; i < ARRAY_LEN(members); i++) {
		if (!opt_set(o, members[i].option))
			continue;
		any = true;
		if (members[i].text)
			jw_str(w, members[i].member, opt_str(o, members[i].option));
		else
			jw_int(w, members[i].member, opt_int(o, members[i].option));
	}
	if (opt_set(o, "restart"))
		r = restart_json(opt_str(o, "restart"), w, &none, e);
	jw_close(w, '}');
	if (!any)
		return err_set(e, ERR_INVALID, "you must provide one or more flags when using this command");
	return r;
}

int cmd_update(struct cli *c)
{
	AUTO_STRV struct strv warnings = { 0 };
	AUTO_JW struct jw w = { 0 };
	struct err e = ERR_INIT;
	int status = 0;

	if (body_make(c->o, &w, &e) < 0) {
		(void)fprintf(stderr, "%s\n", e.msg);
		return 1;
	}
	for (size_t i = 0; i < c->words->n; i++) {
		AUTO_FREE char *name = url_escape(c->words->v[i]);
		AUTO_FREE char *path = xasprintf("/containers/%s/update", name);
		struct jval *answer = NULL;
		const struct jval *said;

		e = ERR_INIT;
		if (cli_post(c, path, strb_str(&w.b), &answer, &e) < 0) {
			status = cli_report(&e);
			continue;
		}
		(void)printf("%s\n", c->words->v[i]);
		said = jval_get(answer, "Warnings");
		for (size_t k = 0; k < jval_len(said); k++)
			strv_add(&warnings, jval_str(jval_at(said, k)));
		jval_free(answer);
	}
	for (size_t i = 0; i < warnings.n; i++)
		(void)fprintf(stderr, "%s\n", warnings.v[i]);
	return status;
}
