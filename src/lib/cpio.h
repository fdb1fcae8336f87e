/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * cpio archives of the "newc" kind, as an initrd begins with: archives one after the other, until
 * something else follows, such as a compressed one. ("initramfs buffer format" and "Linux x86 early
 * load microcode" in the kernel's documentation.)
 */
#pragma once

#include <x86/types.h>

/*
 * The contents of the first file of this name, inside the `size` bytes at `archive`; NULL: there is
 * none before the end or the first damage.
 */
const u8 *cpio_find(const void *archive, size_t size, const char *name, size_t *length);
