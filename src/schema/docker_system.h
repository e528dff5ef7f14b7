/* docker_system.h - info, version, events and small answers of the Docker API. */
#pragma once

#include "schema/docker_container.h"

/* clang-format off */
#define DOCKER_PLUGINS_FIELDS(F, T) \
	F(T, STRV, volume,        "Volume",        NULL_EMPTY, none) \
	F(T, STRV, network,       "Network",       NULL_EMPTY, none) \
	F(T, STRV, authorization, "Authorization", NULL_EMPTY, none) \
	F(T, STRV, log,           "Log",           NULL_EMPTY, none)
JSON_STRUCT(docker_plugins, DOCKER_PLUGINS_FIELDS)
#define DOCKER_INDEX_INFO_FIELDS(F, T) \
	F(T, STRV, mirrors,  "Mirrors",  0, none) \
	F(T, STR,  name,     "Name",     0, none) \
	F(T, BOOL, official, "Official", 0, none) \
	F(T, BOOL, secure,   "Secure",   0, none)
JSON_STRUCT(docker_index_info, DOCKER_INDEX_INFO_FIELDS)
#define DOCKER_REGISTRY_CONFIG_FIELDS(F, T) \
	F(T, STRV, nondistributable_cidrs, "AllowNondistributableArtifactsCIDRs",     NULL_EMPTY | UNTIL(48), none) \
	F(T, STRV, nondistributable_hosts, "AllowNondistributableArtifactsHostnames", NULL_EMPTY | UNTIL(48), none) \
	F(T, DICT, index_configs,  "IndexConfigs",          0, docker_index_info) \
	F(T, STRV, insecure_cidrs, "InsecureRegistryCIDRs", 0, none) \
	F(T, STRV, mirrors,        "Mirrors",               NULL_EMPTY, none)
JSON_STRUCT(docker_registry_config, DOCKER_REGISTRY_CONFIG_FIELDS)
#define DOCKER_RUNTIME_FIELDS(F, T) \
	F(T, STR,  path,   "path",        OMIT_EMPTY, none) \
	F(T, STRV, args,   "runtimeArgs", OMIT_EMPTY, none) \
	F(T, MAP,  status, "status",      OMIT_EMPTY | SINCE(44), none)
JSON_STRUCT(docker_runtime, DOCKER_RUNTIME_FIELDS)
#define DOCKER_SWARM_FIELDS(F, T) \
	F(T, STR,  node_id,           "NodeID",           0, none) \
	F(T, STR,  node_addr,         "NodeAddr",         0, none) \
	F(T, STR,  local_node_state,  "LocalNodeState",   0, none) \
	F(T, BOOL, control_available, "ControlAvailable", 0, none) \
	F(T, STR,  error,             "Error",            0, none) \
	F(T, RAW,  remote_managers,   "RemoteManagers",   0, none)
JSON_STRUCT(docker_swarm, DOCKER_SWARM_FIELDS)
#define DOCKER_COMMIT_FIELDS(F, T) \
	F(T, STR, id,       "ID",       0, none) \
	F(T, STR, expected, "Expected", OMIT_EMPTY | UNTIL(48), none)
JSON_STRUCT(docker_commit, DOCKER_COMMIT_FIELDS)
#define DOCKER_ADDRESS_POOL_FIELDS(F, T) \
	F(T, STR, base, "Base", 0, none) \
	F(T, INT, size, "Size", 0, none)
JSON_STRUCT(docker_address_pool, DOCKER_ADDRESS_POOL_FIELDS)
#define DOCKER_FIREWALL_FIELDS(F, T) \
	F(T, STR,  driver, "Driver", 0, none) \
	F(T, LIST, info,   "Info",   OMIT_EMPTY, docker_strings)
JSON_STRUCT(docker_firewall, DOCKER_FIREWALL_FIELDS)
#define DOCKER_CONTAINERD_NAMESPACES_FIELDS(F, T) \
	F(T, STR, containers, "Containers", 0, none) \
	F(T, STR, plugins,    "Plugins",    0, none)
JSON_STRUCT(docker_containerd_namespaces, DOCKER_CONTAINERD_NAMESPACES_FIELDS)
#define DOCKER_CONTAINERD_FIELDS(F, T) \
	F(T, STR, address,    "Address",    OMIT_EMPTY, none) \
	F(T, OBJ, namespaces, "Namespaces", 0, docker_containerd_namespaces)
JSON_STRUCT(docker_containerd, DOCKER_CONTAINERD_FIELDS)
#define DOCKER_INFO_FIELDS(F, T) \
	F(T, STR,  id,                    "ID",                 0, none) \
	F(T, INT,  containers,            "Containers",         0, none) \
	F(T, INT,  containers_running,    "ContainersRunning",  0, none) \
	F(T, INT,  containers_paused,     "ContainersPaused",   0, none) \
	F(T, INT,  containers_stopped,    "ContainersStopped",  0, none) \
	F(T, INT,  images,                "Images",             0, none) \
	F(T, STR,  driver,                "Driver",             0, none) \
	F(T, LIST, driver_status,         "DriverStatus",       0, docker_strings) \
	F(T, OBJ,  plugins,               "Plugins",            0, docker_plugins) \
	F(T, BOOL, memory_limit,          "MemoryLimit",        0, none) \
	F(T, BOOL, swap_limit,            "SwapLimit",          0, none) \
	F(T, BOOL, kernel_memory,         "KernelMemory",       OMIT_EMPTY | UNTIL(41), none) \
	F(T, BOOL, kernel_memory_tcp,     "KernelMemoryTCP",    OMIT_EMPTY, none) \
	F(T, BOOL, cpu_cfs_period,        "CpuCfsPeriod",       0, none) \
	F(T, BOOL, cpu_cfs_quota,         "CpuCfsQuota",        0, none) \
	F(T, BOOL, cpu_shares,            "CPUShares",          0, none) \
	F(T, BOOL, cpu_set,               "CPUSet",             0, none) \
	F(T, BOOL, pids_limit,            "PidsLimit",          0, none) \
	F(T, BOOL, ipv4_forwarding,       "IPv4Forwarding",     0, none) \
	F(T, BOOL, bridge_nf_iptables,    "BridgeNfIptables",   UNTIL(49), none) \
	F(T, BOOL, bridge_nf_ip6tables,   "BridgeNfIp6tables",  UNTIL(49), none) \
	F(T, BOOL, debug,                 "Debug",              0, none) \
	F(T, INT,  n_fd,                  "NFd",                0, none) \
	F(T, BOOL, oom_kill_disable,      "OomKillDisable",     0, none) \
	F(T, INT,  n_goroutines,          "NGoroutines",        0, none) \
	F(T, STR,  system_time,           "SystemTime",         0, none) \
	F(T, STR,  logging_driver,        "LoggingDriver",      0, none) \
	F(T, STR,  cgroup_driver,         "CgroupDriver",       0, none) \
	F(T, STR,  cgroup_version,        "CgroupVersion",      OMIT_EMPTY, none) \
	F(T, INT,  n_events_listener,     "NEventsListener",    0, none) \
	F(T, STR,  kernel_version,        "KernelVersion",      0, none) \
	F(T, STR,  operating_system,      "OperatingSystem",    0, none) \
	F(T, STR,  os_version,            "OSVersion",          0, none) \
	F(T, STR,  os_type,               "OSType",             0, none) \
	F(T, STR,  architecture,          "Architecture",       0, none) \
	F(T, STR,  index_server_address,  "IndexServerAddress", 0, none) \
	F(T, PTR,  registry_config,       "RegistryConfig",     0, docker_registry_config) \
	F(T, INT,  n_cpu,                 "NCPU",               0, none) \
	F(T, INT,  mem_total,             "MemTotal",           0, none) \
	F(T, RAW,  generic_resources,     "GenericResources",   0, none) \
	F(T, STR,  docker_root_dir,       "DockerRootDir",      0, none) \
	F(T, STR,  http_proxy,            "HttpProxy",          0, none) \
	F(T, STR,  https_proxy,           "HttpsProxy",         0, none) \
	F(T, STR,  no_proxy,              "NoProxy",            0, none) \
	F(T, STR,  name,                  "Name",               0, none) \
	F(T, STRV, labels,                "Labels",             0, none) \
	F(T, BOOL, experimental_build,    "ExperimentalBuild",  0, none) \
	F(T, STR,  server_version,        "ServerVersion",      0, none) \
	F(T, DICT, runtimes,              "Runtimes",           0, docker_runtime) \
	F(T, STR,  default_runtime,       "DefaultRuntime",     0, none) \
	F(T, OBJ,  swarm,                 "Swarm",              0, docker_swarm) \
	F(T, BOOL, live_restore_enabled,  "LiveRestoreEnabled", 0, none) \
	F(T, STR,  isolation,             "Isolation",          0, none) \
	F(T, STR,  init_binary,           "InitBinary",         0, none) \
	F(T, OBJ,  containerd_commit,     "ContainerdCommit",   0, docker_commit) \
	F(T, OBJ,  runc_commit,           "RuncCommit",         0, docker_commit) \
	F(T, OBJ,  init_commit,           "InitCommit",         0, docker_commit) \
	F(T, STRV, security_options,      "SecurityOptions",    0, none) \
	F(T, STR,  product_license,       "ProductLicense",     OMIT_EMPTY, none) \
	F(T, LIST, default_address_pools, "DefaultAddressPools", OMIT_EMPTY, docker_address_pool) \
	F(T, PTR,  firewall_backend,      "FirewallBackend",    OMIT_EMPTY | SINCE(49), docker_firewall) \
	F(T, STRV, cdi_spec_dirs,         "CDISpecDirs",        0, none) \
	F(T, PTR,  containerd,            "Containerd",         OMIT_EMPTY | SINCE(46), docker_containerd) \
	F(T, STRV, warnings,              "Warnings",           NULL_EMPTY, none)
JSON_STRUCT(docker_info, DOCKER_INFO_FIELDS)

#define DOCKER_VERSION_PLATFORM_FIELDS(F, T) F(T, STR, name, "Name", 0, none)
JSON_STRUCT(docker_version_platform, DOCKER_VERSION_PLATFORM_FIELDS)
#define DOCKER_VERSION_COMPONENT_FIELDS(F, T) \
	F(T, STR, name,    "Name",    0, none) \
	F(T, STR, version, "Version", 0, none) \
	F(T, MAP, details, "Details", OMIT_EMPTY, none)
JSON_STRUCT(docker_version_component, DOCKER_VERSION_COMPONENT_FIELDS)
#define DOCKER_VERSION_FIELDS(F, T) \
	F(T, OBJ,  platform,        "Platform",      0, docker_version_platform) \
	F(T, LIST, components,      "Components",    OMIT_EMPTY, docker_version_component) \
	F(T, STR,  version,         "Version",       0, none) \
	F(T, STR,  api_version,     "ApiVersion",    0, none) \
	F(T, STR,  min_api_version, "MinAPIVersion", OMIT_EMPTY, none) \
	F(T, STR,  git_commit,      "GitCommit",     0, none) \
	F(T, STR,  go_version,      "GoVersion",     0, none) \
	F(T, STR,  os,              "Os",            0, none) \
	F(T, STR,  arch,            "Arch",          0, none) \
	F(T, STR,  kernel_version,  "KernelVersion", OMIT_EMPTY, none) \
	F(T, BOOL, experimental,    "Experimental",  OMIT_EMPTY, none) \
	F(T, STR,  build_time,      "BuildTime",     OMIT_EMPTY, none)
JSON_STRUCT(docker_version, DOCKER_VERSION_FIELDS)

#define DOCKER_EVENT_ACTOR_FIELDS(F, T) \
	F(T, STR, id,         "ID",         0, none) \
	F(T, MAP, attributes, "Attributes", NULL_EMPTY, none)
JSON_STRUCT(docker_event_actor, DOCKER_EVENT_ACTOR_FIELDS)
/* status, id and from repeat container and image events for old clients */
#define DOCKER_EVENT_FIELDS(F, T) \
	F(T, STR, status,    "status",   OMIT_EMPTY, none) \
	F(T, STR, id,        "id",       OMIT_EMPTY, none) \
	F(T, STR, from,      "from",     OMIT_EMPTY, none) \
	F(T, STR, type,      "Type",     0, none) \
	F(T, STR, action,    "Action",   0, none) \
	F(T, OBJ, actor,     "Actor",    0, docker_event_actor) \
	F(T, STR, scope,     "scope",    OMIT_EMPTY, none) \
	F(T, INT, time,      "time",     OMIT_EMPTY, none) \
	F(T, INT, time_nano, "timeNano", OMIT_EMPTY, none)
JSON_STRUCT(docker_event, DOCKER_EVENT_FIELDS)

#define DOCKER_ERROR_FIELDS(F, T) F(T, STR, message, "message", 0, none)
JSON_STRUCT(docker_error, DOCKER_ERROR_FIELDS)
#define DOCKER_ID_FIELDS(F, T) F(T, STR, id, "Id", 0, none)
JSON_STRUCT(docker_id, DOCKER_ID_FIELDS)
/* clang-format on */
