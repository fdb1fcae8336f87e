/* SPDX-License-Identifier: BSD-2-Clause */
#include "boot/efi_map.h"

#include "lib/string.h"

struct efi_memory_descriptor {
	u32 type;
	u32 padding;
	u64 physical_start;
	u64 virtual_start;
	u64 page_count;
	u64 attribute;
};
_Static_assert(sizeof(struct efi_memory_descriptor) == 40, "EFI_MEMORY_DESCRIPTOR");

/* UEFI Specification, "Memory Type Usage after ExitBootServices()". */
enum {
	EFI_RESERVED_MEMORY = 0,
	EFI_LOADER_CODE = 1,
	EFI_LOADER_DATA = 2,
	EFI_BOOT_SERVICES_CODE = 3,
	EFI_BOOT_SERVICES_DATA = 4,
	EFI_CONVENTIONAL_MEMORY = 7,
	EFI_UNUSABLE_MEMORY = 8,
	EFI_ACPI_RECLAIM_MEMORY = 9,
	EFI_ACPI_MEMORY_NVS = 10,
};

#define EFI_MEMORY_RUNTIME BIT(63)

/* Descriptors may be longer than what is known of them, and need no alignment here. */
static struct efi_memory_descriptor load(const u8 *at)
{
	struct efi_memory_descriptor d;

	memcpy(&d, at, sizeof(d));
	return d;
}

/* The end of what it describes, or the last byte's address if there is no byte behind. */
static paddr_t end_of(const struct efi_memory_descriptor *d)
{
	return d->page_count > (~0ull - d->physical_start) / PAGE_SIZE
		       ? ~0ull
		       : d->physical_start + d->page_count * PAGE_SIZE;
}

static void set_range(u8 *at, paddr_t start, paddr_t end)
{
	struct efi_memory_descriptor d = load(at);

	d.physical_start = start;
	d.page_count = (end - start) / PAGE_SIZE;
	memcpy(at, &d, sizeof(d));
}

static void set_reserved(u8 *at)
{
	struct efi_memory_descriptor d = load(at);

	d.type = EFI_RESERVED_MEMORY;
	d.attribute &= ~EFI_MEMORY_RUNTIME;
	memcpy(at, &d, sizeof(d));
}

size_t efi_map_reserve(void *map, size_t size, size_t capacity, size_t stride, paddr_t start,
		       u64 bytes)
{
	const paddr_t end = start + bytes;
	u8 *base = map;

	for (size_t offset = 0; offset + stride <= size; offset += stride) {
		const struct efi_memory_descriptor d = load(base + offset);
		const paddr_t last = end_of(&d);
		const paddr_t from = d.physical_start > start ? d.physical_start : start;
		const paddr_t to = last < end ? last : end;
		const size_t before = from > d.physical_start, after = to < last;
		const size_t extra = (before + after) * stride;

		if (from >= to)
			continue;
		if (extra > capacity - size) {
			/* No room to cut: rather all of it than none. */
			set_reserved(base + offset);
			continue;
		}
		memmove(base + offset + extra, base + offset, size - offset);
		size += extra;
		if (before) {
			memcpy(base + offset, base + offset + extra, stride);
			set_range(base + offset, d.physical_start, from);
			offset += stride;
		}
		if (after) {
			memcpy(base + offset, base + offset + stride, stride);
			set_range(base + offset + stride, to, last);
		}
		set_range(base + offset, from, to);
		set_reserved(base + offset);
		if (after)
			offset += stride;
	}
	return size;
}

/* What is not listed is reserved. */
static u32 type_of(const struct efi_memory_descriptor *d)
{
	static const u8 types[] = {
		[EFI_LOADER_CODE] = MEMMAP_USABLE,
		[EFI_LOADER_DATA] = MEMMAP_USABLE,
		[EFI_BOOT_SERVICES_CODE] = MEMMAP_USABLE,
		[EFI_BOOT_SERVICES_DATA] = MEMMAP_USABLE,
		[EFI_CONVENTIONAL_MEMORY] = MEMMAP_USABLE,
		[EFI_UNUSABLE_MEMORY] = MEMMAP_BAD,
		[EFI_ACPI_RECLAIM_MEMORY] = MEMMAP_ACPI_RECLAIM,
		[EFI_ACPI_MEMORY_NVS] = MEMMAP_ACPI_NVS,
	};

	return d->type < ARRAY_SIZE(types) && types[d->type] ? types[d->type] : MEMMAP_RESERVED;
}

void efi_map_reserve_firmware(const struct efi_map_view *map, struct memmap *out)
{
	const u8 *base = map->descriptors;

	for (size_t offset = 0; offset + map->stride <= map->size; offset += map->stride) {
		const struct efi_memory_descriptor d = load(base + offset);

		if (type_of(&d) != MEMMAP_USABLE || d.type == EFI_BOOT_SERVICES_CODE ||
		    d.type == EFI_BOOT_SERVICES_DATA)
			memmap_reserve(out, d.physical_start, end_of(&d) - d.physical_start);
	}
}

bool efi_map_read(const struct efi_map_view *map, struct memmap *out)
{
	const u8 *base = map->descriptors;

	*out = (struct memmap){0};
	for (size_t offset = 0; offset + map->stride <= map->size; offset += map->stride) {
		const struct efi_memory_descriptor d = load(base + offset);

		if (!memmap_add(out, d.physical_start, end_of(&d) - d.physical_start, type_of(&d)))
			return false;
	}
	return true;
}
