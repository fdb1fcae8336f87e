/* SPDX-License-Identifier: BSD-2-Clause */
/* VM entry: from vmcs12 to vmcs02. SDM "VM Entries", in its order. */
#include <x86/cr.h>
#include <x86/msr.h>

#include "lib/log.h"
#include "mm/ept01.h"
#include "mm/guest_memory.h"
#include "mm/layout.h"
#include "nested/checks.h"
#include "nested/enter.h"
#include "nested/instructions.h"
#include "nested/io_bitmap.h"
#include "nested/l2_event.h"
#include "nested/l2_exit.h"
#include "nested/l2_memory.h"
#include "nested/leave.h"
#include "nested/msr_bitmap.h"
#include "nested/msr_list.h"
#include "nested/shadow.h"
#include "nested/state.h"
#include "nested/switched.h"
#include "nested/vmcs12_cache.h"
#include "nested/vpid.h"
#include "vmx/control_regs.h"
#include "vmx/event.h"
#include "vmx/setup.h"
#include "vmx/switch.h"
#include "vmx/vmcs.h"

/* SDM "VM-Entry Failures During or After Loading Guest State", an exit qualification. */
enum { QUALIFICATION_PDPTE = 2, QUALIFICATION_LINK_POINTER = 4 };

/* What never changes in a vmcs02, once after it was made. */
static void prepare_constant(struct vcpu *vcpu, struct nested_vmcs *vmcs)
{
	vmx_set_host_state(vcpu, (u64)switch_vm_exit_l2);
	vmwrite64(VMCS_VMCS_LINK_POINTER, ~0ull);
	vmwrite32(VMCS_VM_EXIT_MSR_STORE_COUNT, 0);
	vmwrite64(VMCS_VM_EXIT_MSR_STORE_ADDR, virt_to_phys(vcpu->nested->exit_msrs));
	vmwrite32(VMCS_VM_EXIT_MSR_LOAD_COUNT, 0);
	vmwrite32(VMCS_VM_ENTRY_MSR_LOAD_COUNT, 0);
	vmwrite64(VMCS_VM_ENTRY_MSR_LOAD_ADDR, virt_to_phys(vcpu->nested->entry_msrs));
	vmwrite64(VMCS_MSR_BITMAP, virt_to_phys(vmcs->msr_bitmap.page));
	if (vmx_can_set(vcpu->vmx.secondary, CPU2_PCONFIG))
		vmwrite64(VMCS_PCONFIG_EXITING_BITMAP, 0);
	if (vmx_can_set(vcpu->vmx.secondary, CPU2_VM_FUNCTIONS))
		vmwrite64(VMCS_VM_FUNCTION_CONTROLS, 0);
	vmwrite64(VMCS_GUEST_EFER, 0);
	vmcs->vmcs02_prepared = true;
}

/* Fields that L1 wrote since the last entry and that vmcs02 takes as they are. */
static void copy_dirty(struct nested_vmcs *vmcs)
{
	const struct vmcs12 *v = vmcs->vmcs12;

	if (field_set_is_empty(&vmcs->dirty))
		return;
	FOR_EACH_FIELD(f, &vmcs->dirty)
	{
		/* A new VMCS has all bits set, more than there are fields. */
		if (f >= F_COUNT || !nested_caps.has_field[f])
			continue;
		switch (field_info[f].policy) {
		case POLICY_GUEST:
		case POLICY_COPY:
		case POLICY_CHECKED:
		case POLICY_ADDRESS:
			vmcs_write(field_info[f].encoding, v->f[f]);
			break;
		default:
			break;
		}
	}
	vmcs->dirty = (struct field_set){0};
}

/* L1's controls and what Umbra needs beside them; nothing of L1's is taken away. */
static void merge_controls(struct vcpu *vcpu, struct nested_vmcs *vmcs)
{
	const struct vmcs12 *v = vmcs->vmcs12;
	const struct vmx_capabilities *vmx = &vcpu->vmx;
	const u64 entry = v->f[F_ENTRY_CONTROLS];
	const u64 exit = v->f[F_EXIT_CONTROLS];
	const u64 *taken = nested_caps.taken;
	/* An exit that L1 does not see must not start the timer anew. */
	const u64 save_timer =
		v->f[F_PIN_CONTROLS] & PIN_PREEMPTION_TIMER ? EXIT_SAVE_PREEMPTION_TIMER : 0;

	vmwrite32(VMCS_PIN_CONTROLS,
		  vmx_controls(vmx->pin, v->f[F_PIN_CONTROLS] & taken[CONTROL_WORD_PIN], 0));
	vmwrite32(VMCS_PRIMARY_CONTROLS,
		  vmx_controls(vmx->primary,
			       (v->f[F_PRIMARY_CONTROLS] & taken[CONTROL_WORD_PRIMARY]) |
				       CPU_SECONDARY_CONTROLS | io_bitmap02_controls(vcpu, v),
			       0));
	vmwrite32(VMCS_SECONDARY_CONTROLS,
		  vmx_controls(vmx->secondary,
			       (secondary_of(v) & taken[CONTROL_WORD_SECONDARY]) | CPU2_EPT |
				       CPU2_VPID,
			       CPU2_CONCEAL_PT));
	if (nested_caps.has_field[F_TERTIARY_CONTROLS])
		vmwrite64(VMCS_TERTIARY_CONTROLS, tertiary_of(v) & taken[CONTROL_WORD_TERTIARY]);
	if (nested_caps.has_field[F_SECONDARY_EXIT_CONTROLS])
		vmwrite64(VMCS_SECONDARY_EXIT_CONTROLS, exit2_of(v) & taken[CONTROL_WORD_EXIT2]);
	vmwrite32(VMCS_ENTRY_CONTROLS,
		  vmx_controls(vmx->entry,
			       (entry & taken[CONTROL_WORD_ENTRY]) | ENTRY_LOAD_EFER |
				       vcpu->nested->switched.entry_controls,
			       ENTRY_CONCEAL_PT));
	vmwrite32(VMCS_EXIT_CONTROLS,
		  vmx_controls(vmx->exit,
			       (exit & taken[CONTROL_WORD_EXIT]) | save_timer | EXIT_HOST_64BIT |
				       EXIT_SAVE_EFER | EXIT_LOAD_EFER |
				       vcpu->nested->switched.exit_controls,
			       EXIT_CONCEAL_PT));
	vmcs->ept12_control = secondary_of(v) & CPU2_MBEC ? EPT12_MODE_BASED : 0;
	/* SDM "Saving Non-Register State": only the control asks for the timer's value. */
	vmcs->keep_timer = save_timer && !(exit & EXIT_SAVE_PREEMPTION_TIMER);
	msr_list_reset_exit(vmcs);
	vmcs->controls_merged = true;
}

/* SDM "Loading Guest Control Registers, Debug Registers, and MSRs". */
static void load_efer(struct nested_vmcs *vmcs, u64 l1_efer)
{
	const struct vmcs12 *v = vmcs->vmcs12;
	u64 efer = l1_efer & ~EFER_LMA;

	if (v->f[F_ENTRY_CONTROLS] & ENTRY_LOAD_EFER) {
		efer = v->f[F_GUEST_EFER];
	} else {
		if (vmreadn(VMCS_GUEST_CR0) & CR0_PG)
			efer &= ~EFER_LME;
		if (v->f[F_ENTRY_CONTROLS] & ENTRY_IA32E_GUEST)
			efer |= EFER_LMA | EFER_LME;
	}
	if (efer != vmcs->efer02) {
		vmwrite64(VMCS_GUEST_EFER, efer);
		vmcs->efer02 = efer;
	}
}

/*
 * SDM "Loading Page-Directory-Pointer-Table Entries": without EPT of L1's they come from memory,
 * but vmcs02, which always has EPT, would take its fields.
 */
static bool load_pdptes(const struct vcpu *vcpu, const struct vmcs12 *v)
{
	if ((secondary_of(v) & CPU2_EPT) || (v->f[F_ENTRY_CONTROLS] & ENTRY_IA32E_GUEST) ||
	    !(vmreadn(VMCS_GUEST_CR0) & CR0_PG) || !(vmreadn(VMCS_GUEST_CR4) & CR4_PAE))
		return true;
	return guest_load_pdptes(vcpu, vmreadn(VMCS_GUEST_CR3));
}

static void set_translation(struct vcpu *vcpu, struct nested_vmcs *vmcs)
{
	const struct vmcs12 *v = vmcs->vmcs12;
	const u16 vpid = vpid02_get(vcpu, secondary_of(v) & CPU2_VPID ? (u16)v->f[F_VPID] : 0);

	l2_memory_set_map(vcpu);
	if (vpid != vmcs->vpid02) {
		vmwrite16(VMCS_VPID, vpid);
		vmcs->vpid02 = vpid;
	}
}

/* Whether L1 has set a control that a field needs. */
static bool is_set(const struct vmcs12 *v, const struct control_info *control)
{
	switch ((enum control_word)control->word) {
	case CONTROL_WORD_PIN:
		return v->f[F_PIN_CONTROLS] & control->bit;
	case CONTROL_WORD_PRIMARY:
		return v->f[F_PRIMARY_CONTROLS] & control->bit;
	case CONTROL_WORD_SECONDARY:
		return secondary_of(v) & control->bit;
	case CONTROL_WORD_TERTIARY:
		return tertiary_of(v) & control->bit;
	case CONTROL_WORD_EXIT:
		return v->f[F_EXIT_CONTROLS] & control->bit;
	case CONTROL_WORD_ENTRY:
		return v->f[F_ENTRY_CONTROLS] & control->bit;
	case CONTROL_WORD_EXIT2:
	default:
		return v->f[F_SECONDARY_EXIT_CONTROLS] & control->bit;
	}
}

/* The hardware would use Umbra's memory there; for L1 there is none. */
static bool physical_addresses_allowed(const struct vmcs12 *v)
{
	for (u32 f = 0; f < F_COUNT; f++) {
		if (field_info[f].policy == POLICY_ADDRESS &&
		    is_set(v, &control_info[field_info[f].needs]) &&
		    ept01_is_hidden(ALIGN_DOWN(v->f[f], PAGE_SIZE), PAGE_SIZE))
			return false;
	}
	return true;
}

/* SDM "Checks on VMX Controls and Host-State Area" with their error numbers. */
static int check_entry(struct vcpu *vcpu, struct nested_vmcs *vmcs, bool l1_in_ia32e)
{
	const struct check_context context = {
		.caps = &nested_caps,
		.perf_global_ctrl = vcpu->vmx.perf_global_ctrl,
		.l1_in_ia32e = l1_in_ia32e,
		.shadowed = shadow_on,
	};
	const char *failed = check_controls(vmcs->vmcs12, &context);

	if (failed) {
		log_debug("CPU %u: VM entry fails: control check %s", vcpu->cpu.index, failed);
		return VMERR_ENTRY_INVALID_CONTROL;
	}
	failed = check_host_state(vmcs->vmcs12, &context);
	if (failed) {
		log_debug("CPU %u: VM entry fails: host-state check %s", vcpu->cpu.index, failed);
		return VMERR_ENTRY_INVALID_HOST_STATE;
	}
	if (!physical_addresses_allowed(vmcs->vmcs12))
		return VMERR_ENTRY_INVALID_CONTROL;
	vmcs->checked = true;
	vmcs->checked_ia32e = l1_in_ia32e;
	return VM_SUCCEED;
}

/* Back in L1, after its VMLAUNCH or VMRESUME, with this error. vmcs02 is current. */
static void refuse_entry(struct vcpu *vcpu, enum vm_instruction_error error)
{
	vcpu->nested->current->checked = false;
	nested_cancel_asked_exit(vcpu);
	nested_set_l2(vcpu, false);
	shadow_to_vmcs01(vcpu, vcpu->nested->current);
	perf_global_ctrl_undo(vcpu->nested->current);
	/* RIP still is on the instruction, whose length vmcs01 remembers. */
	nested_finish(vcpu, (int)error);
	event_deliver_latched(vcpu);
}

/* SDM "VM-Execution Control Fields": without virtual-interrupt delivery or APIC accesses. */
static bool tpr_threshold_valid(const struct vmcs12 *v)
{
	enum { VTPR = 0x80 };
	u8 vtpr;

	if (!(v->f[F_PRIMARY_CONTROLS] & CPU_TPR_SHADOW) ||
	    (secondary_of(v) & (CPU2_VIRTUAL_INTR_DELIVERY | CPU2_VIRTUAL_APIC_ACCESSES)))
		return true;
	guest_memory_read(v->f[F_VIRTUAL_APIC_ADDR] + VTPR, &vtpr, sizeof(vtpr));
	return (v->f[F_TPR_THRESHOLD] & 15) <= vtpr >> 4;
}

/*
 * A check of Umbra's on guest state has failed. Checks on controls come before it, but those on
 * shadowed fields were left to the hardware, which will not see this entry: made here.
 */
static void fail_guest_state(struct vcpu *vcpu, u32 reason, u64 qualification)
{
	struct nested_vmcs *vmcs = vcpu->nested->current;
	const struct check_context context = {
		.caps = &nested_caps,
		.l1_in_ia32e = vmcs->checked_ia32e,
	};

	FOR_EACH_FIELD(f, &shadow_fields)
	{
		if (field_info[f].type == VMCS_TYPE_CONTROL || f == F_GUEST_CR0)
			vmcs->vmcs12->f[f] = vmcs_read(field_info[f].encoding);
	}
	if (check_controls(vmcs->vmcs12, &context) || !tpr_threshold_valid(vmcs->vmcs12))
		refuse_entry(vcpu, VMERR_ENTRY_INVALID_CONTROL);
	else
		nested_entry_failed(vcpu, reason, qualification);
}

static void fail_check(struct vcpu *vcpu, const char *failed, u64 qualification)
{
	log_debug("CPU %u: VM entry fails: guest-state check %s", vcpu->cpu.index, failed);
	fail_guest_state(vcpu, REASON_ENTRY_FAIL_GUEST, qualification);
}

/* L2 reads and writes the VMCS that is linked in L1's page. Returns the first word there. */
static u32 write_back_linked(struct vcpu *vcpu, const struct nested_vmcs *vmcs, paddr_t link)
{
	struct nested_vmcs *linked = vmcs12_find(vcpu->nested, link);
	u32 header;

	if (linked && linked != vmcs)
		vmcs12_evict(vcpu, linked);
	guest_memory_read(link, &header, sizeof(header));
	return header;
}

int nested_enter(struct vcpu *vcpu, struct guest_regs *regs)
{
	struct nested_vmcs *vmcs = vcpu->nested->current;
	const struct vmcs12 *v = vmcs->vmcs12;
	const u64 l1_efer = vmread64(VMCS_GUEST_EFER);
	const u64 hidden_cr4 = vcpu->vmx.cr4_fixed1 & ~nested_caps.cr4_fixed1;
	u64 l1[SWITCHED_COUNT];
	const char *failed_check;
	u32 linked_header = 0;

	if (!(vmcs->checked && vmcs->checked_ia32e == !!(l1_efer & EFER_LMA))) {
		const int error = check_entry(vcpu, vmcs, l1_efer & EFER_LMA);

		if (error != VM_SUCCEED)
			return error;
	}
	if (!vmcs->controls_merged) {
		switched_plan(&vcpu->nested->switched, v, &vmcs->plan);
		vmcs->plan.rare_exit |= vcpu->speculation.barrier;
	}
	switched_read_l1(&vmcs->plan, l1);
	if (v->f[F_VMCS_LINK_POINTER] != NO_VMCS)
		linked_header = write_back_linked(vcpu, vmcs, v->f[F_VMCS_LINK_POINTER]);
	shadow_to_vmcs02(vcpu, vmcs);
	if (!vmcs->vmcs02_prepared)
		prepare_constant(vcpu, vmcs);
	if (!vmcs->controls_merged)
		merge_controls(vcpu, vmcs);
	copy_dirty(vmcs);
	load_efer(vmcs, l1_efer);
	switched_enter(vmcs, l1);
	if (vmcs->plan.rare_entry)
		perf_global_ctrl_enter(vmcs);
	if (vmcs->keep_timer)
		vmcs->timer = vmread32(VMCS_PREEMPTION_TIMER_VALUE);
	nested_set_l2(vcpu, true);
	failed_check = check_guest_state(v, hidden_cr4 ? vmreadn(VMCS_GUEST_CR4) : 0,
					 vcpu->vmx.perf_global_ctrl, &nested_caps);
	if (failed_check) {
		fail_check(vcpu, failed_check, 0);
		return VM_DONE;
	}
	if (v->f[F_VMCS_LINK_POINTER] != NO_VMCS) {
		failed_check = check_link_pointer(v, &nested_caps, vmcs->gpa, linked_header);
		if (failed_check) {
			fail_check(vcpu, failed_check, QUALIFICATION_LINK_POINTER);
			return VM_DONE;
		}
	}
	if ((v->f[F_PRIMARY_CONTROLS] & CPU_USE_MSR_BITMAPS) && vmcs->msr_bitmap.count)
		msr_bitmap02_merge(&vmcs->msr_bitmap, v->f[F_MSR_BITMAP]);
	set_translation(vcpu, vmcs);
	if (vcpu->nested->violation.eptp12) {
		ept02_prefault(vcpu, vcpu->nested->violation.eptp12, vcpu->nested->violation.gpa);
		vcpu->nested->violation.eptp12 = 0;
	}
	if (!load_pdptes(vcpu, v)) {
		fail_guest_state(vcpu, REASON_ENTRY_FAIL_GUEST, QUALIFICATION_PDPTE);
		return VM_DONE;
	}
	if ((vmcs->plan.rare_entry || vmcs->entry_msrs) && !msr_list_prepare_entry(vcpu, vmcs)) {
		fail_guest_state(vcpu, REASON_ENTRY_FAIL_MSR, MSR_LIST_MAX + 1);
		return VM_DONE;
	}
	if (vmcs->plan.rare_entry) {
		msr_list_prepare_exit(vcpu, vmcs);
		io_bitmap02_merge(vcpu, v);
	}
	/* What L1 had blocked may be due in L2. */
	if (vcpu->nmi_latched | vcpu->init_held)
		nested_event_waits(vcpu);
	/* A launched vmcs02 is resumed by the way every exit returns. */
	if (!vmcs->vmcs02_launched)
		switch_launch(regs);
	return VM_DONE;
}

void nested_entry_refused(struct vcpu *vcpu)
{
	const u32 error = vmread32(VMCS_VM_INSTRUCTION_ERROR);

	log_debug("CPU %u: the hardware refuses vmcs02 with error %u", vcpu->cpu.index, error);
	refuse_entry(vcpu, (enum vm_instruction_error)error);
}
