/* seccomp_default.h - seccomp policies as Docker has them: the default one, and custom profiles in Docker's own JSON format.
 * Both depend on the container's bounding capabilities, the architecture and the kernel; the answer is a plain OCI policy. */
#pragma once

#include "plan/plan.h"

struct seccomp_host {
	const char *arch;       /* as Go calls it: "amd64", "arm64", "s390x", ... */
	unsigned kernel, major; /* 6, 1 */
};
struct seccomp_host seccomp_host(void); /* this machine */

/* *ret must be zeroed; released by json_done(&oci_seccomp_type, ret). host NULL = this machine. */
void seccomp_default(uint64_t bounding_caps, const struct seccomp_host *host, struct oci_seccomp *ret);
int seccomp_from_docker_profile(const char *json, size_t n, uint64_t bounding_caps, const struct seccomp_host *host,
				struct oci_seccomp *ret, struct err *e);
