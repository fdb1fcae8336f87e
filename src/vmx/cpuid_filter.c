/* SPDX-License-Identifier: BSD-2-Clause */
#include "vmx/cpuid_filter.h"

#include <x86/cr.h>
#include <x86/vmx.h>

struct cpuid_hidden cpuid_hidden_features(const struct vmx_capabilities *vmx, bool nested)
{
	/* FRED and the MSR lists need VMCS state and controls that Umbra does not set up. */
	struct cpuid_hidden hidden = {
		.leaf1_ecx = (u32)CPUID_1_ECX_SMX,
		.leaf71_eax = (u32)(CPUID_71_EAX_FRED | CPUID_71_EAX_MSRLIST),
	};

	if (!nested)
		hidden.leaf1_ecx |= (u32)CPUID_1_ECX_VMX;
	if (!vmx_can_set(vmx->secondary, CPU2_RDTSCP)) {
		hidden.leaf81_edx |= (u32)CPUID_81_EDX_RDTSCP;
		hidden.leaf7_ecx |= (u32)CPUID_7_ECX_RDPID;
	}
	if (!vmx_can_set(vmx->secondary, CPU2_INVPCID))
		hidden.leaf7_ebx |= (u32)CPUID_7_EBX_INVPCID;
	if (!vmx_can_set(vmx->secondary, CPU2_USER_WAIT_PAUSE))
		hidden.leaf7_ecx |= (u32)CPUID_7_ECX_WAITPKG;
	if (!vmx_can_set(vmx->secondary, CPU2_PCONFIG))
		hidden.leaf7_edx |= (u32)CPUID_7_EDX_PCONFIG;
	if (!vmx_can_set(vmx->secondary, CPU2_XSAVES))
		hidden.leafd1_eax |= (u32)CPUID_D1_EAX_XSAVES;
	/*
	 * Without these a trace would run on into root mode and show Umbra's addresses, and its
	 * output would pass by EPT, into Umbra's memory if the guest says so. With nested VMX the
	 * same would have to hold for L2, which it does not yet.
	 */
	if (nested || !(vmx->misc & VMX_MISC_PT) || !vmx_can_set(vmx->entry, ENTRY_LOAD_RTIT_CTL) ||
	    !vmx_can_set(vmx->exit, EXIT_CLEAR_RTIT_CTL) ||
	    !vmx_can_set(vmx->secondary, CPU2_PT_GUEST_PHYSICAL)) {
		hidden.leaf7_ebx |= (u32)CPUID_7_EBX_PT;
		hidden.leaf14 = true;
	}
	return hidden;
}

static void set_bit(u32 *word, u64 bit, bool on)
{
	*word = on ? *word | (u32)bit : *word & ~(u32)bit;
}

void cpuid_filter(struct cpuid *answer, u32 leaf, u32 subleaf, u64 guest_cr4,
		  const struct cpuid_hidden *hidden)
{
	switch (leaf) {
	case 1:
		answer->ecx &= ~hidden->leaf1_ecx;
		set_bit(&answer->ecx, CPUID_1_ECX_OSXSAVE, guest_cr4 & CR4_OSXSAVE);
		break;
	case 7:
		if (subleaf != 0) {
			if (subleaf == 1)
				answer->eax &= ~hidden->leaf71_eax;
			break;
		}
		answer->ebx &= ~hidden->leaf7_ebx;
		answer->ecx &= ~hidden->leaf7_ecx;
		answer->edx &= ~hidden->leaf7_edx;
		set_bit(&answer->ecx, CPUID_7_ECX_OSPKE, guest_cr4 & CR4_PKE);
		break;
	case 0xd:
		if (subleaf == 1)
			answer->eax &= ~hidden->leafd1_eax;
		break;
	case 0x14:
		if (hidden->leaf14)
			*answer = (struct cpuid){0};
		break;
	case 0x80000001:
		answer->edx &= ~hidden->leaf81_edx;
		break;
	default:
		break;
	}
}
