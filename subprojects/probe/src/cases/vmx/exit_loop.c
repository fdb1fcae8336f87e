/* SPDX-License-Identifier: BSD-2-Clause */
/* Exits that end loops: SDM "PAUSE", pause-loop exiting, and the VMX-preemption timer. */
#include "exits.h"
#include "memory.h"
#include "vmx/eptmap.h"

L2_CODE(loop_pause, "movl $0x10000, %ecx\n1: pause\nloop 1b");
L2_CODE(loop_pause_apart, "movl $20, %ecx\n"
			  "1: pause\nmovl $3000, %edx\n2: decl %edx\njnz 2b\nloop 1b");
L2_CODE(loop_pages, "1: mov (%rbx), %rax\naddq $0x10000, %rbx\nincq %rdi\n"
		    "movl $400, %edx\n2: decl %edx\njnz 2b\ncmpq %rsi, %rdi\njb 1b");

enum {
	PAUSE_OFFSET = 5,
	GAP = 1000,
	WINDOW = 10000,
	/* 64 KiB apart, so that no mapping of one helps another. */
	PAGES = 256,
	STRIDE = 0x10000,
	WARM_UP = 20,
};

/* Linear and guest-physical; no memory is there. */
static const u64 GPA = 0x80000000;

PROBE_CASE(exit_pause_loop, "vmx.exit.pause_loop", CASE_EACH_CPU)
{
	struct l2 *l2 = l2_begin(t);

	if (!l2)
		return;
	L2_NEED(t, CTL_CPU2, CPU2_PAUSE_LOOP_EXITING);
	vmwrite(VMCS_PLE_GAP, GAP);
	vmwrite(VMCS_PLE_WINDOW, WINDOW);
	L2_EXITS(t, l2, loop_pause, REASON_PAUSE, 0);
}

/* "The first execution of PAUSE in a loop": gaps longer than PLE_Gap, and CPL 3, make none. */
PROBE_CASE(exit_no_pause_loop, "vmx.exit.no_pause_loop", CASE_EACH_CPU)
{
	struct l2 *l2 = l2_begin(t);

	if (!l2)
		return;
	L2_NEED(t, CTL_CPU2, CPU2_PAUSE_LOOP_EXITING);
	vmwrite(VMCS_PLE_GAP, GAP);
	vmwrite(VMCS_PLE_WINDOW, WINDOW);
	CHECK_NO_EXIT(t, l2, loop_pause_apart);
	/* "CPL > 0: ignored." */
	l2_goto_user(l2, loop_pause);
	l2_run(l2);
	CHECK_EXIT(t, l2, REASON_VMCALL);
	/* A window that no loop fills. */
	vmwrite(VMCS_PLE_WINDOW, 0xffffffff);
	CHECK_NO_EXIT(t, l2, loop_pause);
	/* "PAUSE exiting" is for every PAUSE, whatever the loop. */
	vmwrite(VMCS_PLE_WINDOW, WINDOW);
	L2_NEED(t, CTL_CPU, CPU_PAUSE_EXITING);
	L2_EXITS(t, l2, loop_pause, REASON_PAUSE, 0);
	CHECK_RIP(t, l2, PAUSE_OFFSET);
	CHECK_EQ(t, l2->regs.rcx, 0x10000);
}

/* L2 touches pages until the timer or `limit` ends it; how many it came to. */
static u64 touch_pages(struct run *t, struct l2 *l2, u32 timer, u64 limit)
{
	vmwrite(VMCS_PREEMPTION_TIMER_VALUE, timer);
	l2_goto(l2, loop_pages);
	l2->regs.rbx = GPA;
	l2->regs.rsi = limit;
	l2->quiet = true;
	l2_run(l2);
	l2->quiet = false;
	CHECK_EXIT(t, l2, limit < PAGES ? REASON_VMCALL : REASON_PREEMPTION_TIMER);
	return l2->regs.rdi;
}

/*
 * "The timer counts down in VMX non-root operation": exits that a hypervisor below resolves by
 * itself, here the first touches of pages, neither stop it nor start it anew.
 */
PROBE_CASE(exit_timer_pages, "vmx.exit.preemption_timer_over_faults", CASE_EACH_CPU)
{
	struct l2 *l2 = l2_begin(t);
	u64 page, first, again, left;
	u32 timer;

	if (!l2)
		return;
	L2_NEED(t, CTL_PIN, PIN_PREEMPTION_TIMER);
	L2_NEED_EPT(t, l2);
	page = (u64)vmx_pages(1);
	for (u64 i = 0; i < PAGES; i++)
		*ept_slot(l2->ept, GPA + i * STRIDE, 1) =
			page | EPT_RWX | ept_memtype_bits(MEMTYPE_WB);
	ept_flush(l2->ept);
	/* The time of so many pages, once they have been touched. */
	touch_pages(t, l2, 0xffffffff, WARM_UP);
	left = rdtsc();
	touch_pages(t, l2, 0xffffffff, WARM_UP);
	timer = (u32)((rdtsc() - left) >> (rdmsr(MSR_IA32_VMX_MISC) & VMX_MISC_PREEMPTION_RATE));
	/* All anew, with the timer running: it ends at about as many, long before all of them. */
	ept_flush(l2->ept);
	first = touch_pages(t, l2, timer, PAGES);
	CHECK(t, first > 0 && first < 6 * WARM_UP, "the timer of %u pages ended at %lu", WARM_UP,
	      first);
	CHECK(t, vmread(VMCS_PREEMPTION_TIMER_VALUE) == timer, "the field has changed");
	again = touch_pages(t, l2, timer, PAGES);
	CHECK(t, again > 0 && again < 6 * WARM_UP, "the timer of %u pages ended at %lu", WARM_UP,
	      again);
	/* What is left is saved, if that is asked for. */
	L2_NEED(t, CTL_EXIT, EXIT_SAVE_PREEMPTION_TIMER);
	ept_flush(l2->ept);
	touch_pages(t, l2, 100 * timer, WARM_UP);
	left = vmread(VMCS_PREEMPTION_TIMER_VALUE);
	CHECK(t, left < 100 * timer && left > 50 * timer, "%lu of %u left", left, 100 * timer);
}
