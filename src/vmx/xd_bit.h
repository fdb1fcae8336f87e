/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * "XD bit disable", IA32_MISC_ENABLE[34]. The CPU's stays clear, since Umbra's own page tables use
 * the XD bit and exits load EFER.NXE; the guest's is kept per CPU. While it is set the guest has no
 * XD bit: CPUID does not show it and EFER.NXE is reserved, so that bit 63 of page-table entries is,
 * too (SDM "IA32_MISC_ENABLE", "Execute-Disable Bit Capability").
 */
#pragma once

#include <x86/cr.h>
#include <x86/msr.h>

#include "vmx/vcpu.h"
#include "vmx/vmcs.h"

/* Once, on the boot processor; stops with a message when memory is short. */
void xd_bit_init(void);

/* False: a write of the bit is #GP(0), since L2 cannot change it for L1. */
bool xd_bit_may_be(const struct vcpu *vcpu, bool disabled);

/* The write, where xd_bit_may_be(). Changes fields of the current VMCS, which is vmcs01. */
void xd_bit_write(struct vcpu *vcpu, bool disabled);

/*
 * Emulated WRMSR to IA32_EFER, where bits beyond `allowed` are reserved: LMA stays, LME changes
 * only with paging off (SDM "IA32_EFER"). False: #GP(0). Changes the current VMCS's field.
 */
static inline bool guest_write_efer(u64 value, u64 allowed)
{
	const u64 old = vmread64(VMCS_GUEST_EFER);

	if (value & ~allowed)
		return false;
	if (((value ^ old) & EFER_LME) && (vmreadn(VMCS_GUEST_CR0) & CR0_PG))
		return false;
	vmwrite64(VMCS_GUEST_EFER, (value & ~EFER_LMA) | (old & EFER_LMA));
	return true;
}
