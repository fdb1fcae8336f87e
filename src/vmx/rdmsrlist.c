/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * RDMSRLIST and WRMSRLIST (SDM, of these names): for each bit that is set in RCX, from the lowest,
 * a 64-bit entry of the table at RSI names an MSR, and one of the table at RDI has its value or
 * gets it. The CPU looks each MSR up in the bitmap. One that exits is done here as the CPU would do
 * it, with its bit cleared; the guest then goes on with the same instruction, as after an
 * interrupt, so that all others remain the CPU's.
 */
#include "vmx/rdmsrlist.h"

#include "vmx/event.h"
#include "vmx/exit.h"
#include "vmx/guest_linear.h"
#include "vmx/instruction.h"
#include "vmx/msr.h"
#include "vmx/vmcs.h"

/* With MSR bitmaps the exit is in an iteration, so RCX is not 0, and its qualification the number.
 */
static u32 msr_of_exit(void)
{
	return (u32)vmreadn(VMCS_EXIT_QUALIFICATION);
}

static void iteration_done(struct guest_regs *regs)
{
	regs->rcx &= regs->rcx - 1;
	instruction_iteration_done();
}

bool rdmsrlist_iteration(struct vcpu *vcpu, struct guest_regs *regs,
			 bool (*store)(u64 linear, u64 value))
{
	const u64 entry = regs->rdi + (u64)__builtin_ctzll(regs->rcx) * sizeof(u64);
	u64 value;

	if (!msr_guest_read(vcpu, msr_of_exit(), &value)) {
		event_inject_gp0();
		return false;
	}
	if (!store(entry, value))
		return false;
	iteration_done(regs);
	return true;
}

bool wrmsrlist_iteration(struct vcpu *vcpu, struct guest_regs *regs)
{
	if (!msr_guest_write(vcpu, msr_of_exit(), vmread64(VMCS_MSR_DATA))) {
		event_inject_gp0();
		return false;
	}
	iteration_done(regs);
	return true;
}

static bool store_for_l1(u64 linear, u64 value)
{
	struct guest_fault fault;

	linear = guest_linear_masked(linear, vmreadn(VMCS_GUEST_CR3), vmreadn(VMCS_GUEST_CR4));
	if (guest_linear_write(linear, &value, sizeof(value), GUEST_LINEAR_DATA, &fault))
		return true;
	guest_fault_inject(&fault);
	return false;
}

void rdmsrlist_exit(struct vcpu *vcpu, struct guest_regs *regs)
{
	rdmsrlist_iteration(vcpu, regs, store_for_l1);
}

void wrmsrlist_exit(struct vcpu *vcpu, struct guest_regs *regs)
{
	wrmsrlist_iteration(vcpu, regs);
}
