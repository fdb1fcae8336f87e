/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Boot information as it lies in memory: Multiboot2 Specification, "Boot information format". Read
 * by multiboot2.h, written by mb2_writer.h.
 */
#pragma once

#include <x86/types.h>

enum mb2_tag_type {
	TAG_END = 0,
	TAG_CMDLINE = 1,
	TAG_LOADER = 2,
	TAG_MODULE = 3,
	TAG_BASIC_MEMORY = 4,
	TAG_MMAP = 6,
	TAG_FRAMEBUFFER = 8,
	TAG_EFI32 = 11,
	TAG_EFI64 = 12,
	TAG_RSDP_OLD = 14,
	TAG_RSDP_NEW = 15,
	TAG_EFI_MMAP = 17,
	TAG_EFI_BS = 18,
	TAG_EFI64_IMAGE = 20,
};

enum { TAG_ALIGN = 8 };

struct tag {
	u32 type; /* enum mb2_tag_type, or one that is newer */
	u32 size; /* with this header, without the padding to the next tag */
};
_Static_assert(sizeof(struct tag) == 8, "tag header");
