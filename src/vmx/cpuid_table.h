/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The CPUID policy: what the guest sees of each feature bit, as data. A bit, leaf or subleaf
 * without a row is not shown: a feature that nobody has thought about may reach past Umbra. So a
 * row that is missing costs the guest a feature, and nothing else. docs/cpuid-policy.md is made of
 * it.
 */
#pragma once

#include <x86/types.h>

enum cpuid_register { CPUID_EAX, CPUID_EBX, CPUID_ECX, CPUID_EDX };

enum cpuid_verdict {
	CPUID_SHOWN,  /* the CPU's own */
	CPUID_NEEDS,  /* shown where `need` is met */
	CPUID_HIDDEN, /* 0 */
	CPUID_GUESTS, /* follows the guest's own state, not that of the CPU while Umbra runs */
};

enum cpuid_need {
	CPUID_NEED_NOTHING,
	CPUID_NEED_NESTED,
	CPUID_NEED_HYPERVISOR,
	CPUID_NEED_RDTSCP,
	CPUID_NEED_INVPCID,
	CPUID_NEED_XSAVES,
	CPUID_NEED_USER_WAIT,
	CPUID_NEED_PCONFIG,
	CPUID_NEED_PT,
	CPUID_NEED_LBR,
	CPUID_NEED_MSR_LIST,
	CPUID_NEED_COUNT,
};

/* Bits first to last of a register of (leaf, subleaf). */
struct cpuid_feature {
	u32 leaf;
	u8 subleaf, reg;
	u8 first, last;
	u8 verdict, need;
	const char *name;
	const char *why; /* it is not simply shown */
};

extern const struct cpuid_feature cpuid_features[];
extern const u32 cpuid_feature_count;

/* The components of XCR0 and IA32_XSS, by their bits. */
struct cpuid_component {
	u8 bit;
	bool supervisor; /* in IA32_XSS */
	u8 verdict, need;
	const char *name;
	const char *why;
};

extern const struct cpuid_component cpuid_components[];
extern const u32 cpuid_component_count;

enum cpuid_leaf_kind {
	CPUID_LEAF_UNKNOWN, /* zeros */
	CPUID_LEAF_DATA,    /* numbers, shown as they are: cache, topology, frequencies, brand */
	CPUID_LEAF_DETAILS, /* numbers of a feature, shown if `need` is met, else zeros */
	CPUID_LEAF_BITS,    /* feature bits: rows of cpuid_features */
	CPUID_LEAF_XSAVE,   /* 0xd: bits, components, and data of each component */
};

struct cpuid_leaf {
	u8 kind, need;
	u8 subleaves; /* with bits; 0: ECX is ignored */
	u8 mask;      /* the number of the first such subleaf's mask */
	const char *name;
};

enum {
	CPUID_BASIC_LEAVES = 0x25,
	CPUID_EXTENDED_LEAVES = 9,
	CPUID_MASKS = 14, /* subleaves with feature bits, in all */
};

static const u32 CPUID_EXTENDED = 0x80000000;

extern const struct cpuid_leaf cpuid_basic_leaves[CPUID_BASIC_LEAVES];
extern const struct cpuid_leaf cpuid_extended_leaves[CPUID_EXTENDED_LEAVES];

/* What the needs are called in the documentation. */
extern const char *const cpuid_need_text[CPUID_NEED_COUNT];
