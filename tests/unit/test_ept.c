/* SPDX-License-Identifier: BSD-2-Clause */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "mm/ept.h"
#include "mm/layout.h"
#include "mm/mtrr.h"
#include "mm/pages.h"

/* A value of IA32_MTRR_DEF_TYPE. */
static u64 def_type(enum mtrr_bits enabled, enum memtype type)
{
	return (u64)enabled | (u64)type;
}

/* Tables live in one array; physical addresses are made up, so that mixing them up shows. */
enum { POOL_PAGES = 4096 };
static const paddr_t POOL_PHYS = 0x7000000000;

struct pool {
	u8 *pages;
	unsigned int used, limit;
};

/* That of the test that runs. */
static struct pool *pool;

void *pages_alloc_kept(void)
{
	return pool->used < pool->limit ? pool->pages + PAGE_SIZE * pool->used++ : NULL;
}

paddr_t virt_to_phys(const void *va)
{
	return POOL_PHYS + (paddr_t)((const u8 *)va - pool->pages);
}

void *phys_to_virt(paddr_t pa)
{
	assert_true(pa >= POOL_PHYS && pa < POOL_PHYS + PAGE_SIZE * pool->used);
	assert_int_equal(pa % PAGE_SIZE, 0);
	return pool->pages + (pa - POOL_PHYS);
}

struct fixture {
	struct pool pool;
	struct mtrr_state mtrr;
	struct ept ept;
};

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));
	f->pool.pages = aligned_alloc(PAGE_SIZE, PAGE_SIZE * POOL_PAGES);
	memset(f->pool.pages, 0, PAGE_SIZE * POOL_PAGES);
	f->pool.limit = POOL_PAGES;
	f->mtrr = (struct mtrr_state){.cap = 8 | MTRR_CAP_FIX | MTRR_CAP_WC,
				      .def_type = def_type(MTRR_DEF_ENABLE, MEMTYPE_WB),
				      .count = 8,
				      .maxphyaddr = 39};
	f->ept = (struct ept){.mtrrs = &f->mtrr, .has_1g = true, .has_2m = true};
	pool = &f->pool;
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;
	free(f->pool.pages);
	free(f);
	return 0;
}

static void set_var(struct mtrr_state *s, unsigned int n, u64 base, u64 size, enum memtype type)
{
	s->var_base[n] = base | type;
	s->var_mask[n] = (BITS(38, 0) & ~(size - 1)) | MTRR_MASK_VALID;
}

static void assert_identity(struct ept *ept, paddr_t gpa, unsigned int level, enum memtype type)
{
	struct ept_walk w;
	assert_true(ept_walk(ept, gpa, &w));
	assert_int_equal(w.pa, gpa);
	assert_int_equal(w.level, level);
	assert_int_equal(w.size, ept_level_size(level));
	assert_int_equal(w.perm, EPT_RWX);
	assert_int_equal(w.type, type);
	/* Reserved: low address bits of a large page, and "ignore PAT" must stay off. */
	assert_int_equal(w.entry & EPT_ADDR & (w.size - 1), 0);
	assert_int_equal(w.entry & EPT_IGNORE_PAT, 0);
	assert_int_equal(!!(w.entry & EPT_LARGE), level > 1);
}

static void assert_absent(struct ept *ept, paddr_t gpa, bool hidden)
{
	struct ept_walk w;
	assert_false(ept_walk(ept, gpa, &w));
	assert_int_equal(w.hidden, hidden);
	assert_int_equal(w.entry & EPT_RWX, 0);
}

static void uniform_in_1g_pages(void **state)
{
	struct fixture *f = *state;
	assert_true(ept_map_identity(&f->ept, 39, 0));
	assert_int_equal(f->pool.used, 2);
	assert_identity(&f->ept, 0, 3, MEMTYPE_WB);
	assert_identity(&f->ept, BIT(39) - 1, 3, MEMTYPE_WB);
	assert_absent(&f->ept, BIT(39), false);
	assert_absent(&f->ept, BIT(47), false);
	assert_absent(&f->ept, ~0ull, false);
	assert_int_equal(ept_eptp(&f->ept), POOL_PHYS | 3 << 3 | 6);
}

static void width_36_and_over_48(void **state)
{
	struct fixture *f = *state;
	assert_true(ept_map_identity(&f->ept, 36, 0));
	assert_identity(&f->ept, BIT(36) - 1, 3, MEMTYPE_WB);
	assert_absent(&f->ept, BIT(36), false);
	assert_false(ept_fill(&f->ept, BIT(36)));

	memset(f->pool.pages, 0, PAGE_SIZE * f->pool.used);
	f->pool.used = 0;
	f->mtrr.maxphyaddr = 52;
	assert_true(ept_map_identity(&f->ept, 52, 0));
	assert_int_equal(f->pool.used, 1 + 512);
	assert_identity(&f->ept, BIT(48) - 1, 3, MEMTYPE_WB);
	assert_absent(&f->ept, BIT(48), false);
}

static void mtrr_boundaries_split(void **state)
{
	struct fixture *f = *state;
	f->mtrr.def_type |= MTRR_DEF_FIXED_ENABLE;
	for (unsigned int i = 0; i < MTRR_FIXED_COUNT; i++)
		f->mtrr.fixed[i] = i == 2 ? 0 : 0x0606060606060606;
	set_var(&f->mtrr, 0, 0xc0000000, GIB, MEMTYPE_UC);
	set_var(&f->mtrr, 1, 0x7f000000, 16 * MIB, MEMTYPE_UC);
	assert_true(ept_map_identity(&f->ept, 39, 0));
	/* The fixed ranges need 4 KiB pages in the first 2 MiB; the rest of that 1 GiB is 2 MiB. */
	assert_identity(&f->ept, 0x9f000, 1, MEMTYPE_WB);
	assert_identity(&f->ept, 0xa0000, 1, MEMTYPE_UC);
	assert_identity(&f->ept, 0xbffff, 1, MEMTYPE_UC);
	assert_identity(&f->ept, 0xc0000, 1, MEMTYPE_WB);
	assert_identity(&f->ept, 0x200000, 2, MEMTYPE_WB);
	assert_identity(&f->ept, 0x7effffff, 2, MEMTYPE_WB);
	assert_identity(&f->ept, 0x7f000000, 2, MEMTYPE_UC);
	assert_identity(&f->ept, 0x80000000, 3, MEMTYPE_WB);
	assert_identity(&f->ept, 0xc0000000, 3, MEMTYPE_UC);
	assert_identity(&f->ept, 0x100000000, 3, MEMTYPE_WB);
	assert_int_equal(f->pool.used, 5);
}

static void without_1g_pages(void **state)
{
	struct fixture *f = *state;
	f->ept.has_1g = false;
	assert_true(ept_map_identity(&f->ept, 39, 0));
	assert_identity(&f->ept, BIT(39) - 1, 2, MEMTYPE_WB);
	assert_int_equal(f->pool.used, 2 + 512);
}

static void lazy_above_ram(void **state)
{
	struct fixture *f = *state;
	f->ept.has_1g = false;
	f->mtrr.maxphyaddr = 46;
	assert_true(ept_map_identity(&f->ept, 46, 5 * GIB + 1));
	assert_identity(&f->ept, 6 * GIB - 1, 2, MEMTYPE_WB);
	assert_absent(&f->ept, 6 * GIB, false);
	assert_int_equal(f->pool.used, 2 + 6);

	assert_true(ept_fill(&f->ept, 9 * GIB + 12345));
	assert_identity(&f->ept, 9 * GIB, 2, MEMTYPE_WB);
	assert_identity(&f->ept, 10 * GIB - 1, 2, MEMTYPE_WB);
	assert_absent(&f->ept, 10 * GIB, false);
	unsigned int used = f->pool.used;
	assert_true(ept_fill(&f->ept, 9 * GIB)); /* as of a second CPU that faulted too */
	assert_true(ept_fill(&f->ept, 0));
	assert_int_equal(f->pool.used, used);
	assert_true(ept_fill(&f->ept, BIT(46) - 1));
	assert_identity(&f->ept, BIT(46) - 1, 2, MEMTYPE_WB);
	assert_false(ept_fill(&f->ept, BIT(46)));

	/* At least 4 GiB, however little RAM: firmware and devices are there. */
	memset(f->pool.pages, 0, PAGE_SIZE * f->pool.used);
	f->pool.used = 0;
	assert_true(ept_map_identity(&f->ept, 46, 512 * MIB));
	assert_identity(&f->ept, 4 * GIB - 1, 2, MEMTYPE_WB);
	assert_absent(&f->ept, 4 * GIB, false);
}

static void without_large_pages(void **state)
{
	struct fixture *f = *state;
	f->ept.has_2m = false;
	f->ept.has_1g = false;
	assert_true(ept_map_identity(&f->ept, 39, 0));
	assert_identity(&f->ept, 4 * GIB - 1, 1, MEMTYPE_WB);
	assert_absent(&f->ept, 4 * GIB, false);
	assert_true(ept_fill(&f->ept, 4 * GIB));
	assert_identity(&f->ept, 4 * GIB, 1, MEMTYPE_WB);
}

static void hiding(void **state)
{
	struct fixture *f = *state;
	assert_true(ept_map_identity(&f->ept, 39, 0));
	assert_true(ept_hide(&f->ept, 0x3ff00000, 0x200000)); /* across a 1 GiB boundary */
	assert_identity(&f->ept, 0x3fe00000, 1, MEMTYPE_WB);
	assert_identity(&f->ept, 0x3fefffff, 1, MEMTYPE_WB);
	assert_absent(&f->ept, 0x3ff00000, true);
	assert_absent(&f->ept, 0x40000000, true);
	assert_absent(&f->ept, 0x400fffff, true);
	assert_identity(&f->ept, 0x40100000, 1, MEMTYPE_WB);
	assert_identity(&f->ept, 0x40200000, 2, MEMTYPE_WB);
	assert_identity(&f->ept, 0x3fdfffff, 2, MEMTYPE_WB);
	assert_identity(&f->ept, 0x80000000, 3, MEMTYPE_WB);
	assert_false(ept_fill(&f->ept, 0x40000000));
	/* Twice is once; large blocks; odd bounds go outward. */
	unsigned int used = f->pool.used;
	assert_true(ept_hide(&f->ept, 0x3ff00000, 0x200000));
	assert_true(ept_hide(&f->ept, 8 * GIB, 2 * GIB));
	assert_int_equal(f->pool.used, used);
	assert_absent(&f->ept, 8 * GIB, true);
	assert_absent(&f->ept, 10 * GIB - 1, true);
	assert_true(ept_hide(&f->ept, 8 * GIB + 5 * MIB, PAGE_SIZE));
	assert_int_equal(f->pool.used, used);
	assert_true(ept_hide(&f->ept, 0x50001800, 0x1000));
	assert_identity(&f->ept, 0x50000fff, 1, MEMTYPE_WB);
	assert_absent(&f->ept, 0x50001000, true);
	assert_absent(&f->ept, 0x50002fff, true);
	assert_identity(&f->ept, 0x50003000, 1, MEMTYPE_WB);
	/* Nothing, past the end, wrapping. */
	assert_true(ept_hide(&f->ept, 0x60000800, 0));
	assert_identity(&f->ept, 0x60000800, 2, MEMTYPE_WB);
	assert_true(ept_hide(&f->ept, BIT(40), GIB));
	assert_true(ept_hide(&f->ept, BIT(39) - GIB, ~0ull));
	assert_absent(&f->ept, BIT(39) - 1, true);
	assert_identity(&f->ept, BIT(39) - GIB - 1, 3, MEMTYPE_WB);
}

static void hiding_what_is_not_filled(void **state)
{
	struct fixture *f = *state;
	f->ept.has_1g = false;
	f->mtrr.maxphyaddr = 46;
	assert_true(ept_map_identity(&f->ept, 46, 0));
	assert_true(ept_hide(&f->ept, 100 * GIB + 4 * MIB, 2 * MIB));
	assert_identity(&f->ept, 100 * GIB, 2, MEMTYPE_WB);
	assert_absent(&f->ept, 100 * GIB + 4 * MIB, true);
	assert_false(ept_fill(&f->ept, 100 * GIB + 5 * MIB));
	/* Whole empty blocks of 1 GiB and 512 GiB. */
	assert_true(ept_hide(&f->ept, 200 * GIB, GIB));
	assert_false(ept_fill(&f->ept, 200 * GIB));
	assert_true(ept_fill(&f->ept, 201 * GIB));
	assert_true(ept_hide(&f->ept, 1024 * GIB, 513 * GIB));
	assert_false(ept_fill(&f->ept, 1024 * GIB + 77));
	assert_false(ept_fill(&f->ept, 1536 * GIB));
	assert_true(ept_fill(&f->ept, 1537 * GIB));
	/* What is hidden stays so when a page inside is replaced. */
	assert_true(ept_set_4k(&f->ept, 1024 * GIB, 0x1000, EPT_RWX, MEMTYPE_WB));
	assert_absent(&f->ept, 1024 * GIB + PAGE_SIZE, true);
	assert_absent(&f->ept, 1025 * GIB, true);
	assert_false(ept_fill(&f->ept, 1025 * GIB));
}

static void single_pages(void **state)
{
	struct fixture *f = *state;
	struct ept_walk w;
	assert_true(ept_map_identity(&f->ept, 39, 0));
	assert_true(ept_set_4k(&f->ept, 0xfee00000, 0x123456000, EPT_READ | EPT_WRITE, MEMTYPE_UC));
	assert_true(ept_walk(&f->ept, 0xfee00abc, &w));
	assert_int_equal(w.pa, 0x123456abc);
	assert_int_equal(w.level, 1);
	assert_int_equal(w.perm, EPT_READ | EPT_WRITE);
	assert_int_equal(w.type, MEMTYPE_UC);
	assert_identity(&f->ept, 0xfee01000, 1, MEMTYPE_WB);
	assert_identity(&f->ept, 0xfedff000, 2, MEMTYPE_WB);
	assert_identity(&f->ept, 0xc0000000, 2, MEMTYPE_WB);
	/* Bits outside permissions and address do not leak into the entry. */
	assert_true(ept_set_4k(&f->ept, 0x5123, 0x6fff, ~0ull, MEMTYPE_WB));
	assert_true(ept_walk(&f->ept, 0x5000, &w));
	assert_int_equal(w.pa, 0x6000);
	assert_int_equal(w.perm, EPT_RWX);
	assert_int_equal(w.entry & (EPT_LARGE | EPT_SUPPRESS_VE | EPT_IGNORE_PAT), 0);
	/* No permission at all is hidden. */
	assert_true(ept_set_4k(&f->ept, 0x5000, 0x5000, 0, MEMTYPE_WB));
	assert_absent(&f->ept, 0x5000, true);
	assert_false(ept_set_4k(&f->ept, BIT(39), 0, EPT_RWX, MEMTYPE_WB));
	/* Types of pinned pages survive an update. */
	f->mtrr.def_type = def_type(MTRR_DEF_ENABLE, MEMTYPE_WT);
	ept_update_types(&f->ept);
	assert_true(ept_walk(&f->ept, 0xfee00000, &w));
	assert_int_equal(w.type, MEMTYPE_UC);
	assert_int_equal(w.pa, 0x123456000);
	assert_identity(&f->ept, 0xfee01000, 1, MEMTYPE_WT);
	assert_absent(&f->ept, 0x5000, true);
}

static void updates(void **state)
{
	struct fixture *f = *state;
	assert_true(ept_map_identity(&f->ept, 39, 0));
	assert_true(ept_hide(&f->ept, 0x70000000, 0x400000));
	unsigned int used = f->pool.used;
	ept_update_types(&f->ept);
	/* A frame buffer becomes WC. */
	set_var(&f->mtrr, 0, 0xe0000000, 8 * MIB, MEMTYPE_WC);
	f->mtrr.def_type = def_type(MTRR_DEF_ENABLE, MEMTYPE_UC);
	set_var(&f->mtrr, 1, 0, 2 * GIB, MEMTYPE_WB);
	ept_update_types(&f->ept);
	assert_int_equal(f->pool.used, used + 1);
	assert_identity(&f->ept, 0xe0000000, 2, MEMTYPE_WC);
	assert_identity(&f->ept, 0xe0800000, 2, MEMTYPE_UC);
	assert_identity(&f->ept, 0, 3, MEMTYPE_WB);
	assert_identity(&f->ept, 0x6fffffff, 2, MEMTYPE_WB);
	assert_absent(&f->ept, 0x70000000, true);
	assert_identity(&f->ept, 0x80000000, 3, MEMTYPE_UC);
	/* MTRRs off and on again, as every guest does around a change. */
	u64 def_type = f->mtrr.def_type;
	f->mtrr.def_type = 0;
	ept_update_types(&f->ept);
	assert_identity(&f->ept, 0xe0000000, 2, MEMTYPE_UC);
	assert_identity(&f->ept, 0, 3, MEMTYPE_UC);
	f->mtrr.def_type = def_type;
	ept_update_types(&f->ept);
	assert_identity(&f->ept, 0xe0000000, 2, MEMTYPE_WC);
	assert_identity(&f->ept, 0, 3, MEMTYPE_WB);
	assert_absent(&f->ept, 0x703fffff, true);
	assert_int_equal(f->pool.used, used + 1);
}

static void out_of_memory(void **state)
{
	struct fixture *f = *state;
	f->pool.limit = 0;
	assert_false(ept_map_identity(&f->ept, 39, 0));
	f->pool.limit = 1;
	assert_false(ept_map_identity(&f->ept, 39, 0));

	memset(f->pool.pages, 0, PAGE_SIZE);
	f->pool.used = 0;
	f->pool.limit = 2;
	assert_true(ept_map_identity(&f->ept, 39, 0));
	assert_false(ept_hide(&f->ept, 0x1000, 0x1000));
	assert_false(ept_set_4k(&f->ept, 0x1000, 0x1000, EPT_RWX, MEMTYPE_WB));
	assert_identity(&f->ept, 0x1000, 3, MEMTYPE_WB);
	/* One strict type, rather than a wrong one, where splitting is impossible. */
	set_var(&f->mtrr, 0, 5 * GIB, 2 * MIB, MEMTYPE_WC);
	ept_update_types(&f->ept);
	assert_identity(&f->ept, 5 * GIB, 3, MEMTYPE_UC);
	assert_identity(&f->ept, 6 * GIB, 3, MEMTYPE_WB);
	ept_update_types(&f->ept);
	/* Memory is back. */
	f->pool.limit = POOL_PAGES;
	ept_update_types(&f->ept);
	assert_identity(&f->ept, 5 * GIB, 2, MEMTYPE_WC);
	assert_identity(&f->ept, 5 * GIB + 2 * MIB, 2, MEMTYPE_WB);

	/* The 1 GiB page splits, its 2 MiB page cannot. */
	f->mtrr.var_mask[0] = 0;
	memset(f->pool.pages, 0, PAGE_SIZE * f->pool.used);
	f->pool.used = 0;
	f->pool.limit = 3;
	assert_true(ept_map_identity(&f->ept, 39, 0));
	assert_false(ept_hide(&f->ept, 7 * GIB, PAGE_SIZE));
	assert_identity(&f->ept, 7 * GIB, 2, MEMTYPE_WB);
	/* Without 1 GiB pages a fill needs a table, and says so. */
	memset(f->pool.pages, 0, PAGE_SIZE * f->pool.used);
	f->pool.used = 0;
	f->pool.limit = 2 + 4;
	f->ept.has_1g = false;
	assert_true(ept_map_identity(&f->ept, 46, 0));
	assert_false(ept_fill(&f->ept, 4 * GIB));
	assert_false(ept_fill(&f->ept, 600 * GIB));
	assert_absent(&f->ept, 4 * GIB, false);
	f->pool.limit++;
	assert_true(ept_fill(&f->ept, 4 * GIB));
}

static u64 rnd(u64 below)
{
	u64 r = (u64)rand() << 31 ^ (u64)rand();
	return r % below;
}

/* After any sequence of changes: hidden is absent, the rest is identity with the MTRRs' type. */
static void property(void **state)
{
	struct fixture *f = *state;
	static const enum memtype types[] = {MEMTYPE_UC, MEMTYPE_WC, MEMTYPE_WT, MEMTYPE_WP,
					     MEMTYPE_WB};
	static const u64 space = 1ull << 36;
	srand(2);
	for (int round = 0; round < 60; round++) {
		struct {
			paddr_t start;
			u64 size;
		} hidden[6];
		unsigned int n_hidden = 0;
		paddr_t probes[256];

		memset(f->pool.pages, 0, PAGE_SIZE * f->pool.used);
		f->pool.used = 0;
		f->ept.has_1g = round % 2;
		memset(f->mtrr.var_mask, 0, sizeof(f->mtrr.var_mask));
		f->mtrr.def_type = def_type(MTRR_DEF_ENABLE, MEMTYPE_UC);
		unsigned int width = round % 3 ? 36 : 40;
		assert_true(ept_map_identity(&f->ept, width, rnd(8 * GIB)));
		for (int step = 0; step < 24; step++) {
			unsigned int n = 0;
			switch (rand() % 3) {
			case 0:
				if (n_hidden < ARRAY_SIZE(hidden)) {
					u64 size = PAGE_SIZE * (1 + rnd(1ull << (rand() % 20)));
					paddr_t start = ALIGN_DOWN(rnd(space - size), PAGE_SIZE);
					hidden[n_hidden].start = start;
					hidden[n_hidden++].size = size;
					assert_true(ept_hide(&f->ept, start, size));
				}
				break;
			case 1: {
				u64 size = PAGE_SIZE << (rand() % 22);
				unsigned int i = (unsigned int)rand() % 8;
				f->mtrr.def_type = def_type(MTRR_DEF_ENABLE, types[rand() % 5]);
				f->mtrr.var_base[i] =
					(rnd(space) & ~(size - 1)) | types[rand() % 5];
				f->mtrr.var_mask[i] = (BITS(39, 0) & ~(size - 1)) | MTRR_MASK_VALID;
				ept_update_types(&f->ept);
				ept_update_types(&f->ept);
				break;
			}
			default:
				ept_fill(&f->ept, rnd(space));
			}
			for (unsigned int i = 0; i < n_hidden; i++) {
				probes[n++] = hidden[i].start;
				probes[n++] = hidden[i].start - 1;
				probes[n++] = hidden[i].start + hidden[i].size;
				probes[n++] = hidden[i].start + hidden[i].size - 1;
				probes[n++] = hidden[i].start + rnd(hidden[i].size);
			}
			for (unsigned int i = 0; i < 8; i++) {
				u64 base = f->mtrr.var_base[i] & ~0xfffull;
				u64 size = (~f->mtrr.var_mask[i] & BITS(39, 12)) + PAGE_SIZE;
				probes[n++] = base;
				probes[n++] = base - 1;
				probes[n++] = base + size;
				probes[n++] = base + size - 1;
			}
			while (n < ARRAY_SIZE(probes))
				probes[n++] = rnd(space);
			for (unsigned int i = 0; i < n; i++) {
				struct ept_walk w;
				bool in_hidden = false, uniform;
				if (probes[i] >= f->ept.limit)
					continue;
				for (unsigned int h = 0; h < n_hidden; h++)
					in_hidden |= probes[i] - hidden[h].start < hidden[h].size;
				if (!ept_walk(&f->ept, probes[i], &w)) {
					assert_int_equal(w.hidden, in_hidden);
					assert_int_equal(ept_fill(&f->ept, probes[i]), !in_hidden);
					if (in_hidden)
						continue;
					assert_true(ept_walk(&f->ept, probes[i], &w));
				}
				assert_false(in_hidden);
				assert_int_equal(w.pa, probes[i]);
				assert_int_equal(w.perm, EPT_RWX);
				paddr_t page = ALIGN_DOWN(probes[i], PAGE_SIZE);
				assert_int_equal(w.type, mtrr_type_of_range(&f->mtrr, page,
									    PAGE_SIZE, &uniform));
			}
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(uniform_in_1g_pages, setup, teardown),
		cmocka_unit_test_setup_teardown(width_36_and_over_48, setup, teardown),
		cmocka_unit_test_setup_teardown(mtrr_boundaries_split, setup, teardown),
		cmocka_unit_test_setup_teardown(without_1g_pages, setup, teardown),
		cmocka_unit_test_setup_teardown(lazy_above_ram, setup, teardown),
		cmocka_unit_test_setup_teardown(without_large_pages, setup, teardown),
		cmocka_unit_test_setup_teardown(hiding, setup, teardown),
		cmocka_unit_test_setup_teardown(hiding_what_is_not_filled, setup, teardown),
		cmocka_unit_test_setup_teardown(single_pages, setup, teardown),
		cmocka_unit_test_setup_teardown(updates, setup, teardown),
		cmocka_unit_test_setup_teardown(out_of_memory, setup, teardown),
		cmocka_unit_test_setup_teardown(property, setup, teardown),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
