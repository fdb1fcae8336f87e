/* SPDX-License-Identifier: BSD-2-Clause */
#include "platform/lapic.h"

#include <x86/msr.h>

#include "lib/insn.h"
#include "mm/layout.h"

enum { XAPIC_BROADCAST_ID = 0xff };

static bool x2apic_mode(void)
{
	return rdmsr(MSR_IA32_APIC_BASE) & APIC_BASE_EXTD;
}

/*
 * The guest may have switched the APIC off, or moved it to where Umbra has no mapping for it (SDM
 * "Relocating the Local APIC Registers"): then nothing can be sent, and nothing must be touched.
 */
static bool is_reachable(void)
{
	const u64 base = rdmsr(MSR_IA32_APIC_BASE);

	return (base & APIC_BASE_ENABLE) &&
	       ((base & APIC_BASE_EXTD) || (base & APIC_BASE_ADDR) < 4 * GIB);
}

static volatile u32 *xapic_register(u32 offset)
{
	paddr_t base = rdmsr(MSR_IA32_APIC_BASE) & APIC_BASE_ADDR;

	return (volatile u32 *)((u8 *)phys_to_virt(base) + offset);
}

static void wait_for_icr(void)
{
	/* Bounded: a panic must not hang on an APIC that never accepts. */
	for (u32 i = 0; i < 1000000 && (*xapic_register(APIC_REG_ICR_LO) & ICR_PENDING); i++)
		cpu_pause();
}

static void write_icr(u32 apic_id, u32 command)
{
	if (!is_reachable())
		return;
	if (x2apic_mode()) {
		/* WRMSR to the ICR does not serialise (SDM "MSR Access in x2APIC Mode"). */
		__asm__ volatile("mfence; lfence" ::: "memory");
		wrmsr(MSR_X2APIC_ICR, (u64)apic_id << 32 | command);
		return;
	}
	wait_for_icr();
	*xapic_register(APIC_REG_ICR_HI) = apic_id << 24;
	*xapic_register(APIC_REG_ICR_LO) = command;
	wait_for_icr();
}

u32 lapic_id(void)
{
	return x2apic_mode() ? (u32)rdmsr(MSR_X2APIC_APICID) : *xapic_register(APIC_REG_ID) >> 24;
}

bool lapic_can_reach(u32 apic_id)
{
	return x2apic_mode() || apic_id < XAPIC_BROADCAST_ID;
}

void lapic_send(u32 apic_id, u32 command)
{
	if (lapic_can_reach(apic_id))
		write_icr(apic_id, command | ICR_ASSERT);
}

void lapic_send_others(u32 command)
{
	write_icr(0, command | ICR_ASSERT | APIC_TO_OTHERS);
}
