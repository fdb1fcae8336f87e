/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Exceptions as results. TRY() runs one instruction and says what it raised; try_call() and
 * user_call() do it for a whole function, in ring 0 and in ring 3.
 */
#pragma once

#include "cpu.h"
#include "insn.h"

/* Fills and loads the GDT, TSS and IDT of *cpu, on the CPU itself; points GS at *cpu. */
void trap_init_cpu(struct cpu *cpu);

/* Loads again what trap_init_cpu() loaded, after a case that had tables of its own. */
void trap_reload(struct cpu *cpu);

/* Calls fn(arg); an exception that nothing expected ends it, is reported, and gives false. */
bool trap_guarded(void (*fn)(void *), void *arg);

/* Calls fn, which may be any address; the first exception ends it and is the result. */
struct fault try_call(void (*fn)(void));

/*
 * Calls fn(arg) in ring 3 with interrupts off, on a stack of its own, and with extra_flags set in
 * RFLAGS. The result is the exception that ended it, or raised == false if fn returned.
 */
struct fault user_call(void (*fn)(void *), void *arg, u64 extra_flags);

/* "#GP" and so on. */
const char *vector_name(u8 vector);

/* Entry point of vectors.S. */
void trap_dispatch(struct frame *f);

/* In vectors.S. */
int context_save(struct context *ctx) __attribute__((returns_twice));

static inline void trap_arm(void)
{
	this_cpu()->fault = (struct fault){0};
}

static inline struct fault trap_taken(void)
{
	asm volatile("" : : : "memory");
	return this_cpu()->fault;
}

/* An exception at label from continues at label to. */
#define EXTABLE(from, to)                \
	".pushsection .extable, \"a\"\n" \
	".quad " #from ", " #to "\n"     \
	".popsection\n"

/*
 * Runs one instruction; the rest are asm operands. Operands that the instruction writes must be
 * "+": they keep their value when it faults.
 */
#define TRY(insn, ...)                                                                 \
	({                                                                             \
		trap_arm();                                                            \
		asm volatile("771: " insn "\n772:\n" EXTABLE(771b, 772b) __VA_ARGS__); \
		trap_taken();                                                          \
	})

static inline struct fault try_rdmsr(u32 msr, u64 *value)
{
	u32 lo = 0, hi = 0;
	struct fault f = TRY("rdmsr", : "+a"(lo), "+d"(hi) : "c"(msr) : "memory");

	*value = (u64)hi << 32 | lo;
	return f;
}

static inline struct fault try_wrmsr(u32 msr, u64 value)
{
	return TRY("wrmsr", : : "c"(msr), "a"((u32)value), "d"((u32)(value >> 32)) : "memory");
}

/* SDM "RDMSRLIST", "WRMSRLIST": tables of numbers and values, a bit of `which` for each entry. */
static inline struct fault try_rdmsrlist(const u64 *numbers, u64 *values, u64 *which)
{
	return TRY(".byte 0xf2, 0x0f, 0x01, 0xc6",
		   : "+c"(*which)
		   : "S"(numbers), "D"(values)
		   : "memory");
}

static inline struct fault try_wrmsrlist(const u64 *numbers, const u64 *values, u64 *which)
{
	return TRY(".byte 0xf3, 0x0f, 0x01, 0xc6",
		   : "+c"(*which)
		   : "S"(numbers), "D"(values)
		   : "memory");
}

static inline struct fault try_xsetbv(u32 index, u64 value)
{
	return TRY("xsetbv", : : "c"(index), "a"((u32)value), "d"((u32)(value >> 32)) : "memory");
}

static inline struct fault try_write_cr0(u64 v)
{
	return TRY("mov %0, %%cr0", : : "r"(v) : "memory");
}

static inline struct fault try_write_cr3(u64 v)
{
	return TRY("mov %0, %%cr3", : : "r"(v) : "memory");
}

static inline struct fault try_write_cr4(u64 v)
{
	return TRY("mov %0, %%cr4", : : "r"(v) : "memory");
}

static inline struct fault try_write_cr8(u64 v)
{
	return TRY("mov %0, %%cr8", : : "r"(v) : "memory");
}
