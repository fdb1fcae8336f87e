/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Events that do not come from L2's own execution (NMI, INIT, machine check), and those that Umbra
 * raises in L2: the hooks of vmx/guest_level.h, and the exits that Umbra asks L2 for.
 */
#pragma once

#include <x86/types.h>

struct vcpu;

/*
 * An exit that Umbra asks of L2, to hand over an NMI, INIT or machine check where it is due; see
 * nested_event_waits().
 */
enum asked_exit {
	ASKED_NOTHING,
	ASKED_NMI_WINDOW,
	ASKED_IMMEDIATE, /* by the preemption timer */
	ASKED_LOAN_END,  /* by the same, later: other CPUs may need the loan of tables */
};

/* The hooks. */
bool nested_take_exception(struct vcpu *vcpu, u32 info, u32 error_code);
void nested_event_waits(struct vcpu *vcpu);
bool nested_take_machine_check(struct vcpu *vcpu);
void nested_triple_fault(struct vcpu *vcpu);
void nested_keep_entry_event(struct vcpu *vcpu);

/* vmcs02, which is current, gets L1's controls back. */
void nested_cancel_asked_exit(struct vcpu *vcpu);

/* Lets the preemption timer end L2's use of, or wait for, the loan, if no other exit comes. */
void nested_limit_loan(struct vcpu *vcpu);

/* L2 is left, and everything borrowed or asked for with it. vmcs02 is current. */
void nested_undo(struct vcpu *vcpu);

/* L2 has made this exit. True: Umbra asked for it, and it is done; false: it is L1's. */
bool nested_take_asked_exit(struct vcpu *vcpu, enum asked_exit exit);

/*
 * The qualification of L2's EPT violation, with bit 12 only where that means something:
 * SDM "Exit Qualification for EPT Violations".
 */
u64 ept_qualification(void);
