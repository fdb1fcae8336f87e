/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The MSR bitmap of vmcs02, as L2's accesses meet it: the hardware looks at Umbra's page, and what
 * exits is decided by the two bitmaps behind it. SDM "MSR-Bitmap Address".
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "machine.h"
#include "mm/guest_memory.h"
#include "nested/msr_bitmap.h"
#include "nested/state.h"
#include "vmx/msr.h"

enum { BITMAP12 = 0x3000 };

static struct rng rng;
static u64 page[PAGE_SIZE / 8];
static u8 umbra[PAGE_SIZE];
static u8 always_set[PAGE_SIZE]; /* in L1's bitmap, ever since L2 was entered */
static struct msr_bitmap02 bitmap;

u64 msr_bitmap_word(u32 index)
{
	u64 word;

	memcpy(&word, umbra + index * 8ull, sizeof(word));
	return word;
}

static u8 *l1(void)
{
	return machine_memory.guest + BITMAP12;
}

/* Whether an access exits by this bitmap. */
static bool exits(const void *bits, u32 msr, bool write)
{
	const u8 *bytes = bits;
	const u32 part = (write ? 2048u : 0u) + (msr >= 0xc0000000 ? 1024u : 0u);

	if (msr > 0x1fff && (msr < 0xc0000000 || msr > 0xc0001fff))
		return true;
	return bytes[part + (msr & 0x1fff) / 8] >> (msr % 8) & 1;
}

static u32 random_msr(void)
{
	static const u32 edges[] = {0,          0x1fff,     0x2000,     0xbfffffff,
				    0xc0000000, 0xc0001fff, 0xc0002000, 0xffffffff};

	if (rng_below(&rng, 16) == 0)
		return edges[rng_below(&rng, ARRAY_SIZE(edges))];
	/* Mostly the same hundred, as guests do; but now and then more words than are kept. */
	return (rng_below(&rng, 2) ? 0xc0000000 : 0) +
	       (u32)(rng_below(&rng, 8) ? rng_below(&rng, 40) * 61 : rng_below(&rng, 0x2000));
}

static void enter(void)
{
	msr_bitmap02_merge(&bitmap, BITMAP12);
	memcpy(always_set, l1(), sizeof(always_set));
	/* Nothing passes that L1 or Umbra wants. */
	for (size_t i = 0; i < PAGE_SIZE; i++)
		assert_int_equal((always_set[i] | umbra[i]) & ~((const u8 *)page)[i], 0);
}

/* RDMSR or WRMSR of L2. */
static void access_msr(u32 msr, bool write)
{
	const bool l1_wants = exits(l1(), msr, write);
	const bool umbra_wants = exits(umbra, msr, write);

	if (!exits(page, msr, write)) {
		/* L1's change of its bitmap need not count before the next entry. */
		assert_false(exits(always_set, msr, write));
		assert_false(umbra_wants);
		return;
	}
	switch (msr_bitmap02_exit(&bitmap, BITMAP12, msr, write)) {
	case MSR_EXIT_L1:
		assert_true(l1_wants);
		break;
	case MSR_EXIT_UMBRA:
		assert_true(!l1_wants && umbra_wants);
		break;
	case MSR_EXIT_AGAIN:
		assert_true(!l1_wants && !umbra_wants);
		/* And then it goes through. */
		assert_false(exits(page, msr, write));
		break;
	}
}

static void fill(u8 *bits, unsigned int density)
{
	for (size_t i = 0; i < PAGE_SIZE; i++) {
		bits[i] = 0;
		for (unsigned int bit = 0; bit < 8; bit++)
			bits[i] |= (u8)((rng_below(&rng, 100) < density ? 1u : 0u) << bit);
	}
}

static void change_l1(void)
{
	const u64 i = rng_below(&rng, PAGE_SIZE);

	l1()[i] ^= (u8)(1u << rng_below(&rng, 8));
	always_set[i] &= l1()[i];
}

static void run(unsigned int l1_density, unsigned int umbra_density)
{
	machine_memory_init(8, 1);
	fill(l1(), l1_density);
	fill(umbra, umbra_density);
	bitmap = (struct msr_bitmap02){.page = page};
	msr_bitmap02_init(&bitmap);
	/* Before the first access all exits. */
	for (size_t i = 0; i < ARRAY_SIZE(page); i++)
		assert_true(page[i] == ~0ull);
	enter();
	for (u32 i = 0; i < 4000; i++) {
		const u64 what = rng_below(&rng, 16);

		if (what == 0)
			enter();
		else if (what == 1)
			change_l1();
		else
			access_msr(random_msr(), rng_below(&rng, 2));
	}
	/* Another VMCS in the same place starts anew. */
	msr_bitmap02_init(&bitmap);
	memset(l1(), 0xff, PAGE_SIZE);
	enter();
}

static void test_random(void **state)
{
	(void)state;
	rng.state = 1;
	for (unsigned int density = 0; density <= 100; density += 10) {
		run(density, 0);
		run(density, 5);
		run(0, density);
	}
}

/* A hypervisor that lets a few MSRs through: after the first time nothing of them exits. */
static void test_no_exits_in_the_long_run(void **state)
{
	static const u32 usual[] = {0x174,      0x175,      0x176,      0x48,
				    0x49,       0xc0000080, 0xc0000081, 0xc0000082,
				    0xc0000084, 0xc0000100, 0xc0000101, 0xc0000102};

	(void)state;
	run(0, 0);
	machine_memory_init(8, 1);
	memset(umbra, 0, sizeof(umbra));
	msr_bitmap02_init(&bitmap);
	for (u32 round = 0; round < 3; round++) {
		enter();
		for (size_t i = 0; i < ARRAY_SIZE(usual); i++) {
			for (int write = 0; write < 2; write++) {
				if (round)
					assert_false(exits(page, usual[i], write));
				access_msr(usual[i], write);
			}
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_random),
		cmocka_unit_test(test_no_exits_in_the_long_run),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
