/* SPDX-License-Identifier: BSD-2-Clause */
#include "vmx/cpuid_filter.h"

#include "lib/insn.h"
#include "vmx/exit.h"
#include "vmx/instruction.h"

/* SDM "CPUID": the upper halves of all four registers are cleared in every mode. */
void cpuid_exit(struct cpu *cpu, struct guest_regs *regs)
{
	const u32 leaf = (u32)regs->rax;
	const u32 subleaf = (u32)regs->rcx;
	struct cpuid answer = cpuid(leaf, subleaf);

	if (cpuid_is_filtered(leaf))
		cpuid_filter(&answer, leaf, subleaf, vmreadn(VMCS_GUEST_CR4), &cpu->cpuid_hidden);
	regs->rax = answer.eax;
	regs->rbx = answer.ebx;
	regs->rcx = answer.ecx;
	regs->rdx = answer.edx;
	instruction_done();
}
