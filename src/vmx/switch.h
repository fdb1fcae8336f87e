/* SPDX-License-Identifier: BSD-2-Clause */
/* The way into the guest and back. The only code that runs with the guest's registers. */
#pragma once

#include <x86/types.h>

/* Numbered as instructions encode them, so that operands can index the array. */
enum gpr {
	GPR_RAX,
	GPR_RCX,
	GPR_RDX,
	GPR_RBX,
	GPR_RSP, /* not here: in the VMCS */
	GPR_RBP,
	GPR_RSI,
	GPR_RDI,
	GPR_R8,
	GPR_R15 = 15,
	GPR_COUNT,
};

/* The guest's general registers, saved on the stack by a VM exit. */
struct guest_regs {
	union {
		u64 gpr[GPR_COUNT];
		struct {
			u64 rax, rcx, rdx, rbx, rsp_unused, rbp, rsi, rdi;
			u64 r8, r9, r10, r11, r12, r13, r14, r15;
		};
	};
};

/* Enters the guest for the first time with these registers; from then on VM exits drive. */
_Noreturn void switch_launch(const struct guest_regs *regs);

/* Host RIP of every VM exit, from L1 and from L2. */
extern const u8 switch_vm_exit[], switch_vm_exit_l2[];

/* The last look at pending events before each entry, and the entry itself: see trap.c. */
extern const u8 switch_last_look[], switch_vmresume[];
extern const u8 switch_launch_last_look[], switch_vmlaunch[];
