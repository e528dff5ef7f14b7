/* test_tar.h - building tar archives byte by byte, for tests only. */
#pragma once

#include "base/base.h"

#define TB_BLOCK 512
struct tb_entry {
	char type;
	const char *name, *link;
	uint32_t mode, uid, gid, major, minor;
	const void *data;
	size_t n;
	int64_t mtime;
};

static inline void tb_pad(struct strb *b)
{
	static const char zero[TB_BLOCK];

	strb_add(b, zero, -b->len & (TB_BLOCK - 1));
}

static inline void tb_checksum(char *h)
{
	unsigned sum = 0;

	memset(h + 148, ' ', 8);
	for (int i = 0; i < TB_BLOCK; i++)
		sum += (unsigned char)h[i];
	(void)snprintf(h + 148, 8, "%06o", sum);
}

static inline void tb_header(struct strb *b, const struct tb_entry *t, int64_t size)
{
	char h[TB_BLOCK] = { 0 };

	(void)snprintf(h, 100, "%s", t->name);
	(void)snprintf(h + 100, 8, "%07o", t->mode);
	(void)snprintf(h + 108, 8, "%07o", t->uid);
	(void)snprintf(h + 116, 8, "%07o", t->gid);
	(void)snprintf(h + 124, 12, "%011llo", (unsigned long long)size);
	(void)snprintf(h + 136, 12, "%011llo", (unsigned long long)t->mtime);
	h[156] = t->type;
	(void)snprintf(h + 157, 100, "%s", t->link ? t->link : "");
	memcpy(h + 257,
	       "ustar\0"
	       "00",
	       8);
	(void)snprintf(h + 329, 8, "%07o", t->major);
	(void)snprintf(h + 337, 8, "%07o", t->minor);
	tb_checksum(h);
	strb_add(b, h, sizeof h);
}

static inline void tb_add(struct strb *b, struct tb_entry t)
{
	if (!t.mode)
		t.mode = t.type == '5' ? 0755 : 0644;
	tb_header(b, &t, (int64_t)t.n);
	strb_add(b, t.data ? t.data : "", t.n);
	tb_pad(b);
}

static inline void tb_file(struct strb *b, const char *name, const char *text)
{
	tb_add(b, (struct tb_entry){ .type = '0', .name = name, .data = text, .n = strlen(text), .mtime = 1000 });
}

static inline void tb_dir(struct strb *b, const char *name)
{
	tb_add(b, (struct tb_entry){ .type = '5', .name = name, .mtime = 1000 });
}

/* One PAX record; the length counts its own digits. */
static inline void tb_record(struct strb *b, const char *key, const void *value, size_t n)
{
	size_t body = strlen(key) + n + 3, len = body + 1;

	for (size_t was = 0; was != len;) {
		was = len;
		len = body + (size_t)snprintf(NULL, 0, "%zu", len);
	}
	strb_addf(b, "%zu %s=", len, key);
	strb_add(b, value, n);
	strb_addc(b, '\n');
}

static inline void tb_pax(struct strb *b, const struct strb *records)
{
	tb_add(b, (struct tb_entry){ .type = 'x', .name = "PaxHeaders/x", .data = records->s, .n = records->len });
}

static inline void tb_pax1(struct strb *b, const char *key, const char *value)
{
	AUTO_STRB struct strb r = STRB_INIT;

	tb_record(&r, key, value, strlen(value));
	tb_pax(b, &r);
}

static inline void tb_end(struct strb *b)
{
	static const char zero[2 * TB_BLOCK];

	strb_add(b, zero, sizeof zero);
}
