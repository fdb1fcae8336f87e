/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * L2's memory: EPT violations and misconfigurations, page-modification logging, #VE, and VMFUNC,
 * which switches EPTs.
 */
#pragma once

#include "nested/ept02.h"
#include "vmx/exit.h"

/*
 * An access of L2's. First, whether it may be made, by ept12's leave and with its flags and its
 * log: everything of the fault but gpa, access and the two about Umbra is filled in. Then what
 * follows from that: L1's exit, a #VE, or L2 tries again.
 */
enum ept02_result nested_ept_fault(struct vcpu *vcpu, struct ept02_fault *fault);
void nested_ept_fault_done(struct vcpu *vcpu, const struct ept02_fault *fault,
			   enum ept02_result result, u64 qualification);

/* vmcs02, which is current, runs from now on with the map that L1's EPTP and controls name. */
void l2_memory_set_map(struct vcpu *vcpu);

/* Exits of L2. False: L1's. */
bool l2_ept_violation(struct vcpu *vcpu, struct guest_regs *regs);
bool l2_ept_misconfiguration(struct vcpu *vcpu, struct guest_regs *regs);
bool l2_vmfunc(struct vcpu *vcpu, struct guest_regs *regs);
