/* units.c - amounts with units in Go's notations: time.ParseDuration, and go-units' RAMInBytes. */
#include "base/base.h"

#include <ctype.h>

#define NUMBER "0123456789."

/* One "1.5h"-like piece from *at on; *at is left at what cannot be read. */
static int piece_parse(const char **at, long double *ret_ns)
{
	static const struct {
		const char *unit;
		long double ns;
	} units[] = { { "ns", 1 },    { "us", 1e3L }, { "\xc2\xb5s", 1e3L }, { "\xce\xbcs", 1e3L },
		      { "ms", 1e6L }, { "s", 1e9L },  { "m", 60e9L },        { "h", 3600e9L } };
	size_t digits = strspn(*at, NUMBER), len;
	const char *unit = *at + digits;
	char number[41] = "", *end = NULL;
	long double v;

	if (digits == 0 || digits >= sizeof number || (digits == 1 && **at == '.'))
		return -EINVAL;
	memcpy(number, *at, digits); /* alone: strtold would take the e of an exponent too */
	v = strtold(number, &end);
	if (*end)
		return -EINVAL;
	*at = unit;
	len = strcspn(unit, NUMBER);
	for (size_t i = 0; i < ARRAY_LEN(units); i++) {
		if (strlen(units[i].unit) == len && memcmp(units[i].unit, unit, len) == 0) {
			*at += len;
			*ret_ns = v * units[i].ns;
			return 0;
		}
	}
	return -EINVAL;
}

int duration_parse(const char *s, int64_t *ret_ns, const char **ret_at)
{
	const char *p = s + (*s == '-' || *s == '+'), *at = p;
	long double sum = 0;
	int r = 0;

	if (streq(p, "0"))
		at++;
	else
		do {
			long double ns = 0;

			r = piece_parse(&at, &ns);
			sum += ns;
			if (r == 0 && sum > 9.2e18L)
				r = -ERANGE;
		} while (r == 0 && *at);
	if (ret_at)
		*ret_at = at;
	if (r < 0)
		return r;
	*ret_ns = (int64_t)(*s == '-' ? -sum : sum);
	return 0;
}

int bytes_parse(const char *s, int64_t *ret, const char **ret_at)
{
	static const char letters[] = "kmgtp";
	size_t digits = strspn(s, NUMBER);
	const char *p = s + digits, *letter;
	char *end = NULL;
	double v;

	if (ret_at)
		*ret_at = s;
	if (digits == 0 || digits > 40)
		return -EINVAL;
	v = strtod(s, &end);
	if (end != p)
		return -EINVAL;
	p += *p == ' ';
	if (ret_at)
		*ret_at = p;
	letter = *p ? strchr(letters, tolower((unsigned char)*p)) : NULL;
	if (letter) {
		for (const char *l = letters; l <= letter; l++)
			v *= 1024;
		p++;
		p += *p == 'i' || *p == 'I';
	}
	p += *p == 'b' || *p == 'B';
	if (*p)
		return -EINVAL;
	if (v >= 9.2e18)
		return -ERANGE;
	*ret = (int64_t)v;
	return 0;
}
