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

static const struct efi_map_view *view(const u8 *bytes, size_t size)
{
	static struct efi_map_view v;

	v = (struct efi_map_view){bytes, (u32)size, STRIDE, 1};
	return &v;
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

/* UEFI Specification, "Memory Type Usage after ExitBootServices()": which types are of no use then.
 */
static bool holds_firmware(u32 type)
{
	const u32 loader_code = 1, loader_data = 2;

	return type != loader_code && type != loader_data && type != CONVENTIONAL;
}

static void firmware_keeps_its_memory(void **state)
{
	const u32 types = 16; /* and some that the specification does not know */

	(void)state;
	for (u32 type = 0; type < types; type++) {
		struct map map = new_map();
		struct memmap out = {0};

		assert_true(memmap_add(&out, 0, 0x100000, MEMMAP_USABLE));
		add(&map, type, 0x10000, 0x10, WB);
		efi_map_reserve_firmware(view(map.bytes, map.size), &out);
		assert_int_equal(memmap_is_usable(&out, 0x10000, 0x10000), !holds_firmware(type));
		assert_int_equal(memmap_is_usable(&out, 0x1f000, 0x1000), !holds_firmware(type));
		assert_true(memmap_is_usable(&out, 0xf000, 0x1000));
		assert_true(memmap_is_usable(&out, 0x20000, 0x1000));
		free(map.bytes);
	}
}

/* A length that wraps reserves up to the end of the address space, an empty one nothing. */
static void firmware_nonsense(void **state)
{
	struct map map = new_map();
	struct memmap out = {0};

	(void)state;
	assert_true(memmap_add(&out, 0, 0x100000, MEMMAP_USABLE));
	add(&map, RUNTIME_DATA, 0x10000, 0, WB);
	efi_map_reserve_firmware(view(map.bytes, map.size), &out);
	assert_true(memmap_is_usable(&out, 0, 0x100000));
	add(&map, RUNTIME_DATA, 0x80000, ~0ull, WB);
	/* The last descriptor is cut short: it must not be read. */
	efi_map_reserve_firmware(view(map.bytes, map.size + STRIDE - 1), &out);
	assert_true(memmap_is_usable(&out, 0, 0x80000));
	assert_false(memmap_is_usable(&out, 0x80000, 1));
	assert_false(memmap_is_usable(&out, 0xff000, 1));
	free(map.bytes);
}

/*
 * Umbra's home is what memmap_find_top() finds: whatever the map, it has no page of firmware's, and
 * is found if there is a run of free pages that is long enough.
 */
static void home_is_no_memory_of_firmware(void **state)
{
	enum { PAGES = 128, ROUNDS = 20000 };

	(void)state;
	srand(1);
	for (unsigned int round = 0; round < ROUNDS; round++) {
		struct map map = new_map();
		struct memmap out = {0};
		u32 owner[PAGES];
		u64 page = 0, wanted = 1 + (u64)rand() % 24, longest = 0, run = 0;
		paddr_t home;

		assert_true(memmap_add(&out, 0, PAGES * 0x1000, MEMMAP_USABLE));
		for (unsigned int i = 0; i < MAX; i++) {
			const u64 count = i + 1 < MAX ? 1 + (u64)rand() % 24 : PAGES;
			const u32 type = (u32)rand() % 12;
			const u64 fits = count < PAGES - page ? count : PAGES - page;

			add(&map, type, page * 0x1000, fits, WB);
			for (u64 n = 0; n < fits; n++)
				owner[page++] = type;
		}
		efi_map_reserve_firmware(view(map.bytes, map.size), &out);
		for (u64 n = 0; n < PAGES; n++) {
			run = holds_firmware(owner[n]) ? 0 : run + 1;
			longest = run > longest ? run : longest;
		}
		if (memmap_find_top(&out, wanted * 0x1000, 0x1000, PAGES * 0x1000, NULL, 0,
				    &home)) {
			for (u64 n = 0; n < wanted; n++)
				assert_false(holds_firmware(owner[home / 0x1000 + n]));
		} else {
			assert_true(longest < wanted);
		}
		free(map.bytes);
	}
}

/* UEFI Specification, "Memory Type Usage after ExitBootServices()"; E820's types. */
static void test_read_while_boot_services_run(void **state)
{
	static const u32 expected[] = {2, 1, 1, 1, 1, 2, 2, 1, 5, 3, 4, 2, 2, 2, 2, 2, 2};
	struct memmap out;
	u8 *bytes = malloc(ARRAY_SIZE(expected) * STRIDE);

	(void)state;
	for (u32 type = 0; type < ARRAY_SIZE(expected); type++)
		put(bytes + type * STRIDE, type, type * 0x10000ull, 2, WB);
	assert_true(efi_map_read(view(bytes, ARRAY_SIZE(expected) * STRIDE), &out));
	assert_int_equal(out.count, ARRAY_SIZE(expected));
	for (u32 type = 0; type < ARRAY_SIZE(expected); type++) {
		assert_int_equal(out.e[type].start, type * 0x10000);
		assert_int_equal(out.e[type].size, 2 * PAGE_SIZE);
		assert_int_equal(out.e[type].type, expected[type]);
	}
	/* The last byte of the address space ends a range that would wrap. */
	put(bytes, CONVENTIONAL, ~0ull - PAGE_SIZE + 1, 7, WB);
	assert_true(efi_map_read(view(bytes, STRIDE), &out));
	assert_int_equal(out.count, 1);
	free(bytes);
	/* More pieces than the table holds. */
	bytes = malloc((MEMMAP_MAX + 1) * STRIDE);
	for (u32 i = 0; i <= MEMMAP_MAX; i++)
		put(bytes + i * STRIDE, CONVENTIONAL, i * 0x10000ull, 1, WB);
	assert_true(efi_map_read(view(bytes, MEMMAP_MAX * STRIDE), &out));
	assert_false(efi_map_read(view(bytes, (MEMMAP_MAX + 1) * STRIDE), &out));
	free(bytes);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_read_while_boot_services_run),
		cmocka_unit_test(middle),
		cmocka_unit_test(ends),
		cmocka_unit_test(whole_and_more),
		cmocka_unit_test(elsewhere),
		cmocka_unit_test(wraps),
		cmocka_unit_test(no_room),
		cmocka_unit_test(firmware_keeps_its_memory),
		cmocka_unit_test(firmware_nonsense),
		cmocka_unit_test(home_is_no_memory_of_firmware),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
