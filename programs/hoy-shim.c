/* hoy-shim.c - one container's parent. Started by hoyd: descriptors 3..6 as src/shim/proto.h says. */
#include "shim/shim.h"
#ifdef HAVE_RELAY
#include "net/relay.h"
#endif

#include <fcntl.h>

int main(int argc, char **argv)
{
	struct err e = ERR_INIT;
	struct shim_opts o = { .folder = 3, .hoyd = 4, .listener = 5, .run_dir = 6 };

#ifdef HAVE_RELAY
	o.relay = net_relay;
#endif
	if (argc == 2 && streq(argv[1], "--version")) {
		(void)printf("hoy-shim %s\n", HOY_VERSION);
		return 0;
	}
	if (argc != 2 || !hex_valid(argv[1], strlen(argv[1]))) {
		(void)fprintf(stderr,
			      "hoy-shim is started by hoyd, one for each container; it has no use on its own\n");
		return 2;
	}
	o.id = argv[1];
	for (int fd = 3; fd <= 6; fd++) {
		if (fcntl(fd, F_SETFD, FD_CLOEXEC) < 0) {
			(void)fprintf(stderr, "hoy-shim: descriptor %d is missing\n", fd);
			return 2;
		}
	}
	if (shim_run(&o, &e) < 0) {
		log_error("hoy-shim %s: %s", o.id, e.msg);
		return 1;
	}
	return 0;
}
