/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Starting an ELF kernel that follows the Multiboot2 Specification: its header, and the boot
 * information it gets in EBX (with 0x36d76289 in EAX, in 32-bit protected mode).
 */
#pragma once

#include "boot/elf.h"
#include "boot/multiboot2.h"

enum { MB2_KERNEL_MAGIC = 0x36d76289 };

/* What mb2_kernel_parse() says of a file without such a header in its first 32 KiB. */
extern const char mb2_kernel_no_header[];

/* Reads the file at `image`, which is untrusted. NULL: *out is valid; else what is wrong, for
 * people. */
const char *mb2_kernel_parse(const void *image, size_t size, struct elf_kernel *out);

/*
 * Writes to `buffer`, 8-aligned and of `size` bytes, what the boot loader has told of the machine
 * and of the modules behind the kernel, the first of which lies at module[0] now; all are below 4
 * GiB. Returns the bytes it takes; if that is more than `size` nothing is written (so 0 asks).
 */
size_t mb2_kernel_fill_info(void *buffer, size_t size, const struct mb2_info *info,
			    const paddr_t *module);
