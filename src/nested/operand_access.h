/* SPDX-License-Identifier: BSD-2-Clause */
/* The operands of the VMX instruction that exited, of L1 or L2: what they are, and their values. */
#pragma once

#include "nested/operand.h"
#include "vmx/instruction.h"
#include "vmx/translation.h"

static inline struct operand operand_of_exit(struct guest_regs *regs)
{
	struct operand operand;

	regs->rsp_unused = vmreadn(VMCS_GUEST_RSP);
	operand = operand_decode(vmread32(VMCS_VM_EXIT_INSTRUCTION_INFO),
				 vmreadn(VMCS_EXIT_QUALIFICATION), regs);
	operand.in_64bit_mode = instruction_in_64bit_mode();
	return operand;
}

/* A register operand. */
u64 operand_register(const struct guest_regs *regs, const struct operand *operand, u8 reg);
void operand_set_register(struct guest_regs *regs, const struct operand *operand, u64 value);

/*
 * One in memory, with CPL 0, by the guest's segments and page tables. False: the fault has been
 * raised.
 */
bool operand_write_at(const struct operand *operand, const void *src, u32 size);

/* The same of the instruction that exited. */
bool operand_walk_and_read(struct guest_regs *regs, void *dst, u32 size);
bool operand_walk_and_write(struct guest_regs *regs, const void *src, u32 size);

/*
 * Umbra's pointer to it where that is quick to find, else NULL. An address on a page that was
 * translated is canonical, and linear-address masking leaves it as it is.
 */
static inline void *operand_recall(struct guest_regs *regs, enum guest_access_type type, u32 size)
{
	const struct vcpu *vcpu = this_vcpu();
	const u32 info = vmread32(VMCS_VM_EXIT_INSTRUCTION_INFO);

	if (!operand_is_plain(info) || vcpu->level)
		return NULL;
	regs->rsp_unused = vmreadn(VMCS_GUEST_RSP);
	return translation_recall(
		vcpu, operand_offset(info, vmreadn(VMCS_EXIT_QUALIFICATION), regs), size, type);
}

/* The same, either way. */
static inline bool operand_read(struct guest_regs *regs, void *dst, u32 size)
{
	const void *known = operand_recall(regs, GUEST_READ, size);

	if (!known)
		return operand_walk_and_read(regs, dst, size);
	__builtin_memcpy(dst, known, size);
	return true;
}

static inline bool operand_write(struct guest_regs *regs, const void *src, u32 size)
{
	void *known = operand_recall(regs, GUEST_WRITE, size);

	if (!known)
		return operand_walk_and_write(regs, src, size);
	__builtin_memcpy(known, src, size);
	return true;
}
