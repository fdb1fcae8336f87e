/* SPDX-License-Identifier: BSD-2-Clause */
#include "lib/cpio.h"

#include "lib/string.h"

/* Of a header: six characters of magic and thirteen numbers of eight hexadecimal digits. */
enum {
	MAGIC_SIZE = 6,
	DIGITS = 8,
	HEADER_SIZE = MAGIC_SIZE + 13 * DIGITS,
	FILE_SIZE_AT = MAGIC_SIZE + 6 * DIGITS,
	NAME_SIZE_AT = MAGIC_SIZE + 11 * DIGITS,
	ALIGNMENT = 4,
};

static bool read_number(const u8 *digits, u32 *out)
{
	*out = 0;
	for (u32 i = 0; i < DIGITS; i++) {
		const u32 digit = digit_value((char)digits[i]);

		if (digit >= 16)
			return false;
		*out = *out << 4 | digit;
	}
	return true;
}

/* One with checksums of its files is told from one without by the last digit alone. */
static bool is_header(const u8 *p)
{
	return memcmp(p, "070701", MAGIC_SIZE) == 0 || memcmp(p, "070702", MAGIC_SIZE) == 0;
}

const u8 *cpio_find(const void *archive, size_t size, const char *name, size_t *length)
{
	const u8 *const start = archive;
	const size_t name_size = strlen(name) + 1;
	size_t at = 0;

	while (at < size) {
		u32 file_size, entry_name_size;
		u64 data, next;

		/* Zeros between two archives. */
		if (start[at] == 0) {
			at++;
			continue;
		}
		if (size - at < HEADER_SIZE || !is_header(start + at) ||
		    !read_number(start + at + FILE_SIZE_AT, &file_size) ||
		    !read_number(start + at + NAME_SIZE_AT, &entry_name_size))
			return NULL;
		data = ALIGN_UP((u64)at + HEADER_SIZE + entry_name_size, (u64)ALIGNMENT);
		if (data > size || file_size > size - data)
			return NULL;
		if (entry_name_size == name_size &&
		    memcmp(start + at + HEADER_SIZE, name, name_size) == 0) {
			*length = file_size;
			return start + data;
		}
		next = ALIGN_UP(data + file_size, (u64)ALIGNMENT);
		at = next < size ? (size_t)next : size;
	}
	return NULL;
}
