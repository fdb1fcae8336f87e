/* SPDX-License-Identifier: BSD-2-Clause */
#include "mm/phys_width.h"

#include <x86/cpuid.h>
#include <x86/msr.h>

#include "lib/insn.h"

u8 phys_width_address(void)
{
	if (cpuid(0x80000000, 0).eax < 0x80000008)
		return 36;
	return (u8)cpuid(0x80000008, 0).eax;
}

/*
 * All key bits, those that TDX has for itself included, which are reserved bits to everybody else.
 * Firmware activates the keys and locks the register; the guest cannot write it in any case.
 */
static u8 key_bits(void)
{
	u64 activate;

	if (cpuid(0, 0).eax < 7 || !(cpuid(7, 0).ecx & CPUID_7_ECX_TME) ||
	    !rdmsr_safe(MSR_IA32_TME_ACTIVATE, &activate))
		return 0;
	if (!(activate & TME_ACTIVATE_ENABLED))
		return 0;
	return (u8)((activate & TME_ACTIVATE_KEYID_BITS) >> TME_ACTIVATE_KEYID_SHIFT);
}

u8 phys_width_memory(void)
{
	return (u8)(phys_width_address() - key_bits());
}
