/* SPDX-License-Identifier: BSD-2-Clause */
#include "smp/cpu.h"

#include <x86/msr.h>

#include "lib/insn.h"
#include "mm/host_paging.h"
#include "mm/layout.h"
#include "mm/pages.h"
#include "smp/stop.h"
#include "smp/trap.h"

/* Pages of a CPU's memory, in address order; each guard page stops the stack above it. */
enum {
	GUARD_PAGES = 1,
	STACK_PAGES = 4,
	IST_STACK_PAGES = 1,
	IST_STACKS = 3,
	ALL_STACK_PAGES = GUARD_PAGES + STACK_PAGES + IST_STACKS * (GUARD_PAGES + IST_STACK_PAGES),
};

/* SDM "TSS Descriptor": bit 1 of the type. */
static const u64 TSS_BUSY = 1ull << 41;

struct cpu **cpus;
u32 cpu_count;

bool this_cpu_ready(void)
{
	return rdmsr(MSR_IA32_GS_BASE) != 0;
}

u64 cpu_memory_size(u64 block_size)
{
	return ALL_STACK_PAGES * PAGE_SIZE + ALIGN_UP(block_size, PAGE_SIZE);
}

static u8 *take(u8 **cursor, u64 pages)
{
	u8 *p = *cursor;

	*cursor += pages * PAGE_SIZE;
	return p;
}

/* A stack's top; the page below the stack becomes a guard. */
static u64 take_stack(u8 **cursor, u64 pages)
{
	host_paging_guard(take(cursor, GUARD_PAGES));
	return (u64)take(cursor, pages) + pages * PAGE_SIZE;
}

struct cpu *cpu_create(u16 index, u32 apic_id, u64 block_size)
{
	u8 *cursor = pages_alloc(cpu_memory_size(block_size) / PAGE_SIZE);
	struct cpu *cpu;
	u64 stack_top, ist[IST_STACKS];

	if (!cursor)
		return NULL;
	stack_top = take_stack(&cursor, STACK_PAGES);
	for (u32 i = 0; i < IST_STACKS; i++)
		ist[i] = take_stack(&cursor, IST_STACK_PAGES);

	cpu = (struct cpu *)cursor;
	cpu->self = cpu;
	cpu->index = index;
	cpu->apic_id = apic_id;
	cpu->stack_top = stack_top;

	cpu->gdt[SELECTOR_CODE / 8] = 0x00af9b000000ffff;
	cpu->gdt[SELECTOR_DATA / 8] = 0x00cf93000000ffff;
	tss64_set_descriptor(&cpu->gdt[SELECTOR_TSS / 8], (u64)&cpu->tss, sizeof(cpu->tss) - 1);
	for (u32 i = 0; i < IST_STACKS; i++)
		cpu->tss.ist[i] = ist[i];
	cpu->tss.io_map_base = sizeof(cpu->tss);
	return cpu;
}

void cpu_forget(struct cpu *cpu)
{
	cpu->pending_events = 0;
	cpu->stop = STOP_NOT;
	cpu->stopped = cpu->waits_for_sipi = cpu->in_guest_loop = cpu->vmx_on = false;
	cpu->ready = false;
}

void cpu_load(struct cpu *cpu)
{
	const struct table_pointer gdt = {.limit = sizeof(cpu->gdt) - 1, .base = (u64)cpu->gdt};

	lgdt(&gdt);
	load_cs(SELECTOR_CODE);
	__asm__ volatile(
		"mov %0, %%ss; mov %0, %%ds; mov %0, %%es; mov %1, %%fs; mov %1, %%gs" ::"r"(
			SELECTOR_DATA),
		"r"(0));
	/* LTR wants one that is not busy, and marks it so: a CPU that wakes finds it marked. */
	cpu->gdt[SELECTOR_TSS / 8] &= ~TSS_BUSY;
	ltr(SELECTOR_TSS);
	wrmsr(MSR_IA32_GS_BASE, (u64)cpu);
	trap_load();
}
