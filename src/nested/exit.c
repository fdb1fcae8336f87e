/* SPDX-License-Identifier: BSD-2-Clause */
/* Exits of L2: one table says who handles each. */
#include <x86/cr.h>
#include <x86/ept.h>
#include <x86/msr.h>

#include "lib/insn.h"
#include "mm/ept01.h"
#include "mm/guest_memory.h"
#include "nested/checks.h"
#include "nested/loan.h"
#include "nested/state.h"
#include "smp/stop.h"
#include "vmx/event.h"
#include "vmx/exit.h"
#include "vmx/instruction.h"
#include "vmx/msr.h"
#include "vmx/vmcs.h"

/* Does what Umbra has to do about an exit; false: it is L1's. */
typedef bool l2_exit_handler(struct vcpu *vcpu, struct guest_regs *regs);

static const struct vmcs12 *current12(const struct vcpu *vcpu)
{
	return vcpu->nested->current->vmcs12;
}

/* L1 sees no exit that its bitmap did not ask for. */
static enum msr_exit_owner msr_exit_owner(struct vcpu *vcpu, u32 msr, bool write)
{
	const struct vmcs12 *v = current12(vcpu);

	if (!(v->f[F_PRIMARY_CONTROLS] & CPU_USE_MSR_BITMAPS))
		return MSR_EXIT_L1;
	return msr_bitmap02_exit(&vcpu->nested->current->msr_bitmap, v->f[F_MSR_BITMAP], msr,
				 write);
}

/*
 * SDM "Monitor Trap Flag": the exit is due on the boundary after the instruction, which the next
 * entry is past already. An injected fault has its boundary by the entry.
 */
static void after_instruction(struct vcpu *vcpu)
{
	if (vcpu->level && (current12(vcpu)->f[F_PRIMARY_CONTROLS] & CPU_MONITOR_TRAP_FLAG) &&
	    !(vmread32(VMCS_VM_ENTRY_INTR_INFO) & INTR_INFO_VALID))
		nested_reflect_event(vcpu, REASON_MONITOR_TRAP_FLAG, 0, 0);
}

static bool l2_rdmsr(struct vcpu *vcpu, struct guest_regs *regs)
{
	const enum msr_exit_owner owner = msr_exit_owner(vcpu, (u32)regs->rcx, false);

	if (owner == MSR_EXIT_UMBRA) {
		rdmsr_exit(vcpu, regs);
		after_instruction(vcpu);
	}
	return owner != MSR_EXIT_L1;
}

static bool l2_wrmsr(struct vcpu *vcpu, struct guest_regs *regs)
{
	const enum msr_exit_owner owner = msr_exit_owner(vcpu, (u32)regs->rcx, true);

	if (owner == MSR_EXIT_UMBRA) {
		wrmsr_exit(vcpu, regs);
		after_instruction(vcpu);
	}
	return owner != MSR_EXIT_L1;
}

/* The forms with an immediate: SDM "Exit Qualification", the MSR's number. */
static bool l2_msr_imm(struct vcpu *vcpu, struct guest_regs *regs)
{
	const bool write = (vcpu->exit_reason & EXIT_REASON_BASIC) == REASON_WRMSRNS_IMM;
	const enum msr_exit_owner owner =
		msr_exit_owner(vcpu, (u32)vmreadn(VMCS_EXIT_QUALIFICATION), write);

	if (owner == MSR_EXIT_UMBRA) {
		(write ? wrmsrns_imm_exit : rdmsr_imm_exit)(vcpu, regs);
		after_instruction(vcpu);
	}
	return owner != MSR_EXIT_L1;
}

bool nested_l2_uses_ept(const struct vmcs12 *v)
{
	return (v->f[F_PRIMARY_CONTROLS] & CPU_SECONDARY_CONTROLS) &&
	       (v->f[F_SECONDARY_CONTROLS] & CPU2_EPT);
}

static void reflect_ept_exit(struct vcpu *vcpu, u32 reason, u64 qualification,
			     const struct ept02_fault *fault)
{
	struct nested_vmcs *vmcs = vcpu->nested->current;

	nested_record_exit(vcpu);
	nested_set_exit_field(vmcs, F_EXIT_REASON, reason);
	nested_set_exit_field(vmcs, F_EXIT_QUALIFICATION, qualification);
	if (fault->by_umbra) {
		nested_set_exit_field(vmcs, F_GUEST_PHYSICAL_ADDRESS, fault->gpa);
		nested_set_exit_field(vmcs, F_GUEST_LINEAR_ADDRESS, fault->linear);
	}
	nested_leave(vcpu);
}

/* SDM "Page-Modification Logging". The index is in vmcs02, a guest-state field. */
static bool logs_modifications(const struct vmcs12 *v)
{
	return v->f[F_SECONDARY_CONTROLS] & CPU2_PML;
}

static bool log_is_full(void)
{
	return vmread16(VMCS_PML_INDEX) >= PAGE_SIZE / sizeof(u64);
}

static void log_modification(const struct vmcs12 *v, paddr_t gpa)
{
	const u16 index = vmread16(VMCS_PML_INDEX);
	const u64 entry = ALIGN_DOWN(gpa, PAGE_SIZE);

	guest_memory_write(v->f[F_PML_ADDRESS] + index * sizeof(u64), &entry, sizeof(entry));
	vmwrite16(VMCS_PML_INDEX, (u16)(index - 1));
}

enum ept02_result nested_ept_fault(struct vcpu *vcpu, struct ept02_fault *fault)
{
	const struct vmcs12 *v = current12(vcpu);
	enum ept02_result result;

	fault->eptp12 = v->f[F_EPT_POINTER];
	fault->log_full = logs_modifications(v) && log_is_full();
	result = ept02_fault(vcpu, fault);
	if (fault->dirtied && logs_modifications(v))
		log_modification(v, fault->gpa);
	return result;
}

/* SDM "Convertible EPT Violations" and "Virtualization-Exception Information". */
static bool take_virtualization_exception(const struct vmcs12 *v, const struct ept02_fault *fault,
					  u64 qualification)
{
	const struct {
		u32 reason;
		u32 busy;
		u64 qualification, linear, gpa;
		u16 eptp_index;
	} __attribute__((packed)) info = {
		.reason = REASON_EPT_VIOLATION,
		.busy = ~0u,
		.qualification = qualification,
		.linear = fault->by_umbra ? fault->linear : vmreadn(VMCS_GUEST_LINEAR_ADDRESS),
		.gpa = fault->gpa,
		.eptp_index = (u16)v->f[F_EPTP_INDEX],
	};
	u32 busy;

	if (!(v->f[F_SECONDARY_CONTROLS] & CPU2_EPT_VIOLATION_VE) ||
	    (fault->entry & EPT_SUPPRESS_VE) || !(vmreadn(VMCS_GUEST_CR0) & CR0_PE) ||
	    (vmread32(VMCS_IDT_VECTORING_INFO) & INTR_INFO_VALID))
		return false;
	guest_memory_read(v->f[F_VE_INFO_ADDR] + sizeof(info.reason), &busy, sizeof(busy));
	if (busy)
		return false;
	guest_memory_write(v->f[F_VE_INFO_ADDR], &info, sizeof(info));
	event_inject_exception(VECTOR_VE);
	return true;
}

/* L1's view of a violation: what L2 wanted is the hardware's word, what was allowed is ept12's. */
static void violation_for_l1(struct vcpu *vcpu, const struct ept02_fault *fault, u64 qualification)
{
	const u64 by_ept12 = EPT_VIOLATION_WAS_READABLE | EPT_VIOLATION_WAS_WRITABLE |
			     EPT_VIOLATION_WAS_EXECUTABLE | EPT_VIOLATION_WAS_USER_EXECUTABLE;

	qualification = (qualification & ~by_ept12) | (fault->rights & EPT_RWX) << 3;
	if (take_virtualization_exception(current12(vcpu), fault, qualification))
		return;
	vcpu->nested->violation.pending = true;
	vcpu->nested->violation.gpa = fault->gpa;
	vcpu->nested->violation.eptp12 = fault->eptp12;
	reflect_ept_exit(vcpu, REASON_EPT_VIOLATION, qualification, fault);
}

static void set_eptp02(struct vcpu *vcpu, u64 eptp02)
{
	vcpu->nested->current->eptp02 = eptp02;
	vmwrite64(VMCS_EPT_POINTER, eptp02);
}

void nested_ept_fault_done(struct vcpu *vcpu, const struct ept02_fault *fault,
			   enum ept02_result result, u64 qualification)
{
	/* SDM "Saving RIP, RSP, and RFLAGS": such an exit saves RF as 1, which the CPU saw to. */
	if (fault->by_umbra)
		vmwriten(VMCS_GUEST_RFLAGS, vmreadn(VMCS_GUEST_RFLAGS) | RFLAGS_RF);
	switch (result) {
	case EPT02_NO_MEMORY:
		vcpu->nested->undo = true;
		set_eptp02(vcpu, ept02_start_over(vcpu, fault->eptp12));
		event_redeliver(qualification & EPT_VIOLATION_NMI_UNBLOCK);
		break;
	case EPT02_VIOLATION:
		violation_for_l1(vcpu, fault, qualification);
		break;
	case EPT02_MISCONFIG:
		reflect_ept_exit(vcpu, REASON_EPT_MISCONFIG, 0, fault);
		break;
	case EPT02_LOG_FULL:
		/* SDM "Exit Qualification for Page-Modification Log-Full Events". */
		reflect_ept_exit(vcpu, REASON_PML_FULL, qualification & EPT_VIOLATION_NMI_UNBLOCK,
				 fault);
		break;
	case EPT02_HIDDEN_WRITE:
		/* What L1 gets there. */
		ept_refuse_hidden_write(vcpu, fault->gpa, qualification);
		break;
	case EPT02_MAPPED:
	case EPT02_AGAIN:
	default:
		event_redeliver(qualification & EPT_VIOLATION_NMI_UNBLOCK);
		break;
	}
}

/* Without EPT of its own L2 runs on ept01, so this is an exit of ept01's. */
static bool l2_ept_violation(struct vcpu *vcpu, struct guest_regs *regs)
{
	const u64 qualification = ept_qualification();
	struct ept02_fault fault = {
		.gpa = vmread64(VMCS_GUEST_PHYSICAL_ADDRESS),
		.access = qualification,
	};

	(void)regs;
	if (!nested_l2_uses_ept(current12(vcpu))) {
		ept_violation(vcpu, qualification);
		return true;
	}
	nested_ept_fault_done(vcpu, &fault, nested_ept_fault(vcpu, &fault), qualification);
	return true;
}

/*
 * ept02 has no malformed entries of Umbra's making: what the CPU dislikes there it would dislike in
 * ept12, so L1 is told. Without EPT for L2 it is ept01's.
 */
static bool l2_ept_misconfiguration(struct vcpu *vcpu, struct guest_regs *regs)
{
	if (nested_l2_uses_ept(current12(vcpu)))
		return false;
	ept_misconfig_exit(vcpu, regs);
	return true;
}

/* SDM "EPTP Switching". vmcs02 enables VM functions and none of them, so that all exit. */
static bool l2_vmfunc(struct vcpu *vcpu, struct guest_regs *regs)
{
	enum { EPTP_SWITCHING = 0, EPTP_LIST_LENGTH = 512 };
	struct nested_vmcs *vmcs = vcpu->nested->current;
	struct vmcs12 *v = vmcs->vmcs12;
	const u32 index = (u32)regs->rcx;
	u64 eptp;

	if ((u32)regs->rax != EPTP_SWITCHING ||
	    !(v->f[F_VM_FUNCTION_CONTROLS] & BIT(EPTP_SWITCHING)) || index >= EPTP_LIST_LENGTH)
		return false;
	guest_memory_read(v->f[F_EPTP_LIST_ADDR] + index * sizeof(eptp), &eptp, sizeof(eptp));
	if (!check_eptp(eptp, &nested_caps))
		return false;
	v->f[F_EPT_POINTER] = eptp;
	if (v->f[F_SECONDARY_CONTROLS] & CPU2_EPT_VIOLATION_VE)
		v->f[F_EPTP_INDEX] = index;
	set_eptp02(vcpu, ept02_eptp(vcpu, eptp));
	instruction_done();
	after_instruction(vcpu);
	return true;
}

static bool after_access(struct vcpu *vcpu, enum l2_access access)
{
	if (access == L2_ACCESS_DONE)
		after_instruction(vcpu);
	return access != L2_ACCESS_IS_L1S;
}

static bool l2_vmread(struct vcpu *vcpu, struct guest_regs *regs)
{
	return after_access(vcpu, vmread_of_l2(vcpu, regs));
}

static bool l2_vmwrite(struct vcpu *vcpu, struct guest_regs *regs)
{
	return after_access(vcpu, vmwrite_of_l2(vcpu, regs));
}

/*
 * A port that only Umbra watches. What L2 writes there by OUTS, or reads by INS, is lost, as where
 * no device is.
 */
static bool l2_io(struct vcpu *vcpu, struct guest_regs *regs)
{
	const u64 qualification = vmreadn(VMCS_EXIT_QUALIFICATION);

	if (io_bitmap02_exit_is_l1s(current12(vcpu), (u16)(qualification >> IO_PORT_SHIFT),
				    (u32)(qualification & IO_SIZE) + 1))
		return false;
	if (qualification & IO_STRING)
		instruction_done();
	else
		io_exit(vcpu, regs);
	after_instruction(vcpu);
	return true;
}

static bool l2_exception_nmi(struct vcpu *vcpu, struct guest_regs *regs)
{
	(void)vcpu;
	(void)regs;
	if ((vmread32(VMCS_VM_EXIT_INTR_INFO) & INTR_INFO_TYPE) == INTR_TYPE_NMI) {
		unblock_nmis();
		/* Another CPU's, so that this one stops: in the last look before the entry. */
		if (stop_is_due())
			return true;
		/* Another one while one waits for L2: the CPU keeps no more of them either. */
		if (vcpu->nested->asked_exit == ASKED_NMI_WINDOW)
			return true;
		vcpu->nmi_latched = false;
	}
	return false;
}

static bool l2_nmi_window(struct vcpu *vcpu, struct guest_regs *regs)
{
	(void)regs;
	return nested_take_asked_exit(vcpu, ASKED_NMI_WINDOW);
}

static bool l2_preemption_timer(struct vcpu *vcpu, struct guest_regs *regs)
{
	(void)regs;
	if (vcpu->nested->asked_exit == ASKED_LOAN_END) {
		nested_cancel_asked_exit(vcpu);
		/* One that waits has got on without it. */
		if (vcpu->nested->ept02.loan == LOAN_WAITS || loan_is_wanted()) {
			ept02_end_loan(vcpu);
			set_eptp02(vcpu, ept02_eptp(vcpu, current12(vcpu)->f[F_EPT_POINTER]));
		}
		return true;
	}
	return nested_take_asked_exit(vcpu, ASKED_IMMEDIATE);
}

/* Everything without an entry here is L1's: vmcs02's controls are L1's. */
static l2_exit_handler *const handlers[REASON_COUNT] = {
	[REASON_EXCEPTION_NMI] = l2_exception_nmi,
	[REASON_NMI_WINDOW] = l2_nmi_window,
	[REASON_IO_INSTRUCTION] = l2_io,
	[REASON_RDMSR] = l2_rdmsr,
	[REASON_WRMSR] = l2_wrmsr,
	[REASON_EPT_VIOLATION] = l2_ept_violation,
	[REASON_EPT_MISCONFIG] = l2_ept_misconfiguration,
	[REASON_VMREAD] = l2_vmread,
	[REASON_VMWRITE] = l2_vmwrite,
	[REASON_PREEMPTION_TIMER] = l2_preemption_timer,
	[REASON_VMFUNC] = l2_vmfunc,
	[REASON_RDMSR_IMM] = l2_msr_imm,
	[REASON_WRMSRNS_IMM] = l2_msr_imm,
};

void nested_exit_handle(struct guest_regs *regs)
{
	struct vcpu *vcpu = this_vcpu();
	const u32 reason = vmread32(VMCS_EXIT_REASON);

	vcpu->regs = regs;
	vcpu->exit_reason = reason;
	if (reason & EXIT_REASON_ENTRY_FAIL) {
		nested_entry_failed(vcpu, reason & EXIT_REASON_BASIC,
				    vmreadn(VMCS_EXIT_QUALIFICATION));
		return;
	}
	/* Flags beside the reason, as of an exit from an enclave, are L1's to see. */
	const u32 basic = reason & EXIT_REASON_BASIC;

	vcpu->nested->current->vmcs02_launched = true;
	msr_list_entered(vcpu->nested->current);
	if (basic < REASON_COUNT) {
		if (UMBRA_STATISTICS)
			vcpu->l2_exits[basic]++;
		if (handlers[basic] && handlers[basic](vcpu, regs)) {
			/* Still L2, perhaps, and what waits for it may be due in another way. */
			if ((vcpu->nmi_latched || vcpu->init_held || vcpu->mc_latched) &&
			    vcpu->level)
				nested_event_waits(vcpu);
			if (vcpu->nested->ept02.loan != LOAN_NONE && vcpu->level)
				nested_limit_loan(vcpu);
			return;
		}
	}
	/* L1 has no control that asks for it, and no feature whose instructions exit so. */
	if (!exit_reason_is_known(basic)) {
		exit_unexpected(vcpu);
		return;
	}
	nested_reflect(vcpu);
}
