/* SPDX-License-Identifier: BSD-2-Clause */
#include "boot/bare.h"

#include "lib/string.h"
#include "mm/layout.h"
#include "vmx/switch.h"

/* The end of bare_stub.S. */
struct bare_parameters {
	u16 gdt_limit;
	u64 gdt_base;
	u32 rsi, rbx, rax;
	u32 eip;
} __attribute__((packed));

/* bare_stub.S */
extern const u8 bare_stub_start[], bare_stub_parameters[], bare_stub_end[];
void boot_vmxoff(void);

void bare_leave_vmx(void)
{
	if (!this_cpu_ready() || !this_cpu()->vmx_on)
		return;
	boot_vmxoff();
	this_cpu()->vmx_on = false;
}

_Noreturn void bare_start(const struct guest_start *start, paddr_t stub)
{
	u8 *code = phys_to_virt(stub);

	memcpy(code, bare_stub_start, (size_t)(bare_stub_end - bare_stub_start));
	*(struct bare_parameters *)(code + (bare_stub_parameters - bare_stub_start)) =
		(struct bare_parameters){
			.gdt_limit = start->gdt_limit,
			.gdt_base = start->gdt_base,
			.rsi = (u32)start->regs.rsi,
			.rbx = (u32)start->regs.rbx,
			.rax = (u32)start->regs.rax,
			.eip = start->eip,
		};
	bare_leave_vmx();
	__asm__ volatile("cli; push %0; ret" : : "r"(stub), "D"(stub) : "memory");
	__builtin_unreachable();
}
