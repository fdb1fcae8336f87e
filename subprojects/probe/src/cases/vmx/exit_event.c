/* SPDX-License-Identifier: BSD-2-Clause */
/* SDM "Other Causes of VM Exits": exceptions, interrupts, NMIs, windows, timer, triple fault. */
#include "apic.h"
#include "exits.h"
#include "layout.h"
#include "memory.h"
#include "timer.h"

L2_CODE(ev_ud, "ud2");
L2_CODE(ev_de, "xorl %ecx, %ecx\nxorl %edx, %edx\nmovl $1, %eax\n1: div %ecx");
L2_CODE(ev_bp, "int3");
L2_CODE(ev_db, ".byte 0xf1");
L2_CODE(ev_int_n, "int $0x33");
L2_CODE(ev_gp, "mov %cr0, %rax\nmovl $0x1234, %ecx\nmov %ecx, %ds");
L2_CODE(ev_read, "mov (%rbx), %rax");
L2_CODE(ev_write, "mov %rax, (%rbx)");
L2_CODE(ev_sti_nop, "sti\nnop\nnop\nnop");
/* One instruction, so that an exit is the same whenever it comes. */
L2_CODE(ev_spin, "1: jmp 1b");
L2_CODE(ev_nop, "nop\nnop\nnop");

static void run_at(struct l2 *l2, const u8 *code, u64 rbx)
{
	l2_goto(l2, code);
	l2->regs.rbx = rbx;
	l2_run(l2);
}

PROBE_CASE(event_exceptions, "vmx.exit.exceptions", CASE_EACH_CPU)
{
	struct l2 *l2 = l2_begin(t);

	if (!l2)
		return;
	L2_EXITS(t, l2, ev_ud, REASON_EXCEPTION_NMI, 0);
	CHECK_EXCEPTION(t, l2, VECTOR_UD, 0, 0);
	l2_goto(l2, ev_de);
	l2_run(l2);
	CHECK_EXCEPTION(t, l2, VECTOR_DE, 0, 9);
	L2_EXITS(t, l2, ev_bp, REASON_EXCEPTION_NMI, 0);
	CHECK_EXCEPTION(t, l2, VECTOR_BP, 0, 0);
	CHECK_EQ(t, l2->exit.length, 1);
	l2_goto(l2, ev_gp);
	l2_run(l2);
	CHECK_EXCEPTION(t, l2, VECTOR_GP, 0x1234, 8);
	/* INT1 is a privileged software exception, and a trap-like one: pending debug is not used.
	 */
	l2_goto(l2, ev_db);
	l2_run(l2);
	CHECK_EXIT(t, l2, REASON_EXCEPTION_NMI);
	CHECK_EQ(t, l2->exit.intr_info, INTR_INFO_VALID | INTR_TYPE_PRIV_SW_EXC | VECTOR_DB);
	CHECK_EQ(t, l2->exit.length, 1);
	/* INT n is none of them. */
	l2_goto(l2, ev_int_n);
	l2_run(l2);
	CHECK_EQ(t, (u64)l2_delivered(l2), 0x33);
	CHECK_EQ(t, l2_frame(l2)[0], l2->start + 2);
}

/* A bit clear: L2's IDT gets it. */
PROBE_CASE(event_bitmap, "vmx.exit.exception_bitmap", CASE_EACH_CPU)
{
	struct l2 *l2 = l2_begin(t);

	if (!l2)
		return;
	vmwrite(VMCS_EXCEPTION_BITMAP, ~(u32)BIT(VECTOR_UD));
	l2_goto(l2, ev_ud);
	l2_run(l2);
	CHECK_EQ(t, (u64)l2_delivered(l2), VECTOR_UD);
	CHECK_EQ(t, l2_frame(l2)[0], l2->start);
	vmwrite(VMCS_EXCEPTION_BITMAP, (u32)BIT(VECTOR_UD));
	l2_goto(l2, ev_ud);
	l2_run(l2);
	CHECK_EXCEPTION(t, l2, VECTOR_UD, 0, 0);
	l2_goto(l2, ev_gp);
	l2_run(l2);
	CHECK_EQ(t, (u64)l2_delivered(l2), VECTOR_GP);
	CHECK_EQ(t, l2_frame(l2)[0], 0x1234);
	l2_goto(l2, ev_bp);
	l2_run(l2);
	CHECK_EQ(t, (u64)l2_delivered(l2), VECTOR_BP);
	CHECK_EQ(t, l2_frame(l2)[0], l2->start + 1);
}

/* "If software desires VM exits on all page faults …": mask, match and the bit 14. */
PROBE_CASE(event_page_fault, "vmx.exit.page_fault", CASE_EACH_CPU)
{
	static const struct {
		u32 bitmap, mask, match;
		bool read_exits, write_exits;
	} rows[] = {
		{BIT(14), 0, 0, true, true},  {BIT(14), 0, ~0u, false, false},
		{0, 0, 0, false, false},      {0, 0, ~0u, true, true},
		{BIT(14), 2, 2, false, true}, {BIT(14), 2, 0, true, false},
		{0, 2, 2, true, false},       {0, 2, 0, false, true},
		{BIT(14), 3, 2, false, true}, {BIT(14), ~0u, 2, false, true},
	};
	struct l2 *l2 = l2_begin(t);

	if (!l2)
		return;
	memory_map(WINDOW_BASE, 0, PAGE_SIZE, PAGE_SIZE, 0);
	for (unsigned i = 0; i < ARRAY_SIZE(rows); i++) {
		vmwrite(VMCS_EXCEPTION_BITMAP, rows[i].bitmap);
		vmwrite(VMCS_PF_ERROR_CODE_MASK, rows[i].mask);
		vmwrite(VMCS_PF_ERROR_CODE_MATCH, rows[i].match);
		for (unsigned write = 0; write < 2; write++) {
			bool exits = write ? rows[i].write_exits : rows[i].read_exits;

			run_at(l2, write ? ev_write : ev_read, WINDOW_BASE + 0x120 + i);
			if (exits) {
				CHECK_EXCEPTION(t, l2, VECTOR_PF, write * 2, 0);
				CHECK_EQ(t, l2->exit.qualification, WINDOW_BASE + 0x120 + i);
				continue;
			}
			CHECK(t, l2_delivered(l2) == VECTOR_PF, "row %u, %u: exit %x", i, write,
			      l2->exit.reason);
			CHECK_EQ(t, l2_frame(l2)[0], write * 2);
			CHECK_EQ(t, read_cr2(), WINDOW_BASE + 0x120 + i);
		}
	}
}

static bool interrupt_comes(u32 before)
{
	irq_enable();
	cpu_pause();
	timer_wait(20);
	irq_disable();
	return this_cpu()->irq_count[VEC_TEST] == before + 1;
}

static void spin(struct l2 *l2, u64 rflags)
{
	apic_send(this_cpu()->apic_id, APIC_FIXED | VEC_TEST);
	l2_goto(l2, ev_spin);
	vmwrite(VMCS_GUEST_RFLAGS, RFLAGS_FIXED | rflags);
	l2_run(l2);
}

PROBE_CASE(event_interrupt, "vmx.exit.external_interrupt", CASE_EACH_CPU)
{
	struct cpu *cpu = this_cpu();
	struct l2 *l2 = l2_begin(t);
	u32 before = cpu->irq_count[VEC_TEST];

	if (!l2)
		return;
	/* Not acknowledged: it stays pending, for the host to take. */
	spin(l2, RFLAGS_IF);
	CHECK_EXIT_QUAL(t, l2, REASON_EXTERNAL_INTERRUPT, 0);
	CHECK_EQ(t, l2->exit.intr_info & INTR_INFO_VALID, 0);
	CHECK(t, interrupt_comes(before), "the interrupt is lost");
	/* Acknowledged: the vector is in the VMCS, the interrupt is in service. */
	L2_NEED(t, CTL_EXIT, EXIT_ACK_INTR);
	spin(l2, RFLAGS_IF);
	CHECK_EXIT_QUAL(t, l2, REASON_EXTERNAL_INTERRUPT, 0);
	CHECK_EQ(t, l2->exit.intr_info, INTR_INFO_VALID | INTR_TYPE_EXTERNAL | VEC_TEST);
	CHECK(t, !interrupt_comes(before + 1), "it was delivered again");
	apic_eoi();
	CHECK_EQ(t, cpu->irq_count[VEC_TEST], before + 1);
	/* It ends L2's HLT, which has changed the activity state. */
	l2_disable(CTL_CPU, CPU_HLT_EXITING);
	l2_goto(l2, ev_nop);
	vmwrite(VMCS_GUEST_RFLAGS, RFLAGS_FIXED | RFLAGS_IF);
	vmwrite(VMCS_GUEST_ACTIVITY_STATE, ACTIVITY_HLT);
	apic_send(cpu->apic_id, APIC_FIXED | VEC_TEST);
	l2_run(l2);
	CHECK_EXIT(t, l2, REASON_EXTERNAL_INTERRUPT);
	CHECK_EQ(t, l2->exit.intr_info, INTR_INFO_VALID | INTR_TYPE_EXTERNAL | VEC_TEST);
	CHECK_RIP(t, l2, 0);
	apic_eoi();
}

/*
 * SDM "Architectural State Before a VM Exit": "If an unblocked event causes a VM exit directly, a
 * return to the active state occurs only after the VM exit completes." Bochs 2.7 saves "active".
 */
PROBE_CASE(event_interrupt_hlt, "vmx.exit.external_interrupt_activity",
	   CASE_EACH_CPU | CASE_EXPLICIT)
{
	struct l2 *l2 = l2_begin(t);

	if (!l2)
		return;
	L2_NEED(t, CTL_EXIT, EXIT_ACK_INTR);
	l2_goto(l2, ev_nop);
	vmwrite(VMCS_GUEST_RFLAGS, RFLAGS_FIXED | RFLAGS_IF);
	vmwrite(VMCS_GUEST_ACTIVITY_STATE, ACTIVITY_HLT);
	apic_send(this_cpu()->apic_id, APIC_FIXED | VEC_TEST);
	l2_run(l2);
	CHECK_EXIT(t, l2, REASON_EXTERNAL_INTERRUPT);
	CHECK_EQ(t, l2->exit.activity, ACTIVITY_HLT);
	apic_eoi();
}

/*
 * SDM "Changes to Instruction Behavior/Event Blocking": "If the external-interrupt exiting control
 * is 1, RFLAGS.IF does not control the blocking of external interrupts." In Bochs 2.7 it does when
 * neither the host nor the guest has it set.
 */
PROBE_CASE(event_interrupt_if0, "vmx.exit.external_interrupt_if0", CASE_EACH_CPU | CASE_EXPLICIT)
{
	struct l2 *l2 = l2_begin(t);
	u32 before = this_cpu()->irq_count[VEC_TEST];

	if (!l2)
		return;
	L2_NEED(t, CTL_PIN, PIN_PREEMPTION_TIMER);
	vmwrite(VMCS_PREEMPTION_TIMER_VALUE, 10000);
	spin(l2, 0);
	CHECK_EXIT_QUAL(t, l2, REASON_EXTERNAL_INTERRUPT, 0);
	CHECK(t, interrupt_comes(before), "the interrupt is lost");
}

/* Without "external-interrupt exiting" L2's IDT gets it, when L2 lets it. */
PROBE_CASE(event_interrupt_direct, "vmx.exit.external_interrupt_direct", CASE_EACH_CPU)
{
	struct cpu *cpu = this_cpu();
	struct l2 *l2 = l2_begin(t);

	if (!l2)
		return;
	SKIP_UNLESS(t, l2_disable(CTL_PIN, PIN_EXT_INTR_EXITING), "cannot be turned off");
	apic_send(cpu->apic_id, APIC_FIXED | VEC_TEST);
	CHECK_NO_EXIT(t, l2, ev_nop);
	l2_goto(l2, ev_sti_nop);
	l2_run(l2);
	CHECK_EQ(t, (u64)l2_delivered(l2), VEC_TEST);
	/* One instruction after STI. */
	CHECK_EQ(t, l2_frame(l2)[0], l2->start + 2);
	apic_eoi();
}

PROBE_CASE(event_interrupt_window, "vmx.exit.interrupt_window", CASE_EACH_CPU)
{
	struct l2 *l2 = l2_begin(t);

	if (!l2)
		return;
	L2_NEED(t, CTL_CPU, CPU_INTR_WINDOW_EXITING);
	/* IF 0: no window. */
	CHECK_NO_EXIT(t, l2, ev_nop);
	/* At once. */
	l2_goto(l2, ev_nop);
	vmwrite(VMCS_GUEST_RFLAGS, RFLAGS_FIXED | RFLAGS_IF);
	l2_run(l2);
	CHECK_EXIT_QUAL(t, l2, REASON_INTERRUPT_WINDOW, 0);
	CHECK_RIP(t, l2, 0);
	/* After STI's shadow. */
	l2_goto(l2, ev_sti_nop);
	l2_run(l2);
	CHECK_EXIT_QUAL(t, l2, REASON_INTERRUPT_WINDOW, 0);
	CHECK_RIP(t, l2, 2);
	CHECK_EQ(t, l2->exit.interruptibility, 0);
	/* Blocked by MOV SS at the entry: after the first instruction. */
	l2_goto(l2, ev_nop);
	vmwrite(VMCS_GUEST_RFLAGS, RFLAGS_FIXED | RFLAGS_IF);
	vmwrite(VMCS_GUEST_INTERRUPTIBILITY, INTERRUPTIBILITY_MOV_SS);
	l2_run(l2);
	CHECK_EXIT_QUAL(t, l2, REASON_INTERRUPT_WINDOW, 0);
	CHECK_RIP(t, l2, 1);
}

/*
 * "These events wake the logical processor if it just entered the HLT state because of a VM entry":
 * Bochs 2.7 sleeps on, so the timer ends this.
 */
PROBE_CASE(event_window_hlt, "vmx.exit.interrupt_window_hlt", CASE_EACH_CPU | CASE_EXPLICIT)
{
	struct l2 *l2 = l2_begin(t);

	if (!l2)
		return;
	L2_NEED(t, CTL_CPU, CPU_INTR_WINDOW_EXITING);
	L2_NEED(t, CTL_PIN, PIN_PREEMPTION_TIMER);
	vmwrite(VMCS_PREEMPTION_TIMER_VALUE, 1000000);
	l2_goto(l2, ev_nop);
	vmwrite(VMCS_GUEST_RFLAGS, RFLAGS_FIXED | RFLAGS_IF);
	vmwrite(VMCS_GUEST_ACTIVITY_STATE, ACTIVITY_HLT);
	l2_run(l2);
	CHECK_EXIT_QUAL(t, l2, REASON_INTERRUPT_WINDOW, 0);
	CHECK_EQ(t, l2->exit.activity, ACTIVITY_HLT);
}

PROBE_CASE(event_preemption, "vmx.exit.preemption_timer", CASE_EACH_CPU)
{
	struct l2 *l2 = l2_begin(t);

	if (!l2)
		return;
	L2_NEED(t, CTL_PIN, PIN_PREEMPTION_TIMER);
	/* 0 expires before any instruction of L2. */
	vmwrite(VMCS_PREEMPTION_TIMER_VALUE, 0);
	L2_EXITS(t, l2, ev_spin, REASON_PREEMPTION_TIMER, 0);
	CHECK_RIP(t, l2, 0);
	vmwrite(VMCS_PREEMPTION_TIMER_VALUE, 1000);
	L2_EXITS(t, l2, ev_spin, REASON_PREEMPTION_TIMER, 0);
	/* Not saved: the value is the one written; saved: what was left. */
	CHECK_EQ(t, vmread(VMCS_PREEMPTION_TIMER_VALUE), 1000);
	vmwrite(VMCS_PREEMPTION_TIMER_VALUE, 0xffffffff);
	CHECK_NO_EXIT(t, l2, ev_nop);
	CHECK_EQ(t, vmread(VMCS_PREEMPTION_TIMER_VALUE), 0xffffffff);
	L2_NEED(t, CTL_EXIT, EXIT_SAVE_PREEMPTION_TIMER);
	CHECK_NO_EXIT(t, l2, ev_nop);
	CHECK(t, vmread(VMCS_PREEMPTION_TIMER_VALUE) > 0xff000000, "saved %lx",
	      vmread(VMCS_PREEMPTION_TIMER_VALUE));
	vmwrite(VMCS_PREEMPTION_TIMER_VALUE, 1000);
	L2_EXITS(t, l2, ev_spin, REASON_PREEMPTION_TIMER, 0);
	CHECK_EQ(t, vmread(VMCS_PREEMPTION_TIMER_VALUE), 0);
	/* It wakes from HLT. */
	l2_goto(l2, ev_nop);
	vmwrite(VMCS_PREEMPTION_TIMER_VALUE, 1000);
	vmwrite(VMCS_GUEST_ACTIVITY_STATE, ACTIVITY_HLT);
	l2_run(l2);
	CHECK_EXIT_QUAL(t, l2, REASON_PREEMPTION_TIMER, 0);
	CHECK_EQ(t, l2->exit.activity, ACTIVITY_HLT);
}

/* Bochs 2.7's tigerlake has the control, and no exits by it. */
PROBE_CASE(event_mtf, "vmx.exit.monitor_trap_flag", CASE_EACH_CPU | CASE_EXPLICIT)
{
	struct l2 *l2 = l2_begin(t);

	if (!l2)
		return;
	L2_NEED(t, CTL_CPU, CPU_MONITOR_TRAP_FLAG);
	L2_EXITS(t, l2, ev_nop, REASON_MONITOR_TRAP_FLAG, 0);
	CHECK_RIP(t, l2, 1);
	l2_run(l2);
	CHECK_EXIT(t, l2, REASON_MONITOR_TRAP_FLAG);
	CHECK_RIP(t, l2, 2);
}

/* "Injection of pending MTF VM exits": type 7, vector 0; before any instruction. */
PROBE_CASE(event_mtf_inject, "vmx.exit.injected_monitor_trap", CASE_EACH_CPU)
{
	struct l2 *l2 = l2_begin(t);

	if (!l2)
		return;
	SKIP_UNLESS(t, vmx_has(CTL_CPU, CPU_MONITOR_TRAP_FLAG), "no monitor trap flag");
	l2_goto(l2, ev_nop);
	l2_inject((u32)INTR_INFO_VALID | INTR_TYPE_OTHER, 0, 0);
	l2_run(l2);
	CHECK_EXIT_QUAL(t, l2, REASON_MONITOR_TRAP_FLAG, 0);
	CHECK_RIP(t, l2, 0);
}

/* No IDT to speak of: every exception becomes a triple fault. */
PROBE_CASE(event_triple, "vmx.exit.triple_fault", CASE_EACH_CPU)
{
	struct l2 *l2 = l2_begin(t);

	if (!l2)
		return;
	vmwrite(VMCS_EXCEPTION_BITMAP, 0);
	vmwrite(VMCS_GUEST_IDTR_LIMIT, 0);
	L2_EXITS(t, l2, ev_ud, REASON_TRIPLE_FAULT, 0);
	CHECK_RIP(t, l2, 0);
	CHECK_EQ(t, l2->exit.idt_info & INTR_INFO_VALID, 0);
	/* The double fault exits if its bit says so, with the #GP that led to it out of sight. */
	vmwrite(VMCS_EXCEPTION_BITMAP, (u32)BIT(VECTOR_DF));
	L2_EXITS(t, l2, ev_ud, REASON_EXCEPTION_NMI, 0);
	CHECK_EQ(t, l2->exit.intr_info & ~INTR_INFO_NMI_UNBLOCK,
		 INTR_INFO_VALID | INTR_INFO_ERROR_CODE | INTR_TYPE_HW_EXCEPTION | VECTOR_DF);
	CHECK_EQ(t, l2->exit.intr_error, 0);
	/* The first fault, #UD, was being delivered, and met a #GP. */
	vmwrite(VMCS_EXCEPTION_BITMAP, (u32)BIT(VECTOR_GP));
	L2_EXITS(t, l2, ev_ud, REASON_EXCEPTION_NMI, 0);
	CHECK_EQ(t, l2->exit.intr_info & ~INTR_INFO_NMI_UNBLOCK,
		 INTR_INFO_VALID | INTR_INFO_ERROR_CODE | INTR_TYPE_HW_EXCEPTION | VECTOR_GP);
	/* IDT, and EXT: "an earlier exception" was being delivered. */
	CHECK_EQ(t, l2->exit.intr_error, VECTOR_UD * 8 + 3);
	CHECK_EQ(t, l2->exit.idt_info, INTR_INFO_VALID | INTR_TYPE_HW_EXCEPTION | VECTOR_UD);
}

PROBE_CASE(event_single_step, "vmx.exit.single_step", CASE_EACH_CPU)
{
	struct l2 *l2 = l2_begin(t);

	if (!l2)
		return;
	/* #DB exit: qualification as DR6 would have it; DR6 itself is not changed. */
	write_dr6(DR6_INIT);
	l2_goto(l2, ev_nop);
	vmwrite(VMCS_GUEST_RFLAGS, RFLAGS_FIXED | RFLAGS_TF);
	l2_run(l2);
	CHECK_EXIT_QUAL(t, l2, REASON_EXCEPTION_NMI, DR6_BS);
	CHECK_EXCEPTION(t, l2, VECTOR_DB, 0, 1);
	CHECK_EQ(t, read_dr6(), DR6_INIT);
	/* Pending at the entry: before any instruction. */
	l2_goto(l2, ev_nop);
	vmwrite(VMCS_GUEST_PENDING_DEBUG, PENDING_DEBUG_BS);
	vmwrite(VMCS_GUEST_RFLAGS, RFLAGS_FIXED | RFLAGS_TF);
	l2_run(l2);
	CHECK_EXIT_QUAL(t, l2, REASON_EXCEPTION_NMI, DR6_BS);
	CHECK_EXCEPTION(t, l2, VECTOR_DB, 0, 0);
	/* Not intercepted: L2 gets it, with DR6. */
	vmwrite(VMCS_EXCEPTION_BITMAP, 0);
	l2_goto(l2, ev_nop);
	vmwrite(VMCS_GUEST_RFLAGS, RFLAGS_FIXED | RFLAGS_TF);
	l2_run(l2);
	CHECK_EQ(t, (u64)l2_delivered(l2), VECTOR_DB);
	CHECK_EQ(t, l2_frame(l2)[0], l2->start + 1);
	CHECK_EQ(t, read_dr6(), DR6_INIT | DR6_BS);
	write_dr6(DR6_INIT);
}

/*
 * SDM "Saving RIP, RSP, RFLAGS, and SSP": "the value saved is that which would appear in the saved
 * RFLAGS image", which for a fault has RF set. Bochs 2.7 saves the register.
 */
PROBE_CASE(event_fault_rf, "vmx.exit.fault_rf", CASE_EACH_CPU | CASE_EXPLICIT)
{
	struct l2 *l2 = l2_begin(t);

	if (!l2)
		return;
	l2_goto(l2, ev_ud);
	l2_run(l2);
	CHECK_EXCEPTION(t, l2, VECTOR_UD, 0, 0);
	CHECK_EQ(t, l2->exit.rflags, RFLAGS_FIXED | RFLAGS_RF);
	l2_goto(l2, ev_bp);
	l2_run(l2);
	CHECK_EXCEPTION(t, l2, VECTOR_BP, 0, 0);
	CHECK_EQ(t, l2->exit.rflags, RFLAGS_FIXED);
}
