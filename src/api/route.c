/* route.c - which handler a method and a path belong to. Pure. */
#include "api/request.h"

const char *api_route_version(const char *path, int64_t *ret_major, int64_t *ret_minor, const char **ret_text,
			      size_t *ret_n)
{
	const char *s = str_after(path, "/v");
	size_t n = s ? strspn(s, "0123456789.") : 0;
	char *end = NULL;

	*ret_major = *ret_minor = 0;
	*ret_text = NULL;
	*ret_n = 0;
	if (!n || s[n] != '/')
		return path;
	*ret_text = s;
	*ret_n = n;
	*ret_major = strtoll(s, &end, 10); /* saturates: still too new */
	if (*end == '.')
		*ret_minor = strtoll(end + 1, NULL, 10);
	return s + n;
}

static bool matches(const char *pattern, const char *path, char **ret_name)
{
	const char *open = strstr(pattern, "{name}"), *tail;
	size_t head, n = strlen(path);

	if (!open)
		return streq(pattern, path);
	head = (size_t)(open - pattern);
	tail = open + strlen("{name}");
	if (n <= head + strlen(tail) || strncmp(pattern, path, head) != 0 || !str_ends(path, tail) || path[head] == '/')
		return false;
	*ret_name = xstrndup(path + head, n - head - strlen(tail));
	return true;
}

const struct route *api_route_find(const struct route *routes, size_t n, const char *method, const char *path,
				   char **ret_name)
{
	*ret_name = NULL;
	for (size_t i = 0; i < n; i++)
		if (streq(routes[i].method, method) && matches(routes[i].pattern, path, ret_name))
			return &routes[i];
	return NULL;
}
