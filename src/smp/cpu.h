/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The per-CPU block, reached by GS base in root mode. Once its CPU runs only that one writes it,
 * but for `stop`: nothing here needs a lock.
 */
#pragma once

#define SELECTOR_CODE 0x08
#define SELECTOR_DATA 0x10
#define SELECTOR_TSS  0x18

/* Events for the guest that came while Umbra ran. */
#define PENDING_NMI 0x01
#define PENDING_MC  0x02

/* For the assembly in vmx/switch.S and smp/trampoline.S. */
#define CPU_PENDING_EVENTS_OFFSET 8
#define CPU_STACK_TOP_OFFSET      16

/* Of the word at pending_events: everything that must be seen to before the guest runs. */
#define CPU_DUE (PENDING_NMI | PENDING_MC | 0xff00)

/* What each VM entry on this CPU has to do first: see vmx/speculation.h. */
#define ENTRY_CLEAR_BUFFERS 0x01
#define ENTRY_FLUSH_L1D     0x02

/* The same in the word at pending_events, so that one test sees both. */
#define CPU_ENTRY_WORK_SHIFT 16
#define CPU_ENTRY_WORK       (0xff << CPU_ENTRY_WORK_SHIFT)

#ifndef __ASSEMBLER__
#include <x86/descriptor.h>
#include <x86/types.h>

#include "lib/insn.h"

/* Higher rooms extend it: a structure of theirs begins with this one. */
struct cpu {
	struct cpu *self;
	u8 pending_events; /* PENDING_*, set by the NMI and #MC handlers */
	u8 stop;           /* STOP_*, written by the CPU that stops all others: smp/stop.h */
	u8 entry_work;     /* ENTRY_*, constant once the CPU is set up */
	u32 apic_id;
	u64 stack_top;
	u16 index; /* 0 is the boot processor */
	bool stopped;
	bool waits_for_sipi; /* in the guest, where nothing but a start-up IPI reaches it */
	bool in_guest_loop;
	bool vmx_on;
	volatile bool ready; /* set by an AP once it has prepared itself */

	u64 gdt[5]; /* null, code, data, TSS (two slots) */
	struct tss64 tss;
};
_Static_assert(offsetof(struct cpu, pending_events) == CPU_PENDING_EVENTS_OFFSET, "see switch.S");
_Static_assert(offsetof(struct cpu, stop) == CPU_PENDING_EVENTS_OFFSET + 1, "see CPU_DUE");
_Static_assert(offsetof(struct cpu, entry_work) ==
		       CPU_PENDING_EVENTS_OFFSET + CPU_ENTRY_WORK_SHIFT / 8,
	       "see CPU_ENTRY_WORK");
_Static_assert(offsetof(struct cpu, stack_top) == CPU_STACK_TOP_OFFSET, "see trampoline.S");

/* Every CPU the firmware reports; the boot processor is the first. */
extern struct cpu **cpus;
extern u32 cpu_count;

static inline struct cpu *this_cpu(void)
{
	return gs_self();
}

/* Whether this CPU has its block already: not during early boot. */
bool this_cpu_ready(void);

/* Bytes of memory a CPU needs whose block has `block_size` bytes: a multiple of the page size. */
u64 cpu_memory_size(u64 block_size);

/*
 * Makes a CPU's block, of `block_size` bytes that begin with a struct cpu and are zero after it,
 * and its stacks with guard pages. NULL when memory is short.
 */
struct cpu *cpu_create(u16 index, u32 apic_id, u64 block_size);

/* After S3: clears what the block says of a CPU that has lost its state; before it runs. */
void cpu_forget(struct cpu *cpu);

/* Makes a block this CPU's own: GDT, TSS, GS base, IDT. */
void cpu_load(struct cpu *cpu);
#endif
