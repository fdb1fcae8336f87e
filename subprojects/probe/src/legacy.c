/* SPDX-License-Identifier: BSD-2-Clause */
#include "legacy.h"

#include "insn.h"
#include "layout.h"
#include "memory.h"
#include "string.h"
#include "trap.h"

enum {
	GATE32_INTERRUPT = 0x8e,
	GATE_TASK = 0x85,
	STUB_SIZE = 16,
	TSS32_AVAILABLE = 0x89,
	REAL_IVT = 0x800,
	REAL_INT = 0x20,
};

extern const u64 boot_gdt[];
extern const u8 legacy_stubs[];
extern u8 real_start[], real_end[], real_int[], real_ud[], real_de[], real_gp[], real_far[];
extern u32 legacy_low;
extern struct table_pointer real_idtr;
void legacy_enter(struct legacy_args *args);

struct tss32 legacy_tss[3];
u64 legacy_gdt[16];
u64 legacy_idt[64];

static void set_base(u64 *descriptor, u64 base)
{
	*descriptor &= ~(BITS(39, 16) | BITS(63, 56));
	*descriptor |= (base & 0xffffff) << 16 | (base >> 24 & 0xff) << 56;
}

static void prepare_tables(u64 real_base)
{
	memcpy(legacy_gdt, boot_gdt, SEL_TSS64);
	set_base(&legacy_gdt[SEL_CODE16 / 8], real_base);
	set_base(&legacy_gdt[SEL_DATA16 / 8], real_base);
	for (unsigned i = 0; i < ARRAY_SIZE(legacy_tss); i++) {
		u64 *d = &legacy_gdt[SEL_TSS_A / 8 + i];

		*d = (sizeof(struct tss32) - 1) | (u64)TSS32_AVAILABLE << 40;
		set_base(d, (u64)&legacy_tss[i]);
	}
	memset(legacy_tss, 0, sizeof(legacy_tss));
	memset(legacy_idt, 0, sizeof(legacy_idt));
	for (unsigned i = 0; i < EXCEPTIONS; i++) {
		u64 entry = (u64)legacy_stubs + i * STUB_SIZE;

		legacy_idt[i] = (entry & 0xffff) | (u64)SEL_CODE32 << 16 |
				(u64)GATE32_INTERRUPT << 40 | (entry >> 16 & 0xffff) << 48;
	}
}

static void prepare_real(u64 base)
{
	u16 *ivt = (u16 *)(base + REAL_IVT);
	const struct {
		u8 vector;
		const u8 *handler;
	} handlers[] = {
		{VECTOR_DE, real_de},
		{VECTOR_UD, real_ud},
		{VECTOR_GP, real_gp},
		{REAL_INT, real_int},
	};

	memset((void *)base, 0, PAGE_SIZE);
	*(u16 *)(void *)(real_far + 2) = (u16)(base >> 4);
	memcpy((void *)base, real_start, (size_t)(real_end - real_start));
	for (unsigned i = 0; i < ARRAY_SIZE(handlers); i++) {
		ivt[handlers[i].vector * 2] = (u16)(handlers[i].handler - real_start);
		ivt[handlers[i].vector * 2 + 1] = (u16)(base >> 4);
	}
	real_idtr.base = base + REAL_IVT;
	legacy_low = (u32)base;
}

void legacy_set_task_gate(unsigned vector, u16 selector)
{
	legacy_idt[vector] = (u64)selector << 16 | (u64)GATE_TASK << 40;
}

void legacy_prepare(struct legacy_args *args, void (*body)(void))
{
	u64 real_base = memory_low() + LOW_REAL_OFFSET;

	prepare_tables(real_base);
	prepare_real(real_base);
	memset(args, 0, sizeof(*args));
	args->body = (u32)(u64)body;
	args->vector = LEGACY_NO_FAULT;
}

void legacy_run(struct legacy_args *args)
{
	struct cpu *cpu = this_cpu();

	legacy_enter(args);
	trap_reload(cpu);
}
