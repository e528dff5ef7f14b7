/* cli.h - the body of `hoy`: Docker's command line over the Docker API. cli_main is all that programs/hoy.c calls. */
#pragma once

int cli_main(int argc, char **argv);
