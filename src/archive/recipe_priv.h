/* recipe_priv.h - numbers of the recipe's format (recipe.h describes it). */
#pragma once

#include "archive/recipe.h"

#define RECIPE_MAGIC "HoyRecp1"
#define RECIPE_MAGIC_N 8
#define RECIPE_BLOCK_HEAD 17
#define RECIPE_GONE UINT64_MAX
enum recipe_block { RECIPE_OPS = 1, RECIPE_SIDE = 2, RECIPE_END = 3 };
enum recipe_op { RECIPE_DONE = 0, RECIPE_FILE = 1, RECIPE_GO_ON = 2 };
