/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The machine's memory map as the firmware reports it (ACPI "INT 15H, E820H - Query System
 * Address Map", multiboot2 "Memory map"), kept sorted, without overlaps and with neighbours of
 * one type joined. All addresses are physical, all sizes in bytes.
 */
#pragma once

#include <x86/types.h>

/* Numbers are E820's, which multiboot2 and PVH share. */
enum memmap_type {
	MEMMAP_USABLE = 1,
	MEMMAP_RESERVED = 2,
	MEMMAP_ACPI_RECLAIM = 3,
	MEMMAP_ACPI_NVS = 4,
	MEMMAP_BAD = 5,
};

enum { MEMMAP_MAX = 256 };

/*
 * The layout is that of multiboot2's memory map and of PVH's, so that a guest gets entries as they
 * are; the first MEMMAP_E820_SIZE bytes are what INT 15h and Linux's boot_params have.
 */
struct memmap_entry {
	paddr_t start;
	u64 size; /* never 0, and start + size never wraps */
	u32 type; /* enum memmap_type */
	u32 reserved;
};
enum { MEMMAP_E820_SIZE = 20 };
_Static_assert(sizeof(struct memmap_entry) == 24, "multiboot_mmap_entry, hvm_memmap_table_entry");
_Static_assert(offsetof(struct memmap_entry, reserved) == MEMMAP_E820_SIZE, "boot_e820_entry");

/* An all-zero map is a valid empty one. */
struct memmap {
	u32 count;
	struct memmap_entry e[MEMMAP_MAX];
};

struct range {
	paddr_t start;
	u64 size;
};

/* Whether two ranges, which do not wrap, share a byte. */
static inline bool ranges_overlap(struct range a, struct range b)
{
	return a.size && b.size && a.start < b.start + b.size && b.start < a.start + a.size;
}

/*
 * Add a range. Where it overlaps what is there the more restrictive type wins:
 * reserved, which any unknown type becomes, > bad > NVS > ACPI reclaim > usable.
 * A range that runs past the top of the 64-bit space is cut at 2^64 - 1; an empty one adds nothing.
 * False: the table is full. The map is still valid then, but lacks some of the range.
 */
bool memmap_add(struct memmap *map, paddr_t start, u64 size, u32 type);

/* Mark a range as reserved whatever it was, described or not. False: as for memmap_add(). */
bool memmap_reserve(struct memmap *map, paddr_t start, u64 size);

/*
 * The highest `align`-aligned usable range of `size` bytes that ends at or below `limit` and
 * touches none of the `avoid` ranges. It stays usable in the map; *out is written on success only.
 * False: there is none, size is 0, or align is not a power of two.
 */
bool memmap_find_top(const struct memmap *map, u64 size, u64 align, paddr_t limit,
		     const struct range *avoid, size_t n_avoid, paddr_t *out);

/* The same, lowest that starts at or above `min`. */
bool memmap_find_bottom(const struct memmap *map, u64 size, u64 align, paddr_t min,
			const struct range *avoid, size_t n_avoid, paddr_t *out);

/* Whether every byte of a range is usable RAM; false for an empty range or one that wraps. */
bool memmap_is_usable(const struct memmap *map, paddr_t start, u64 size);

/* Of all usable ranges together. */
u64 memmap_usable_bytes(const struct memmap *map);

/* First address after the last usable RAM; 0 when there is none. */
paddr_t memmap_top(const struct memmap *map);
