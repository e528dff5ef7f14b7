/* oci_runtime.h - config.json of the OCI runtime specification 1.3, Linux only, as field tables. What other platforms define
 * (windows, solaris, vm, zos) is skipped by the reader. Members that are OBJ are always there, so an absent object reads as
 * an empty one; PTR marks the few places where absent and empty differ. `linux` is a macro of gnu17: the member is linux_. */
#pragma once

#include "json/json.h"

/* clang-format off */
#define OCI_BOX_FIELDS(F, T)                                                          \
	F(T, UINT,  height, "height", 0, none)                                            \
	F(T, UINT,  width,  "width",  0, none)
JSON_STRUCT(oci_box, OCI_BOX_FIELDS)

#define OCI_USER_FIELDS(F, T)                                                         \
	F(T, UINT,  uid,             "uid",            0,          none)                  \
	F(T, UINT,  gid,             "gid",            0,          none)                  \
	F(T, OINT,  umask,           "umask",          OMIT_EMPTY, none)                  \
	F(T, INTS,  additional_gids, "additionalGids", OMIT_EMPTY, none)                  \
	F(T, STR,   username,        "username",       OMIT_EMPTY, none)
JSON_STRUCT(oci_user, OCI_USER_FIELDS)

#define OCI_CAPS_FIELDS(F, T)                                                         \
	F(T, STRV,  bounding,    "bounding",    OMIT_EMPTY, none)                         \
	F(T, STRV,  effective,   "effective",   OMIT_EMPTY, none)                         \
	F(T, STRV,  permitted,   "permitted",   OMIT_EMPTY, none)                         \
	F(T, STRV,  inheritable, "inheritable", OMIT_EMPTY, none)                         \
	F(T, STRV,  ambient,     "ambient",     OMIT_EMPTY, none)
JSON_STRUCT(oci_caps, OCI_CAPS_FIELDS)

#define OCI_RLIMIT_FIELDS(F, T)                                                       \
	F(T, STR,   type, "type", 0, none)                                                \
	F(T, UINT,  hard, "hard", 0, none)                                                \
	F(T, UINT,  soft, "soft", 0, none)
JSON_STRUCT(oci_rlimit, OCI_RLIMIT_FIELDS)

#define OCI_SCHEDULER_FIELDS(F, T)                                                    \
	F(T, STR,   policy,   "policy",   0,          none)                               \
	F(T, INT,   nice,     "nice",     OMIT_EMPTY, none)                               \
	F(T, INT,   priority, "priority", OMIT_EMPTY, none)                               \
	F(T, STRV,  flags,    "flags",    OMIT_EMPTY, none)                               \
	F(T, UINT,  runtime,  "runtime",  OMIT_EMPTY, none)                               \
	F(T, UINT,  deadline, "deadline", OMIT_EMPTY, none)                               \
	F(T, UINT,  period,   "period",   OMIT_EMPTY, none)
JSON_STRUCT(oci_scheduler, OCI_SCHEDULER_FIELDS)

#define OCI_IO_PRIORITY_FIELDS(F, T)                                                  \
	F(T, STR,   class_,   "class",    0, none)                                        \
	F(T, INT,   priority, "priority", 0, none)
JSON_STRUCT(oci_io_priority, OCI_IO_PRIORITY_FIELDS)

#define OCI_CPU_AFFINITY_FIELDS(F, T)                                                 \
	F(T, STR,   initial, "initial", OMIT_EMPTY, none)                                 \
	F(T, STR,   final,   "final",   OMIT_EMPTY, none)
JSON_STRUCT(oci_cpu_affinity, OCI_CPU_AFFINITY_FIELDS)

#define OCI_PROCESS_FIELDS(F, T)                                                      \
	F(T, BOOL,  terminal,      "terminal",        OMIT_EMPTY, none)                   \
	F(T, PTR,   console_size,  "consoleSize",     OMIT_EMPTY, oci_box)                \
	F(T, OBJ,   user,          "user",            0,          oci_user)               \
	F(T, STRV,  args,          "args",            OMIT_EMPTY, none)                   \
	F(T, STRV,  env,           "env",             OMIT_EMPTY, none)                   \
	F(T, STR,   cwd,           "cwd",             0,          none)                   \
	F(T, OBJ,   capabilities,  "capabilities",    0,          oci_caps)               \
	F(T, LIST,  rlimits,       "rlimits",         OMIT_EMPTY, oci_rlimit)             \
	F(T, BOOL,  no_new_privs,  "noNewPrivileges", OMIT_EMPTY, none)                   \
	F(T, STR,   apparmor,      "apparmorProfile", OMIT_EMPTY, none)                   \
	F(T, OINT,  oom_score_adj, "oomScoreAdj",     OMIT_EMPTY, none)                   \
	F(T, PTR,   scheduler,     "scheduler",       OMIT_EMPTY, oci_scheduler)          \
	F(T, STR,   selinux,       "selinuxLabel",    OMIT_EMPTY, none)                   \
	F(T, PTR,   io_priority,   "ioPriority",      OMIT_EMPTY, oci_io_priority)        \
	F(T, PTR,   cpu_affinity,  "execCPUAffinity", OMIT_EMPTY, oci_cpu_affinity)
JSON_STRUCT(oci_process, OCI_PROCESS_FIELDS)

#define OCI_ROOT_FIELDS(F, T)                                                         \
	F(T, STR,   path,     "path",     0,          none)                               \
	F(T, BOOL,  readonly, "readonly", OMIT_EMPTY, none)
JSON_STRUCT(oci_root, OCI_ROOT_FIELDS)

#define OCI_ID_MAPPING_FIELDS(F, T)                                                   \
	F(T, UINT,  container_id, "containerID", 0, none)                                 \
	F(T, UINT,  host_id,      "hostID",      0, none)                                 \
	F(T, UINT,  size,         "size",        0, none)
JSON_STRUCT(oci_id_mapping, OCI_ID_MAPPING_FIELDS)

#define OCI_MOUNT_FIELDS(F, T)                                                        \
	F(T, STR,   destination,  "destination", 0,          none)                        \
	F(T, STR,   type,         "type",        OMIT_EMPTY, none)                        \
	F(T, STR,   source,       "source",      OMIT_EMPTY, none)                        \
	F(T, STRV,  options,      "options",     OMIT_EMPTY, none)                        \
	F(T, LIST,  uid_mappings, "uidMappings", OMIT_EMPTY, oci_id_mapping)              \
	F(T, LIST,  gid_mappings, "gidMappings", OMIT_EMPTY, oci_id_mapping)
JSON_STRUCT(oci_mount, OCI_MOUNT_FIELDS)

#define OCI_HOOK_FIELDS(F, T)                                                         \
	F(T, STR,   path,    "path",    0,          none)                                 \
	F(T, STRV,  args,    "args",    OMIT_EMPTY, none)                                 \
	F(T, STRV,  env,     "env",     OMIT_EMPTY, none)                                 \
	F(T, OINT,  timeout, "timeout", OMIT_EMPTY, none)
JSON_STRUCT(oci_hook, OCI_HOOK_FIELDS)

#define OCI_HOOKS_FIELDS(F, T)                                                        \
	F(T, LIST,  prestart,         "prestart",        OMIT_EMPTY, oci_hook)            \
	F(T, LIST,  create_runtime,   "createRuntime",   OMIT_EMPTY, oci_hook)            \
	F(T, LIST,  create_container, "createContainer", OMIT_EMPTY, oci_hook)            \
	F(T, LIST,  start_container,  "startContainer",  OMIT_EMPTY, oci_hook)            \
	F(T, LIST,  poststart,        "poststart",       OMIT_EMPTY, oci_hook)            \
	F(T, LIST,  poststop,         "poststop",        OMIT_EMPTY, oci_hook)
JSON_STRUCT(oci_hooks, OCI_HOOKS_FIELDS)

#define OCI_NAMESPACE_FIELDS(F, T)                                                    \
	F(T, STR,   type, "type", 0,          none)                                       \
	F(T, STR,   path, "path", OMIT_EMPTY, none)
JSON_STRUCT(oci_namespace, OCI_NAMESPACE_FIELDS)

#define OCI_DEVICE_FIELDS(F, T)                                                       \
	F(T, STR,   path,      "path",     0,          none)                              \
	F(T, STR,   type,      "type",     0,          none)                              \
	F(T, INT,   major,     "major",    0,          none)                              \
	F(T, INT,   minor,     "minor",    0,          none)                              \
	F(T, OINT,  file_mode, "fileMode", OMIT_EMPTY, none)                              \
	F(T, OINT,  uid,       "uid",      OMIT_EMPTY, none)                              \
	F(T, OINT,  gid,       "gid",      OMIT_EMPTY, none)
JSON_STRUCT(oci_device, OCI_DEVICE_FIELDS)

#define OCI_DEVICE_RULE_FIELDS(F, T)                                                  \
	F(T, BOOL,  allow,  "allow",  0,          none)                                   \
	F(T, STR,   type,   "type",   OMIT_EMPTY, none)                                   \
	F(T, OINT,  major,  "major",  OMIT_EMPTY, none)                                   \
	F(T, OINT,  minor,  "minor",  OMIT_EMPTY, none)                                   \
	F(T, STR,   access, "access", OMIT_EMPTY, none)
JSON_STRUCT(oci_device_rule, OCI_DEVICE_RULE_FIELDS)

#define OCI_MEMORY_FIELDS(F, T)                                                       \
	F(T, OINT,  limit,               "limit",             OMIT_EMPTY, none)           \
	F(T, OINT,  reservation,         "reservation",       OMIT_EMPTY, none)           \
	F(T, OINT,  swap,                "swap",              OMIT_EMPTY, none)           \
	F(T, OINT,  kernel,              "kernel",            OMIT_EMPTY, none)           \
	F(T, OINT,  kernel_tcp,          "kernelTCP",         OMIT_EMPTY, none)           \
	F(T, OINT,  swappiness,          "swappiness",        OMIT_EMPTY, none)           \
	F(T, OBOOL, disable_oom_killer,  "disableOOMKiller",  OMIT_EMPTY, none)           \
	F(T, OBOOL, use_hierarchy,       "useHierarchy",      OMIT_EMPTY, none)           \
	F(T, OBOOL, check_before_update, "checkBeforeUpdate", OMIT_EMPTY, none)
JSON_STRUCT(oci_memory, OCI_MEMORY_FIELDS)

#define OCI_CPU_FIELDS(F, T)                                                          \
	F(T, OINT,  shares,     "shares",          OMIT_EMPTY, none)                      \
	F(T, OINT,  quota,      "quota",           OMIT_EMPTY, none)                      \
	F(T, OINT,  burst,      "burst",           OMIT_EMPTY, none)                      \
	F(T, OINT,  period,     "period",          OMIT_EMPTY, none)                      \
	F(T, OINT,  rt_runtime, "realtimeRuntime", OMIT_EMPTY, none)                      \
	F(T, OINT,  rt_period,  "realtimePeriod",  OMIT_EMPTY, none)                      \
	F(T, STR,   cpus,       "cpus",            OMIT_EMPTY, none)                      \
	F(T, STR,   mems,       "mems",            OMIT_EMPTY, none)                      \
	F(T, OINT,  idle,       "idle",            OMIT_EMPTY, none)
JSON_STRUCT(oci_cpu, OCI_CPU_FIELDS)

#define OCI_PIDS_FIELDS(F, T)                                                         \
	F(T, OINT,  limit, "limit", OMIT_EMPTY, none)
JSON_STRUCT(oci_pids, OCI_PIDS_FIELDS)

#define OCI_WEIGHT_DEVICE_FIELDS(F, T)                                                \
	F(T, INT,   major,       "major",      0,          none)                          \
	F(T, INT,   minor,       "minor",      0,          none)                          \
	F(T, OINT,  weight,      "weight",     OMIT_EMPTY, none)                          \
	F(T, OINT,  leaf_weight, "leafWeight", OMIT_EMPTY, none)
JSON_STRUCT(oci_weight_device, OCI_WEIGHT_DEVICE_FIELDS)

#define OCI_THROTTLE_FIELDS(F, T)                                                     \
	F(T, INT,   major, "major", 0, none)                                              \
	F(T, INT,   minor, "minor", 0, none)                                              \
	F(T, UINT,  rate,  "rate",  0, none)
JSON_STRUCT(oci_throttle, OCI_THROTTLE_FIELDS)

#define OCI_BLOCK_IO_FIELDS(F, T)                                                     \
	F(T, OINT,  weight,         "weight",                  OMIT_EMPTY, none)              \
	F(T, OINT,  leaf_weight,    "leafWeight",              OMIT_EMPTY, none)              \
	F(T, LIST,  weight_devices, "weightDevice",            OMIT_EMPTY, oci_weight_device) \
	F(T, LIST,  read_bps,       "throttleReadBpsDevice",   OMIT_EMPTY, oci_throttle)      \
	F(T, LIST,  write_bps,      "throttleWriteBpsDevice",  OMIT_EMPTY, oci_throttle)      \
	F(T, LIST,  read_iops,      "throttleReadIOPSDevice",  OMIT_EMPTY, oci_throttle)      \
	F(T, LIST,  write_iops,     "throttleWriteIOPSDevice", OMIT_EMPTY, oci_throttle)
JSON_STRUCT(oci_block_io, OCI_BLOCK_IO_FIELDS)

#define OCI_HUGEPAGE_FIELDS(F, T)                                                     \
	F(T, STR,   page_size, "pageSize", 0, none)                                       \
	F(T, UINT,  limit,     "limit",    0, none)
JSON_STRUCT(oci_hugepage, OCI_HUGEPAGE_FIELDS)

#define OCI_NET_PRIORITY_FIELDS(F, T)                                                 \
	F(T, STR,   name,     "name",     0, none)                                        \
	F(T, UINT,  priority, "priority", 0, none)
JSON_STRUCT(oci_net_priority, OCI_NET_PRIORITY_FIELDS)

#define OCI_NETWORK_FIELDS(F, T)                                                      \
	F(T, OINT,  class_id,   "classID",    OMIT_EMPTY, none)                           \
	F(T, LIST,  priorities, "priorities", OMIT_EMPTY, oci_net_priority)
JSON_STRUCT(oci_network, OCI_NETWORK_FIELDS)

#define OCI_RDMA_FIELDS(F, T)                                                         \
	F(T, OINT,  handles, "hcaHandles", OMIT_EMPTY, none)                              \
	F(T, OINT,  objects, "hcaObjects", OMIT_EMPTY, none)
JSON_STRUCT(oci_rdma, OCI_RDMA_FIELDS)

#define OCI_RESOURCES_FIELDS(F, T)                                                    \
	F(T, LIST,  devices,   "devices",        OMIT_EMPTY, oci_device_rule)             \
	F(T, OBJ,   memory,    "memory",         0,          oci_memory)                  \
	F(T, OBJ,   cpu,       "cpu",            0,          oci_cpu)                     \
	F(T, OBJ,   pids,      "pids",           0,          oci_pids)                    \
	F(T, OBJ,   block_io,  "blockIO",        0,          oci_block_io)                \
	F(T, LIST,  hugepages, "hugepageLimits", OMIT_EMPTY, oci_hugepage)                \
	F(T, OBJ,   network,   "network",        0,          oci_network)                 \
	F(T, DICT,  rdma,      "rdma",           OMIT_EMPTY, oci_rdma)                    \
	F(T, MAP,   unified,   "unified",        OMIT_EMPTY, none)
JSON_STRUCT(oci_resources, OCI_RESOURCES_FIELDS)

#define OCI_SECCOMP_ARG_FIELDS(F, T)                                                  \
	F(T, UINT,  index,     "index",    0,          none)                              \
	F(T, UINT,  value,     "value",    0,          none)                              \
	F(T, UINT,  value_two, "valueTwo", OMIT_EMPTY, none)                              \
	F(T, STR,   op,        "op",       0,          none)
JSON_STRUCT(oci_seccomp_arg, OCI_SECCOMP_ARG_FIELDS)

#define OCI_SECCOMP_SYSCALL_FIELDS(F, T)                                              \
	F(T, STRV,  names,     "names",    0,          none)                              \
	F(T, STR,   action,    "action",   0,          none)                              \
	F(T, OINT,  errno_ret, "errnoRet", OMIT_EMPTY, none)                              \
	F(T, LIST,  args,      "args",     OMIT_EMPTY, oci_seccomp_arg)
JSON_STRUCT(oci_seccomp_syscall, OCI_SECCOMP_SYSCALL_FIELDS)

#define OCI_SECCOMP_FIELDS(F, T)                                                      \
	F(T, STR,   default_action,    "defaultAction",    0,          none)              \
	F(T, OINT,  default_errno_ret, "defaultErrnoRet",  OMIT_EMPTY, none)              \
	F(T, STRV,  architectures,     "architectures",    OMIT_EMPTY, none)              \
	F(T, STRV,  flags,             "flags",            OMIT_EMPTY, none)              \
	F(T, STR,   listener_path,     "listenerPath",     OMIT_EMPTY, none)              \
	F(T, STR,   listener_metadata, "listenerMetadata", OMIT_EMPTY, none)              \
	F(T, LIST,  syscalls,          "syscalls",         OMIT_EMPTY, oci_seccomp_syscall)
JSON_STRUCT(oci_seccomp, OCI_SECCOMP_FIELDS)

#define OCI_PERSONALITY_FIELDS(F, T)                                                  \
	F(T, STR,   domain, "domain", 0,          none)                                   \
	F(T, STRV,  flags,  "flags",  OMIT_EMPTY, none)
JSON_STRUCT(oci_personality, OCI_PERSONALITY_FIELDS)

#define OCI_TIME_OFFSET_FIELDS(F, T)                                                  \
	F(T, INT,   secs,     "secs",     OMIT_EMPTY, none)                               \
	F(T, UINT,  nanosecs, "nanosecs", OMIT_EMPTY, none)
JSON_STRUCT(oci_time_offset, OCI_TIME_OFFSET_FIELDS)

#define OCI_MEMORY_POLICY_FIELDS(F, T)                                                \
	F(T, STR,   mode,  "mode",  0,          none)                                     \
	F(T, STR,   nodes, "nodes", OMIT_EMPTY, none)                                     \
	F(T, STRV,  flags, "flags", OMIT_EMPTY, none)
JSON_STRUCT(oci_memory_policy, OCI_MEMORY_POLICY_FIELDS)

#define OCI_INTEL_RDT_FIELDS(F, T)                                                    \
	F(T, STR,   clos_id,           "closID",           OMIT_EMPTY, none)              \
	F(T, STRV,  schemata,          "schemata",         OMIT_EMPTY, none)              \
	F(T, STR,   l3_cache_schema,   "l3CacheSchema",    OMIT_EMPTY, none)              \
	F(T, STR,   mem_bw_schema,     "memBwSchema",      OMIT_EMPTY, none)              \
	F(T, BOOL,  enable_monitoring, "enableMonitoring", OMIT_EMPTY, none)
JSON_STRUCT(oci_intel_rdt, OCI_INTEL_RDT_FIELDS)

#define OCI_NET_DEVICE_FIELDS(F, T)                                                   \
	F(T, STR,   name, "name", OMIT_EMPTY, none)
JSON_STRUCT(oci_net_device, OCI_NET_DEVICE_FIELDS)

#define OCI_LINUX_FIELDS(F, T)                                                        \
	F(T, LIST,  uid_mappings,       "uidMappings",       OMIT_EMPTY, oci_id_mapping)  \
	F(T, LIST,  gid_mappings,       "gidMappings",       OMIT_EMPTY, oci_id_mapping)  \
	F(T, MAP,   sysctl,             "sysctl",            OMIT_EMPTY, none)            \
	F(T, OBJ,   resources,          "resources",         0,          oci_resources)   \
	F(T, STR,   cgroups_path,       "cgroupsPath",       OMIT_EMPTY, none)            \
	F(T, LIST,  namespaces,         "namespaces",        OMIT_EMPTY, oci_namespace)   \
	F(T, LIST,  devices,            "devices",           OMIT_EMPTY, oci_device)      \
	F(T, DICT,  net_devices,        "netDevices",        OMIT_EMPTY, oci_net_device)  \
	F(T, PTR,   seccomp,            "seccomp",           OMIT_EMPTY, oci_seccomp)     \
	F(T, STR,   rootfs_propagation, "rootfsPropagation", OMIT_EMPTY, none)            \
	F(T, STRV,  masked_paths,       "maskedPaths",       OMIT_EMPTY, none)            \
	F(T, STRV,  readonly_paths,     "readonlyPaths",     OMIT_EMPTY, none)            \
	F(T, STR,   mount_label,        "mountLabel",        OMIT_EMPTY, none)            \
	F(T, PTR,   intel_rdt,          "intelRdt",          OMIT_EMPTY, oci_intel_rdt)   \
	F(T, PTR,   memory_policy,      "memoryPolicy",      OMIT_EMPTY, oci_memory_policy) \
	F(T, PTR,   personality,        "personality",       OMIT_EMPTY, oci_personality) \
	F(T, DICT,  time_offsets,       "timeOffsets",       OMIT_EMPTY, oci_time_offset)
JSON_STRUCT(oci_linux, OCI_LINUX_FIELDS)

#define OCI_SPEC_FIELDS(F, T)                                                         \
	F(T, STR,   oci_version, "ociVersion",  0,          none)                         \
	F(T, OBJ,   process,     "process",     0,          oci_process)                  \
	F(T, OBJ,   root,        "root",        0,          oci_root)                     \
	F(T, STR,   hostname,    "hostname",    OMIT_EMPTY, none)                         \
	F(T, STR,   domainname,  "domainname",  OMIT_EMPTY, none)                         \
	F(T, LIST,  mounts,      "mounts",      OMIT_EMPTY, oci_mount)                    \
	F(T, OBJ,   hooks,       "hooks",       0,          oci_hooks)                    \
	F(T, MAP,   annotations, "annotations", OMIT_EMPTY, none)                         \
	F(T, OBJ,   linux_,      "linux",       0,          oci_linux)
JSON_STRUCT(oci_spec, OCI_SPEC_FIELDS)
/* clang-format on */
