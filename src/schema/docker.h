/* docker.h - all objects of the Docker API, as field tables. */
#pragma once

#include "schema/docker_container.h"
#include "schema/docker_image.h"
#include "schema/docker_network.h"
#include "schema/docker_registry.h"
#include "schema/docker_stats.h"
#include "schema/docker_system.h"
