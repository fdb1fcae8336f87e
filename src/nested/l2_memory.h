/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * L2's memory: EPT violations and misconfigurations, page-modification logging, #VE, and VMFUNC,
 * which switches EPTs.
 */
#pragma once

#include "nested/ept02.h"
#include "vmx/exit.h"

/*
 * Whether an access of L2's may be made: by what ept12 allows, with its accessed and dirty flags
 * set and its log written. The caller fills in gpa, access, by_umbra and linear of the fault, this
 * the rest.
 */
enum ept02_result nested_ept_fault(struct vcpu *vcpu, struct ept02_fault *fault);

/* What follows from the result: L1's exit, a #VE, or L2 tries again. */
void nested_ept_fault_done(struct vcpu *vcpu, const struct ept02_fault *fault,
			   enum ept02_result result, u64 qualification);

/* vmcs02, which is current, runs from now on with the map that L1's EPTP and controls name. */
void l2_memory_set_map(struct vcpu *vcpu);

/* Exits of L2. False: L1's. */
bool l2_ept_violation(struct vcpu *vcpu, struct guest_regs *regs);
bool l2_ept_misconfiguration(struct vcpu *vcpu, struct guest_regs *regs);
bool l2_vmfunc(struct vcpu *vcpu, struct guest_regs *regs);
