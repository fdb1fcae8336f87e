/* SPDX-License-Identifier: BSD-2-Clause */
#include "vmx/cpuid_filter.h"

#include <x86/cr.h>
#include <x86/vmx.h>

struct cpuid_hidden cpuid_hidden_features(const struct vmx_capabilities *vmx, bool nested)
{
	const u64 pt_controls = ENTRY_LOAD_RTIT_CTL;
	struct cpuid_hidden hidden = {.leaf1_ecx = (u32)CPUID_1_ECX_SMX};

	if (!nested)
		hidden.leaf1_ecx |= (u32)CPUID_1_ECX_VMX;
	if (!vmx_can_set(vmx->secondary, CPU2_RDTSCP))
		hidden.leaf81_edx |= (u32)CPUID_81_EDX_RDTSCP;
	if (!vmx_can_set(vmx->secondary, CPU2_INVPCID))
		hidden.leaf7_ebx |= (u32)CPUID_7_EBX_INVPCID;
	if (!vmx_can_set(vmx->secondary, CPU2_USER_WAIT_PAUSE))
		hidden.leaf7_ecx |= (u32)CPUID_7_ECX_WAITPKG;
	if (!vmx_can_set(vmx->secondary, CPU2_PCONFIG))
		hidden.leaf7_edx |= (u32)CPUID_7_EDX_PCONFIG;
	if (!vmx_can_set(vmx->secondary, CPU2_XSAVES))
		hidden.leafd1_eax |= (u32)CPUID_D1_EAX_XSAVES;
	/* Without these a trace would run on into root mode and show Umbra's addresses. */
	if (!(vmx->misc & VMX_MISC_PT) || !vmx_can_set(vmx->entry, pt_controls) ||
	    !vmx_can_set(vmx->exit, EXIT_CLEAR_RTIT_CTL)) {
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
		if (subleaf != 0)
			break;
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
