/* where.c - following links in the text of a path, every step inside one root. */
#include "archive/tree.h"
#include "base/kernel.h"

#include <fcntl.h>
#include <limits.h>

#define LINKS_MAX 255 /* Docker's */

/* 1 = it is a link; its target */
static int read_link(int root, const char *path, char target[PATH_MAX])
{
	AUTO_FD int fd = open_in_root(root, path, O_PATH | O_NOFOLLOW, 0);
	ssize_t n = fd < 0 ? -1 : readlinkat(fd, "", target, PATH_MAX - 1);

	if (n < 0)
		return 0;
	target[n] = 0;
	return 1;
}

int archive_where(int root, const char *path, char **ret)
{
	AUTO_FREE char *left = xstrdup(path), *done = xstrdup("");
	char target[PATH_MAX];

	for (unsigned links = 0; *left;) {
		size_t skip = strspn(left, "/"), n = strcspn(left + skip, "/");
		AUTO_FREE char *name = xstrndup(left + skip, n), *rest = xstrdup(left + skip + n), *next = NULL;

		if (*name && !streq(name, ".") && !streq(name, "..")) {
			next = xasprintf("%s/%s", done, name);
			if (read_link(root, next, target)) {
				if (++links > LINKS_MAX)
					return -ELOOP;
				if (*target == '/')
					*done = 0;
				free(left);
				left = xasprintf("%s/%s", target, rest);
				continue;
			}
		} else if (streq(name, "..")) {
			char *slash = strrchr(done, '/');

			if (slash)
				*slash = 0;
		}
		free(left);
		left = TAKE_PTR(rest);
		if (next) {
			free(done);
			done = TAKE_PTR(next);
		}
	}
	*ret = *done ? TAKE_PTR(done) : xstrdup("/");
	return 0;
}
