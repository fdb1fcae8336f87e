/* SPDX-License-Identifier: BSD-2-Clause */
/* CPUID feature bits. SDM "CPUID—CPU Identification". */
#pragma once

#include <x86/types.h>

struct cpuid {
	union {
		struct {
			u32 eax, ebx, ecx, edx;
		};
		u32 word[4];
	};
};

/* Leaf 1 ECX */
#define CPUID_1_ECX_MONITOR    BIT(3)
#define CPUID_1_ECX_DS_CPL     BIT(4)
#define CPUID_1_ECX_VMX        BIT(5)
#define CPUID_1_ECX_PDCM       BIT(15)
#define CPUID_1_ECX_SMX        BIT(6)
#define CPUID_1_ECX_PCID       BIT(17)
#define CPUID_1_ECX_X2APIC     BIT(21)
#define CPUID_1_ECX_XSAVE      BIT(26)
#define CPUID_1_ECX_OSXSAVE    BIT(27)
#define CPUID_1_ECX_RDRAND     BIT(30)
#define CPUID_1_ECX_HYPERVISOR BIT(31)
/* Leaf 1 EDX */
#define CPUID_1_EDX_MTRR  BIT(12)
#define CPUID_1_EDX_PAT   BIT(16)
#define CPUID_1_EDX_PSE36 BIT(17)
#define CPUID_1_EDX_DS    BIT(21)
/* Leaf 7.0 EBX */
#define CPUID_7_EBX_SGX     BIT(2)
#define CPUID_7_EBX_SMEP    BIT(7)
#define CPUID_7_EBX_INVPCID BIT(10)
#define CPUID_7_EBX_RTM     BIT(11)
#define CPUID_7_EBX_MPX     BIT(14)
#define CPUID_7_EBX_SMAP    BIT(20)
#define CPUID_7_EBX_PT      BIT(25)
/* Leaf 7.0 ECX */
#define CPUID_7_ECX_UMIP            BIT(2)
#define CPUID_7_ECX_PKU             BIT(3)
#define CPUID_7_ECX_OSPKE           BIT(4)
#define CPUID_7_ECX_WAITPKG         BIT(5)
#define CPUID_7_ECX_CET_SS          BIT(7)
#define CPUID_7_ECX_TME             BIT(13)
#define CPUID_7_ECX_LA57            BIT(16)
#define CPUID_7_ECX_RDPID           BIT(22)
#define CPUID_7_ECX_KL              BIT(23)
#define CPUID_7_ECX_BUS_LOCK_DETECT BIT(24)
#define CPUID_7_ECX_ENQCMD          BIT(29)
#define CPUID_7_ECX_PKS             BIT(31)
/* Leaf 7.0 EDX */
#define CPUID_7_EDX_UINTR     BIT(5)
#define CPUID_7_EDX_MD_CLEAR  BIT(10)
#define CPUID_7_EDX_PCONFIG   BIT(18)
#define CPUID_7_EDX_ARCH_LBR  BIT(19)
#define CPUID_7_EDX_CET_IBT   BIT(20)
#define CPUID_7_EDX_SPEC_CTRL BIT(26) /* IBRS and IBPB */
#define CPUID_7_EDX_L1D_FLUSH BIT(28)
#define CPUID_7_EDX_ARCH_CAPS BIT(29)
/* Leaf 7.1 EAX */
#define CPUID_71_EAX_PERFMON_EXT BIT(8)
#define CPUID_71_EAX_FRED        BIT(17)
#define CPUID_71_EAX_MSRLIST     BIT(27)
/* Leaf 0xd.1 EAX */
#define CPUID_D1_EAX_XSAVES BIT(3)
/* Leaf 0x19 EBX */
#define CPUID_19_EBX_AESKLE BIT(0)
/* Leaf 0x80000001 */
#define CPUID_81_EDX_SYSCALL BIT(11)
#define CPUID_81_EDX_NX      BIT(20)
#define CPUID_81_EDX_PAGE1GB BIT(26)
#define CPUID_81_EDX_RDTSCP  BIT(27)
#define CPUID_81_EDX_LM      BIT(29)
