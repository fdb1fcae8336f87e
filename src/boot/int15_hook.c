/* SPDX-License-Identifier: BSD-2-Clause */
/* The VMCALL of the INT 15h hook that chainload.c has put into the guest's memory. */
#include <x86/cr.h>

#include "boot/chainload.h"
#include "boot/int15.h"
#include "mm/guest_memory.h"
#include "vmx/vmcs.h"

/* Only the hook itself, and only in real mode, where linear addresses are physical. */
static bool from_int15_hook(void)
{
	const paddr_t hook = chainload_vmcall_address();

	return hook && !(vmreadn(VMCS_GUEST_CR0) & CR0_PE) &&
	       vmreadn(VMCS_GUEST_CS_BASE) + vmreadn(VMCS_GUEST_RIP) == hook;
}

/* Sets CF in the flags that the hook's IRET will pop: IP, CS and FLAGS lie on the stack. */
static void return_carry(bool carry)
{
	const paddr_t flags = vmreadn(VMCS_GUEST_SS_BASE) + (u16)(vmreadn(VMCS_GUEST_RSP) + 4);
	u16 image;

	guest_memory_read(flags, &image, sizeof(image));
	image = carry ? image | (u16)RFLAGS_CF : image & (u16)~RFLAGS_CF;
	guest_memory_write(flags, &image, sizeof(image));
}

static void set_low(u64 *reg, u32 value)
{
	*reg = (*reg & ~0xffffffffull) | value;
}

bool int15_hook_vmcall(struct guest_regs *regs)
{
	if (!from_int15_hook())
		return false;

	struct int15_regs call = {
		.eax = (u32)regs->rax,
		.ebx = (u32)regs->rbx,
		.ecx = (u32)regs->rcx,
		.edx = (u32)regs->rdx,
	};
	const struct int15_answer answer = int15_call(chainload_memmap(), &call);

	if (answer.size)
		guest_memory_write(vmreadn(VMCS_GUEST_ES_BASE) + (u16)regs->rdi, &answer.entry,
				   answer.size);
	set_low(&regs->rax, call.eax);
	set_low(&regs->rbx, call.ebx);
	set_low(&regs->rcx, call.ecx);
	set_low(&regs->rdx, call.edx);
	return_carry(call.carry);
	return true;
}
