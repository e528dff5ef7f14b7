/* hoy-worker - parses untrusted bytes for hoyd, locked into the one directory it works on. */
#include "worker/worker.h"

int main(int argc, char **argv)
{
	return worker_main(argc, argv);
}
