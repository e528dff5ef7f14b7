/* image_glue.h - private to the engine: images/'s table opened with the engine's callbacks. */
#pragma once

#include "engine/engine_private.h"

int engine_images_open(struct engine *en, struct err *e);
