/* docker_container.h - containers and exec sessions as the Docker API writes them. Order, null and omitempty follow recorded answers of
 * dockerd 28.5 (fixtures/). INT stands for Go's int, int64 and durations (nanoseconds). NULL and empty lists are told apart, see json.h. */
#pragma once

#include "json/json.h"

/* clang-format off */
#define DOCKER_HEALTHCHECK_FIELDS(F, T) \
	F(T, STRV, test,           "Test",          OMIT_EMPTY, none) \
	F(T, INT,  interval,       "Interval",      OMIT_EMPTY, none) \
	F(T, INT,  timeout,        "Timeout",       OMIT_EMPTY, none) \
	F(T, INT,  start_period,   "StartPeriod",   OMIT_EMPTY, none) \
	F(T, INT,  start_interval, "StartInterval", OMIT_EMPTY | SINCE(44), none) \
	F(T, INT,  retries,        "Retries",       OMIT_EMPTY, none)
JSON_STRUCT(docker_healthcheck, DOCKER_HEALTHCHECK_FIELDS)

#define DOCKER_CONFIG_FIELDS(F, T) \
	F(T, STR,   hostname,         "Hostname",        0, none) \
	F(T, STR,   domainname,       "Domainname",      0, none) \
	F(T, STR,   user,             "User",            0, none) \
	F(T, BOOL,  attach_stdin,     "AttachStdin",     0, none) \
	F(T, BOOL,  attach_stdout,    "AttachStdout",    0, none) \
	F(T, BOOL,  attach_stderr,    "AttachStderr",    0, none) \
	F(T, SET,   exposed_ports,    "ExposedPorts",    OMIT_EMPTY, none) \
	F(T, BOOL,  tty,              "Tty",             0, none) \
	F(T, BOOL,  open_stdin,       "OpenStdin",       0, none) \
	F(T, BOOL,  stdin_once,       "StdinOnce",       0, none) \
	F(T, STRV,  env,              "Env",             NULL_EMPTY, none) \
	F(T, STRV,  cmd,              "Cmd",             NULL_EMPTY | ONE_OR_MANY, none) \
	F(T, PTR,   healthcheck,      "Healthcheck",     OMIT_EMPTY, docker_healthcheck) \
	F(T, BOOL,  args_escaped,     "ArgsEscaped",     OMIT_EMPTY, none) \
	F(T, STR,   image,            "Image",           0, none) \
	F(T, SET,   volumes,          "Volumes",         NULL_EMPTY, none) \
	F(T, STR,   working_dir,      "WorkingDir",      0, none) \
	F(T, STRV,  entrypoint,       "Entrypoint",      NULL_EMPTY | ONE_OR_MANY, none) \
	F(T, BOOL,  network_disabled, "NetworkDisabled", OMIT_EMPTY, none) \
	F(T, STR,   mac_address,      "MacAddress",      OMIT_EMPTY, none) \
	F(T, STRV,  on_build,         "OnBuild",         NULL_EMPTY, none) \
	F(T, MAP,   labels,           "Labels",          NULL_EMPTY, none) \
	F(T, STR,   stop_signal,      "StopSignal",      OMIT_EMPTY, none) \
	F(T, OINT,  stop_timeout,     "StopTimeout",     OMIT_EMPTY, none) \
	F(T, STRV,  shell,            "Shell",           OMIT_EMPTY | ONE_OR_MANY, none)
JSON_STRUCT(docker_config, DOCKER_CONFIG_FIELDS)

#define DOCKER_LOG_CONFIG_FIELDS(F, T) \
	F(T, STR, type,   "Type",   0, none) \
	F(T, MAP, config, "Config", NULL_EMPTY, none)
JSON_STRUCT(docker_log_config, DOCKER_LOG_CONFIG_FIELDS)

#define DOCKER_RESTART_POLICY_FIELDS(F, T) \
	F(T, STR, name,                "Name",              0, none) \
	F(T, INT, maximum_retry_count, "MaximumRetryCount", 0, none)
JSON_STRUCT(docker_restart_policy, DOCKER_RESTART_POLICY_FIELDS)

#define DOCKER_PORT_BINDING_FIELDS(F, T) \
	F(T, STR, host_ip,   "HostIp",   0, none) \
	F(T, STR, host_port, "HostPort", 0, none)
JSON_STRUCT(docker_port_binding, DOCKER_PORT_BINDING_FIELDS)
/* the value of a port map: [..] or null */
#define DOCKER_PORT_BINDINGS_FIELDS(F, T) F(T, LIST, list, "", NULL_EMPTY, docker_port_binding)
JSON_STRUCT(docker_port_bindings, DOCKER_PORT_BINDINGS_FIELDS)

#define DOCKER_WEIGHT_DEVICE_FIELDS(F, T) \
	F(T, STR, path,   "Path",   0, none) \
	F(T, INT, weight, "Weight", 0, none)
JSON_STRUCT(docker_weight_device, DOCKER_WEIGHT_DEVICE_FIELDS)
#define DOCKER_THROTTLE_DEVICE_FIELDS(F, T) \
	F(T, STR,  path, "Path", 0, none) \
	F(T, UINT, rate, "Rate", 0, none)
JSON_STRUCT(docker_throttle_device, DOCKER_THROTTLE_DEVICE_FIELDS)
#define DOCKER_DEVICE_FIELDS(F, T) \
	F(T, STR, path_on_host,       "PathOnHost",        0, none) \
	F(T, STR, path_in_container,  "PathInContainer",   0, none) \
	F(T, STR, cgroup_permissions, "CgroupPermissions", 0, none)
JSON_STRUCT(docker_device, DOCKER_DEVICE_FIELDS)
/* a list of strings inside a list */
#define DOCKER_STRINGS_FIELDS(F, T) F(T, STRV, list, "", NULL_EMPTY, none)
JSON_STRUCT(docker_strings, DOCKER_STRINGS_FIELDS)
#define DOCKER_DEVICE_REQUEST_FIELDS(F, T) \
	F(T, STR,  driver,       "Driver",       0, none) \
	F(T, INT,  count,        "Count",        0, none) \
	F(T, STRV, device_ids,   "DeviceIDs",    NULL_EMPTY, none) \
	F(T, LIST, capabilities, "Capabilities", NULL_EMPTY, docker_strings) \
	F(T, MAP,  options,      "Options",      NULL_EMPTY, none)
JSON_STRUCT(docker_device_request, DOCKER_DEVICE_REQUEST_FIELDS)
#define DOCKER_ULIMIT_FIELDS(F, T) \
	F(T, STR, name, "Name", 0, none) \
	F(T, INT, hard, "Hard", 0, none) \
	F(T, INT, soft, "Soft", 0, none)
JSON_STRUCT(docker_ulimit, DOCKER_ULIMIT_FIELDS)

#define DOCKER_BIND_OPTIONS_FIELDS(F, T) \
	F(T, STR,  propagation,         "Propagation",            OMIT_EMPTY, none) \
	F(T, BOOL, non_recursive,       "NonRecursive",           OMIT_EMPTY, none) \
	F(T, BOOL, create_mountpoint,   "CreateMountpoint",       OMIT_EMPTY, none) \
	F(T, BOOL, ro_non_recursive,    "ReadOnlyNonRecursive",   OMIT_EMPTY, none) \
	F(T, BOOL, ro_force_recursive,  "ReadOnlyForceRecursive", OMIT_EMPTY, none)
JSON_STRUCT(docker_bind_options, DOCKER_BIND_OPTIONS_FIELDS)
#define DOCKER_DRIVER_CONFIG_FIELDS(F, T) \
	F(T, STR, name,    "Name",    OMIT_EMPTY, none) \
	F(T, MAP, options, "Options", OMIT_EMPTY, none)
JSON_STRUCT(docker_driver_config, DOCKER_DRIVER_CONFIG_FIELDS)
#define DOCKER_VOLUME_OPTIONS_FIELDS(F, T) \
	F(T, BOOL, no_copy,       "NoCopy",       OMIT_EMPTY, none) \
	F(T, MAP,  labels,        "Labels",       OMIT_EMPTY, none) \
	F(T, STR,  subpath,       "Subpath",      OMIT_EMPTY, none) \
	F(T, PTR,  driver_config, "DriverConfig", OMIT_EMPTY, docker_driver_config)
JSON_STRUCT(docker_volume_options, DOCKER_VOLUME_OPTIONS_FIELDS)
#define DOCKER_IMAGE_OPTIONS_FIELDS(F, T) F(T, STR, subpath, "Subpath", OMIT_EMPTY, none)
JSON_STRUCT(docker_image_options, DOCKER_IMAGE_OPTIONS_FIELDS)
#define DOCKER_TMPFS_OPTIONS_FIELDS(F, T) \
	F(T, INT,  size_bytes, "SizeBytes", OMIT_EMPTY, none) \
	F(T, INT,  mode,       "Mode",      OMIT_EMPTY, none) \
	F(T, LIST, options,    "Options",   OMIT_EMPTY, docker_strings)
JSON_STRUCT(docker_tmpfs_options, DOCKER_TMPFS_OPTIONS_FIELDS)
#define DOCKER_MOUNT_FIELDS(F, T) \
	F(T, STR,  type,            "Type",           OMIT_EMPTY, none) \
	F(T, STR,  source,          "Source",         OMIT_EMPTY, none) \
	F(T, STR,  target,          "Target",         OMIT_EMPTY, none) \
	F(T, BOOL, read_only,       "ReadOnly",       OMIT_EMPTY, none) \
	F(T, STR,  consistency,     "Consistency",    OMIT_EMPTY, none) \
	F(T, PTR,  bind_options,    "BindOptions",    OMIT_EMPTY, docker_bind_options) \
	F(T, PTR,  volume_options,  "VolumeOptions",  OMIT_EMPTY, docker_volume_options) \
	F(T, PTR,  image_options,   "ImageOptions",   OMIT_EMPTY, docker_image_options) \
	F(T, PTR,  tmpfs_options,   "TmpfsOptions",   OMIT_EMPTY, docker_tmpfs_options) \
	F(T, RAW,  cluster_options, "ClusterOptions", OMIT_EMPTY, none)
JSON_STRUCT(docker_mount, DOCKER_MOUNT_FIELDS)

/* console_size: Go's [2]uint, so an answer needs both numbers, [0,0] where none were given (height, width). */
#define DOCKER_HOST_CONFIG_FIELDS(F, T) \
	F(T, STRV,  binds,                 "Binds",                NULL_EMPTY, none) \
	F(T, STR,   container_id_file,     "ContainerIDFile",      0, none) \
	F(T, OBJ,   log_config,            "LogConfig",            0, docker_log_config) \
	F(T, STR,   network_mode,          "NetworkMode",          0, none) \
	F(T, DICT,  port_bindings,         "PortBindings",         NULL_EMPTY, docker_port_bindings) \
	F(T, OBJ,   restart_policy,        "RestartPolicy",        0, docker_restart_policy) \
	F(T, BOOL,  auto_remove,           "AutoRemove",           0, none) \
	F(T, STR,   volume_driver,         "VolumeDriver",         0, none) \
	F(T, STRV,  volumes_from,          "VolumesFrom",          NULL_EMPTY, none) \
	F(T, INTS,  console_size,          "ConsoleSize",          0, none) \
	F(T, MAP,   annotations,           "Annotations",          OMIT_EMPTY, none) \
	F(T, STRV,  cap_add,               "CapAdd",               NULL_EMPTY | ONE_OR_MANY, none) \
	F(T, STRV,  cap_drop,              "CapDrop",              NULL_EMPTY | ONE_OR_MANY, none) \
	F(T, STR,   cgroupns_mode,         "CgroupnsMode",         0, none) \
	F(T, STRV,  dns,                   "Dns",                  NULL_EMPTY, none) \
	F(T, STRV,  dns_options,           "DnsOptions",           NULL_EMPTY, none) \
	F(T, STRV,  dns_search,            "DnsSearch",            NULL_EMPTY, none) \
	F(T, STRV,  extra_hosts,           "ExtraHosts",           NULL_EMPTY, none) \
	F(T, STRV,  group_add,             "GroupAdd",             NULL_EMPTY, none) \
	F(T, STR,   ipc_mode,              "IpcMode",              0, none) \
	F(T, STR,   cgroup,                "Cgroup",               0, none) \
	F(T, STRV,  links,                 "Links",                NULL_EMPTY, none) \
	F(T, INT,   oom_score_adj,         "OomScoreAdj",          0, none) \
	F(T, STR,   pid_mode,              "PidMode",              0, none) \
	F(T, BOOL,  privileged,            "Privileged",           0, none) \
	F(T, BOOL,  publish_all_ports,     "PublishAllPorts",      0, none) \
	F(T, BOOL,  readonly_rootfs,       "ReadonlyRootfs",       0, none) \
	F(T, STRV,  security_opt,          "SecurityOpt",          NULL_EMPTY, none) \
	F(T, MAP,   storage_opt,           "StorageOpt",           OMIT_EMPTY, none) \
	F(T, MAP,   tmpfs,                 "Tmpfs",                OMIT_EMPTY, none) \
	F(T, STR,   uts_mode,              "UTSMode",              0, none) \
	F(T, STR,   userns_mode,           "UsernsMode",           0, none) \
	F(T, INT,   shm_size,              "ShmSize",              0, none) \
	F(T, MAP,   sysctls,               "Sysctls",              OMIT_EMPTY, none) \
	F(T, STR,   runtime,               "Runtime",              OMIT_EMPTY, none) \
	F(T, STR,   isolation,             "Isolation",            0, none) \
	F(T, INT,   cpu_shares,            "CpuShares",            0, none) \
	F(T, INT,   memory,                "Memory",               0, none) \
	F(T, INT,   nano_cpus,             "NanoCpus",             0, none) \
	F(T, STR,   cgroup_parent,         "CgroupParent",         0, none) \
	F(T, INT,   blkio_weight,          "BlkioWeight",          0, none) \
	F(T, LIST,  blkio_weight_device,   "BlkioWeightDevice",    NULL_EMPTY, docker_weight_device) \
	F(T, LIST,  blkio_read_bps,        "BlkioDeviceReadBps",   NULL_EMPTY, docker_throttle_device) \
	F(T, LIST,  blkio_write_bps,       "BlkioDeviceWriteBps",  NULL_EMPTY, docker_throttle_device) \
	F(T, LIST,  blkio_read_iops,       "BlkioDeviceReadIOps",  NULL_EMPTY, docker_throttle_device) \
	F(T, LIST,  blkio_write_iops,      "BlkioDeviceWriteIOps", NULL_EMPTY, docker_throttle_device) \
	F(T, INT,   cpu_period,            "CpuPeriod",            0, none) \
	F(T, INT,   cpu_quota,             "CpuQuota",             0, none) \
	F(T, INT,   cpu_realtime_period,   "CpuRealtimePeriod",    0, none) \
	F(T, INT,   cpu_realtime_runtime,  "CpuRealtimeRuntime",   0, none) \
	F(T, STR,   cpuset_cpus,           "CpusetCpus",           0, none) \
	F(T, STR,   cpuset_mems,           "CpusetMems",           0, none) \
	F(T, LIST,  devices,               "Devices",              NULL_EMPTY, docker_device) \
	F(T, STRV,  device_cgroup_rules,   "DeviceCgroupRules",    NULL_EMPTY, none) \
	F(T, LIST,  device_requests,       "DeviceRequests",       NULL_EMPTY, docker_device_request) \
	F(T, INT,   kernel_memory,         "KernelMemory",         OMIT_EMPTY | UNTIL(41), none) \
	F(T, INT,   kernel_memory_tcp,     "KernelMemoryTCP",      OMIT_EMPTY, none) \
	F(T, INT,   memory_reservation,    "MemoryReservation",    0, none) \
	F(T, INT,   memory_swap,           "MemorySwap",           0, none) \
	F(T, OINT,  memory_swappiness,     "MemorySwappiness",     0, none) \
	F(T, OBOOL, oom_kill_disable,      "OomKillDisable",       0, none) \
	F(T, OINT,  pids_limit,            "PidsLimit",            0, none) \
	F(T, LIST,  ulimits,               "Ulimits",              NULL_EMPTY, docker_ulimit) \
	F(T, INT,   cpu_count,             "CpuCount",             0, none) \
	F(T, INT,   cpu_percent,           "CpuPercent",           0, none) \
	F(T, UINT,  io_maximum_iops,       "IOMaximumIOps",        0, none) \
	F(T, UINT,  io_maximum_bandwidth,  "IOMaximumBandwidth",   0, none) \
	F(T, LIST,  mounts,                "Mounts",               OMIT_EMPTY, docker_mount) \
	F(T, STRV,  masked_paths,          "MaskedPaths",          NULL_EMPTY, none) \
	F(T, STRV,  readonly_paths,        "ReadonlyPaths",        NULL_EMPTY, none) \
	F(T, OBOOL, init,                  "Init",                 OMIT_EMPTY, none)
JSON_STRUCT(docker_host_config, DOCKER_HOST_CONFIG_FIELDS)

#define DOCKER_ENDPOINT_IPAM_FIELDS(F, T) \
	F(T, STR,  ipv4_address,   "IPv4Address",  OMIT_EMPTY, none) \
	F(T, STR,  ipv6_address,   "IPv6Address",  OMIT_EMPTY, none) \
	F(T, STRV, link_local_ips, "LinkLocalIPs", OMIT_EMPTY, none)
JSON_STRUCT(docker_endpoint_ipam, DOCKER_ENDPOINT_IPAM_FIELDS)
#define DOCKER_ENDPOINT_SETTINGS_FIELDS(F, T) \
	F(T, PTR,  ipam_config,            "IPAMConfig",          0, docker_endpoint_ipam) \
	F(T, STRV, links,                  "Links",               NULL_EMPTY, none) \
	F(T, STRV, aliases,                "Aliases",             NULL_EMPTY, none) \
	F(T, STR,  mac_address,            "MacAddress",          0, none) \
	F(T, MAP,  driver_opts,            "DriverOpts",          NULL_EMPTY, none) \
	F(T, INT,  gw_priority,            "GwPriority",          0, none) \
	F(T, STR,  network_id,             "NetworkID",           0, none) \
	F(T, STR,  endpoint_id,            "EndpointID",          0, none) \
	F(T, STR,  gateway,                "Gateway",             0, none) \
	F(T, STR,  ip_address,             "IPAddress",           0, none) \
	F(T, INT,  ip_prefix_len,          "IPPrefixLen",         0, none) \
	F(T, STR,  ipv6_gateway,           "IPv6Gateway",         0, none) \
	F(T, STR,  global_ipv6_address,    "GlobalIPv6Address",   0, none) \
	F(T, INT,  global_ipv6_prefix_len, "GlobalIPv6PrefixLen", 0, none) \
	F(T, STRV, dns_names,              "DNSNames",            NULL_EMPTY, none)
JSON_STRUCT(docker_endpoint_settings, DOCKER_ENDPOINT_SETTINGS_FIELDS)
#define DOCKER_NETWORKING_CONFIG_FIELDS(F, T) F(T, DICT, endpoints_config, "EndpointsConfig", NULL_EMPTY, docker_endpoint_settings)
JSON_STRUCT(docker_networking_config, DOCKER_NETWORKING_CONFIG_FIELDS)

/* Its members up to host_config are those of docker_config: see docker_request_config(). */
#define DOCKER_CONTAINER_CREATE_REQUEST_FIELDS(F, T) \
	DOCKER_CONFIG_FIELDS(F, T) \
	F(T, OBJ, host_config,       "HostConfig",       0, docker_host_config) \
	F(T, OBJ, networking_config, "NetworkingConfig", 0, docker_networking_config)
JSON_STRUCT(docker_container_create_request, DOCKER_CONTAINER_CREATE_REQUEST_FIELDS)
#define DOCKER_CONTAINER_CREATE_RESPONSE_FIELDS(F, T) \
	F(T, STR,  id,       "Id",       0, none) \
	F(T, STRV, warnings, "Warnings", 0, none)
JSON_STRUCT(docker_container_create_response, DOCKER_CONTAINER_CREATE_RESPONSE_FIELDS)

#define DOCKER_CONTAINER_UPDATE_RESPONSE_FIELDS(F, T) F(T, STRV, warnings, "Warnings", NULL_EMPTY, none)
JSON_STRUCT(docker_container_update_response, DOCKER_CONTAINER_UPDATE_RESPONSE_FIELDS)

#define DOCKER_HEALTH_RESULT_FIELDS(F, T) \
	F(T, STR, start,     "Start",    0, none) \
	F(T, STR, end,       "End",      0, none) \
	F(T, INT, exit_code, "ExitCode", 0, none) \
	F(T, STR, output,    "Output",   0, none)
JSON_STRUCT(docker_health_result, DOCKER_HEALTH_RESULT_FIELDS)
#define DOCKER_HEALTH_FIELDS(F, T) \
	F(T, STR,  status,         "Status",        0, none) \
	F(T, INT,  failing_streak, "FailingStreak", 0, none) \
	F(T, LIST, log,            "Log",           NULL_EMPTY, docker_health_result)
JSON_STRUCT(docker_health, DOCKER_HEALTH_FIELDS)
#define DOCKER_CONTAINER_STATE_FIELDS(F, T) \
	F(T, STR,  status,      "Status",     0, none) \
	F(T, BOOL, running,     "Running",    0, none) \
	F(T, BOOL, paused,      "Paused",     0, none) \
	F(T, BOOL, restarting,  "Restarting", 0, none) \
	F(T, BOOL, oom_killed,  "OOMKilled",  0, none) \
	F(T, BOOL, dead,        "Dead",       0, none) \
	F(T, INT,  pid,         "Pid",        0, none) \
	F(T, INT,  exit_code,   "ExitCode",   0, none) \
	F(T, STR,  error,       "Error",      0, none) \
	F(T, STR,  started_at,  "StartedAt",  0, none) \
	F(T, STR,  finished_at, "FinishedAt", 0, none) \
	F(T, PTR,  health,      "Health",     OMIT_EMPTY, docker_health)
JSON_STRUCT(docker_container_state, DOCKER_CONTAINER_STATE_FIELDS)

#define DOCKER_GRAPH_DRIVER_FIELDS(F, T) \
	F(T, MAP, data, "Data", NULL_EMPTY, none) \
	F(T, STR, name, "Name", 0, none)
JSON_STRUCT(docker_graph_driver, DOCKER_GRAPH_DRIVER_FIELDS)
#define DOCKER_MOUNT_POINT_FIELDS(F, T) \
	F(T, STR,  type,        "Type",        OMIT_EMPTY, none) \
	F(T, STR,  name,        "Name",        OMIT_EMPTY, none) \
	F(T, STR,  source,      "Source",      0, none) \
	F(T, STR,  destination, "Destination", 0, none) \
	F(T, STR,  driver,      "Driver",      OMIT_EMPTY, none) \
	F(T, STR,  mode,        "Mode",        0, none) \
	F(T, BOOL, rw,          "RW",          0, none) \
	F(T, STR,  propagation, "Propagation", 0, none)
JSON_STRUCT(docker_mount_point, DOCKER_MOUNT_POINT_FIELDS)
#define DOCKER_ADDRESS_FIELDS(F, T) \
	F(T, STR, addr,       "Addr",      0, none) \
	F(T, INT, prefix_len, "PrefixLen", 0, none)
JSON_STRUCT(docker_address, DOCKER_ADDRESS_FIELDS)
#define DOCKER_NETWORK_SETTINGS_FIELDS(F, T) \
	F(T, STR,  bridge,                     "Bridge",                 0, none) \
	F(T, STR,  sandbox_id,                 "SandboxID",              0, none) \
	F(T, STR,  sandbox_key,                "SandboxKey",             0, none) \
	F(T, DICT, ports,                      "Ports",                  0, docker_port_bindings) \
	F(T, BOOL, hairpin_mode,               "HairpinMode",            0, none) \
	F(T, STR,  link_local_ipv6_address,    "LinkLocalIPv6Address",   0, none) \
	F(T, INT,  link_local_ipv6_prefix_len, "LinkLocalIPv6PrefixLen", 0, none) \
	F(T, LIST, secondary_ip_addresses,     "SecondaryIPAddresses",   NULL_EMPTY, docker_address) \
	F(T, LIST, secondary_ipv6_addresses,   "SecondaryIPv6Addresses", NULL_EMPTY, docker_address) \
	F(T, STR,  endpoint_id,                "EndpointID",             0, none) \
	F(T, STR,  gateway,                    "Gateway",                0, none) \
	F(T, STR,  global_ipv6_address,        "GlobalIPv6Address",      0, none) \
	F(T, INT,  global_ipv6_prefix_len,     "GlobalIPv6PrefixLen",    0, none) \
	F(T, STR,  ip_address,                 "IPAddress",              0, none) \
	F(T, INT,  ip_prefix_len,              "IPPrefixLen",            0, none) \
	F(T, STR,  ipv6_gateway,               "IPv6Gateway",            0, none) \
	F(T, STR,  mac_address,                "MacAddress",             0, none) \
	F(T, DICT, networks,                   "Networks",               0, docker_endpoint_settings)
JSON_STRUCT(docker_network_settings, DOCKER_NETWORK_SETTINGS_FIELDS)

#define DOCKER_CONTAINER_INSPECT_FIELDS(F, T) \
	F(T, STR,  id,                "Id",              0, none) \
	F(T, STR,  created,           "Created",         0, none) \
	F(T, STR,  path,              "Path",            0, none) \
	F(T, STRV, args,              "Args",            0, none) \
	F(T, OBJ,  state,             "State",           0, docker_container_state) \
	F(T, STR,  image,             "Image",           0, none) \
	F(T, STR,  resolv_conf_path,  "ResolvConfPath",  0, none) \
	F(T, STR,  hostname_path,     "HostnamePath",    0, none) \
	F(T, STR,  hosts_path,        "HostsPath",       0, none) \
	F(T, STR,  log_path,          "LogPath",         0, none) \
	F(T, STR,  name,              "Name",            0, none) \
	F(T, INT,  restart_count,     "RestartCount",    0, none) \
	F(T, STR,  driver,            "Driver",          0, none) \
	F(T, STR,  platform,          "Platform",        0, none) \
	F(T, STR,  mount_label,       "MountLabel",      0, none) \
	F(T, STR,  process_label,     "ProcessLabel",    0, none) \
	F(T, STR,  app_armor_profile, "AppArmorProfile", 0, none) \
	F(T, STRV, exec_ids,          "ExecIDs",         NULL_EMPTY, none) \
	F(T, OBJ,  host_config,       "HostConfig",      0, docker_host_config) \
	F(T, OBJ,  graph_driver,      "GraphDriver",     0, docker_graph_driver) \
	F(T, OINT, size_rw,           "SizeRw",          OMIT_EMPTY, none) \
	F(T, OINT, size_root_fs,      "SizeRootFs",      OMIT_EMPTY, none) \
	F(T, LIST, mounts,            "Mounts",          0, docker_mount_point) \
	F(T, OBJ,  config,            "Config",          0, docker_config) \
	F(T, OBJ,  network_settings,  "NetworkSettings", 0, docker_network_settings) \
	F(T, RAW,  image_manifest_descriptor, "ImageManifestDescriptor", OMIT_EMPTY | SINCE(48), none)
JSON_STRUCT(docker_container_inspect, DOCKER_CONTAINER_INSPECT_FIELDS)

#define DOCKER_PORT_FIELDS(F, T) \
	F(T, STR, ip,           "IP",          OMIT_EMPTY, none) \
	F(T, INT, private_port, "PrivatePort", 0, none) \
	F(T, INT, public_port,  "PublicPort",  OMIT_EMPTY, none) \
	F(T, STR, type,         "Type",        0, none)
JSON_STRUCT(docker_port, DOCKER_PORT_FIELDS)
#define DOCKER_SUMMARY_HOST_CONFIG_FIELDS(F, T) \
	F(T, STR, network_mode, "NetworkMode", OMIT_EMPTY, none) \
	F(T, MAP, annotations,  "Annotations", OMIT_EMPTY | SINCE(46), none)
JSON_STRUCT(docker_summary_host_config, DOCKER_SUMMARY_HOST_CONFIG_FIELDS)
#define DOCKER_SUMMARY_NETWORKS_FIELDS(F, T) F(T, DICT, networks, "Networks", 0, docker_endpoint_settings)
JSON_STRUCT(docker_summary_networks, DOCKER_SUMMARY_NETWORKS_FIELDS)
#define DOCKER_CONTAINER_SUMMARY_FIELDS(F, T) \
	F(T, STR,  id,               "Id",              0, none) \
	F(T, STRV, names,            "Names",           0, none) \
	F(T, STR,  image,            "Image",           0, none) \
	F(T, STR,  image_id,         "ImageID",         0, none) \
	F(T, RAW,  image_manifest_descriptor, "ImageManifestDescriptor", OMIT_EMPTY | SINCE(48), none) \
	F(T, STR,  command,          "Command",         0, none) \
	F(T, INT,  created,          "Created",         0, none) \
	F(T, LIST, ports,            "Ports",           0, docker_port) \
	F(T, INT,  size_rw,          "SizeRw",          OMIT_EMPTY, none) \
	F(T, INT,  size_root_fs,     "SizeRootFs",      OMIT_EMPTY, none) \
	F(T, MAP,  labels,           "Labels",          0, none) \
	F(T, STR,  state,            "State",           0, none) \
	F(T, STR,  status,           "Status",          0, none) \
	F(T, OBJ,  host_config,      "HostConfig",      0, docker_summary_host_config) \
	F(T, OBJ,  network_settings, "NetworkSettings", 0, docker_summary_networks) \
	F(T, LIST, mounts,           "Mounts",          0, docker_mount_point)
JSON_STRUCT(docker_container_summary, DOCKER_CONTAINER_SUMMARY_FIELDS)

#define DOCKER_WAIT_ERROR_FIELDS(F, T) F(T, STR, message, "Message", OMIT_EMPTY, none)
JSON_STRUCT(docker_wait_error, DOCKER_WAIT_ERROR_FIELDS)
#define DOCKER_WAIT_RESPONSE_FIELDS(F, T) \
	F(T, PTR, error,       "Error",      OMIT_EMPTY, docker_wait_error) \
	F(T, INT, status_code, "StatusCode", 0, none)
JSON_STRUCT(docker_wait_response, DOCKER_WAIT_RESPONSE_FIELDS)
#define DOCKER_TOP_FIELDS(F, T) \
	F(T, LIST, processes, "Processes", 0, docker_strings) \
	F(T, STRV, titles,    "Titles",    0, none)
JSON_STRUCT(docker_top, DOCKER_TOP_FIELDS)
#define DOCKER_CHANGE_FIELDS(F, T) \
	F(T, STR, path, "Path", 0, none) \
	F(T, INT, kind, "Kind", 0, none)
JSON_STRUCT(docker_change, DOCKER_CHANGE_FIELDS)
#define DOCKER_PATH_STAT_FIELDS(F, T) \
	F(T, STR, name,        "name",       0, none) \
	F(T, INT, size,        "size",       0, none) \
	F(T, INT, mode,        "mode",       0, none) \
	F(T, STR, mtime,       "mtime",      0, none) \
	F(T, STR, link_target, "linkTarget", 0, none)
JSON_STRUCT(docker_path_stat, DOCKER_PATH_STAT_FIELDS)
#define DOCKER_CONTAINERS_PRUNED_FIELDS(F, T) \
	F(T, STRV, deleted,         "ContainersDeleted", NULL_EMPTY, none) \
	F(T, INT,  space_reclaimed, "SpaceReclaimed",    0, none)
JSON_STRUCT(docker_containers_pruned, DOCKER_CONTAINERS_PRUNED_FIELDS)

/* ---- exec ---- */
#define DOCKER_EXEC_OPTIONS_FIELDS(F, T) \
	F(T, STR,  user,          "User",         0, none) \
	F(T, BOOL, privileged,    "Privileged",   0, none) \
	F(T, BOOL, tty,           "Tty",          0, none) \
	F(T, INTS, console_size,  "ConsoleSize",  OMIT_EMPTY, none) \
	F(T, BOOL, attach_stdin,  "AttachStdin",  0, none) \
	F(T, BOOL, attach_stderr, "AttachStderr", 0, none) \
	F(T, BOOL, attach_stdout, "AttachStdout", 0, none) \
	F(T, BOOL, detach,        "Detach",       0, none) \
	F(T, STR,  detach_keys,   "DetachKeys",   0, none) \
	F(T, STRV, env,           "Env",          NULL_EMPTY, none) \
	F(T, STR,  working_dir,   "WorkingDir",   0, none) \
	F(T, STRV, cmd,           "Cmd",          NULL_EMPTY, none)
JSON_STRUCT(docker_exec_options, DOCKER_EXEC_OPTIONS_FIELDS)
#define DOCKER_EXEC_START_FIELDS(F, T) \
	F(T, BOOL, detach,       "Detach",      0, none) \
	F(T, BOOL, tty,          "Tty",         0, none) \
	F(T, INTS, console_size, "ConsoleSize", OMIT_EMPTY, none)
JSON_STRUCT(docker_exec_start, DOCKER_EXEC_START_FIELDS)
#define DOCKER_EXEC_PROCESS_FIELDS(F, T) \
	F(T, BOOL,  tty,        "tty",        0, none) \
	F(T, STR,   entrypoint, "entrypoint", 0, none) \
	F(T, STRV,  arguments,  "arguments",  0, none) \
	F(T, OBOOL, privileged, "privileged", OMIT_EMPTY, none) \
	F(T, STR,   user,       "user",       OMIT_EMPTY, none)
JSON_STRUCT(docker_exec_process, DOCKER_EXEC_PROCESS_FIELDS)
#define DOCKER_EXEC_INSPECT_FIELDS(F, T) \
	F(T, STR,  id,             "ID",            0, none) \
	F(T, BOOL, running,        "Running",       0, none) \
	F(T, OINT, exit_code,      "ExitCode",      0, none) \
	F(T, OBJ,  process_config, "ProcessConfig", 0, docker_exec_process) \
	F(T, BOOL, open_stdin,     "OpenStdin",     0, none) \
	F(T, BOOL, open_stderr,    "OpenStderr",    0, none) \
	F(T, BOOL, open_stdout,    "OpenStdout",    0, none) \
	F(T, BOOL, can_remove,     "CanRemove",     0, none) \
	F(T, STR,  container_id,   "ContainerID",   0, none) \
	F(T, STR,  detach_keys,    "DetachKeys",    0, none) \
	F(T, INT,  pid,            "Pid",           0, none)
JSON_STRUCT(docker_exec_inspect, DOCKER_EXEC_INSPECT_FIELDS)
/* clang-format on */

/* The Config part of a create request, in place: both structs begin with the same members. */
static inline struct docker_config *docker_request_config(struct docker_container_create_request *rq)
{
	_Static_assert(offsetof(struct docker_container_create_request, shell) == offsetof(struct docker_config, shell),
		       "same beginning");
	return (struct docker_config *)rq;
}
