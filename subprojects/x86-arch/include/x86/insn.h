/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Privileged instructions that work, each as a tiny inline function: what every kernel needs. Forms
 * that may fault are the kernels' own, since they need an exception table.
 */
#pragma once

#include <x86/cpuid.h>
#include <x86/types.h>

/* What LGDT, LIDT, SGDT and SIDT take. */
struct __attribute__((packed)) table_pointer {
	u16 limit;
	u64 base;
};
_Static_assert(sizeof(struct table_pointer) == 10, "GDTR and IDTR images");

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

#define DEFINE_REGISTER(name)                                                    \
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
DEFINE_REGISTER(cr0)
DEFINE_REGISTER(cr2)
DEFINE_REGISTER(cr3)
DEFINE_REGISTER(cr4)
DEFINE_REGISTER(cr8)
DEFINE_REGISTER(dr0)
DEFINE_REGISTER(dr1)
DEFINE_REGISTER(dr2)
DEFINE_REGISTER(dr3)
DEFINE_REGISTER(dr6)
DEFINE_REGISTER(dr7)
#undef DEFINE_REGISTER

#define DEFINE_PORT(type, in, out)                                          \
	static inline void out(u16 port, type value)                        \
	{                                                                   \
		__asm__ volatile(#out " %0, %1" ::"a"(value), "Nd"(port));  \
	}                                                                   \
	static inline type in(u16 port)                                     \
	{                                                                   \
		type value;                                                 \
                                                                            \
		__asm__ volatile(#in " %1, %0" : "=a"(value) : "Nd"(port)); \
		return value;                                               \
	}
DEFINE_PORT(u8, inb, outb)
DEFINE_PORT(u16, inw, outw)
DEFINE_PORT(u32, inl, outl)
#undef DEFINE_PORT

static inline void wbinvd(void)
{
	__asm__ volatile("wbinvd" ::: "memory");
}

static inline void cpu_pause(void)
{
	__asm__ volatile("pause" ::: "memory");
}

static inline void invlpg(u64 va)
{
	__asm__ volatile("invlpg (%0)" ::"r"(va) : "memory");
}

#define DEFINE_TABLE_LOAD(name)                                      \
	static inline void name(const struct table_pointer *pointer) \
	{                                                            \
		__asm__ volatile(#name " %0" ::"m"(*pointer));       \
	}
#define DEFINE_TABLE_STORE(name)                                \
	static inline void name(struct table_pointer *pointer)  \
	{                                                       \
		__asm__ volatile(#name " %0" : "=m"(*pointer)); \
	}
DEFINE_TABLE_LOAD(lgdt)
DEFINE_TABLE_LOAD(lidt)
DEFINE_TABLE_STORE(sgdt)
DEFINE_TABLE_STORE(sidt)
#undef DEFINE_TABLE_LOAD
#undef DEFINE_TABLE_STORE

#define DEFINE_SELECTOR(name, instruction)                            \
	static inline u16 read_##name(void)                           \
	{                                                             \
		u16 selector;                                         \
                                                                      \
		__asm__ volatile(instruction " %0" : "=r"(selector)); \
		return selector;                                      \
	}
DEFINE_SELECTOR(es, "mov %%es,")
DEFINE_SELECTOR(cs, "mov %%cs,")
DEFINE_SELECTOR(ss, "mov %%ss,")
DEFINE_SELECTOR(ds, "mov %%ds,")
DEFINE_SELECTOR(fs, "mov %%fs,")
DEFINE_SELECTOR(gs, "mov %%gs,")
DEFINE_SELECTOR(ldtr, "sldt")
DEFINE_SELECTOR(tr, "str")
#undef DEFINE_SELECTOR

static inline void ltr(u16 selector)
{
	__asm__ volatile("ltr %0" ::"r"(selector));
}

/* SDM "INVEPT", "INVVPID": the descriptors. */
struct invept_descriptor {
	u64 eptp, reserved;
};
struct invvpid_descriptor {
	u64 vpid; /* the upper 48 bits are reserved */
	u64 linear;
};
_Static_assert(sizeof(struct invept_descriptor) == 16, "SDM: 128 bits");
_Static_assert(sizeof(struct invvpid_descriptor) == 16, "SDM: 128 bits");
