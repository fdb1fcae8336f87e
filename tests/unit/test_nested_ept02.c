/* SPDX-License-Identifier: BSD-2-Clause */
/* ept02 = ept12 ∩ ept01: the properties of tests/hosted/ept02_model.c, on several machines. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include <x86/vmx.h>

#include "ept02_model.h"
#include "nested/ept12.h"
#include "nested/state.h"

static const u64 all_caps = EPT_CAP_EXEC_ONLY | EPT_CAP_2M | EPT_CAP_1G;

static void run(const struct ept02_model_options *options)
{
	machine_memory_init(EPT02_MODEL_GUEST_PAGES, EPT02_MODEL_OWN_PAGES);
	for (u64 seed = 1; seed <= 80; seed++) {
		struct ept02_model_options with_seed = *options;
		struct rng rng = {.state = seed * 0x9e3779b97f4a7c15};

		with_seed.seed = seed;
		ept02_model_run(&with_seed, &rng);
	}
}

static void test_everything_offered(void **state)
{
	(void)state;
	run(&(struct ept02_model_options){all_caps, ~0ull, GIB, false, 2000, 0});
}

/* Reserved bits and rights that an older CPU does not know are misconfigurations. */
static void test_nothing_offered(void **state)
{
	(void)state;
	run(&(struct ept02_model_options){0, ~0ull, GIB, false, 2000, 0});
}

/* Accessed and dirty flags of ept12, set exactly. */
static void test_flags(void **state)
{
	(void)state;
	run(&(struct ept02_model_options){all_caps | EPT_CAP_AD, ~0ull, GIB, false, 2000, 0});
	run(&(struct ept02_model_options){all_caps | EPT_CAP_AD, ~0ull, PAGE_SIZE, false, 2000, 0});
}

/* Two rights to execute, where execute-only pages are known and where they are misconfigurations.
 */
static void test_mode_based(void **state)
{
	(void)state;
	run(&(struct ept02_model_options){all_caps, ~0ull, GIB, true, 2000, 0});
	run(&(struct ept02_model_options){all_caps | EPT_CAP_AD, ~0ull, 2 * MIB, true, 2000, 0});
	run(&(struct ept02_model_options){EPT_CAP_2M, ~0ull, PAGE_SIZE, true, 2000, 0});
	run(&(struct ept02_model_options){all_caps | EPT_CAP_AD, 0, GIB, true, 2000, 0});
}

/* Supervisor shadow stacks, whose right in a page goes by the entries above it. */
static void test_shadow_stacks(void **state)
{
	const u64 caps = all_caps | EPT_CAP_SHADOW_STACK;

	(void)state;
	run(&(struct ept02_model_options){caps, ~0ull, GIB, false, 2000, 0});
	run(&(struct ept02_model_options){caps | EPT_CAP_AD, ~0ull, GIB, true, 2000, 0});
	run(&(struct ept02_model_options){caps | EPT_CAP_AD, 0, PAGE_SIZE, true, 2000, 0});
}

static void test_ept01_of_small_pages(void **state)
{
	(void)state;
	run(&(struct ept02_model_options){all_caps, ~0ull, PAGE_SIZE, false, 2000, 0});
}

static void test_ept01_of_2m_pages(void **state)
{
	(void)state;
	run(&(struct ept02_model_options){EPT_CAP_2M, ~0ull, 2 * MIB, false, 2000, 0});
}

/* Other CPUs have used up the pool: this one's reserve must do. */
static void test_only_the_reserve(void **state)
{
	(void)state;
	run(&(struct ept02_model_options){all_caps, 0, GIB, false, 2000, 0});
}

/*
 * A call through a gate in IA-32e mode with 5-level paging: 12 pages, each with 4 tables, each in a
 * part of L2's memory of its own.
 */
enum { LARGEST = 1 + 12 * 5, SMALL = 10, TRIES = 4 };

static bool gets_on(unsigned int cpu, unsigned int pages)
{
	for (unsigned int i = 0; i < TRIES; i++) {
		if (ept02_model_instruction(cpu, pages))
			return true;
	}
	return false;
}

/* The pool is used up. Small instructions are content with what their CPU is sure of. */
static void test_largest_instruction(void **state)
{
	(void)state;
	ept02_model_run_short();
	for (unsigned int cpu = 0; cpu < 3; cpu++) {
		assert_true(gets_on(cpu, SMALL));
		assert_int_equal(ept02_model_loan(cpu), LOAN_NONE);
	}
	assert_true(gets_on(0, LARGEST));
	assert_int_equal(ept02_model_loan(0), LOAN_HELD);
	/* As long as nobody else asks it goes on so. */
	assert_true(gets_on(0, LARGEST));
	assert_int_equal(ept02_model_loan(0), LOAN_HELD);
	ept02_model_leave(0);
	assert_int_equal(ept02_model_loan(0), LOAN_NONE);
	assert_true(gets_on(0, SMALL));
}

/* Three CPUs need it at once: one after the other, in the order in which they have asked. */
static void test_loan_in_turn(void **state)
{
	(void)state;
	ept02_model_run_short();
	assert_true(gets_on(1, LARGEST));
	for (unsigned int i = 0; i < TRIES; i++) {
		assert_false(ept02_model_instruction(2, LARGEST));
		assert_false(ept02_model_instruction(0, LARGEST));
	}
	assert_int_equal(ept02_model_loan(2), LOAN_WAITS);
	assert_int_equal(ept02_model_loan(0), LOAN_WAITS);
	/* Whoever waits can still do what takes less. */
	assert_true(gets_on(2, SMALL));
	ept02_model_leave(1);
	assert_false(gets_on(0, LARGEST));
	assert_true(gets_on(2, LARGEST));
	ept02_model_leave(2);
	assert_true(gets_on(0, LARGEST));
	ept02_model_leave(0);
	for (unsigned int cpu = 0; cpu < 3; cpu++)
		assert_int_equal(ept02_model_loan(cpu), LOAN_NONE);
}

/* One that waits may give up; it is in nobody's way. */
static void test_loan_withdrawn(void **state)
{
	(void)state;
	ept02_model_run_short();
	assert_true(gets_on(0, LARGEST));
	assert_false(gets_on(1, LARGEST));
	assert_false(gets_on(2, LARGEST));
	ept02_model_leave(1);
	ept02_model_leave(0);
	assert_true(gets_on(2, LARGEST));
	assert_false(gets_on(1, LARGEST));
	ept02_model_leave(2);
	assert_true(gets_on(1, LARGEST));
}

/* L2 never makes an exit of L1's: when it runs out again it has got on, and others have their turn.
 */
static void test_loan_is_shared(void **state)
{
	unsigned int done[3] = {0};

	(void)state;
	ept02_model_run_short();
	for (unsigned int i = 0; i < 120; i++) {
		const unsigned int cpu = i % 3;

		if (!ept02_model_instruction(cpu, LARGEST))
			continue;
		done[cpu]++;
		assert_int_equal(ept02_model_loan(cpu), LOAN_HELD);
		/* The instructions that follow use other memory. */
		assert_false(ept02_model_instruction(cpu, 2 * LARGEST));
		assert_int_equal(ept02_model_loan(cpu), LOAN_WAITS);
	}
	for (unsigned int cpu = 0; cpu < 3; cpu++)
		assert_true(done[cpu] > 5);
}

/* Memory runs out at every possible allocation in turn. */
static void test_out_of_memory(void **state)
{
	(void)state;
	for (u64 pages = 0; pages < 60; pages++) {
		struct rng rng = {.state = 1 + pages};

		ept02_model_run(
			&(struct ept02_model_options){all_caps, pages, GIB, false, 1000, 1 + pages},
			&rng);
	}
}

/* An entry at `level` on the way of gpa, in tables at such pages: the root first. */
static u64 *entry12(const u64 *pages, unsigned int level, paddr_t gpa)
{
	return (u64 *)(machine_memory.guest + pages[EPT_LEVELS - level] * PAGE_SIZE) +
	       ept_index(gpa, level);
}

/*
 * A walk that begins with the last one finds what memory holds now: L1 may change any entry, and
 * INVEPT is for what the CPU caches.
 */
static void test_walk_after_walk(void **state)
{
	enum { ROOT = 1, TOP, MIDDLE, TABLE, OTHER };
	static const u64 pages[] = {ROOT, TOP, MIDDLE, TABLE},
			 others[] = {ROOT, TOP, MIDDLE, OTHER};
	const u64 eptp = ROOT * PAGE_SIZE | EPTP_WALK_4 | MEMTYPE_WB;
	const u64 wb = ept_memtype_bits(MEMTYPE_WB);
	struct ept12_walk walk = {0};

	(void)state;
	machine_memory_init(EPT02_MODEL_GUEST_PAGES, EPT02_MODEL_OWN_PAGES);
	nested_caps.maxphyaddr = MACHINE_MAXPHYADDR;
	nested_caps.ept_vpid = all_caps;
	ept12_init();
	for (unsigned int level = EPT_LEVELS; level > 1; level--)
		*entry12(pages, level, 0) = pages[EPT_LEVELS - level + 1] * PAGE_SIZE | EPT_RWX;
	for (paddr_t gpa = 0; gpa < 4 * PAGE_SIZE; gpa += PAGE_SIZE) {
		*entry12(pages, 1, gpa) = (0x10000 + gpa) | wb | EPT_RWX;
		*entry12(others, 1, gpa) = (0x20000 + gpa) | wb | EPT_RWX;
	}
	for (unsigned int i = 0; i < 2; i++) {
		assert_int_equal(ept12_walk(eptp, 0x1008, &walk), EPT12_PRESENT);
		assert_int_equal(walk.gpa1, 0x11008);
	}
	/* Another page of the same table, and then no page. */
	assert_int_equal(ept12_walk(eptp, 0x2000, &walk), EPT12_PRESENT);
	assert_int_equal(walk.gpa1, 0x12000);
	assert_int_equal(ept12_walk(eptp, 0x8000, &walk), EPT12_ABSENT);
	assert_int_equal(walk.rights, 0);
	assert_int_equal(walk.level, 1);
	/* Each level above: other rights, another table, none, a malformed entry. */
	for (unsigned int level = EPT_LEVELS; level > 1; level--) {
		u64 *entry = entry12(pages, level, 0);
		const u64 before = *entry;

		*entry = before & ~(u64)EPT_WRITE;
		assert_int_equal(ept12_walk(eptp, 0x1000, &walk), EPT12_PRESENT);
		assert_int_equal(walk.rights, EPT_READ | EPT_EXEC);
		*entry = 0;
		assert_int_equal(ept12_walk(eptp, 0x1000, &walk), EPT12_ABSENT);
		assert_int_equal(walk.level, level);
		*entry = before | BIT(MACHINE_MAXPHYADDR);
		assert_int_equal(ept12_walk(eptp, 0x1000, &walk), EPT12_MISCONFIGURED);
		*entry = before;
		assert_int_equal(ept12_walk(eptp, 0x1000, &walk), EPT12_PRESENT);
		assert_int_equal(walk.rights, EPT_RWX);
	}
	*entry12(pages, 2, 0) = OTHER * PAGE_SIZE | EPT_RWX;
	assert_int_equal(ept12_walk(eptp, 0x1000, &walk), EPT12_PRESENT);
	assert_int_equal(walk.gpa1, 0x21000);
	/* Another 2 MiB, another EPTP: not this way. */
	assert_int_equal(ept12_walk(eptp, 2 * MIB, &walk), EPT12_ABSENT);
	assert_int_equal(ept12_walk(eptp, 0x1000, &walk), EPT12_PRESENT);
	/* Read from there, the entry for a page is one for a table with bits that it cannot have.
	 */
	assert_int_equal(ept12_walk(eptp + PAGE_SIZE, 0x1000, &walk), EPT12_MISCONFIGURED);
	assert_int_equal(walk.level, 2);
}

/* Entries of every right, by a table written from SDM "EPT Misconfigurations" and "EPT Violations".
 */
static void test_mode_based_entries(void **state)
{
	enum { ROOT = 1, TOP, MIDDLE, TABLE };
	static const u64 pages[] = {ROOT, TOP, MIDDLE, TABLE};
	static const u64 all = EPT_RWX | EPT_USER_EXEC;
	const u64 eptp = ROOT * PAGE_SIZE | EPTP_WALK_4 | MEMTYPE_WB;
	const u64 leaf = 0x10000 | ept_memtype_bits(MEMTYPE_WB);
	struct ept12_walk walk = {0};

	(void)state;
	machine_memory_init(EPT02_MODEL_GUEST_PAGES, EPT02_MODEL_OWN_PAGES);
	nested_caps.maxphyaddr = MACHINE_MAXPHYADDR;
	for (unsigned int level = EPT_LEVELS; level > 1; level--)
		*entry12(pages, level, 0) = pages[EPT_LEVELS - level + 1] * PAGE_SIZE | all;
	for (unsigned int bits = 0; bits < 64; bits++) {
		const bool mbec = bits & 16, exec_only = bits & 32;
		const u64 entry = (bits & EPT_RWX) | (bits & 8 ? (u64)EPT_USER_EXEC : 0);
		const u64 rights = mbec ? entry : entry & EPT_RWX;
		const bool executes = rights & (EPT_EXEC | EPT_USER_EXEC);
		enum ept12_result wanted = EPT12_PRESENT;

		if (!rights)
			wanted = EPT12_ABSENT;
		else if (!(rights & EPT_READ) && ((rights & EPT_WRITE) || (executes && !exec_only)))
			wanted = EPT12_MISCONFIGURED;
		nested_caps.ept_vpid = exec_only ? EPT_CAP_EXEC_ONLY : 0;
		ept12_init();
		*entry12(pages, 1, 0) = leaf | entry;
		/* Once by way of a walk before it, and once without. */
		for (unsigned int i = 0; i < 2; i++) {
			assert_int_equal(
				ept12_walk(eptp | (mbec ? EPT12_MODE_BASED : 0), 0x18, &walk),
				wanted);
			assert_true(walk.rights == (wanted == EPT12_PRESENT ? rights : 0));
		}
		/* Taken away above, where all else is allowed. */
		if (wanted != EPT12_PRESENT)
			continue;
		*entry12(pages, 3, 0) &= ~(u64)EPT_USER_EXEC;
		assert_int_equal(ept12_walk(eptp | (mbec ? EPT12_MODE_BASED : 0), 0x18, &walk),
				 EPT12_PRESENT);
		assert_true(walk.rights == (rights & EPT_RWX));
		*entry12(pages, 3, 0) |= EPT_USER_EXEC;
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_walk_after_walk),
		cmocka_unit_test(test_mode_based_entries),
		cmocka_unit_test(test_everything_offered),
		cmocka_unit_test(test_nothing_offered),
		cmocka_unit_test(test_flags),
		cmocka_unit_test(test_mode_based),
		cmocka_unit_test(test_shadow_stacks),
		cmocka_unit_test(test_ept01_of_small_pages),
		cmocka_unit_test(test_ept01_of_2m_pages),
		cmocka_unit_test(test_only_the_reserve),
		cmocka_unit_test(test_largest_instruction),
		cmocka_unit_test(test_loan_in_turn),
		cmocka_unit_test(test_loan_withdrawn),
		cmocka_unit_test(test_loan_is_shared),
		cmocka_unit_test(test_out_of_memory),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
