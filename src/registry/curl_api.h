/* curl_api.h - libcurl, loaded only by the verb that needs it: it brings thirty libraries, and a worker that unpacks one layer
 * should not pay 8 ms and 9 MiB for them. */
#pragma once

#include "base/base.h"

#include <curl/curl.h>

/* clang-format off */
#define CURL_FUNCTIONS(F) \
	F(CURLcode, global_init, (long)) \
	F(CURL *, easy_init, (void)) \
	F(CURLcode, easy_setopt, (CURL *, CURLoption, ...)) \
	F(CURLcode, easy_getinfo, (CURL *, CURLINFO, ...)) \
	F(CURLcode, easy_pause, (CURL *, int)) \
	F(void, easy_cleanup, (CURL *)) \
	F(const char *, easy_strerror, (CURLcode)) \
	F(struct curl_slist *, slist_append, (struct curl_slist *, const char *)) \
	F(void, slist_free_all, (struct curl_slist *)) \
	F(CURLM *, multi_init, (void)) \
	F(CURLMcode, multi_setopt, (CURLM *, CURLMoption, ...)) \
	F(CURLMcode, multi_add_handle, (CURLM *, CURL *)) \
	F(CURLMcode, multi_remove_handle, (CURLM *, CURL *)) \
	F(CURLMcode, multi_perform, (CURLM *, int *)) \
	F(CURLMcode, multi_poll, (CURLM *, struct curl_waitfd[], unsigned, int, int *)) \
	F(CURLMsg *, multi_info_read, (CURLM *, int *))
/* clang-format on */
#define CURL_AS_POINTER(ret, name, args) ret(*name) args;
struct curl_api {
	CURL_FUNCTIONS(CURL_AS_POINTER)
};
int curl_api_load(const struct curl_api **ret, struct err *e); /* once; before the sandbox closes */
