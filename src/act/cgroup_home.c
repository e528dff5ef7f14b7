/* cgroup_home.c - the cgroup by which a service manager tells whose a process is: that of the v2 tree, or v1's name=systemd. */
#include "act/cgroup.h"

#include <fcntl.h>

#define CGROUP_TEXT_MAX 65536

static const struct cg_tree *home_tree(const struct cg_host *h, const char **ret_key)
{
	*ret_key = h->version == ACT_CGROUP_V2 ? "0::" : ":name=systemd:";
	return h->version == ACT_CGROUP_V2 ? (h->n ? &h->tree[0] : NULL) : cg_find(h, "name=systemd");
}

static int own_path(const char *key, char **ret)
{
	AUTO_FREE char *text = NULL;
	int r = file_read(AT_FDCWD, "/proc/self/cgroup", CGROUP_TEXT_MAX, &text, NULL);

	if (r < 0)
		return r;
	for (char *line = text, *next; line; line = next) {
		const char *at;

		next = strchr(line, '\n');
		if (next)
			*next++ = 0;
		at = *key == ':' ? strstr(line, key) : str_after(line, key);
		if (at) {
			*ret = xstrdup(*key == ':' ? at + strlen(key) : at);
			return 0;
		}
	}
	return -ENOENT;
}

int act_cgroup_leave_home(const char *to, bool (*wanted)(void *ctx, pid_t pid), void *ctx)
{
	const char *key;
	const struct cg_tree *t = home_tree(cg_host(), &key);
	AUTO_FREE char *home = NULL;
	AUTO_FD int from = -1;
	AUTO_FD int dir = -1;
	struct act_pids pids = { 0 };
	int r, moved = 0;

	if (!t || cg_path_check(to, NULL) < 0)
		return t ? -EINVAL : 0;
	r = own_path(key, &home);
	if (r < 0 || streq(home, "/")) /* nobody's unit */
		return r == -ENOENT ? 0 : r;
	from = cg_open(t, home);
	r = from < 0 ? from : cg_walk_pids(from, &pids);
	for (size_t i = 0; r == 0 && i < pids.n; i++) {
		if (pids.v[i] == getpid() || !wanted(ctx, pids.v[i]))
			continue;
		if (dir < 0) {
			r = dir_make(t->fd, cg_rel(to), 0755);
			dir = r < 0 ? r : cg_open(t, to);
			r = MIN(dir, 0);
		}
		if (r == 0)
			moved += cg_put_i64(dir, "cgroup.procs", pids.v[i]) ==
				 0; /* one that has just ended is no loss */
	}
	free(pids.v);
	return r < 0 ? r : moved;
}
