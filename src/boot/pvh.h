/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Starting an uncompressed kernel by the PVH protocol (Xen "x86/HVM direct boot ABI"): an ELF file
 * that tells its 32-bit entry in a note, and a struct hvm_start_info for it in EBX.
 */
#pragma once

#include <x86/types.h>

#include "boot/elf.h"
#include "mm/memmap.h"

struct hvm_start_info {
	u32 magic;
	u32 version;
	u32 flags;
	u32 nr_modules;
	u64 modlist_paddr;
	u64 cmdline_paddr;
	u64 rsdp_paddr;
	u64 memmap_paddr;
	u32 memmap_entries;
	u32 reserved;
};
_Static_assert(sizeof(struct hvm_start_info) == 56, "hvm_start_info");
_Static_assert(offsetof(struct hvm_start_info, modlist_paddr) == 16, "hvm_start_info");
_Static_assert(offsetof(struct hvm_start_info, rsdp_paddr) == 32, "hvm_start_info");
_Static_assert(offsetof(struct hvm_start_info, memmap_entries) == 48, "hvm_start_info");

struct hvm_modlist_entry {
	u64 paddr;
	u64 size;
	u64 cmdline_paddr;
	u64 reserved;
};
_Static_assert(sizeof(struct hvm_modlist_entry) == 32, "hvm_modlist_entry");

struct pvh_handover {
	paddr_t cmdline; /* NUL-terminated, 0: none */
	paddr_t initrd;
	u64 initrd_size; /* 0: none */
	paddr_t rsdp;
	const struct memmap *map;
};

/* Reads the ELF file at `image`, which is untrusted. NULL: *out is valid; else what is wrong, for
 * people. */
const char *pvh_parse(const void *image, size_t size, struct elf_kernel *out);

/* Bytes that pvh_fill_start_info writes. */
size_t pvh_start_info_size(const struct pvh_handover *handover);

/*
 * Writes the start info, and right after it its module list and memory map, to `info`, which is
 * 8-aligned, at physical `address`, and has pvh_start_info_size() bytes.
 */
void pvh_fill_start_info(struct hvm_start_info *info, paddr_t address,
			 const struct pvh_handover *handover);
