/* plan.h - from an OCI configuration to a start plan (act/plan_format.h). Pure: no privilege, no file is read, no system call
 * beyond memory; everything that is wrong is refused here with a sentence, so that act/ has only the kernel's answers to report.
 * Thread-safe: no shared state.
 *
 * What only the container's own files can answer (names of users, HOME, PATH) goes into the plan as a late reference. */
#pragma once

#include "act/plan_format.h"
#include "schema/oci_runtime.h"

/* Memory of a plan that is being built: freed in one go. Plans point into it and into the specification they came from. */
struct plan_arena {
	struct plan_block *first;
};
#define PLAN_ARENA_INIT ((struct plan_arena){ 0 })
#define AUTO_ARENA CLEANUP(plan_arena_done)
void plan_arena_done(struct plan_arena *a);
void *plan_arena_alloc(struct plan_arena *a, size_t n); /* zeroed */
char *plan_arena_strdup(struct plan_arena *a, const char *s);

/* What the specification cannot say. All zero is a good start: cgroup v1, everything as the specification has it. */
struct plan_env {
	const char *id;
	const char *bundle; /* absolute; relative root.path and bind sources are below it */
	const struct plan_mount *
		root; /* the root file system; its first entry has target "/". Overrides root.path; read-only as root.readonly says */
	size_t n_root;
	unsigned cgroup_version;             /* 1 (also 0) or 2 */
	const char *cgroup_path;             /* overrides linux.cgroupsPath, which in turn overrides "/<id>" */
	const char *user;                    /* "name", "name:group", "1000:group": overrides process.user's numbers */
	const struct strv *group_names;      /* additional groups by name (docker run --group-add) */
	unsigned late;                       /* enum plan_late */
	const struct plan_ns_choice *ns;     /* PLAN_NS_COUNT entries; those with mode != 0 override linux.namespaces */
	const struct seccomp_ready *seccomp; /* overrides the policy of the specification; NULL = compile that */
	bool no_pivot, no_new_keyring;
	bool init;             /* hoy-init in front of the program */
	bool raw_devices;      /* do not append the default device rules (tests) */
	struct strv *warnings; /* what was ignored, as sentences; may be NULL */
};

int plan_bytes_from_spec(const struct oci_spec *spec, const struct plan_env *env, struct strb *ret,
			 struct err *e); /* encoded */
/* The same, decoded: *ret (plan_free) is lent from *bytes, which must live as long. */
int plan_from_spec(const struct oci_spec *spec, const struct plan_env *env, struct strb *bytes, struct plan **ret,
		   struct err *e);
/* Neither copied nor encoded: *ret points into `a` and into spec and env, which must outlive it. */
int plan_build(const struct oci_spec *spec, const struct plan_env *env, struct plan_arena *a, struct plan *ret,
	       struct err *e);

/* The process of an exec. seccomp = the container's policy, or NULL. Of env, user, group_names, late and warnings count. */
int plan_process_bytes_from_spec(const struct oci_process *p, const struct oci_seccomp *seccomp,
				 const struct plan_env *env, struct strb *ret, struct err *e);
int plan_process_from_spec(const struct oci_process *p, const struct oci_seccomp *seccomp, const struct plan_env *env,
			   struct strb *bytes, struct plan_process **ret,
			   struct err *e); /* lent from *bytes; plan_process_free */
int plan_process_build(const struct oci_process *p, const struct oci_seccomp *seccomp, const struct plan_env *env,
		       struct plan_arena *a, struct plan_process *ret, struct err *e);

/* Limits alone, for an update of a running container. Of env, cgroup_version and warnings count; devices are left out. */
int plan_limits_build(const struct oci_resources *r, const char *cgroup_path, const struct plan_env *env,
		      struct plan_arena *a, struct plan_cgroup *ret, struct err *e);

/* Capabilities: "CAP_SYS_ADMIN" -> 21, or -EINVAL. Names without CAP_ and in lower case are the caller's business. */
int plan_cap_number(const char *name);
const char *plan_cap_name(unsigned number); /* NULL where there is none */
unsigned plan_cap_count(void);
uint64_t plan_cap_mask(const struct strv *names); /* unknown names are skipped */

/* The i-th of all mount options that are understood, sorted; NULL past the end. */
const char *plan_mount_option_name(size_t i);

/* Seccomp: policy -> classic BPF program (struct sock_filter[]), by our own generator: a binary search over system call
 * numbers per architecture. libseccomp is asked only for the numbers of names. */
struct seccomp_filter {
	void *code;
	size_t n;       /* bytes */
	uint32_t flags; /* SECCOMP_FILTER_FLAG_* */
};
int seccomp_compile(const struct oci_seccomp *s, struct seccomp_filter *ret, struct err *e); /* free(ret->code) */
struct seccomp_ready { /* compiled, with what else the policy says; owned (seccomp_ready_done) */
	struct seccomp_filter filter;
	char *listener, *metadata;
};
void seccomp_ready_done(struct seccomp_ready *r);
#define AUTO_SECCOMP CLEANUP(seccomp_ready_done)
