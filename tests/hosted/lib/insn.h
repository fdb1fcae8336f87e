/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Stands in for src/lib/insn.h in hosted builds of code that uses privileged instructions: the same
 * functions, executed by the simulated machine of machine.h. Only those that such code uses.
 */
#pragma once

#include <x86/cpuid.h>
#include <x86/gpr.h>
#include <x86/types.h>
#include <x86/vmcs.h>
#include <x86/vmx.h>

u64 rdmsr(u32 msr);
void wrmsr(u32 msr, u64 value);
bool rdmsr_safe(u32 msr, u64 *value);
bool wrmsr_safe(u32 msr, u64 value);
u64 read_cr0(void);
u64 read_cr2(void);

/* By the tests that need them. */
void write_cr2(u64 value);
u64 read_cr4(void);
void write_cr4(u64 value);
u32 rdpkru(void);
u64 read_dr6(void);
void write_dr6(u64 value);
void outb(u16 port, u8 value);
void outw(u16 port, u16 value);
void outl(u16 port, u32 value);
u8 inb(u16 port);
u16 inw(u16 port);
u32 inl(u16 port);
void wbinvd(void);
bool xsetbv_safe(u32 index, u64 value);
u64 rdtsc(void);
bool rdrand(u64 *value);
struct cpuid cpuid(u32 leaf, u32 subleaf);
void vmcall(struct guest_regs *regs);
void *gs_self(void);

bool vmclear(paddr_t region);
bool vmptrld(paddr_t region);
bool vmread(u64 field, u64 *value);
u64 vmread_unchecked(u64 field);
bool vmwrite(u64 field, u64 value);
void vmwrite_unchecked(u64 field, u64 value);

struct invept_descriptor {
	u64 eptp, reserved;
};
bool invept(enum invept_type type, u64 eptp);

struct invvpid_descriptor {
	u64 vpid;
	u64 linear;
};
bool invvpid(enum invvpid_type type, u16 vpid, u64 address);

void unblock_nmis(void);
_Noreturn void cpu_halt_forever(void);

/* The linker gives the section's bounds; a test of such code catches SIGSEGV. */
struct extable_entry {
	u64 fault;
	u64 fixup;
};
extern const struct extable_entry __start_extable[], __stop_extable[];

#define EXTABLE(fault, fixup)              \
	".pushsection extable, \"aw\"\n\t" \
	".balign 8\n\t"                    \
	".quad " fault ", " fixup "\n\t"   \
	".popsection\n\t"

/* Nothing is guessed here. */
static inline void speculation_barrier(void)
{
}

static inline u32 index_masked(u32 index, u32 entries)
{
	return index & (entries - 1);
}

/* One thread: nothing to wait for. */
static inline void cpu_pause(void)
{
}
