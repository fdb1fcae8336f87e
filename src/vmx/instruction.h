/* SPDX-License-Identifier: BSD-2-Clause */
/* The end of an instruction that Umbra executed for the guest. */
#pragma once

#include <x86/cr.h>
#include <x86/msr.h>

#include "vmx/vmcs.h"

/* IA-32e mode with a 64-bit code segment. */
static inline bool instruction_in_64bit_mode(void)
{
	return (vmread64(VMCS_GUEST_EFER) & EFER_LMA) &&
	       (vmread32(VMCS_GUEST_CS_ACCESS_RIGHTS) & AR_L);
}

/* The current privilege level (SDM "Guest Register State": DPL of SS). */
static inline u32 instruction_cpl(void)
{
	return (u32)((vmread32(VMCS_GUEST_SS_ACCESS_RIGHTS) & AR_DPL) >> AR_DPL_SHIFT);
}

/*
 * SDM "Instruction-Breakpoint Exception Condition": a fault, and what comes between two iterations
 * of a string instruction, finds RF set, so that a code breakpoint on the instruction does not hit
 * again on return.
 */
static inline void instruction_set_resume_flag(void)
{
	vmwriten(VMCS_GUEST_RFLAGS, vmreadn(VMCS_GUEST_RFLAGS) | RFLAGS_RF);
}

/* instruction_done_with()'s rare part: RIP's upper half, shadows, RF, TF. */
void instruction_done_slow(u64 rflags, u32 interruptibility);

/*
 * Moves the guest behind the instruction that exited: RIP advances, a STI or MOV-SS shadow ends,
 * RF is cleared, and TF traps after it. SDM "Single-Step Exception Condition", "Interruptibility
 * State". `rflags` as the instruction found them.
 */
static inline void instruction_done_with(u64 rflags)
{
	const u64 old = vmreadn(VMCS_GUEST_RIP);
	const u64 rip = old + vmread32(VMCS_VM_EXIT_INSTRUCTION_LENGTH);
	const u32 interruptibility = vmread32(VMCS_GUEST_INTERRUPTIBILITY);

	vmwriten(VMCS_GUEST_RIP, rip);
	if (__builtin_expect(
		    (rflags & (RFLAGS_TF | RFLAGS_RF)) |
			    (interruptibility & (INTERRUPTIBILITY_STI | INTERRUPTIBILITY_MOV_SS)) |
			    (old ^ rip) >> 32,
		    0))
		instruction_done_slow(rflags, interruptibility);
}

static inline void instruction_done(void)
{
	instruction_done_with(vmreadn(VMCS_GUEST_RFLAGS));
}

/*
 * The end of one iteration of an instruction that has more to do: RIP stays, and RF, so that no
 * breakpoint hits the instruction again; a shadow ends, TF traps.
 */
void instruction_iteration_done(void);
