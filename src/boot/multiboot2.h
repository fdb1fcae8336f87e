/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The boot information of the Multiboot2 Specification ("Boot information format"), checked and
 * brought into a form that needs no further checks. All addresses are physical.
 */
#pragma once

#include <x86/types.h>

#include "mm/memmap.h"
#include "platform/console.h"

enum mb2_status {
	MB2_OK,
	MB2_MISALIGNED,
	MB2_NO_HEADER,
	MB2_BAD_TOTAL_SIZE,
	MB2_TAG_CUT,
	MB2_TAG_TOO_SMALL,
	MB2_TAG_OVERRUN,
	MB2_NO_END_TAG,
	MB2_BAD_END_TAG,
	MB2_TAG_INCOMPLETE,
	MB2_CMDLINE_UNTERMINATED,
	MB2_LOADER_UNTERMINATED,
	MB2_MODULE_UNTERMINATED,
	MB2_MODULE_BACKWARDS,
	MB2_TOO_MANY_MODULES,
	MB2_NO_MEMORY_MAP,
	MB2_MMAP_ENTRY_SIZE,
	MB2_MMAP_PARTIAL,
	MB2_MMAP_FULL,
	MB2_FB_EMPTY,
	MB2_FB_DEPTH,
	MB2_FB_PITCH,
	MB2_FB_RANGE,
	MB2_FB_COLOR,
	MB2_EFI_MMAP_ENTRY_SIZE,
	MB2_EFI_MMAP_PARTIAL,
	MB2_STATUS_COUNT,
};

enum {
	MB2_MAX_MODULES = 16,
	/* What there is room for: a server's EFI memory map alone has many hundred entries of 48
	   bytes. */
	MB2_INFORMATION_MAX = 64 * 1024,
};

struct mb2_module {
	paddr_t start;
	paddr_t end;        /* exclusive, >= start */
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

	bool has_load_base;
	u32 load_base; /* where a relocatable image was put */

	paddr_t efi_system_table; /* 0: not booted by EFI */
	bool efi_64bit;           /* which of the two system tables it is */
	bool boot_services_running;
	paddr_t efi_image;    /* the boot loader's own handle, if they run; or 0 */
	const void *efi_mmap; /* points into the boot information; NULL when there is none */
	u32 efi_mmap_size;    /* bytes, a multiple of efi_desc_size */
	u32 efi_desc_size;    /* >= 40 and a multiple of 8 */
	u32 efi_desc_version;
};

/*
 * Parse the boot information at mbi, of which `limit` bytes may be read. Tags that Umbra has no
 * use for are skipped; of a tag that comes twice the last counts, modules and maps add up.
 * *out is complete only for MB2_OK, and its pointers live as long as the boot information does.
 */
enum mb2_status mb2_parse(const void *mbi, size_t limit, struct mb2_info *out);

/* One line of text for people, never NULL. */
const char *mb2_status_text(enum mb2_status status);
