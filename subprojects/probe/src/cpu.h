/* SPDX-License-Identifier: BSD-2-Clause */
/* What this kernel keeps about each logical processor. */
#pragma once

#include <x86/descriptor.h>

#include "defs.h"

/* Callee-saved state, as context_save() in vectors.S lays it out. */
struct context {
	u64 rbx, rbp, r12, r13, r14, r15, rsp, rip;
};
_Static_assert(offsetof(struct context, rip) == 56, "vectors.S knows the layout");

/* The stack as vector_common in vectors.S leaves it. */
struct frame {
	u64 r15, r14, r13, r12, r11, r10, r9, r8, rdi, rsi, rbp, rbx, rdx, rcx, rax;
	u64 vector, error;
	u64 rip, cs, rflags, rsp, ss;
};
_Static_assert(offsetof(struct frame, vector) == 120, "vectors.S knows the layout");

/* An exception that an instruction under test raised, or none. */
struct fault {
	bool raised;
	u8 vector;
	u32 error;
	u64 rip;
	u64 cr2;
};

enum {
	GDT_ENTRIES = 16,
	IRQ_LOG = 8,
	DB_LOG = 8,
	EXCEPTIONS = 32,
};

struct cpu;
/* Returns true when it has dealt with the exception. Runs in exception context. */
typedef bool trap_hook(struct cpu *cpu, struct frame *f);

struct debug_event {
	u64 rip;
	u64 dr6;
	u64 rflags;
};

struct cpu {
	struct cpu *self; /* at GS:0 */
	u32 index;
	u32 apic_id;
	bool lost; /* did not come back from a call: no longer used */

	u64 gdt[GDT_ENTRIES];
	struct tss64 tss;

	struct fault fault;
	struct context *guard; /* where an unexpected exception goes, or NULL */
	struct context user;   /* where a trap out of ring 3 goes */
	trap_hook *hook[EXCEPTIONS];

	u64 nmi_stack; /* its top while no NMI is being handled */
	volatile u64 nmi_count;
	volatile u32 nmi_depth;
	volatile u32 nmi_max_depth;
	void (*nmi_hook)(struct cpu *cpu); /* called in the handler, NMIs blocked */

	volatile u32 irq_count[256];
	volatile u32 irq_total;
	u64 irq_rip[IRQ_LOG]; /* of the last IRQ_LOG interrupts, at irq_total % IRQ_LOG */

	struct debug_event db[DB_LOG];
	u32 db_count;
	u32 db_limit; /* TF is cleared in the frame once this many were logged */

	void (*volatile work)(void *);
	void *volatile work_arg;
	volatile bool work_faulted;
};

/* The CPU this runs on. */
static inline struct cpu *this_cpu(void)
{
	struct cpu *cpu;

	asm volatile("mov %%gs:0, %0" : "=r"(cpu));
	return cpu;
}
