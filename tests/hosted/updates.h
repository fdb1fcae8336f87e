/* SPDX-License-Identifier: BSD-2-Clause */
/* Made-up microcode updates, in the format of SDM "Microcode Update Field Definitions". */
#pragma once

#include <string.h>

#include <x86/types.h>

/* Words of the header. */
enum {
	UPDATE_VERSION = 0,
	UPDATE_REVISION = 1,
	UPDATE_SIGNATURE = 3,
	UPDATE_CHECKSUM = 4,
	UPDATE_LOADER = 5,
	UPDATE_PLATFORMS = 6,
	UPDATE_DATA_SIZE = 7,
	UPDATE_TOTAL_SIZE = 8,
	UPDATE_HEADER_SIZE = 48,
};

struct update_file {
	_Alignas(16) u8 bytes[64 * 1024];
	size_t size;
};

static inline u32 update_get(const struct update_file *file, size_t at, u32 field)
{
	u32 value;

	memcpy(&value, file->bytes + at + field * sizeof(value), sizeof(value));
	return value;
}

static inline void update_set(struct update_file *file, size_t at, u32 field, u32 value)
{
	memcpy(file->bytes + at + field * sizeof(value), &value, sizeof(value));
}

/* Makes the `bytes` at `at` add up to 0 by the word `field` of them. */
static inline void update_balance(struct update_file *file, size_t at, u32 field, size_t bytes)
{
	u32 total = 0;

	update_set(file, at, field, 0);
	for (u32 i = 0; i < bytes / sizeof(u32); i++)
		total += update_get(file, at, i);
	update_set(file, at, field, 0 - total);
}

static inline void update_seal(struct update_file *file, size_t at, size_t bytes)
{
	update_balance(file, at, UPDATE_CHECKSUM, bytes);
}

/* Appends one; room for a table of `count` signatures with their flags is left behind its data. */
static inline void update_add_extended(struct update_file *file, u32 signature, u32 platforms,
				       u32 revision, u32 data_size, const u32 (*extended)[2],
				       u32 count)
{
	const size_t at = file->size;
	const u32 table = (UPDATE_HEADER_SIZE + data_size) / sizeof(u32);
	const size_t table_size = count ? 20 + count * 12 : 0;
	const size_t total = ALIGN_UP(UPDATE_HEADER_SIZE + data_size + table_size, (size_t)1024);
	u32 own;

	memset(file->bytes + at, 0, total);
	for (size_t i = UPDATE_HEADER_SIZE; i < UPDATE_HEADER_SIZE + data_size; i++)
		file->bytes[at + i] = (u8)(i * 7 + revision);
	update_set(file, at, UPDATE_VERSION, 1);
	update_set(file, at, UPDATE_REVISION, revision);
	update_set(file, at, 2, 0x08052026);
	update_set(file, at, UPDATE_SIGNATURE, signature);
	update_set(file, at, UPDATE_LOADER, 1);
	update_set(file, at, UPDATE_PLATFORMS, platforms);
	update_set(file, at, UPDATE_DATA_SIZE, data_size);
	update_set(file, at, UPDATE_TOTAL_SIZE, (u32)total);
	update_seal(file, at, UPDATE_HEADER_SIZE + data_size);
	own = signature + platforms + update_get(file, at, UPDATE_CHECKSUM);
	if (count) {
		update_set(file, at, table, count);
		for (u32 i = 0; i < count; i++) {
			update_set(file, at, table + 5 + 3 * i, extended[i][0]);
			update_set(file, at, table + 6 + 3 * i, extended[i][1]);
			update_set(file, at, table + 7 + 3 * i,
				   own - extended[i][0] - extended[i][1]);
		}
		update_balance(file, at + table * sizeof(u32), 1, table_size);
	}
	file->size += total;
}

static inline void update_add(struct update_file *file, u32 signature, u32 platforms, u32 revision,
			      u32 data_size)
{
	update_add_extended(file, signature, platforms, revision, data_size, NULL, 0);
}
