/* table.h - private to json/: what the table reader and the table writer share. */
#pragma once

#include "json/jval.h"

struct json_vec {
	void *v;
	size_t n;
}; /* the layout of every LIST and DICT member */

bool json_is_wrapper(const struct json_type *t);      /* its only row is the value itself */
size_t json_dict_offset(const struct json_type *sub); /* of val in a DICT's entry {char *key; struct x val;} */
size_t json_dict_size(const struct json_type *sub);
void json_field_done(const struct json_field *f, void *p);
