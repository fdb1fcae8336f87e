/* SPDX-License-Identifier: BSD-2-Clause */
/* A range above 4 GiB in the early page tables, read as SDM "4-Level Paging" has it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <x86/paging.h>

#include "boot/early_map.h"

enum { WIDTH = 46 };

/* Physical addresses here: of the extra tables, and of those for the first 512 GiB. */
static const paddr_t TABLES_AT = 0x1234000, LOW_PDPT_AT = 0x200000, LOW_PD_AT = 0x201000;
static const u64 DIRECT = 0xffff800000000000, NOT_MAPPED = ~0ull;

static struct {
	u64 pml4[512], low_pdpt[512], low_pd[4][512];
	struct early_map_tables more;
} tables;

/* As early_tables.S has it. */
static int begin(void **state)
{
	(void)state;
	memset(&tables, 0, sizeof(tables));
	tables.pml4[256] = LOW_PDPT_AT | 3;
	tables.pml4[511] = 0x300000 | 3;
	for (u64 gib = 0; gib < 4; gib++) {
		tables.low_pdpt[gib] = (LOW_PD_AT + gib * 4096) | 3;
		for (u64 i = 0; i < 512; i++)
			tables.low_pd[gib][i] = (gib << 30 | i << 21) | 0x83;
	}
	return 0;
}

static const u64 *table_at(paddr_t address)
{
	const size_t extra = address - TABLES_AT;

	if (extra < sizeof(tables.more)) {
		assert_int_equal(extra % 4096, 0);
		return (const u64 *)&tables.more + extra / sizeof(u64);
	}
	if (address == LOW_PDPT_AT)
		return tables.low_pdpt;
	assert_in_range(address, LOW_PD_AT, LOW_PD_AT + 3 * 4096);
	return tables.low_pd[(address - LOW_PD_AT) / 4096];
}

static paddr_t translate(u64 va)
{
	const u64 *table = tables.pml4;
	u64 entry;

	for (unsigned int shift = 39; shift >= 21; shift -= 9) {
		entry = table[va >> shift & 511];
		if (!(entry & 1))
			return NOT_MAPPED;
		assert_true(entry & 2);
		/* None of the reserved bits, with 46 bits of addresses. */
		assert_int_equal(entry >> WIDTH, 0);
		if (shift == 21)
			break;
		assert_false(entry & 0x80);
		table = table_at(entry & PTE_ADDR);
	}
	assert_true(entry & 0x80);
	assert_int_equal(entry & 0x1ff000, 0);
	return (entry & PTE_ADDR) + (va & 0x1fffff);
}

static bool map(paddr_t start, u64 size)
{
	return early_map(tables.pml4, tables.low_pdpt, &tables.more, TABLES_AT,
			 (struct range){start, size}, WIDTH);
}

static void check_mapped(paddr_t start, u64 size)
{
	static const u64 large = 0x200000;
	const paddr_t first = start & ~(large - 1), end = (start + size + large - 1) & ~(large - 1);

	assert_true(map(start, size));
	for (paddr_t at = first; at < end; at += large / 2)
		assert_int_equal(translate(DIRECT + at), at);
	/* No more than that, and what was there still is. */
	if (first > 0x100000000)
		assert_int_equal(translate(DIRECT + first - 1), NOT_MAPPED);
	if (end >= 0x100000000)
		assert_int_equal(translate(DIRECT + end), NOT_MAPPED);
	for (paddr_t at = 0; at < 0x100000000; at += 0x1ff000)
		assert_int_equal(translate(DIRECT + at), at);
}

static void screens(void **state)
{
	static const struct range of[] = {
		{0xe0000000, 1024 * 768 * 4},
		{0x100000000, 1},
		{0x4000000000, 3840 * 2160 * 4},
		{0x4000000000 + 0x1000, 1920 * 1080 * 4},
		{0x7fffe00000, 0x200000},
		/* Over the end of a GiB, from below 4 GiB, and behind 512 GiB. */
		{0x603fe00000, 0x800000},
		{0xffe00000, 0x400000},
		{0x8000000000, 0x800000},
		{0x380000000000, 0x2000000},
		{0x3fffffe00000, 0x200000},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(of) / sizeof(of[0]); i++) {
		begin(NULL);
		check_mapped(of[i].start, of[i].size);
	}
}

static void not_these(void **state)
{
	static const struct range of[] = {
		{0x4000000000, 0},
		/* More than the tables have room for, or over the end of 512 GiB. */
		{0x4000000000, 0xc0000000},
		{0x7fffe00000, 0x400000},
		/* Beyond the width of addresses, and of numbers. */
		{0x3fffffe00000, 0x200001},
		{0x400000000000, 0x800000},
		{0xffffffffffe00000, 0x100000},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(of) / sizeof(of[0]); i++) {
		begin(NULL);
		assert_false(map(of[i].start, of[i].size));
		for (unsigned int slot = 257; slot < 511; slot++)
			assert_int_equal(tables.pml4[slot], 0);
		for (unsigned int gib = 4; gib < 512; gib++)
			assert_int_equal(tables.low_pdpt[gib], 0);
	}
	/* Nor where Umbra's image is. */
	begin(NULL);
	assert_false(early_map(tables.pml4, tables.low_pdpt, &tables.more, TABLES_AT,
			       (struct range){255ull << 39, 0x200000}, 52));
	assert_int_equal(tables.pml4[511], 0x300000 | 3);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(screens, begin),
		cmocka_unit_test_setup(not_these, begin),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
