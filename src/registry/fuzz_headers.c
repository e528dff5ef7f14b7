/* fuzz_headers.c - any text as the headers of a registry's answer, and as URLs. What is taken must keep its promises. */
#include "registry/headers.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_url(const char *s)
{
	AUTO_FREE char *url = url_resolve("https://registry:5000/v2/a/blobs/uploads/?x=y", s);
	AUTO_FREE char *host = url ? url_host(url) : NULL;

	if (!url)
		return;
	if (!url_has_scheme(url, "http") && !url_has_scheme(url, "https"))
		abort();
	if (strpbrk(url, "\r\n "))
		abort(); /* it would begin another header */
	if (host && strpbrk(host, "/?#@"))
		abort();
	(void)url_same_origin(url, "https://registry:5000/");
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	AUTO_FREE char *s = xstrndup((const char *)data, size);
	AUTO_FREE char *next = link_next(s);
	AUTO_FREE char *warning = warning_text(s);
	AUTO_STRB struct strb escaped = STRB_INIT;
	struct challenges c = { 0 };
	int64_t first = 0, last = 0, total = 0;

	challenges_add(&c, s);
	challenges_add(&c, s);
	if (c.n > CHALLENGES_MAX)
		abort();
	for (size_t i = 0; i < c.n; i++)
		if (!*c.v[i].scheme || c.v[i].params.n > CHALLENGE_PARAMS_MAX)
			abort();
	challenges_done(&c);
	if (retry_after(s, 0) < -1 || upload_range(s) < -1)
		abort();
	if (content_range(s, &first, &last, &total) && (first > last || (total >= 0 && last >= total)))
		abort();
	check_url(s);
	url_escape(&escaped, s);
	for (const char *p = strb_str(&escaped); *p; p++)
		if (strchr("&=#? \r\n", *p))
			abort();
	return 0;
}
