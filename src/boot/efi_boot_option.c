/* SPDX-License-Identifier: BSD-2-Clause */
#include "boot/efi_boot_option.h"

#include "lib/string.h"

enum {
	LOAD_OPTION_ACTIVE = 1,
	LOAD_OPTION_CATEGORY = 0x1f00, /* 0: boot; others are not part of booting */
	HARD_DRIVE = 1,                /* subtype of media paths */
	HARD_DRIVE_SIZE = 42,
	SIGNATURE_OFFSET = 24, /* 16 bytes of signature, format, signature type */
	SIGNATURE_SIZE = 18,
};

static u16 read16(const u8 *at)
{
	return (u16)(at[0] | at[1] << 8);
}

bool efi_boot_option_parse(const void *variable, size_t size, struct efi_boot_option *out)
{
	const u8 *bytes = variable;
	size_t at = 6, used = 0;

	*out = (struct efi_boot_option){0};
	if (size < at)
		return false;
	out->active =
		(read16(bytes) & (LOAD_OPTION_ACTIVE | LOAD_OPTION_CATEGORY)) == LOAD_OPTION_ACTIVE;
	out->path_size = read16(bytes + 4);
	for (;; at += 2) {
		u16 c;

		if (size - at < 2)
			return false;
		c = read16(bytes + at);
		if (!c)
			break;
		if (used + 1 < sizeof(out->description))
			out->description[used++] = c >= ' ' && c <= '~' ? (char)c : '?';
	}
	at += 2;
	if (out->path_size < sizeof(struct efi_device_path) || out->path_size > size - at)
		return false;
	out->path = bytes + at;
	out->data = bytes + at + out->path_size;
	out->data_size = size - at - out->path_size;
	return true;
}

bool efi_boot_order_next(const void *order, size_t size, u16 current, u16 *next)
{
	const u8 *bytes = order;
	const size_t count = size / 2;
	size_t at = 0;

	while (at < count && read16(bytes + 2 * at) != current)
		at++;
	at = at < count ? at + 1 : 0;
	if (at >= count)
		return false;
	*next = read16(bytes + 2 * at);
	return true;
}

void efi_boot_option_name(u16 number, char out[9])
{
	memcpy(out, "Boot", 4);
	for (u32 i = 0; i < 4; i++)
		out[4 + i] = "0123456789ABCDEF"[number >> (12 - 4 * i) & 15];
	out[8] = '\0';
}

bool efi_path_is_short(const u8 *path, size_t size)
{
	return size >= HARD_DRIVE_SIZE && path[0] == EFI_PATH_MEDIA && path[1] == HARD_DRIVE &&
	       read16(path + 2) == HARD_DRIVE_SIZE;
}

bool efi_path_has_partition(const u8 *path, size_t size, const u8 *short_path, size_t short_size)
{
	if (!efi_path_is_short(short_path, short_size))
		return false;
	for (size_t at = 0; size - at >= sizeof(struct efi_device_path);) {
		const u16 length = read16(path + at + 2);

		if (path[at] == EFI_PATH_END || length < sizeof(struct efi_device_path) ||
		    length > size - at)
			return false;
		if (efi_path_is_short(path + at, size - at) &&
		    memcmp(path + at + SIGNATURE_OFFSET, short_path + SIGNATURE_OFFSET,
			   SIGNATURE_SIZE) == 0)
			return true;
		at += length;
	}
	return false;
}
