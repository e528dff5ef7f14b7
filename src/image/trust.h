/* trust.h - whose signatures images need: the policy file of --signature-policy, and what it says of a repository. Read once, at
 * start; a policy that cannot be understood keeps the daemon from starting. Checking a signature is the registry worker's work. */
#pragma once

#include "base/base.h"

enum trust_mode { TRUST_OFF, TRUST_WARN, TRUST_ENFORCE };
struct trust_key {
	char *name; /* the file, as the policy names it */
	char *der;  /* SubjectPublicKeyInfo */
	size_t n;
};
struct trust_rule {
	struct strv patterns;
	char *signed_as; /* what stands for the pattern in signatures of images that were copied here; NULL = the same name */
	enum trust_mode mode;
	struct {
		struct trust_key *v;
		size_t n;
	} keys; /* any of them may have signed */
};
struct trust_policy;
int trust_read(const char *path, struct trust_policy **ret, struct err *e);
void trust_free(struct trust_policy *p);
/* The first rule that matches "docker.io/library/debian"; NULL = none, which is TRUST_OFF. policy may be NULL. */
const struct trust_rule *trust_rule_for(const struct trust_policy *p, const char *name);
/* The repository that signatures have to name, for one that matched. */
char *trust_signed_name(const struct trust_rule *r, const char *name);
