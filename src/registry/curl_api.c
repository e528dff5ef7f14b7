/* curl_api.c - finds libcurl and its functions. */
#include "registry/curl_api.h"

#include <dlfcn.h>

static struct curl_api api; /* written once, before the first request */

static const struct {
	const char *name;
	size_t offset;
} functions[] = {
#define CURL_AS_ROW(ret, name, args) { "curl_" #name, offsetof(struct curl_api, name) },
	CURL_FUNCTIONS(CURL_AS_ROW)
};

int curl_api_load(const struct curl_api **ret, struct err *e)
{
	void *lib = dlopen("libcurl.so.4", RTLD_NOW | RTLD_LOCAL);

	if (!lib)
		return err_set(e, ERR_SYSTEM, "registries need libcurl: %s", dlerror());
	for (size_t i = 0; i < ARRAY_LEN(functions); i++) {
		void *f = dlsym(lib, functions[i].name);

		if (!f)
			return err_set(e, ERR_SYSTEM, "libcurl is too old: it has no %s", functions[i].name);
		memcpy((char *)&api + functions[i].offset, &f, sizeof f);
	}
	if (api.global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK)
		return err_set(e, ERR_SYSTEM, "libcurl does not start");
	*ret = &api;
	return 0;
}
