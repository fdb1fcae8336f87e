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
	run(&(struct ept02_model_options){all_caps, ~0ull, GIB, 2000, 0});
}

/* Reserved bits and rights that an older CPU does not know are misconfigurations. */
static void test_nothing_offered(void **state)
{
	(void)state;
	run(&(struct ept02_model_options){0, ~0ull, GIB, 2000, 0});
}

/* Accessed and dirty flags of ept12, set exactly. */
static void test_flags(void **state)
{
	(void)state;
	run(&(struct ept02_model_options){all_caps | EPT_CAP_AD, ~0ull, GIB, 2000, 0});
	run(&(struct ept02_model_options){all_caps | EPT_CAP_AD, ~0ull, PAGE_SIZE, 2000, 0});
}

static void test_ept01_of_small_pages(void **state)
{
	(void)state;
	run(&(struct ept02_model_options){all_caps, ~0ull, PAGE_SIZE, 2000, 0});
}

static void test_ept01_of_2m_pages(void **state)
{
	(void)state;
	run(&(struct ept02_model_options){EPT_CAP_2M, ~0ull, 2 * MIB, 2000, 0});
}

/* Other CPUs have used up the pool: this one's reserve must do. */
static void test_only_the_reserve(void **state)
{
	(void)state;
	run(&(struct ept02_model_options){all_caps, 0, GIB, 2000, 0});
}

/*
 * Other CPUs have used up the pool, and L2's instruction needs as many pages as one can, each in a
 * part of its memory of its own: in the end all of them are mapped at once.
 */
static void test_largest_instruction(void **state)
{
	/* A call through a gate in IA-32e mode with 5-level paging: 12 pages, each with 4 tables.
	 */
	enum { PAGES = 1 + 12 * 5 };

	(void)state;
	assert_int_equal(ept02_model_map_at_once(PAGES), PAGES);
}

/* Memory runs out at every possible allocation in turn. */
static void test_out_of_memory(void **state)
{
	(void)state;
	for (u64 pages = 0; pages < 60; pages++) {
		struct rng rng = {.state = 1 + pages};

		ept02_model_run(
			&(struct ept02_model_options){all_caps, pages, GIB, 1000, 1 + pages}, &rng);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_everything_offered),
		cmocka_unit_test(test_nothing_offered),
		cmocka_unit_test(test_flags),
		cmocka_unit_test(test_ept01_of_small_pages),
		cmocka_unit_test(test_ept01_of_2m_pages),
		cmocka_unit_test(test_only_the_reserve),
		cmocka_unit_test(test_largest_instruction),
		cmocka_unit_test(test_out_of_memory),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
