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

void efi_map_reserve_firmware(const void *map, size_t size, size_t stride, struct memmap *out)
{
	const u8 *base = map;

	for (size_t offset = 0; offset + stride <= size; offset += stride) {
		const struct efi_memory_descriptor d = load(base + offset);

		if (d.type != EFI_LOADER_CODE && d.type != EFI_LOADER_DATA &&
		    d.type != EFI_CONVENTIONAL_MEMORY)
			memmap_reserve(out, d.physical_start, end_of(&d) - d.physical_start);
	}
}

bool efi_map_read(const void *map, size_t size, size_t stride, struct memmap *out)
{
	const u8 *base = map;

	*out = (struct memmap){0};
	for (size_t offset = 0; offset + stride <= size; offset += stride) {
		const struct efi_memory_descriptor d = load(base + offset);
		u32 type = MEMMAP_RESERVED;

		switch (d.type) {
		case EFI_LOADER_CODE:
		case EFI_LOADER_DATA:
		case EFI_BOOT_SERVICES_CODE:
		case EFI_BOOT_SERVICES_DATA:
		case EFI_CONVENTIONAL_MEMORY:
			type = MEMMAP_USABLE;
			break;
		case EFI_ACPI_RECLAIM_MEMORY:
			type = MEMMAP_ACPI_RECLAIM;
			break;
		case EFI_ACPI_MEMORY_NVS:
			type = MEMMAP_ACPI_NVS;
			break;
		case EFI_UNUSABLE_MEMORY:
			type = MEMMAP_BAD;
			break;
		default:
			break;
		}
		if (!memmap_add(out, d.physical_start, end_of(&d) - d.physical_start, type))
			return false;
	}
	return true;
}
