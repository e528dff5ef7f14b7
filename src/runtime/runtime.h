/* runtime.h - the OCI command line (hoy-runtime) over plan and act: create, start, run, exec, kill, delete and the rest, with
 * runc's options, messages and exit codes. State lives in <root>/<id>/: state.json, config.json (what it was created from),
 * start.sock while the container waits for its start. */
#pragma once

int runtime_main(int argc, char **argv);
