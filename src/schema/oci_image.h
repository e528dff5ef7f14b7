/* oci_image.h - the documents an image is made of: the image configuration (whose digest is the image's id), OCI manifests and
 * indexes, and the two files of a `docker save` archive. Shapes as the OCI image specification 1.1 and moby's tarexport have them.
 * An image configuration is always stored as the exact bytes that came in: these structs are for reading it. */
#pragma once

#include "json/json.h"

/* clang-format off */
#define OCI_HEALTH_FIELDS(F, T) \
	F(T, STRV, test,           "Test",          OMIT_EMPTY, none) \
	F(T, INT,  interval,       "Interval",      OMIT_EMPTY, none) \
	F(T, INT,  timeout,        "Timeout",       OMIT_EMPTY, none) \
	F(T, INT,  start_period,   "StartPeriod",   OMIT_EMPTY, none) \
	F(T, INT,  start_interval, "StartInterval", OMIT_EMPTY, none) \
	F(T, INT,  retries,        "Retries",       OMIT_EMPTY, none)
JSON_STRUCT(oci_health, OCI_HEALTH_FIELDS)

#define OCI_CONFIG_FIELDS(F, T) \
	F(T, STR,  user,        "User",         OMIT_EMPTY, none) \
	F(T, SET,  ports,       "ExposedPorts", OMIT_EMPTY, none) \
	F(T, STRV, env,         "Env",          OMIT_EMPTY, none) \
	F(T, STRV, entrypoint,  "Entrypoint",   OMIT_EMPTY, none) \
	F(T, STRV, cmd,         "Cmd",          OMIT_EMPTY, none) \
	F(T, PTR,  health,      "Healthcheck",  OMIT_EMPTY, oci_health) \
	F(T, BOOL, args_escaped,"ArgsEscaped",  OMIT_EMPTY, none) \
	F(T, SET,  volumes,     "Volumes",      OMIT_EMPTY, none) \
	F(T, STR,  workdir,     "WorkingDir",   OMIT_EMPTY, none) \
	F(T, STRV, onbuild,     "OnBuild",      OMIT_EMPTY, none) \
	F(T, MAP,  labels,      "Labels",       OMIT_EMPTY, none) \
	F(T, STR,  stop_signal, "StopSignal",   OMIT_EMPTY, none) \
	F(T, STRV, shell,       "Shell",        OMIT_EMPTY, none) \
	F(T, EXTRA, extra,      "",             0,          none)
JSON_STRUCT(oci_config, OCI_CONFIG_FIELDS)

#define OCI_ROOTFS_FIELDS(F, T) \
	F(T, STR,  type,     "type",     0, none) \
	F(T, STRV, diff_ids, "diff_ids", 0, none)
JSON_STRUCT(oci_rootfs, OCI_ROOTFS_FIELDS)

#define OCI_HISTORY_FIELDS(F, T) \
	F(T, STR,  created,     "created",     OMIT_EMPTY, none) \
	F(T, STR,  created_by,  "created_by",  OMIT_EMPTY, none) \
	F(T, STR,  author,      "author",      OMIT_EMPTY, none) \
	F(T, STR,  comment,     "comment",     OMIT_EMPTY, none) \
	F(T, BOOL, empty_layer, "empty_layer", OMIT_EMPTY, none)
JSON_STRUCT(oci_history, OCI_HISTORY_FIELDS)

#define OCI_IMAGE_FIELDS(F, T) \
	F(T, STR,  architecture,   "architecture",   0,          none) \
	F(T, STR,  author,         "author",         OMIT_EMPTY, none) \
	F(T, STR,  comment,        "comment",        OMIT_EMPTY, none) \
	F(T, OBJ,  config,         "config",         0,          oci_config) \
	F(T, STR,  created,        "created",        OMIT_EMPTY, none) \
	F(T, STR,  docker_version, "docker_version", OMIT_EMPTY, none) \
	F(T, LIST, history,        "history",        OMIT_EMPTY, oci_history) \
	F(T, STR,  os,             "os",             0,          none) \
	F(T, STR,  os_version,     "os.version",     OMIT_EMPTY, none) \
	F(T, STR,  parent,         "parent",         READ_ONLY,  none) \
	F(T, OBJ,  rootfs,         "rootfs",         0,          oci_rootfs) \
	F(T, STR,  variant,        "variant",        OMIT_EMPTY, none)
JSON_STRUCT(oci_image, OCI_IMAGE_FIELDS)

#define OCI_PLATFORM_FIELDS(F, T) \
	F(T, STR, architecture, "architecture", 0,          none) \
	F(T, STR, os,           "os",           0,          none) \
	F(T, STR, os_version,   "os.version",   OMIT_EMPTY, none) \
	F(T, STR, variant,      "variant",      OMIT_EMPTY, none)
JSON_STRUCT(oci_platform, OCI_PLATFORM_FIELDS)

#define OCI_DESCRIPTOR_FIELDS(F, T) \
	F(T, STR, media_type,  "mediaType",   0,          none) \
	F(T, STR, digest,      "digest",      0,          none) \
	F(T, INT, size,        "size",        0,          none) \
	F(T, MAP, annotations, "annotations", OMIT_EMPTY, none) \
	F(T, STRV, urls,        "urls",        OMIT_EMPTY, none) \
	F(T, STR,  artifact_type, "artifactType", OMIT_EMPTY, none) \
	F(T, PTR, platform,    "platform",    OMIT_EMPTY, oci_platform)
JSON_STRUCT(oci_descriptor, OCI_DESCRIPTOR_FIELDS)

/* A manifest and an index share one shape here: which of them a document is shows in what it holds (mediaType is optional). */
#define OCI_MANIFEST_FIELDS(F, T) \
	F(T, INT,  schema_version, "schemaVersion", 0,          none) \
	F(T, STR,  media_type,     "mediaType",     OMIT_EMPTY, none) \
	F(T, STR,  artifact_type,  "artifactType",  OMIT_EMPTY, none) \
	F(T, PTR,  config,         "config",        OMIT_EMPTY, oci_descriptor) \
	F(T, LIST, layers,         "layers",        OMIT_EMPTY, oci_descriptor) \
	F(T, LIST, manifests,      "manifests",     OMIT_EMPTY, oci_descriptor) \
	F(T, PTR,  subject,        "subject",       OMIT_EMPTY, oci_descriptor) \
	F(T, MAP,  annotations,    "annotations",   OMIT_EMPTY, none)
JSON_STRUCT(oci_manifest, OCI_MANIFEST_FIELDS)

/* manifest.json of `docker save` is a list of these; wrapped as {"m": list} for reading */
#define SAVE_ITEM_FIELDS(F, T) \
	F(T, STR,  config,    "Config",   0, none) \
	F(T, STRV, repo_tags, "RepoTags", 0, none) \
	F(T, STRV, layers,    "Layers",   0, none)
JSON_STRUCT(save_item, SAVE_ITEM_FIELDS)
#define SAVE_MANIFEST_FIELDS(F, T) \
	F(T, LIST, m, "m", 0, save_item)
JSON_STRUCT(save_manifest, SAVE_MANIFEST_FIELDS)
/* clang-format on */
