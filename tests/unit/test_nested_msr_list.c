/* SPDX-License-Identifier: BSD-2-Clause */
/* MSR lists by the rules of SDM "Loading MSRs" and "Saving MSRs": tests/hosted/msr_list_model.c. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "mm/guest_memory.h"
#include "msr_list_model.h"
#include "nested/msr_list.h"
#include "nested/state.h"

static void test_random_lists(void **state)
{
	struct rng rng = {.state = 1};

	(void)state;
	for (u32 i = 0; i < 100000; i++)
		msr_list_model_run(&rng);
}

struct row {
	u32 index, reserved;
	u64 value;
};

static bool store(paddr_t list, u64 count)
{
	struct vmcs12 v = {0};
	const struct nested_vmcs vmcs = {.vmcs12 = &v};

	v.f[F_VM_EXIT_MSR_STORE_ADDR] = list;
	v.f[F_VM_EXIT_MSR_STORE_COUNT] = count;
	return msr_list_store(machine_cpu(0), &vmcs);
}

/* One entry after a good one. */
static void check(bool loads, bool stores, struct row row)
{
	const struct row rows[] = {{0x174, 0, 1}, row};

	guest_memory_write(0x1000, rows, sizeof(rows));
	assert_int_equal(msr_list_load(machine_cpu(0), 0x1000, 2), loads);
	assert_int_equal(store(0x1000, 2), stores);
}

static void test_each_rule(void **state)
{
	(void)state;
	vmwrite(VMCS_GUEST_CR0, BIT(31) | BIT(0));
	vmwrite(VMCS_GUEST_EFER, 0xd01);
	check(true, true, (struct row){0x174, 0, 8});
	check(true, true, (struct row){0xc0000080, 0, 0xd01});
	/* "The value of bits 31:0 is either C0000100H or C0000101H": may be saved, not loaded. */
	check(false, true, (struct row){0xc0000100, 0, 0});
	check(false, true, (struct row){0xc0000101, 0, 0});
	/* "The value of bits 31:8 is 000008H". */
	check(false, false, (struct row){0x800, 0, 0});
	check(false, false, (struct row){0x8ff, 0, 0});
	/* SMM only. */
	check(false, true, (struct row){0x9b, 0, 0});
	check(false, true, (struct row){0x79, 0, 0});
	check(false, false, (struct row){0x9e, 0, 0});
	/* "Bits 63:32 are not all 0." */
	for (u32 bit = 0; bit < 32; bit++)
		check(false, false, (struct row){0x174, 1u << bit, 8});
	/* RDMSR and WRMSR would cause #GP. */
	check(false, false, (struct row){0x12345, 0, 0});
	check(false, true, (struct row){0x1a0, 0, 1});
	/* LME under paging; a reserved bit. */
	check(false, true, (struct row){0xc0000080, 0, 0xc01});
	check(false, true, (struct row){0xc0000080, 0, 0xd03});
}

static void test_empty_list(void **state)
{
	(void)state;
	assert_true(msr_list_load(machine_cpu(0), ~0ull, 0));
	assert_true(store(~0ull, 0));
}

static int setup(void **state)
{
	(void)state;
	msr_list_model_init();
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_random_lists),
		cmocka_unit_test(test_each_rule),
		cmocka_unit_test(test_empty_list),
	};

	return cmocka_run_group_tests(tests, setup, NULL);
}
