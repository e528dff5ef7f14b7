/* top.c - `docker top`: the host's ps, filtered to the container's processes. */
#include "act/act.h"
#include "engine/engine_private.h"

#include <fcntl.h>

#define PS_OUTPUT_MAX (16 * 1024 * 1024)

static int run_ps(const struct strv *args, char **ret, struct err *e)
{
	char *env[] = { (char *)"PATH=/usr/sbin:/usr/bin:/sbin:/bin", (char *)"LC_ALL=C", NULL };
	AUTO_FD int out = -1;
	AUTO_FD int in = -1;
	AUTO_FREE char *text = NULL;
	pid_t pid = 0;
	int p[2], r, status = 0;

	if (pipe2(p, O_CLOEXEC) < 0)
		return err_sys(e, -errno, "ps");
	in = p[0];
	out = p[1];
	{
		struct proc_fd fds[] = { { out, 1 }, { out, 2 } };
		struct proc_opts o = { .path = "/bin/ps", .argv = args->v, .envp = env, .fds = fds, .n_fds = 2 };

		r = proc_spawn(&o, &pid, NULL);
	}
	if (r < 0)
		return err_sys(e, r, "running ps on the host");
	fd_closep(&out);
	r = fd_read_all(in, PS_OUTPUT_MAX, &text, NULL);
	fd_closep(&in);
	(void)proc_wait(pid, &status);
	if (r < 0)
		return err_sys(e, r, "reading ps");
	if (proc_exit_code(status) != 0)
		return err_set(e, ERR_SYSTEM, "Error running ps: %s", text);
	*ret = TAKE_PTR(text);
	return 0;
}

/* ps of just these processes, whatever their terminal; where its options do not go with -q, of what it selects by itself (moby does
 * the same). */
static int ps_of(struct strv *args, const struct act_pids *pids, char **ret, struct err *e)
{
	AUTO_STRB struct strb q = STRB_INIT;

	for (size_t i = 0; i < pids->n; i++)
		strb_addf(&q, "%s%d", i ? "," : "-q", (int)pids->v[i]);
	strv_add(args, strb_str(&q));
	if (pids->n && run_ps(args, ret, NULL) == 0)
		return 0;
	strv_remove(args, args->n - 1);
	return run_ps(args, ret, e);
}

/* One line into as many columns as there are titles; the last takes the rest of the line. */
static void split_row(const char *line, size_t titles, struct strv *ret)
{
	while (*line) {
		line += strspn(line, " \t");
		if (!*line)
			break;
		if (ret->n + 1 == titles) {
			strv_add(ret, line);
			return;
		}
		strv_push(ret, xstrndup(line, strcspn(line, " \t")));
		line += strcspn(line, " \t");
	}
}

static bool is_ours(const struct act_pids *pids, const char *text)
{
	int64_t v = 0;

	if (str_to_i64(text, &v) < 0)
		return false;
	for (size_t i = 0; i < pids->n; i++)
		if (pids->v[i] == v)
			return true;
	return false;
}

int container_top(struct engine *en, const char *ref, const char *ps_args, struct strv *ret_titles,
		  struct strv **ret_rows, size_t *ret_n, struct err *e)
{
	AUTO_CONTAINER struct container *c = NULL;
	AUTO_STRV struct strv args = { 0 };
	AUTO_STRV struct strv lines = { 0 };
	AUTO_FREE char *text = NULL;
	AUTO_FREE char *cgroup = NULL;
	struct act_pids pids = { 0 };
	size_t pid_column = SIZE_MAX;
	int r = container_find(en, ref, &c, e);

	if (r < 0)
		return r;
	if (!container_running(c))
		return err_set(e, ERR_CONFLICT, "container %s is not running", c->id);
	strv_add(&args, "ps");
	strv_split(&args, str_empty(ps_args) ? "-ef" : ps_args, " \t");
	cgroup = xasprintf("%s/%s", en->cgroup_parent, c->id);
	r = act_cgroup_pids(cgroup, &pids);
	if (r == 0)
		r = ps_of(&args, &pids, &text, e);
	if (r < 0) {
		free(pids.v);
		return r;
	}
	strv_split(&lines, text, "\n");
	if (lines.n)
		strv_split(ret_titles, lines.v[0], " \t");
	for (size_t i = 0; i < ret_titles->n; i++)
		if (streq(ret_titles->v[i], "PID"))
			pid_column = i;
	if (pid_column == SIZE_MAX) {
		free(pids.v);
		strv_done(ret_titles);
		return err_set(e, ERR_SYSTEM, "Couldn't find PID field in ps output");
	}
	*ret_rows = xcalloc(lines.n, sizeof **ret_rows);
	*ret_n = 0;
	for (size_t i = 1; i < lines.n; i++) {
		struct strv row = { 0 };

		split_row(lines.v[i], ret_titles->n, &row);
		if (row.n > pid_column && is_ours(&pids, row.v[pid_column]))
			(*ret_rows)[(*ret_n)++] = row;
		else
			strv_done(&row);
	}
	free(pids.v);
	container_event(c, "top", NULL);
	return 0;
}
