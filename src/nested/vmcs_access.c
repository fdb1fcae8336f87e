/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * VMREAD and VMWRITE: of L1, for its current VMCS; and of L2, where L1 uses VMCS shadowing, for the
 * VMCS that L1's link pointer names. That one is not cached here: Umbra reads it in L1's page.
 */
#include "lib/insn.h"
#include "mm/guest_memory.h"
#include "nested/instructions.h"
#include "nested/l2_exit.h"
#include "nested/operand_access.h"
#include "nested/state.h"
#include "nested/vmcs12_cache.h"
#include "vmx/event.h"
#include "vmx/instruction.h"

/* One body for L1 and L2 to read; each gets its own code, since L1 waits for every instruction. */
#define BODY __attribute__((always_inline)) static inline

static paddr_t linked_field(const struct vcpu *vcpu, enum vmcs12_field field)
{
	return vcpu->nested->current->vmcs12->f[F_VMCS_LINK_POINTER] + offsetof(struct vmcs12, f) +
	       field * sizeof(u64);
}

BODY u64 read_field(struct vcpu *vcpu, bool linked, enum vmcs12_field field)
{
	u64 value;

	if (!linked)
		return vmcs12_read(vcpu, vcpu->nested->current, field);
	guest_memory_read(linked_field(vcpu, field), &value, sizeof(value));
	return field_truncate(field, value);
}

BODY void write_field(struct vcpu *vcpu, bool linked, enum vmcs12_field field, u64 value)
{
	value = field_truncate(field, value);
	if (linked)
		guest_memory_write(linked_field(vcpu, field), &value, sizeof(value));
	else
		vmcs12_write(vcpu->nested->current, field, value);
}

/*
 * The field that is meant. An error of L2's is one in the current VMCS too, the one that runs L2
 * (SDM "Conventions", VMfailValid).
 */
BODY int find_field(struct vcpu *vcpu, bool linked, bool write, u64 encoding,
		    enum vmcs12_field *field)
{
	const struct nested_vmcs *current = vcpu->nested->current;
	const int index = encoding >> 32 ? -1 : field_index((u32)encoding);

	if (!current || (linked && current->vmcs12->f[F_VMCS_LINK_POINTER] == NO_VMCS))
		return VM_FAIL_INVALID;
	if (index < 0 || !nested_caps.has_field[index])
		return VMERR_UNSUPPORTED_FIELD;
	if (write && field_info[index].type == VMCS_TYPE_READ_ONLY &&
	    !(nested_caps.misc & VMX_MISC_VMWRITE_RO))
		return VMERR_VMWRITE_READ_ONLY;
	*field = (enum vmcs12_field)index;
	return VM_SUCCEED;
}

BODY int vmread_body(struct vcpu *vcpu, struct guest_regs *regs, bool linked)
{
	const struct operand operand = operand_of_exit(regs);
	const u64 encoding = operand_register(regs, &operand, operand.reg2);
	enum vmcs12_field field;
	const int error = find_field(vcpu, linked, false, encoding, &field);
	u64 value;

	if (error != VM_SUCCEED)
		return error;
	value = read_field(vcpu, linked, field);
	if (VMCS_FIELD_HIGH((u32)encoding))
		value >>= 32;
	if (operand.is_register)
		operand_set_register(regs, &operand, value);
	else if (!operand_write(regs, &value, operand.in_64bit_mode ? 8 : 4))
		return VM_DONE;
	return VM_SUCCEED;
}

BODY int vmwrite_body(struct vcpu *vcpu, struct guest_regs *regs, bool linked)
{
	const struct operand operand = operand_of_exit(regs);
	const u64 encoding = operand_register(regs, &operand, operand.reg2);
	enum vmcs12_field field;
	const int error = find_field(vcpu, linked, true, encoding, &field);
	u64 value = 0;

	if (error != VM_SUCCEED)
		return error;
	if (operand.is_register)
		value = operand_register(regs, &operand, operand.reg1);
	else if (!operand_read(regs, &value, operand.in_64bit_mode ? 8 : 4))
		return VM_DONE;
	if (VMCS_FIELD_HIGH((u32)encoding))
		value = (read_field(vcpu, linked, field) & BITS(31, 0)) | value << 32;
	write_field(vcpu, linked, field, value);
	return VM_SUCCEED;
}

/* Apart from what calls them, whose other ways need fewer registers. */
__attribute__((noinline)) void nested_vmread(struct vcpu *vcpu, struct guest_regs *regs)
{
	nested_finish(vcpu, vmread_body(vcpu, regs, false));
}

__attribute__((noinline)) void nested_vmwrite(struct vcpu *vcpu, struct guest_regs *regs)
{
	nested_finish(vcpu, vmwrite_body(vcpu, regs, false));
}

/* SDM "VMREAD": whether an access of L2's is its own. L1 gets the others. */
static bool is_shadowed(const struct vmcs12 *v, u64 encoding, enum vmcs12_field bitmap)
{
	u8 bits;

	if (!(secondary_of(v) & CPU2_VMCS_SHADOWING) || (encoding & ~BITS(14, 0)))
		return false;
	guest_memory_read(v->f[bitmap] + index_masked((u32)encoding / 8, PAGE_SIZE), &bits,
			  sizeof(bits));
	return !(bits >> (encoding % 8) & 1);
}

bool l2_vmcs_access(struct vcpu *vcpu, struct guest_regs *regs)
{
	const bool write = (vcpu->exit_reason & EXIT_REASON_BASIC) == REASON_VMWRITE;
	const struct operand operand = operand_of_exit(regs);
	const u64 encoding = operand_register(regs, &operand, operand.reg2);
	int outcome;

	if (!is_shadowed(current12(vcpu), encoding, write ? F_VMWRITE_BITMAP : F_VMREAD_BITMAP))
		return false;
	if (instruction_cpl() > 0) {
		event_inject_gp0();
		return true;
	}
	outcome = write ? vmwrite_body(vcpu, regs, true) : vmread_body(vcpu, regs, true);
	if (outcome == VM_DONE)
		return true;
	nested_finish(vcpu, outcome);
	l2_instruction_executed(vcpu);
	return true;
}
