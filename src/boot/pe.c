/* SPDX-License-Identifier: BSD-2-Clause */
#include "boot/pe.h"

#include "lib/string.h"

enum {
	DOS_SIZE = 64,
	DOS_PE_OFFSET = 0x3c,
	/* From the signature on. */
	PE_MACHINE = 4,
	PE_MAGIC = 24,
	PE_IMAGE_VERSION = 24 + 44,
	PE_SUBSYSTEM = 24 + 68,
	PE_READ = 24 + 70,
	MACHINE_AMD64 = 0x8664,
	MAGIC_PE32_PLUS = 0x20b,
	SUBSYSTEM_EFI_APPLICATION = 10,
};

static u16 read16(const u8 *at)
{
	return (u16)(at[0] | at[1] << 8);
}

bool pe_is_efi_program(const void *file, size_t size, struct pe_info *out)
{
	const u8 *bytes = file;
	const u8 *pe;
	u32 offset;

	if (size < DOS_SIZE || memcmp(bytes, "MZ", 2) != 0)
		return false;
	offset = read16(bytes + DOS_PE_OFFSET) | (u32)read16(bytes + DOS_PE_OFFSET + 2) << 16;
	if (offset > size || size - offset < PE_READ)
		return false;
	pe = bytes + offset;
	if (memcmp(pe, "PE\0\0", 4) != 0 || read16(pe + PE_MACHINE) != MACHINE_AMD64 ||
	    read16(pe + PE_MAGIC) != MAGIC_PE32_PLUS ||
	    read16(pe + PE_SUBSYSTEM) != SUBSYSTEM_EFI_APPLICATION)
		return false;
	out->version = read16(pe + PE_IMAGE_VERSION);
	return true;
}
