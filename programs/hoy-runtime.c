#include "runtime/runtime.h"

int main(int argc, char **argv)
{
	return runtime_main(argc, argv);
}
