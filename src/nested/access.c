/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * VMREAD and VMWRITE: of L1, for its current VMCS; and of L2, where L1 uses VMCS shadowing, for the
 * VMCS that L1's link pointer names. That one is not cached here: Umbra reads it in L1's page.
 */
#include <x86/cr.h>

#include "mm/guest_memory.h"
#include "nested/operand.h"
#include "nested/state.h"
#include "vmx/event.h"
#include "vmx/instruction.h"
#include "vmx/vmcs.h"

u64 operand_register(const struct guest_regs *regs, u8 reg)
{
	return instruction_in_64bit_mode() ? regs->gpr[reg] : (u32)regs->gpr[reg];
}

static void write_register(struct guest_regs *regs, u8 reg, u64 value)
{
	if (!instruction_in_64bit_mode())
		value = (u32)value;
	if (reg == GPR_RSP)
		vmwriten(VMCS_GUEST_RSP, value);
	else
		regs->gpr[reg] = value;
}

/* The field a VMREAD or VMWRITE means; false: it failed and that is done. */
static bool access_field(struct cpu *cpu, u64 encoding, int *field)
{
	if (!cpu->nested->current) {
		nested_fail_invalid();
		return false;
	}
	*field = encoding >> 32 ? -1 : field_index((u32)encoding);
	if (*field < 0 || !nested_caps.has_field[*field]) {
		nested_vmfail(cpu, VMERR_UNSUPPORTED_FIELD);
		return false;
	}
	return true;
}

void vmread_of_l1(struct cpu *cpu, struct guest_regs *regs)
{
	const struct operand operand = operand_of_exit(regs);
	const u64 encoding = operand_register(regs, operand.reg2);
	int field;
	u64 value;

	if (!access_field(cpu, encoding, &field))
		return;
	value = vmcs12_read(cpu, cpu->nested->current, (enum vmcs12_field)field);
	if (VMCS_FIELD_HIGH((u32)encoding))
		value >>= 32;
	if (operand.is_register)
		write_register(regs, operand.reg1, value);
	else if (!operand_write(&operand, &value, instruction_in_64bit_mode() ? 8 : 4))
		return;
	nested_succeed();
}

void vmwrite_of_l1(struct cpu *cpu, struct guest_regs *regs)
{
	const struct operand operand = operand_of_exit(regs);
	const u64 encoding = operand_register(regs, operand.reg2);
	struct nested_vmcs *vmcs = cpu->nested->current;
	u64 value = 0;
	int field;

	if (!access_field(cpu, encoding, &field))
		return;
	if (field_info[field].type == VMCS_TYPE_READ_ONLY &&
	    !(nested_caps.misc & VMX_MISC_VMWRITE_RO)) {
		nested_vmfail(cpu, VMERR_VMWRITE_READ_ONLY);
		return;
	}
	if (operand.is_register)
		value = operand_register(regs, operand.reg1);
	else if (!operand_read(&operand, &value, instruction_in_64bit_mode() ? 8 : 4))
		return;
	if (VMCS_FIELD_HIGH((u32)encoding))
		value = (vmcs12_read(cpu, vmcs, (enum vmcs12_field)field) & BITS(31, 0)) |
			value << 32;
	vmcs12_write(vmcs, (enum vmcs12_field)field, value);
	nested_succeed();
}

static paddr_t field_at(paddr_t region, enum vmcs12_field field)
{
	return region + offsetof(struct vmcs12, f) + field * sizeof(u64);
}

static u64 read_shadow(paddr_t region, enum vmcs12_field field)
{
	u64 value;

	guest_memory_read(field_at(region, field), &value, sizeof(value));
	return field_truncate(field, value);
}

static void write_shadow(paddr_t region, enum vmcs12_field field, u64 value)
{
	value = field_truncate(field, value);
	guest_memory_write(field_at(region, field), &value, sizeof(value));
}

/*
 * SDM "VMREAD": whether an access of L2's is its own. L1 gets the others, and those with an operand
 * in memory that only ept12 can translate.
 */
static bool is_shadowed(const struct vmcs12 *v, const struct operand *operand, u64 encoding,
			enum vmcs12_field bitmap)
{
	const bool secondary = v->f[F_PRIMARY_CONTROLS] & CPU_SECONDARY_CONTROLS;
	u8 bits;

	if (!secondary || !(v->f[F_SECONDARY_CONTROLS] & CPU2_VMCS_SHADOWING) ||
	    (encoding & ~BITS(14, 0)))
		return false;
	if (!operand->is_register && (v->f[F_SECONDARY_CONTROLS] & CPU2_EPT))
		return false;
	guest_memory_read(v->f[bitmap] + encoding / 8, &bits, sizeof(bits));
	return !(bits >> (encoding % 8) & 1);
}

/* The checks of the instruction. False: it has failed, and that is done. */
static bool shadow_field(paddr_t region, u64 encoding, int *field)
{
	if (instruction_cpl() > 0) {
		event_inject_gp0();
		return false;
	}
	if (region == NO_VMCS) {
		nested_fail_invalid();
		return false;
	}
	*field = field_index((u32)encoding);
	if (*field >= 0 && nested_caps.has_field[*field])
		return true;
	write_shadow(region, F_VM_INSTRUCTION_ERROR, VMERR_UNSUPPORTED_FIELD);
	nested_finish(RFLAGS_ZF);
	return false;
}

bool vmread_of_l2(struct cpu *cpu, struct guest_regs *regs)
{
	const struct vmcs12 *v = cpu->nested->current->vmcs12;
	const struct operand operand = operand_of_exit(regs);
	const u64 encoding = operand_register(regs, operand.reg2);
	u64 value;
	int field;

	if (!is_shadowed(v, &operand, encoding, F_VMREAD_BITMAP))
		return false;
	if (!shadow_field(v->f[F_VMCS_LINK_POINTER], encoding, &field))
		return true;
	value = read_shadow(v->f[F_VMCS_LINK_POINTER], (enum vmcs12_field)field);
	if (VMCS_FIELD_HIGH((u32)encoding))
		value >>= 32;
	if (operand.is_register)
		write_register(regs, operand.reg1, value);
	else if (!operand_write(&operand, &value, instruction_in_64bit_mode() ? 8 : 4))
		return true;
	nested_succeed();
	return true;
}

bool vmwrite_of_l2(struct cpu *cpu, struct guest_regs *regs)
{
	const struct vmcs12 *v = cpu->nested->current->vmcs12;
	const struct operand operand = operand_of_exit(regs);
	const u64 encoding = operand_register(regs, operand.reg2);
	const paddr_t region = v->f[F_VMCS_LINK_POINTER];
	u64 value = 0;
	int field;

	if (!is_shadowed(v, &operand, encoding, F_VMWRITE_BITMAP))
		return false;
	if (!shadow_field(region, encoding, &field))
		return true;
	if (operand.is_register)
		value = operand_register(regs, operand.reg1);
	else if (!operand_read(&operand, &value, instruction_in_64bit_mode() ? 8 : 4))
		return true;
	if (VMCS_FIELD_HIGH((u32)encoding))
		value = (read_shadow(region, (enum vmcs12_field)field) & BITS(31, 0)) | value << 32;
	write_shadow(region, (enum vmcs12_field)field, value);
	nested_succeed();
	return true;
}
