/* escape.h - JSON string bodies exactly as Docker's json-file driver writes them, and back. Private to logfile/. */
#pragma once

#include "base/base.h"

void escape_add(struct strb *out, const char *p, size_t n);
/* Unescapes the string body at p (behind the opening quote) in place, up to its closing quote. Returns the place behind the
 * quote, NULL where there is none or an escape is wrong. */
char *escape_undo(char *p, char *end, size_t *ret_n);
