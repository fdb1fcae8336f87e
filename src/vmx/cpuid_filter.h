/* SPDX-License-Identifier: BSD-2-Clause */
/* What CPUID tells the guest: the CPU's own answer but for the few bits below. Pure. */
#pragma once

#include <x86/cpuid.h>
#include <x86/types.h>

#include "vmx/capabilities.h"

/* Bits of features the CPU has but the guest cannot use under Umbra. */
struct cpuid_hidden {
	u32 leaf1_ecx;
	u32 leaf7_ebx;
	u32 leaf7_ecx;
	u32 leaf7_edx;
	u32 leaf71_eax;
	u32 leafd1_eax;
	u32 leaf81_edx;
	bool leaf14; /* Intel PT: the whole leaf */
};

/* An instruction without its VM-execution control is #UD in the guest, so CPUID must not offer it.
 */
struct cpuid_hidden cpuid_hidden_features(const struct vmx_capabilities *vmx, bool nested);

/*
 * Adjusts the answer for (leaf, subleaf) in place. OSXSAVE and OSPKE report the guest's CR4, not
 * that of the CPU while Umbra runs.
 */
void cpuid_filter(struct cpuid *answer, u32 leaf, u32 subleaf, u64 guest_cr4,
		  const struct cpuid_hidden *hidden);

/*
 * cpuid.c: the bits of IA32_XSS that the guest may set, the components that CPUID shows it there.
 */
struct vcpu;
u64 cpuid_xss_mask(const struct vcpu *vcpu);

/* True for the leaves that cpuid_filter() may change. */
static inline bool cpuid_is_filtered(u32 leaf)
{
	return leaf == 1 || leaf == 7 || leaf == 0xd || leaf == 0x14 || leaf == 0x80000001;
}
