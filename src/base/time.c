/* time.c - clocks, RFC 3339, random ids. */
#include "base/base.h"

#include <stdio.h>
#include <sys/random.h>

#define NS_PER_S 1000000000LL

int random_bytes(void *p, size_t n)
{
	for (size_t done = 0; done < n;) {
		ssize_t r = getrandom((char *)p + done, n - done, 0);

		if (r < 0 && errno != EINTR)
			return -errno;
		if (r > 0)
			done += (size_t)r;
	}
	return 0;
}

void id_new(char ret[65])
{
	unsigned char bytes[32];

	do {
		if (random_bytes(bytes, sizeof bytes) < 0)
			abort();
		hex_encode(bytes, sizeof bytes, ret);
	} while (strspn(ret, "0123456789") >= 12); /* a short id must not read as a number */
}

static int64_t clock_ns(clockid_t clock)
{
	struct timespec t = { 0 };

	(void)clock_gettime(clock, &t);
	return (int64_t)t.tv_sec * NS_PER_S + t.tv_nsec;
}

int64_t time_now_ns(void)
{
	return clock_ns(CLOCK_REALTIME);
}

int64_t time_mono_ns(void)
{
	return clock_ns(CLOCK_BOOTTIME);
}

static int format(int64_t ns, char *ret, long *ret_frac)
{
	int64_t s = ns / NS_PER_S;
	long frac = (long)(ns % NS_PER_S);
	struct tm tm = { 0 };
	time_t t;

	if (frac < 0) {
		frac += NS_PER_S;
		s--;
	}
	t = (time_t)s;
	(void)gmtime_r(&t, &tm);
	*ret_frac = frac;
	return snprintf(ret, TIME_TEXT_MAX, "%04d-%02d-%02dT%02d:%02d:%02d", tm.tm_year + 1900, tm.tm_mon + 1,
			tm.tm_mday, tm.tm_hour, tm.tm_min, tm.tm_sec);
}

void time_format_fixed(int64_t ns, char ret[TIME_TEXT_MAX])
{
	long frac = 0;
	int n = format(ns, ret, &frac);

	(void)snprintf(ret + n, (size_t)(TIME_TEXT_MAX - n), ".%09ldZ", frac);
}

void time_format(int64_t ns, char ret[TIME_TEXT_MAX])
{
	long frac = 0;
	int n = format(ns, ret, &frac);

	if (frac) {
		n += snprintf(ret + n, (size_t)(TIME_TEXT_MAX - n), ".%09ld", frac);
		while (ret[n - 1] == '0')
			n--;
	}
	ret[n] = 'Z';
	ret[n + 1] = 0;
}

int time_parse(const char *s, int64_t *ret_ns)
{
	struct tm tm = { 0 };
	int64_t frac = 0, scale = NS_PER_S, seconds;
	int used = 0, zone_h = 0, zone_m = 0;

	if (sscanf(s, "%4d-%2d-%2d%*1[Tt ]%2d:%2d:%2d%n", &tm.tm_year, &tm.tm_mon, &tm.tm_mday, &tm.tm_hour, &tm.tm_min,
		   &tm.tm_sec, &used) < 6 ||
	    used < 19)
		return -EINVAL;
	if (tm.tm_mon < 1 || tm.tm_mon > 12 || tm.tm_mday < 1 || tm.tm_mday > 31 || tm.tm_hour > 23 || tm.tm_min > 59 ||
	    tm.tm_sec > 60)
		return -EINVAL;
	s += used;
	if (*s == '.') {
		s++;
		if (*s < '0' || *s > '9')
			return -EINVAL;
		for (; *s >= '0' && *s <= '9'; s++) {
			if (scale > 1) {
				scale /= 10;
				frac += (*s - '0') * scale;
			}
		}
	}
	if (*s == '+' || *s == '-') {
		int sign = *s == '-' ? -1 : 1;

		if (sscanf(s + 1, "%2d:%2d%n", &zone_h, &zone_m, &used) < 2 || used != 5 || s[6])
			return -EINVAL;
		zone_h *= sign;
		zone_m *= sign;
	} else if ((*s != 'Z' && *s != 'z') || s[1]) {
		return -EINVAL;
	}
	tm.tm_year -= 1900;
	tm.tm_mon -= 1;
	seconds = (int64_t)timegm(&tm) - zone_h * 3600 - zone_m * 60;
	if (__builtin_mul_overflow(seconds, NS_PER_S, ret_ns) || __builtin_add_overflow(*ret_ns, frac, ret_ns))
		*ret_ns = seconds < 0 ? INT64_MIN : INT64_MAX; /* Go's zero time is in the year 1 */
	return 0;
}
