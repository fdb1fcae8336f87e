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
	bool in_64bit_mode; /* operand_decode() leaves it: set by operand_of_exit() */
};

/* What else its linear address depends on, of the guest's. */
struct operand_mode {
	bool in_64bit_mode;
	u64 cr3, cr4; /* in 64-bit mode */
};

/* The exception, with error code 0. */
enum operand_fault { OPERAND_OK, OPERAND_GP = VECTOR_GP, OPERAND_SS = VECTOR_SS };

/* Layout of the instruction information, common to all VMX instructions with operands. */
enum {
	INFO_SCALE = 3,
	INFO_REG1_SHIFT = 3,
	INFO_ADDRESS_SIZE_SHIFT = 7,
	INFO_ADDRESS_SIZE = 7,
	INFO_ADDRESS_SIZE_64 = 2,
	INFO_REGISTER = 1 << 10,
	INFO_SEGMENT_SHIFT = 15,
	INFO_SEGMENT_FS_GS = 4 << INFO_SEGMENT_SHIFT,
	INFO_INDEX_SHIFT = 18,
	INFO_INDEX_INVALID = 1 << 22,
	INFO_BASE_SHIFT = 23,
	INFO_BASE_INVALID = 1 << 27,
	INFO_REG2_SHIFT = 28,
	INFO_REGISTER_MASK = 15,
};

/* Memory by a 64-bit address, as there are in 64-bit mode alone, in a segment without a base. */
static inline bool operand_is_plain(u32 info)
{
	const u32 size = INFO_ADDRESS_SIZE << INFO_ADDRESS_SIZE_SHIFT;

	return (info & (INFO_REGISTER | INFO_SEGMENT_FS_GS | size)) ==
	       INFO_ADDRESS_SIZE_64 << INFO_ADDRESS_SIZE_SHIFT;
}

/* The effective address before it is truncated; arguments as operand_decode() has them. */
static inline u64 operand_offset(u32 info, u64 displacement, const struct guest_regs *regs)
{
	u64 offset = displacement;

	if (!(info & INFO_BASE_INVALID))
		offset += regs->gpr[(info >> INFO_BASE_SHIFT) & INFO_REGISTER_MASK];
	if (!(info & INFO_INDEX_INVALID))
		offset += regs->gpr[(info >> INFO_INDEX_SHIFT) & INFO_REGISTER_MASK]
			  << (info & INFO_SCALE);
	return offset;
}

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
