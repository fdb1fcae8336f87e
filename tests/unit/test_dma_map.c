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
#include "mm/pages.h"

enum { OWN_PAGES = 1200, LOW_PAGE = 0x9d000 };

static const paddr_t HOME = 0x7f601000;
static const u64 HOME_SIZE = 5 * MIB + 3 * PAGE_SIZE;
static const paddr_t REGISTERS = 0xfed90000;
static const paddr_t HIGH_REGISTERS = 0x20fffffc000;

static u8 *own;

void *phys_to_virt(paddr_t pa)
{
	assert_true(pa - HOME < OWN_PAGES * PAGE_SIZE);
	return own + (pa - HOME);
}

paddr_t virt_to_phys(const void *va)
{
	return HOME + (paddr_t)((const u8 *)va - own);
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

static void build(unsigned int width, paddr_t top, bool has_1g)
{
	own = own ? own : aligned_alloc(PAGE_SIZE, OWN_PAGES * PAGE_SIZE);
	pages_init(HOME, OWN_PAGES * PAGE_SIZE);
	assert_true(dma_map_init(width, top, has_1g));
	assert_true(dma_map_hide(HOME, HOME_SIZE));
	assert_true(dma_map_hide(LOW_PAGE, PAGE_SIZE));
	assert_true(dma_map_hide(REGISTERS, 2 * PAGE_SIZE));
	assert_true(dma_map_hide(HIGH_REGISTERS, PAGE_SIZE));
}

static bool is_hidden(paddr_t pa)
{
	return pa - HOME < HOME_SIZE || pa - LOW_PAGE < PAGE_SIZE ||
	       pa - REGISTERS < 2 * PAGE_SIZE || pa - HIGH_REGISTERS < PAGE_SIZE;
}

/* All of it, page by page of the map. */
static void check(unsigned int levels, unsigned int width, u64 end, bool has_1g)
{
	const paddr_t root = dma_map_root(levels);
	const u64 reach = 1ull << (12 + 9 * levels);
	u64 size, largest = 0, hidden = 0;
	paddr_t pa;

	assert_true(root);
	assert_int_equal(dma_map_root(levels), root);
	end = end < reach ? end : reach;
	for (pa = 0; pa < end; pa += size - pa % size) {
		const paddr_t to = walk(root, (u16)(pa >> 12), levels, pa, &size);

		if (to == ~0ull) {
			/* Not a byte more than was to be hidden. */
			for (u64 at = 0; at < size; at += PAGE_SIZE) {
				assert_true(is_hidden(pa + at));
				hidden += PAGE_SIZE;
			}
			continue;
		}
		assert_int_equal(to, pa);
		largest = size > largest ? size : largest;
		/* Whatever the page maps, the hidden is not in it. */
		assert_false(size <= 2 * MIB
				     ? is_hidden(pa) || is_hidden(pa + size - 1)
				     : pa / size == HOME / size || pa / size == REGISTERS / size ||
					       pa / size == LOW_PAGE / size);
		for (u64 at = 0; size <= 2 * MIB && at < size; at += PAGE_SIZE)
			assert_false(is_hidden(pa + at));
	}
	assert_int_equal(
		hidden,
		HOME_SIZE + 3 * PAGE_SIZE +
			(HIGH_REGISTERS < end && HIGH_REGISTERS < BIT(width) ? PAGE_SIZE : 0));
	assert_int_equal(largest, has_1g ? GIB : 2 * MIB);
	/* For any device. */
	for (u32 source = 0; source <= 0xffff; source++) {
		assert_int_equal(walk(root, (u16)source, levels, HOME, &size), ~0ull);
		assert_int_equal(walk(root, (u16)source, levels, HOME - 1, &size), HOME - 1);
	}
	if (end < reach)
		assert_int_equal(walk(root, 0, levels, end, &size), ~0ull);
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
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		build(rows[i].width, rows[i].top, rows[i].has_1g);
		for (unsigned int levels = 3; levels <= 5; levels++) {
			check(levels, rows[i].width, rows[i].end, rows[i].has_1g);
		}
		assert_in_range(OWN_PAGES - pages_left(), 1,
				dma_map_pages(rows[i].width, rows[i].top, 4));
	}
}

static void short_memory_is_said(void **state)
{
	u64 needed, i;

	(void)state;
	build(39, 4 * GIB, true);
	assert_true(dma_map_root(3) && dma_map_root(5));
	needed = OWN_PAGES - pages_left();
	for (i = 0; i < needed; i++) {
		pages_init(HOME, i * PAGE_SIZE);
		assert_false(dma_map_init(39, 4 * GIB, true) && dma_map_hide(HOME, HOME_SIZE) &&
			     dma_map_hide(LOW_PAGE, PAGE_SIZE) &&
			     dma_map_hide(REGISTERS, 2 * PAGE_SIZE) &&
			     dma_map_hide(HIGH_REGISTERS, PAGE_SIZE) && dma_map_root(3) &&
			     dma_map_root(5));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(hides_and_maps_all_else),
		cmocka_unit_test(short_memory_is_said),
	};

	return cmocka_run_group_tests_name("dma_map", tests, NULL, NULL);
}
