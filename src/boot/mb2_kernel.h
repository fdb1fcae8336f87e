/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Starting an ELF kernel that follows the Multiboot2 Specification: its header, and the boot
 * information it gets in EBX (with 0x36d76289 in EAX, in 32-bit protected mode).
 */
#pragma once

#include <x86/types.h>

#include "boot/elf.h"
#include "mm/memmap.h"

enum { MB2_KERNEL_MAGIC = 0x36d76289, MB2_KERNEL_MODULES_MAX = 16 };

enum mb2_kernel_status {
	MB2_KERNEL_OK,
	MB2_KERNEL_NO_HEADER,   /* none in the first 32 KiB */
	MB2_KERNEL_BAD_HEADER,  /* wrong architecture, size or tags */
	MB2_KERNEL_UNSUPPORTED, /* insists on something that Umbra does not offer */
	MB2_KERNEL_BAD_ELF,     /* see mb2_kernel.elf_status */
	MB2_KERNEL_BAD_ENTRY,   /* the entry is in no segment, or not below 4 GiB */
};

struct mb2_kernel {
	enum elf_status elf_status;
	u32 entry; /* physical */
	bool align_modules;
	struct elf_image elf;
};

struct mb2_kernel_module {
	paddr_t start;
	u64 size;
	const char *string;
};

struct mb2_kernel_handover {
	const char *cmdline;
	const char *loader; /* NULL: unknown */
	const struct memmap *map;
	u32 module_count;
	struct mb2_kernel_module module[MB2_KERNEL_MODULES_MAX];
	const void *rsdp; /* copied */
	size_t rsdp_size; /* 20 for ACPI 1.0, 36 and more for later ones, 0 for none */
};

/* Reads the file at `image`, which is untrusted. *out is valid with MB2_KERNEL_OK. */
enum mb2_kernel_status mb2_kernel_parse(const void *image, size_t size, struct mb2_kernel *out);

/* One line for the log, without a full stop. */
const char *mb2_kernel_status_text(const struct mb2_kernel *kernel, enum mb2_kernel_status status);

/*
 * Writes the boot information to `buffer`, 8-aligned and of `size` bytes. Modules lie below 4 GiB.
 * Returns the bytes it takes; if that is more than `size` nothing is written (so 0 asks).
 */
size_t mb2_kernel_fill_info(void *buffer, size_t size, const struct mb2_kernel_handover *handover);
