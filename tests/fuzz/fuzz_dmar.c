/* SPDX-License-Identifier: BSD-2-Clause */
/* The input is the table, its checksum taken as right. */
#include <stdlib.h>
#include <string.h>

#include "platform/dmar.h"

int LLVMFuzzerTestOneInput(const u8 *data, size_t size);

static void require(bool condition)
{
	if (!condition)
		abort();
}

int LLVMFuzzerTestOneInput(const u8 *data, size_t size)
{
	static struct dmar_info info;
	/* Of the exact size, so that the sanitizer sees a byte too many. */
	u8 *table = malloc(size ? size : 1);
	const char *error;

	memcpy(table, data, size);
	error = dmar_parse(table, (u32)size, &info);
	free(table);
	require(!error || error[0] != '\0');
	require(info.unit_count <= DMAR_MAX_UNITS && info.reserved_count <= DMAR_MAX_RESERVED);
	if (error)
		return 0;
	require(size >= 48 && info.address_width >= 32 && info.address_width <= 64);
	for (u32 i = 0; i < info.unit_count; i++) {
		require(info.unit[i].start % PAGE_SIZE == 0 && info.unit[i].size >= PAGE_SIZE);
		require(info.unit[i].start + info.unit[i].size <= BIT(52));
	}
	for (u32 i = 0; i < info.reserved_count; i++)
		require(info.reserved[i].size &&
			info.reserved[i].start + info.reserved[i].size - 1 >=
				info.reserved[i].start);
	return 0;
}
