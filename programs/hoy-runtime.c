/* hoy-runtime - the OCI command line. */
#include "act/act.h"
#include "runtime/runtime.h"

#include <sys/prctl.h>

int main(int argc, char **argv)
{
	/* First of all: from here on no container can write our file. Where it cannot be done, it cannot be written either. */
	(void)act_exe_readonly(argv);
	(void)prctl(PR_SET_NAME, "hoy-runtime", 0, 0, 0); /* run from a descriptor, we would be called by its number */
	return runtime_main(argc, argv);
}
