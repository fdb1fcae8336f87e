/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The EFI memory map that is handed on to the guest. UEFI Specification, "EFI_MEMORY_DESCRIPTOR".
 * Pure.
 */
#pragma once

#include <x86/types.h>

#include "mm/memmap.h"

/* One as it lies in memory, at any address. */
struct efi_map_view {
	const void *descriptors;
	u32 size;   /* bytes */
	u32 stride; /* from one descriptor to the next, at least 40 and a multiple of 8 */
	u32 version;
};

/* A range adds at most this many descriptors: it may cut one in three. */
enum { EFI_MAP_EXTRA = 2 };

/*
 * Makes [start, start + bytes), both multiples of 4 KiB, EfiReservedMemoryType wherever the map of
 * `size` bytes describes it; descriptors are `stride` (at least 40) bytes apart. Linux prefers this
 * map to E820 when it picks a random place for itself. `capacity` has room for EFI_MAP_EXTRA more
 * descriptors. Returns the new size in bytes.
 */
size_t efi_map_reserve(void *map, size_t size, size_t capacity, size_t stride, paddr_t start,
		       u64 bytes);

/*
 * What such a map describes, while the boot services run: memory that an operating system will have
 * is usable. False: *out is full.
 */
bool efi_map_read(const struct efi_map_view *map, struct memmap *out);

/*
 * Reserves in `out` all that such a map gives to anyone but the boot loader: runtime services,
 * ACPI, devices, and also the boot services. These are over, but Linux keeps their memory until it
 * has told the runtime services their virtual addresses, because firmware is known to use it in
 * that call. What is left usable holds nothing of firmware's. A table that overflows lacks some of
 * it.
 */
void efi_map_reserve_firmware(const struct efi_map_view *map, struct memmap *out);
