/* SPDX-License-Identifier: BSD-2-Clause */
#include "vmx/exit.h"

#include "config.h"
#include "lib/insn.h"
#include "lib/log.h"
#include "smp/panic.h"
#include "vmx/event.h"
#include "vmx/guest_level.h"
#include "vmx/instruction.h"
#include "vmx/msr.h"
#include "vmx/reset.h"
#include "vmx/vmcs.h"

/*
 * Instructions that exit whatever the controls say, and are #UD where there is no such thing, as
 * none is offered to the guest: GETSEC (CPUID offers no SMX and CR4.SMXE cannot be set), TDX's at
 * any privilege level, and user-mode RDMSR and WRMSR.
 */
void undefined_instruction_exit(struct vcpu *vcpu, struct guest_regs *regs)
{
	(void)vcpu;
	(void)regs;
	event_inject_ud();
}

struct offered_vmx offered_vmx = {.instruction = undefined_instruction_exit};

void vmx_instruction_exit(struct vcpu *vcpu, struct guest_regs *regs)
{
	offered_vmx.instruction(vcpu, regs);
}

static exit_handler *const handlers[REASON_COUNT] = {
#define X(reason, handler, file) [REASON_##reason] = handler,
	VMX_EXITS(X)
#undef X
};

static const char *const names[REASON_COUNT] = {
#define X(number, name, text) [REASON_##name] = text,
	VMX_EXIT_REASONS(X)
#undef X
};

bool exit_reason_is_known(u32 reason)
{
	reason &= EXIT_REASON_BASIC;
	return reason < REASON_COUNT && names[reason];
}

const char *exit_reason_name(u32 reason)
{
	return exit_reason_is_known(reason) ? names[reason & EXIT_REASON_BASIC] : "unknown reason";
}

/* Counts, and raises #UD; after an interrupted #DF that is a triple fault, never a #DF. */
void exit_unexpected(struct vcpu *vcpu)
{
	if (vcpu->unexpected_exits++ == 0)
		log_warn("CPU %u: VM exit that Umbra does not know: %u (%s), qualification %#lx",
			 vcpu->cpu.index, vcpu->exit_reason, exit_reason_name(vcpu->exit_reason),
			 vmreadn(VMCS_EXIT_QUALIFICATION));
	event_inject_combined(VECTOR_UD, 0);
}

static inline void count(struct vcpu *vcpu, u32 reason)
{
	if (UMBRA_STATISTICS)
		vcpu->exits[reason]++;
}

/* Flags beside the reason, as of an exit from an SGX enclave, change nothing for Umbra. */
static void handle_flagged(struct vcpu *vcpu, struct guest_regs *regs, u32 reason)
{
	const u32 basic = reason & EXIT_REASON_BASIC;

	/* SDM "Machine-Check Events During VM Entry": nothing was entered, and nothing is lost. */
	if (reason == (EXIT_REASON_ENTRY_FAIL | REASON_ENTRY_FAIL_MCE)) {
		event_machine_check(vcpu);
		return;
	}
	if (reason & EXIT_REASON_ENTRY_FAIL) {
		if (offered_vmx.entry_failed)
			offered_vmx.entry_failed(vcpu);
		panic("VM entry failed: %s", exit_reason_name(reason));
	}
	vcpu->exit_reason = basic;
	if (basic >= REASON_COUNT || !handlers[basic]) {
		exit_unexpected(vcpu);
		return;
	}
	count(vcpu, basic);
	handlers[basic](vcpu, regs);
}

void exit_handle(struct guest_regs *regs)
{
	struct vcpu *vcpu = this_vcpu();
	const u32 reason = vmread32(VMCS_EXIT_REASON);

	vcpu->regs = regs;
	vcpu->exit_reason = reason;
	/* For those that a guest waits for most, a direct call: an indirect one is a retpoline. */
	switch (__builtin_expect(reason, REASON_CPUID)) {
	case REASON_CPUID:
		count(vcpu, reason);
		cpuid_exit(vcpu, regs);
		return;
	case REASON_VMCLEAR ... REASON_VMXON:
		count(vcpu, reason);
		vmx_instruction_exit(vcpu, regs);
		return;
	case REASON_RDMSR:
		count(vcpu, reason);
		rdmsr_exit(vcpu, regs);
		return;
	case REASON_WRMSR:
		count(vcpu, reason);
		wrmsr_exit(vcpu, regs);
		return;
	default:
		break;
	}
	if (__builtin_expect(reason >= REASON_COUNT || !handlers[reason], 0)) {
		handle_flagged(vcpu, regs, reason);
		return;
	}
	count(vcpu, reason);
	handlers[reason](vcpu, regs);
}

/* For vmcs02 the CPU's judgement on L1's controls is L1's to know; a vmcs01 is never at fault. */
void exit_entry_failed(struct guest_regs *regs)
{
	struct vcpu *vcpu = this_vcpu();

	vcpu->regs = regs;
	if (vcpu->level) {
		vcpu->level->entry_refused(vcpu);
		return;
	}
	panic("VMLAUNCH or VMRESUME failed: VM-instruction error %u",
	      vmread32(VMCS_VM_INSTRUCTION_ERROR));
}

/* The caches are the machine's: dropping them unwritten would lose Umbra's and devices' data. */
void invd_exit(struct vcpu *vcpu, struct guest_regs *regs)
{
	(void)vcpu;
	(void)regs;
	wbinvd();
	instruction_done();
}

/*
 * CPL and CR4.OSXSAVE are checked before the exit (SDM "Relative Priority of Faults and VM Exits");
 * CPL once more here, as KVM does, since XCR0 is the one register that user code could ruin for
 * all. The value is checked by executing it. XCR0 stays the guest's for ever:
 * Umbra uses no extended state.
 */
void xsetbv_exit(struct vcpu *vcpu, struct guest_regs *regs)
{
	const u64 value = (regs->rdx << 32) | (u32)regs->rax;

	/* A component that CPUID hides is a reserved bit (SDM "XSETBV"). */
	if (instruction_cpl() == 0 && !(value & ~vcpu->cpuid_hidden.xcr0) &&
	    xsetbv_safe((u32)regs->rcx, value))
		instruction_done();
	else
		event_inject_gp0();
}

/*
 * SDM "RDMSR", "WRMSRNS", the forms with an immediate: the exit qualification is the MSR's number,
 * and the instruction information names the register, which is 64 bits wide.
 */
static u32 msr_operand(void)
{
	return (u32)vmreadn(VMCS_EXIT_QUALIFICATION);
}

static enum gpr register_operand(void)
{
	return vmread32(VMCS_VM_EXIT_INSTRUCTION_INFO) >> 3 & 15;
}

void rdmsr_imm_exit(struct vcpu *vcpu, struct guest_regs *regs)
{
	const enum gpr gpr = register_operand();
	u64 value;

	if (!msr_guest_read(vcpu, msr_operand(), &value)) {
		event_inject_gp0();
		return;
	}
	if (gpr == GPR_RSP)
		vmwriten(VMCS_GUEST_RSP, value);
	else
		regs->gpr[gpr] = value;
	instruction_done();
}

void wrmsrns_imm_exit(struct vcpu *vcpu, struct guest_regs *regs)
{
	const enum gpr gpr = register_operand();
	const u64 value = gpr == GPR_RSP ? vmreadn(VMCS_GUEST_RSP) : regs->gpr[gpr];

	if (msr_guest_write(vcpu, msr_operand(), value))
		instruction_done();
	else
		event_inject_gp0();
}

/* SDM "Shutdown": the platform resets the machine. */
void triple_fault_exit(struct vcpu *vcpu, struct guest_regs *regs)
{
	(void)vcpu;
	(void)regs;
	reset_machine("triple fault in the guest");
}
