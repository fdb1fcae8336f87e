/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Privileged and special instructions, each as a tiny inline function. All inline assembly but the
 * entry paths is here, so that the rest is plain C that also compiles hosted.
 *
 * The *_safe forms go through the exception table: a fault makes them return false.
 */
#pragma once

#include <x86/cpuid.h>
#include <x86/gpr.h>
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

static inline struct cpuid cpuid(u32 leaf, u32 subleaf)
{
	struct cpuid r;

	__asm__ volatile("cpuid"
			 : "=a"(r.eax), "=b"(r.ebx), "=c"(r.ecx), "=d"(r.edx)
			 : "a"(leaf), "c"(subleaf));
	return r;
}

static inline u64 rdmsr(u32 msr)
{
	u32 lo, hi;

	__asm__ volatile("rdmsr" : "=a"(lo), "=d"(hi) : "c"(msr));
	return ((u64)hi << 32) | lo;
}

static inline void wrmsr(u32 msr, u64 value)
{
	__asm__ volatile("wrmsr" ::"c"(msr), "a"((u32)value), "d"((u32)(value >> 32)) : "memory");
}

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

static inline bool wrmsr_safe(u32 msr, u64 value)
{
	__asm__ goto volatile("1: wrmsr\n\t" EXTABLE("1b", "%l[fault]")
			      :
			      : "c"(msr), "a"((u32)value), "d"((u32)(value >> 32))
			      : "memory"
			      : fault);
	return true;
fault:
	return false;
}

static inline bool xsetbv_safe(u32 index, u64 value)
{
	__asm__ goto volatile("1: xsetbv\n\t" EXTABLE("1b", "%l[fault]")
			      :
			      : "c"(index), "a"((u32)value), "d"((u32)(value >> 32))
			      : "memory"
			      : fault);
	return true;
fault:
	return false;
}

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

#define DEFINE_CR(name)                                                          \
	static inline u64 read_##name(void)                                      \
	{                                                                        \
		u64 value;                                                       \
                                                                                 \
		__asm__ volatile("mov %%" #name ", %0" : "=r"(value)::"memory"); \
		return value;                                                    \
	}                                                                        \
	static inline void write_##name(u64 value)                               \
	{                                                                        \
		__asm__ volatile("mov %0, %%" #name ::"r"(value) : "memory");    \
	}
DEFINE_CR(cr0)
DEFINE_CR(cr2)
DEFINE_CR(cr3)
DEFINE_CR(cr4)
#undef DEFINE_CR

static inline void clear_breakpoint_addresses(void)
{
	__asm__ volatile("mov %0, %%dr0\n\t"
			 "mov %0, %%dr1\n\t"
			 "mov %0, %%dr2\n\t"
			 "mov %0, %%dr3" ::"r"(0ull));
}

static inline u64 read_dr7(void)
{
	u64 value;

	__asm__ volatile("mov %%dr7, %0" : "=r"(value));
	return value;
}

static inline u64 read_dr6(void)
{
	u64 value;

	__asm__ volatile("mov %%dr6, %0" : "=r"(value));
	return value;
}

static inline void write_dr6(u64 value)
{
	__asm__ volatile("mov %0, %%dr6" ::"r"(value));
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

static inline u64 rdtsc(void)
{
	u32 lo, hi;

	__asm__ volatile("rdtsc" : "=a"(lo), "=d"(hi));
	return ((u64)hi << 32) | lo;
}

static inline void outb(u16 port, u8 value)
{
	__asm__ volatile("outb %0, %1" ::"a"(value), "Nd"(port));
}

static inline void outw(u16 port, u16 value)
{
	__asm__ volatile("outw %0, %1" ::"a"(value), "Nd"(port));
}

static inline void outl(u16 port, u32 value)
{
	__asm__ volatile("outl %0, %1" ::"a"(value), "Nd"(port));
}

static inline u8 inb(u16 port)
{
	u8 value;

	__asm__ volatile("inb %1, %0" : "=a"(value) : "Nd"(port));
	return value;
}

static inline u16 inw(u16 port)
{
	u16 value;

	__asm__ volatile("inw %1, %0" : "=a"(value) : "Nd"(port));
	return value;
}

static inline u32 inl(u16 port)
{
	u32 value;

	__asm__ volatile("inl %1, %0" : "=a"(value) : "Nd"(port));
	return value;
}

/* SDM "Handling Multiple NMIs": IRET unblocks NMIs. To the next instruction, on the same stack. */
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

static inline void wbinvd(void)
{
	__asm__ volatile("wbinvd" ::: "memory");
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

static inline void cpu_pause(void)
{
	__asm__ volatile("pause");
}

_Noreturn static inline void cpu_halt_forever(void)
{
	for (;;)
		__asm__ volatile("cli; hlt");
}

static inline void invlpg(const void *va)
{
	__asm__ volatile("invlpg (%0)" ::"r"(va) : "memory");
}

struct __attribute__((packed)) table_pointer {
	u16 limit;
	u64 base;
};

static inline void lgdt(const struct table_pointer *p)
{
	__asm__ volatile("lgdt %0" ::"m"(*p));
}

static inline void lidt(const struct table_pointer *p)
{
	__asm__ volatile("lidt %0" ::"m"(*p));
}

static inline void sidt(struct table_pointer *pointer)
{
	__asm__ volatile("sidt %0" : "=m"(*pointer));
}

static inline void sgdt(struct table_pointer *pointer)
{
	__asm__ volatile("sgdt %0" : "=m"(*pointer));
}

#define SELECTOR_READER(name, instruction)                            \
	static inline u16 read_##name(void)                           \
	{                                                             \
		u16 selector;                                         \
		__asm__ volatile(instruction " %0" : "=r"(selector)); \
		return selector;                                      \
	}
SELECTOR_READER(es, "mov %%es,")
SELECTOR_READER(cs, "mov %%cs,")
SELECTOR_READER(ss, "mov %%ss,")
SELECTOR_READER(ds, "mov %%ds,")
SELECTOR_READER(fs, "mov %%fs,")
SELECTOR_READER(gs, "mov %%gs,")
SELECTOR_READER(ldtr, "sldt")
SELECTOR_READER(tr, "str")
#undef SELECTOR_READER

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

static inline void ltr(u16 selector)
{
	__asm__ volatile("ltr %0" ::"r"(selector));
}

/* VMX. Each returns true on VMsucceed. SDM "VMX Instruction Reference". */
static inline bool vmxon(paddr_t region)
{
	bool failed;

	__asm__ volatile("vmxon %1" : "=@ccbe"(failed) : "m"(region) : "memory");
	return !failed;
}

static inline bool vmclear(paddr_t region)
{
	bool failed;

	__asm__ volatile("vmclear %1" : "=@ccbe"(failed) : "m"(region) : "memory");
	return !failed;
}

static inline bool vmptrld(paddr_t region)
{
	bool failed;

	__asm__ volatile("vmptrld %1" : "=@ccbe"(failed) : "m"(region) : "memory");
	return !failed;
}

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
	u64 value;

	__asm__ volatile("vmread %1, %0" : "=r"(value) : "r"(field) : "cc");
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

struct invept_descriptor {
	u64 eptp;
	u64 reserved;
};

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

struct invvpid_descriptor {
	u64 vpid;
	u64 address;
};

static inline bool invvpid(enum invvpid_type type, u16 vpid, u64 address)
{
	struct invvpid_descriptor descriptor = {.vpid = vpid, .address = address};
	bool failed;

	__asm__ volatile("invvpid %1, %2"
			 : "=@ccbe"(failed)
			 : "m"(descriptor), "r"((u64)type)
			 : "memory");
	return !failed;
}
