/* SPDX-License-Identifier: BSD-2-Clause */
/* Exceptions and NMIs that hit Umbra itself. The guest's never come here. */
#pragma once

#include <x86/gpr.h>
#include <x86/types.h>

/* As trap.S pushes it: the last pushed first. The slot for RSP in `regs` is unused. */
struct trap_frame {
	struct guest_regs regs;
	u64 vector;
	u64 error_code;
	u64 rip, cs, rflags, rsp, ss;
};

enum { TRAP_VECTORS = 32 };

/* Interrupt-stack-table slots: these events may come while RSP cannot be trusted. */
enum trap_ist {
	IST_NONE,
	IST_NMI,
	IST_DF,
	IST_MC,
};

/*
 * Builds the IDT, one for all CPUs, for handlers with this CS. with_ist: NMI, #DF and #MC on stacks
 * of their own, which takes a TSS: no CPU may run with it before its cpu_load().
 */
void trap_init(bool with_ist, u16 code_selector);

/* Loads it on this CPU. */
void trap_load(void);

/* From trap.S. */
void trap_handle(struct trap_frame *frame);
