/* SPDX-License-Identifier: BSD-2-Clause */
#include "apic.h"

#include "insn.h"
#include "layout.h"
#include "memory.h"

enum {
	PIC1_DATA = 0x21,
	PIC2_DATA = 0xa1,
	SVR_ENABLE = 1 << 8,
	LARGE_PAGE_MASK = 0x1fffff,
	ICR_PATIENCE = 1000000,
};

bool apic_is_x2apic(void)
{
	return rdmsr(MSR_IA32_APIC_BASE) & APIC_BASE_EXTD;
}

static volatile u32 *mmio(u32 offset)
{
	return (volatile u32 *)((rdmsr(MSR_IA32_APIC_BASE) & APIC_BASE_ADDR) + offset);
}

u32 apic_read(u32 offset)
{
	if (apic_is_x2apic())
		return (u32)rdmsr(MSR_X2APIC_BASE + offset / 16);
	return *mmio(offset);
}

void apic_write(u32 offset, u32 value)
{
	if (apic_is_x2apic())
		wrmsr(MSR_X2APIC_BASE + offset / 16, value);
	else
		*mmio(offset) = value;
}

void pic_mask(void)
{
	outb(PIC1_DATA, 0xff);
	outb(PIC2_DATA, 0xff);
}

void apic_init_cpu(bool want_x2apic)
{
	u64 base = rdmsr(MSR_IA32_APIC_BASE);
	u64 page = (base & APIC_BASE_ADDR) & ~(u64)LARGE_PAGE_MASK;

	/* Whatever the MTRRs say of it. */
	*memory_entry(page, 2) = page | PTE_P | PTE_W | PTE_PS | PTE_PCD | PTE_PWT;
	invlpg(page);
	if (!(base & APIC_BASE_ENABLE))
		wrmsr(MSR_IA32_APIC_BASE, base | APIC_BASE_ENABLE);
	if (want_x2apic && cpuid(1, 0).ecx & CPUID_1_ECX_X2APIC)
		wrmsr(MSR_IA32_APIC_BASE, base | APIC_BASE_ENABLE | APIC_BASE_EXTD);
	apic_write(APIC_REG_TPR, 0);
	apic_write(APIC_REG_SVR, SVR_ENABLE | VEC_SPURIOUS);
}

u32 apic_id(void)
{
	u32 id = apic_read(APIC_REG_ID);

	return apic_is_x2apic() ? id : id >> 24;
}

void apic_eoi(void)
{
	apic_write(APIC_REG_EOI, 0);
}

static void send(u32 destination, u32 command)
{
	command |= ICR_ASSERT;
	if (apic_is_x2apic()) {
		/* SDM "x2APIC Register Availability": WRMSR here does not order earlier stores. */
		asm volatile("mfence; lfence" : : : "memory");
		wrmsr(MSR_X2APIC_BASE + APIC_REG_ICR_LO / 16, (u64)destination << 32 | command);
		return;
	}
	*mmio(APIC_REG_ICR_HI) = destination << 24;
	*mmio(APIC_REG_ICR_LO) = command;
	for (int i = 0; i < ICR_PATIENCE && *mmio(APIC_REG_ICR_LO) & ICR_PENDING; i++)
		cpu_pause();
}

void apic_send(u32 id, u32 command)
{
	send(id, command);
}

void apic_send_shorthand(u32 command)
{
	send(0, command);
}
