/* opt_value.c - how Go (strconv, time) and Docker (go-units) read booleans, numbers, durations and sizes. */
#include "cli/opt.h"

#include <ctype.h>
#include <math.h>
#include <strings.h>

int go_parse_bool(const char *s, bool *ret, struct err *e)
{
	static const char *const yes[] = { "1", "t", "T", "true", "TRUE", "True" };
	static const char *const no[] = { "0", "f", "F", "false", "FALSE", "False" };

	for (size_t i = 0; i < ARRAY_LEN(yes); i++) {
		if (streq(s, yes[i]))
			*ret = true;
		else if (streq(s, no[i]))
			*ret = false;
		else
			continue;
		return 0;
	}
	return err_set(e, ERR_INVALID, "strconv.ParseBool: parsing \"%s\": invalid syntax", s);
}

int go_parse_int(const char *s, int bits, int64_t *ret, struct err *e)
{
	char *end;
	long long v;

	errno = 0;
	v = strtoll(s, &end, 0);
	if (end == s || *end || isspace((unsigned char)*s))
		return err_set(e, ERR_INVALID, "strconv.ParseInt: parsing \"%s\": invalid syntax", s);
	if (errno == ERANGE || (bits < 64 && (v >= 1LL << (bits - 1) || v < -(1LL << (bits - 1)))))
		return err_set(e, ERR_INVALID, "strconv.ParseInt: parsing \"%s\": value out of range", s);
	*ret = v;
	return 0;
}

int go_parse_uint(const char *s, int bits, int64_t *ret, struct err *e)
{
	int64_t v = -1;

	if (*s == '-' || *s == '+' || (go_parse_int(s, 64, &v, NULL) < 0 && errno != ERANGE))
		return err_set(e, ERR_INVALID, "strconv.ParseUint: parsing \"%s\": invalid syntax", s);
	if (v < 0 || (bits < 63 && v >= 1LL << bits))
		return err_set(e, ERR_INVALID, "strconv.ParseUint: parsing \"%s\": value out of range", s);
	*ret = v;
	return 0;
}

int go_parse_duration(const char *s, int64_t *ret_ns, struct err *e)
{
	const char *at = s;
	int r = duration_parse(s, ret_ns, &at);

	if (r == -EINVAL && at > s && (isdigit((unsigned char)at[-1]) || at[-1] == '.')) { /* a number stands there */
		int len = (int)strcspn(at, "0123456789.");

		if (len == 0)
			return err_set(e, ERR_INVALID, "time: missing unit in duration \"%s\"", s);
		return err_set(e, ERR_INVALID, "time: unknown unit \"%.*s\" in duration \"%s\"", len, at, s);
	}
	return r < 0 ? err_set(e, ERR_INVALID, "time: invalid duration \"%s\"", s) : 0;
}

int parse_bytes(const char *s, int64_t *ret, struct err *e)
{
	const char *at = s;

	if (streq(s, "-1")) { /* --memory-swap=-1 */
		*ret = -1;
		return 0;
	}
	if (bytes_parse(s, ret, &at) == 0)
		return 0;
	return *at && at > s ? err_set(e, ERR_INVALID, "invalid suffix: '%s'", at)
			     : err_set(e, ERR_INVALID, "invalid size: '%s'", s);
}

int parse_cpus(const char *s, int64_t *ret_nano, struct err *e)
{
	const char *dot = strchr(s, '.');
	size_t fraction = dot ? strlen(dot + 1) : 0;
	char *end;
	long double v;

	if (!*s || strspn(s, "0123456789.") != strlen(s) || streq(s, ".") || (dot && strchr(dot + 1, '.')))
		return err_set(e, ERR_INVALID, "failed to parse %s as a rational number", s);
	if (fraction > 9)
		return err_set(e, ERR_INVALID, "value is too precise");
	v = strtold(s, &end) * 1e9L;
	if (v > 9.2e18L)
		return err_set(e, ERR_INVALID, "failed to parse %s as a rational number", s);
	*ret_nano = (int64_t)(v + 0.5L);
	return 0;
}
