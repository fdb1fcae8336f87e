/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Instructions, each as a tiny inline function: those of x86/insn.h and what only Umbra needs,
 * above all VMX's. With them here nearly all else is plain C that also compiles hosted.
 *
 * The *_safe forms go through the exception table: a fault makes them return false.
 */
#pragma once

#include <x86/gpr.h>
#include <x86/insn.h>
#include <x86/types.h>
#include <x86/vmcs.h>
#include <x86/vmx.h>

/* An entry of the exception table: a fault at `fault` resumes at `fixup`. */
struct extable_entry {
	u64 fault;
	u64 fixup;
};

#define EXTABLE(fault, fixup)              \
	".pushsection .extable, \"a\"\n\t" \
	".balign 8\n\t"                    \
	".quad " fault ", " fixup "\n\t"   \
	".popsection\n\t"

static inline bool rdmsr_safe(u32 msr, u64 *value)
{
	u32 lo, hi;

	__asm__ goto volatile("1: rdmsr\n\t" EXTABLE("1b", "%l[fault]")
			      : "=a"(lo), "=d"(hi)
			      : "c"(msr)
			      :
			      : fault);
	*value = ((u64)hi << 32) | lo;
	return true;
fault:
	return false;
}

#define DEFINE_SAFE_WRITE(name, instruction)                                                 \
	static inline bool name(u32 index, u64 value)                                        \
	{                                                                                    \
		__asm__ goto volatile("1: " instruction "\n\t" EXTABLE("1b", "%l[fault]")    \
				      :                                                      \
				      : "c"(index), "a"((u32)value), "d"((u32)(value >> 32)) \
				      : "memory"                                             \
				      : fault);                                              \
		return true;                                                                 \
	fault:                                                                               \
		return false;                                                                \
	}
DEFINE_SAFE_WRITE(wrmsr_safe, "wrmsr")
DEFINE_SAFE_WRITE(xsetbv_safe, "xsetbv")
#undef DEFINE_SAFE_WRITE

/*
 * VMCALL to the hypervisor that Umbra runs under, with these registers, which it may change: KVM's
 * and Hyper-V's conventions use no others.
 */
static inline void vmcall(struct guest_regs *regs)
{
	__asm__ volatile("mov %c[rbx](%[regs]), %%rbx\n\t"
			 "mov %c[r8](%[regs]), %%r8\n\t"
			 "mov %c[r9](%[regs]), %%r9\n\t"
			 "mov %c[r10](%[regs]), %%r10\n\t"
			 "mov %c[r11](%[regs]), %%r11\n\t"
			 "vmcall\n\t"
			 "mov %%rbx, %c[rbx](%[regs])\n\t"
			 "mov %%r8, %c[r8](%[regs])\n\t"
			 "mov %%r9, %c[r9](%[regs])\n\t"
			 "mov %%r10, %c[r10](%[regs])\n\t"
			 "mov %%r11, %c[r11](%[regs])"
			 : "+a"(regs->rax), "+c"(regs->rcx), "+d"(regs->rdx), "+S"(regs->rsi),
			   "+D"(regs->rdi)
			 : [regs] "r"(regs), [rbx] "i"(offsetof(struct guest_regs, rbx)),
			   [r8] "i"(offsetof(struct guest_regs, r8)),
			   [r9] "i"(offsetof(struct guest_regs, r9)),
			   [r10] "i"(offsetof(struct guest_regs, r10)),
			   [r11] "i"(offsetof(struct guest_regs, r11))
			 : "memory", "cc", "rbx", "r8", "r9", "r10", "r11");
}

/* Needs CR4.PKE. */
static inline u32 rdpkru(void)
{
	u32 pkru, edx;

	__asm__ volatile("rdpkru" : "=a"(pkru), "=d"(edx) : "c"(0));
	return pkru;
}

/* The first word at the base of GS: where a per-CPU block has its own address. */
static inline void *gs_self(void)
{
	void *self;

	__asm__("mov %%gs:0, %0" : "=r"(self));
	return self;
}

/* SDM "RDRAND": ten tries in a row fail only on a CPU that is broken. */
static inline bool rdrand(u64 *value)
{
	bool got = false;

	for (u32 i = 0; i < 10 && !got; i++)
		__asm__ volatile("rdrand %0" : "=r"(*value), "=@ccc"(got));
	return got;
}

/* SDM "LFENCE": nothing behind it executes, not even speculatively, before all in front has. */
static inline void speculation_barrier(void)
{
	__asm__ volatile("lfence" ::: "memory");
}

static inline u64 rdtsc(void)
{
	u32 lo, hi;

	__asm__ volatile("rdtsc" : "=a"(lo), "=d"(hi));
	return ((u64)hi << 32) | lo;
}

/* SDM "Handling Multiple NMIs": IRET unblocks them; this one returns to the next instruction. */
static inline void unblock_nmis(void)
{
	u64 scratch;

	__asm__ volatile("mov %%ss, %k0\n\t"
			 "push %0\n\t"
			 "lea 8(%%rsp), %0\n\t"
			 "push %0\n\t"
			 "pushf\n\t"
			 "mov %%cs, %k0\n\t"
			 "push %0\n\t"
			 "push $1f\n\t"
			 "iretq\n"
			 "1:"
			 : "=&r"(scratch)
			 :
			 : "memory", "cc");
}

/*
 * An index that a bounds check has let through, for a table of 2^n entries, kept within it also
 * where the CPU only guesses that the check has passed ("Bounds Check Bypass"). The compiler, which
 * knows better, must not leave the mask out.
 */
static inline u32 index_masked(u32 index, u32 entries)
{
	__asm__("" : "+r"(index));
	return index & (entries - 1);
}

_Noreturn static inline void cpu_halt_forever(void)
{
	for (;;)
		__asm__ volatile("cli; hlt");
}

static inline void load_cs(u16 selector)
{
	u64 scratch;

	__asm__ volatile("push %q1\n\t"
			 "lea 1f(%%rip), %0\n\t"
			 "push %0\n\t"
			 "lretq\n"
			 "1:"
			 : "=&r"(scratch)
			 : "r"((u64)selector)
			 : "memory");
}

/* VMX. Each returns true on VMsucceed. SDM "VMX Instruction Reference". */
#define DEFINE_VMX(name)                                                                   \
	static inline bool name(paddr_t region)                                            \
	{                                                                                  \
		bool failed;                                                               \
                                                                                           \
		__asm__ volatile(#name " %1" : "=@ccbe"(failed) : "m"(region) : "memory"); \
		return !failed;                                                            \
	}
DEFINE_VMX(vmxon)
DEFINE_VMX(vmclear)
DEFINE_VMX(vmptrld)
#undef DEFINE_VMX

/* The unchecked forms are for fields that are known to exist in a VMCS that is known to be current.
 */
static inline bool vmread(u64 field, u64 *value)
{
	bool failed;

	__asm__ volatile("vmread %2, %1" : "=@ccbe"(failed), "=r"(*value) : "r"(field));
	return !failed;
}

static inline u64 vmread_unchecked(u64 field)
{
	/*
	 * Stands for the VMCS, and is never accessed: to the compiler whatever may write memory, as
	 * the volatile VMWRITE, VMPTRLD and VMCLEAR may, changes what this reads, and this changes
	 * nothing.
	 */
	extern u8 current_vmcs;
	u64 value;

	__asm__("vmread %1, %0" : "=r"(value) : "r"(field), "m"(current_vmcs) : "cc");
	return value;
}

static inline bool vmwrite(u64 field, u64 value)
{
	bool failed;

	__asm__ volatile("vmwrite %1, %2" : "=@ccbe"(failed) : "r"(value), "r"(field));
	return !failed;
}

static inline void vmwrite_unchecked(u64 field, u64 value)
{
	__asm__ volatile("vmwrite %0, %1" ::"r"(value), "r"(field) : "cc");
}

static inline bool invept(enum invept_type type, u64 eptp)
{
	struct invept_descriptor descriptor = {.eptp = eptp};
	bool failed;

	__asm__ volatile("invept %1, %2"
			 : "=@ccbe"(failed)
			 : "m"(descriptor), "r"((u64)type)
			 : "memory");
	return !failed;
}

static inline bool invvpid(enum invvpid_type type, u16 vpid, u64 address)
{
	struct invvpid_descriptor descriptor = {.vpid = vpid, .linear = address};
	bool failed;

	__asm__ volatile("invvpid %1, %2"
			 : "=@ccbe"(failed)
			 : "m"(descriptor), "r"((u64)type)
			 : "memory");
	return !failed;
}
