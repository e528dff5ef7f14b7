/* human.c - durations, sizes, columns. */
#include "cli/human.h"

#include <math.h>

char *human_duration(int64_t ns)
{
	int64_t s = ns / 1000000000, minutes = s / 60, hours = (int64_t)((double)ns / 3.6e12 + 0.5);

	if (s < 1)
		return xstrdup("Less than a second");
	if (s == 1)
		return xstrdup("1 second");
	if (s < 60)
		return xasprintf("%lld seconds", (long long)s);
	if (minutes == 1)
		return xstrdup("About a minute");
	if (minutes < 60)
		return xasprintf("%lld minutes", (long long)minutes);
	if (hours == 1)
		return xstrdup("About an hour");
	if (hours < 48)
		return xasprintf("%lld hours", (long long)hours);
	if (hours < 24 * 7 * 2)
		return xasprintf("%lld days", (long long)(hours / 24));
	if (hours < 24 * 30 * 2)
		return xasprintf("%lld weeks", (long long)(hours / 24 / 7));
	if (hours < 24 * 365 * 2)
		return xasprintf("%lld months", (long long)(hours / 24 / 30));
	return xasprintf("%lld years", (long long)(s / 3600 / 24 / 365));
}

char *human_ago(int64_t unix_seconds)
{
	AUTO_FREE char *d = NULL;

	d = human_duration(time_now_ns() - unix_seconds * 1000000000);
	return xasprintf("%s ago", d);
}

static char *scaled(double v, double base, const char *const *units, size_t n, unsigned precision)
{
	size_t i = 0;

	while (v >= base && i + 1 < n) {
		v /= base;
		i++;
	}
	return xasprintf("%.*g%s", (int)precision, v, units[i]);
}

char *human_size(double bytes, unsigned precision)
{
	static const char *const units[] = { "B", "kB", "MB", "GB", "TB", "PB", "EB", "ZB", "YB" };

	return scaled(bytes, 1000, units, ARRAY_LEN(units), precision);
}

char *human_bytes(double bytes)
{
	static const char *const units[] = { "B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB", "ZiB", "YiB" };

	return scaled(bytes, 1024, units, ARRAY_LEN(units), 4);
}

/* code points; broken bytes count one each */
static size_t utf8_len(const char *s, size_t n)
{
	size_t len = 0;

	for (size_t i = 0; i < n; i++)
		len += ((unsigned char)s[i] & 0xc0) != 0x80;
	return len;
}

char *ellipsis(const char *s, size_t max)
{
	size_t seen = 0;

	if (utf8_len(s, strlen(s)) <= max)
		return xstrdup(s);
	for (size_t i = 0; s[i]; i++) {
		if (((unsigned char)s[i] & 0xc0) != 0x80 && seen++ == max - 1)
			return xasprintf("%.*s\xe2\x80\xa6", (int)i, s);
	}
	return xstrdup(s);
}

const char *short_id(const char *id, char ret[13])
{
	const char *rest = strchr(id, ':');

	(void)snprintf(ret, 13, "%s", rest ? rest + 1 : id);
	return ret;
}

/* ---- columns ---- */
struct cell {
	const char *s;
	size_t len, width; /* bytes, code points */
	size_t column;     /* final width of its column; 0 for the last cell of a line */
};
struct line {
	struct cell *v;
	size_t n;
};

static void line_cut(const char *s, size_t len, struct line *l)
{
	for (;;) {
		const char *tab = memchr(s, '\t', len);
		size_t n = tab ? (size_t)(tab - s) : len;
		struct cell *c = VEC_ADD(l);

		*c = (struct cell){ .s = s, .len = n, .width = utf8_len(s, n) };
		if (!tab)
			return;
		s += n + 1;
		len -= n + 1;
	}
}

/* A column is a run of neighbouring lines that all have a tab-terminated cell at that place. */
static void column_size(struct line *lines, size_t n, size_t at, size_t min_width, size_t padding)
{
	for (size_t i = 0; i < n;) {
		size_t first = i, width = min_width;

		for (; i < n && lines[i].n > at + 1; i++)
			width = MAX(width, lines[i].v[at].width + padding);
		for (size_t k = first; k < i; k++)
			lines[k].v[at].column = width;
		if (i == first)
			i++;
	}
}

void columns_align(const char *text, size_t min_width, size_t padding, struct strb *out)
{
	struct {
		struct line *v;
		size_t n;
	} lines = { 0 };
	size_t most = 0;

	while (*text) {
		size_t len = strcspn(text, "\n");

		line_cut(text, len, VEC_ADD(&lines));
		most = MAX(most, lines.v[lines.n - 1].n);
		text += len + (text[len] == '\n');
	}
	for (size_t at = 0; at + 1 < most; at++)
		column_size(lines.v, lines.n, at, min_width, padding);
	for (size_t i = 0; i < lines.n; i++) {
		for (size_t k = 0; k < lines.v[i].n; k++) {
			const struct cell *c = &lines.v[i].v[k];

			strb_add(out, c->s, c->len);
			for (size_t pad = c->width; pad < c->column; pad++)
				strb_addc(out, ' ');
		}
		strb_addc(out, '\n');
		free(lines.v[i].v);
	}
	free(lines.v);
}
