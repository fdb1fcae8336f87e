/* SPDX-License-Identifier: BSD-2-Clause */
#include "smp/trap.h"

#include <x86/cr.h>
#include <x86/descriptor.h>

#include "lib/insn.h"
#include "smp/cpu.h"
#include "smp/panic.h"
#include "smp/stop.h"

enum { STUB_SIZE = 16 };

extern const u8 trap_stubs[];
extern const struct extable_entry extable_start[], extable_end[];

/*
 * Code that looks at pending_events and enters the guest (RESTART in vmx/switch.S): from its first
 * instruction to the VM entry itself, both included.
 */
struct restart_range {
	u64 first;
	u64 last;
};
extern const struct restart_range restart_start[], restart_end[];

static struct idt_gate idt[TRAP_VECTORS];

void trap_init(bool with_ist, u16 code_selector)
{
	for (u32 v = 0; v < TRAP_VECTORS; v++)
		idt_gate_set(&idt[v], code_selector, (u64)(trap_stubs + v * STUB_SIZE));
	if (with_ist) {
		idt[VECTOR_NMI].ist = IST_NMI;
		idt[VECTOR_DF].ist = IST_DF;
		idt[VECTOR_MC].ist = IST_MC;
	}
}

void trap_load(void)
{
	const struct table_pointer pointer = {.limit = sizeof(idt) - 1, .base = (u64)idt};

	lidt(&pointer);
}

static bool fix_up(struct trap_frame *frame)
{
	for (const struct extable_entry *e = extable_start; e < extable_end; e++) {
		if (e->fault == frame->rip) {
			frame->rip = e->fixup;
			return true;
		}
	}
	return false;
}

/*
 * An event that belongs to the guest arrived while Umbra ran: it is remembered here and injected
 * on the way back. Between the last look at the flags and VMRESUME it would be overlooked, so the
 * interrupted code is sent back to that look.
 */
static void defer_to_guest(struct trap_frame *frame, u8 event)
{
	this_cpu()->pending_events |= event;
	for (const struct restart_range *r = restart_start; r < restart_end; r++)
		if (frame->rip >= r->first && frame->rip <= r->last)
			frame->rip = r->first;
}

void trap_handle(struct trap_frame *frame)
{
	if (frame->vector == VECTOR_NMI && this_cpu_ready()) {
		if (stop_is_urgent())
			stop_here();
		/* Another CPU's, so that this one looks. */
		defer_to_guest(frame, stop_is_due() ? 0 : PENDING_NMI);
	} else if (frame->vector == VECTOR_MC && this_cpu_ready() && this_cpu()->in_guest_loop) {
		defer_to_guest(frame, PENDING_MC);
	} else if (!fix_up(frame)) {
		panic_trap(frame);
	}
}
