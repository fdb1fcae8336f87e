/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The guest's CPU: the per-CPU block with all that VM exits change. Only its own CPU writes to it,
 * so nothing here needs a lock.
 */
#pragma once

#include <x86/gpr.h>
#include <x86/types.h>
#include <x86/vmx.h>

#include "mm/mtrr.h"
#include "smp/cpu.h"
#include "vmx/capabilities.h"
#include "vmx/cpuid_filter.h"
#include "vmx/guest_linear.h"
#include "vmx/msr_bits.h"
#include "vmx/speculation.h"
#include "vmx/switch.h"

/* VMX instructions that Umbra executes, counted: most of what nesting costs. */
enum vmcs_counted {
	VMCS_COUNTED_READ,
	VMCS_COUNTED_WRITE,
	VMCS_COUNTED_LOAD,
	VMCS_COUNTED_CLEAR,
	VMCS_COUNTED
};

struct guest_level;

struct vcpu {
	struct cpu cpu; /* first: GS base points here */

	/* What the guest is doing, up to `is_bsp`: a RESET clears it as one. */
	const struct guest_level *level; /* set while L2 runs: see guest_level.h */
	/* Where exits put the guest's general registers; NULL before the first exit. */
	struct guest_regs *regs;
	u32 exit_reason;  /* the exit being handled; with its flag bits if it is L2's */
	bool nmi_latched; /* for the guest: waits until it can be injected */
	bool mc_latched;
	bool starting;            /* by a SIPI, and it has run nothing yet */
	bool launched;            /* vmcs01: set when L1's VMXON exits, as it has been by then */
	bool init_blocked;        /* the guest is in VMX root operation … */
	bool init_held;           /* … and an INIT has come meanwhile */
	bool xd_disabled;         /* the guest's IA32_MISC_ENABLE says so; the CPU's never does */
	u64 cr0_fixed, cr4_fixed; /* bits that the guest cannot clear, being in VMX operation */
	struct guest_translation translation[2]; /* of a read and a write: enum guest_access_type */

	bool is_bsp; /* IA32_APIC_BASE.BSP: INIT sends it to the firmware */
	paddr_t vmxon_region;
	paddr_t vmcs01;
	struct nested *nested; /* nested's own; NULL while the guest sees no VMX */
	u32 pin_controls;
	u32 primary_controls;
	u64 cr0_shadow, cr4_shadow; /* what vmcs01 has as read shadows */
	struct vmx_capabilities vmx;
	struct cpuid_hidden cpuid_hidden;
	struct msr_bits msr_bits;
	struct speculation speculation;
	struct mtrr_state mtrr; /* what the guest sees */
	u8 maxphyaddr;          /* what its paging takes: phys_width_address() */

	u64 vmcs_count[VMCS_COUNTED]; /* if built to count them */
	u64 exits[REASON_COUNT];
	u64 l2_exits[REASON_COUNT]; /* seen by Umbra while L2 ran, L1's to handle or not */
	u64 hidden_reads;           /* pages of Umbra's the guest read for the first time */
	u64 hidden_writes;          /* its writes there, each answered with #GP */
	u64 unexpected_exits; /* of reasons that Umbra does not know, each answered with #UD */
};
_Static_assert(offsetof(struct vcpu, cpu) == 0, "this_vcpu() is this_cpu()");
_Static_assert(offsetof(struct vcpu, level) == VCPU_LEVEL_OFFSET, "see switch.S");

static inline struct vcpu *this_vcpu(void)
{
	return (struct vcpu *)this_cpu();
}

/* Bytes of memory that each needs, a multiple of the page size. */
u64 vcpu_memory_size(void);

/* The CPU has been reset: nothing of what the guest did on it counts any more. */
void vcpu_forget(struct vcpu *vcpu);

/* Makes a CPU's block, stacks and VMX regions. Stops with a message when memory is short. */
struct vcpu *vcpu_create(u16 index, u32 apic_id);
