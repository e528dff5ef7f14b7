/* The host's resolv.conf, whatever is in it: the container's never names a server that it cannot reach. */
#include "net/net.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(const char *text)
{
	struct strv lines = { 0 };
	bool server = false;

	strv_split(&lines, text, "\n");
	for (size_t i = 0; i < lines.n; i++) {
		const char *address = str_after(lines.v[i], "nameserver ");

		server = server || address;
		if (address && (strchr(address, ':') || str_after(address, "127.") || strchr(address, ' ')))
			abort();
	}
	if (!server || !str_ends(text, "\n"))
		abort();
	strv_done(&lines);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *host = xstrndup((const char *)data, size), *text;
	struct net_resolv c = { .host_text = host };

	text = net_resolv_text(&c);
	check(text);
	free(text);
	(void)net_resolv_host_path(host);
	free(host);
	return 0;
}
