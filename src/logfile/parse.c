/* parse.c - one record: bytes in, values out. Keys in any order and unknown ones are taken, as Go's decoder takes them. */
#include "logfile/logfile.h"
#include "logfile/escape.h"

static char *skip_space(char *p, const char *end)
{
	while (p < end && (*p == ' ' || *p == '\t' || *p == '\r'))
		p++;
	return p;
}

/* Any JSON value, by brackets and strings only: what it means is not our business. NULL where it does not end. */
static char *skip_value(char *p, const char *end)
{
	int depth = 0;

	for (; p < end; p++) {
		if (*p == '"') {
			for (p++; p < end && *p != '"'; p++)
				if (*p == '\\')
					p++;
			if (p >= end)
				return NULL;
			if (depth == 0)
				return p + 1;
		} else if (*p == '{' || *p == '[') {
			depth++;
		} else if (*p == '}' || *p == ']') {
			if (depth == 0)
				return p; /* the end of a bare number in the record itself */
			if (--depth == 0)
				return p + 1;
		} else if (*p == ',' && depth == 0) {
			return p;
		}
	}
	return NULL;
}

static int two(const char *p)
{
	unsigned a = (unsigned)p[0] - '0', b = (unsigned)p[1] - '0';

	return a < 10 && b < 10 ? (int)(a * 10 + b) : -1;
}

/* "2006-01-02T15:04:05.999999999Z", the form every writer uses; other zones take the general way. */
static int parse_time(char *p, size_t n, int64_t *ret)
{
	int part[7] = { 0 };
	static const int at[] = { 0, 2, 5, 8, 11, 14, 17 };
	int64_t frac = 0, scale = 1000000000, days;
	int year, month;

	if (n < 20 || n > 35)
		return -EBADMSG;
	if (p[n - 1] != 'Z') {
		char text[TIME_TEXT_MAX] = "";

		memcpy(text, p, n);
		return time_parse(text, ret) < 0 ? -EBADMSG : 0;
	}
	for (size_t i = 0; i < ARRAY_LEN(at); i++)
		if ((part[i] = two(p + at[i])) < 0)
			return -EBADMSG;
	if (p[4] != '-' || p[7] != '-' || p[10] != 'T' || p[13] != ':' || p[16] != ':' || part[2] < 1 || part[2] > 12)
		return -EBADMSG;
	if (p[19] != '.' && n != 20)
		return -EBADMSG;
	for (size_t i = 20; i + 1 < n; i++) {
		if (p[i] < '0' || p[i] > '9')
			return -EBADMSG;
		if (scale > 1) {
			scale /= 10;
			frac += (p[i] - '0') * scale;
		}
	}
	/* days since 1970 of the Gregorian calendar, the year beginning in March */
	year = part[0] * 100 + part[1] - (part[2] <= 2);
	month = (part[2] + 9) % 12;
	days = 365LL * year + year / 4 - year / 100 + year / 400 + (month * 153 + 2) / 5 + part[3] - 1 - 719468;
	if (days < -100000 || days > 100000) /* years 1696 to 2243: what 64 bits of nanoseconds hold */
		return -EBADMSG;
	*ret = (((days * 24 + part[4]) * 60 + part[5]) * 60 + part[6]) * 1000000000LL + frac;
	return 0;
}

static char *parse_string(char *p, char *end, char **ret, size_t *ret_n)
{
	if (p == end || *p != '"')
		return NULL;
	*ret = p + 1;
	return escape_undo(p + 1, end, ret_n);
}

static bool is(const char *key, size_t n, const char *want)
{
	return n == strlen(want) && memcmp(key, want, n) == 0;
}

static char *parse_member(char *p, char *end, struct logfile_record *r, bool *timed)
{
	char *key = NULL, *text = NULL;
	size_t n_key = 0, n = 0;

	p = parse_string(p, end, &key, &n_key);
	p = p ? skip_space(p, end) : NULL;
	if (!p || p == end || *p != ':')
		return NULL;
	p = skip_space(p + 1, end);
	if (is(key, n_key, "log")) {
		p = parse_string(p, end, &text, &n);
		r->line = text;
		r->n = n;
	} else if (is(key, n_key, "stream")) {
		p = parse_string(p, end, &text, &n);
		r->stream = p && is(text, n, "stderr") ? LOGFILE_STDERR : LOGFILE_STDOUT;
	} else if (is(key, n_key, "time")) {
		p = parse_string(p, end, &text, &n);
		*timed = p && parse_time(text, n, &r->time_ns) == 0;
	} else if (is(key, n_key, "attrs")) {
		r->attrs = p;
		p = skip_value(p, end);
		r->n_attrs = p ? (size_t)(p - r->attrs) : 0;
	} else {
		p = skip_value(p, end);
	}
	return p;
}

int logfile_parse(char *line, size_t n, struct logfile_record *ret)
{
	struct logfile_record r = { .line = "" };
	char *end = line + n, *p = skip_space(line, end);
	bool timed = false;

	if (p == end || *p++ != '{')
		return -EBADMSG;
	for (;;) {
		p = parse_member(skip_space(p, end), end, &r, &timed);
		p = p ? skip_space(p, end) : NULL;
		if (!p || p == end)
			return -EBADMSG;
		if (*p == '}')
			break;
		if (*p++ != ',')
			return -EBADMSG;
	}
	if (!timed)
		return -EBADMSG;
	*ret = r;
	return 0;
}

/* ---- printing ---- */
static void add_query_escaped(struct strb *out, const char *p, size_t n) /* Go's url.QueryEscape */
{
	for (size_t i = 0; i < n; i++) {
		unsigned char c = (unsigned char)p[i];

		if ((c >= '0' && c <= '9') || ((c | 32) >= 'a' && (c | 32) <= 'z') || (c && strchr("-_.~", c)))
			strb_addc(out, (char)c);
		else if (c == ' ')
			strb_addc(out, '+');
		else
			strb_addf(out, "%%%02X", c);
	}
}

static void add_details(struct strb *out, const char *attrs, size_t n)
{
	AUTO_FREE char *copy = attrs ? xstrndup(attrs, n) : xstrdup("");
	AUTO_STRV struct strv pairs = { 0 };
	char *end = copy + strlen(copy), *p = copy;

	for (p += *p == '{'; p && p < end;) {
		char *k = NULL, *v = NULL;
		size_t n_k = 0, n_v = 0;
		AUTO_STRB struct strb pair = STRB_INIT;

		p = parse_string(skip_space(p, end), end, &k, &n_k);
		p = p ? skip_space(p, end) : NULL;
		if (!p || p == end || *p != ':')
			break;
		p = parse_string(skip_space(p + 1, end), end, &v, &n_v);
		if (!p)
			break;
		add_query_escaped(&pair, k, n_k);
		strb_addc(&pair, '=');
		add_query_escaped(&pair, v, n_v);
		strv_add(&pairs, strb_str(&pair));
		p = skip_space(p, end);
		if (p == end || *p++ != ',')
			break;
	}
	strv_sort(&pairs);
	for (size_t i = 0; i < pairs.n; i++) {
		strb_adds(out, i ? "," : "");
		strb_adds(out, pairs.v[i]);
	}
	strb_addc(out, ' ');
}

void logfile_print(const struct logfile_record *r, bool timestamps, bool details, struct strb *out)
{
	if (timestamps) {
		char when[TIME_TEXT_MAX] = "";

		time_format_fixed(r->time_ns, when);
		strb_adds(out, when);
		strb_addc(out, ' ');
	}
	if (details)
		add_details(out, r->attrs, r->n_attrs);
	strb_add(out, r->line, r->n);
}
