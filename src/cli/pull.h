/* pull.h - pulls and pushes, and the progress that comes back. */
#pragma once

#include "cli/command.h"

int pull_image(struct cli *c, const char *image, bool all_tags, const char *platform, bool quiet, FILE *to,
	       struct err *e);
int push_image(struct cli *c, const char *image, bool all_tags, const char *platform, bool quiet, FILE *to,
	       struct err *e);
int copy_image(struct cli *c, const char *from, const char *to, const char *platform, bool quiet, FILE *to_file,
	       struct err *e);
/* A stream of JSON messages (pull, push, load, import) -> lines; on a terminal each layer keeps its line, with a bar. The first
 * error ends it. */
int progress_show(struct answer *a, bool quiet, FILE *to, struct err *e);
