/* SPDX-License-Identifier: BSD-2-Clause */
/* Events that do not come from L2's own execution, and those that Umbra raises in L2. */
#include <x86/cr.h>
#include <x86/ept.h>

#include "lib/insn.h"
#include "nested/state.h"
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
	vcpu->nested->entry_event.info = vmread32(VMCS_VM_ENTRY_INTR_INFO);
	vcpu->nested->entry_event.error_code = vmread32(VMCS_VM_ENTRY_EXCEPTION_ERROR_CODE);
	vcpu->nested->entry_event.length = vmread32(VMCS_VM_ENTRY_INSTRUCTION_LENGTH);
}

void nested_restore_entry_event(struct vcpu *vcpu)
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
 * L2 cannot take the NMI now. SDM "Other Causes of VM Exits", NMI window: the exit comes when it
 * can. L1 uses no virtual NMIs for this L2, so they are free for Umbra: an NMI that comes meanwhile
 * exits.
 */
static void open_nmi_window(struct vcpu *vcpu)
{
	if (vcpu->nested->nmi_window)
		return;
	vcpu->nested->nmi_window = true;
	vmcs_set32(VMCS_PIN_CONTROLS, (u32)(PIN_NMI_EXITING | PIN_VIRTUAL_NMIS));
	vmcs_set32(VMCS_PRIMARY_CONTROLS, (u32)CPU_NMI_WINDOW_EXITING);
	/* The blocking in L2's state is virtual now; the CPU's own ends here, as for L1. */
	unblock_nmis();
}

void nested_close_nmi_window(struct vcpu *vcpu)
{
	const u32 pin = (u32)vcpu->nested->current->vmcs12->f[F_PIN_CONTROLS];

	if (!vcpu->nested->nmi_window)
		return;
	vcpu->nested->nmi_window = false;
	vmcs_clear32(VMCS_PIN_CONTROLS, (u32)(PIN_NMI_EXITING | PIN_VIRTUAL_NMIS) & ~pin);
	vmcs_clear32(VMCS_PRIMARY_CONTROLS, (u32)CPU_NMI_WINDOW_EXITING);
}

bool nested_nmi(struct vcpu *vcpu)
{
	const u64 pin = vcpu->nested->current->vmcs12->f[F_PIN_CONTROLS];
	const u32 nmi = (u32)INTR_INFO_VALID | INTR_TYPE_NMI | VECTOR_NMI;
	const u32 injected = vmread32(VMCS_VM_ENTRY_INTR_INFO);
	const u32 interruptibility = vmread32(VMCS_GUEST_INTERRUPTIBILITY);

	/* SDM "Event Blocking": until the SIPI, which is L1's exit. */
	if (vmread32(VMCS_GUEST_ACTIVITY_STATE) == ACTIVITY_WAIT_SIPI)
		return false;
	/* SDM "Pin-Based VM-Execution Controls": with virtual NMIs the bit blocks only those. */
	if (!(pin & PIN_VIRTUAL_NMIS) && (interruptibility & INTERRUPTIBILITY_NMI)) {
		open_nmi_window(vcpu);
		return false;
	}
	if (pin & PIN_NMI_EXITING) {
		/* A pending MTF VM exit comes first. */
		if ((injected & INTR_INFO_VALID) && (injected & INTR_INFO_TYPE) == INTR_TYPE_OTHER)
			return false;
		vcpu->nmi_latched = false;
		nested_reflect_event(vcpu, REASON_EXCEPTION_NMI, 0, nmi);
		return true;
	}
	/* L2's to take by its own IDT, as soon as nothing is in the way. */
	if ((injected & INTR_INFO_VALID) ||
	    (interruptibility & (INTERRUPTIBILITY_STI | INTERRUPTIBILITY_MOV_SS))) {
		open_nmi_window(vcpu);
		return false;
	}
	nested_close_nmi_window(vcpu);
	nested_keep_entry_event(vcpu);
	vmwrite32(VMCS_VM_ENTRY_INTR_INFO, nmi);
	vcpu->nmi_latched = false;
	return true;
}

bool nested_take_machine_check(struct vcpu *vcpu)
{
	if (!(vmread32(VMCS_EXCEPTION_BITMAP) & (1u << VECTOR_MC)))
		return false;
	nested_reflect_event(vcpu, REASON_EXCEPTION_NMI, 0,
			     (u32)INTR_INFO_VALID | INTR_TYPE_HW_EXCEPTION | VECTOR_MC);
	return true;
}
