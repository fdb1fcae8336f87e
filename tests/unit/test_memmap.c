/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * ACPI "INT 15H, E820H": entries may come in any order, and firmware in the field lets them
 * overlap. The reference for random maps is one type per unit of a small address space.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "mm/memmap.h"

static struct memmap map;

static void clear(void)
{
	memset(&map, 0, sizeof(map));
}

static void expect(u32 i, paddr_t start, u64 size, u32 type)
{
	assert_in_range(i, 0, map.count - 1);
	assert_int_equal(map.e[i].start, start);
	assert_int_equal(map.e[i].size, size);
	assert_int_equal(map.e[i].type, type);
}

static void test_sorts_and_joins(void **state)
{
	(void)state;
	clear();
	assert_true(memmap_add(&map, 0x100000, 0x1000, MEMMAP_USABLE));
	assert_true(memmap_add(&map, 0, 0x9fc00, MEMMAP_USABLE));
	assert_true(memmap_add(&map, 0x101000, 0x1000, MEMMAP_USABLE));
	assert_true(memmap_add(&map, 0x9fc00, 0x400, MEMMAP_RESERVED));
	assert_true(memmap_add(&map, 0xff000, 0x1000, MEMMAP_USABLE));
	assert_int_equal(map.count, 3);
	expect(0, 0, 0x9fc00, MEMMAP_USABLE);
	expect(1, 0x9fc00, 0x400, MEMMAP_RESERVED);
	expect(2, 0xff000, 0x3000, MEMMAP_USABLE);
	assert_true(memmap_add(&map, 0x5000, 0, MEMMAP_BAD));
	assert_int_equal(map.count, 3);
}

static void test_more_restrictive_wins(void **state)
{
	static const u32 order[] = {MEMMAP_USABLE, MEMMAP_ACPI_RECLAIM, MEMMAP_ACPI_NVS, MEMMAP_BAD,
				    MEMMAP_RESERVED};

	(void)state;
	for (size_t weak = 0; weak < ARRAY_SIZE(order); weak++) {
		for (size_t strong = weak + 1; strong < ARRAY_SIZE(order); strong++) {
			for (int swap = 0; swap < 2; swap++) {
				clear();
				if (swap)
					memmap_add(&map, 0x4000, 0x2000, order[strong]);
				memmap_add(&map, 0x1000, 0x8000, order[weak]);
				if (!swap)
					memmap_add(&map, 0x4000, 0x2000, order[strong]);
				assert_int_equal(map.count, 3);
				expect(0, 0x1000, 0x3000, order[weak]);
				expect(1, 0x4000, 0x2000, order[strong]);
				expect(2, 0x6000, 0x3000, order[weak]);
			}
		}
	}
}

static void test_unknown_type_is_reserved(void **state)
{
	(void)state;
	clear();
	memmap_add(&map, 0, 0x3000, MEMMAP_USABLE);
	memmap_add(&map, 0x1000, 0x1000, 7);
	memmap_add(&map, 0x1000, 0x1000, MEMMAP_BAD);
	memmap_add(&map, 0x2000, 0x1000, 0);
	assert_int_equal(map.count, 2);
	expect(1, 0x1000, 0x2000, MEMMAP_RESERVED);
	assert_false(memmap_is_usable(&map, 0x1000, 1));
	assert_int_equal(memmap_top(&map), 0x1000);
}

static void test_top_of_address_space(void **state)
{
	paddr_t at;

	(void)state;
	clear();
	/* Ends exactly at 2^64: kept but for the last byte. */
	assert_true(memmap_add(&map, 0xffffffffffff0000, 0x10000, MEMMAP_RESERVED));
	expect(0, 0xffffffffffff0000, 0xffff, MEMMAP_RESERVED);
	/* Wraps: cut, and does not reappear at 0. */
	assert_true(memmap_add(&map, 0xfffffffffffe0000, 0x40000, MEMMAP_USABLE));
	assert_int_equal(map.count, 2);
	expect(0, 0xfffffffffffe0000, 0x10000, MEMMAP_USABLE);
	assert_false(memmap_is_usable(&map, 0, 1));
	assert_true(memmap_add(&map, UINT64_MAX, UINT64_MAX, MEMMAP_BAD));
	assert_int_equal(map.count, 2);
	assert_false(memmap_is_usable(&map, 0xfffffffffffe0000, UINT64_MAX));

	assert_true(memmap_find_top(&map, 0x1000, 0x1000, UINT64_MAX, NULL, 0, &at));
	assert_int_equal(at, 0xfffffffffffef000);
	/* Rounding up to 2^60 wraps. */
	assert_false(memmap_find_bottom(&map, 0x1000, BIT(60), 0xfffffffffffe0001, NULL, 0, &at));
	assert_false(memmap_find_bottom(&map, UINT64_MAX, 1, 0, NULL, 0, &at));
	assert_false(memmap_find_top(&map, UINT64_MAX, 1, UINT64_MAX, NULL, 0, &at));

	clear();
	assert_true(memmap_add(&map, 0, UINT64_MAX, MEMMAP_USABLE));
	expect(0, 0, UINT64_MAX, MEMMAP_USABLE);
	assert_int_equal(memmap_usable_bytes(&map), UINT64_MAX);
	assert_int_equal(memmap_top(&map), UINT64_MAX);
}

static void test_reserve(void **state)
{
	(void)state;
	clear();
	memmap_add(&map, 0x100000, 0x100000, MEMMAP_USABLE);
	memmap_add(&map, 0x200000, 0x100000, MEMMAP_ACPI_NVS);
	/* Across two types and into nothing. */
	assert_true(memmap_reserve(&map, 0x180000, 0x200000));
	assert_int_equal(map.count, 2);
	expect(0, 0x100000, 0x80000, MEMMAP_USABLE);
	expect(1, 0x180000, 0x200000, MEMMAP_RESERVED);
	assert_true(memmap_reserve(&map, 0x110000, 0x1000));
	assert_int_equal(map.count, 4);
	assert_int_equal(memmap_usable_bytes(&map), 0x80000 - 0x1000);
}

static void fill_table(u32 n)
{
	clear();
	for (u32 i = 0; i < n; i++)
		assert_true(memmap_add(&map, i * 0x10000ull, 0x8000, MEMMAP_USABLE));
	assert_int_equal(map.count, n);
}

static void test_full(void **state)
{
	(void)state;
	fill_table(MEMMAP_MAX);
	assert_false(memmap_add(&map, MEMMAP_MAX * 0x10000ull, 0x1000, MEMMAP_USABLE));
	assert_int_equal(map.count, MEMMAP_MAX);
	/* What needs no further entry still works: grow, retype, join. */
	assert_true(memmap_add(&map, 0x8000, 0x1000, MEMMAP_USABLE));
	assert_true(memmap_reserve(&map, 0, 0x9000));
	assert_true(memmap_add(&map, 0x18000, 0x8000, MEMMAP_USABLE));
	assert_int_equal(map.count, MEMMAP_MAX - 1);

	/* A hole in the middle of an entry takes two more. */
	assert_false(memmap_reserve(&map, 0x11000, 0x1000));
	assert_true(memmap_is_usable(&map, 0x11000, 0x1000));
	assert_int_equal(map.count, MEMMAP_MAX - 1);
	/* A corner takes one. */
	assert_true(memmap_reserve(&map, 0x10000, 0x1000));
	assert_int_equal(map.count, MEMMAP_MAX);
}

/* --- random maps against one type per unit --- */

enum { UNITS = 96 };
static u8 unit[UNITS];

static u32 rank(u32 type)
{
	static const u32 ranks[] = {4, 0, 4, 1, 2, 3};

	return ranks[type];
}

static void reference_add(u32 start, u32 size, u8 type, bool *known)
{
	for (u32 i = start; i < start + size; i++) {
		if (!known[i] || rank(type) > rank(unit[i]))
			unit[i] = type;
		known[i] = true;
	}
}

static void check_against_reference(const bool *known)
{
	bool seen[UNITS] = {false};

	for (u32 i = 0; i < map.count; i++) {
		const struct memmap_entry *e = &map.e[i];

		assert_true(e->size > 0);
		for (u64 u = e->start; u < e->start + e->size; u++) {
			assert_int_equal(unit[u], e->type);
			assert_true(known[u]);
			seen[u] = true;
		}
		if (i > 0) {
			u64 end = e[-1].start + e[-1].size;

			assert_true(end <= e->start);
			assert_false(end == e->start && e[-1].type == e->type);
		}
	}
	assert_memory_equal(seen, known, sizeof(seen));
}

static bool reference_usable(const bool *known, u64 start, u64 size)
{
	for (u64 i = start; i < start + size; i++) {
		if (i >= UNITS || !known[i] || unit[i] != MEMMAP_USABLE)
			return false;
	}
	return size > 0;
}

static bool avoids(const struct range *avoid, size_t n, u64 start, u64 size)
{
	for (size_t i = 0; i < n; i++) {
		for (u64 u = 0; u < avoid[i].size; u++) {
			if (avoid[i].start + u >= start && avoid[i].start + u < start + size)
				return false;
		}
	}
	return true;
}

static void check_searches(const bool *known)
{
	struct range avoid[2];
	u64 size = 1 + (u64)rand() % 12, align = 1ull << (rand() % 4), bound = (u64)rand() % 110;
	size_t n = (size_t)rand() % 3;
	bool has_top = false, has_bottom = false;
	paddr_t top = 0, bottom = 0, at = 12345;

	for (size_t i = 0; i < 2; i++)
		avoid[i] = (struct range){(u64)rand() % UNITS, (u64)rand() % 20};
	for (u64 a = 0; a < UNITS; a += align) {
		if (!reference_usable(known, a, size) || !avoids(avoid, n, a, size))
			continue;
		if (a + size <= bound) {
			has_top = true;
			top = a;
		}
		if (a >= bound && !has_bottom) {
			has_bottom = true;
			bottom = a;
		}
	}
	assert_int_equal(memmap_find_top(&map, size, align, bound, avoid, n, &at), has_top);
	assert_int_equal(at, has_top ? top : 12345);
	at = 12345;
	assert_int_equal(memmap_find_bottom(&map, size, align, bound, avoid, n, &at), has_bottom);
	assert_int_equal(at, has_bottom ? bottom : 12345);

	assert_int_equal(memmap_is_usable(&map, bound, size), reference_usable(known, bound, size));
}

static void check_totals(const bool *known)
{
	u64 bytes = 0, top = 0;

	for (u64 u = 0; u < UNITS; u++) {
		if (known[u] && unit[u] == MEMMAP_USABLE) {
			bytes++;
			top = u + 1;
		}
	}
	assert_int_equal(memmap_usable_bytes(&map), bytes);
	assert_int_equal(memmap_top(&map), top);
}

static void test_random(void **state)
{
	(void)state;
	srand(7);
	for (int round = 0; round < 3000; round++) {
		bool known[UNITS] = {false};
		int n = 1 + rand() % 14;

		clear();
		for (int i = 0; i < n; i++) {
			u32 start = (u32)rand() % UNITS;
			u32 size = (u32)rand() % (UNITS - start + 1);
			/* Mostly usable, or nothing would be left of it. */
			u8 type = rand() % 2 ? MEMMAP_USABLE : (u8)(1 + rand() % 5);

			if (rand() % 2)
				size %= 16;
			assert_true(memmap_add(&map, start, size, type));
			reference_add(start, size, type, known);
			check_against_reference(known);
		}
		check_totals(known);
		for (int i = 0; i < 10; i++)
			check_searches(known);
	}
}

static void test_search_arguments(void **state)
{
	struct range all = {0, UINT64_MAX};
	paddr_t at = 1;

	(void)state;
	clear();
	assert_false(memmap_find_top(&map, 1, 1, UINT64_MAX, NULL, 0, &at));
	assert_false(memmap_find_bottom(&map, 1, 1, 0, NULL, 0, &at));
	assert_false(memmap_is_usable(&map, 0, 1));
	assert_int_equal(memmap_top(&map), 0);
	memmap_add(&map, 0, 0x10000, MEMMAP_USABLE);
	assert_false(memmap_find_top(&map, 0, 1, UINT64_MAX, NULL, 0, &at));
	assert_false(memmap_find_top(&map, 1, 0, UINT64_MAX, NULL, 0, &at));
	assert_false(memmap_find_top(&map, 1, 3, UINT64_MAX, NULL, 0, &at));
	assert_false(memmap_find_top(&map, 1, 1, 0, NULL, 0, &at));
	assert_false(memmap_find_top(&map, 1, 1, UINT64_MAX, &all, 1, &at));
	assert_false(memmap_find_bottom(&map, 0, 1, 0, NULL, 0, &at));
	assert_false(memmap_find_bottom(&map, 1, 0, 0, NULL, 0, &at));
	assert_false(memmap_find_bottom(&map, 1, 12, 0, NULL, 0, &at));
	assert_false(memmap_find_bottom(&map, 1, 1, UINT64_MAX, NULL, 0, &at));
	assert_false(memmap_find_bottom(&map, 1, 1, 0, &all, 1, &at));
	assert_false(memmap_is_usable(&map, 0, 0));
	assert_int_equal(at, 1);
	/* An avoided range that wraps reaches to the top. */
	all = (struct range){0x8000, UINT64_MAX};
	assert_true(memmap_find_top(&map, 0x1000, 0x1000, UINT64_MAX, &all, 1, &at));
	assert_int_equal(at, 0x7000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_sorts_and_joins),
		cmocka_unit_test(test_more_restrictive_wins),
		cmocka_unit_test(test_unknown_type_is_reserved),
		cmocka_unit_test(test_top_of_address_space),
		cmocka_unit_test(test_reserve),
		cmocka_unit_test(test_full),
		cmocka_unit_test(test_random),
		cmocka_unit_test(test_search_arguments),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
