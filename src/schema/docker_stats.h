/* docker_stats.h - what a container uses, one sample: GET /containers/{id}/stats. */
#pragma once

#include "json/json.h"

/* clang-format off */
#define DOCKER_BLKIO_ENTRY_FIELDS(F, T) \
	F(T, UINT, major, "major", 0, none) \
	F(T, UINT, minor, "minor", 0, none) \
	F(T, STR,  op,    "op",    0, none) \
	F(T, UINT, value, "value", 0, none)
JSON_STRUCT(docker_blkio_entry, DOCKER_BLKIO_ENTRY_FIELDS)
#define DOCKER_BLKIO_STATS_FIELDS(F, T) \
	F(T, LIST, service_bytes, "io_service_bytes_recursive", NULL_EMPTY, docker_blkio_entry) \
	F(T, LIST, serviced,      "io_serviced_recursive",      NULL_EMPTY, docker_blkio_entry) \
	F(T, LIST, queue,         "io_queue_recursive",         NULL_EMPTY, docker_blkio_entry) \
	F(T, LIST, service_time,  "io_service_time_recursive",  NULL_EMPTY, docker_blkio_entry) \
	F(T, LIST, wait_time,     "io_wait_time_recursive",     NULL_EMPTY, docker_blkio_entry) \
	F(T, LIST, merged,        "io_merged_recursive",        NULL_EMPTY, docker_blkio_entry) \
	F(T, LIST, time,          "io_time_recursive",          NULL_EMPTY, docker_blkio_entry) \
	F(T, LIST, sectors,       "sectors_recursive",          NULL_EMPTY, docker_blkio_entry)
JSON_STRUCT(docker_blkio_stats, DOCKER_BLKIO_STATS_FIELDS)
/* nanoseconds */
#define DOCKER_CPU_USAGE_FIELDS(F, T) \
	F(T, UINT, total,  "total_usage",         0,          none) \
	F(T, INTS, percpu, "percpu_usage",        OMIT_EMPTY, none) \
	F(T, UINT, kernel, "usage_in_kernelmode", 0,          none) \
	F(T, UINT, user,   "usage_in_usermode",   0,          none)
JSON_STRUCT(docker_cpu_usage, DOCKER_CPU_USAGE_FIELDS)
#define DOCKER_CPU_THROTTLING_FIELDS(F, T) \
	F(T, UINT, periods,   "periods",           0, none) \
	F(T, UINT, throttled, "throttled_periods", 0, none) \
	F(T, UINT, time,      "throttled_time",    0, none)
JSON_STRUCT(docker_cpu_throttling, DOCKER_CPU_THROTTLING_FIELDS)
#define DOCKER_CPU_STATS_FIELDS(F, T) \
	F(T, OBJ,  usage,      "cpu_usage",        0,          docker_cpu_usage) \
	F(T, UINT, system,     "system_cpu_usage", OMIT_EMPTY, none) \
	F(T, UINT, online,     "online_cpus",      OMIT_EMPTY, none) \
	F(T, OBJ,  throttling, "throttling_data",  0,          docker_cpu_throttling)
JSON_STRUCT(docker_cpu_stats, DOCKER_CPU_STATS_FIELDS)
#define DOCKER_MEMORY_STATS_FIELDS(F, T) \
	F(T, UINT, usage,     "usage",     OMIT_EMPTY, none) \
	F(T, UINT, max_usage, "max_usage", OMIT_EMPTY, none) \
	F(T, RAW,  stats,     "stats",     OMIT_EMPTY, none) \
	F(T, UINT, failcnt,   "failcnt",   OMIT_EMPTY, none) \
	F(T, UINT, limit,     "limit",     OMIT_EMPTY, none)
JSON_STRUCT(docker_memory_stats, DOCKER_MEMORY_STATS_FIELDS)
#define DOCKER_PIDS_STATS_FIELDS(F, T) \
	F(T, UINT, current, "current", OMIT_EMPTY, none) \
	F(T, UINT, limit,   "limit",   OMIT_EMPTY, none)
JSON_STRUCT(docker_pids_stats, DOCKER_PIDS_STATS_FIELDS)
#define DOCKER_NETWORK_STATS_FIELDS(F, T) \
	F(T, UINT, rx_bytes,   "rx_bytes",   0, none) \
	F(T, UINT, rx_packets, "rx_packets", 0, none) \
	F(T, UINT, rx_errors,  "rx_errors",  0, none) \
	F(T, UINT, rx_dropped, "rx_dropped", 0, none) \
	F(T, UINT, tx_bytes,   "tx_bytes",   0, none) \
	F(T, UINT, tx_packets, "tx_packets", 0, none) \
	F(T, UINT, tx_errors,  "tx_errors",  0, none) \
	F(T, UINT, tx_dropped, "tx_dropped", 0, none)
JSON_STRUCT(docker_network_stats, DOCKER_NETWORK_STATS_FIELDS)
#define DOCKER_STORAGE_STATS_FIELDS(F, T) \
	F(T, UINT, read_count, "read_count_normalized", OMIT_EMPTY, none)
JSON_STRUCT(docker_storage_stats, DOCKER_STORAGE_STATS_FIELDS)

#define DOCKER_STATS_FIELDS(F, T) \
	F(T, STR,  name,     "name",          OMIT_EMPTY, none) \
	F(T, STR,  id,       "id",            OMIT_EMPTY, none) \
	F(T, STR,  read,     "read",          0,          none) \
	F(T, STR,  preread,  "preread",       0,          none) \
	F(T, OBJ,  pids,     "pids_stats",    0,          docker_pids_stats) \
	F(T, OBJ,  blkio,    "blkio_stats",   0,          docker_blkio_stats) \
	F(T, UINT, num_procs, "num_procs",    0,          none) \
	F(T, OBJ,  storage,  "storage_stats", 0,          docker_storage_stats) \
	F(T, OBJ,  cpu,      "cpu_stats",     0,          docker_cpu_stats) \
	F(T, OBJ,  precpu,   "precpu_stats",  0,          docker_cpu_stats) \
	F(T, OBJ,  memory,   "memory_stats",  0,          docker_memory_stats) \
	F(T, DICT, networks, "networks",      OMIT_EMPTY, docker_network_stats)
JSON_STRUCT(docker_stats, DOCKER_STATS_FIELDS)
/* clang-format on */
