/* SPDX-License-Identifier: BSD-2-Clause */
/* VMCALLs: the claimed one's (the INT 15h hook's), the statistics' if they are on, else L1's. */
#include "vmx/exit.h"
#include "vmx/instruction.h"
#include "vmx/statistics.h"

/* Set once, at boot. */
static bool (*claim)(struct guest_regs *regs);

void vmcall_set_claim(bool (*function)(struct guest_regs *regs))
{
	claim = function;
}

void vmcall_exit(struct vcpu *vcpu, struct guest_regs *regs)
{
	if ((claim && claim(regs)) || statistics_vmcall(regs))
		instruction_done();
	else
		vmx_instruction_exit(vcpu, regs);
}
