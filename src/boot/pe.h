/* SPDX-License-Identifier: BSD-2-Clause */
/* Microsoft, "PE Format"; UEFI Specification, "UEFI Images". Pure. */
#pragma once

#include <x86/types.h>

struct pe_info {
	u16 version; /* Linux's EFI stub: 1 and above takes its initrd from LoadFile2 */
};

/*
 * Whether the file is an EFI application for x86-64. It may be a Linux kernel just as well. Whether
 * it is sound the firmware decides when it loads it.
 */
bool pe_is_efi_program(const void *file, size_t size, struct pe_info *out);
