/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Controls that no emulator has, by the SDM's words alone: their bare results come from whoever has
 * such a CPU.
 */
#include "exits.h"
#include "string.h"

enum { LINE = 64, LOCK_LENGTH = 4, TIMEOUT_WINDOW = 100000 };

/* The doubleword crosses two cache lines. */
L2_CODE(new_bus_lock, "lock incl 62(%rbx)");
L2_CODE(new_no_bus_lock, "lock incl (%rbx)");
L2_CODE(new_nothing, "nop");
L2_CODE(new_loadiwkey, ".byte 0xf3, 0x0f, 0x38, 0xdc, 0xca"); /* LOADIWKEY %xmm2, %xmm1 */
L2_CODE(new_breakpoint, "movl $1, (%rbx)");

/* SDM "VMM Bus-Lock Detection": the exit is a trap. */
PROBE_CASE(new_bus_locks, "vmx.exit.bus_lock", CASE_EACH_CPU)
{
	struct l2 *l2 = l2_begin(t);
	u8 *page;

	if (!l2)
		return;
	L2_NEED(t, CTL_CPU2, CPU2_BUS_LOCK_EXITING);
	page = vmx_pages(1);
	l2_goto(l2, new_bus_lock);
	l2->regs.rbx = (u64)page;
	l2_run(l2);
	CHECK_EXIT_QUAL(t, l2, REASON_BUS_LOCK, 0);
	CHECK_RIP(t, l2, LOCK_LENGTH);
	CHECK_EQ(t, page[62], 1);
	l2_run(l2);
	CHECK_EXIT(t, l2, REASON_VMCALL);
	l2_goto(l2, new_no_bus_lock);
	l2->regs.rbx = (u64)page + LINE;
	l2_run(l2);
	CHECK_EXIT(t, l2, REASON_VMCALL);
	l2_disable(CTL_CPU2, CPU2_BUS_LOCK_EXITING);
	l2_goto(l2, new_bus_lock);
	l2->regs.rbx = (u64)page;
	l2_run(l2);
	CHECK_EXIT(t, l2, REASON_VMCALL);
}

/*
 * SDM "Instruction-Timeout Control": no instruction boundary for longer than the window. A data
 * breakpoint where the delivery of #DB pushes makes one #DB follow the other for ever.
 */
PROBE_CASE(new_timeout, "vmx.exit.instruction_timeout", CASE_EACH_CPU)
{
	enum { CONTEXT_INVALID = 1, DR7_WRITE_8_BYTES = 0x90402 };
	struct l2 *l2 = l2_begin(t);
	u64 *stack;

	if (!l2)
		return;
	L2_NEED(t, CTL_CPU2, CPU2_INSTRUCTION_TIMEOUT);
	vmwrite(VMCS_INSTRUCTION_TIMEOUT, TIMEOUT_WINDOW);
	CHECK_NO_EXIT(t, l2, new_nothing);
	stack = vmx_pages(1);
	l2_enable(CTL_ENTRY, ENTRY_LOAD_DEBUG_CONTROLS);
	vmwrite(VMCS_EXCEPTION_BITMAP, 0);
	l2_goto(l2, new_breakpoint);
	/* Every frame begins at a multiple of 16, with SS. */
	vmwrite(VMCS_GUEST_RSP, (u64)(stack + 64));
	l2->regs.rbx = (u64)(stack + 63);
	asm volatile("mov %0, %%dr0" : : "r"((u64)(stack + 63)));
	vmwrite(VMCS_GUEST_DR7, DR7_WRITE_8_BYTES);
	l2_run(l2);
	asm volatile("mov %0, %%dr0" : : "r"(0ull));
	CHECK_EXIT(t, l2, REASON_INSTRUCTION_TIMEOUT);
	CHECK_EQ(t, l2->exit.qualification & ~(u64)CONTEXT_INVALID, 0);
}

/* "LOADIWKEY exiting". */
PROBE_CASE(new_key, "vmx.exit.loadiwkey", CASE_EACH_CPU)
{
	struct l2 *l2 = l2_begin(t);

	if (!l2)
		return;
	L2_NEED(t, CTL_CPU3, CPU3_LOADIWKEY_EXITING);
	vmcs_set_bits(VMCS_GUEST_CR4, CR4_KL | CR4_OSFXSR);
	L2_EXITS(t, l2, new_loadiwkey, REASON_LOADIWKEY, 0);
	CHECK_RIP(t, l2, 0);
	CHECK_EQ(t, l2->exit.length, 5);
	CHECK_USER_FAULT(t, l2, new_loadiwkey, VECTOR_GP);
}
