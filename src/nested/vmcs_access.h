/* SPDX-License-Identifier: BSD-2-Clause */
/* VMREAD and VMWRITE, of L1 and of L2. */
#pragma once

#include <x86/gpr.h>

struct vcpu;

/* L1's, of its current VMCS. False: a fault is under way, and the instruction not over. */
bool nested_vmread(struct vcpu *vcpu, struct guest_regs *regs);
bool nested_vmwrite(struct vcpu *vcpu, struct guest_regs *regs);

/* Whose an access of L2's is, and what it came to. */
enum l2_access {
	L2_ACCESS_IS_L1S,  /* an exit */
	L2_ACCESS_DONE,    /* or failed, with its flags */
	L2_ACCESS_FAULTED, /* and that is under way, to L2 or L1 */
};
enum l2_access vmcs_access_of_l2(struct vcpu *vcpu, struct guest_regs *regs, bool write);
