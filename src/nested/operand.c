/* SPDX-License-Identifier: BSD-2-Clause */
#include "nested/operand.h"

#include <x86/cr.h>
#include <x86/paging.h>

#include "vmx/guest_linear.h"

struct operand operand_decode(u32 info, u64 displacement, const struct guest_regs *regs)
{
	struct operand operand = {
		.is_register = info & INFO_REGISTER,
		.reg1 = (info >> INFO_REG1_SHIFT) & INFO_REGISTER_MASK,
		.reg2 = (u8)(info >> INFO_REG2_SHIFT),
		.segment = (enum segment)((info >> INFO_SEGMENT_SHIFT) & 7),
	};

	if (operand.is_register)
		return operand;
	operand.offset = operand_offset(info, displacement, regs);
	switch ((info >> INFO_ADDRESS_SIZE_SHIFT) & INFO_ADDRESS_SIZE) {
	case 0:
		operand.offset = (u16)operand.offset;
		break;
	case 1:
		operand.offset = (u32)operand.offset;
		break;
	default:
		break;
	}
	return operand;
}

static bool type_allows(u32 access_rights, bool write)
{
	if (access_rights & TYPE_CODE)
		return !write && (access_rights & TYPE_CODE_READABLE);
	return !write || (access_rights & TYPE_DATA_WRITABLE);
}

enum operand_fault operand_linear(const struct operand *operand,
				  const struct segment_descriptor *segment,
				  const struct operand_mode *mode, bool write, u32 size,
				  u64 *linear)
{
	const enum operand_fault fault = operand->segment == SEG_SS ? OPERAND_SS : OPERAND_GP;

	if (mode->in_64bit_mode) {
		const u8 width = mode->cr4 & CR4_LA57 ? 57 : 48;

		*linear = operand->offset;
		if (operand->segment == SEG_FS || operand->segment == SEG_GS)
			*linear += segment->base;
		*linear = guest_linear_masked(*linear, mode->cr3, mode->cr4);
		return linear_is_canonical(*linear, width) &&
				       linear_is_canonical(*linear + size - 1, width)
			       ? OPERAND_OK
			       : fault;
	}
	if (segment->access_rights & AR_UNUSABLE)
		return fault;
	if (!type_allows(segment->access_rights, write))
		return OPERAND_GP;
	if (!segment_contains(segment, operand->offset, size))
		return fault;
	*linear = (u32)(segment->base + operand->offset);
	return OPERAND_OK;
}
