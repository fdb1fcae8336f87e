/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The boot information of the Multiboot2 Specification ("Boot information format"), checked and
 * brought into a form that needs no further checks. All addresses are physical.
 */
#pragma once

#include <screen/framebuffer.h>

#include "boot/efi_map.h"
#include "mm/memmap.h"

enum {
	MB2_MAX_MODULES = 16,
	/* What there is room for: a server's EFI memory map alone has many hundred entries of 48
	   bytes. */
	MB2_INFORMATION_MAX = 64 * 1024,
};

struct mb2_module {
	struct range memory;
	const char *string; /* terminated; points into the boot information */
	u32 length;         /* strlen(string) */
};

struct mb2_info {
	char cmdline[2048];
	bool cmdline_truncated;
	char loader[64]; /* the boot loader's name, cut to fit */

	u32 module_count;
	struct mb2_module module[MB2_MAX_MODULES];

	struct memmap memmap;

	u8 rsdp[36];     /* copy of the ACPI RSDP; its checksums are not yet checked */
	size_t rsdp_len; /* 36 for ACPI 2.0 and later, 20 for ACPI 1.0, 0 when there is none */

	bool has_fb;
	struct framebuffer fb;

	paddr_t efi_system_table; /* 0: not booted by EFI */
	bool efi_64bit;           /* which of the two system tables it is */
	bool boot_services_running;
	paddr_t efi_image; /* the boot loader's own handle, if they run; or 0 */
	/* Points into the boot information; without descriptors when there is none. */
	struct efi_map_view efi_map;
};

/*
 * Parse the boot information at mbi, of which `limit` bytes may be read. Tags that Umbra has no
 * use for are skipped; of a tag that comes twice the last counts, modules and maps add up.
 * *out is complete only for NULL, and its pointers live as long as the boot information does.
 * Returns NULL, or what is wrong, for people.
 */
const char *mb2_parse(const void *mbi, size_t limit, struct mb2_info *out);
