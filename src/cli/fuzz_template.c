/* fuzz_template.c - any text as a --format template: it parses or is refused, and runs over a tree without harm. */
#include "cli/template.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char tree_text[] =
	"{\"Names\":\"a,b\",\"N\":3,\"D\":1.5,\"T\":true,\"Z\":null,\"L\":[1,\"x\",{\"K\":\"v\"}],"
	"\"M\":{\"a\":\"1\",\"b\":{\"c\":[]}},\"S\":{\"Running\":false}}";

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	AUTO_FREE char *text = xstrndup((const char *)data, size);
	AUTO_STRB struct strb out = STRB_INIT;
	struct tmpl *t = NULL;
	struct jval *tree = NULL;
	struct err e = ERR_INIT;

	if (tmpl_parse(text, &t, &e) < 0)
		return 0;
	if (jval_parse(tree_text, sizeof tree_text - 1, &json_limits_default, &tree, &e) >= 0)
		(void)tmpl_run(t, &(struct tmpl_env){ .root = tree }, &out, &e);
	jval_free(tree);
	tmpl_free(t);
	return 0;
}
