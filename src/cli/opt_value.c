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

/* One "1.5h"-like piece; returns its length or a negative errno. */
static int duration_piece(const char *s, const char *whole, long double *ret_ns, struct err *e)
{
	static const struct {
		const char *unit;
		long double ns;
	} units[] = { { "ns", 1 },   { "us", 1e3L }, { "\xc2\xb5s", 1e3L }, { "ms", 1e6L },
		      { "s", 1e9L }, { "m", 60e9L }, { "h", 3600e9L } };
	size_t digits = strspn(s, "0123456789."), len;
	long double v;

	if (digits == 0 || (digits == 1 && *s == '.') || digits > 40)
		return err_set(e, ERR_INVALID, "time: invalid duration \"%s\"", whole);
	v = strtold(s, NULL);
	s += digits;
	len = strcspn(s, "0123456789.");
	if (len == 0)
		return err_set(e, ERR_INVALID, "time: missing unit in duration \"%s\"", whole);
	for (size_t i = 0; i < ARRAY_LEN(units); i++) {
		if (strlen(units[i].unit) == len && memcmp(units[i].unit, s, len) == 0) {
			*ret_ns = v * units[i].ns;
			return (int)(digits + len);
		}
	}
	return err_set(e, ERR_INVALID, "time: unknown unit \"%.*s\" in duration \"%s\"", (int)len, s, whole);
}

int go_parse_duration(const char *s, int64_t *ret_ns, struct err *e)
{
	const char *p = s;
	bool negative = *p == '-';
	long double sum = 0;

	if (*p == '-' || *p == '+')
		p++;
	if (streq(p, "0")) {
		*ret_ns = 0;
		return 0;
	}
	do {
		long double piece = 0;
		int used = duration_piece(p, s, &piece, e);

		if (used < 0)
			return used;
		sum += piece;
		if (sum > 9.2e18L)
			return err_set(e, ERR_INVALID, "time: invalid duration \"%s\"", s);
		p += used;
	} while (*p);
	*ret_ns = (int64_t)(negative ? -sum : sum);
	return 0;
}

/* go-units' RAMInBytes: a number, an optional space, k m g t p with an optional i, an optional b. */
int parse_bytes(const char *s, int64_t *ret, struct err *e)
{
	static const char letters[] = "kmgtp";
	size_t digits = strspn(s, "0123456789.");
	const char *p = s + digits, *letter;
	double v;

	if (streq(s, "-1")) { /* --memory-swap=-1 */
		*ret = -1;
		return 0;
	}
	if (digits == 0 || *s == '.' || strspn(s, ".") > 0 || digits > 30)
		return err_set(e, ERR_INVALID, "invalid size: '%s'", s);
	v = strtod(s, NULL);
	if (*p == ' ')
		p++;
	letter = *p ? strchr(letters, tolower((unsigned char)*p)) : NULL;
	if (letter) {
		v *= pow(1024, (double)(letter - letters + 1));
		p++;
		if (*p == 'i' || *p == 'I')
			p++;
	}
	if (*p == 'b' || *p == 'B')
		p++;
	if (*p || v >= 9.2e18)
		return err_set(e, ERR_INVALID,
			       *p && digits && p == s + digits ? "invalid suffix: '%s'" : "invalid size: '%s'",
			       *p && p == s + digits ? p : s);
	*ret = (int64_t)v;
	return 0;
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
