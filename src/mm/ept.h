/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The identity map from guest-physical to physical addresses that the guest runs on: built in the
 * largest pages that memory types allow, with pages of Umbra's own missing.
 *
 * Writers (every function taking a non-const struct ept) are serialised by the caller. Other
 * processors may be walking the tables meanwhile: each entry changes by one 64-bit store, and a
 * table is complete before an entry points at it. Cached translations are the caller's to
 * invalidate (SDM "Operations that Invalidate Cached Mappings") after every function that says so.
 * Accessed and dirty flags are not enabled: processors never write to these tables.
 */
#pragma once

#include <x86/ept.h>
#include <x86/types.h>

#include "mm/mtrr.h"

/* Tables are pages of pages_alloc_kept(): while the map is built nothing is kept yet. */
struct ept {
	const struct mtrr_state *mtrrs; /* what memory types are made from */
	u64 *root;
	u64 limit;   /* end of guest-physical space */
	bool has_1g; /* page sizes the processor's EPT supports */
	bool has_2m;
	u64 withheld; /* of EPT_RWX, what no entry gives */
};

/* What ept_walk found. */
struct ept_walk {
	u64 entry;         /* where the walk ended: leaf or absent */
	paddr_t pa;        /* physical address, if present */
	u64 size;          /* bytes that `entry` covers */
	u8 level;          /* 1 = 4 KiB … 4 = 512 GiB */
	u8 perm;           /* EPT_READ | EPT_WRITE | EPT_EXEC */
	enum memtype type; /* if present */
	bool hidden;       /* absent because of ept_hide */
};

/*
 * Starts the map of 2^width bytes (32 or more; at most 2^EPT_MAX_WIDTH are mapped). The caller has
 * set mtrrs, which stay alive, has_1g, has_2m and withheld. With 1 GiB pages, or up
 * to 39 bits, all of it is mapped now; otherwise up to the larger of top_of_ram and 4 GiB, the rest
 * being ept_fill's. False: no memory for tables; the map must not be used.
 */
bool ept_map_identity(struct ept *ept, unsigned int width, paddr_t top_of_ram);

/* The EPTP for this map. */
u64 ept_eptp(const struct ept *ept);

/*
 * Makes the pages that [start, start + size) touches absent for good; a range that reaches over
 * the end of the map is cut. Needs an invalidation. False: no memory for tables, the range may be
 * hidden in part.
 */
bool ept_hide(struct ept *ept, paddr_t start, u64 size);

/*
 * Maps the 4 KiB page at `gpa` to `hpa` with permissions from EPT_RWX (0 makes it absent as
 * ept_hide does) and `type`, which later ept_update_types leave alone. Works on hidden pages too.
 * Needs an invalidation. False: not below the end of the map, or no memory for tables.
 */
bool ept_set_4k(struct ept *ept, paddr_t gpa, paddr_t hpa, u64 perm, enum memtype type);

/*
 * Maps the 1 GiB around `gpa` if ept_map_identity left it out. True: gpa is mapped now (by this
 * call or before), no invalidation is needed and the access may be repeated. False: gpa is hidden,
 * beyond the end, or there is no memory for tables.
 */
bool ept_fill(struct ept *ept, paddr_t gpa);

/*
 * Sets the memory types again after the MTRRs changed. Needs an invalidation. Where there is no
 * memory for tables a block gets one strict type, which is slow but right.
 */
void ept_update_types(struct ept *ept);

/* Translates `gpa`. True if it is present with any permission. `out` is filled in either case. */
bool ept_walk(const struct ept *ept, paddr_t gpa, struct ept_walk *out);
