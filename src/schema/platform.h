/* platform.h - "linux/arm/v7": reading a platform, and which of several an image is taken for. Rules of containerd's platforms package,
 * as Docker uses them for pull, load and save. Pure. */
#pragma once

#include "schema/oci_image.h"

/* "os", "arch", "os/arch" or "os/arch/variant", normalised ("x86_64" -> amd64, "arm64/v8" -> arm64, "armhf" -> arm/v7). NULL or "" = this
 * machine's, with the processor's own level ("amd64/v3"). */
int platform_parse(const char *text, struct oci_platform *ret, struct err *e);
void platform_here(struct oci_platform *ret);
const char *platform_arch(void);                   /* this machine's, in Go's words: "amd64" */
char *platform_text(const struct oci_platform *p); /* os/arch[/variant] */
/* How well `have` serves who wants `want`: 0 is the very platform, more is worse (an older variant, 386 on amd64, arm on arm64), -1 not at all.
 * have == NULL or without an architecture: serves, better than nothing (as Docker takes it). */
int platform_match(const struct oci_platform *want, const struct oci_platform *have);
#define PLATFORM_UNSAID 1000
