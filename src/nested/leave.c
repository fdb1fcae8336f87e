/* SPDX-License-Identifier: BSD-2-Clause */
/* VM exit from L2 to L1. SDM "VM Exits", in its order: record, save, load host state. */
#include <x86/cr.h>
#include <x86/msr.h>

#include "lib/insn.h"
#include "lib/log.h"
#include "mm/guest_memory.h"
#include "nested/l2_event.h"
#include "nested/leave.h"
#include "nested/msr_list.h"
#include "nested/shadow.h"
#include "nested/state.h"
#include "nested/switched.h"
#include "smp/stop.h"
#include "vmx/control_regs.h"
#include "vmx/event.h"
#include "vmx/vmcs.h"

/*
 * Without shadowing; where that is on, L1 reads all of it in vmcs02. What L1 mostly looks at after
 * an exit is copied, the rest stays there until asked for.
 */
__attribute__((noinline)) static void save_unshadowed(struct nested_vmcs *vmcs)
{
	field_set_unite(&vmcs->stale, &nested_caps.guest_state);
#define COPY(name)                                          \
	vmcs->vmcs12->f[F_##name] = vmcs_read(VMCS_##name); \
	field_set_remove(&vmcs->stale, F_##name)
	COPY(GUEST_RIP);
	COPY(GUEST_RSP);
	COPY(GUEST_RFLAGS);
	COPY(GUEST_CR0);
	COPY(GUEST_CR3);
	COPY(GUEST_CR4);
	COPY(GUEST_INTERRUPTIBILITY);
	COPY(GUEST_CS_ACCESS_RIGHTS);
	COPY(GUEST_SS_ACCESS_RIGHTS);
#undef COPY
}

/* SDM "Saving Guest State". vmcs02 is current. */
static void save_guest_state(struct nested_vmcs *vmcs, u64 efer)
{
	struct vmcs12 *v = vmcs->vmcs12;
	const u64 entry = v->f[F_ENTRY_CONTROLS];
	const u64 exit = v->f[F_EXIT_CONTROLS];
	/* SDM: with unrestricted guest the control follows EFER.LMA. */
	const u64 new_entry =
		efer & EFER_LMA ? entry | ENTRY_IA32E_GUEST : entry & ~ENTRY_IA32E_GUEST;

	if (!shadow_on)
		save_unshadowed(vmcs);
	if (exit & EXIT_SAVE_EFER)
		v->f[F_GUEST_EFER] = efer;
	switched_save(vmcs);
	if (new_entry != entry) {
		v->f[F_ENTRY_CONTROLS] = new_entry;
		vmcs->checked = false;
		vmcs->controls_merged = false;
	}
}

void nested_record_unshadowed_exit(struct vcpu *vcpu)
{
	struct vmcs12 *v = vcpu->nested->current->vmcs12;

	_Pragma("clang loop unroll(full)") for (u32 f = F_EXIT_REASON; f <= F_IO_RIP; f++)
	{
		if (field_info[f].needs == NEEDS_NOTHING || nested_caps.has_field[f])
			v->f[f] = vmcs_read(field_info[f].encoding);
	}
	v->f[F_VM_ENTRY_INTR_INFO] &= ~INTR_INFO_VALID;
}

void nested_set_exit_field(struct nested_vmcs *vmcs, enum vmcs12_field field, u64 value)
{
	if (shadow_on)
		vmcs_write(field_info[field].encoding, value);
	else
		vmcs->vmcs12->f[field] = value;
}

/* The rest is undefined, and what is there can stay. */
static inline void load_unusable(enum segment seg)
{
	vmcs_write(vmcs_segment_field(VMCS_GUEST_ES_SELECTOR, seg), 0);
	vmcs_write(vmcs_segment_field(VMCS_GUEST_ES_ACCESS_RIGHTS, seg), AR_UNUSABLE);
}

/* The bases of FS and GS are loaded in any case. */
static inline void load_data(enum segment seg, u64 selector)
{
	if (!selector) {
		load_unusable(seg);
		return;
	}
	vmcs_write(vmcs_segment_field(VMCS_GUEST_ES_SELECTOR, seg), selector);
	vmcs_write(vmcs_segment_field(VMCS_GUEST_ES_LIMIT, seg), ~0u);
	vmcs_write(vmcs_segment_field(VMCS_GUEST_ES_ACCESS_RIGHTS, seg), AR_DATA32);
	if (seg != SEG_FS && seg != SEG_GS)
		vmcs_write(vmcs_segment_field(VMCS_GUEST_ES_BASE, seg), 0);
}

/*
 * SDM "VMX Aborts": the indicator goes to L1's VMCS region, and nothing but a reset wakes the CPU.
 * In root mode that is so for INIT and NMIs too; the shutdown state, which not every CPU can enter,
 * would let them through.
 */
_Noreturn static void nested_abort(struct vcpu *vcpu, u32 indicator, const char *why)
{
	struct nested_vmcs *vmcs = vcpu->nested->current;

	ept02_end_loan(vcpu);
	log_warn("CPU %u: VMX abort %u: %s", vcpu->cpu.index, indicator, why);
	guest_memory_write(vmcs->gpa + offsetof(struct vmcs12, abort), &indicator,
			   sizeof(indicator));
	stop_here();
}

/* SDM "Loading Host Segment and Descriptor-Table Registers". */
enum { TSS_LIMIT = 0x67 };

static void load_segments(const struct vmcs12 *v, bool host_64bit)
{
	const struct segment_descriptor code = {
		.limit = ~0u, .access_rights = host_64bit ? AR_CODE64 : AR_CODE32};
	const struct segment_descriptor tss = {v->f[F_HOST_TR_BASE], TSS_LIMIT, AR_TSS_BUSY};

	vmcs_write_segment(SEG_CS, (u16)v->f[F_HOST_CS_SELECTOR], code);
	load_data(SEG_ES, v->f[F_HOST_ES_SELECTOR]);
	load_data(SEG_SS, v->f[F_HOST_SS_SELECTOR]);
	load_data(SEG_DS, v->f[F_HOST_DS_SELECTOR]);
	load_data(SEG_FS, v->f[F_HOST_FS_SELECTOR]);
	load_data(SEG_GS, v->f[F_HOST_GS_SELECTOR]);
	vmwriten(VMCS_GUEST_FS_BASE, v->f[F_HOST_FS_BASE]);
	vmwriten(VMCS_GUEST_GS_BASE, v->f[F_HOST_GS_BASE]);
	vmcs_write_segment(SEG_TR, (u16)v->f[F_HOST_TR_SELECTOR], tss);
	load_unusable(SEG_LDTR);
	vmwriten(VMCS_GUEST_GDTR_BASE, v->f[F_HOST_GDTR_BASE]);
	vmwriten(VMCS_GUEST_IDTR_BASE, v->f[F_HOST_IDTR_BASE]);
	vmwrite32(VMCS_GUEST_GDTR_LIMIT, 0xffff);
	vmwrite32(VMCS_GUEST_IDTR_LIMIT, 0xffff);
}

/*
 * SDM "Loading Host State". vmcs01 is current, as L1's VMLAUNCH or VMRESUME left it: active,
 * without pending debug exceptions, and in the mode that its exit controls agree with, or the entry
 * would have failed.
 */
static void load_host_state(struct vcpu *vcpu, const struct vmcs12 *v, u64 old_efer)
{
	const u64 exit = v->f[F_EXIT_CONTROLS];
	const bool host_64bit = exit & EXIT_HOST_64BIT;
	/* Bits no exit changes: ET, CD, NW and the reserved ones. */
	const u64 kept = CR0_CD | CR0_NW;
	const u64 cr0 = (v->f[F_HOST_CR0] & ~kept) | (read_cr0() & kept) | CR0_ET;
	u64 efer = (old_efer & ~(EFER_LMA | EFER_LME)) | (host_64bit ? EFER_LMA | EFER_LME : 0);
	u64 cr4 = v->f[F_HOST_CR4];

	if (exit & EXIT_LOAD_EFER)
		efer = v->f[F_HOST_EFER];
	if (host_64bit)
		cr4 |= CR4_PAE;
	else
		cr4 &= ~CR4_PCIDE;
	guest_set_cr0(vcpu, cr0);
	vmwriten(VMCS_GUEST_CR3, v->f[F_HOST_CR3]);
	guest_set_cr4(vcpu, cr4);
	vmwrite64(VMCS_GUEST_EFER, efer);
	vmwrite32(VMCS_GUEST_SYSENTER_CS, (u32)v->f[F_HOST_SYSENTER_CS]);
	vmwriten(VMCS_GUEST_SYSENTER_ESP, v->f[F_HOST_SYSENTER_ESP]);
	vmwriten(VMCS_GUEST_SYSENTER_EIP, v->f[F_HOST_SYSENTER_EIP]);
	load_segments(v, host_64bit);
	vmwriten(VMCS_GUEST_RSP, v->f[F_HOST_RSP]);
	vmwriten(VMCS_GUEST_RIP, v->f[F_HOST_RIP]);
	vmwriten(VMCS_GUEST_RFLAGS, RFLAGS_FIXED);
	if (!host_64bit && (cr4 & CR4_PAE) && !guest_load_pdptes(vcpu, v->f[F_HOST_CR3]))
		nested_abort(vcpu, 2, "malformed PDPTEs in L1's host state");
}

/*
 * An entry of vmcs01 has failed on guest state. Where L1 has not run since L2's exit, that is the
 * host state that L1 gave its VMCS, accepted by the checks of L1's entry and not by this CPU.
 */
void nested_l1_entry_failed(struct vcpu *vcpu)
{
	const struct nested_vmcs *vmcs = vcpu->nested->current;

	if (vmcs && vmreadn(VMCS_GUEST_RIP) == vmcs->vmcs12->f[F_HOST_RIP] &&
	    vmreadn(VMCS_GUEST_RSP) == vmcs->vmcs12->f[F_HOST_RSP])
		nested_abort(vcpu, 3, "the CPU refuses L1's host state");
}

enum way_out {
	WAY_EXIT,
	WAY_NMI_EXIT,
	WAY_ENTRY_FAILED, /* before L2's registers were loaded */
	WAY_MSRS_FAILED,  /* after that */
};

/* From vmcs02 to L1: what every way out of L2 has in common after the saving. */
static void leave_l2(struct vcpu *vcpu, enum way_out way, u64 efer)
{
	struct nested_vmcs *vmcs = vcpu->nested->current;
	u64 kept[SWITCHED_COUNT];
	u32 interruptibility;
	bool nmis_blocked = way == WAY_NMI_EXIT ||
			    (!(vmcs->vmcs12->f[F_PIN_CONTROLS] & PIN_VIRTUAL_NMIS) &&
			     (vmread32(VMCS_GUEST_INTERRUPTIBILITY) & INTERRUPTIBILITY_NMI));

	switched_read_kept(&vmcs->plan, kept);
	if (vcpu->nested->undo)
		nested_undo(vcpu);
	if (vmcs->keep_timer)
		vmwrite32(VMCS_PREEMPTION_TIMER_VALUE, vmcs->timer);
	nested_set_l2(vcpu, false);
	shadow_to_vmcs01(vcpu, vmcs);
	/* SDM "VM-Entry Failures During or After Loading Guest State": as before the entry. */
	if (way >= WAY_ENTRY_FAILED)
		nmis_blocked = vcpu->nested->l1_interruptibility & INTERRUPTIBILITY_NMI;
	if (way == WAY_ENTRY_FAILED) {
		efer = vmread64(VMCS_GUEST_EFER);
		switched_read_kept(&vmcs->plan, kept);
		perf_global_ctrl_undo(vmcs);
	}
	load_host_state(vcpu, vmcs->vmcs12, efer);
	switched_leave(vmcs, kept);
	if (vmcs->plan.rare_exit) {
		/*
		 * "Indirect Branch Predictor Barrier": L1 expects its predictions to be out of L2's
		 * reach after an exit, as enhanced IBRS has it for root operation, but to the CPU
		 * L1 and L2 both are in non-root operation.
		 */
		if (vcpu->speculation.barrier)
			wrmsr_safe(MSR_IA32_PRED_CMD, PRED_CMD_IBPB);
		perf_global_ctrl_leave(vmcs->vmcs12);
	}
	/* SDM "Operations that Invalidate Cached Mappings": as L1 without VPIDs may count on. */
	if (!(secondary_of(vmcs->vmcs12) & CPU2_VPID))
		invvpid(INVVPID_SINGLE_CONTEXT, vmread16(VMCS_VPID), 0);
	/*
	 * Without virtual NMIs for L2 they were blocked in the CPU, and still are. Blocking is L1's
	 * virtual one from now on; the next NMI must reach Umbra.
	 */
	if (way == WAY_EXIT && nmis_blocked)
		unblock_nmis();
	interruptibility = nmis_blocked ? (u32)INTERRUPTIBILITY_NMI : 0;
	if (interruptibility != vcpu->nested->l1_interruptibility)
		vmwrite32(VMCS_GUEST_INTERRUPTIBILITY, interruptibility);
	if (vmcs->plan.rare_exit && !msr_list_load(vcpu, vmcs->vmcs12->f[F_VM_EXIT_MSR_LOAD_ADDR],
						   vmcs->vmcs12->f[F_VM_EXIT_MSR_LOAD_COUNT]))
		nested_abort(vcpu, 4, "an MSR of the exit's load list");
	event_deliver_latched(vcpu);
}

/* What few exits save, apart from the usual way. */
__attribute__((noinline)) static void save_rare(struct vcpu *vcpu, struct nested_vmcs *vmcs)
{
	perf_global_ctrl_save(vmcs->vmcs12);
	if (!msr_list_store(vcpu, vmcs))
		nested_abort(vcpu, 1, "an MSR of the exit's store list");
}

static void save_and_leave(struct vcpu *vcpu, enum way_out way)
{
	struct nested_vmcs *vmcs = vcpu->nested->current;
	const u64 efer = vmread64(VMCS_GUEST_EFER);

	vmcs->vmcs12->launched = true;
	vmcs->efer02 = efer;
	save_guest_state(vmcs, efer);
	if (vmcs->plan.rare_exit)
		save_rare(vcpu, vmcs);
	leave_l2(vcpu, way, efer);
}

void nested_leave(struct vcpu *vcpu)
{
	save_and_leave(vcpu, WAY_EXIT);
}

void nested_reflect(struct vcpu *vcpu)
{
	const bool nmi = (vcpu->exit_reason & EXIT_REASON_BASIC) == REASON_EXCEPTION_NMI &&
			 (vmread32(VMCS_VM_EXIT_INTR_INFO) & INTR_INFO_TYPE) == INTR_TYPE_NMI;

	nested_record_exit(vcpu);
	save_and_leave(vcpu, nmi ? WAY_NMI_EXIT : WAY_EXIT);
}

void nested_reflect_event(struct vcpu *vcpu, u32 reason, u64 qualification, u32 intr_info)
{
	struct nested_vmcs *vmcs = vcpu->nested->current;
	/* An event that was about to be injected was being delivered, as L1 sees it. */
	const u32 vectoring = vmread32(VMCS_VM_ENTRY_INTR_INFO);

	for (u32 f = F_EXIT_REASON; f <= F_IO_RIP; f++) {
		if (nested_caps.has_field[f])
			nested_set_exit_field(vmcs, (enum vmcs12_field)f, 0);
	}
	/* A bus lock that the CPU noted with an exit which L1 does not get. */
	if (reason != REASON_BUS_LOCK)
		reason |= vcpu->exit_reason & EXIT_REASON_BUS_LOCK;
	nested_set_exit_field(vmcs, F_EXIT_REASON, reason);
	nested_set_exit_field(vmcs, F_EXIT_QUALIFICATION, qualification);
	nested_set_exit_field(vmcs, F_VM_EXIT_INTR_INFO, intr_info);
	if (vectoring & INTR_INFO_VALID) {
		nested_set_exit_field(vmcs, F_IDT_VECTORING_INFO, vectoring);
		nested_set_exit_field(vmcs, F_IDT_VECTORING_ERROR_CODE,
				      vmread32(VMCS_VM_ENTRY_EXCEPTION_ERROR_CODE));
		nested_set_exit_field(vmcs, F_VM_EXIT_INSTRUCTION_LENGTH,
				      vmread32(VMCS_VM_ENTRY_INSTRUCTION_LENGTH));
		vmwrite32(VMCS_VM_ENTRY_INTR_INFO, 0);
	}
	vmcs->vmcs12->f[F_VM_ENTRY_INTR_INFO] &= ~INTR_INFO_VALID;
	save_and_leave(vcpu,
		       (intr_info & INTR_INFO_TYPE) == INTR_TYPE_NMI ? WAY_NMI_EXIT : WAY_EXIT);
}

void nested_entry_failed(struct vcpu *vcpu, u32 reason, u64 qualification)
{
	struct nested_vmcs *vmcs = vcpu->nested->current;

	nested_set_exit_field(vmcs, F_EXIT_REASON, reason | EXIT_REASON_ENTRY_FAIL);
	nested_set_exit_field(vmcs, F_EXIT_QUALIFICATION, qualification);
	vmcs->checked = false;
	/* Guest state is not saved: L1 finds vmcs12 as it wrote it. */
	leave_l2(vcpu, reason == REASON_ENTRY_FAIL_MSR ? WAY_MSRS_FAILED : WAY_ENTRY_FAILED,
		 vmread64(VMCS_GUEST_EFER));
}
