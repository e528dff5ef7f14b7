/* fuzz_logfile.c - any bytes as a record: no crash, and what is understood prints. */
#include "logfile/logfile.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *copy = xmalloc(size ? size : 1); /* exactly as long: an overrun is seen */
	struct logfile_record r = { 0 };
	AUTO_STRB struct strb out = STRB_INIT;

	memcpy(copy, data, size);
	if (logfile_parse(copy, size, &r) == 0)
		logfile_print(&r, true, true, &out);
	free(copy);
	return 0;
}
