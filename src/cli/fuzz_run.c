/* fuzz_run.c - the small grammars of run's values: the first byte chooses one, the rest is the value. */
#include "cli/run_body.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void ports_run(int (*parse)(const char *, struct ports *, struct err *), const char *text)
{
	struct ports p = { 0 };
	struct err e = ERR_INIT;

	(void)parse(text, &p, &e);
	ports_done(&p);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	AUTO_FREE char *text = size > 1 ? xstrndup((const char *)data + 1, size - 1) : xstrdup("");
	AUTO_JW struct jw w = { 0 };
	struct err e = ERR_INIT;
	int64_t n;

	switch (size ? data[0] % 12 : 0) {
	case 0:
		ports_run(port_spec, text);
		break;
	case 1:
		ports_run(port_expose, text);
		break;
	case 2:
		(void)mount_json(text, &w, &e);
		break;
	case 3:
		(void)gpus_json(text, &w, &e);
		break;
	case 4:
		(void)ulimit_json(text, &w, &e);
		break;
	case 5:
		(void)device_json(text, &w, &e);
		break;
	case 6:
		(void)throttle_json(text, true, &w, &e);
		break;
	case 7:
		(void)network_check(text, &e);
		break;
	case 8:
		(void)go_parse_duration(text, &n, &e);
		break;
	case 9:
		(void)parse_bytes(text, &n, &e);
		break;
	case 10:
		(void)check_add_host(text, &e);
		break;
	default:
		(void)check_device_rule(text, &e);
	}
	return 0;
}
