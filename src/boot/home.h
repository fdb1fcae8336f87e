/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Umbra's home: one physical range below 4 GiB, at the top of usable RAM or, under UEFI, where the
 * firmware allocates it. It holds the image and everything allocated; the rest is the guest's.
 */
#pragma once

#include "mm/memmap.h"

/*
 * Picks the home, builds the final page tables in it, with the screen that the console draws on,
 * moves the running image there and reserves it in `map` and `room`. It is taken from `room`, the
 * part of the map that firmware does not use, if there is enough of it. `wanted` are bytes beside
 * the image and the tables, `ept_cap` is IA32_VMX_EPT_VPID_CAP; `avoid` are ranges that still hold
 * something (modules, the present image). Stops with a message if memory is short. Pointers into
 * the image stay valid.
 */
struct range home_move_in(struct memmap *map, struct memmap *room, u64 wanted, u64 ept_cap,
			  const struct range *avoid, size_t n_avoid);

/* The same for a home that the firmware has allocated: its size, then the move. */
u64 home_size(const struct memmap *map, u64 wanted, u64 ept_cap);

/*
 * The move itself, onto `home`. `root`, if not NULL, may make another root of the new tables to go
 * on with: CR3 in and out, physical; 0: memory is short. Stops with a message then. Returns CR3.
 */
paddr_t home_move_to(const struct memmap *map, struct range home, paddr_t (*root)(paddr_t cr3));
