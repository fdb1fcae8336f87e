/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Which bits MSRs have, by CPUID: SDM "Performance Monitoring", "Architectural LBRs", and volume 4
 * for IA32_DEBUGCTL.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "machine.h"
#include "vmx/msr_bits.h"

/* What CPUID says; all else is 0. */
static struct {
	struct cpuid leaf[0x24];
	struct cpuid leaf7_1, leaf23_1;
	u64 perf_capabilities;
	bool no_perf_capabilities;
} cpu;

struct cpuid cpuid(u32 leaf, u32 subleaf)
{
	assert_true(leaf < ARRAY_SIZE(cpu.leaf));
	/* A leaf beyond the last one gives that of the highest: nobody may ask for it. */
	assert_true(leaf == 0 || leaf <= cpu.leaf[0].eax);
	if (subleaf == 1)
		return leaf == 7 ? cpu.leaf7_1 : leaf == 0x23 ? cpu.leaf23_1 : (struct cpuid){0};
	assert_int_equal(subleaf, 0);
	return cpu.leaf[leaf];
}

bool rdmsr_safe(u32 msr, u64 *value)
{
	assert_int_equal(msr, 0x345);
	*value = cpu.perf_capabilities;
	return !cpu.no_perf_capabilities;
}

static struct msr_bits bits(void)
{
	struct msr_bits out;

	msr_bits_read(&out);
	return out;
}

static int begin(void **state)
{
	(void)state;
	memset(&cpu, 0, sizeof(cpu));
	cpu.leaf[0].eax = 0x23;
	return 0;
}

static void set_counters(u32 version, u32 general, u32 fixed, u32 fixed_bitmap)
{
	cpu.leaf[0xa] = (struct cpuid){
		.eax = version | general << 8 | 48 << 16, .edx = fixed, .ecx = fixed_bitmap};
}

static void test_perf_global_ctrl(void **state)
{
	(void)state;
	/* It exists since version 2. */
	assert_true(bits().perf_global_ctrl == 0);
	set_counters(1, 2, 0, 0);
	assert_true(bits().perf_global_ctrl == 0);
	set_counters(2, 4, 3, 0);
	assert_true(bits().perf_global_ctrl == 0x70000000f);
	/* "FxCtr[i]_is_supported := ECX[i] || (EDX[4:0] > i)", ECX since version 5. */
	set_counters(4, 8, 3, 0x70);
	assert_true(bits().perf_global_ctrl == 0x7000000ff);
	set_counters(5, 8, 3, 0x70);
	assert_true(bits().perf_global_ctrl == 0x77000000ff);
	set_counters(5, 6, 0, 0x7);
	assert_true(bits().perf_global_ctrl == 0x70000003f);
	/* PERF_METRICS: IA32_PERF_CAPABILITIES bit 15, with CPUID.1:ECX.PDCM. */
	cpu.perf_capabilities = BIT(15);
	assert_true(bits().perf_global_ctrl == 0x70000003f);
	cpu.leaf[1].ecx = BIT(15);
	assert_true(bits().perf_global_ctrl == 0x100070000003f);
	cpu.no_perf_capabilities = true;
	assert_true(bits().perf_global_ctrl == 0x70000003f);
	/* A CPU whose leaves end before. */
	cpu.leaf[0].eax = 9;
	assert_true(bits().perf_global_ctrl == 0);
}

/* Leaf 23H, CPUID.7.1:EAX[8]: sub-leaf 1 has the bitmaps, if sub-leaf 0 says that it is there. */
static void test_leaf_23(void **state)
{
	(void)state;
	set_counters(6, 8, 3, 0x7);
	cpu.leaf[7].eax = 1;
	cpu.leaf7_1.eax = BIT(8);
	cpu.leaf[0x23].eax = BIT(0) | BIT(1);
	cpu.leaf23_1 = (struct cpuid){.eax = 0x3ff, .ebx = 0x77};
	assert_true(bits().perf_global_ctrl == 0x77000003ff);
	cpu.leaf[0x23].eax = BIT(0);
	assert_true(bits().perf_global_ctrl == 0x7000000ff);
	cpu.leaf[0x23].eax = BIT(0) | BIT(1);
	cpu.leaf7_1.eax = 0;
	assert_true(bits().perf_global_ctrl == 0x7000000ff);
	cpu.leaf7_1.eax = BIT(8);
	cpu.leaf[7].eax = 0;
	assert_true(bits().perf_global_ctrl == 0x7000000ff);
}

static void test_debugctl(void **state)
{
	(void)state;
	/* LBR, BTF and TR. */
	assert_true(bits().debugctl == 0x43);
	cpu.leaf[1].edx = BIT(21); /* DS: BTS, BTINT */
	assert_true(bits().debugctl == 0x1c3);
	cpu.leaf[1].ecx = BIT(4); /* DS-CPL: BTS_OFF_OS, BTS_OFF_USR */
	assert_true(bits().debugctl == 0x7c3);
	cpu.leaf[1].edx = 0;
	assert_true(bits().debugctl == 0x43);
	/* FREEZE_*_ON_PMI: PDCM and performance monitoring of version 2. */
	set_counters(2, 4, 3, 0);
	assert_true(bits().debugctl == 0x43);
	cpu.leaf[1].ecx = BIT(15);
	assert_true(bits().debugctl == 0x1843);
	set_counters(1, 4, 0, 0);
	assert_true(bits().debugctl == 0x43);
	cpu.perf_capabilities = BIT(12); /* FREEZE_WHILE_SMM */
	assert_true(bits().debugctl == 0x4043);
	cpu.leaf[7] = (struct cpuid){.ebx = BIT(11), .ecx = BIT(24)}; /* RTM, bus-lock detection */
	assert_true(bits().debugctl == 0xc047);
}

static void test_lbr_ctl(void **state)
{
	(void)state;
	cpu.leaf[0x1c] = (struct cpuid){.ebx = BITS(2, 0)};
	assert_true(bits().lbr_ctl == 0);
	cpu.leaf[7].edx = BIT(19);
	assert_true(bits().lbr_ctl == 0x7f000f);
	cpu.leaf[0x1c].ebx = BIT(0);
	assert_true(bits().lbr_ctl == 0x7);
	cpu.leaf[0x1c].ebx = BIT(1);
	assert_true(bits().lbr_ctl == 0x7f0001);
	cpu.leaf[0x1c].ebx = BIT(2);
	assert_true(bits().lbr_ctl == 0x9);
}

static void test_values(void **state)
{
	struct msr_bits b = {.linear_width = 48};

	(void)state;
	assert_true(msr_value_valid(&b, MSR_VALUE_CANONICAL, 0x7fffffffffff));
	assert_false(msr_value_valid(&b, MSR_VALUE_CANONICAL, BIT(47)));
	assert_true(msr_value_valid(&b, MSR_VALUE_32_BITS, 0xffffffff));
	assert_false(msr_value_valid(&b, MSR_VALUE_32_BITS, BIT(32)));
	/* IA32_BNDCFGS: EN, BNDPRESERVE, and a page. */
	assert_true(msr_value_valid(&b, MSR_VALUE_BNDCFGS, 0x1003));
	assert_false(msr_value_valid(&b, MSR_VALUE_BNDCFGS, 0x804));
	assert_false(msr_value_valid(&b, MSR_VALUE_BNDCFGS, BIT(47)));
	/* IA32_S_CET: 9:6 are reserved, SUPPRESS and TRACKER exclude each other. */
	assert_true(msr_value_valid(&b, MSR_VALUE_S_CET, 0x83f));
	assert_true(msr_value_valid(&b, MSR_VALUE_S_CET, 0x43f));
	assert_false(msr_value_valid(&b, MSR_VALUE_S_CET, 0xc00));
	for (unsigned int bit = 6; bit <= 9; bit++)
		assert_false(msr_value_valid(&b, MSR_VALUE_S_CET, BIT(bit)));
	assert_false(msr_value_valid(&b, MSR_VALUE_S_CET, BIT(47)));
	/* With 5-level paging the CPU takes 57 bits, whatever CR4.LA57 is. */
	cpu.leaf[7].ecx = BIT(16);
	b = bits();
	assert_int_equal(b.linear_width, 57);
	assert_true(msr_value_valid(&b, MSR_VALUE_CANONICAL, BIT(47)));
	assert_false(msr_value_valid(&b, MSR_VALUE_CANONICAL, BIT(56)));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_perf_global_ctrl, begin),
		cmocka_unit_test_setup(test_leaf_23, begin),
		cmocka_unit_test_setup(test_debugctl, begin),
		cmocka_unit_test_setup(test_lbr_ctl, begin),
		cmocka_unit_test_setup(test_values, begin),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
