/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Writing boot information, tag by tag, into a buffer. What has no room there is only counted, so
 * that a first writer without a buffer tells how large it must be. Pure.
 */
#pragma once

#include "boot/mb2_format.h"
#include "mm/memmap.h"

struct mb2_writer {
	u8 *out;
	size_t capacity;
	size_t used; /* bytes, as if there had been room */
};

/* More of the tag that was begun last. */
void mb2_put(struct mb2_writer *w, const void *data, size_t size);

/* Begins a tag where one may begin; `payload` bytes are to follow. */
void mb2_put_tag(struct mb2_writer *w, enum mb2_tag_type type, size_t payload);

/* A whole one that is there already. */
void mb2_put_copy(struct mb2_writer *w, const struct tag *tag);

/* The memory map. */
void mb2_put_map(struct mb2_writer *w, const struct memmap *map);
