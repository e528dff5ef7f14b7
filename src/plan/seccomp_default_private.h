/* What the default policy and Docker's profile reader share. */
#pragma once

#include "plan/seccomp_default.h"

const char *seccomp_native_arch(const char *go); /* "amd64" -> "SCMP_ARCH_X86_64"; NULL where unknown */
bool seccomp_kernel_at_least(const struct seccomp_host *h, unsigned kernel, unsigned major);
