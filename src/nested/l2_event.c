/* SPDX-License-Identifier: BSD-2-Clause */
/* Events that do not come from L2's own execution, and those that Umbra raises in L2. */
#include <x86/cr.h>
#include <x86/ept.h>

#include "lib/insn.h"
#include "nested/l2_event.h"
#include "nested/leave.h"
#include "nested/state.h"
#include "vmx/event.h"
#include "vmx/vmcs.h"

u64 ept_qualification(void)
{
	const u64 qualification = vmreadn(VMCS_EXIT_QUALIFICATION);
	const u32 pin = vmread32(VMCS_PIN_CONTROLS);

	return (pin & PIN_NMI_EXITING) && !(pin & PIN_VIRTUAL_NMIS)
		       ? qualification & ~EPT_VIOLATION_NMI_UNBLOCK
		       : qualification;
}

/* SDM "Exception Bitmap"; for page faults also "Page-Fault Error-Code Mask and Match". */
static bool intercepts(u32 vector, u32 error_code)
{
	const bool wanted = vmread32(VMCS_EXCEPTION_BITMAP) >> vector & 1;

	if (vector != VECTOR_PF)
		return wanted;
	return wanted == ((error_code & vmread32(VMCS_PF_ERROR_CODE_MASK)) ==
			  vmread32(VMCS_PF_ERROR_CODE_MATCH));
}

/*
 * SDM "Information for VM Exits Due to Vectored Events": where the exit that Umbra takes the
 * exception from has undone an IRET's unblocking of NMIs, this one says so.
 */
static bool undoes_nmi_unblocking(u32 vector)
{
	return vector != VECTOR_DF &&
	       (vmread32(VMCS_EXIT_REASON) & EXIT_REASON_BASIC) == REASON_EPT_VIOLATION &&
	       (ept_qualification() & EPT_VIOLATION_NMI_UNBLOCK) &&
	       !(vmread32(VMCS_IDT_VECTORING_INFO) & INTR_INFO_VALID);
}

bool nested_take_exception(struct vcpu *vcpu, u32 info, u32 error_code)
{
	struct nested_vmcs *vmcs = vcpu->nested->current;
	const u32 vector = info & INTR_INFO_VECTOR;

	if (!intercepts(vector, error_code))
		return false;
	if (undoes_nmi_unblocking(vector)) {
		info |= (u32)INTR_INFO_NMI_UNBLOCK;
		vmcs_clear32(VMCS_GUEST_INTERRUPTIBILITY, INTERRUPTIBILITY_NMI);
	}
	nested_record_exit(vcpu);
	nested_set_exit_field(vmcs, F_EXIT_REASON, REASON_EXCEPTION_NMI);
	nested_set_exit_field(vmcs, F_EXIT_QUALIFICATION, vector == VECTOR_PF ? read_cr2() : 0);
	nested_set_exit_field(vmcs, F_VM_EXIT_INTR_INFO, info);
	nested_set_exit_field(vmcs, F_VM_EXIT_INTR_ERROR_CODE,
			      info & INTR_INFO_ERROR_CODE ? error_code : 0);
	/* SDM "Information for VM Exits That Occur During Event Delivery": not for these. */
	if (vector == VECTOR_DF)
		nested_set_exit_field(vmcs, F_IDT_VECTORING_INFO, 0);
	nested_leave(vcpu);
	return true;
}

void nested_keep_entry_event(struct vcpu *vcpu)
{
	if (vcpu->nested->entry_event.kept)
		return;
	vcpu->nested->entry_event.kept = true;
	vcpu->nested->undo = true;
	vcpu->nested->entry_event.info = vmread32(VMCS_VM_ENTRY_INTR_INFO);
	vcpu->nested->entry_event.error_code = vmread32(VMCS_VM_ENTRY_EXCEPTION_ERROR_CODE);
	vcpu->nested->entry_event.length = vmread32(VMCS_VM_ENTRY_INSTRUCTION_LENGTH);
}

/* Puts back what nested_keep_entry_event() kept. */
static void restore_entry_event(struct vcpu *vcpu)
{
	if (!vcpu->nested->entry_event.kept)
		return;
	vcpu->nested->entry_event.kept = false;
	/* SDM "VM Exits": each clears the valid bit. */
	vmwrite32(VMCS_VM_ENTRY_INTR_INFO, vcpu->nested->entry_event.info & ~(u32)INTR_INFO_VALID);
	vmwrite32(VMCS_VM_ENTRY_EXCEPTION_ERROR_CODE, vcpu->nested->entry_event.error_code);
	vmwrite32(VMCS_VM_ENTRY_INSTRUCTION_LENGTH, vcpu->nested->entry_event.length);
}

void nested_triple_fault(struct vcpu *vcpu)
{
	nested_reflect_event(vcpu, REASON_TRIPLE_FAULT, 0, 0);
}

/*
 * The exit comes when L2 can take an NMI (SDM "Other Causes of VM Exits", NMI window). Where L1
 * uses no virtual NMIs for this L2 they are free for Umbra, and L2's blocking becomes virtual; an
 * NMI that comes meanwhile exits.
 */
static void ask_for_nmi_window(struct vcpu *vcpu, bool injects_nmi)
{
	struct nested *nested = vcpu->nested;

	nested->asked_exit = ASKED_NMI_WINDOW;
	nested->undo = true;
	vmcs_set32(VMCS_PIN_CONTROLS, (u32)(PIN_NMI_EXITING | PIN_VIRTUAL_NMIS));
	vmcs_set32(VMCS_PRIMARY_CONTROLS, (u32)CPU_NMI_WINDOW_EXITING);
	/* With virtual NMIs an entry that injects one begins unblocked, and ends blocked. */
	nested->unblocked_to_inject =
		injects_nmi && (vmread32(VMCS_GUEST_INTERRUPTIBILITY) & INTERRUPTIBILITY_NMI);
	if (nested->unblocked_to_inject)
		vmcs_clear32(VMCS_GUEST_INTERRUPTIBILITY, INTERRUPTIBILITY_NMI);
	/* The CPU's own blocking ends here, as for L1. */
	unblock_nmis();
}

/*
 * With 0 the exit comes after the entry and the event that it injects, before any instruction (SDM
 * "VMX-Preemption Timer"). A CPU without the timer gives the event at its next exit.
 */
static void ask_for_exit_by_timer(struct vcpu *vcpu, enum asked_exit asked, u32 value)
{
	struct nested *nested = vcpu->nested;

	if (!vmx_can_set(vcpu->vmx.pin, PIN_PREEMPTION_TIMER))
		return;
	nested->asked_exit = asked;
	nested->undo = true;
	nested->timer = vmread32(VMCS_PREEMPTION_TIMER_VALUE);
	vmwrite32(VMCS_PREEMPTION_TIMER_VALUE, value);
	vmcs_set32(VMCS_PIN_CONTROLS, (u32)PIN_PREEMPTION_TIMER);
}

/*
 * Long enough for many times the largest instruction, which has made its exits by then. Where L1
 * uses the timer itself, or an event waits for L2, the exit of that comes instead.
 */
void nested_limit_loan(struct vcpu *vcpu)
{
	enum { TIMER_VALUE = 1 << 16 };

	if (vcpu->nested->asked_exit == ASKED_NOTHING &&
	    !(vcpu->nested->current->vmcs12->f[F_PIN_CONTROLS] & PIN_PREEMPTION_TIMER))
		ask_for_exit_by_timer(vcpu, ASKED_LOAN_END, TIMER_VALUE);
}

void nested_undo(struct vcpu *vcpu)
{
	vcpu->nested->undo = false;
	restore_entry_event(vcpu);
	nested_cancel_asked_exit(vcpu);
	ept02_end_loan(vcpu);
}

static void close_nmi_window(struct nested *nested, const struct vmcs12 *v)
{
	const u32 borrowed = (u32)(PIN_NMI_EXITING | PIN_VIRTUAL_NMIS);

	vmcs_clear32(VMCS_PIN_CONTROLS, borrowed & ~(u32)v->f[F_PIN_CONTROLS]);
	vmcs_clear32(VMCS_PRIMARY_CONTROLS,
		     (u32)CPU_NMI_WINDOW_EXITING & ~(u32)v->f[F_PRIMARY_CONTROLS]);
	/* The entry that was to inject has failed, and leaves no trace. */
	if (nested->unblocked_to_inject && (vmread32(VMCS_VM_ENTRY_INTR_INFO) & INTR_INFO_VALID))
		vmcs_set32(VMCS_GUEST_INTERRUPTIBILITY, INTERRUPTIBILITY_NMI);
}

void nested_cancel_asked_exit(struct vcpu *vcpu)
{
	struct nested *nested = vcpu->nested;
	const struct vmcs12 *v = current12(vcpu);

	switch (nested->asked_exit) {
	case ASKED_NMI_WINDOW:
		close_nmi_window(nested, v);
		break;
	case ASKED_IMMEDIATE:
	case ASKED_LOAN_END:
		vmwrite32(VMCS_PREEMPTION_TIMER_VALUE, nested->timer);
		vmcs_clear32(VMCS_PIN_CONTROLS,
			     (u32)PIN_PREEMPTION_TIMER & ~(u32)v->f[F_PIN_CONTROLS]);
		break;
	default:
		break;
	}
	nested->asked_exit = ASKED_NOTHING;
}

/*
 * Nothing is handed over here. Much can come first: the checks of an entry, the event that it
 * injects, debug exceptions, L1's own timer and windows (SDM "Other Causes of VM Exits"). The CPU
 * knows their order, so it is asked for an exit that takes the event's place among them.
 */
void nested_event_waits(struct vcpu *vcpu)
{
	const u64 pin = current12(vcpu)->f[F_PIN_CONTROLS];
	const u32 injected = vmread32(VMCS_VM_ENTRY_INTR_INFO);
	const bool injects_nmi =
		(injected & INTR_INFO_VALID) && (injected & INTR_INFO_TYPE) == INTR_TYPE_NMI;
	const bool blocked =
		injects_nmi || (vmread32(VMCS_GUEST_INTERRUPTIBILITY) & INTERRUPTIBILITY_NMI);

	nested_cancel_asked_exit(vcpu);
	/* SDM "Event Blocking": until the SIPI, which is L1's exit. */
	if (vmread32(VMCS_GUEST_ACTIVITY_STATE) == ACTIVITY_WAIT_SIPI)
		return;
	if (vcpu->init_held || vcpu->mc_latched) {
		ask_for_exit_by_timer(vcpu, ASKED_IMMEDIATE, 0);
		return;
	}
	if (!vcpu->nmi_latched)
		return;
	if (!blocked || !(pin & PIN_NMI_EXITING))
		ask_for_nmi_window(vcpu, injects_nmi);
	else if (pin & PIN_VIRTUAL_NMIS)
		/* SDM "Pin-Based VM-Execution Controls": the bit blocks only virtual ones. */
		ask_for_exit_by_timer(vcpu, ASKED_IMMEDIATE, 0);
	/*
	 * Else: SDM "Changes to Instruction Behavior in VMX Non-Root Operation", IRET: blocked for
	 * as long as L2 runs.
	 */
}

/* L2 is where it can take the NMI: L1's exit, or by L2's own IDT. */
static void give_nmi(struct vcpu *vcpu)
{
	const u32 nmi = (u32)INTR_INFO_VALID | INTR_TYPE_NMI | VECTOR_NMI;

	vcpu->nmi_latched = false;
	if (current12(vcpu)->f[F_PIN_CONTROLS] & PIN_NMI_EXITING) {
		nested_reflect_event(vcpu, REASON_EXCEPTION_NMI, 0, nmi);
		return;
	}
	/* No STI may be in the way, as on some CPUs it is after such an exit. */
	vmcs_clear32(VMCS_GUEST_INTERRUPTIBILITY, INTERRUPTIBILITY_STI);
	nested_keep_entry_event(vcpu);
	vmwrite32(VMCS_VM_ENTRY_INTR_INFO, nmi);
}

/* The same exit may be due to L1, for which it has to come before the event. */
static bool is_l1s_too(const struct vmcs12 *v, enum asked_exit asked)
{
	if (asked == ASKED_NMI_WINDOW)
		return v->f[F_PRIMARY_CONTROLS] & CPU_NMI_WINDOW_EXITING;
	return (v->f[F_PIN_CONTROLS] & PIN_PREEMPTION_TIMER) &&
	       vmread32(VMCS_PREEMPTION_TIMER_VALUE) == 0;
}

bool nested_take_asked_exit(struct vcpu *vcpu, enum asked_exit exit)
{
	const enum asked_exit asked = vcpu->nested->asked_exit;

	nested_cancel_asked_exit(vcpu);
	if (asked != exit || is_l1s_too(current12(vcpu), asked))
		return false;
	if (vcpu->mc_latched) {
		event_deliver_latched(vcpu);
	} else if (vcpu->init_held) {
		vcpu->init_held = false;
		nested_reflect_event(vcpu, REASON_INIT, 0, 0);
	} else if (vcpu->nmi_latched) {
		give_nmi(vcpu);
	}
	return true;
}

bool nested_take_machine_check(struct vcpu *vcpu)
{
	/*
	 * SDM "Machine-Check Events During VM Entry": one of the ways, and it needs no L2. The
	 * instructions are exits of L1's; while L2 runs none of them is the last one.
	 */
	if (vcpu->exit_reason == REASON_VMLAUNCH || vcpu->exit_reason == REASON_VMRESUME) {
		nested_entry_failed(vcpu, REASON_ENTRY_FAIL_MCE, 0);
		return true;
	}
	if (!(vmread32(VMCS_EXCEPTION_BITMAP) & (1u << VECTOR_MC)))
		return false;
	nested_reflect_event(vcpu, REASON_EXCEPTION_NMI, 0,
			     (u32)INTR_INFO_VALID | INTR_TYPE_HW_EXCEPTION | VECTOR_MC);
	return true;
}
