/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The guest's accesses to the few ports that Umbra has in its I/O bitmaps: done as the guest asks,
 * unless they would put the machine to sleep.
 */
#include "lib/port.h"
#include "vmx/exit.h"
#include "vmx/guest_linear.h"
#include "vmx/instruction.h"
#include "vmx/sleep.h"
#include "vmx/vmcs.h"

static void write_port(u16 port, u32 size, u32 value)
{
	if (!sleep_by_write(port, size, value))
		port_write(port, size, value);
}

/* Bits of a register that an access of this size has; 32-bit results clear the upper half. */
static u64 size_mask(u32 size)
{
	return size == 8 ? ~0ull : BIT(8 * size) - 1;
}

static void set_part(u64 *reg, u32 size, u64 value)
{
	const u64 mask = size == 4 ? ~0ull : size_mask(size);

	*reg = (*reg & ~mask) | (value & size_mask(size));
}

/* SDM "Information for VM Exits Due to Instruction Execution", table for INS and OUTS. */
static u32 address_bytes(void)
{
	return 2u << (vmread32(VMCS_VM_EXIT_INSTRUCTION_INFO) >> 7 & 7);
}

/* One round of INS or OUTS; with REP the guest comes again for the next. */
static void string_round(struct guest_regs *regs, u16 port, u32 size, u64 qualification)
{
	const bool in = qualification & IO_IN;
	const u32 address_size = address_bytes();
	const u64 linear = vmreadn(VMCS_GUEST_LINEAR_ADDRESS);
	const u64 step = vmreadn(VMCS_GUEST_RFLAGS) & RFLAGS_DF ? -(u64)size : size;
	u64 *const index = in ? &regs->rdi : &regs->rsi;
	u64 left = regs->rcx & size_mask(address_size);
	struct guest_fault fault;
	u32 value = 0;

	if ((qualification & IO_REP) && left == 0) {
		instruction_done();
		return;
	}
	if (in && !guest_linear_probe(linear, size, GUEST_WRITE, GUEST_LINEAR_DATA, &fault))
		goto faulted;
	if (in)
		value = port_read(port, size);
	if (in ? !guest_linear_write(linear, &value, size, GUEST_LINEAR_DATA, &fault)
	       : !guest_linear_read(linear, &value, size, GUEST_LINEAR_DATA, &fault))
		goto faulted;
	if (!in)
		write_port(port, size, value);
	set_part(index, address_size, *index + step);
	if (qualification & IO_REP)
		set_part(&regs->rcx, address_size, --left);
	if ((qualification & IO_REP) && left) {
		instruction_set_resume_flag();
		instruction_iteration_done();
	} else {
		instruction_done();
	}
	return;
faulted:
	guest_fault_inject(&fault);
}

void io_exit(struct vcpu *vcpu, struct guest_regs *regs)
{
	const u64 qualification = vmreadn(VMCS_EXIT_QUALIFICATION);
	const u16 port = (u16)(qualification >> IO_PORT_SHIFT);
	const u32 size = (u32)(qualification & IO_SIZE) + 1;

	(void)vcpu;
	if (qualification & IO_STRING) {
		string_round(regs, port, size, qualification);
		return;
	}
	if (qualification & IO_IN)
		set_part(&regs->rax, size, port_read(port, size));
	else
		write_port(port, size, (u32)(regs->rax & size_mask(size)));
	instruction_done();
}
