/* SPDX-License-Identifier: BSD-2-Clause */
/* General registers, as instructions encode them. SDM "Instruction Format", REX prefixes. */
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
