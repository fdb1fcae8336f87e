/* SPDX-License-Identifier: BSD-2-Clause */
#include "vmx/instruction.h"

/* SDM "IA32_DEBUGCTL MSR": with BTF, TF traps on branches only, and no such instruction exits. */
static const u64 debugctl_btf = BIT(1);

void instruction_done_slow(u64 rflags, u32 interruptibility)
{
	const u32 shadows = INTERRUPTIBILITY_STI | INTERRUPTIBILITY_MOV_SS;

	/* Below 64-bit mode the instruction pointer has 32 bits. */
	if (!instruction_in_64bit_mode())
		vmwriten(VMCS_GUEST_RIP, vmreadn(VMCS_GUEST_RIP) & BITS(31, 0));
	if (interruptibility & shadows)
		vmwrite32(VMCS_GUEST_INTERRUPTIBILITY, interruptibility & ~shadows);
	if (rflags & RFLAGS_RF)
		vmwriten(VMCS_GUEST_RFLAGS, vmreadn(VMCS_GUEST_RFLAGS) & ~RFLAGS_RF);
	if ((rflags & RFLAGS_TF) && !(vmread64(VMCS_GUEST_DEBUGCTL) & debugctl_btf))
		vmwriten(VMCS_GUEST_PENDING_DEBUG,
			 vmreadn(VMCS_GUEST_PENDING_DEBUG) | PENDING_DEBUG_BS);
}

void instruction_iteration_done(void)
{
	instruction_done_slow(vmreadn(VMCS_GUEST_RFLAGS) & ~RFLAGS_RF,
			      vmread32(VMCS_GUEST_INTERRUPTIBILITY));
}
