/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The guest's map of memory on machines of several kinds: with keys of memory encryption in
 * addresses (Intel Architecture Memory Encryption Technologies Specification), and when the guest
 * has used up all pages.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <x86/msr.h>
#include <x86/vmx.h>

#include "lib/insn.h"
#include "mm/ept.h"
#include "mm/ept01.h"
#include "mm/layout.h"
#include "mm/pages.h"
#include "mm/phys_width.h"

enum {
	OWN_PAGES = 2048,
	TME_ACTIVATE = 0x982,
	ENABLED = 2, /* of it, and 1: locked */
};

static const paddr_t HOME = 0x7f600000;
static const u64 HOME_SIZE = 5 * MIB;

/* Umbra's pages, wherever they are here. */
static u8 *own;
static paddr_t own_at;

/* The machine. */
static u32 width;
static bool has_tme, has_tme_msr;
static u64 tme_activate;

void *phys_to_virt(paddr_t pa)
{
	assert_true(pa - own_at < OWN_PAGES * PAGE_SIZE);
	return own + (pa - own_at);
}

paddr_t virt_to_phys(const void *va)
{
	return own_at + (paddr_t)((const u8 *)va - own);
}

struct cpuid cpuid(u32 leaf, u32 subleaf)
{
	(void)subleaf;
	switch (leaf) {
	case 0:
		return (struct cpuid){.eax = 0x16};
	case 7:
		return (struct cpuid){.ecx = has_tme ? 1u << 13 : 0};
	case 0x80000000:
		return (struct cpuid){.eax = 0x80000008};
	case 0x80000008:
		return (struct cpuid){.eax = 0x3000 | width};
	default:
		return (struct cpuid){0};
	}
}

u64 rdmsr(u32 msr)
{
	fail_msg("RDMSR %x", msr);
	return 0;
}

bool rdmsr_safe(u32 msr, u64 *value)
{
	assert_int_equal(msr, TME_ACTIVATE);
	*value = tme_activate;
	return has_tme_msr;
}

bool invept(enum invept_type type, u64 eptp)
{
	(void)type;
	assert_int_equal(eptp, ept01_eptp());
	return true;
}

/* The allocator takes what follows what was used before. */
static void build(u64 ept_cap)
{
	static struct memmap map;

	map = (struct memmap){0};
	assert_true(memmap_add(&map, 0, 2 * GIB, MEMMAP_USABLE));
	own_at = HOME;
	pages_init(own_at, OWN_PAGES * PAGE_SIZE);
	assert_true(ept01_init(&map, ept_cap, HOME, HOME_SIZE));
}

static int setup(void **state)
{
	(void)state;
	if (!own)
		own = aligned_alloc(PAGE_SIZE, OWN_PAGES * PAGE_SIZE);
	width = 46;
	has_tme = has_tme_msr = false;
	tme_activate = 0;
	return 0;
}

/* "MK_TME_KEYID_BITS", 35:32: they are the address's upper bits, with those for TDX among them. */
static void test_key_ids(void **state)
{
	static const struct {
		bool tme, msr;
		u64 activate;
		u32 memory_width;
	} rows[] = {
		{false, false, 0, 46},
		{true, false, 0, 46}, /* a hypervisor below that knows half of it */
		{true, true, 6ull << 32, 46},
		{true, true, 6ull << 32 | ENABLED | 1, 40},
		{true, true, 4ull << 36 | 6ull << 32 | ENABLED | 1, 40},
		{true, true, ENABLED | 1, 46}, /* one key for all memory */
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		has_tme = rows[i].tme;
		has_tme_msr = rows[i].msr;
		tme_activate = rows[i].activate;
		assert_int_equal(phys_width_address(), 46);
		assert_int_equal(phys_width_memory(), rows[i].memory_width);
		build(EPT_CAP_1G | EPT_CAP_2M);
		assert_true(ept01_is_hidden(HOME, 1));
		assert_false(ept01_is_hidden(HOME - PAGE_SIZE, PAGE_SIZE));
		assert_false(ept01_is_hidden(HOME + HOME_SIZE, PAGE_SIZE));
		/* No other name of Umbra's memory is mapped, nor can be. */
		for (u32 bit = rows[i].memory_width; bit < 52; bit++) {
			const paddr_t alias = BIT(bit) | HOME;

			assert_true(ept01_is_hidden(alias, PAGE_SIZE));
			assert_int_equal(ept01_page_size(alias), 0);
			assert_false(ept01_fill(alias));
			assert_false(ept01_show_ones(alias));
			assert_int_equal(ept01_page_size(BIT(bit)), 0);
		}
		assert_true(ept01_page_size(BIT(rows[i].memory_width) - GIB));
	}
}

/* The page where CPUs start, and what lies between it and Umbra's memory. */
static void test_low_page(void **state)
{
	const paddr_t page = 0x9d000;

	(void)state;
	build(EPT_CAP_1G | EPT_CAP_2M);
	assert_true(ept01_hide_page(page));
	assert_int_equal(ept01_page_size(page), 0);
	assert_int_equal(ept01_page_size(page - 1), PAGE_SIZE);
	assert_int_equal(ept01_page_size(page + PAGE_SIZE), PAGE_SIZE);
	assert_true(ept01_is_hidden(page, 1));
	assert_true(ept01_is_hidden(page + PAGE_SIZE - 1, 1));
	assert_true(ept01_is_hidden(0, page + 1));
	assert_false(ept01_is_hidden(0, page));
	assert_false(ept01_is_hidden(page + PAGE_SIZE, HOME - page - PAGE_SIZE));
	assert_true(ept01_is_hidden(page + PAGE_SIZE, HOME - page - PAGE_SIZE + 1));
	assert_true(ept01_is_hidden(page + PAGE_SIZE - 1, 2));
	assert_true(ept01_is_hidden(page + PAGE_SIZE, ~0ull));
	assert_true(ept01_is_hidden(HOME, 1));
	assert_false(ept01_is_hidden(HOME + HOME_SIZE, PAGE_SIZE));
	assert_true(ept01_show_ones(page));
	assert_true(ept01_is_hidden(page, 1));
}

/*
 * Registers are nobody's memory to Umbra, and one page of Umbra's to the guest, which takes what it
 * writes. Wherever they are: a shortcut for the memory in between must not miss them.
 */
static void test_registers(void **state)
{
	static const paddr_t places[] = {0xfed90000, 0x20fffffc000, 0x40000000, 0x1000};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(places); i++) {
		const paddr_t at = places[i];
		const u64 *ones;
		struct ept_walk walk[2];

		build(EPT_CAP_1G | EPT_CAP_2M);
		assert_true(ept01_hide_page(0x9d000));
		assert_false(ept01_is_hidden(at, 2 * PAGE_SIZE));
		assert_true(ept01_hide_registers(at, 2 * PAGE_SIZE));
		assert_true(ept01_is_hidden(at, 1));
		assert_true(ept01_is_hidden(at + 2 * PAGE_SIZE - 1, 1));
		assert_true(ept01_is_hidden(at - 1, 2));
		assert_false(ept01_is_hidden(at - PAGE_SIZE, PAGE_SIZE));
		assert_false(ept01_is_hidden(at + 2 * PAGE_SIZE, PAGE_SIZE));
		assert_true(ept01_is_hidden(HOME, 1) && ept01_is_hidden(0x9d000, 1));
		for (u64 page = 0; page < 2; page++) {
			struct ept map = {.root = phys_to_virt(ept01_eptp() & EPT_ADDR),
					  .limit = BIT(46)};

			assert_true(ept_walk(&map, at + page * PAGE_SIZE, &walk[page]));
			assert_int_equal(walk[page].size, PAGE_SIZE);
			assert_int_equal(walk[page].perm, EPT_READ | EPT_WRITE);
		}
		assert_int_equal(walk[0].pa, walk[1].pa);
		assert_true(ept01_is_hidden(walk[0].pa, PAGE_SIZE));
		assert_int_not_equal(walk[0].pa, ept01_ones());
		ones = phys_to_virt(walk[0].pa);
		for (size_t word = 0; word < PAGE_SIZE / sizeof(*ones); word++)
			assert_true(ones[word] == ~0ull);
	}
}

/* Four levels reach 48 bits; beyond there is nothing, whatever the CPU can address. */
static void test_beyond_four_levels(void **state)
{
	(void)state;
	width = 52;
	build(EPT_CAP_1G | EPT_CAP_2M);
	assert_false(ept01_is_hidden(BIT(48) - PAGE_SIZE, PAGE_SIZE));
	assert_true(ept01_is_hidden(BIT(48) - PAGE_SIZE, 2 * PAGE_SIZE));
	assert_true(ept01_is_hidden(BIT(48), 1));
	assert_true(ept01_is_hidden(~0ull, 1));
	assert_true(ept01_is_hidden(BIT(48), ~0ull));
}

/* What may be taken for memory though no map of memory has it. */
static void test_write_back(void **state)
{
	struct mtrr_state mtrrs;

	(void)state;
	build(EPT_CAP_1G | EPT_CAP_2M);
	/* Write-back by default; a page at 5 GiB, as MMIO is, and its neighbourhood. */
	ept01_read_mtrrs(&mtrrs);
	mtrrs.count = 1;
	mtrrs.var_base[0] = 5 * GIB;
	mtrrs.var_mask[0] = (BIT(width) - PAGE_SIZE) | BIT(11);
	ept01_mtrrs_written(&mtrrs);
	assert_true(ept01_is_write_back(4 * GIB, GIB));
	assert_false(ept01_is_write_back(5 * GIB, PAGE_SIZE));
	assert_false(ept01_is_write_back(5 * GIB, GIB));
	assert_true(ept01_is_write_back(5 * GIB + PAGE_SIZE, PAGE_SIZE));
	assert_true(ept01_is_write_back(5 * GIB + 2 * MIB, 2 * MIB));
}

/* What the guest can have made, as tables for its own guests, is not the map's to lack. */
static void test_pages_used_up(void **state)
{
	static const u64 caps[] = {EPT_CAP_2M | EPT_CAP_1G, EPT_CAP_2M};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(caps); i++) {
		build(caps[i]);
		while (pages_alloc(1)) {
		}
		for (paddr_t pa = HOME; pa < HOME + HOME_SIZE; pa += PAGE_SIZE) {
			assert_true(ept01_show_ones(pa));
			assert_int_equal(ept01_page_size(pa), PAGE_SIZE);
		}
		/* MMIO at the top, and some of it all over. */
		for (u32 gigabyte = 0; gigabyte < 64; gigabyte++)
			assert_true(ept01_fill(BIT(46) - (u64)(gigabyte + 1) * GIB));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_key_ids, setup),
		cmocka_unit_test_setup(test_low_page, setup),
		cmocka_unit_test_setup(test_registers, setup),
		cmocka_unit_test_setup(test_beyond_four_levels, setup),
		cmocka_unit_test_setup(test_write_back, setup),
		cmocka_unit_test_setup(test_pages_used_up, setup),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
