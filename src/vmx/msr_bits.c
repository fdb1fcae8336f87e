/* SPDX-License-Identifier: BSD-2-Clause */
#include "vmx/msr_bits.h"

#include <x86/msr.h>

#include "lib/insn.h"

enum {
	LEAF_FEATURES = 7,
	LEAF_PERFMON = 0xa,
	LEAF_LBR = 0x1c,
	LEAF_PERFMON_EXT = 0x23,
};

/* A leaf that the CPU does not have is all 0. */
static struct cpuid leaf(u32 number, u32 subleaf)
{
	return cpuid(0, 0).eax >= number ? cpuid(number, subleaf) : (struct cpuid){0};
}

/* Some hypervisor below may show the CPUID bit and have no MSR. */
static u64 perf_capabilities(void)
{
	u64 value;

	if (!(cpuid(1, 0).ecx & CPUID_1_ECX_PDCM) ||
	    !rdmsr_safe(MSR_IA32_PERF_CAPABILITIES, &value))
		return 0;
	return value;
}

static u32 perfmon_version(void)
{
	return leaf(LEAF_PERFMON, 0).eax & 0xff;
}

static u32 low_ones(u32 count)
{
	return count >= 32 ? ~0u : (1u << count) - 1;
}

/*
 * SDM "IA32_PERF_GLOBAL_CTRL": a bit for each counter. Leaf 0AH tells general-purpose counters by
 * number and fixed ones by number or, since version 5, also by a bitmap; where the CPU has leaf
 * 23H, its bitmaps are the whole truth.
 */
static u64 perf_global_ctrl_bits(void)
{
	enum { BITMAP_VERSION = 5, SUBLEAF_COUNTERS = 1, PERF_METRICS = 15 };
	const struct cpuid perf = leaf(LEAF_PERFMON, 0);
	const u64 metrics = (perf_capabilities() >> PERF_METRICS & 1) << 48;
	u32 general = low_ones(perf.eax >> 8 & 0xff);
	u32 fixed = low_ones(perf.edx & 0x1f);

	if (perfmon_version() < 2)
		return 0;
	if (perfmon_version() >= BITMAP_VERSION)
		fixed |= perf.ecx;
	if ((leaf(LEAF_FEATURES, 0).eax >= 1) &&
	    (leaf(LEAF_FEATURES, 1).eax & CPUID_71_EAX_PERFMON_EXT) &&
	    (leaf(LEAF_PERFMON_EXT, 0).eax & BIT(SUBLEAF_COUNTERS))) {
		const struct cpuid counters = leaf(LEAF_PERFMON_EXT, SUBLEAF_COUNTERS);

		general = counters.eax;
		fixed = counters.ebx;
	}
	return general | (u64)fixed << 32 | metrics;
}

/* SDM volume 4, "IA-32 Architectural MSRs": IA32_DEBUGCTL, each bit with what it depends on. */
static u64 debugctl_bits(void)
{
	const struct cpuid features = leaf(LEAF_FEATURES, 0);
	const struct cpuid basic = cpuid(1, 0);
	const u64 capabilities = perf_capabilities();
	u64 bits = DEBUGCTL_LBR | DEBUGCTL_BTF | DEBUGCTL_TR;

	if (basic.edx & CPUID_1_EDX_DS)
		bits |= DEBUGCTL_BTS | DEBUGCTL_BTINT;
	if ((basic.edx & CPUID_1_EDX_DS) && (basic.ecx & CPUID_1_ECX_DS_CPL))
		bits |= DEBUGCTL_BTS_OFF_OS | DEBUGCTL_BTS_OFF_USR;
	if ((basic.ecx & CPUID_1_ECX_PDCM) && perfmon_version() > 1)
		bits |= DEBUGCTL_FREEZE_LBRS_ON_PMI | DEBUGCTL_FREEZE_PERFMON_ON_PMI;
	if (capabilities & PERF_CAPABILITIES_SMM_FREEZE)
		bits |= DEBUGCTL_FREEZE_WHILE_SMM;
	if (features.ecx & CPUID_7_ECX_BUS_LOCK_DETECT)
		bits |= DEBUGCTL_BUS_LOCK_DETECT;
	if (features.ebx & CPUID_7_EBX_RTM)
		bits |= DEBUGCTL_RTM;
	return bits;
}

/* SDM "Architectural LBRs": IA32_LBR_CTL and CPUID leaf 1CH. */
static u64 lbr_ctl_bits(void)
{
	const struct cpuid lbr = leaf(LEAF_LBR, 0);
	u64 bits = BIT(0);

	if (!(leaf(LEAF_FEATURES, 0).edx & CPUID_7_EDX_ARCH_LBR))
		return 0;
	if (lbr.ebx & BIT(0)) /* CPL filtering */
		bits |= BITS(2, 1);
	if (lbr.ebx & BIT(2)) /* call-stack mode */
		bits |= BIT(3);
	if (lbr.ebx & BIT(1)) /* branch filtering */
		bits |= BITS(22, 16);
	return bits;
}

void msr_bits_read(struct msr_bits *out)
{
	*out = (struct msr_bits){
		.debugctl = debugctl_bits(),
		.lbr_ctl = lbr_ctl_bits(),
		.perf_global_ctrl = perf_global_ctrl_bits(),
		.linear_width = leaf(LEAF_FEATURES, 0).ecx & CPUID_7_ECX_LA57 ? 57 : 48,
	};
}

bool msr_value_valid(const struct msr_bits *bits, enum msr_value rule, u64 value)
{
	switch (rule) {
	case MSR_VALUE_CANONICAL:
		return linear_is_canonical(value, bits->linear_width);
	case MSR_VALUE_32_BITS:
		return !(value >> 32);
	case MSR_VALUE_BNDCFGS:
		return !(value & BITS(11, 2)) && linear_is_canonical(value, bits->linear_width);
	case MSR_VALUE_DEBUGCTL:
		return !(value & ~bits->debugctl);
	case MSR_VALUE_EFER:
		return !(value & ~(EFER_SCE | EFER_LME | EFER_LMA | EFER_NXE));
	case MSR_VALUE_LBR_CTL:
		return !(value & ~bits->lbr_ctl);
	case MSR_VALUE_PAT:
		return pat_is_valid(value);
	case MSR_VALUE_S_CET: /* SUPPRESS and TRACKER exclude each other */
		return !(value & BITS(9, 6)) && (value & BITS(11, 10)) != BITS(11, 10) &&
		       linear_is_canonical(value, bits->linear_width);
	case MSR_VALUE_UINTR_MISC: /* SDM "User Interrupts": UITTSZ and UINV */
		return !(value & BITS(63, 40));
	case MSR_VALUE_ANY:
		break;
	}
	return true;
}
