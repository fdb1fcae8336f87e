/* SPDX-License-Identifier: BSD-2-Clause */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "vmx/cpuid_filter.h"

/* Bit numbers of SDM "CPUID—CPU Identification" and of the VMX control tables. */
enum {
	VMX = 5,
	SMX = 6,
	OSXSAVE = 27,
	INVPCID = 10,
	PT = 25,
	OSPKE = 4,
	WAITPKG = 5,
	RDPID = 22,
	PCONFIG = 18,
	XSAVES = 3,
	RDTSCP = 27,
	FRED = 17,
	MSRLIST = 27,

	CR4_OSXSAVE_BIT = 18,
	CR4_PKE_BIT = 22,
};

static const u64 ALLOWED = 0xffffffffull << 32;

static struct vmx_capabilities full_cpu(void)
{
	return (struct vmx_capabilities){
		.has_vmx = true,
		.pin = ALLOWED,
		.primary = ALLOWED,
		.secondary = ALLOWED,
		.exit = ALLOWED,
		.entry = ALLOWED,
		.misc = BIT(14), /* Intel PT can be used in VMX operation */
	};
}

static struct cpuid all_ones(void)
{
	return (struct cpuid){~0u, ~0u, ~0u, ~0u};
}

/* The answer of a CPU whose every bit is 1, for a guest with these CR4 bits. */
static struct cpuid filtered(const struct vmx_capabilities *vmx, u32 leaf, u32 subleaf, u64 cr4)
{
	const struct cpuid_hidden hidden = cpuid_hidden_features(vmx, false);
	struct cpuid answer = all_ones();

	cpuid_filter(&answer, leaf, subleaf, cr4, &hidden);
	return answer;
}

static void assert_answer(struct cpuid answer, u32 eax, u32 ebx, u32 ecx, u32 edx)
{
	assert_int_equal(answer.eax, eax);
	assert_int_equal(answer.ebx, ebx);
	assert_int_equal(answer.ecx, ecx);
	assert_int_equal(answer.edx, edx);
}

static const u64 os_bits = BIT(CR4_OSXSAVE_BIT) | BIT(CR4_PKE_BIT);

/* With every control there is, only what Umbra keeps for itself goes. */
static void full_cpu_shows_everything_else(void **state)
{
	const struct vmx_capabilities cpu = full_cpu();

	(void)state;
	assert_answer(filtered(&cpu, 1, 0, os_bits), ~0u, ~0u, ~(u32)(BIT(VMX) | BIT(SMX)), ~0u);
	assert_answer(filtered(&cpu, 7, 0, os_bits), ~0u, ~0u, ~0u, ~0u);
	assert_answer(filtered(&cpu, 0xd, 1, os_bits), ~0u, ~0u, ~0u, ~0u);
	assert_answer(filtered(&cpu, 0x14, 0, os_bits), ~0u, ~0u, ~0u, ~0u);
	assert_answer(filtered(&cpu, 0x80000001, 0, os_bits), ~0u, ~0u, ~0u, ~0u);
}

/* Where the guest gets VMX, SMX alone is kept from it. */
static void nested_shows_vmx(void **state)
{
	const struct vmx_capabilities cpu = full_cpu();
	const struct cpuid_hidden hidden = cpuid_hidden_features(&cpu, true);
	struct cpuid answer = all_ones();

	(void)state;
	cpuid_filter(&answer, 1, 0, os_bits, &hidden);
	assert_answer(answer, ~0u, ~0u, ~(u32)BIT(SMX), ~0u);
}

/* SDM "CPUID": OSXSAVE and OSPKE report CR4, in either direction. */
static void os_bits_follow_the_guest(void **state)
{
	const struct vmx_capabilities cpu = full_cpu();
	const struct cpuid_hidden hidden = cpuid_hidden_features(&cpu, false);
	struct cpuid answer = {0};

	(void)state;
	cpuid_filter(&answer, 1, 0, BIT(CR4_OSXSAVE_BIT), &hidden);
	assert_answer(answer, 0, 0, (u32)BIT(OSXSAVE), 0);
	cpuid_filter(&answer, 1, 0, BIT(CR4_PKE_BIT), &hidden);
	assert_answer(answer, 0, 0, 0, 0);
	cpuid_filter(&answer, 7, 0, BIT(CR4_PKE_BIT), &hidden);
	assert_answer(answer, 0, 0, (u32)BIT(OSPKE), 0);
	cpuid_filter(&answer, 7, 0, BIT(CR4_OSXSAVE_BIT), &hidden);
	assert_answer(answer, 0, 0, 0, 0);

	assert_int_equal(filtered(&cpu, 1, 0, 0).ecx, ~(u32)(BIT(VMX) | BIT(SMX) | BIT(OSXSAVE)));
	assert_int_equal(filtered(&cpu, 7, 0, 0).ecx, ~(u32)BIT(OSPKE));
}

/* Each secondary control that enables instructions, taken away alone. */
static void instructions_without_their_control(void **state)
{
	static const struct {
		unsigned int control;
		u32 leaf, subleaf;
		u32 eax, ebx, ecx, edx; /* hidden there */
	} cases[] = {
		{3, 0x80000001, 0, .edx = 1u << RDTSCP}, {3, 7, 0, .ecx = 1u << RDPID},
		{12, 7, 0, .ebx = 1u << INVPCID},        {20, 0xd, 1, .eax = 1u << XSAVES},
		{26, 7, 0, .ecx = 1u << WAITPKG},        {27, 7, 0, .edx = 1u << PCONFIG},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct vmx_capabilities cpu = full_cpu();

		cpu.secondary &= ~BIT(32 + cases[i].control);
		assert_answer(filtered(&cpu, cases[i].leaf, cases[i].subleaf, os_bits),
			      ~cases[i].eax, ~cases[i].ebx, ~cases[i].ecx, ~cases[i].edx);
		/* Nothing else than VMX and SMX in leaf 1. */
		assert_int_equal(filtered(&cpu, 1, 0, os_bits).ecx, ~(u32)(BIT(VMX) | BIT(SMX)));
	}
}

static void controls_that_hide_nothing(void **state)
{
	(void)state;
	for (unsigned int bit = 0; bit < 32; bit++) {
		struct vmx_capabilities cpu = full_cpu();

		if (bit == 3 || bit == 12 || bit == 20 || bit == 24 || bit == 26 || bit == 27)
			continue;
		cpu.secondary &= ~BIT(32 + bit);
		assert_answer(filtered(&cpu, 7, 0, os_bits), ~0u, ~0u, ~0u, ~0u);
		assert_answer(filtered(&cpu, 0xd, 1, os_bits), ~0u, ~0u, ~0u, ~0u);
		assert_answer(filtered(&cpu, 0x14, 0, os_bits), ~0u, ~0u, ~0u, ~0u);
		assert_answer(filtered(&cpu, 0x80000001, 0, os_bits), ~0u, ~0u, ~0u, ~0u);
	}
}

static void assert_pt_hidden(const struct vmx_capabilities *cpu)
{
	assert_answer(filtered(cpu, 7, 0, os_bits), ~0u, ~(u32)BIT(PT), ~0u, ~0u);
	for (u32 subleaf = 0; subleaf < 3; subleaf++)
		assert_answer(filtered(cpu, 0x14, subleaf, os_bits), 0, 0, 0, 0);
}

/*
 * SDM "Intel Processor Trace", "VMX": traces stop at exits only with both RTIT_CTL controls, and
 * output addresses are guest-physical only with secondary control 24.
 */
static void processor_trace(void **state)
{
	struct vmx_capabilities cpu = full_cpu();

	(void)state;
	cpu.misc = 0;
	assert_pt_hidden(&cpu);
	cpu = full_cpu();
	cpu.entry &= ~BIT(32 + 18);
	assert_pt_hidden(&cpu);
	cpu = full_cpu();
	cpu.exit &= ~BIT(32 + 25);
	assert_pt_hidden(&cpu);
	cpu = full_cpu();
	cpu.secondary &= ~BIT(32 + 24);
	assert_pt_hidden(&cpu);
}

/* FRED changes what events the VMCS holds; the MSR lists need a tertiary control. */
static void leaf7_subleaf1(void **state)
{
	const struct vmx_capabilities cpu = full_cpu();

	(void)state;
	assert_answer(filtered(&cpu, 7, 1, os_bits), ~(u32)(BIT(FRED) | BIT(MSRLIST)), ~0u, ~0u,
		      ~0u);
}

/* SMX and VMX stay hidden whatever else is; other leaves and subleaves are the CPU's own. */
static void other_leaves(void **state)
{
	static const u32 leaves[] = {0,    2,    4,    5,          6,          0xa,       0xb,
				     0x12, 0x15, 0x1f, 0x40000000, 0x80000000, 0x80000008};
	const struct vmx_capabilities cpu = {.has_vmx = true};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(leaves); i++) {
		assert_false(cpuid_is_filtered(leaves[i]));
		assert_answer(filtered(&cpu, leaves[i], 0, 0), ~0u, ~0u, ~0u, ~0u);
	}
	assert_answer(filtered(&cpu, 7, 2, 0), ~0u, ~0u, ~0u, ~0u);
	assert_answer(filtered(&cpu, 0xd, 0, 0), ~0u, ~0u, ~0u, ~0u);
	assert_answer(filtered(&cpu, 0xd, 2, 0), ~0u, ~0u, ~0u, ~0u);
	/* Leaf 1 and 80000001 have no subleaves: ECX is ignored. */
	assert_int_equal(filtered(&cpu, 1, 5, 0).ecx, ~(u32)(BIT(VMX) | BIT(SMX) | BIT(OSXSAVE)));
	assert_int_equal(filtered(&cpu, 0x80000001, 5, 0).edx, ~(u32)BIT(RDTSCP));
}

/* exit path: cpuid_filter() is called for these only, so it must list each leaf that changes. */
static void filtered_leaves_are_listed(void **state)
{
	const struct vmx_capabilities cpu = {.has_vmx = true};

	(void)state;
	for (u32 base = 0;; base = 0x80000000) {
		for (u32 leaf = base; leaf < base + 0x40; leaf++) {
			for (u32 subleaf = 0; subleaf < 4; subleaf++) {
				const struct cpuid a = filtered(&cpu, leaf, subleaf, 0);

				if ((a.eax & a.ebx & a.ecx & a.edx) != ~0u)
					assert_true(cpuid_is_filtered(leaf));
			}
		}
		if (base)
			break;
	}
}

/* Hiding never shows a bit the CPU does not have, but for OSXSAVE and OSPKE. */
static void nothing_is_invented(void **state)
{
	const struct vmx_capabilities cpu = full_cpu();
	const struct cpuid_hidden hidden = cpuid_hidden_features(&cpu, false);
	static const u32 leaves[] = {1, 7, 0xd, 0x14, 0x80000001};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(leaves); i++) {
		for (u32 subleaf = 0; subleaf < 3; subleaf++) {
			struct cpuid answer = {0};

			cpuid_filter(&answer, leaves[i], subleaf, 0, &hidden);
			assert_answer(answer, 0, 0, 0, 0);
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(full_cpu_shows_everything_else),
		cmocka_unit_test(nested_shows_vmx),
		cmocka_unit_test(os_bits_follow_the_guest),
		cmocka_unit_test(instructions_without_their_control),
		cmocka_unit_test(controls_that_hide_nothing),
		cmocka_unit_test(processor_trace),
		cmocka_unit_test(leaf7_subleaf1),
		cmocka_unit_test(other_leaves),
		cmocka_unit_test(filtered_leaves_are_listed),
		cmocka_unit_test(nothing_is_invented),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
