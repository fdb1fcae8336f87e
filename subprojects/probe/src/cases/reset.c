/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The way down: one CPU shuts down, and others do what they can to have code of their own run on it
 * while the hypervisor resets the machine. These cases end in a reset, and no line follows.
 */
#include "apic.h"
#include "hidden.h"
#include "memory.h"
#include "power.h"
#include "probe.h"
#include "timer.h"

extern u64 ap_cpu;
extern u32 ap_stack;

enum {
	STACK_PAGES = 4,
	START_US = 5000,
	FLOOD_US = 200000,
	LOOK_US = 5000,
	INITS = 64,
	X2APIC_ICR = 0x830,
};

static volatile bool shutting_down;

/* What the target does whenever it is started. Without a hypervisor below it sees its memory. */
static void look_and_shut_down(void *hidden)
{
	const u64 seen = *(const volatile u64 *)hidden;

	if (seen != ~0ull)
		print("BARE: %p holds %lx\n", hidden, seen);
	shutting_down = true;
	triple_fault();
}

static void prepare_target(struct cpu *cpu, u64 hidden, u32 stack)
{
	cpu->work_arg = (void *)hidden;
	__atomic_store_n(&cpu->work, look_and_shut_down, __ATOMIC_RELEASE);
	ap_cpu = (u64)cpu;
	shutting_down = false;
	__atomic_store_n(&ap_stack, stack, __ATOMIC_SEQ_CST);
}

/* One instruction each, so that hardly one of the target's passes between two. */
static void flood(u32 target, u32 startup)
{
	const u64 to = (u64)target << 32;

	for (u64 late = timer_deadline(FLOOD_US); rdtsc() < late;) {
		for (u32 i = 0; i < INITS; i++)
			wrmsr(X2APIC_ICR, to | APIC_INIT);
		wrmsr(X2APIC_ICR, to | APIC_NMI);
		wrmsr(X2APIC_ICR, to | startup);
	}
}

/*
 * SDM "MP Initialization Protocol" and "Restrictions on VMX Operation": INIT is blocked in VMX root
 * operation; a CPU that left it would take the INIT, and the SIPI then. Bochs 2.7 forgets an INIT
 * that is blocked, so many are sent, to hit the moment; each round ends with a time in which the
 * target could look, were it free.
 */
PROBE_CASE(reset_init_sipi, "reset.init_sipi_flood", CASE_EXPLICIT)
{
	u64 start, end;
	u32 stack;

	SKIP_UNLESS(t, smp_count() > 1, "one CPU");
	SKIP_UNLESS(t, apic_is_x2apic(), "no x2apic on the command line");
	if (!hidden_range(t, &start, &end))
		return;
	stack = (u32)(u64)memory_pages(STACK_PAGES) + STACK_PAGES * PAGE_SIZE;
	print("# shutting CPU 1 down\n");
	for (;;) {
		struct cpu *cpu = smp_cpu(1);
		const u32 startup = APIC_STARTUP | (u32)(memory_low() >> PAGE_SHIFT);

		prepare_target(cpu, start, stack);
		apic_send(cpu->apic_id, APIC_INIT);
		apic_send(cpu->apic_id, startup);
		for (u64 late = timer_deadline(START_US); !shutting_down && rdtsc() < late;)
			cpu_pause();
		/* A stack for the one that finds itself free. */
		prepare_target(cpu, start, stack);
		flood(cpu->apic_id, startup);
		timer_wait(LOOK_US);
	}
}
