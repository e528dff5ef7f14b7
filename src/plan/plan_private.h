/* plan_private.h - what the files of this folder share. */
#pragma once

#include "plan/plan.h"

struct builder {
	const struct plan_env *env;
	struct plan_arena *a;
	struct err *e;
};

#define REFUSE(b, ...) err_set((b)->e, ERR_INVALID, __VA_ARGS__)
void plan_warn(const struct plan_env *env, const char *fmt, ...) PRINTF(2, 3);
#define NEW_ARRAY(b, type, n) ((type *)plan_arena_alloc((b)->a, sizeof(type) * (n)))
const char *const *plan_strings(struct builder *b, const struct strv *v); /* lent, NULL-terminated; never NULL */

int plan_mounts(struct builder *b, const struct oci_spec *s, struct plan *p);
int plan_namespaces(struct builder *b, const struct oci_linux *l, struct plan *p);
int plan_id_maps(struct builder *b, const struct oci_linux *l, struct plan *p);
int plan_sysctls(struct builder *b, const struct oci_spec *s, struct plan *p);
int plan_devices(struct builder *b, const struct oci_linux *l, struct plan *p);
int plan_device_rules(struct builder *b, const struct oci_resources *r, struct plan_cgroup *c);
int plan_limits(struct builder *b, const struct oci_resources *r, struct plan_cgroup *c);
int plan_process(struct builder *b, const struct oci_process *p, const struct oci_seccomp *s, struct plan_process *ret);
int plan_propagation(const char *name, uint32_t *ret); /* "rslave" -> MS_SLAVE|MS_REC */
