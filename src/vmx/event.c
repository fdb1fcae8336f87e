/* SPDX-License-Identifier: BSD-2-Clause */
#include "vmx/event.h"

#include <x86/msr.h>

#include "lib/insn.h"
#include "smp/stop.h"
#include "vmx/exit.h"
#include "vmx/guest_level.h"
#include "vmx/instruction.h"
#include "vmx/reset.h"
#include "vmx/vmcs.h"

/* While L2 runs, the fields for event injection are L1's. */
static void keep_entry_event(struct vcpu *vcpu)
{
	if (vcpu->level)
		vcpu->level->keep_entry_event(vcpu);
}

/* VM-entry interruption information. Real mode pushes no error code, and the entry refuses one. */
static u32 exception_info(enum vector vector)
{
	const bool has_error = vector_has_error_code(vector) && (vmreadn(VMCS_GUEST_CR0) & CR0_PE);

	return (u32)(INTR_INFO_VALID | INTR_TYPE_HW_EXCEPTION | vector |
		     (has_error ? INTR_INFO_ERROR_CODE : 0));
}

/* True: L1 intercepts it, and L2 is over. */
static bool exits_to_l1(struct vcpu *vcpu, u32 info, u32 error_code)
{
	instruction_set_resume_flag();
	return vcpu->level && vcpu->level->exception(vcpu, info, error_code);
}

/*
 * Not inlined: rare, and every handler would save more registers for it. Injection passes over the
 * exception bitmap, which may give L2's exceptions to L1.
 */
__attribute__((noinline)) void event_inject_exception(enum vector vector, u32 error_code)
{
	struct vcpu *vcpu = this_vcpu();
	const u32 info = exception_info(vector);

	if (exits_to_l1(vcpu, info, error_code))
		return;
	keep_entry_event(vcpu);
	if (info & INTR_INFO_ERROR_CODE)
		vmwrite32(VMCS_VM_ENTRY_EXCEPTION_ERROR_CODE, error_code);
	vmwrite32(VMCS_VM_ENTRY_INTR_INFO, info);
}

static void triple_fault(void)
{
	struct vcpu *vcpu = this_vcpu();

	if (!vcpu->level)
		reset_machine("triple fault in the guest");
	vcpu->level->triple_fault(vcpu);
}

/* SDM "Double Fault Exception", table "Interrupt and Exception Classes": the contributory ones. */
static bool is_contributory(u32 vector)
{
	return vector == VECTOR_DE || (vector >= VECTOR_TS && vector <= VECTOR_GP) ||
	       vector == VECTOR_CP;
}

static bool is_page_fault(u32 vector)
{
	return vector == VECTOR_PF || vector == VECTOR_VE;
}

void event_inject_combined(enum vector vector, u32 error_code)
{
	const u32 info = vmread32(VMCS_IDT_VECTORING_INFO);
	const u32 first = info & INTR_INFO_VECTOR;
	const bool after_exception =
		(info & INTR_INFO_VALID) && (info & INTR_INFO_TYPE) == INTR_TYPE_HW_EXCEPTION;

	/*
	 * One that L1 intercepts exits before it is combined (SDM "Information for VM Exits That
	 * Occur During Event Delivery").
	 */
	if (after_exception && exits_to_l1(this_vcpu(), exception_info(vector), error_code))
		return;
	if (after_exception && first == VECTOR_DF)
		triple_fault();
	else if (after_exception &&
		 ((is_contributory(first) && is_contributory(vector)) ||
		  (is_page_fault(first) && (is_contributory(vector) || is_page_fault(vector)))))
		event_inject_exception(VECTOR_DF, 0);
	else
		event_inject_exception(vector, error_code);
}

void event_inject_gp0_combined(bool nmi_unblocked)
{
	if (nmi_unblocked && !(vmread32(VMCS_IDT_VECTORING_INFO) & INTR_INFO_VALID))
		vmcs_set32(VMCS_GUEST_INTERRUPTIBILITY, INTERRUPTIBILITY_NMI);
	event_inject_combined(VECTOR_GP, 0);
}

/* SDM "Injected-Event Delivery"; "Debug Control Register", "IA32_DEBUGCTL MSR". */
void event_inject_debug_trap(u64 cause)
{
	const u64 lbr_and_btf = BITS(1, 0);

	write_dr6(read_dr6() | cause);
	vmwriten(VMCS_GUEST_DR7, vmreadn(VMCS_GUEST_DR7) & ~DR7_GD);
	vmwrite64(VMCS_GUEST_DEBUGCTL, vmread64(VMCS_GUEST_DEBUGCTL) & ~lbr_and_btf);
	keep_entry_event(this_vcpu());
	vmwrite32(VMCS_VM_ENTRY_INTR_INFO, exception_info(VECTOR_DB));
}

void event_redeliver(bool nmi_unblocked)
{
	const u32 info = vmread32(VMCS_IDT_VECTORING_INFO);

	if (!(info & INTR_INFO_VALID)) {
		if (nmi_unblocked)
			vmcs_set32(VMCS_GUEST_INTERRUPTIBILITY, INTERRUPTIBILITY_NMI);
		return;
	}
	keep_entry_event(this_vcpu());
	if (info & INTR_INFO_ERROR_CODE)
		vmwrite32(VMCS_VM_ENTRY_EXCEPTION_ERROR_CODE,
			  vmread32(VMCS_IDT_VECTORING_ERROR_CODE));
	if (event_is_software(info))
		vmwrite32(VMCS_VM_ENTRY_INSTRUCTION_LENGTH,
			  vmread32(VMCS_VM_EXIT_INSTRUCTION_LENGTH));
	/* Its delivery began, so NMIs are blocked; the entry wants that undone to deliver it. */
	if ((info & INTR_INFO_TYPE) == INTR_TYPE_NMI)
		vmcs_clear32(VMCS_GUEST_INTERRUPTIBILITY, INTERRUPTIBILITY_NMI);
	/* Bit 12 is undefined there and reserved here. */
	vmwrite32(VMCS_VM_ENTRY_INTR_INFO, info & ~(u32)INTR_INFO_NMI_UNBLOCK);
}

static void set_nmi_window(struct vcpu *vcpu, bool on)
{
	const u32 controls = on ? vcpu->primary_controls | (u32)CPU_NMI_WINDOW_EXITING
				: vcpu->primary_controls & ~(u32)CPU_NMI_WINDOW_EXITING;

	if (controls != vcpu->primary_controls) {
		vcpu->primary_controls = controls;
		vmwrite32(VMCS_PRIMARY_CONTROLS, controls);
	}
}

static bool entry_has_event(void)
{
	return vmread32(VMCS_VM_ENTRY_INTR_INFO) & INTR_INFO_VALID;
}

/* The interruptibility checks of SDM "Checks on Guest Non-Register State", for a type-2 event. */
static bool nmi_possible(void)
{
	const u32 blocking = INTERRUPTIBILITY_STI | INTERRUPTIBILITY_MOV_SS | INTERRUPTIBILITY_NMI;

	return !entry_has_event() && !(vmread32(VMCS_GUEST_INTERRUPTIBILITY) & blocking) &&
	       vmread32(VMCS_GUEST_ACTIVITY_STATE) <= ACTIVITY_HLT;
}

/* A latched #MC uses the NMI window too, to get another look soon. */
static void deliver_nmi(struct vcpu *vcpu)
{
	/* While L2 runs, the interruptibility in the current VMCS is not L1's. */
	if (vcpu->level) {
		if (vcpu->nmi_latched || vcpu->mc_latched)
			vcpu->level->event_waits(vcpu);
		return;
	}
	if (vcpu->nmi_latched && nmi_possible()) {
		vmwrite32(VMCS_VM_ENTRY_INTR_INFO,
			  (u32)(INTR_INFO_VALID | INTR_TYPE_NMI | VECTOR_NMI));
		vcpu->nmi_latched = false;
	}
	set_nmi_window(vcpu, vcpu->nmi_latched || vcpu->mc_latched);
}

/*
 * A machine check that hit root mode concerns the machine, so the guest gets it as a CPU would give
 * it: #MC, or shutdown while CR4.MCE is 0.
 */
static void deliver_mc(struct vcpu *vcpu)
{
	if (vcpu->level) {
		/* L1's exit ends L2, and what is latched then is delivered to L1. */
		vcpu->mc_latched = false;
		if (vcpu->level->machine_check(vcpu))
			return;
		vcpu->mc_latched = true;
	}
	if (!(vmreadn(VMCS_GUEST_CR4) & CR4_MCE)) {
		reset_machine("machine check while the guest has CR4.MCE clear");
	} else if (!entry_has_event() &&
		   vmread32(VMCS_GUEST_ACTIVITY_STATE) != ACTIVITY_WAIT_SIPI) {
		keep_entry_event(vcpu);
		vmwrite32(VMCS_VM_ENTRY_INTR_INFO, exception_info(VECTOR_MC));
		vcpu->mc_latched = false;
	}
	/*
	 * Else: this entry delivers another event, and the NMI window follows; or it may deliver
	 * none (SDM "Checks on Guest Non-Register State").
	 */
}

static void deliver_latched(struct vcpu *vcpu)
{
	if (vcpu->mc_latched)
		deliver_mc(vcpu);
	deliver_nmi(vcpu);
}

void event_nmi(struct vcpu *vcpu)
{
	vcpu->nmi_latched = true;
	deliver_nmi(vcpu);
}

bool event_deliver_late(struct guest_regs *regs)
{
	struct vcpu *vcpu = this_vcpu();
	u8 pending;

	vcpu->regs = regs;
	if (stop_is_due())
		stop_as_asked();
	pending = __atomic_exchange_n(&vcpu->cpu.pending_events, 0, __ATOMIC_RELAXED);
	vcpu->nmi_latched |= (pending & PENDING_NMI) != 0;
	vcpu->mc_latched |= (pending & PENDING_MC) != 0;
	deliver_latched(vcpu);
	return !vcpu->level && vcpu->launched;
}

void event_machine_check(struct vcpu *vcpu)
{
	vcpu->mc_latched = true;
	deliver_latched(vcpu);
}

void event_deliver_latched(struct vcpu *vcpu)
{
	if (vcpu->nmi_latched || vcpu->mc_latched)
		deliver_latched(vcpu);
}

void event_forget(struct vcpu *vcpu)
{
	vcpu->nmi_latched = false;
	vcpu->mc_latched = false;
	set_nmi_window(vcpu, false);
}

void exception_nmi_exit(struct vcpu *vcpu, struct guest_regs *regs)
{
	const u32 info = vmread32(VMCS_VM_EXIT_INTR_INFO);

	(void)regs;
	if ((info & INTR_INFO_TYPE) != INTR_TYPE_NMI) {
		exit_unexpected(vcpu);
		return;
	}
	/*
	 * The exit left NMIs blocked, and whether an entry with virtual NMIs lifts that is not the
	 * same on all CPUs. Done here, the next NMI comes to trap.c at once and is kept.
	 */
	unblock_nmis();
	/* Another CPU's, so that this one stops: in the last look before the entry. */
	if (stop_is_due())
		return;
	/* An event whose delivery the NMI followed is complete: NMIs come between instructions. */
	event_nmi(vcpu);
}

void nmi_window_exit(struct vcpu *vcpu, struct guest_regs *regs)
{
	(void)regs;
	/*
	 * Some CPUs exit though STI still blocks interrupts, which blocks no NMI there, and some
	 * refuse to inject one then (SDM "Other Causes of VM Exits", "Checks on Guest Non-Register
	 * State"): the entry would exit again for ever.
	 */
	vmcs_clear32(VMCS_GUEST_INTERRUPTIBILITY, INTERRUPTIBILITY_STI);
	deliver_latched(vcpu);
}
