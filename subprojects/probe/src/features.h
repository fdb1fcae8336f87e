/* SPDX-License-Identifier: BSD-2-Clause */
/* CPUID bits by name, read afresh each time. */
#pragma once

#include "insn.h"

enum cpuid_register { CPUID_EAX, CPUID_EBX, CPUID_ECX, CPUID_EDX };

/* leaf, subleaf, register, bit */
struct feature {
	u32 leaf;
	u32 subleaf;
	enum cpuid_register reg;
	u32 bit;
};

static const struct feature FEATURE_VMX = {1, 0, CPUID_ECX, 5};
static const struct feature FEATURE_SMX = {1, 0, CPUID_ECX, 6};
static const struct feature FEATURE_PCID = {1, 0, CPUID_ECX, 17};
static const struct feature FEATURE_XSAVE = {1, 0, CPUID_ECX, 26};
static const struct feature FEATURE_OSXSAVE = {1, 0, CPUID_ECX, 27};
static const struct feature FEATURE_MTRR = {1, 0, CPUID_EDX, 12};
static const struct feature FEATURE_PAT = {1, 0, CPUID_EDX, 16};
static const struct feature FEATURE_FSGSBASE = {7, 0, CPUID_EBX, 0};
static const struct feature FEATURE_INVPCID = {7, 0, CPUID_EBX, 10};
static const struct feature FEATURE_PT = {7, 0, CPUID_EBX, 25};
static const struct feature FEATURE_PKU = {7, 0, CPUID_ECX, 3};
static const struct feature FEATURE_OSPKE = {7, 0, CPUID_ECX, 4};
static const struct feature FEATURE_WAITPKG = {7, 0, CPUID_ECX, 5};
static const struct feature FEATURE_LA57 = {7, 0, CPUID_ECX, 16};
static const struct feature FEATURE_RDPID = {7, 0, CPUID_ECX, 22};
static const struct feature FEATURE_MSRLIST = {7, 1, CPUID_EAX, 27};
static const struct feature FEATURE_XSAVES = {0xd, 1, CPUID_EAX, 3};
static const struct feature FEATURE_NX = {0x80000001, 0, CPUID_EDX, 20};
static const struct feature FEATURE_PAGE1GB = {0x80000001, 0, CPUID_EDX, 26};
static const struct feature FEATURE_RDTSCP = {0x80000001, 0, CPUID_EDX, 27};

static inline bool has(struct feature f)
{
	struct cpuid r;

	if (f.leaf > cpuid(f.leaf & 0x80000000, 0).eax)
		return false;
	r = cpuid(f.leaf, f.subleaf);
	return (f.reg == CPUID_EAX   ? r.eax
		: f.reg == CPUID_EBX ? r.ebx
		: f.reg == CPUID_ECX ? r.ecx
				     : r.edx) >>
		       f.bit &
	       1;
}

/*
 * SDM "Canonicality Checking": registers that hold linear addresses take what is canonical for the
 * processor's own linear-address width, whichever paging mode is in use; INVPCID and INVVPID take
 * this lowest address of all that are not canonical in any mode.
 */
static inline u64 first_non_canonical(void)
{
	return BIT(has(FEATURE_LA57) ? 56 : 47);
}
