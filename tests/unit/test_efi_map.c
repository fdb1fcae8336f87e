/* SPDX-License-Identifier: BSD-2-Clause */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "boot/efi_map.h"

/* UEFI Specification, "EFI_MEMORY_TYPE" and the attribute bits. */
enum {
	RESERVED = 0,
	BOOT_DATA = 4,
	RUNTIME_DATA = 6,
	CONVENTIONAL = 7,
	STRIDE = 48,
	MAX = 8,
};

static const u64 WB = 8, RUNTIME = 1ull << 63;

struct map {
	u8 *bytes; /* exactly as much as may be used, for the address sanitizer */
	size_t size;
};

/* Offsets of the fields of EFI_MEMORY_DESCRIPTOR. */
static void put(u8 *at, u32 type, u64 start, u64 pages, u64 attribute)
{
	memset(at, 0xa5, STRIDE);
	memcpy(at, &type, 4);
	memcpy(at + 8, &start, 8);
	memset(at + 16, 0, 8);
	memcpy(at + 24, &pages, 8);
	memcpy(at + 32, &attribute, 8);
}

static struct map new_map(void)
{
	return (struct map){.bytes = malloc(MAX * STRIDE)};
}

static void add(struct map *map, u32 type, u64 start, u64 pages, u64 attribute)
{
	put(map->bytes + map->size, type, start, pages, attribute);
	map->size += STRIDE;
}

static void assert_entry(const struct map *map, size_t n, u32 type, u64 start, u64 pages,
			 u64 attribute)
{
	u8 wanted[STRIDE];

	assert_true((n + 1) * STRIDE <= map->size);
	put(wanted, type, start, pages, attribute);
	memset(wanted + 4, 0xa5, 4);
	assert_memory_equal(map->bytes + n * STRIDE, wanted, STRIDE);
}

static void reserve(struct map *map, u64 start, u64 bytes)
{
	map->size = efi_map_reserve(map->bytes, map->size, MAX * STRIDE, STRIDE, start, bytes);
}

static void middle(void **state)
{
	struct map map = new_map();

	(void)state;
	add(&map, BOOT_DATA, 0, 0x10, WB);
	add(&map, CONVENTIONAL, 0x10000, 0x30, WB);
	add(&map, RUNTIME_DATA, 0x40000, 4, WB | RUNTIME);
	reserve(&map, 0x20000, 0x8000);
	assert_int_equal(map.size, 5 * STRIDE);
	assert_entry(&map, 0, BOOT_DATA, 0, 0x10, WB);
	assert_entry(&map, 1, CONVENTIONAL, 0x10000, 0x10, WB);
	assert_entry(&map, 2, RESERVED, 0x20000, 8, WB);
	assert_entry(&map, 3, CONVENTIONAL, 0x28000, 0x18, WB);
	assert_entry(&map, 4, RUNTIME_DATA, 0x40000, 4, WB | RUNTIME);
	free(map.bytes);
}

static void ends(void **state)
{
	struct map map = new_map();

	(void)state;
	add(&map, CONVENTIONAL, 0x10000, 0x30, WB);
	reserve(&map, 0x10000, 0x1000);
	assert_int_equal(map.size, 2 * STRIDE);
	assert_entry(&map, 0, RESERVED, 0x10000, 1, WB);
	assert_entry(&map, 1, CONVENTIONAL, 0x11000, 0x2f, WB);
	reserve(&map, 0x3f000, 0x1000);
	assert_int_equal(map.size, 3 * STRIDE);
	assert_entry(&map, 1, CONVENTIONAL, 0x11000, 0x2e, WB);
	assert_entry(&map, 2, RESERVED, 0x3f000, 1, WB);
	free(map.bytes);
}

static void whole_and_more(void **state)
{
	struct map map = new_map();

	(void)state;
	add(&map, CONVENTIONAL, 0x10000, 0x10, WB);
	add(&map, RUNTIME_DATA, 0x20000, 0x10, WB | RUNTIME);
	add(&map, CONVENTIONAL, 0x30000, 0x10, WB);
	reserve(&map, 0x18000, 0x20000);
	assert_int_equal(map.size, 5 * STRIDE);
	assert_entry(&map, 0, CONVENTIONAL, 0x10000, 8, WB);
	assert_entry(&map, 1, RESERVED, 0x18000, 8, WB);
	assert_entry(&map, 2, RESERVED, 0x20000, 0x10, WB);
	assert_entry(&map, 3, RESERVED, 0x30000, 8, WB);
	assert_entry(&map, 4, CONVENTIONAL, 0x38000, 8, WB);
	free(map.bytes);
}

static void elsewhere(void **state)
{
	struct map map = new_map();

	(void)state;
	reserve(&map, 0x1000, 0x1000);
	assert_int_equal(map.size, 0);
	add(&map, CONVENTIONAL, 0x10000, 0x10, WB);
	add(&map, CONVENTIONAL, 0x30000, 0, WB);
	reserve(&map, 0xf000, 0x1000);
	reserve(&map, 0x20000, 0x20000);
	assert_int_equal(map.size, 2 * STRIDE);
	assert_entry(&map, 0, CONVENTIONAL, 0x10000, 0x10, WB);
	assert_entry(&map, 1, CONVENTIONAL, 0x30000, 0, WB);
	free(map.bytes);
}

/* Firmware's nonsense: a length that wraps. Nothing may run over the buffer. */
static void wraps(void **state)
{
	struct map map = new_map();

	(void)state;
	add(&map, CONVENTIONAL, 0x10000, ~0ull, WB);
	reserve(&map, 0x10000, 0x1000);
	assert_int_equal(map.size, 2 * STRIDE);
	assert_entry(&map, 0, RESERVED, 0x10000, 1, WB);
	free(map.bytes);
}

static void no_room(void **state)
{
	struct map map = new_map();

	(void)state;
	add(&map, CONVENTIONAL, 0x10000, 0x30, WB);
	map.size = efi_map_reserve(map.bytes, map.size, 2 * STRIDE, STRIDE, 0x20000, 0x1000);
	assert_int_equal(map.size, STRIDE);
	assert_entry(&map, 0, RESERVED, 0x10000, 0x30, WB);
	free(map.bytes);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(middle),         cmocka_unit_test(ends),
		cmocka_unit_test(whole_and_more), cmocka_unit_test(elsewhere),
		cmocka_unit_test(wraps),          cmocka_unit_test(no_room),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
