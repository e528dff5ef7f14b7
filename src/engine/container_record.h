/* container_record.h - what hoyd must remember of a container: one JSON document in hoy.db. Members that an older or newer hoyd
 * knows are kept (extra). Times are nanoseconds since 1970, 0 = never. */
#pragma once

#include "json/json.h"
#include "net/net.h"
#include "schema/docker_container.h"

/* clang-format off */
#define CONTAINER_STATE_FIELDS(F, T)                                       \
	F(T, BOOL, running,        "Running",       0,          none)      \
	F(T, BOOL, paused,         "Paused",        0,          none)      \
	F(T, BOOL, restarting,     "Restarting",    0,          none) /* while running: it has ended, the shim starts it again */ \
	F(T, BOOL, oom_killed,     "OOMKilled",     0,          none)      \
	F(T, BOOL, removing,       "Removing",      0,          none)      \
	F(T, BOOL, dead,           "Dead",          0,          none)      \
	F(T, INT,  pid,            "Pid",           0,          none)      \
	F(T, INT,  exit_code,      "ExitCode",      0,          none)      \
	F(T, STR,  error,          "Error",         0,          none)      \
	F(T, INT,  started_ns,     "StartedAt",     0,          none)      \
	F(T, INT,  finished_ns,    "FinishedAt",    0,          none)      \
	F(T, BOOL, stop_requested, "StopRequested", 0,          none)      \
	F(T, INT,  journal_seq,    "JournalSeq",    0,          none)      \
	F(T, EXTRA, extra,         "",              0,          none)
JSON_STRUCT(container_state, CONTAINER_STATE_FIELDS)

#define CONTAINER_MOUNT_FIELDS(F, T)                                       \
	F(T, STR,  type,        "Type",        0,          none)           \
	F(T, STR,  name,        "Name",        OMIT_EMPTY, none)           \
	F(T, STR,  source,      "Source",      0,          none)           \
	F(T, STR,  destination, "Destination", 0,          none)           \
	F(T, STR,  driver,      "Driver",      OMIT_EMPTY, none)           \
	F(T, STR,  mode,        "Mode",        0,          none)           \
	F(T, BOOL, rw,          "RW",          0,          none)           \
	F(T, STR,  propagation, "Propagation", 0,          none)           \
	F(T, STR,  options,     "Options",     OMIT_EMPTY, none) /* tmpfs data */  \
	F(T, BOOL, anonymous,   "Anonymous",   OMIT_EMPTY, none)           \
	F(T, BOOL, ro_recursive, "ReadOnlyRecursive", OMIT_EMPTY, none)    \
	F(T, BOOL, non_recursive, "NonRecursive", OMIT_EMPTY, none)        \
	F(T, BOOL, no_copy,     "NoCopy",      OMIT_EMPTY, none) /* a new volume stays empty */ \
	F(T, EXTRA, extra,      "",            0,          none)
JSON_STRUCT(container_mount, CONTAINER_MOUNT_FIELDS)

#define CONTAINER_RECORD_FIELDS(F, T)                                      \
	F(T, STR,  id,          "Id",          0, none)                    \
	F(T, STR,  name,        "Name",        0, none)  /* without "/" */ \
	F(T, INT,  created_ns,  "Created",     0, none)                    \
	F(T, STR,  path,        "Path",        0, none)                    \
	F(T, STRV, args,        "Args",        0, none)                    \
	F(T, OBJ,  config,      "Config",      0, docker_config)           \
	F(T, OBJ,  host,        "HostConfig",  0, docker_host_config)      \
	F(T, OBJ,  networking,  "NetworkingConfig", 0, docker_networking_config) \
	F(T, STR,  image,       "Image",       0, none)  /* image id */    \
	F(T, STR,  top,         "TopLayer",    OMIT_EMPTY, none)           \
	F(T, STR,  rw_layer,    "RWLayer",     0, none)                    \
	F(T, STR,  driver,      "Driver",      OMIT_EMPTY, none) /* storage driver; none = overlay2 */ \
	F(T, LIST, mounts,      "Mounts",      0, container_mount)         \
	F(T, PTR,  endpoint,    "Endpoint",    OMIT_EMPTY, net_endpoint)  /* in records of older hoyds, which knew one */ \
	F(T, LIST, endpoints,   "Endpoints",   OMIT_EMPTY, net_endpoint)  /* while it runs */ \
	F(T, STR,  sandbox_id,  "SandboxID",   OMIT_EMPTY, none)  /* what clients call the endpoint's namespace */ \
	F(T, BOOL, files_made,  "FilesMade",   OMIT_EMPTY, none)  /* hosts and its like, by the first attempt to start */ \
	F(T, OBJ,  state,       "State",       0, container_state)         \
	F(T, INT,  restarts,    "RestartCount", 0, none)                   \
	F(T, EXTRA, extra,      "",            0, none)
JSON_STRUCT(container_record, CONTAINER_RECORD_FIELDS)
/* clang-format on */
