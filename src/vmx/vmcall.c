/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A VMCALL of L1 is offered in turn to the INT 15h hook, to Umbra's interface, with hypervisor=pass
 * to the hypervisor below, and to nested VMX.
 */
#include "lib/insn.h"
#include "vmx/exit.h"
#include "vmx/instruction.h"
#include "vmx/interface.h"

/* Set once, at boot. */
static bool (*first_asked)(struct guest_regs *regs);

void vmcall_set_claim(bool (*claim)(struct guest_regs *regs))
{
	first_asked = claim;
}

/*
 * To the hypervisor below it is Umbra that calls, at CPL 0 and in 64-bit mode: what it would refuse
 * to user code is not for user code here either.
 */
static bool vmcall_below(const struct vcpu *vcpu, struct guest_regs *regs)
{
	if (!vcpu->cpuid_hidden.options.hypervisor || instruction_cpl() != 0)
		return false;
	vmcall(regs);
	return true;
}

void vmcall_exit(struct vcpu *vcpu, struct guest_regs *regs)
{
	if ((first_asked && first_asked(regs)) || interface_vmcall(regs) ||
	    vmcall_below(vcpu, regs))
		instruction_done();
	else
		vmx_instruction_exit(vcpu, regs);
}
