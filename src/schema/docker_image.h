/* docker_image.h - images as the Docker API writes them. */
#pragma once

#include "schema/docker_container.h"

/* clang-format off */
/* an image's configuration: alphabetical; what only old clients get is UNTIL(49) */
#define DOCKER_IMAGE_CONFIG_FIELDS(F, T) \
	F(T, BOOL, args_escaped,  "ArgsEscaped",  OMIT_EMPTY, none) \
	F(T, BOOL, attach_stderr, "AttachStderr", UNTIL(49), none) \
	F(T, BOOL, attach_stdin,  "AttachStdin",  UNTIL(49), none) \
	F(T, BOOL, attach_stdout, "AttachStdout", UNTIL(49), none) \
	F(T, STRV, cmd,           "Cmd",          NULL_EMPTY | ONE_OR_MANY, none) \
	F(T, STR,  domainname,    "Domainname",   UNTIL(49), none) \
	F(T, STRV, entrypoint,    "Entrypoint",   NULL_EMPTY | ONE_OR_MANY, none) \
	F(T, STRV, env,           "Env",          NULL_EMPTY, none) \
	F(T, SET,  exposed_ports, "ExposedPorts", OMIT_EMPTY, none) \
	F(T, PTR,  healthcheck,   "Healthcheck",  OMIT_EMPTY, docker_healthcheck) \
	F(T, STR,  hostname,      "Hostname",     UNTIL(49), none) \
	F(T, STR,  image,         "Image",        UNTIL(49), none) \
	F(T, MAP,  labels,        "Labels",       NULL_EMPTY, none) \
	F(T, STRV, on_build,      "OnBuild",      NULL_EMPTY, none) \
	F(T, BOOL, open_stdin,    "OpenStdin",    UNTIL(49), none) \
	F(T, STRV, shell,         "Shell",        OMIT_EMPTY, none) \
	F(T, BOOL, stdin_once,    "StdinOnce",    UNTIL(49), none) \
	F(T, STR,  stop_signal,   "StopSignal",   OMIT_EMPTY, none) \
	F(T, BOOL, tty,           "Tty",          UNTIL(49), none) \
	F(T, STR,  user,          "User",         0, none) \
	F(T, SET,  volumes,       "Volumes",      NULL_EMPTY, none) \
	F(T, STR,  working_dir,   "WorkingDir",   0, none)
JSON_STRUCT(docker_image_config, DOCKER_IMAGE_CONFIG_FIELDS)
#define DOCKER_IMAGE_ROOT_FS_FIELDS(F, T) \
	F(T, STR,  type,   "Type",   OMIT_EMPTY, none) \
	F(T, STRV, layers, "Layers", OMIT_EMPTY, none)
JSON_STRUCT(docker_image_root_fs, DOCKER_IMAGE_ROOT_FS_FIELDS)
#define DOCKER_IMAGE_METADATA_FIELDS(F, T) F(T, STR, last_tag_time, "LastTagTime", 0, none)
JSON_STRUCT(docker_image_metadata, DOCKER_IMAGE_METADATA_FIELDS)
/* last_tag_time is "0001-01-01T00:00:00Z" where there is none */
#define DOCKER_IMAGE_INSPECT_FIELDS(F, T) \
	F(T, STR,  id,               "Id",              0, none) \
	F(T, STRV, repo_tags,        "RepoTags",        0, none) \
	F(T, STRV, repo_digests,     "RepoDigests",     0, none) \
	F(T, STR,  parent,           "Parent",          0, none) \
	F(T, STR,  comment,          "Comment",         0, none) \
	F(T, STR,  created,          "Created",         OMIT_EMPTY, none) \
	F(T, STR,  container,        "Container",       OMIT_EMPTY | UNTIL(44), none) \
	F(T, PTR,  container_config, "ContainerConfig", OMIT_EMPTY | UNTIL(44), docker_config) \
	F(T, STR,  docker_version,   "DockerVersion",   0, none) \
	F(T, STR,  author,           "Author",          0, none) \
	F(T, STR,  architecture,     "Architecture",    0, none) \
	F(T, STR,  variant,          "Variant",         OMIT_EMPTY, none) \
	F(T, STR,  os,               "Os",              0, none) \
	F(T, STR,  os_version,       "OsVersion",       OMIT_EMPTY, none) \
	F(T, INT,  size,             "Size",            0, none) \
	F(T, INT,  virtual_size,     "VirtualSize",     OMIT_EMPTY | UNTIL(43), none) \
	F(T, OBJ,  graph_driver,     "GraphDriver",     0, docker_graph_driver) \
	F(T, OBJ,  root_fs,          "RootFS",          0, docker_image_root_fs) \
	F(T, OBJ,  metadata,         "Metadata",        0, docker_image_metadata) \
	F(T, RAW,  descriptor,       "Descriptor",      OMIT_EMPTY | SINCE(48), none) \
	F(T, RAW,  manifests,        "Manifests",       OMIT_EMPTY | SINCE(48), none) \
	F(T, PTR,  config,           "Config",          0, docker_image_config)
JSON_STRUCT(docker_image_inspect, DOCKER_IMAGE_INSPECT_FIELDS)

/* shared_size and containers are -1 where they were not computed; old_: null, not [], where there are none */
#define DOCKER_IMAGE_SUMMARY_FIELDS(F, T) \
	F(T, INT,  containers,   "Containers",  0, none) \
	F(T, INT,  created,      "Created",     0, none) \
	F(T, STR,  id,           "Id",          0, none) \
	F(T, MAP,  labels,       "Labels",      NULL_EMPTY, none) \
	F(T, STR,  parent_id,    "ParentId",    0, none) \
	F(T, RAW,  descriptor,   "Descriptor",  OMIT_EMPTY | SINCE(48), none) \
	F(T, RAW,  manifests,    "Manifests",   OMIT_EMPTY | SINCE(47), none) \
	F(T, STRV, repo_digests, "RepoDigests", SINCE(43), none) \
	F(T, STRV, old_repo_digests, "RepoDigests", NULL_EMPTY | UNTIL(42), none) \
	F(T, STRV, repo_tags,    "RepoTags",    SINCE(43), none) \
	F(T, STRV, old_repo_tags, "RepoTags",   NULL_EMPTY | UNTIL(42), none) \
	F(T, INT,  shared_size,  "SharedSize",  0, none) \
	F(T, INT,  size,         "Size",        0, none) \
	F(T, INT,  virtual_size, "VirtualSize", OMIT_EMPTY | UNTIL(43), none)
JSON_STRUCT(docker_image_summary, DOCKER_IMAGE_SUMMARY_FIELDS)
/* the same in /system/df, where no version minds null */
#define DOCKER_IMAGE_USAGE_FIELDS(F, T) \
	F(T, INT,  containers,   "Containers",  0, none) \
	F(T, INT,  created,      "Created",     0, none) \
	F(T, STR,  id,           "Id",          0, none) \
	F(T, MAP,  labels,       "Labels",      NULL_EMPTY, none) \
	F(T, STR,  parent_id,    "ParentId",    0, none) \
	F(T, STRV, repo_digests, "RepoDigests", NULL_EMPTY, none) \
	F(T, STRV, repo_tags,    "RepoTags",    NULL_EMPTY, none) \
	F(T, INT,  shared_size,  "SharedSize",  0, none) \
	F(T, INT,  size,         "Size",        0, none) \
	F(T, INT,  virtual_size, "VirtualSize", OMIT_EMPTY | UNTIL(43), none)
JSON_STRUCT(docker_image_usage, DOCKER_IMAGE_USAGE_FIELDS)
#define DOCKER_IMAGE_DELETE_ITEM_FIELDS(F, T) \
	F(T, STR, deleted,  "Deleted",  OMIT_EMPTY, none) \
	F(T, STR, untagged, "Untagged", OMIT_EMPTY, none)
JSON_STRUCT(docker_image_delete_item, DOCKER_IMAGE_DELETE_ITEM_FIELDS)
#define DOCKER_IMAGE_HISTORY_ITEM_FIELDS(F, T) \
	F(T, STR,  comment,    "Comment",   0, none) \
	F(T, INT,  created,    "Created",   0, none) \
	F(T, STR,  created_by, "CreatedBy", 0, none) \
	F(T, STR,  id,         "Id",        0, none) \
	F(T, INT,  size,       "Size",      0, none) \
	F(T, STRV, tags,       "Tags",      NULL_EMPTY, none)
JSON_STRUCT(docker_image_history_item, DOCKER_IMAGE_HISTORY_ITEM_FIELDS)

#define DOCKER_IMAGES_PRUNED_FIELDS(F, T) \
	F(T, LIST, deleted,         "ImagesDeleted",  NULL_EMPTY, docker_image_delete_item) \
	F(T, INT,  space_reclaimed, "SpaceReclaimed", 0,          none)
JSON_STRUCT(docker_images_pruned, DOCKER_IMAGES_PRUNED_FIELDS)

/* one line of progress (load, import, pull, build) */
#define DOCKER_PROGRESS_DETAIL_FIELDS(F, T) \
	F(T, INT, current, "current", OMIT_EMPTY, none) \
	F(T, INT, total,   "total",   OMIT_EMPTY, none)
JSON_STRUCT(docker_progress_detail, DOCKER_PROGRESS_DETAIL_FIELDS)
#define DOCKER_PROGRESS_ERROR_FIELDS(F, T) \
	F(T, INT, code,    "code",    OMIT_EMPTY, none) \
	F(T, STR, message, "message", OMIT_EMPTY, none)
JSON_STRUCT(docker_progress_error, DOCKER_PROGRESS_ERROR_FIELDS)
#define DOCKER_PROGRESS_FIELDS(F, T) \
	F(T, STR, stream,       "stream",         OMIT_EMPTY, none) \
	F(T, STR, status,       "status",         OMIT_EMPTY, none) \
	F(T, PTR, detail,       "progressDetail", OMIT_EMPTY, docker_progress_detail) \
	F(T, STR, progress,     "progress",       OMIT_EMPTY, none) \
	F(T, STR, id,           "id",             OMIT_EMPTY, none) \
	F(T, PTR, error_detail, "errorDetail",    OMIT_EMPTY, docker_progress_error) \
	F(T, STR, error,        "error",          OMIT_EMPTY, none) \
	F(T, RAW, aux,          "aux",            OMIT_EMPTY, none)
JSON_STRUCT(docker_progress, DOCKER_PROGRESS_FIELDS)
/* clang-format on */
