/* docker_network.h - networks and volumes as the Docker API writes them. */
#pragma once

#include "schema/docker_container.h"

/* clang-format off */
#define DOCKER_IPAM_CONFIG_FIELDS(F, T) \
	F(T, STR, subnet,      "Subnet",             OMIT_EMPTY, none) \
	F(T, STR, ip_range,    "IPRange",            OMIT_EMPTY, none) \
	F(T, STR, gateway,     "Gateway",            OMIT_EMPTY, none) \
	F(T, MAP, aux_address, "AuxiliaryAddresses", OMIT_EMPTY, none)
JSON_STRUCT(docker_ipam_config, DOCKER_IPAM_CONFIG_FIELDS)
#define DOCKER_IPAM_FIELDS(F, T) \
	F(T, STR,  driver,  "Driver",  0, none) \
	F(T, MAP,  options, "Options", NULL_EMPTY, none) \
	F(T, LIST, config,  "Config",  NULL_EMPTY, docker_ipam_config)
JSON_STRUCT(docker_ipam, DOCKER_IPAM_FIELDS)
#define DOCKER_CONFIG_REFERENCE_FIELDS(F, T) F(T, STR, network, "Network", 0, none)
JSON_STRUCT(docker_config_reference, DOCKER_CONFIG_REFERENCE_FIELDS)
#define DOCKER_NETWORK_ENDPOINT_FIELDS(F, T) \
	F(T, STR, name,         "Name",        0, none) \
	F(T, STR, endpoint_id,  "EndpointID",  0, none) \
	F(T, STR, mac_address,  "MacAddress",  0, none) \
	F(T, STR, ipv4_address, "IPv4Address", 0, none) \
	F(T, STR, ipv6_address, "IPv6Address", 0, none)
JSON_STRUCT(docker_network_endpoint, DOCKER_NETWORK_ENDPOINT_FIELDS)
/* in lists `containers` is empty, as Docker leaves it */
#define DOCKER_NETWORK_INSPECT_FIELDS(F, T) \
	F(T, STR,  name,        "Name",       0, none) \
	F(T, STR,  id,          "Id",         0, none) \
	F(T, STR,  created,     "Created",    0, none) \
	F(T, STR,  scope,       "Scope",      0, none) \
	F(T, STR,  driver,      "Driver",     0, none) \
	F(T, BOOL, enable_ipv4, "EnableIPv4", 0, none) \
	F(T, BOOL, enable_ipv6, "EnableIPv6", 0, none) \
	F(T, OBJ,  ipam,        "IPAM",       0, docker_ipam) \
	F(T, BOOL, internal,    "Internal",   0, none) \
	F(T, BOOL, attachable,  "Attachable", 0, none) \
	F(T, BOOL, ingress,     "Ingress",    0, none) \
	F(T, OBJ,  config_from, "ConfigFrom", 0, docker_config_reference) \
	F(T, BOOL, config_only, "ConfigOnly", 0, none) \
	F(T, DICT, containers,  "Containers", 0, docker_network_endpoint) \
	F(T, MAP,  options,     "Options",    0, none) \
	F(T, MAP,  labels,      "Labels",     0, none)
JSON_STRUCT(docker_network_inspect, DOCKER_NETWORK_INSPECT_FIELDS)
#define DOCKER_NETWORK_CREATE_FIELDS(F, T) \
	F(T, STR,   name,        "Name",       0, none) \
	F(T, STR,   driver,      "Driver",     0, none) \
	F(T, STR,   scope,       "Scope",      0, none) \
	F(T, OBOOL, enable_ipv4, "EnableIPv4", OMIT_EMPTY, none) \
	F(T, OBOOL, enable_ipv6, "EnableIPv6", OMIT_EMPTY, none) \
	F(T, PTR,   ipam,        "IPAM",       0, docker_ipam) \
	F(T, BOOL,  internal,    "Internal",   0, none) \
	F(T, BOOL,  attachable,  "Attachable", 0, none) \
	F(T, BOOL,  ingress,     "Ingress",    0, none) \
	F(T, BOOL,  config_only, "ConfigOnly", 0, none) \
	F(T, PTR,   config_from, "ConfigFrom", 0, docker_config_reference) \
	F(T, MAP,   options,     "Options",    NULL_EMPTY, none) \
	F(T, MAP,   labels,      "Labels",     NULL_EMPTY, none)
JSON_STRUCT(docker_network_create, DOCKER_NETWORK_CREATE_FIELDS)
#define DOCKER_NETWORK_CREATED_FIELDS(F, T) \
	F(T, STR, id,      "Id",      0, none) \
	F(T, STR, warning, "Warning", 0, none)
JSON_STRUCT(docker_network_created, DOCKER_NETWORK_CREATED_FIELDS)
#define DOCKER_NETWORK_CONNECT_FIELDS(F, T) \
	F(T, STR,  container,       "Container",      0, none) \
	F(T, PTR,  endpoint_config, "EndpointConfig", OMIT_EMPTY, docker_endpoint_settings) \
	F(T, BOOL, force,           "Force",          OMIT_EMPTY, none)
JSON_STRUCT(docker_network_connect, DOCKER_NETWORK_CONNECT_FIELDS)

#define DOCKER_VOLUME_USAGE_FIELDS(F, T) \
	F(T, INT, ref_count, "RefCount", 0, none) \
	F(T, INT, size,      "Size",     0, none)
JSON_STRUCT(docker_volume_usage, DOCKER_VOLUME_USAGE_FIELDS)
#define DOCKER_VOLUME_FIELDS(F, T) \
	F(T, STR, created_at, "CreatedAt",  OMIT_EMPTY, none) \
	F(T, STR, driver,     "Driver",     0, none) \
	F(T, MAP, labels,     "Labels",     NULL_EMPTY, none) \
	F(T, STR, mountpoint, "Mountpoint", 0, none) \
	F(T, STR, name,       "Name",       0, none) \
	F(T, MAP, options,    "Options",    NULL_EMPTY, none) \
	F(T, STR, scope,      "Scope",      0, none) \
	F(T, RAW, status,     "Status",     OMIT_EMPTY, none) \
	F(T, PTR, usage_data, "UsageData",  OMIT_EMPTY, docker_volume_usage)
JSON_STRUCT(docker_volume, DOCKER_VOLUME_FIELDS)
#define DOCKER_VOLUME_CREATE_FIELDS(F, T) \
	F(T, STR, name,                "Name",              OMIT_EMPTY, none) \
	F(T, STR, driver,              "Driver",            OMIT_EMPTY, none) \
	F(T, MAP, driver_opts,         "DriverOpts",        OMIT_EMPTY, none) \
	F(T, MAP, labels,              "Labels",            OMIT_EMPTY, none) \
	F(T, RAW, cluster_volume_spec, "ClusterVolumeSpec", OMIT_EMPTY, none)
JSON_STRUCT(docker_volume_create, DOCKER_VOLUME_CREATE_FIELDS)
#define DOCKER_VOLUME_LIST_FIELDS(F, T) \
	F(T, LIST, volumes,  "Volumes",  0, docker_volume) \
	F(T, STRV, warnings, "Warnings", NULL_EMPTY, none)
JSON_STRUCT(docker_volume_list, DOCKER_VOLUME_LIST_FIELDS)
#define DOCKER_VOLUMES_PRUNED_FIELDS(F, T) \
	F(T, STRV, deleted,         "VolumesDeleted", 0, none) \
	F(T, INT,  space_reclaimed, "SpaceReclaimed", 0, none)
JSON_STRUCT(docker_volumes_pruned, DOCKER_VOLUMES_PRUNED_FIELDS)
#define DOCKER_NETWORKS_PRUNED_FIELDS(F, T) F(T, STRV, deleted, "NetworksDeleted", NULL_EMPTY, none)
JSON_STRUCT(docker_networks_pruned, DOCKER_NETWORKS_PRUNED_FIELDS)
/* clang-format on */
