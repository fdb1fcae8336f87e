/* SPDX-License-Identifier: BSD-2-Clause */
/* EPT paging structures for a case, out of vmx_pages(). */
#pragma once

#include <x86/ept.h>

#include "vmx/l2.h"

struct eptmap {
	u64 *root;
};

/*
 * Turns EPT on for L2, with an identity map of the first 4 GiB: 2 MiB pages, all rights, write-back
 * below 3 GiB and uncacheable above. All rights are two to execute, as with mode-based execute
 * control; without it one of the bits is ignored. False if the CPU lacks what it takes.
 */
bool l2_ept(struct l2 *l2);

/* The EPT pointer for a map: 4 levels, and the memory type the CPU has for it. */
u64 ept_pointer(const struct eptmap *map);

/*
 * The entry that decides about gpa at this level (1: 4 KiB, 2: 2 MiB, 3: 1 GiB, 4: 512 GiB). Large
 * pages above it are split, missing tables made. The caller changes it and does ept_flush().
 */
u64 *ept_slot(struct eptmap *map, u64 gpa, unsigned level);

/* Maps the 4 KiB page of gpa to hpa with these rights, write-back, and flushes. */
void ept_map_page(struct eptmap *map, u64 gpa, u64 hpa, u64 rights);

/* INVEPT of everything this map has. */
void ept_flush(const struct eptmap *map);

#define L2_NEED_EPT(t, l2) SKIP_UNLESS(t, l2_ept(l2), "no EPT")
