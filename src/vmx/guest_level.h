/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What nested VMX tells vmx, so that vmx need not know it: the hooks for a guest of the guest (L2),
 * and what VMX the guest (L1) is offered. Without nested VMX nobody sets any of it.
 */
#pragma once

#include <x86/msr.h>

#include "vmx/exit.h"
#include "vmx/vcpu.h"

/*
 * What becomes of events while a VMCS of L2's is current; vcpu->level points here then, and is NULL
 * while L1 runs.
 */
struct guest_level {
	/*
	 * An exception that Umbra raises in L2, as VM-entry interruption information. True: L1
	 * intercepts it and has got its exit.
	 */
	bool (*exception)(struct vcpu *vcpu, u32 info, u32 error_code);

	/*
	 * An NMI, or a machine check after machine_check() has returned false, stays latched: it
	 * is L1's by an exit, or L2's if L1 lets it through, as soon as L2 can take it.
	 */
	void (*event_waits)(struct vcpu *vcpu);

	/* A machine check. True: L1 intercepts #MC and has got its exit. */
	bool (*machine_check)(struct vcpu *vcpu);

	/* L2 has come to a triple fault by an event of Umbra's: L1's exit. */
	void (*triple_fault)(struct vcpu *vcpu);

	/* The CPU refused vmcs02 with a VMfail: L1's VMLAUNCH or VMRESUME fails by the same error.
	 */
	void (*entry_refused)(struct vcpu *vcpu);

	/* Before Umbra writes the fields for event injection: they are L1's to read later. */
	void (*keep_entry_event)(struct vcpu *vcpu);
};

/*
 * The VMX that the guest sees, the same on every CPU: set at boot before the first vmx_setup_cpu(),
 * then narrowed by each CPU that is set up; constant once the guest runs.
 */
struct offered_vmx {
	bool offered;
	u32 msrs; /* a bit for each of IA32_VMX_BASIC and those after it that exist */
	u64 msr[MSR_IA32_VMX_EXIT_CTLS2 - MSR_IA32_VMX_BASIC + 1];
	exit_handler *instruction; /* L1's VMX instructions; at first all are #UD */

	/* An entry of vmcs01 failed on guest state. Does not return if L1's host state is why. */
	void (*entry_failed)(struct vcpu *vcpu);

	/* The CPU has been reset, and has entered VMX operation again; NULL: nothing to do. */
	void (*reset)(struct vcpu *vcpu);

	/* A CPU's words of enum umbra_cpu that tell of nested VMX; NULL: there are none. */
	void (*counts)(const struct vcpu *vcpu, u64 *out);
};
extern struct offered_vmx offered_vmx;
