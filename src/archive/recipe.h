/* recipe.h - how to make a layer's tar again, bit for bit, out of the directory that it was unpacked to.
 *
 * A tar stream is file contents with other bytes between them: headers, PAX data, padding, whatever stands behind the end. The recipe
 * keeps those other bytes and, for each file, its path in the layer. What cannot be read back from the directory is kept
 * too: sparse files, files below a symlink, files that a later entry of the same archive replaces.
 *
 * File format, version 1. Numbers are little-endian; a varint has seven bits per byte, lowest first, the top bit says "more".
 *     8 bytes "HoyRecp1"
 *     blocks: u8 kind, u32 bytes stored, u32 bytes once decompressed (at most RECIPE_BLOCK), u64 number, then the bytes: one zstd frame
 *         kind 1, OPS:  a piece of the list of operations (cut anywhere); number is 0
 *         kind 2, SIDE: a piece of the content of the file reference with this number, in order; it is not in the directory
 *         kind 3, END:  the last block; number is the length of the tar; content: its diff id as text (not compressed)
 *     operations: varint n, n literal bytes, u8 what: 0 = the end, 1 = a file: varint n, n bytes of path, varint size; 2 = go on
 * File references are counted from 0. Readers refuse other versions; recipes are made anew by unpacking again.
 *
 * The reader trusts nothing: the file may have been changed on disk. */
#pragma once

#include "archive/archive.h"

#define RECIPE_BLOCK (256 * 1024)

/* ---- while unpacking; errors are kept and told by recipe_end() ---- */
struct recipe;
struct recipe *recipe_new(int fd); /* writes to fd, which stays the caller's */
void recipe_free(struct recipe *r);
void recipe_raw(struct recipe *r, const void *p, size_t n);
/* An entry's content, which is left out: it is in the file path (below the layer, no symlink on the way). */
void recipe_file(struct recipe *r, const char *path, int64_t size, uint64_t inode);
/* dir/base is about to go: a file, or a directory with everything in it. What the recipe refers to is copied into it first. */
void recipe_lost(struct recipe *r, int dir, const char *base);
/* The same for contents that lie elsewhere than in a directory: pieces from front to back, then gone. key: as given for inode. */
bool recipe_refers(const struct recipe *r, uint64_t key);
void recipe_side(struct recipe *r, uint64_t key, const void *p, size_t n);
void recipe_gone(struct recipe *r, uint64_t key);
int recipe_end(struct recipe *r, const char *diff_id, int64_t tar_bytes, struct err *e);

/* ---- making the tar ---- */
struct recipe_sink {
	int (*write)(void *ctx, const void *p, size_t n); /* negative errno ends it */
	void *ctx;
	/* A file that is not what it was: told, then zeros go out in its place (the diff id will be wrong). NULL: it ends there */
	void (*broken)(void *ctx, const char *path, const char *why);
};
/* Content of files is read below dir. On success the bytes had the diff id want (and the one that the recipe promises). */
int recipe_play(int recipe, int dir, const char *want, const struct recipe_sink *out, struct err *e);
