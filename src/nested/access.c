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

u64 operand_register(const struct guest_regs *regs, const struct operand *operand, u8 reg)
{
	return operand->in_64bit_mode ? regs->gpr[reg] : (u32)regs->gpr[reg];
}

static void write_register(struct guest_regs *regs, const struct operand *operand, u64 value)
{
	if (!operand->in_64bit_mode)
		value = (u32)value;
	if (operand->reg1 == GPR_RSP)
		vmwriten(VMCS_GUEST_RSP, value);
	else
		regs->gpr[operand->reg1] = value;
}

/* The field a VMREAD or VMWRITE means; false: it failed and that is done. */
static bool access_field(struct vcpu *vcpu, u64 encoding, int *field)
{
	if (!vcpu->nested->current) {
		nested_fail_invalid();
		return false;
	}
	*field = encoding >> 32 ? -1 : field_index((u32)encoding);
	if (*field < 0 || !nested_caps.has_field[*field]) {
		nested_vmfail(vcpu, VMERR_UNSUPPORTED_FIELD);
		return false;
	}
	return true;
}

void vmread_of_l1(struct vcpu *vcpu, struct guest_regs *regs)
{
	const struct operand operand = operand_of_exit(regs);
	const u64 encoding = operand_register(regs, &operand, operand.reg2);
	int field;
	u64 value;

	if (!access_field(vcpu, encoding, &field))
		return;
	value = vmcs12_read(vcpu, vcpu->nested->current, (enum vmcs12_field)field);
	if (VMCS_FIELD_HIGH((u32)encoding))
		value >>= 32;
	if (operand.is_register)
		write_register(regs, &operand, value);
	else if (!operand_write(&operand, &value, operand.in_64bit_mode ? 8 : 4))
		return;
	nested_succeed();
}

void vmwrite_of_l1(struct vcpu *vcpu, struct guest_regs *regs)
{
	const struct operand operand = operand_of_exit(regs);
	const u64 encoding = operand_register(regs, &operand, operand.reg2);
	struct nested_vmcs *vmcs = vcpu->nested->current;
	u64 value = 0;
	int field;

	if (!access_field(vcpu, encoding, &field))
		return;
	if (field_info[field].type == VMCS_TYPE_READ_ONLY &&
	    !(nested_caps.misc & VMX_MISC_VMWRITE_RO)) {
		nested_vmfail(vcpu, VMERR_VMWRITE_READ_ONLY);
		return;
	}
	if (operand.is_register)
		value = operand_register(regs, &operand, operand.reg1);
	else if (!operand_read(&operand, &value, operand.in_64bit_mode ? 8 : 4))
		return;
	if (VMCS_FIELD_HIGH((u32)encoding))
		value = (vmcs12_read(vcpu, vmcs, (enum vmcs12_field)field) & BITS(31, 0)) |
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

/* SDM "VMREAD": whether an access of L2's is its own. L1 gets the others. */
static bool is_shadowed(const struct vmcs12 *v, u64 encoding, enum vmcs12_field bitmap)
{
	const bool secondary = v->f[F_PRIMARY_CONTROLS] & CPU_SECONDARY_CONTROLS;
	u8 bits;

	if (!secondary || !(v->f[F_SECONDARY_CONTROLS] & CPU2_VMCS_SHADOWING) ||
	    (encoding & ~BITS(14, 0)))
		return false;
	guest_memory_read(v->f[bitmap] + encoding / 8, &bits, sizeof(bits));
	return !(bits >> (encoding % 8) & 1);
}

/* The checks of the instruction; with `field` < 0 it has failed, and that is done. */
static enum l2_access shadow_field(struct vcpu *vcpu, u64 encoding, int *field)
{
	struct vmcs12 *v = vcpu->nested->current->vmcs12;

	*field = -1;
	if (instruction_cpl() > 0) {
		event_inject_gp0();
		return L2_ACCESS_FAULTED;
	}
	if (v->f[F_VMCS_LINK_POINTER] == NO_VMCS) {
		nested_fail_invalid();
		return L2_ACCESS_DONE;
	}
	*field = field_index((u32)encoding);
	if (*field >= 0 && nested_caps.has_field[*field])
		return L2_ACCESS_DONE;
	*field = -1;
	/* SDM "Conventions", VMfailValid: in the current VMCS, which is the one that runs L2. */
	v->f[F_VM_INSTRUCTION_ERROR] = VMERR_UNSUPPORTED_FIELD;
	nested_finish(RFLAGS_ZF);
	return L2_ACCESS_DONE;
}

enum l2_access vmread_of_l2(struct vcpu *vcpu, struct guest_regs *regs)
{
	const struct vmcs12 *v = vcpu->nested->current->vmcs12;
	const struct operand operand = operand_of_exit(regs);
	const u64 encoding = operand_register(regs, &operand, operand.reg2);
	enum l2_access access;
	u64 value;
	int field;

	if (!is_shadowed(v, encoding, F_VMREAD_BITMAP))
		return L2_ACCESS_IS_L1S;
	access = shadow_field(vcpu, encoding, &field);
	if (field < 0)
		return access;
	value = read_shadow(v->f[F_VMCS_LINK_POINTER], (enum vmcs12_field)field);
	if (VMCS_FIELD_HIGH((u32)encoding))
		value >>= 32;
	if (operand.is_register)
		write_register(regs, &operand, value);
	else if (!operand_write(&operand, &value, operand.in_64bit_mode ? 8 : 4))
		return L2_ACCESS_FAULTED;
	nested_succeed();
	return L2_ACCESS_DONE;
}

enum l2_access vmwrite_of_l2(struct vcpu *vcpu, struct guest_regs *regs)
{
	const struct vmcs12 *v = vcpu->nested->current->vmcs12;
	const struct operand operand = operand_of_exit(regs);
	const u64 encoding = operand_register(regs, &operand, operand.reg2);
	const paddr_t region = v->f[F_VMCS_LINK_POINTER];
	enum l2_access access;
	u64 value = 0;
	int field;

	if (!is_shadowed(v, encoding, F_VMWRITE_BITMAP))
		return L2_ACCESS_IS_L1S;
	access = shadow_field(vcpu, encoding, &field);
	if (field < 0)
		return access;
	if (operand.is_register)
		value = operand_register(regs, &operand, operand.reg1);
	else if (!operand_read(&operand, &value, operand.in_64bit_mode ? 8 : 4))
		return L2_ACCESS_FAULTED;
	if (VMCS_FIELD_HIGH((u32)encoding))
		value = (read_shadow(region, (enum vmcs12_field)field) & BITS(31, 0)) | value << 32;
	write_shadow(region, (enum vmcs12_field)field, value);
	nested_succeed();
	return L2_ACCESS_DONE;
}
