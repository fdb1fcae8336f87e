/* SPDX-License-Identifier: BSD-2-Clause */
/* NMIs that arrive in L2, and the inactive activity states. */
#include "apic.h"
#include "exits.h"
#include "layout.h"
#include "timer.h"

/*
 * L2 sends itself an NMI: RDI is the ICR, its high half is set. A loop of one instruction makes the
 * same exit whenever it comes.
 */
L2_CODE(nmi_send, "movl $0x4400, (%rdi)\n1: jmp 1b");
L2_CODE(nmi_wait, "1: jmp 1b");
L2_CODE(nmi_nop, "nop");

enum {
	SETTLE_US = 50,
	/* Of the preemption timer; in the emulator a tick is some instructions. */
	PATIENCE = 1000000,
};

/* IRET from any exception unblocks NMIs. */
static void unblock(void)
{
	TRY("ud2", :);
}

static u64 icr_lo(void)
{
	return (rdmsr(MSR_IA32_APIC_BASE) & APIC_BASE_ADDR) + APIC_REG_ICR_LO;
}

/* A timer where there is one, so that a lost NMI is a failure and no hang. */
static void guard(void)
{
	if (l2_enable(CTL_PIN, PIN_PREEMPTION_TIMER))
		vmwrite(VMCS_PREEMPTION_TIMER_VALUE, PATIENCE);
}

/* An L2 that can send itself an NMI; NULL if the case is over. */
static struct l2 *begin(struct run *t)
{
	if (apic_is_x2apic()) {
		run_skip(t, "sends by memory");
		return NULL;
	}
	return l2_begin(t);
}

/* The CPU has taken as many NMIs as before, and takes no other until an IRET. */
static void check_blocked(struct run *t, int line, u64 before)
{
	struct cpu *cpu = this_cpu();

	check_equal(t, line, "NMIs taken", cpu->nmi_count, before);
	apic_send(cpu->apic_id, APIC_NMI);
	timer_wait(SETTLE_US);
	check_equal(t, line, "NMIs while blocked", cpu->nmi_count, before);
	unblock();
	timer_wait(SETTLE_US);
	check_equal(t, line, "NMIs after IRET", cpu->nmi_count, before + 1);
}

static void run_send(struct l2 *l2)
{
	guard();
	apic_write(APIC_REG_ICR_HI, this_cpu()->apic_id << 24);
	l2_goto(l2, nmi_send);
	l2->regs.rdi = icr_lo();
	l2_run(l2);
}

PROBE_CASE(exit_nmi, "vmx.exit.nmi", CASE_EACH_CPU)
{
	struct cpu *cpu = this_cpu();
	struct l2 *l2 = begin(t);
	u64 before;

	if (!l2)
		return;
	for (unsigned virtual = 0; virtual < 2; virtual ++) {
		if (virtual && !l2_enable(CTL_PIN, PIN_VIRTUAL_NMIS))
			break;
		before = cpu->nmi_count;
		run_send(l2);
		CHECK_EXIT_QUAL(t, l2, REASON_EXCEPTION_NMI, 0);
		CHECK_EQ(t, l2->exit.intr_info, INTR_INFO_VALID | INTR_TYPE_NMI | VECTOR_NMI);
		CHECK_EQ(t, l2->exit.idt_info & INTR_INFO_VALID, 0);
		/* The NMI is the exit: no second one comes, and others wait for an IRET. */
		check_blocked(t, __LINE__, before);
	}
}

/*
 * "An NMI causes subsequent NMIs to be blocked, but only after the VM exit completes": Bochs 2.7
 * saves them as blocked already.
 */
PROBE_CASE(exit_nmi_state, "vmx.exit.nmi_saved_state", CASE_EACH_CPU | CASE_EXPLICIT)
{
	struct l2 *l2 = begin(t);

	if (!l2)
		return;
	run_send(l2);
	CHECK_EXIT_QUAL(t, l2, REASON_EXCEPTION_NMI, 0);
	CHECK_EQ(t, l2->exit.interruptibility, 0);
	unblock();
}

/* Without "NMI exiting" L2's IDT gets it, and the blocking is in the VMCS and in the CPU. */
PROBE_CASE(exit_nmi_direct, "vmx.exit.nmi_direct", CASE_EACH_CPU)
{
	struct cpu *cpu = this_cpu();
	struct l2 *l2 = begin(t);
	u64 before;

	if (!l2)
		return;
	SKIP_UNLESS(t, l2_disable(CTL_PIN, PIN_NMI_EXITING), "cannot be turned off");
	before = cpu->nmi_count;
	run_send(l2);
	CHECK_EQ(t, (u64)l2_delivered(l2), VECTOR_NMI);
	CHECK_EQ(t, l2->exit.interruptibility, INTERRUPTIBILITY_NMI);
	/* The host has it too, until its IRET. */
	check_blocked(t, __LINE__, before);
}

/* To the next instruction, which is nmi_loop. */
L2_CODE(nmi_iret, "movl %ss, %eax\npushq %rax\nleaq 8(%rsp), %rax\npushq %rax\npushfq\n"
		  "movl %cs, %eax\npushq %rax\nleaq 1f(%rip), %rax\npushq %rax\niretq\n"
		  "1: pause\njmp 1b");
L2_CODE(nmi_pauses, "pause\npause\npause\npause");

/*
 * What the host blocked is L2's to take or block: "VM entries … load blocking by NMI". In Bochs 2.7
 * the host's blocking goes on in L2.
 */
PROBE_CASE(exit_nmi_pending, "vmx.exit.nmi_pending_at_entry", CASE_EACH_CPU | CASE_EXPLICIT)
{
	struct cpu *cpu = this_cpu();
	struct l2 *l2;
	u64 before;

	SKIP_UNLESS(t, !apic_is_x2apic(), "sends by memory");
	l2 = l2_begin(t);
	if (!l2)
		return;
	before = cpu->nmi_count;
	for (unsigned blocked = 0; blocked < 2; blocked++) {
		/* This exit leaves NMIs blocked. */
		run_send(l2);
		CHECK_EXIT(t, l2, REASON_EXCEPTION_NMI);
		apic_send(cpu->apic_id, APIC_NMI);
		timer_wait(SETTLE_US);
		guard();
		l2_goto(l2, nmi_pauses);
		if (blocked)
			vmwrite(VMCS_GUEST_INTERRUPTIBILITY, INTERRUPTIBILITY_NMI);
		l2_run(l2);
		if (!blocked) {
			CHECK_EXIT(t, l2, REASON_EXCEPTION_NMI);
			CHECK_RIP(t, l2, 0);
			unblock();
			continue;
		}
		CHECK_EXIT(t, l2, REASON_VMCALL);
		CHECK_EQ(t, l2->exit.interruptibility, INTERRUPTIBILITY_NMI);
		/* IRET ends the blocking, in L2 as elsewhere. */
		guard();
		l2_goto(l2, nmi_iret);
		vmwrite(VMCS_GUEST_INTERRUPTIBILITY, INTERRUPTIBILITY_NMI);
		l2_run(l2);
		CHECK_EXIT(t, l2, REASON_EXCEPTION_NMI);
		CHECK_EQ(t, l2->exit.intr_info, INTR_INFO_VALID | INTR_TYPE_NMI | VECTOR_NMI);
		unblock();
	}
	timer_wait(SETTLE_US);
	CHECK_EQ(t, cpu->nmi_count, before);
}

/* An NMI pending at the entry: exits before any instruction. */
PROBE_CASE(exit_nmi_blocked, "vmx.exit.virtual_nmi_blocking", CASE_EACH_CPU)
{
	struct cpu *cpu = this_cpu();
	struct l2 *l2 = begin(t);
	u64 before;

	if (!l2)
		return;
	L2_NEED(t, CTL_PIN, PIN_VIRTUAL_NMIS);
	/* Virtual blocking does not block physical NMIs. */
	before = cpu->nmi_count;
	guard();
	apic_write(APIC_REG_ICR_HI, cpu->apic_id << 24);
	l2_goto(l2, nmi_send);
	l2->regs.rdi = icr_lo();
	vmwrite(VMCS_GUEST_INTERRUPTIBILITY, INTERRUPTIBILITY_NMI);
	l2_run(l2);
	CHECK_EXIT(t, l2, REASON_EXCEPTION_NMI);
	CHECK_EQ(t, l2->exit.intr_info, INTR_INFO_VALID | INTR_TYPE_NMI | VECTOR_NMI);
	CHECK_EQ(t, l2->exit.interruptibility, INTERRUPTIBILITY_NMI);
	unblock();
	CHECK_EQ(t, cpu->nmi_count, before);
}

/* The preemption timer counts in these states too, and its exit leaves them as they are. */
PROBE_CASE(exit_activity, "vmx.exit.activity_states", CASE_EACH_CPU)
{
	static const struct {
		u64 misc;
		u32 state;
	} states[] = {
		{VMX_MISC_HLT, ACTIVITY_HLT},
		{VMX_MISC_SHUTDOWN, ACTIVITY_SHUTDOWN},
	};
	struct l2 *l2 = l2_begin(t);

	if (!l2)
		return;
	L2_NEED(t, CTL_PIN, PIN_PREEMPTION_TIMER);
	for (unsigned i = 0; i < ARRAY_SIZE(states); i++) {
		if (!(rdmsr(MSR_IA32_VMX_MISC) & states[i].misc))
			continue;
		vmwrite(VMCS_PREEMPTION_TIMER_VALUE, 2000);
		l2_goto(l2, nmi_nop);
		vmwrite(VMCS_GUEST_ACTIVITY_STATE, states[i].state);
		l2_run(l2);
		CHECK_EXIT_QUAL(t, l2, REASON_PREEMPTION_TIMER, 0);
		CHECK_EQ(t, l2->exit.activity, states[i].state);
		CHECK_RIP(t, l2, 0);
	}
}

static struct {
	struct run *t;
	u32 activity;
	bool ready, go, inject;
	struct l2_exit exit;
	u64 entry, start;
	u32 second; /* the reason of the exit after that one */
} receiver;

static void receive(void *unused)
{
	struct l2 *l2 = l2_begin(receiver.t);

	(void)unused;
	if (!l2)
		return;
	l2_goto(l2, nmi_wait);
	vmwrite(VMCS_GUEST_ACTIVITY_STATE, receiver.activity);
	__atomic_store_n(&receiver.ready, true, __ATOMIC_RELEASE);
	l2_run(l2);
	receiver.exit = l2->exit;
	receiver.entry = l2->entry;
	vmx_cleanup();
}

static void start_receiver(struct run *t, struct cpu *cpu, u32 activity)
{
	receiver.t = t;
	receiver.activity = activity;
	receiver.ready = false;
	smp_start_work(cpu, receive, NULL);
	while (!__atomic_load_n(&receiver.ready, __ATOMIC_ACQUIRE))
		cpu_pause();
	timer_wait(5000);
}

/* SDM "Other Causes of VM Exits": start-up IPIs, in the wait-for-SIPI state only. */
PROBE_CASE(exit_sipi, "vmx.exit.sipi", CASE_ONCE)
{
	SKIP_UNLESS(t, vmx_available(), "no VMX");
	SKIP_UNLESS(t, smp_count() > 1, "one CPU");
	SKIP_UNLESS(t, rdmsr(MSR_IA32_VMX_MISC) & VMX_MISC_WAIT_SIPI, "no wait-for-SIPI state");
	for (unsigned i = 1; i < smp_count(); i++) {
		struct cpu *cpu = smp_cpu(i);

		start_receiver(t, cpu, ACTIVITY_WAIT_SIPI);
		/* INIT is blocked there. */
		apic_send(cpu->apic_id, APIC_INIT);
		timer_wait(1000);
		apic_send(cpu->apic_id, APIC_STARTUP | 0x5b);
		CHECK(t, smp_finish_work(cpu), "CPU %u failed", i);
		CHECK_EQ(t, receiver.entry, VM_OK);
		CHECK_EQ(t, receiver.exit.reason, REASON_SIPI);
		CHECK_EQ(t, receiver.exit.qualification, 0x5b);
	}
}

PROBE_CASE(exit_init, "vmx.exit.init", CASE_ONCE)
{
	SKIP_UNLESS(t, vmx_available(), "no VMX");
	SKIP_UNLESS(t, smp_count() > 1, "one CPU");
	for (unsigned i = 1; i < smp_count(); i++) {
		struct cpu *cpu = smp_cpu(i);

		start_receiver(t, cpu, ACTIVITY_ACTIVE);
		apic_send(cpu->apic_id, APIC_INIT);
		CHECK(t, smp_finish_work(cpu), "CPU %u failed", i);
		CHECK_EQ(t, receiver.entry, VM_OK);
		CHECK_EQ(t, receiver.exit.reason, REASON_INIT);
		CHECK_EQ(t, receiver.exit.qualification, 0);
	}
}

/* In VMX root operation until told to go on, then in L2. */
static void receive_blocked(void *unused)
{
	struct l2 *l2 = l2_begin(receiver.t);

	(void)unused;
	if (!l2)
		return;
	guard();
	l2_goto(l2, nmi_wait);
	if (receiver.inject)
		l2_inject(INTR_INFO_VALID | INTR_TYPE_HW_EXCEPTION | VECTOR_UD, 0, 0);
	__atomic_store_n(&receiver.ready, true, __ATOMIC_RELEASE);
	while (!__atomic_load_n(&receiver.go, __ATOMIC_ACQUIRE))
		cpuid(0, 0);
	l2_run(l2);
	receiver.exit = l2->exit;
	receiver.entry = l2->entry;
	receiver.start = l2->start;
	/* It was this one: the next run goes on. */
	l2_goto(l2, nmi_nop);
	l2_run(l2);
	receiver.second = l2->exit.reason;
	vmx_cleanup();
}

/*
 * SDM "Restrictions on VMX Operation": INIT signals are blocked in VMX root operation and not in
 * VMX non-root operation, where they exit. As with other events, what is blocked is held, not lost.
 * What the entry injects is delivered before.
 */
PROBE_CASE(exit_init_blocked, "vmx.exit.init_blocked", CASE_ONCE)
{
	SKIP_UNLESS(t, vmx_available(), "no VMX");
	SKIP_UNLESS(t, smp_count() > 1, "one CPU");
	receiver.t = t;
	for (unsigned inject = 0; inject < 2; inject++) {
		struct cpu *cpu = smp_cpu(1);

		receiver.ready = receiver.go = false;
		receiver.inject = inject;
		smp_start_work(cpu, receive_blocked, NULL);
		while (!__atomic_load_n(&receiver.ready, __ATOMIC_ACQUIRE))
			cpu_pause();
		apic_send(cpu->apic_id, APIC_INIT);
		timer_wait(1000);
		__atomic_store_n(&receiver.go, true, __ATOMIC_RELEASE);
		CHECK(t, smp_finish_work(cpu), "CPU 1 failed");
		CHECK_EQ(t, receiver.entry, VM_OK);
		CHECK_EQ(t, receiver.exit.reason, REASON_INIT);
		CHECK_EQ(t, receiver.exit.qualification, 0);
		CHECK_EQ(t, receiver.exit.idt_info & INTR_INFO_VALID, 0);
		CHECK_EQ(t, receiver.exit.rip == receiver.start, !inject);
		CHECK_EQ(t, receiver.second, REASON_VMCALL);
	}
}
