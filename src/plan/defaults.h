/* defaults.h - the configuration of a container before anybody has asked for anything: as Docker 28 writes it. The engine edits it. */
#pragma once

#include "plan/plan.h"

struct spec_defaults {
	bool privileged;
	unsigned cgroup_version; /* 1 or 2 */
	uint64_t host_caps; /* what a privileged container gets: the daemon's own bounding set; 0 = all that we know */
};

/* *ret must be zeroed. Without args, without root path, without seccomp: those depend on more. Privileged: without /dev's nodes. */
void spec_docker_default(const struct spec_defaults *d, struct oci_spec *ret);

uint64_t spec_docker_caps(void); /* the 14 that Docker gives */
void spec_set_caps(struct oci_process *p,
		   uint64_t caps); /* bounding, effective and permitted; inheritable and ambient empty */
/* Namespaces of the list, by their OCI names: "network", "pid", ...; a path joins, NULL makes a new one. */
void spec_set_namespace(struct oci_spec *s, const char *type, const char *path);
void spec_drop_namespace(struct oci_spec *s, const char *type);
/* `options` are separated by commas. Appended at the end, or in the place of a mount with the same destination. */
void spec_set_mount(struct oci_spec *s, const char *destination, const char *type, const char *source,
		    const char *options);
bool spec_drop_mount(struct oci_spec *s, const char *destination);

/* What `hoy-runtime spec` writes: runc's example configuration. */
void spec_runtime_example(bool rootless, struct oci_spec *ret);
