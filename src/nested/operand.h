/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Operands of VMX instructions, from the VM-exit instruction information. SDM "Information for VM
 * Exits Due to Instruction Execution". Pure.
 */
#pragma once

#include <x86/vmcs.h>

#include "vmx/instruction.h"
#include "vmx/segment.h"
#include "vmx/switch.h"

struct operand {
	bool is_register;
	u8 reg1; /* the register operand, if is_register */
	u8 reg2; /* the other, register-only operand */
	enum segment segment;
	u64 offset;         /* effective address, truncated to the address size */
	bool in_64bit_mode; /* not decoded: whoever asks for the operand knows */
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
				  const struct segment_descriptor *segment,
				  const struct operand_mode *mode, bool write, u32 size,
				  u64 *linear);

/* The operands of the VMX instruction that exited. */
static inline struct operand operand_of_exit(struct guest_regs *regs)
{
	struct operand operand;

	regs->rsp_unused = vmreadn(VMCS_GUEST_RSP);
	operand = operand_decode(vmread32(VMCS_VM_EXIT_INSTRUCTION_INFO),
				 vmreadn(VMCS_EXIT_QUALIFICATION), regs);
	operand.in_64bit_mode = instruction_in_64bit_mode();
	return operand;
}

/* A register operand: operand_access.c. */
u64 operand_register(const struct guest_regs *regs, const struct operand *operand, u8 reg);
void operand_set_register(struct guest_regs *regs, const struct operand *operand, u64 value);

/* The one in memory. False: the fault has been raised. */
bool operand_read(const struct operand *operand, void *dst, u32 size);
bool operand_write(const struct operand *operand, const void *src, u32 size);
