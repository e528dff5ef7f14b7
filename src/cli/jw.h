/* jw.h - writing a JSON text front to back; commas are kept by the writer. key is NULL inside arrays. */
#pragma once

#include "base/base.h"

struct jw {
	struct strb b;
	bool comma;
};
#define AUTO_JW CLEANUP(jw_done)
void jw_done(struct jw *w);
void jw_open(struct jw *w, const char *key, char bracket);     /* '{' or '[' */
void jw_close(struct jw *w, char bracket);                     /* '}' or ']' */
void jw_str(struct jw *w, const char *key, const char *value); /* NULL is null */
void jw_str_n(struct jw *w, const char *key, const char *value, size_t n);
void jw_int(struct jw *w, const char *key, int64_t value);
void jw_bool(struct jw *w, const char *key, bool value);
void jw_raw(struct jw *w, const char *key, const char *json);
void jw_strv(struct jw *w, const char *key, const struct strv *values);
void jw_map(struct jw *w, const char *key, const struct strmap *values);
