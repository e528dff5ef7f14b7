/* Containers on disk. */
#include "runtime/runtime_private.h"

#include <fcntl.h>
#include <sys/stat.h>

#include "base/kernel.h"

JSON_TYPE(runtime_state, RUNTIME_STATE_FIELDS)
JSON_TYPE(runtime_record, RUNTIME_RECORD_FIELDS)

enum { ID_MAX = 255 };

static const char *const status_names[] = { "creating", "created", "running", "paused", "stopped" };

const char *status_name(enum status s)
{
	return status_names[s];
}

void container_done(struct container *c)
{
	json_done(&runtime_record_type, &c->record);
	fd_closep(&c->dir);
}

int container_id_check(const char *id, struct err *e)
{
	static const char first[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_+-";
	size_t n = strlen(id);

	if (!n)
		return err_set(e, ERR_INVALID, "container id cannot be empty");
	if (n > ID_MAX || !strchr(first, id[0]))
		return err_set(e, ERR_INVALID, "invalid container ID format");
	for (const char *p = id; *p; p++)
		if (*p != '.' && !strchr(first, *p))
			return err_set(e, ERR_INVALID, "invalid container ID format");
	return 0;
}

int root_open(const struct args *a, bool make, struct err *e)
{
	int fd = dir_open(AT_FDCWD, a->root), r;

	if (fd >= 0 || !make)
		return fd >= 0 ? fd : err_sys(e, fd, "opening %s", a->root);
	r = dir_make(AT_FDCWD, a->root, 0711);
	if (r == 0)
		fd = dir_open(AT_FDCWD, a->root);
	return r < 0 || fd < 0 ? err_sys(e, r < 0 ? r : fd, "making %s", a->root) : fd;
}

int container_dir_make(const struct args *a, const char *id, int *ret, struct err *e)
{
	AUTO_FD int root = -1;
	int r = container_id_check(id, e);

	if (r < 0)
		return r;
	root = root_open(a, true, e);
	if (root < 0)
		return root;
	if (mkdirat(root, id, 0711) < 0)
		return errno == EEXIST ? err_set(e, ERR_CONFLICT, "container with given ID already exists")
				       : err_sys(e, -errno, "making %s/%s", a->root, id);
	*ret = openat(root, id, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return *ret < 0 ? err_sys(e, -errno, "opening %s/%s", a->root, id) : 0;
}

int container_remove(const struct args *a, const char *id)
{
	AUTO_FD int root = root_open(a, false, NULL);

	return root < 0 ? root : dir_remove(root, id);
}

/* Field 22 of /proc/PID/stat tells two processes with the same number apart. */
uint64_t pid_start_time(pid_t pid)
{
	char path[40], text[1024], state = 'Z';
	unsigned long long start = 0;
	const char *p;
	ssize_t n;

	(void)snprintf(path, sizeof path, "/proc/%d/stat", (int)pid);
	AUTO_FD int fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0 || (n = read(fd, text, sizeof text - 1)) <= 0)
		return 0;
	text[n] = 0;
	p = strrchr(text, ')'); /* the name may hold anything */
	if (!p || sscanf(p + 1, " %c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %*u %*u %*d %*d %*d %*d %*d %*d %llu",
			 &state, &start) != 2)
		return 0;
	return state == 'Z' || state == 'X' ? 0 : start;
}

static enum status status_of(const struct container *c)
{
	const struct runtime_record *r = &c->record;

	if (r->shown.pid <= 0)
		return CREATING;
	if (pid_start_time((pid_t)r->shown.pid) != r->pid_start)
		return STOPPED;
	if (faccessat(c->dir, "start.sock", F_OK, 0) == 0)
		return CREATED;
	return faccessat(c->dir, "paused", F_OK, 0) == 0 ? PAUSED : RUNNING;
}

int container_load(const struct args *a, const char *id, struct container *ret, struct err *e)
{
	AUTO_CONTAINER struct container c = CONTAINER_INIT;
	AUTO_FD int root = -1;
	AUTO_FREE char *text = NULL;
	size_t n = 0;
	int r = container_id_check(id, e);

	if (r < 0)
		return r;
	root = root_open(a, false, NULL);
	if (root >= 0)
		c.dir = openat(root, id, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (c.dir < 0)
		return err_set(e, ERR_NOT_FOUND, "container does not exist");
	r = file_read(c.dir, "state.json", CONFIG_MAX, &text, &n);
	if (r == -ENOENT) { /* being made, or its maker died */
		c.record.shown.id = xstrdup(id);
	} else if (r < 0) {
		return err_sys(e, r, "reading the state of %s", id);
	} else {
		r = json_read(&runtime_record_type, text, n, &json_limits_default, &c.record, e);
		if (r < 0)
			return err_wrap(e, r, "reading the state of %s", id);
	}
	c.status = status_of(&c);
	free(c.record.shown.status);
	c.record.shown.status = xstrdup(status_name(c.status));
	if (c.status == STOPPED)
		c.record.shown.pid = 0;
	*ret = c;
	c = CONTAINER_INIT;
	return 0;
}

int container_save(struct container *c, struct err *e)
{
	AUTO_STRB struct strb text = STRB_INIT;
	int r;

	json_write(&runtime_record_type, &c->record, JSON_LATEST, &text);
	/* whole or not at all for readers; nothing of it outlives a crash of the machine, so no syncing */
	r = file_write(c->dir, "state.tmp", text.s, text.len, 0600);
	if (r == 0 && renameat(c->dir, "state.tmp", c->dir, "state.json") < 0)
		r = -errno;
	return r < 0 ? err_sys(e, r, "writing the container's state") : 0;
}

int container_config(const struct container *c, struct oci_spec *ret, struct err *e)
{
	AUTO_FREE char *text = NULL;
	size_t n = 0;
	int r = file_read(c->dir, "config.json", CONFIG_MAX, &text, &n);

	if (r < 0)
		return err_sys(e, r, "reading the container's configuration");
	return json_read(&oci_spec_type, text, n, &json_limits_default, ret, e);
}

int container_pidfd(const struct container *c)
{
	int fd = c->record.shown.pid > 0 ? sys_pidfd_open((pid_t)c->record.shown.pid, 0) : -1;

	if (fd < 0)
		return -ESRCH;
	if (pid_start_time((pid_t)c->record.shown.pid) != c->record.pid_start) {
		(void)close(fd);
		return -ESRCH;
	}
	return fd;
}

void environment(const struct args *a, struct plan_env *ret)
{
	*ret = (struct plan_env){ .cgroup_version = act_cgroup_version() == ACT_CGROUP_V2 ? 2 : 1,
				  .no_pivot = arg_has(a, "no-pivot"),
				  .no_new_keyring = arg_has(a, "no-new-keyring"),
				  .late = PLAN_LATE_HOME | PLAN_LATE_PATH };
}
