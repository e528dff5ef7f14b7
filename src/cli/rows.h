/* rows.h - one image, container or volume as a row of cells: of its own list, and of `system df -v`. */
#pragma once

#include "cli/listing.h"

#define IMAGE_HEADERS \
	"ID=IMAGE ID,Repository=REPOSITORY,Tag=TAG,Digest=DIGEST,CreatedSince=CREATED,CreatedAt=CREATED AT,Size=SIZE," \
	"Containers=CONTAINERS,VirtualSize=SIZE,SharedSize=SHARED SIZE,UniqueSize=UNIQUE SIZE"
#define PS_HEADERS \
	"ID=CONTAINER ID,Image=IMAGE,Command=COMMAND,CreatedAt=CREATED " \
	"AT,RunningFor=CREATED,Status=STATUS,State=STATE," \
	"Ports=PORTS,Names=NAMES,Size=SIZE,Labels=LABELS,Mounts=MOUNTS,LocalVolumes=LOCAL VOLUMES,Networks=NETWORKS"
#define VOLUME_HEADERS \
	"Driver=DRIVER,Name=VOLUME NAME,Scope=SCOPE,Mountpoint=MOUNTPOINT,Labels=LABELS,Links=LINKS,Size=SIZE," \
	"Availability=AVAILABILITY,Group=GROUP,Status=STATUS"

void image_row(struct listing *l, const struct jval *image, const char *repo, const char *tag, const char *digest,
	       bool full);
void container_row(struct listing *l, const struct jval *c, bool full);
void volume_row(struct listing *l, const struct jval *v);
