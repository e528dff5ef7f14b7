/* pull.h - POST /images/create and the progress that comes back. */
#pragma once

#include "cli/command.h"

int pull_image(struct cli *c, const char *image, const char *platform, bool quiet, FILE *to, struct err *e);
/* A stream of JSON messages (pull, load, import) -> lines; the first error ends it. */
int progress_show(struct answer *a, bool quiet, FILE *to, struct err *e);
