/* SPDX-License-Identifier: BSD-2-Clause */
/* Exits of L2: where they arrive. */
#pragma once

#include <x86/gpr.h>
#include <x86/types.h>

struct vcpu;

/* Host RIP of every VM exit from L2. */
extern const u8 switch_vm_exit_l2[];

/* From switch_l2.S. */
void nested_exit_handle(struct guest_regs *regs);

/* An instruction that Umbra executed for L2 is over: what is due on its boundary. */
void l2_instruction_executed(struct vcpu *vcpu);
