/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The one map for the DMA of all devices, as ept01 is for CPUs: the identity without what is
 * hidden. It is made at boot and never changes, so nothing ever has to be invalidated. VT-d, "DMA
 * Remapping" in legacy mode.
 */
#pragma once

#include <x86/types.h>

enum { DMA_MAP_MAX_LEVELS = 5 };

/* Pages that the map takes at most, with `holes` ranges to be hidden. */
u64 dma_map_pages(unsigned int width, paddr_t top_of_ram, u64 holes);

/*
 * Starts the map of 2^width bytes, at most 2^48. Without 1 GiB pages it ends at the larger of
 * top_of_ram and 4 GiB. 2 MiB pages are taken for granted. False: memory is short.
 */
bool dma_map_init(unsigned int width, paddr_t top_of_ram, bool has_1g);

/* Before any unit uses the map. False: memory is short. */
bool dma_map_hide(paddr_t start, u64 size);

/*
 * The root table for units that walk tables of so many levels: each device has the same map there.
 * With three levels it ends at 512 GiB. 0: memory is short.
 */
paddr_t dma_map_root(unsigned int levels);
