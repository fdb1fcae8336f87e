/* SPDX-License-Identifier: BSD-2-Clause */
/* VM entry: L1's VMLAUNCH or VMRESUME makes L2 run. */
#pragma once

#include <x86/gpr.h>

struct vcpu;

/*
 * VMLAUNCH and VMRESUME after the checks on the instruction itself. Returns VM_DONE with vmcs02
 * current, or with vmcs01 after the entry has failed; or the error of a check, with nothing done.
 * An entry by VMLAUNCH, as every one is with VMCS shadowing, does not return.
 */
int nested_enter(struct vcpu *vcpu, struct guest_regs *regs);

/* A hook: see vmx/guest_level.h. */
void nested_entry_refused(struct vcpu *vcpu);
