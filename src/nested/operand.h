/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Operands of VMX instructions, from the VM-exit instruction information. SDM "Information for VM
 * Exits Due to Instruction Execution". Pure.
 */
#pragma once

#include <x86/vmcs.h>

#include "vmx/switch.h"

struct operand {
	bool is_register;
	u8 reg1; /* the register operand, if is_register */
	u8 reg2; /* the other, register-only operand */
	enum segment segment;
	u64 offset;         /* effective address, truncated to the address size */
	bool in_64bit_mode; /* not decoded: whoever asks for the operand knows */
};

/* Segment state that the address of a memory operand depends on. */
struct operand_segment {
	u64 base;
	u32 limit;
	u32 access_rights;
};

/* What else its linear address depends on, of the guest's. */
struct operand_mode {
	bool in_64bit_mode;
	u64 cr3, cr4; /* in 64-bit mode */
};

enum operand_fault {
	OPERAND_OK,
	OPERAND_GP, /* #GP(0) */
	OPERAND_SS, /* #SS(0) */
};

/*
 * Decodes `info` (exit field VM-exit instruction information) and `displacement` (exit
 * qualification). `regs` with RSP's slot filled in.
 */
struct operand operand_decode(u32 info, u64 displacement, const struct guest_regs *regs);

/*
 * The linear address of `size` bytes there, read or written. Faults as SDM "Limit Checking", "Type
 * Checking" and "Canonical Addressing" say, and masks as "Linear-Address Masking" does.
 */
enum operand_fault operand_linear(const struct operand *operand,
				  const struct operand_segment *segment,
				  const struct operand_mode *mode, bool write, u32 size,
				  u64 *linear);
