/* SPDX-License-Identifier: BSD-2-Clause */
/* The firmware's list of what to boot. UEFI Specification, "Load Options" and "Boot Manager". Pure.
 */
#pragma once

#include <x86/types.h>

#include "boot/efi.h"

/* EFI_LOAD_OPTION; the pointers are into what was parsed and need no alignment. */
struct efi_boot_option {
	bool active;          /* the boot manager starts it by itself */
	char description[64]; /* other than printable ASCII as '?', cut to fit */
	const u8 *path;       /* device-path nodes, the end node included */
	size_t path_size;
	const u8 *data; /* the program's load options */
	size_t data_size;
};

/* False: it is damaged. */
bool efi_boot_option_parse(const void *variable, size_t size, struct efi_boot_option *out);

/*
 * The number behind `current` in BootOrder, `size` bytes of 16-bit numbers; the first one if
 * `current` is not listed. False: there is none.
 */
bool efi_boot_order_next(const void *order, size_t size, u16 current, u16 *next);

/* "Boot" and four hexadecimal digits, for a variable's name of 9 characters with its end. */
void efi_boot_option_name(u16 number, char out[9]);

/*
 * Whether a device path begins with a hard-drive node, so that it leaves out on which device
 * ("Short-form of Hard Drive Media Device Path"), and if so whether another path contains the same
 * partition. Sizes include the end node; neither is read beyond.
 */
bool efi_path_is_short(const u8 *path, size_t size);
bool efi_path_has_partition(const u8 *path, size_t size, const u8 *short_path, size_t short_size);
