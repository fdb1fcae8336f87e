/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Umbra's own page tables, shared by all CPUs: the image with each segment's rights, and the direct
 * map. Nothing is both writable and executable. See mm/layout.h.
 */
#pragma once

#include <x86/types.h>

#include "mm/memmap.h"

/*
 * Builds the tables. [home, home + size), physical, is all of Umbra's memory; the image lies at its
 * start, or is about to. The direct map covers the first 4 GiB and every range of `map` but MMIO
 * above 4 GiB, without the image. Pages come from pages_alloc(). Returns CR3, or 0 when memory is
 * short.
 */
paddr_t host_paging_init(const struct memmap *map, paddr_t home, u64 size);

/*
 * Adds memory outside `map` to the direct map, on any CPU at any time; what is there stays as it
 * is, and no other CPU can have cached anything of what is new. False: memory for tables is short.
 */
bool host_paging_map(paddr_t start, u64 size);

/*
 * CR3 with four levels of paging. Firmware may have five, so that this CPU's own is another: see
 * boot/efi_main.c.
 */
paddr_t host_paging_root(void);

/* Takes a page of the direct map away for good, before any other CPU uses it. */
void host_paging_guard(const void *page);

/* Maps one page below 1 MiB at its physical address, executable, for the trampoline. */
bool host_paging_map_trampoline(paddr_t page);
void host_paging_unmap_trampoline(void);
