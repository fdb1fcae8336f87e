/* SPDX-License-Identifier: BSD-2-Clause */
/* Exits of L2: one table says who handles each. */

#include "nested/l2_exit.h"
#include "lib/insn.h"
#include "nested/instructions.h"
#include "nested/io_bitmap.h"
#include "nested/l2_event.h"
#include "nested/l2_memory.h"
#include "nested/leave.h"
#include "nested/loan.h"
#include "nested/msr_bitmap.h"
#include "nested/msr_list.h"
#include "nested/operand_access.h"
#include "nested/state.h"
#include "smp/stop.h"
#include "vmx/exit.h"
#include "vmx/instruction.h"
#include "vmx/rdmsrlist.h"
#include "vmx/vmcs.h"

/* Does what Umbra has to do about an exit; false: it is L1's. */
typedef bool l2_exit_handler(struct vcpu *vcpu, struct guest_regs *regs);

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
 * SDM "Monitor Trap Flag": due after this instruction; the hardware would exit after the next. If a
 * fault is injected, the entry has its MTF exit right after that.
 */
void l2_instruction_executed(struct vcpu *vcpu)
{
	if (vcpu->level && (current12(vcpu)->f[F_PRIMARY_CONTROLS] & CPU_MONITOR_TRAP_FLAG) &&
	    !(vmread32(VMCS_VM_ENTRY_INTR_INFO) & INTR_INFO_VALID))
		nested_reflect_event(vcpu, REASON_MONITOR_TRAP_FLAG, 0, 0);
}

/* What RDMSRLIST reads goes to L2's memory. */
static bool store_for_l2(u64 linear, u64 value)
{
	const struct operand operand = {.segment = SEG_DS, .offset = linear, .in_64bit_mode = true};

	return operand_write_at(&operand, &value, sizeof(value));
}

/* A list of MSRs has got to one that exits: SDM "Exit Qualification", the MSR's number. */
static bool l2_msr_list(struct vcpu *vcpu, struct guest_regs *regs)
{
	const bool write = (vcpu->exit_reason & EXIT_REASON_BASIC) == REASON_WRMSRLIST;
	const enum msr_exit_owner owner =
		msr_exit_owner(vcpu, (u32)vmreadn(VMCS_EXIT_QUALIFICATION), write);

	if (owner == MSR_EXIT_UMBRA && (write ? wrmsrlist_iteration(vcpu, regs)
					      : rdmsrlist_iteration(vcpu, regs, store_for_l2)))
		l2_instruction_executed(vcpu);
	return owner != MSR_EXIT_L1;
}

/* RDMSR and WRMSR; for the forms with an immediate SDM "Exit Qualification": the MSR's number. */
static bool l2_msr(struct vcpu *vcpu, struct guest_regs *regs)
{
	const u32 reason = vcpu->exit_reason & EXIT_REASON_BASIC;
	const bool immediate = reason == REASON_RDMSR_IMM || reason == REASON_WRMSRNS_IMM;
	const bool write = reason == REASON_WRMSR || reason == REASON_WRMSRNS_IMM;
	const u32 msr = (u32)(immediate ? vmreadn(VMCS_EXIT_QUALIFICATION) : regs->rcx);
	const enum msr_exit_owner owner = msr_exit_owner(vcpu, msr, write);

	if (owner == MSR_EXIT_UMBRA) {
		if (immediate)
			(write ? wrmsrns_imm_exit : rdmsr_imm_exit)(vcpu, regs);
		else
			(write ? wrmsr_exit : rdmsr_exit)(vcpu, regs);
		l2_instruction_executed(vcpu);
	}
	return owner != MSR_EXIT_L1;
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
	l2_instruction_executed(vcpu);
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
		/* One already waits for L2: the two merge, as a CPU, too, holds one pending NMI. */
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
		/* Waiting: L2 got on without it. Holding: another CPU wants it. Give it up. */
		if (vcpu->nested->ept02.loan == LOAN_WAITS || loan_is_wanted()) {
			ept02_end_loan(vcpu);
			l2_memory_set_map(vcpu);
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
	[REASON_RDMSR] = l2_msr,
	[REASON_WRMSR] = l2_msr,
	[REASON_EPT_MISCONFIG] = l2_ept_misconfiguration,
	[REASON_VMREAD] = l2_vmcs_access,
	[REASON_VMWRITE] = l2_vmcs_access,
	[REASON_PREEMPTION_TIMER] = l2_preemption_timer,
	[REASON_VMFUNC] = l2_vmfunc,
	[REASON_RDMSR_IMM] = l2_msr,
	[REASON_WRMSRNS_IMM] = l2_msr,
	[REASON_RDMSRLIST] = l2_msr_list,
	[REASON_WRMSRLIST] = l2_msr_list,
};

/* For what L2 waits for most, a direct call: an indirect one is a retpoline. */
static inline bool handle(struct vcpu *vcpu, struct guest_regs *regs, u32 reason)
{
	if (reason == REASON_EPT_VIOLATION)
		return l2_ept_violation(vcpu, regs);
	return handlers[reason] && handlers[reason](vcpu, regs);
}

/*
 * SDM "Basic VM-Exit Information", bit 26: the exit came in place of one for a bus lock, which L1
 * asked for and does not get by an exit of Umbra's own. Where L1 got another one, that has the bit.
 */
static void reflect_bus_lock(struct vcpu *vcpu)
{
	if (vcpu->level)
		nested_reflect_event(vcpu, REASON_BUS_LOCK, 0, 0);
}

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

	struct nested_vmcs *vmcs = vcpu->nested->current;

	vmcs->vmcs02_launched = true;
	msr_list_entered(vmcs);
	if (basic < REASON_COUNT) {
		if (UMBRA_STATISTICS)
			vcpu->l2_exits[basic]++;
		if (handle(vcpu, regs, basic)) {
			/* Still L2, perhaps, and what waits for it may be due in another way. */
			if ((vcpu->nmi_latched || vcpu->init_held || vcpu->mc_latched) &&
			    vcpu->level)
				nested_event_waits(vcpu);
			if (vcpu->nested->ept02.loan != LOAN_NONE && vcpu->level)
				nested_limit_loan(vcpu);
			if (__builtin_expect(!!(reason & EXIT_REASON_BUS_LOCK), 0))
				reflect_bus_lock(vcpu);
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
