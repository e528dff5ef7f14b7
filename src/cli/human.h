/* human.h - numbers and times for people, as go-units prints them, and text in columns, as Go's tabwriter sets it. */
#pragma once

#include "base/base.h"

char *human_duration(int64_t ns);                   /* "Less than a second", "About a minute", "3 weeks" */
char *human_ago(int64_t unix_seconds);              /* the same with " ago" */
char *human_size(double bytes, unsigned precision); /* 1000-based: "1.234MB" at precision 4 */
char *human_bytes(double bytes);                    /* 1024-based: "1.5MiB" */
char *ellipsis(const char *s, size_t max);          /* at most max code points, the last a horizontal ellipsis */
const char *short_id(const char *id, char ret[13]); /* 12 characters, "sha256:" dropped */

/* Lines of tab-terminated cells -> columns at least 10 wide, 3 apart. A line's last cell belongs to no column. */
void columns_align(const char *text, size_t min_width, size_t padding, struct strb *out);
