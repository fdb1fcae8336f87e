/* SPDX-License-Identifier: BSD-2-Clause */
#include "vmx/cpuid_table.h"

static const char pt[] = "controls \"Intel PT uses guest physical addresses\", \"load "
			 "IA32_RTIT_CTL\", \"clear IA32_RTIT_CTL\", and VMX not offered";

const char *const cpuid_need_text[CPUID_NEED_COUNT] = {
	[CPUID_NEED_NOTHING] = "",
	[CPUID_NEED_NESTED] = "the guest is offered VMX (option `nested`)",
	[CPUID_NEED_HYPERVISOR] = "option `hypervisor=pass`",
	[CPUID_NEED_RDTSCP] = "control \"enable RDTSCP\"",
	[CPUID_NEED_INVPCID] = "control \"enable INVPCID\"",
	[CPUID_NEED_XSAVES] = "control \"enable XSAVES/XRSTORS\"",
	[CPUID_NEED_USER_WAIT] = "control \"enable user wait and pause\"",
	[CPUID_NEED_PCONFIG] = "control \"enable PCONFIG\"",
	[CPUID_NEED_PT] = pt,
	[CPUID_NEED_LBR] = "controls \"load guest IA32_LBR_CTL\", \"clear IA32_LBR_CTL\"",
	[CPUID_NEED_MSR_LIST] = "control \"enable MSR-list instructions\"",
};

/*
 * SDM "CPUID—CPU Identification", table "Information Returned by CPUID Instruction". Rows of bits
 * go by the number of the mask that cpuid_filter.c makes of them.
 */
const struct cpuid_leaf cpuid_basic_leaves[CPUID_BASIC_LEAVES] = {
	[0x00] = {CPUID_LEAF_DATA, .name = "highest leaf, vendor"},
	[0x01] = {CPUID_LEAF_BITS, .mask = 0, .name = "version, features"},
	[0x02] = {CPUID_LEAF_DATA, .name = "cache and TLB descriptors"},
	[0x03] = {CPUID_LEAF_DATA, .name = "processor serial number"},
	[0x04] = {CPUID_LEAF_DATA, .name = "cache parameters"},
	[0x05] = {CPUID_LEAF_DATA, .name = "MONITOR/MWAIT"},
	[0x06] = {CPUID_LEAF_BITS, .mask = 1, .name = "thermal and power management"},
	[0x07] = {CPUID_LEAF_BITS, .subleaves = 3, .mask = 2, .name = "extended features"},
	[0x09] = {CPUID_LEAF_DATA, .name = "direct cache access"},
	[0x0a] = {CPUID_LEAF_DATA, .name = "performance monitoring"},
	[0x0b] = {CPUID_LEAF_DATA, .name = "extended topology"},
	[0x0d] = {CPUID_LEAF_XSAVE, .subleaves = 2, .mask = 5, .name = "extended state"},
	[0x0f] = {CPUID_LEAF_DATA, .name = "resource director monitoring"},
	[0x10] = {CPUID_LEAF_DATA, .name = "resource director allocation"},
	[0x12] = {CPUID_LEAF_DATA, .name = "SGX"},
	[0x14] = {CPUID_LEAF_DETAILS, CPUID_NEED_PT, .name = "Intel PT"},
	[0x15] = {CPUID_LEAF_DATA, .name = "time stamp counter and crystal clock"},
	[0x16] = {CPUID_LEAF_DATA, .name = "frequencies"},
	[0x17] = {CPUID_LEAF_DATA, .name = "system on chip vendor"},
	[0x18] = {CPUID_LEAF_DATA, .name = "address translation parameters"},
	[0x19] = {CPUID_LEAF_BITS, .mask = 7, .name = "Key Locker"},
	[0x1a] = {CPUID_LEAF_DATA, .name = "native model (hybrid)"},
	[0x1b] = {CPUID_LEAF_DETAILS, CPUID_NEED_PCONFIG, .name = "PCONFIG"},
	[0x1c] = {CPUID_LEAF_DETAILS, CPUID_NEED_LBR, .name = "last branch records"},
	[0x1d] = {CPUID_LEAF_DATA, .name = "tiles"},
	[0x1e] = {CPUID_LEAF_DATA, .name = "tile multiplication"},
	[0x1f] = {CPUID_LEAF_DATA, .name = "extended topology, second version"},
	[0x20] = {CPUID_LEAF_DATA, .name = "history reset"},
	[0x23] = {CPUID_LEAF_BITS, .subleaves = 4, .mask = 10,
		  .name = "performance monitoring, extended"},
	[0x24] = {CPUID_LEAF_DATA, .name = "AVX10"},
};

const struct cpuid_leaf cpuid_extended_leaves[CPUID_EXTENDED_LEAVES] = {
	[0] = {CPUID_LEAF_DATA, .name = "highest extended leaf"},
	[1] = {CPUID_LEAF_BITS, .mask = 8, .name = "extended features"},
	[2] = {CPUID_LEAF_DATA, .name = "brand string"},
	[3] = {CPUID_LEAF_DATA, .name = "brand string"},
	[4] = {CPUID_LEAF_DATA, .name = "brand string"},
	[5] = {CPUID_LEAF_DATA, .name = "reserved (zeros)"},
	[6] = {CPUID_LEAF_DATA, .name = "L2 cache"},
	[7] = {CPUID_LEAF_DATA, .name = "invariant TSC"},
	[8] = {CPUID_LEAF_BITS, .mask = 9, .name = "address widths"},
};

#define FIELD(leaf, subleaf, reg, first, last, name)                                               \
	{                                                                                          \
		leaf, subleaf, CPUID_##reg, first, last, CPUID_SHOWN, CPUID_NEED_NOTHING, name, "" \
	}
#define SHOWN(leaf, subleaf, reg, bit, name) FIELD(leaf, subleaf, reg, bit, bit, name)
#define NEEDS(leaf, subleaf, reg, bit, name, need, why)                                         \
	{                                                                                       \
		leaf, subleaf, CPUID_##reg, bit, bit, CPUID_NEEDS, CPUID_NEED_##need, name, why \
	}
#define HIDDEN(leaf, subleaf, reg, first, last, name, why)                                       \
	{                                                                                        \
		leaf, subleaf, CPUID_##reg, first, last, CPUID_HIDDEN, CPUID_NEED_NOTHING, name, \
			why                                                                      \
	}
#define GUESTS(leaf, subleaf, reg, bit, name, why)                                                \
	{                                                                                         \
		leaf, subleaf, CPUID_##reg, bit, bit, CPUID_GUESTS, CPUID_NEED_NOTHING, name, why \
	}

static const char ud[] = "#UD in the guest without the control";
static const char hfi[] = "the CPU writes its table to a physical address, past EPT";
static const char pebs[] =
	"records go to an address that the CPU looks up past EPT, or in Umbra's tables";
static const char fred[] = "FRED";
static const char apx[] = "exits name R16-R31 in fields that Umbra does not read";

const struct cpuid_feature cpuid_features[] = {
	FIELD(1, 0, EAX, 0, 31, "version"),
	FIELD(1, 0, EBX, 0, 31, "brand index, CLFLUSH size, APIC id"),
	SHOWN(1, 0, ECX, 0, "SSE3"),
	SHOWN(1, 0, ECX, 1, "PCLMULQDQ"),
	SHOWN(1, 0, ECX, 2, "DTES64"),
	SHOWN(1, 0, ECX, 3, "MONITOR"),
	SHOWN(1, 0, ECX, 4, "DS-CPL"),
	NEEDS(1, 0, ECX, 5, "VMX", NESTED, ""),
	HIDDEN(1, 0, ECX, 6, 6, "SMX", "a measured launch would take VMX operation from Umbra"),
	SHOWN(1, 0, ECX, 7, "EIST"),
	SHOWN(1, 0, ECX, 8, "TM2"),
	SHOWN(1, 0, ECX, 9, "SSSE3"),
	SHOWN(1, 0, ECX, 10, "CNXT-ID"),
	SHOWN(1, 0, ECX, 11, "SDBG"),
	SHOWN(1, 0, ECX, 12, "FMA"),
	SHOWN(1, 0, ECX, 13, "CMPXCHG16B"),
	SHOWN(1, 0, ECX, 14, "xTPR update control"),
	SHOWN(1, 0, ECX, 15, "PDCM"),
	SHOWN(1, 0, ECX, 17, "PCID"),
	SHOWN(1, 0, ECX, 18, "DCA"),
	SHOWN(1, 0, ECX, 19, "SSE4.1"),
	SHOWN(1, 0, ECX, 20, "SSE4.2"),
	SHOWN(1, 0, ECX, 21, "x2APIC"),
	SHOWN(1, 0, ECX, 22, "MOVBE"),
	SHOWN(1, 0, ECX, 23, "POPCNT"),
	SHOWN(1, 0, ECX, 24, "TSC-Deadline"),
	SHOWN(1, 0, ECX, 25, "AESNI"),
	SHOWN(1, 0, ECX, 26, "XSAVE"),
	GUESTS(1, 0, ECX, 27, "OSXSAVE", "CR4.OSXSAVE"),
	SHOWN(1, 0, ECX, 28, "AVX"),
	SHOWN(1, 0, ECX, 29, "F16C"),
	SHOWN(1, 0, ECX, 30, "RDRAND"),
	NEEDS(1, 0, ECX, 31, "a hypervisor is present", HYPERVISOR,
	      "the hypervisor below is Umbra's, its interfaces take physical addresses"),
	FIELD(1, 0, EDX, 0, 9, "FPU, VME, DE, PSE, TSC, MSR, PAE, MCE, CX8, APIC"),
	FIELD(1, 0, EDX, 11, 19, "SEP, MTRR, PGE, MCA, CMOV, PAT, PSE-36, PSN, CLFSH"),
	FIELD(1, 0, EDX, 21, 29, "DS, ACPI, MMX, FXSR, SSE, SSE2, SS, HTT, TM"),
	SHOWN(1, 0, EDX, 31, "PBE"),

	FIELD(6, 0, EAX, 0, 2, "digital temperature sensor, Turbo Boost, ARAT"),
	FIELD(6, 0, EAX, 4, 6, "PLN, ECMD, PTM"),
	FIELD(6, 0, EAX, 7, 11, "HWP"),
	SHOWN(6, 0, EAX, 13, "HDC"),
	SHOWN(6, 0, EAX, 14, "Turbo Boost Max 3.0"),
	FIELD(6, 0, EAX, 15, 18, "HWP: capabilities, PECI override, flexible, fast access"),
	HIDDEN(6, 0, EAX, 19, 19, "HW_FEEDBACK", hfi),
	SHOWN(6, 0, EAX, 20, "HWP: requests of idle logical processors ignored"),
	SHOWN(6, 0, EAX, 22, "HWP control MSR"),
	HIDDEN(6, 0, EAX, 23, 23, "Intel Thread Director", hfi),
	SHOWN(6, 0, EAX, 24, "IA32_THERM_INTERRUPT bit 25"),
	FIELD(6, 0, EBX, 0, 3, "interrupt thresholds"),
	SHOWN(6, 0, ECX, 0, "hardware coordination feedback"),
	SHOWN(6, 0, ECX, 3, "performance-energy bias preference"),
	HIDDEN(6, 0, ECX, 8, 15, "Thread Director classes", hfi),
	HIDDEN(6, 0, EDX, 0, 31, "layout of the hardware feedback table", hfi),

	FIELD(7, 0, EAX, 0, 31, "highest subleaf"),
	FIELD(7, 0, EBX, 0, 9,
	      "FSGSBASE, IA32_TSC_ADJUST, SGX, BMI1, HLE, AVX2, FDP_EXCPTN_ONLY, SMEP, BMI2, ERMS"),
	NEEDS(7, 0, EBX, 10, "INVPCID", INVPCID, ud),
	SHOWN(7, 0, EBX, 11, "RTM"),
	FIELD(7, 0, EBX, 12, 13, "RDT-M, deprecated FPU CS and DS"),
	SHOWN(7, 0, EBX, 14, "MPX"),
	SHOWN(7, 0, EBX, 15, "RDT-A"),
	FIELD(7, 0, EBX, 16, 21, "AVX512F, AVX512DQ, RDSEED, ADX, SMAP, AVX512_IFMA"),
	FIELD(7, 0, EBX, 23, 24, "CLFLUSHOPT, CLWB"),
	NEEDS(7, 0, EBX, 25, "Intel PT", PT,
	      "a trace would run on in root mode, and its output go past EPT; L2 is not served"),
	FIELD(7, 0, EBX, 26, 31, "AVX512PF, AVX512ER, AVX512CD, SHA, AVX512BW, AVX512VL"),
	FIELD(7, 0, ECX, 0, 3, "PREFETCHWT1, AVX512_VBMI, UMIP, PKU"),
	GUESTS(7, 0, ECX, 4, "OSPKE", "CR4.PKE"),
	NEEDS(7, 0, ECX, 5, "WAITPKG", USER_WAIT, ud),
	SHOWN(7, 0, ECX, 6, "AVX512_VBMI2"),
	SHOWN(7, 0, ECX, 7, "CET_SS"),
	FIELD(7, 0, ECX, 8, 12, "GFNI, VAES, VPCLMULQDQ, AVX512_VNNI, AVX512_BITALG"),
	SHOWN(7, 0, ECX, 13, "TME_EN"),
	SHOWN(7, 0, ECX, 14, "AVX512_VPOPCNTDQ"),
	SHOWN(7, 0, ECX, 16, "LA57"),
	FIELD(7, 0, ECX, 17, 21, "MAWAU"),
	NEEDS(7, 0, ECX, 22, "RDPID", RDTSCP, ud),
	SHOWN(7, 0, ECX, 23, "KL"),
	SHOWN(7, 0, ECX, 24, "BUS_LOCK_DETECT"),
	SHOWN(7, 0, ECX, 25, "CLDEMOTE"),
	FIELD(7, 0, ECX, 27, 28, "MOVDIRI, MOVDIR64B"),
	SHOWN(7, 0, ECX, 29, "ENQCMD"),
	SHOWN(7, 0, ECX, 30, "SGX_LC"),
	SHOWN(7, 0, ECX, 31, "PKS"),
	FIELD(7, 0, EDX, 1, 4, "SGX-KEYS, AVX512_4VNNIW, AVX512_4FMAPS, fast short REP MOV"),
	SHOWN(7, 0, EDX, 5, "UINTR"),
	FIELD(7, 0, EDX, 8, 11, "AVX512_VP2INTERSECT, SRBDS_CTRL, MD_CLEAR, RTM_ALWAYS_ABORT"),
	FIELD(7, 0, EDX, 13, 16, "RTM_FORCE_ABORT, SERIALIZE, hybrid, TSXLDTRK"),
	NEEDS(7, 0, EDX, 18, "PCONFIG", PCONFIG, ud),
	NEEDS(7, 0, EDX, 19, "architectural LBRs", LBR,
	      "recording on in root mode, they would show Umbra's addresses"),
	SHOWN(7, 0, EDX, 20, "CET_IBT"),
	FIELD(7, 0, EDX, 22, 25, "AMX-BF16, AVX512_FP16, AMX-TILE, AMX-INT8"),
	FIELD(7, 0, EDX, 26, 31,
	      "IBRS and IBPB, STIBP, L1D_FLUSH, IA32_ARCH_CAPABILITIES, IA32_CORE_CAPABILITIES, "
	      "SSBD"),

	FIELD(7, 1, EAX, 0, 5, "SHA512, SM3, SM4, RAO-INT, AVX-VNNI, AVX512_BF16"),
	FIELD(7, 1, EAX, 6, 8, "LASS, CMPCCXADD, ArchPerfmonExt"),
	FIELD(7, 1, EAX, 10, 12, "fast zero-length MOVSB, fast short STOSB, CMPSB and SCASB"),
	HIDDEN(7, 1, EAX, 17, 17, "FRED", "needs state in the VMCS that Umbra does not keep"),
	SHOWN(7, 1, EAX, 18, "LKGS"),
	SHOWN(7, 1, EAX, 19, "WRMSRNS"),
	HIDDEN(7, 1, EAX, 20, 20, "NMI_SRC", fred),
	SHOWN(7, 1, EAX, 21, "AMX-FP16"),
	SHOWN(7, 1, EAX, 22, "HRESET"),
	SHOWN(7, 1, EAX, 23, "AVX-IFMA"),
	SHOWN(7, 1, EAX, 26, "LAM"),
	NEEDS(7, 1, EAX, 27, "MSRLIST", MSR_LIST, ud),
	SHOWN(7, 1, EAX, 30, "INVD disabled after BIOS"),
	SHOWN(7, 1, EAX, 31, "MOVRS"),
	SHOWN(7, 1, EBX, 0, "IA32_PPIN"),
	HIDDEN(7, 1, EBX, 1, 1, "PBNDKB", "#UD without a control that Umbra leaves 0"),
	SHOWN(7, 1, EBX, 3, "CPUID limit removed from IA32_MISC_ENABLE"),
	SHOWN(7, 1, ECX, 5, "MSR_IMM"),
	FIELD(7, 1, EDX, 4, 5, "AVX-VNNI-INT8, AVX-NE-CONVERT"),
	SHOWN(7, 1, EDX, 8, "AMX-COMPLEX"),
	SHOWN(7, 1, EDX, 10, "AVX-VNNI-INT16"),
	HIDDEN(7, 1, EDX, 13, 13, "UTMR", "needs a VM-execution control that Umbra leaves 0"),
	SHOWN(7, 1, EDX, 14, "PREFETCHI"),
	HIDDEN(7, 1, EDX, 15, 15, "USER_MSR", "#UD without a tertiary control that Umbra leaves 0"),
	SHOWN(7, 1, EDX, 17, "UIRET sets UIF"),
	SHOWN(7, 1, EDX, 18, "CET_SSS"),
	SHOWN(7, 1, EDX, 19, "AVX10"),
	HIDDEN(7, 1, EDX, 21, 21, "APX_F", apx),
	SHOWN(7, 1, EDX, 23, "MWAIT"),

	FIELD(7, 2, EDX, 0, 7,
	      "PSFD, IPRED_CTRL, RRSBA_CTRL, DDPD_U, BHI_CTRL, MCDT_NO, UC-lock disable, "
	      "MONITOR_MITG_NO"),

	FIELD(0xd, 1, EAX, 0, 2, "XSAVEOPT, XSAVEC, XGETBV with ECX = 1"),
	NEEDS(0xd, 1, EAX, 3, "XSAVES", XSAVES, ud),
	SHOWN(0xd, 1, EAX, 4, "XFD"),
	FIELD(0xd, 1, EBX, 0, 31, "size of the enabled components"),

	SHOWN(0x19, 0, EAX, 0, "Key Locker: CPL 0 only"),
	SHOWN(0x19, 0, EAX, 1, "no encryption"),
	SHOWN(0x19, 0, EAX, 2, "no decryption"),
	GUESTS(0x19, 0, EBX, 0, "AESKLE", "CR4.KL, if firmware has activated AES Key Locker"),
	SHOWN(0x19, 0, EBX, 2, "wide AES Key Locker"),
	SHOWN(0x19, 0, EBX, 4, "IWKey backup"),
	FIELD(0x19, 0, ECX, 0, 1, "LOADIWKEY: no backup, random key"),

	FIELD(0x23, 0, EAX, 0, 3, "subleaves: counters, their reload, events"),
	HIDDEN(0x23, 0, EAX, 4, 5, "architectural PEBS", pebs),
	FIELD(0x23, 0, EBX, 0, 2, "UnitMask2, EQ, RDPMC_USR_DISABLE"),
	FIELD(0x23, 0, ECX, 0, 7, "slots per cycle"),
	FIELD(0x23, 1, EAX, 0, 31, "general counters"),
	FIELD(0x23, 1, EBX, 0, 31, "fixed counters"),
	FIELD(0x23, 2, EAX, 0, 31, "general counters that can be reloaded"),
	FIELD(0x23, 2, EBX, 0, 31, "fixed counters that can be reloaded"),
	FIELD(0x23, 2, ECX, 0, 31, "general counters that can cause it"),
	FIELD(0x23, 2, EDX, 0, 31, "fixed counters that can cause it"),
	FIELD(0x23, 3, EAX, 0, 31, "architectural events"),

	SHOWN(0x80000001, 0, ECX, 0, "LAHF and SAHF in 64-bit mode"),
	SHOWN(0x80000001, 0, ECX, 5, "LZCNT"),
	SHOWN(0x80000001, 0, ECX, 8, "PREFETCHW"),
	GUESTS(0x80000001, 0, EDX, 11, "SYSCALL", "only while CPUID executes in 64-bit mode"),
	GUESTS(0x80000001, 0, EDX, 20, "NX", "not while the guest has IA32_MISC_ENABLE[34] set"),
	SHOWN(0x80000001, 0, EDX, 26, "1-GByte pages"),
	NEEDS(0x80000001, 0, EDX, 27, "RDTSCP", RDTSCP, ud),
	SHOWN(0x80000001, 0, EDX, 29, "Intel 64"),

	FIELD(0x80000008, 0, EAX, 0, 15, "physical and linear address widths"),
	SHOWN(0x80000008, 0, EBX, 9, "WBNOINVD"),
};
const u32 cpuid_feature_count = ARRAY_SIZE(cpuid_features);

#define USER(bit, name)                                               \
	{                                                             \
		bit, false, CPUID_SHOWN, CPUID_NEED_NOTHING, name, "" \
	}
#define SUPERVISOR(bit, name)                                        \
	{                                                            \
		bit, true, CPUID_SHOWN, CPUID_NEED_NOTHING, name, "" \
	}

/* SDM "XSAVE-Supported Features and State-Component Bitmaps". */
const struct cpuid_component cpuid_components[] = {
	USER(0, "x87"),
	USER(1, "SSE"),
	USER(2, "AVX"),
	USER(3, "MPX: BNDREGS"),
	USER(4, "MPX: BNDCSR"),
	USER(5, "AVX-512: opmask"),
	USER(6, "AVX-512: ZMM_Hi256"),
	USER(7, "AVX-512: Hi16_ZMM"),
	{8, true, CPUID_NEEDS, CPUID_NEED_PT, "Intel PT", "as the feature"},
	USER(9, "PKRU"),
	SUPERVISOR(10, "PASID"),
	SUPERVISOR(11, "CET, user"),
	SUPERVISOR(12, "CET, supervisor"),
	SUPERVISOR(13, "HDC"),
	SUPERVISOR(14, "UINTR"),
	{15, true, CPUID_NEEDS, CPUID_NEED_LBR, "LBR", "as the feature"},
	SUPERVISOR(16, "HWP"),
	USER(17, "AMX: TILECFG"),
	USER(18, "AMX: TILEDATA"),
	{19, false, CPUID_HIDDEN, CPUID_NEED_NOTHING, "APX", apx},
};
const u32 cpuid_component_count = ARRAY_SIZE(cpuid_components);
