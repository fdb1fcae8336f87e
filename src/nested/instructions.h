/* SPDX-License-Identifier: BSD-2-Clause */
/* VMX instructions that L1 executes, and how one ends. */
#pragma once

#include <x86/gpr.h>
#include <x86/vmx.h>

struct vcpu;

/* The exits of L1 for VMX instructions. */
void nested_instruction_exit(struct vcpu *vcpu, struct guest_regs *regs);

/* The end of an instruction, of L1 or L2: with this flag alone; without; with CF. */
void nested_finish(u64 flag);
void nested_succeed(void);
void nested_fail_invalid(void);

/* VMfail with this error, by the book; then on to the next instruction. */
void nested_vmfail(struct vcpu *vcpu, enum vm_instruction_error error);
