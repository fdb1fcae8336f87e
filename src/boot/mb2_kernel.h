/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Starting an ELF kernel that follows the Multiboot2 Specification: its header, and the boot
 * information it gets in EBX (with 0x36d76289 in EAX, in 32-bit protected mode).
 */
#pragma once

#include <screen/framebuffer.h>
#include <x86/types.h>

#include "boot/elf.h"
#include "mm/memmap.h"

enum { MB2_KERNEL_MAGIC = 0x36d76289, MB2_KERNEL_MODULES_MAX = 16 };

struct mb2_kernel {
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
	const struct framebuffer *fb; /* NULL: unknown; of a type that needs no palette */
	u32 module_count;
	struct mb2_kernel_module module[MB2_KERNEL_MODULES_MAX];
	const void *rsdp; /* copied */
	size_t rsdp_size; /* 20 for ACPI 1.0, 36 and more for later ones, 0 for none */
};

/* What mb2_kernel_parse() says of a file without such a header in its first 32 KiB. */
extern const char mb2_kernel_no_header[];

/* Reads the file at `image`, which is untrusted. NULL: *out is valid; else what is wrong, for
 * people. */
const char *mb2_kernel_parse(const void *image, size_t size, struct mb2_kernel *out);

/*
 * Writes the boot information to `buffer`, 8-aligned and of `size` bytes. Modules lie below 4 GiB.
 * Returns the bytes it takes; if that is more than `size` nothing is written (so 0 asks).
 */
size_t mb2_kernel_fill_info(void *buffer, size_t size, const struct mb2_kernel_handover *handover);
