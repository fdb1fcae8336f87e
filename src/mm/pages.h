/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Umbra's page allocator: over the memory reserved at boot, addressed through the direct map.
 * Pages come zeroed. Any CPU may call.
 */
#pragma once

#include <x86/types.h>

/* Gives the allocator [start, start + size), physical, page-aligned and mapped in the direct map.
 */
void pages_init(paddr_t start, u64 size);

/* `count` contiguous pages, or NULL. */
void *pages_alloc(u64 count);

/*
 * From now on the last `count` pages are for pages_alloc_kept() alone: for tables of the guest's
 * memory that must not run out because the guest has others made.
 */
void pages_keep(u64 count);
/* One page, of those too; NULL: none is left at all. Any CPU. */
void *pages_alloc_kept(void);

/* A page of pages_alloc(1) or pages_alloc_kept() back. */
void pages_free(void *page);

/* The kept ones included. */
u64 pages_left(void);

/*
 * Fills what was never allocated with a pattern, so that a write by anyone else shows. Once, at the
 * end of boot.
 */
void pages_fill_unused(void);

/* How many 8-byte words of what was never allocated have lost it; *count: of how many pages. */
u64 pages_spoiled(u64 *count);
