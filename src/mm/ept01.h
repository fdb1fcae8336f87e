/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * ept01: the one map from guest-physical to physical addresses that L1 runs on, on all CPUs.
 * Identity, without Umbra's memory, memory types from the guest's MTRRs.
 */
#pragma once

#include <x86/types.h>

#include "mm/memmap.h"
#include "mm/mtrr.h"

/* Reads this CPU's MTRRs. */
void ept01_read_mtrrs(struct mtrr_state *out);

/*
 * How many pages the map keeps for itself once it is built, `size` bytes being hidden: for pages of
 * ones, and on CPUs whose EPT has no 1 GiB pages for the first 70 GiB or so of MMIO that the guest
 * uses beyond its memory. More of that is refused when no other page is left.
 */
u64 ept01_kept_pages(u64 size, u64 ept_cap);

/*
 * Builds the map and hides [home, home + size). `ept_cap` is IA32_VMX_EPT_VPID_CAP. False: memory
 * is short.
 */
bool ept01_init(const struct memmap *map, u64 ept_cap, paddr_t home, u64 size);

/* Hides one more page, below 1 MiB, before any CPU uses the map. False: memory is short. */
bool ept01_hide_page(paddr_t page);

/* Ranges of registers, at most. */
enum { EPT01_DEVICES = 64 };

/*
 * Hides a device's registers before any CPU uses the map: they read as ones, as where no device is,
 * and writes go to a page that nobody else reads. False: memory is short.
 */
bool ept01_hide_registers(paddr_t start, u64 size);

/* The EPTP with which L1 runs. */
u64 ept01_eptp(void);

/* Bytes of the page that maps `gpa`, 0 if none does. */
u64 ept01_page_size(paddr_t gpa);

/*
 * Whether any byte of [start, start + size) is Umbra's, a hidden register, or at an address that
 * this map never reaches: no memory to the guest in all cases.
 */
bool ept01_is_hidden(paddr_t start, u64 size);

/*
 * Whether the guest's MTRRs make all of [start, start + size), in 4 KiB pages, write-back, as
 * memory is and MMIO is not. Takes ept01's lock.
 */
bool ept01_is_write_back(paddr_t start, u64 size);

/* Lets ept01 follow MTRRs that a CPU's guest has just written. Runs on that CPU. */
void ept01_mtrrs_written(const struct mtrr_state *mtrrs);

/* Maps `gpa` if it was left out to save memory. False: it is hidden or does not exist. */
bool ept01_fill(paddr_t gpa);

/*
 * Backs the hidden page at `gpa` with a read-only page of ones, which is what reads of absent
 * memory give. False: no memory for tables.
 */
bool ept01_show_ones(paddr_t gpa);

/* That page of ones, which must never be mapped with write permission. */
paddr_t ept01_ones(void);
