/* SPDX-License-Identifier: BSD-2-Clause */
/* Processors that differ: what software may count on is what all have. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <x86/vmx.h>

#include "vmx/capabilities.h"

static struct vmx_capabilities a, b;

static int begin(void **state)
{
	(void)state;
	a = (struct vmx_capabilities){
		.has_vmx = true,
		.basic = 0x00da040000000010 | BIT(56),
		.pin = BITS(39, 32) | 0x16,
		.primary = BITS(63, 32) | 0x0401e172,
		.secondary = BITS(63, 32),
		.exit = BITS(63, 32) | 0x36dff,
		.entry = BITS(63, 32) | 0x11ff,
		.misc = 5 | BITS(8, 5) | 4 << 16 | 2 << 25 | BIT(29) | BIT(30),
		.ept_vpid = BITS(44, 0),
		.cr0_fixed0 = 0x80000021,
		.cr0_fixed1 = BITS(31, 0),
		.cr4_fixed0 = 0x2000,
		.cr4_fixed1 = 0x3727ff,
		.perf_global_ctrl = 0x70000000f,
	};
	b = a;
	return 0;
}

static void meet(void)
{
	vmx_capabilities_intersect(&a, &b);
}

static void test_alike(void **state)
{
	const struct vmx_capabilities before = a;

	(void)state;
	meet();
	assert_memory_equal(&a, &before, sizeof(a));
}

/* "Reserved Controls and Default Settings": allowed 0-settings and allowed 1-settings. */
static void test_controls(void **state)
{
	(void)state;
	b.secondary &= ~BIT(32 + 14);
	b.exit |= BIT(20);
	b.entry &= ~BIT(32 + 21);
	meet();
	assert_true(a.secondary == (BITS(63, 32) & ~BIT(46)));
	assert_true(a.exit == (BITS(63, 32) | 0x36dff | BIT(20)));
	assert_true(a.entry == ((BITS(63, 32) & ~BIT(53)) | 0x11ff));
	assert_true(a.pin == (BITS(39, 32) | 0x16));
}

static void test_misc(void **state)
{
	(void)state;
	b.misc = 5 | BITS(8, 6) | 3 << 16 | 1 << 25 | BIT(30);
	meet();
	assert_true(a.misc == (5 | BITS(8, 6) | 3 << 16 | 1 << 25 | BIT(30)));
	assert_true(vmx_can_set(a.pin, PIN_PREEMPTION_TIMER));
	/* Timers of different rates are not one timer. */
	b.misc = 7 | (b.misc & ~31ull);
	meet();
	assert_false(vmx_can_set(a.pin, PIN_PREEMPTION_TIMER));
}

static void test_other_words(void **state)
{
	(void)state;
	b.basic &= ~BIT(56);
	b.ept_vpid &= ~BIT(17);
	b.cr0_fixed0 |= BIT(16);
	b.cr4_fixed0 |= BIT(5);
	b.cr4_fixed1 &= ~BIT(12);
	b.perf_global_ctrl = 0;
	meet();
	assert_true(a.basic == 0x00da040000000010);
	assert_true(a.ept_vpid == (BITS(44, 0) & ~BIT(17)));
	assert_true(a.cr0_fixed0 == 0x80010021);
	assert_true(a.cr0_fixed1 == BITS(31, 0));
	assert_true(a.cr4_fixed0 == 0x2020);
	assert_true(a.cr4_fixed1 == (0x3727ff & ~BIT(12)));
	assert_true(a.perf_global_ctrl == 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_alike, begin),
		cmocka_unit_test_setup(test_controls, begin),
		cmocka_unit_test_setup(test_misc, begin),
		cmocka_unit_test_setup(test_other_words, begin),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
