/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The per-CPU block, reached by GS base in root mode. Only its own CPU writes it, so nothing here
 * needs a lock.
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

#ifndef __ASSEMBLER__
#include <x86/gpr.h>
#include <x86/types.h>
#include <x86/vmx.h>

#include "lib/insn.h"
#include "mm/mtrr.h"
#include "vmx/capabilities.h"
#include "vmx/cpuid_filter.h"
#include "vmx/guest_linear.h"

/* SDM "Task Management in 64-bit Mode", figure "64-Bit TSS Format". */
struct __attribute__((packed)) tss {
	u32 reserved0;
	u64 rsp[3];
	u64 reserved1;
	u64 ist[7]; /* ist[0] is IST1 */
	u64 reserved2;
	u16 reserved3;
	u16 io_map_base;
};
_Static_assert(sizeof(struct tss) == 104, "64-bit TSS layout");

/* Instructions that Umbra itself executes, what nesting mostly costs. */
enum vmcs_counted {
	VMCS_COUNTED_READ,
	VMCS_COUNTED_WRITE,
	VMCS_COUNTED_LOAD,
	VMCS_COUNTED_CLEAR,
	VMCS_COUNTED
};

struct cpu {
	struct cpu *self;
	u8 pending_events; /* PENDING_*, set by the NMI and #MC handlers */
	bool in_guest_loop;
	u16 index; /* 0 is the boot processor */
	u32 apic_id;
	u64 stack_top;

	/* The guest's general registers while one of its VM exits is handled, else NULL. */
	struct guest_regs *regs;
	u32 exit_reason;  /* the exit being handled, with its flag bits */
	bool nmi_latched; /* for the guest: waits until it can be injected */
	bool mc_latched;
	bool is_bsp; /* IA32_APIC_BASE.BSP: INIT sends it to the firmware */
	bool vmx_on;
	volatile bool ready; /* set by an AP once it is in VMX operation */

	paddr_t vmxon_region;
	paddr_t vmcs01;
	struct nested *nested; /* NULL while the guest sees no VMX */
	u32 pin_controls;
	u32 primary_controls;
	u64 cr0_shadow, cr4_shadow; /* what vmcs01 has as read shadows */
	struct vmx_capabilities vmx;
	struct cpuid_hidden cpuid_hidden;
	struct mtrr_state mtrr; /* what the guest sees */
	struct guest_translation translation;

	u64 vmcs_count[VMCS_COUNTED]; /* if built to count them */
	u64 exits[REASON_COUNT];
	u64 l2_exits[REASON_COUNT]; /* seen by Umbra while L2 ran, L1's to handle or not */
	u64 hidden_reads;           /* pages of Umbra's the guest read for the first time */
	u64 hidden_writes;          /* its writes there, each answered with #GP */
	u64 microcode_refused;

	u64 gdt[5]; /* null, code, data, TSS (two slots) */
	struct tss tss;
};
_Static_assert(offsetof(struct cpu, pending_events) == CPU_PENDING_EVENTS_OFFSET, "see switch.S");
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

/* Bytes of memory a CPU needs, a multiple of the page size. */
u64 cpu_memory_size(void);

/*
 * Makes the block, stacks with guard pages and VMX regions of a CPU. Fails with a message when
 * memory is short.
 */
struct cpu *cpu_create(u16 index, u32 apic_id);

/* Makes a block this CPU's own: GDT, TSS, GS base, IDT. */
void cpu_load(struct cpu *cpu);
#endif
