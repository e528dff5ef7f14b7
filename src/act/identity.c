/* identity.c - who the process is, as the container's own passwd and group files say. The parser is pure and fuzzed; the files are
 * opened inside the container's root, must be regular and not too long. The sentences are Docker's. */
#include "act/act_int.h"
#include "base/kernel.h"

#include <sys/stat.h>

#define FILE_MAX (4 * 1024 * 1024)
#define GROUPS_MAX 65536 /* NGROUPS_MAX of the kernel */
#define ID_MAX_DOCKER 2147483647u

struct line {
	const char *at[7];
	size_t len[7];
	size_t n;
};

/* One line in fields; returns the rest of the text. */
static const char *split(const char *text, const char *end, struct line *ret)
{
	const char *nl = memchr(text, '\n', (size_t)(end - text)), *stop = nl ? nl : end;

	*ret = (struct line){ 0 };
	for (const char *p = text; ret->n < ARRAY_LEN(ret->at);) {
		const char *colon = memchr(p, ':', (size_t)(stop - p));

		ret->at[ret->n] = p;
		ret->len[ret->n++] = (size_t)((colon ? colon : stop) - p);
		if (!colon)
			break;
		p = colon + 1;
	}
	return nl ? nl + 1 : end;
}

static bool is(const struct line *l, size_t i, const char *s)
{
	return i < l->n && strlen(s) == l->len[i] && memcmp(l->at[i], s, l->len[i]) == 0;
}

static bool number(const char *s, size_t n, uint32_t *ret)
{
	uint64_t v = 0;

	if (n == 0 || n > 10)
		return false;
	for (size_t i = 0; i < n; i++) {
		if (s[i] < '0' || s[i] > '9')
			return false;
		v = v * 10 + (uint64_t)(s[i] - '0');
	}
	*ret = (uint32_t)v;
	return v <= UINT32_MAX;
}

static bool row_number(const struct line *l, size_t i, uint32_t *ret)
{
	return i < l->n && number(l->at[i], l->len[i], ret);
}

static bool member(const struct line *l, const char *name)
{
	size_t n = strlen(name);
	const char *p = l->n > 3 ? l->at[3] : NULL, *end = p ? p + l->len[3] : NULL;

	while (p && p < end) {
		const char *comma = memchr(p, ',', (size_t)(end - p)), *stop = comma ? comma : end;

		if ((size_t)(stop - p) == n && memcmp(p, name, n) == 0)
			return true;
		p = stop + 1;
	}
	return false;
}

static void add_group(struct act_identity *i, uint32_t gid)
{
	if (i->n_groups >= GROUPS_MAX)
		return;
	for (size_t k = 0; k < i->n_groups; k++)
		if (i->groups[k] == gid)
			return;
	i->groups = vec_grow(i->groups, i->n_groups, sizeof *i->groups);
	i->groups[i->n_groups++] = gid;
}

/* A group by name or number: 1 = found in the file, 2 = a number of no row, 0 = neither. */
static int find_group(const char *group, size_t n, const char *ref, uint32_t *ret)
{
	uint32_t wanted = 0, gid = 0;
	bool numeric = number(ref, strlen(ref), &wanted);
	struct line l;

	for (const char *p = group, *end = group + n; p < end;) {
		p = split(p, end, &l);
		if (row_number(&l, 2, &gid) && (is(&l, 0, ref) || (numeric && gid == wanted))) {
			*ret = gid;
			return 1;
		}
	}
	*ret = wanted;
	return numeric ? 2 : 0;
}

static int check_range(uint32_t id, struct err *e)
{
	return id > ID_MAX_DOCKER ? err_set(e, ERR_INVALID, "uids and gids must be in range 0-2147483647") : 0;
}

static int resolve_user(const char *passwd, size_t n_passwd, const char *group, size_t n_group, const char *spec,
			struct act_identity *i, struct err *e)
{
	const char *colon = strchr(spec, ':'), *group_ref = colon ? colon + 1 : "";
	AUTO_FREE char *user = colon ? xstrndup(spec, (size_t)(colon - spec)) : xstrdup(spec), *name = NULL;
	uint32_t wanted = 0, uid = 0, gid = 0;
	bool numeric = number(user, strlen(user), &wanted), found = false;
	struct line l;
	int r;

	if (!*user) { /* ":group" is root with that group */
		free(user);
		user = xstrdup("0");
		numeric = true;
	}
	for (const char *p = passwd, *end = passwd + n_passwd; p < end && !found;) {
		p = split(p, end, &l);
		found = row_number(&l, 2, &uid) && row_number(&l, 3, &gid) &&
			(is(&l, 0, user) || (numeric && uid == wanted));
	}
	if (found) {
		i->uid = uid;
		i->gid = gid;
		name = xstrndup(l.at[0], l.len[0]);
		if (l.n > 5 && l.len[5] > 0) {
			free(i->home);
			i->home = xstrndup(l.at[5], l.len[5]);
		}
	} else if (numeric) {
		r = check_range(wanted, e);
		if (r < 0)
			return r;
		i->uid = wanted;
		i->gid = 0;
	} else {
		return err_set(e, ERR_INVALID, "unable to find user %s: no matching entries in passwd file", user);
	}
	if (*group_ref) {
		if (find_group(group, n_group, group_ref, &gid) == 0)
			return err_set(e, ERR_INVALID, "unable to find group %s: no matching entries in group file",
				       group_ref);
		r = check_range(gid, e);
		if (r < 0)
			return r;
		i->gid = gid;
	}
	/* The primary group is in the list too: else a program could drop it and gain what it is denied (CVE-2022-36109). */
	add_group(i, i->gid);
	if (!*group_ref && name)
		for (const char *p = group, *end = group + n_group; p < end;) {
			p = split(p, end, &l);
			if (row_number(&l, 2, &gid) && member(&l, name))
				add_group(i, gid);
		}
	return 0;
}

static void home_of(const char *passwd, size_t n, struct act_identity *i)
{
	struct line l;
	uint32_t uid = 0;

	for (const char *p = passwd, *end = passwd + n; p < end;) {
		p = split(p, end, &l);
		if (row_number(&l, 2, &uid) && uid == i->uid && l.n > 5 && l.len[5] > 0) {
			free(i->home);
			i->home = xstrndup(l.at[5], l.len[5]);
			return;
		}
	}
}

int act_identity_parse(const char *passwd, size_t n_passwd, const char *group, size_t n_group,
		       const struct plan_process *p, struct act_identity *ret, struct err *e)
{
	struct act_identity i = { .uid = p->uid, .gid = p->gid, .home = xstrdup("/") };
	int r = 0;

	if (!str_empty(p->user))
		r = resolve_user(passwd, n_passwd, group, n_group, p->user, &i, e);
	else if (p->late & PLAN_LATE_HOME)
		home_of(passwd, n_passwd, &i);
	for (size_t k = 0; k < p->n_groups; k++)
		add_group(&i, p->groups[k]);
	for (size_t k = 0; r == 0 && p->group_names && p->group_names[k]; k++) {
		uint32_t gid = 0;

		if (find_group(group, n_group, p->group_names[k], &gid) == 0)
			r = err_set(e, ERR_INVALID, "unable to find group %s: no matching entries in group file",
				    p->group_names[k]);
		else if ((r = check_range(gid, e)) == 0)
			add_group(&i, gid);
	}
	if (r < 0) {
		act_identity_done(&i);
		return r;
	}
	*ret = i;
	return 0;
}

void act_identity_done(struct act_identity *i)
{
	free(i->groups);
	free(i->home);
	*i = (struct act_identity){ 0 };
}

/* A file of the image: a missing one is empty; a fifo or device must not make us wait. */
static int read_image_file(int root, const char *path, char **ret, size_t *ret_n)
{
	AUTO_FD int fd = open_in_root(root, path, O_RDONLY | O_NONBLOCK | O_NOCTTY, 0);
	struct stat st;

	*ret = NULL;
	*ret_n = 0;
	if (fd == -ENOENT || fd == -ENOTDIR)
		return 0;
	if (fd < 0)
		return fd;
	if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode))
		return -EINVAL;
	return fd_read_all(fd, FILE_MAX, ret, ret_n);
}

int identity_resolve(int root, const struct plan_process *p, struct act_identity *ret, struct err *e)
{
	AUTO_FREE char *passwd = NULL, *group = NULL;
	size_t n_passwd = 0, n_group = 0;
	bool groups = !str_empty(p->user) || (p->group_names && p->group_names[0]);
	int r = 0;

	if (groups || (p->late & PLAN_LATE_HOME))
		r = read_image_file(root, "/etc/passwd", &passwd, &n_passwd);
	if (r == 0 && groups)
		r = read_image_file(root, "/etc/group", &group, &n_group);
	if (r < 0)
		return err_sys(e, r, "reading the container's passwd and group files");
	return act_identity_parse(passwd ? passwd : "", n_passwd, group ? group : "", n_group, p, ret, e);
}

int act_identity_check(int root, const struct plan_process *p, struct err *e)
{
	struct act_identity id = { 0 };
	int r = identity_resolve(root, p, &id, e);

	act_identity_done(&id);
	return r;
}

/* Raw calls: libc would tell threads that we do not have. 32-bit ids have their own numbers on old architectures. */
#ifdef SYS_setresuid32
#define K_SETRESUID SYS_setresuid32
#define K_SETRESGID SYS_setresgid32
#define K_SETGROUPS SYS_setgroups32
#else
#define K_SETRESUID SYS_setresuid
#define K_SETRESGID SYS_setresgid
#define K_SETGROUPS SYS_setgroups
#endif

int identity_take(const struct act_identity *i, struct err *e)
{
	static const uint32_t none;

	if (syscall(K_SETGROUPS, i->n_groups, i->n_groups ? i->groups : &none) < 0) {
		/* denied in an unprivileged user namespace; nothing is lost where nothing is wanted */
		if (errno != EPERM || i->n_groups > 1 || (i->n_groups == 1 && i->groups[0] != i->gid))
			return err_sys(e, -errno, "setgroups");
	}
	if (syscall(K_SETRESGID, i->gid, i->gid, i->gid) < 0)
		return err_sys(e, -errno, "setgid %u", i->gid);
	if (syscall(K_SETRESUID, i->uid, i->uid, i->uid) < 0)
		return err_sys(e, -errno, "setuid %u", i->uid);
	return 0;
}
