/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The map for devices, walked as VT-d describes it ("Root Entry", "Context Entry", "Second-Stage
 * Paging Entries"): whatever machine it is for, what is hidden is in no table, for no device, and
 * all else is mapped to itself.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "mm/dma_map.h"
#include "mm/layout.h"
#include "mm/memmap.h"
#include "mm/pages.h"

enum { OWN_PAGES = 1200, ROUNDS = 60 };

/* Umbra's memory, its page below 1 MiB, registers of units. */
static struct range hidden[4];

static u8 *own;

void *phys_to_virt(paddr_t pa)
{
	assert_true(pa - hidden[0].start < OWN_PAGES * PAGE_SIZE);
	return own + (pa - hidden[0].start);
}

paddr_t virt_to_phys(const void *va)
{
	return hidden[0].start + (paddr_t)((const u8 *)va - own);
}

static u64 word(paddr_t table, u64 index)
{
	u64 value;

	memcpy(&value, (u8 *)phys_to_virt(table) + index * sizeof(value), sizeof(value));
	return value;
}

/* Where a request for `pa` goes, with the size of the page that says so; ~0: it is blocked. */
static paddr_t walk(paddr_t root, u16 source, unsigned int levels, paddr_t pa, u64 *size)
{
	const u64 root_low = word(root, (u64)(source >> 8) * 2);
	u64 context_low, context_high, entry;

	assert_int_equal(root_low & 0xfff, 1);
	assert_int_equal(word(root, (u64)(source >> 8) * 2 + 1), 0);
	context_low = word(root_low & ~0xfffull, (u64)(source & 0xff) * 2);
	context_high = word(root_low & ~0xfffull, (u64)(source & 0xff) * 2 + 1);
	/* Present, faults recorded, translation type 0; the width; domain 1. */
	assert_int_equal(context_low & 0xfff, 1);
	assert_int_equal(context_high, 1ull << 8 | (levels - 2));

	entry = context_low & ~0xfffull;
	for (unsigned int level = levels;; level--) {
		*size = 1ull << (12 + 9 * (level - 1));
		entry = word(entry & BITS(51, 12), pa / *size % 512);
		if (!(entry & 3))
			return ~0ull;
		/* Read and write, no snooping forced, no type, nothing reserved. */
		assert_int_equal(entry & ~(BITS(51, 12) | BIT(7)), 3);
		if (level == 1 || (entry & BIT(7)))
			break;
	}
	assert_true(*size <= GIB);
	assert_int_equal(entry & BITS(51, 12) & (*size - 1), 0);
	return (entry & BITS(51, 12)) | (pa & (*size - 1));
}

static bool hide_all(void)
{
	bool done = true;

	for (size_t i = 0; i < ARRAY_SIZE(hidden); i++)
		done = done && dma_map_hide(hidden[i].start, hidden[i].size);
	return done;
}

static void build(unsigned int width, paddr_t top, bool has_1g)
{
	own = own ? own : aligned_alloc(PAGE_SIZE, OWN_PAGES * PAGE_SIZE);
	pages_init(hidden[0].start, OWN_PAGES * PAGE_SIZE);
	assert_true(dma_map_init(width, top, has_1g));
	assert_true(hide_all());
}

/* Whether any byte of it is. */
static bool is_hidden(paddr_t start, u64 size)
{
	for (size_t i = 0; i < ARRAY_SIZE(hidden); i++) {
		if (start < hidden[i].start + hidden[i].size && hidden[i].start < start + size)
			return true;
	}
	return false;
}

/* All of it, page by page of the map. */
static void check(unsigned int levels, u64 end, bool has_1g)
{
	const paddr_t root = dma_map_root(levels);
	const u64 reach = 1ull << (12 + 9 * levels);
	u64 size, largest = 0;

	assert_true(root);
	assert_int_equal(dma_map_root(levels), root);
	end = end < reach ? end : reach;
	for (paddr_t pa = 0; pa < end; pa += size) {
		const paddr_t to = walk(root, (u16)(pa >> 12), levels, pa, &size);

		assert_int_equal(pa % size, 0);
		if (to == ~0ull) {
			/* Not a page more than was to be hidden. */
			for (u64 at = 0; at < size; at += PAGE_SIZE)
				assert_true(is_hidden(pa + at, PAGE_SIZE));
			continue;
		}
		assert_int_equal(to, pa);
		assert_false(is_hidden(pa, size));
		largest = size > largest ? size : largest;
	}
	assert_int_equal(largest, has_1g ? GIB : 2 * MIB);
	if (end < reach)
		assert_int_equal(walk(root, 0, levels, end, &size), ~0ull);
}

/* Whichever bus and function asks. */
static void check_devices(unsigned int levels)
{
	const paddr_t root = dma_map_root(levels), home = hidden[0].start;
	u64 size;

	for (u32 source = 0; source <= 0xffff; source++) {
		assert_int_equal(walk(root, (u16)source, levels, home, &size), ~0ull);
		assert_int_equal(walk(root, (u16)source, levels, home - 1, &size), home - 1);
	}
}

static void usual_places(void)
{
	hidden[0] = (struct range){0x7f601000, 5 * MIB + 3 * PAGE_SIZE};
	hidden[1] = (struct range){0x9d000, PAGE_SIZE};
	hidden[2] = (struct range){0xfed90000, 2 * PAGE_SIZE};
	hidden[3] = (struct range){0x20fffffc000, PAGE_SIZE};
}

static void hides_and_maps_all_else(void **state)
{
	static const struct {
		unsigned int width;
		paddr_t top;
		bool has_1g;
		u64 end;
	} rows[] = {
		{36, 16 * GIB, true, BIT(36)}, {39, 16 * GIB, true, BIT(39)},
		{39, 5 * GIB, false, 5 * GIB}, {42, 3 * GIB, true, BIT(42)},
		{42, 3 * GIB, false, 4 * GIB}, {46, 64 * GIB, true, BIT(46)},
		{52, 64 * GIB, true, BIT(48)},
	};

	(void)state;
	usual_places();
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		build(rows[i].width, rows[i].top, rows[i].has_1g);
		for (unsigned int levels = 3; levels <= 5; levels++) {
			check(levels, rows[i].end, rows[i].has_1g);
			check_devices(levels);
		}
		assert_in_range(OWN_PAGES - pages_left(), 1,
				dma_map_pages(rows[i].width, rows[i].top, 4));
	}
}

static u64 below(u64 limit)
{
	static u64 state = 1;

	/* xorshift64* */
	state ^= state >> 12;
	state ^= state << 25;
	state ^= state >> 27;
	return (state * 0x2545f4914f6cdd1d >> 20) % limit;
}

/* Pages anywhere, at the ends of large ones more often than by chance; they may meet. */
static void anywhere(void)
{
	static const u64 granules[] = {PAGE_SIZE, PAGE_SIZE, 2 * MIB, GIB};

	for (size_t i = 0; i < ARRAY_SIZE(hidden); i++) {
		const u64 granule = granules[below(ARRAY_SIZE(granules))];
		const u64 pages = below(3) ? 1 + below(8) : 1 + below(2048);
		const u64 start = GIB + below(7 * GIB / granule) * granule;

		hidden[i] = (struct range){below(2) ? start : start - pages * PAGE_SIZE,
					   pages * PAGE_SIZE};
	}
}

static void hides_anything_anywhere(void **state)
{
	(void)state;
	for (u32 round = 0; round < ROUNDS; round++) {
		const bool has_1g = below(2);

		anywhere();
		build(40, 8 * GIB, has_1g);
		for (unsigned int levels = 3; levels <= 5; levels++)
			check(levels, has_1g ? BIT(40) : 8 * GIB, has_1g);
		assert_in_range(OWN_PAGES - pages_left(), 1,
				dma_map_pages(40, 8 * GIB, ARRAY_SIZE(hidden)));
	}
}

static void short_memory_is_said(void **state)
{
	u64 needed;

	(void)state;
	usual_places();
	build(39, 4 * GIB, true);
	assert_true(dma_map_root(3) && dma_map_root(5));
	needed = OWN_PAGES - pages_left();
	for (u64 i = 0; i < needed; i++) {
		pages_init(hidden[0].start, i * PAGE_SIZE);
		assert_false(dma_map_init(39, 4 * GIB, true) && hide_all() && dma_map_root(3) &&
			     dma_map_root(5));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(hides_and_maps_all_else),
		cmocka_unit_test(hides_anything_anywhere),
		cmocka_unit_test(short_memory_is_said),
	};

	return cmocka_run_group_tests_name("dma_map", tests, NULL, NULL);
}
