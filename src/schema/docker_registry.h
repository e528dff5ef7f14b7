/* docker_registry.h - what has to do with registries: credentials, search, what a registry says of an image. */
#pragma once

#include "json/json.h"

/* clang-format off */
#define DOCKER_AUTH_CONFIG_FIELDS(F, T) \
	F(T, STR, username,       "username",      OMIT_EMPTY, none) \
	F(T, STR, password,       "password",      OMIT_EMPTY, none) \
	F(T, STR, auth,           "auth",          OMIT_EMPTY, none) \
	F(T, STR, server_address, "serveraddress", OMIT_EMPTY, none) \
	F(T, STR, identity_token, "identitytoken", OMIT_EMPTY, none) \
	F(T, STR, registry_token, "registrytoken", OMIT_EMPTY, none)
JSON_STRUCT(docker_auth_config, DOCKER_AUTH_CONFIG_FIELDS)
#define DOCKER_AUTH_RESPONSE_FIELDS(F, T) \
	F(T, STR, identity_token, "IdentityToken", 0, none) \
	F(T, STR, status,         "Status",        0, none)
JSON_STRUCT(docker_auth_response, DOCKER_AUTH_RESPONSE_FIELDS)

#define DOCKER_REMOTE_DESCRIPTOR_FIELDS(F, T) \
	F(T, STR, media_type, "mediaType", 0, none) \
	F(T, STR, digest,     "digest",    0, none) \
	F(T, INT, size,       "size",      0, none)
JSON_STRUCT(docker_remote_descriptor, DOCKER_REMOTE_DESCRIPTOR_FIELDS)
#define DOCKER_REMOTE_PLATFORM_FIELDS(F, T) \
	F(T, STR,  architecture, "architecture", 0,          none) \
	F(T, STR,  os,           "os",           0,          none) \
	F(T, STR,  os_version,   "os.version",   OMIT_EMPTY, none) \
	F(T, STRV, os_features,  "os.features",  OMIT_EMPTY, none) \
	F(T, STR,  variant,      "variant",      OMIT_EMPTY, none)
JSON_STRUCT(docker_remote_platform, DOCKER_REMOTE_PLATFORM_FIELDS)
#define DOCKER_DISTRIBUTION_FIELDS(F, T) \
	F(T, OBJ,  descriptor, "Descriptor", 0,          docker_remote_descriptor) \
	F(T, LIST, platforms,  "Platforms",  NULL_EMPTY, docker_remote_platform)
JSON_STRUCT(docker_distribution, DOCKER_DISTRIBUTION_FIELDS)

#define DOCKER_SEARCH_RESULT_FIELDS(F, T) \
	F(T, INT,  star_count,   "star_count",   0, none) \
	F(T, BOOL, is_official,  "is_official",  0, none) \
	F(T, STR,  name,         "name",         0, none) \
	F(T, BOOL, is_automated, "is_automated", 0, none) \
	F(T, STR,  description,  "description",  0, none)
JSON_STRUCT(docker_search_result, DOCKER_SEARCH_RESULT_FIELDS)

/* the last line of a push */
#define DOCKER_PUSH_RESULT_FIELDS(F, T) \
	F(T, STR, tag,    "Tag",    0, none) \
	F(T, STR, digest, "Digest", 0, none) \
	F(T, INT, size,   "Size",   0, none)
JSON_STRUCT(docker_push_result, DOCKER_PUSH_RESULT_FIELDS)
/* clang-format on */
