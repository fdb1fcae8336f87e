/* SPDX-License-Identifier: BSD-2-Clause */
/* The way into the guest and back. The only code that runs with the guest's registers. */
#pragma once

/* Offset of struct vcpu's `level`, by GS base: not 0 while L2 runs. */
#define VCPU_LEVEL_OFFSET 176

#ifndef __ASSEMBLER__
#include <x86/gpr.h>
#include <x86/types.h>

/* Enters the guest for the first time with these registers; from then on VM exits drive. */
_Noreturn void switch_launch(const struct guest_regs *regs);

/* The same with all of them 0. */
_Noreturn static inline void switch_launch_cleared(void)
{
	static const struct guest_regs no_registers;

	switch_launch(&no_registers);
}

/* Host RIP of every VM exit from L1. */
extern const u8 switch_vm_exit[];
#endif
