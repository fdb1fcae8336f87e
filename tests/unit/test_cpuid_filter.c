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
	HYPERVISOR = 31,
	INVPCID = 10,
	PT = 25,
	OSPKE = 4,
	WAITPKG = 5,
	RDPID = 22,
	PCONFIG = 18,
	ARCH_LBR = 19,
	XSAVES = 3,
	SYSCALL = 11,
	NX = 20,
	RDTSCP = 27,

	CR4_OSXSAVE_BIT = 18,
	CR4_KL_BIT = 19,
	CR4_PKE_BIT = 22,

	LAST_BASIC = 0x24,
};

static const u32 LAST_EXTENDED = 0x80000008;
static const u64 ALLOWED = 0xffffffffull << 32;

/*
 * What a CPU with every bit set shows with every control there is, nested VMX off: the bits that
 * the SDM defines, without SMX, VMX, the hypervisor's bit, hardware feedback, FRED, NMI-source
 * reporting, MSRLIST, PBNDKB, user timer, URDMSR, APX, and architectural PEBS.
 */
static const struct {
	u32 leaf, subleaf;
	struct cpuid shown;
} everything[] = {
	{0x1, 0, {.word = {~0u, ~0u, 0x7ffeff9f, 0xbfeffbff}}},
	{0x6, 0, {.word = {0x0157eff7 & ~(1u << 19), 0xf, 0x9, 0}}},
	{0x7, 0, {.word = {~0u, 0xffbfffff, 0xfbff7fff, 0xffddef3e & ~0xc0u}}},
	{0x7, 1, {.word = {0xc4ec1dff & ~(1u << 9), 0x9, 0x20, 0x008e4530}}},
	{0x7, 2, {.word = {0, 0, 0, 0xff}}},
	{0xd, 0, {.word = {0x000602ff, ~0u, ~0u, 0}}},
	{0xd, 1, {.word = {0x1f, ~0u, 0x0001fd00, 0}}},
	{0x19, 0, {.word = {0x7, 0x15, 0x3, 0}}},
	{0x23, 0, {.word = {0xf, 0x7, 0xff, 0}}},
	{0x23, 1, {.word = {~0u, ~0u, 0, 0}}},
	{0x23, 2, {.word = {~0u, ~0u, ~0u, ~0u}}},
	{0x23, 3, {.word = {~0u, 0, 0, 0}}},
	{0x80000001, 0, {.word = {0, 0, 0x121, 0x2c100800}}},
	{0x80000008, 0, {.word = {0xffff, 1u << 9, 0, 0}}},
};

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

static const struct cpuid ones = {.word = {~0u, ~0u, ~0u, ~0u}};

static const struct cpuid_guest os = {
	.cr4 = BIT(CR4_OSXSAVE_BIT) | BIT(CR4_PKE_BIT) | BIT(CR4_KL_BIT),
	.in_64bit_mode = true,
};

static struct cpuid_hidden hide(const struct vmx_capabilities *vmx, struct cpuid_options options)
{
	struct cpuid_hidden hidden =
		cpuid_hidden_features(vmx, &options, LAST_BASIC, LAST_EXTENDED);

	hidden.aeskle = true;
	return hidden;
}

/* The answer of a CPU whose every bit is 1. */
static struct cpuid with(const struct vmx_capabilities *vmx, struct cpuid_options options, u32 leaf,
			 u32 subleaf)
{
	const struct cpuid_hidden hidden = hide(vmx, options);
	struct cpuid answer = ones;

	cpuid_filter(&answer, leaf, subleaf, &os, &hidden);
	return answer;
}

static struct cpuid filtered(const struct vmx_capabilities *vmx, u32 leaf, u32 subleaf)
{
	return with(vmx, (struct cpuid_options){0}, leaf, subleaf);
}

static void assert_answer(struct cpuid answer, struct cpuid expected)
{
	assert_int_equal(answer.eax, expected.eax);
	assert_int_equal(answer.ebx, expected.ebx);
	assert_int_equal(answer.ecx, expected.ecx);
	assert_int_equal(answer.edx, expected.edx);
}

static struct cpuid without(struct cpuid all, struct cpuid gone)
{
	return (struct cpuid){.word = {all.eax & ~gone.eax, all.ebx & ~gone.ebx,
				       all.ecx & ~gone.ecx, all.edx & ~gone.edx}};
}

/* What `everything` has, but for `gone` in one subleaf. */
static void assert_all_but(const struct vmx_capabilities *cpu, u32 leaf, u32 subleaf,
			   struct cpuid gone)
{
	bool found = false;

	for (size_t i = 0; i < ARRAY_SIZE(everything); i++) {
		const bool here = everything[i].leaf == leaf && everything[i].subleaf == subleaf;

		found |= here;
		/* IA32_XSS goes by features of leaf 7, looked at apart. */
		if (everything[i].leaf == 0xd && !here)
			continue;
		assert_answer(filtered(cpu, everything[i].leaf, everything[i].subleaf),
			      here ? without(everything[i].shown, gone) : everything[i].shown);
	}
	assert_true(found);
}

static void everything_known_is_shown(void **state)
{
	const struct vmx_capabilities cpu = full_cpu();

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(everything); i++)
		assert_answer(filtered(&cpu, everything[i].leaf, everything[i].subleaf),
			      everything[i].shown);
}

/* What the guest may enable is what the instruction shows it. */
static void components(void **state)
{
	struct vmx_capabilities cpu = full_cpu();
	struct cpuid_hidden hidden = hide(&cpu, (struct cpuid_options){0});

	(void)state;
	assert_true(hidden.xcr0 == 0x602ff);
	assert_true(hidden.xss == 0x1fd00);
	for (u32 n = 2; n < 64; n++)
		assert_answer(filtered(&cpu, 0xd, n),
			      0x7fffcull >> n & 1 ? ones : (struct cpuid){0});
	assert_answer(filtered(&cpu, 0xd, 64), (struct cpuid){0});
	assert_answer(filtered(&cpu, 0xd, ~0u), (struct cpuid){0});

	/* Intel PT's and LBRs' state go with the features. */
	cpu.entry &= ~BIT(32 + 18) & ~BIT(32 + 21);
	hidden = hide(&cpu, (struct cpuid_options){0});
	assert_true(hidden.xss == 0x17c00);
	assert_int_equal(filtered(&cpu, 0xd, 1).ecx, 0x17c00);
	assert_answer(filtered(&cpu, 0xd, 8), (struct cpuid){0});
	assert_answer(filtered(&cpu, 0xd, 15), (struct cpuid){0});
	assert_answer(filtered(&cpu, 0xd, 14), ones);

	/* SDM "IA32_XSS": it exists with XSAVES only. */
	cpu.secondary &= ~BIT(32 + 20);
	hidden = hide(&cpu, (struct cpuid_options){0});
	assert_true(hidden.xss == 0);
	assert_answer(filtered(&cpu, 0xd, 1), (struct cpuid){.word = {0x17, ~0u, 0, 0}});
	assert_answer(filtered(&cpu, 0xd, 11), (struct cpuid){0});

	/* The size of what is left, where something is not shown. */
	hidden.xsave_size = 0x340;
	struct cpuid answer = ones;
	cpuid_filter(&answer, 0xd, 0, &os, &hidden);
	assert_int_equal(answer.ecx, 0x340);
}

static void nested_shows_vmx(void **state)
{
	const struct vmx_capabilities cpu = full_cpu();
	const struct cpuid_options nested = {.nested = true};

	(void)state;
	assert_int_equal(with(&cpu, nested, 1, 0).ecx, 0x7ffeff9f | BIT(VMX));
	/* L2's trace would not stop. */
	assert_int_equal(with(&cpu, nested, 7, 0).ebx, 0xffbfffff & ~(u32)BIT(PT));
	assert_true(hide(&cpu, nested).leaf14);
	assert_int_equal(with(&cpu, nested, 0xd, 1).ecx, 0x1fc00);
}

/* At one's own risk: what has no row is shown, what has one goes by it. */
static void unknown_shown_on_demand(void **state)
{
	const struct vmx_capabilities cpu = full_cpu();
	const struct cpuid_options all = {.all = true};

	(void)state;
	assert_answer(with(&cpu, all, 1, 0),
		      (struct cpuid){.word = {~0u, ~0u,
					      ~(u32)(BIT(VMX) | BIT(SMX) | BIT(HYPERVISOR)), ~0u}});
	assert_int_equal(with(&cpu, all, 7, 1).eax, ~(u32)(BIT(17) | BIT(20) | BIT(27)));
	assert_answer(with(&cpu, all, 7, 3), ones);
	assert_answer(with(&cpu, all, 8, 0), ones);
	assert_answer(with(&cpu, all, 0x25, 0), ones);
	assert_true(hide(&cpu, all).xcr0 == ~BIT(19));

	assert_answer(filtered(&cpu, 7, 3), (struct cpuid){0});
	assert_answer(filtered(&cpu, 8, 0), (struct cpuid){0});
	assert_answer(filtered(&cpu, 0x25, 0), (struct cpuid){0});
	assert_answer(filtered(&cpu, 0x21, 0), (struct cpuid){0});
}

/* SDM "CPUID": bits that report control registers and the mode, in either direction. */
static void guests_bits(void **state)
{
	const struct vmx_capabilities cpu = full_cpu();
	struct cpuid_hidden hidden = hide(&cpu, (struct cpuid_options){0});
	struct cpuid answer = {0};

	(void)state;
	cpuid_filter(&answer, 1, 0, &(struct cpuid_guest){.cr4 = BIT(CR4_OSXSAVE_BIT)}, &hidden);
	assert_answer(answer, (struct cpuid){.word = {0, 0, (u32)BIT(OSXSAVE), 0}});
	cpuid_filter(&answer, 1, 0, &(struct cpuid_guest){.cr4 = ~BIT(CR4_OSXSAVE_BIT)}, &hidden);
	assert_answer(answer, (struct cpuid){0});
	cpuid_filter(&answer, 7, 0, &(struct cpuid_guest){.cr4 = BIT(CR4_PKE_BIT)}, &hidden);
	assert_answer(answer, (struct cpuid){.word = {0, 0, (u32)BIT(OSPKE), 0}});
	cpuid_filter(&answer, 7, 0, &(struct cpuid_guest){.cr4 = ~BIT(CR4_PKE_BIT)}, &hidden);
	assert_answer(answer, (struct cpuid){0});
	cpuid_filter(&answer, 0x19, 0, &(struct cpuid_guest){.cr4 = BIT(CR4_KL_BIT)}, &hidden);
	assert_answer(answer, (struct cpuid){.word = {0, 1, 0, 0}});
	cpuid_filter(&answer, 0x19, 0, &(struct cpuid_guest){.cr4 = ~BIT(CR4_KL_BIT)}, &hidden);
	assert_answer(answer, (struct cpuid){0});
	hidden.aeskle = false; /* firmware has not activated it */
	cpuid_filter(&answer, 0x19, 0, &(struct cpuid_guest){.cr4 = BIT(CR4_KL_BIT)}, &hidden);
	assert_answer(answer, (struct cpuid){0});

	answer = ones;
	cpuid_filter(&answer, 0x80000001, 0, &(struct cpuid_guest){0}, &hidden);
	assert_int_equal(answer.edx, 0x2c100800 & ~(u32)BIT(SYSCALL));
	answer = ones;
	cpuid_filter(&answer, 0x80000001, 0,
		     &(struct cpuid_guest){.in_64bit_mode = true, .xd_disabled = true}, &hidden);
	assert_int_equal(answer.edx, 0x2c100800 & ~(u32)BIT(NX));
	answer = (struct cpuid){0};
	cpuid_filter(&answer, 0x80000001, 0, &os, &hidden);
	assert_answer(answer, (struct cpuid){0});
}

/* Each secondary control that enables instructions, taken away alone; no other hides a bit. */
static void instructions_without_their_control(void **state)
{
	static const struct {
		u32 leaf, subleaf;
		struct cpuid gone;
	} cases[32] = {
		[12] = {7, 0, {.ebx = 1u << INVPCID}},
		[20] = {0xd, 1, {.eax = 1u << XSAVES, .ecx = ~0u}},
		[26] = {7, 0, {.ecx = 1u << WAITPKG}},
		[27] = {7, 0, {.edx = 1u << PCONFIG}},
		[24] = {7, 0, {.ebx = 1u << PT}},
	};

	(void)state;
	for (u32 bit = 0; bit < 32; bit++) {
		struct vmx_capabilities cpu = full_cpu();

		cpu.secondary &= ~BIT(32 + bit);
		if (bit == 3) {
			assert_int_equal(filtered(&cpu, 0x80000001, 0).edx,
					 0x2c100800 & ~(u32)BIT(RDTSCP));
			assert_int_equal(filtered(&cpu, 7, 0).ecx, 0xfbff7fff & ~(u32)BIT(RDPID));
		} else {
			assert_all_but(&cpu, cases[bit].leaf ? cases[bit].leaf : 1,
				       cases[bit].subleaf, cases[bit].gone);
		}
		assert_answer(filtered(&cpu, 0x1b, 0), bit == 27 ? (struct cpuid){0} : ones);
	}
}

static void assert_pt_hidden(const struct vmx_capabilities *cpu)
{
	assert_all_but(cpu, 7, 0, (struct cpuid){.ebx = 1u << PT});
	for (u32 subleaf = 0; subleaf < 3; subleaf++)
		assert_answer(filtered(cpu, 0x14, subleaf), (struct cpuid){0});
}

/*
 * SDM "Intel Processor Trace", "VMX": traces stop at exits only with both RTIT_CTL controls, and
 * output addresses are guest-physical only with secondary control 24.
 */
static void processor_trace(void **state)
{
	struct vmx_capabilities cpu = full_cpu();

	(void)state;
	assert_answer(filtered(&cpu, 0x14, 1), ones);
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

/* SDM "VM-Entry Controls" bit 21, "Primary VM-Exit Controls" bit 26. */
static void last_branch_records(void **state)
{
	struct vmx_capabilities cpu = full_cpu();

	(void)state;
	assert_answer(filtered(&cpu, 0x1c, 0), ones);
	cpu.entry &= ~BIT(32 + 21);
	assert_all_but(&cpu, 7, 0, (struct cpuid){.edx = 1u << ARCH_LBR});
	assert_answer(filtered(&cpu, 0x1c, 0), (struct cpuid){0});
	cpu = full_cpu();
	cpu.exit &= ~BIT(32 + 26);
	assert_all_but(&cpu, 7, 0, (struct cpuid){.edx = 1u << ARCH_LBR});
}

/* SDM "CPUID": ECX is ignored by leaves without subleaves; numbers are the CPU's own. */
static void other_leaves(void **state)
{
	static const u32 data[] = {
		0,          2,          3,          4,          5,          9,         0xa,
		0xb,        0xf,        0x10,       0x12,       0x15,       0x16,      0x17,
		0x18,       0x1a,       0x1d,       0x1e,       0x1f,       0x20,      0x24,
		0x80000000, 0x80000002, 0x80000003, 0x80000004, 0x80000006, 0x80000007};
	const struct vmx_capabilities cpu = {.has_vmx = true};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(data); i++) {
		for (u32 subleaf = 0; subleaf < 4; subleaf++)
			assert_answer(filtered(&cpu, data[i], subleaf), ones);
	}
	assert_int_equal(filtered(&cpu, 1, 5).ecx, 0x7ffeff9f);
	assert_int_equal(filtered(&cpu, 0x80000001, 5).edx, 0x24100800);
}

/* SDM "CPUID", "INPUT EAX": what there is not answers as the highest basic leaf. */
static void leaves_that_there_are_not(void **state)
{
	const struct vmx_capabilities cpu = full_cpu();
	struct cpuid_hidden hidden = hide(&cpu, (struct cpuid_options){0});
	static const u32 beyond[] = {0x25,       0x3f,       0x40000000, 0x40000001, 0x400000ff,
				     0x4fffffff, 0x7fffffff, 0x80000009, 0x8ffffff0, 0xc0000000};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(beyond); i++) {
		assert_int_equal(cpuid_effective_leaf(beyond[i], &hidden), LAST_BASIC);
		assert_false(cpuid_passes(beyond[i], &hidden));
	}
	for (u32 leaf = 0; leaf <= LAST_BASIC; leaf++) {
		assert_int_equal(cpuid_effective_leaf(leaf, &hidden), leaf);
		assert_int_equal(cpuid_effective_leaf(0x80000000 + leaf, &hidden),
				 leaf <= 8 ? 0x80000000 + leaf : LAST_BASIC);
	}
	/* A CPU of which less is asked: nothing above passes unseen. */
	hidden = cpuid_hidden_features(&cpu, &(struct cpuid_options){0}, 4, 0);
	assert_true(cpuid_passes(4, &hidden));
	assert_false(cpuid_passes(5, &hidden));
	assert_int_equal(cpuid_effective_leaf(0x80000000, &hidden), 4);

	hidden = hide(&cpu, (struct cpuid_options){.hypervisor = true});
	assert_int_equal(cpuid_effective_leaf(0x40000001, &hidden), 0x40000001);
	assert_int_equal(cpuid_effective_leaf(0x50000000, &hidden), LAST_BASIC);
	assert_answer(with(&cpu, (struct cpuid_options){.hypervisor = true}, 0x40000001, 0), ones);
	assert_int_equal(with(&cpu, (struct cpuid_options){.hypervisor = true}, 1, 0).ecx,
			 0x7ffeff9f | BIT(HYPERVISOR));
}

/* umbra/interface.h: a range of Umbra's own, which nothing else of CPUID tells of. */
static void own_leaves(void **state)
{
	static const u32 first[] = {0x40000000, 0x40000100, 0x4000ff00};
	const struct vmx_capabilities cpu = full_cpu();

	(void)state;
	for (u32 i = 0; i < 2 * ARRAY_SIZE(first); i++) {
		const u32 base = first[i / 2];
		const struct cpuid_options options = {.own = base, .hypervisor = i % 2};
		const struct cpuid_hidden hidden = hide(&cpu, options);

		for (u32 leaf = base; leaf < base + 0x100; leaf++) {
			const struct cpuid answer = with(&cpu, options, leaf, leaf % 3);

			assert_false(cpuid_passes(leaf, &hidden));
			assert_int_equal(cpuid_effective_leaf(leaf, &hidden), leaf);
			if (leaf == base) {
				assert_int_equal(answer.eax, base + 1);
				assert_memory_equal(&answer.ebx, "Umbr", 4);
				assert_memory_equal(&answer.ecx, "aUmb", 4);
				assert_memory_equal(&answer.edx, "ra\0", 4);
			} else {
				assert_answer(answer, (struct cpuid){.eax = leaf == base + 1});
			}
		}
		/* Beside it, what there is without. */
		assert_int_equal(cpuid_effective_leaf(base + 0x100, &hidden),
				 options.hypervisor ? base + 0x100 : LAST_BASIC);
		assert_int_equal(cpuid_effective_leaf(base - 1, &hidden),
				 options.hypervisor && base > first[0] ? base - 1 : LAST_BASIC);
		assert_int_equal(with(&cpu, options, 1, 0).ecx,
				 0x7ffeff9f | (options.hypervisor ? BIT(HYPERVISOR) : 0));
	}
}

/* The exit's short way is for answers that the long one would not touch. */
static void what_passes_is_unchanged(void **state)
{
	const struct vmx_capabilities cpu = full_cpu();
	const struct cpuid_hidden hidden = hide(&cpu, (struct cpuid_options){0});

	(void)state;
	for (u32 i = 0; i < CPUID_BASIC_LEAVES; i++) {
		const u8 kind = cpuid_basic_leaves[i].kind;

		assert_int_equal(cpuid_passes(i, &hidden),
				 kind == CPUID_LEAF_DATA || kind == CPUID_LEAF_DETAILS);
	}
	assert_false(cpuid_passes(0x80000000, &hidden));
}

/* Rows of one register do not overlap, each belongs to a leaf with bits, and says why not. */
static void table_is_sound(void **state)
{
	u32 taken[CPUID_MASKS][4] = {0};

	(void)state;
	for (u32 i = 0; i < cpuid_feature_count; i++) {
		const struct cpuid_feature *f = &cpuid_features[i];
		const struct cpuid_leaf *leaf =
			f->leaf >= CPUID_EXTENDED ? &cpuid_extended_leaves[f->leaf - CPUID_EXTENDED]
						  : &cpuid_basic_leaves[f->leaf];
		const u32 bits = (u32)BITS(f->last, f->first);
		u32 *word = &taken[leaf->mask + f->subleaf][f->reg];

		assert_true(leaf->kind == CPUID_LEAF_BITS || leaf->kind == CPUID_LEAF_XSAVE);
		assert_true(f->first <= f->last && f->last < 32);
		assert_int_equal(*word & bits, 0);
		*word |= bits;
		assert_int_equal(f->verdict == CPUID_NEEDS, f->need != CPUID_NEED_NOTHING);
		if (f->verdict == CPUID_HIDDEN || f->verdict == CPUID_GUESTS)
			assert_true(*f->why);
		const struct cpuid known = cpuid_known_bits(leaf->mask + f->subleaf);
		const u32 words[] = {known.eax, known.ebx, known.ecx, known.edx};
		assert_int_equal(words[f->reg] & bits, bits);
	}
	assert_int_equal(cpuid_known_bits(2).ecx, 0xfbff7fff);
	assert_int_equal(cpuid_known_bits(5).eax, 0xe02ff);
	assert_int_equal(cpuid_known_bits(6).ecx, 0x1fd00);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(everything_known_is_shown),
		cmocka_unit_test(components),
		cmocka_unit_test(nested_shows_vmx),
		cmocka_unit_test(unknown_shown_on_demand),
		cmocka_unit_test(guests_bits),
		cmocka_unit_test(instructions_without_their_control),
		cmocka_unit_test(processor_trace),
		cmocka_unit_test(last_branch_records),
		cmocka_unit_test(other_leaves),
		cmocka_unit_test(leaves_that_there_are_not),
		cmocka_unit_test(own_leaves),
		cmocka_unit_test(what_passes_is_unchanged),
		cmocka_unit_test(table_is_sound),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
