/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * umbra.conf, the small file beside umbra.efi: lines of the form `key = value`, and comments from
 * '#' on. Pure.
 *
 *   options = serial=com1 stats      Umbra's own options (boot/cmdline.h)
 *   start = \EFI\debian\grubx64.efi  the program to start, a path on the same partition; without
 *                                    it, the firmware's next boot entry
 *   arguments = root=/dev/sda2 ro    what that program gets as load options
 *   initrd = \initrd.img              what a Linux kernel gets as initrd
 *   microcode = \EFI\umbra\GenuineIntel.bin   updates for the CPUs, as Intel publishes them
 */
#pragma once

#include <x86/types.h>

enum { EFI_CONFIG_VALUE = 1024 };

struct efi_config {
	char options[EFI_CONFIG_VALUE];
	char start[EFI_CONFIG_VALUE];
	char arguments[EFI_CONFIG_VALUE];
	char initrd[EFI_CONFIG_VALUE];
	char microcode[EFI_CONFIG_VALUE];
};

/*
 * Reads `length` bytes of text into *out, all of whose members are terminated; what a key is not
 * given for is empty, the last of two lines counts. NULL, or what is wrong with line *line, counted
 * from 1; the lines before it have been read.
 */
const char *efi_config_parse(const char *text, size_t length, struct efi_config *out, u32 *line);
