/* copy.c - docker cp and docker diff. */
#include "api/request.h"
#include "store/store.h"

#include <sys/stat.h>

static int container_path(struct request *q, const char **ret, struct err *e)
{
	*ret = api_q_str(q, "path");
	return **ret ? 0 : err_set(e, ERR_INVALID, "bad parameter: pathcannot be empty"); /* dockerd's own slip */
}

/* Go's os.FileMode */
static int64_t go_mode(uint32_t m)
{
	static const struct {
		uint32_t is;
		unsigned bits[2];
	} kinds[] = { { S_IFDIR, { 31 } },  { S_IFLNK, { 27 } }, { S_IFIFO, { 25 } },
		      { S_IFSOCK, { 24 } }, { S_IFBLK, { 26 } }, { S_IFCHR, { 26, 21 } } };
	int64_t mode = m & 0777;

	for (size_t i = 0; i < ARRAY_LEN(kinds); i++)
		for (int k = 0; k < 2; k++)
			if ((m & S_IFMT) == kinds[i].is && kinds[i].bits[k])
				mode |= (int64_t)1 << kinds[i].bits[k];
	mode |= m & S_ISUID ? 1 << 23 : 0;
	mode |= m & S_ISGID ? 1 << 22 : 0;
	mode |= m & S_ISVTX ? 1 << 20 : 0;
	return mode;
}

/* Go's filepath.Base */
static char *base_name(const char *path)
{
	size_t n = strlen(path), from;

	while (n > 1 && path[n - 1] == '/')
		n--;
	if (n == 1 && *path == '/')
		return xstrdup("/");
	for (from = n; from > 0 && path[from - 1] != '/'; from--)
		;
	return xstrndup(path + from, n - from);
}

static void set_stat_header(struct request *q, const struct store_stat *st)
{
	AUTO_FREE char *name = base_name(api_q_str(q, "path")), *text = NULL;
	AUTO_STRB struct strb json = STRB_INIT;
	char mtime[TIME_TEXT_MAX];
	struct docker_path_stat stat = {
		.name = name, .size = st->size, .mode = go_mode(st->mode), .mtime = mtime, .link_target = st->target
	};

	time_format(st->mtime_ns, mtime);
	json_write(&docker_path_stat_type, &stat, q->minor, &json);
	text = base64_encode(strb_str(&json), json.len);
	http_set_header(q->conn, "X-Docker-Container-Path-Stat", text);
}

int api_archive_head(struct request *q, struct err *e)
{
	struct store_stat st = { 0 };
	const char *path;
	int r = container_path(q, &path, e);

	if (r == 0)
		r = container_path_stat(q->engine, q->name, path, &st, e);
	if (r < 0)
		return r;
	set_stat_header(q, &st);
	free(st.target);
	return api_reply_empty(q, 200);
}

static int begin(void *ctx, const struct store_stat *st)
{
	struct request *q = ctx;

	set_stat_header(q, st);
	return http_stream_begin(q->conn, 200, "application/x-tar");
}

static int give(void *ctx, const void *p, size_t n)
{
	struct request *q = ctx;

	return http_stream_write(q->conn, p, n);
}

int api_archive_get(struct request *q, struct err *e)
{
	const char *path;
	int r = container_path(q, &path, e);

	if (r == 0)
		r = container_get(q->engine, q->name, path,
				  &(struct container_get){ .begin = begin, .write = give, .ctx = q }, e);
	return api_stream_end(q, r, e);
}

static int put(struct request *q, int in_fd, const struct engine_progress *p UNUSED, struct err *e)
{
	return container_put(q->engine, q->name, in_fd,
			     &(struct container_put){ .path = api_q_str(q, "path"),
						      .no_overwrite = api_q_bool(q, "noOverwriteDirNonDir"),
						      .to_user = api_q_bool(q, "copyUIDGID") },
			     e);
}

int api_archive_put(struct request *q, struct err *e)
{
	const char *path;
	int r = container_path(q, &path, e);

	return r < 0 ? r : api_run_on_body(q, put, BODY_ANSWER_EMPTY, e);
}

int api_container_changes(struct request *q, struct err *e)
{
	AUTO_FREE char *text = NULL;
	struct {
		struct docker_change *v;
		size_t n;
	} list = { 0 };
	size_t n = 0;
	int r = container_changes(q->engine, q->name, &text, &n, e);

	if (r < 0)
		return r;
	for (const char *p = text; p && p < text + n; p += strlen(p) + 1)
		if (*p)
			*VEC_ADD(&list) = (struct docker_change){ .path = xstrdup(p + 1), .kind = *p - '0' };
	if (!list.n) {
		AUTO_STRB struct strb null = STRB_INIT;

		strb_adds(&null, "null\n");
		return api_reply_json(q, 200, &null);
	}
	return api_reply_list(q, &docker_change_type, list.v, list.n);
}
