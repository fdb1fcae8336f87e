/* SPDX-License-Identifier: BSD-2-Clause */
#include "vmx/cpuid_filter.h"

#include <x86/msr.h>

#include "lib/insn.h"
#include "vmx/exit.h"
#include "vmx/instruction.h"

/* Out of the way of the leaves that pass unchanged, which are most. */
__attribute__((noinline)) static struct cpuid filtered(const struct vcpu *vcpu, u32 leaf,
						       u32 subleaf)
{
	struct cpuid answer = cpuid(leaf, subleaf);

	cpuid_filter(&answer, leaf, subleaf, vmreadn(VMCS_GUEST_CR4), &vcpu->cpuid_hidden);
	return answer;
}

/* SDM "CPUID": the upper halves of all four registers are cleared in every mode. */
static void give(struct guest_regs *regs, struct cpuid answer)
{
	regs->rax = answer.eax;
	regs->rbx = answer.ebx;
	regs->rcx = answer.ecx;
	regs->rdx = answer.edx;
}

u64 cpuid_xss_mask(const struct vcpu *vcpu)
{
	const struct cpuid xsave = cpuid(0, 0).eax >= 0xd ? cpuid(0xd, 1) : (struct cpuid){0};
	const u64 mask = (u64)xsave.edx << 32 | xsave.ecx;

	if (!(xsave.eax & ~vcpu->cpuid_hidden.leafd1_eax & (u32)CPUID_D1_EAX_XSAVES))
		return 0;
	return mask & ~(vcpu->cpuid_hidden.leaf14 ? XSS_PT : 0);
}

void cpuid_exit(struct vcpu *vcpu, struct guest_regs *regs)
{
	const u32 leaf = (u32)regs->rax;
	const u32 subleaf = (u32)regs->rcx;

	if (cpuid_is_filtered(leaf))
		give(regs, filtered(vcpu, leaf, subleaf));
	else
		give(regs, cpuid(leaf, subleaf));
	instruction_done();
}
