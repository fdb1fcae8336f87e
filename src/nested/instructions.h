/* SPDX-License-Identifier: BSD-2-Clause */
/* VMX instructions: those that L1 executes, L2's VMREAD and VMWRITE, and how one ends. */
#pragma once

#include <x86/gpr.h>
#include <x86/vmx.h>

#include "vmx/instruction.h"

struct vcpu;

/* What an instruction comes to: the number of a VMfail, or one of these. */
enum {
	VM_SUCCEED = 0,
	VM_FAIL_INVALID = -1,
	VM_DONE = -2 /* by a fault, or its flags are set already */
};

/* The exits of L1 for VMX instructions. */
void nested_instruction_exit(struct vcpu *vcpu, struct guest_regs *regs);

/* SDM "Conventions": sets just `flag` of the arithmetic flags, 0 for VMsucceed; RIP moves on. */
static inline void nested_finish_with(u64 flag)
{
	const u64 rflags = vmreadn(VMCS_GUEST_RFLAGS);

	vmwriten(VMCS_GUEST_RFLAGS, (rflags & ~RFLAGS_ARITHMETIC) | flag);
	instruction_done_with(rflags);
}

/* VMfail: `outcome` is an error number, or VM_FAIL_INVALID; the instruction ends. */
void nested_finish_failed(struct vcpu *vcpu, int outcome);

/* The end of an instruction that has come to this. */
static inline void nested_finish(struct vcpu *vcpu, int outcome)
{
	if (__builtin_expect(outcome == VM_SUCCEED, 1))
		nested_finish_with(0);
	else if (outcome != VM_DONE)
		nested_finish_failed(vcpu, outcome);
}

/* VMREAD and VMWRITE of L1's current VMCS, to their end. */
void nested_vmread(struct vcpu *vcpu, struct guest_regs *regs);
void nested_vmwrite(struct vcpu *vcpu, struct guest_regs *regs);

/* The exit of L2 for one of these. False: it is L1's. */
bool l2_vmcs_access(struct vcpu *vcpu, struct guest_regs *regs);
