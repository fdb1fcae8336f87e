/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What a CPU's VMX can do. SDM appendix "VMX Capability Reporting Facility". Read once per CPU;
 * everything that depends on it takes the structure, so it is tested with made-up CPUs.
 */
#pragma once

#include <x86/types.h>

/*
 * Low half: bits that must be 1. High half: bits that may be 1. The last two words have 64 bits, of
 * which none is defined in the high half, and none that must be 1.
 */
typedef u64 vmx_control_cap;

/* The words of controls, as indexes into `control` below. */
enum control_word {
	CONTROL_WORD_PIN,
	CONTROL_WORD_PRIMARY,
	CONTROL_WORD_SECONDARY,
	CONTROL_WORD_EXIT,
	CONTROL_WORD_ENTRY,
	CONTROL_WORD_TERTIARY,
	CONTROL_WORD_EXIT2, /* the secondary VM-exit controls */
	CONTROL_WORDS,
};

struct vmx_capabilities {
	bool has_vmx; /* CPUID.1:ECX.VMX; what MSRs tell is 0 without it */
	u64 feature_control;
	u64 basic;
	union {
		struct {
			vmx_control_cap pin, primary, secondary, exit, entry, tertiary, exit2;
		};
		vmx_control_cap control[CONTROL_WORDS];
	};
	u64 misc;
	u64 ept_vpid;
	u64 cr0_fixed0, cr0_fixed1;
	u64 cr4_fixed0, cr4_fixed1;
	u64 perf_global_ctrl; /* the bits that IA32_PERF_GLOBAL_CTRL has; 0: there is none */
};

/*
 * Fills in all but perf_global_ctrl. `read` is called only for MSRs that the CPU has by those read
 * before; not at all without VMX.
 */
void vmx_capabilities_from(struct vmx_capabilities *out, bool has_vmx, u64 (*read)(u32 msr));

/* Leaves in `common` what both can do. */
void vmx_capabilities_intersect(struct vmx_capabilities *common,
				const struct vmx_capabilities *cpu);

static inline bool vmx_can_set(vmx_control_cap cap, u64 bits)
{
	return ((cap >> 32) & bits) == bits;
}

static inline bool vmx_can_clear(vmx_control_cap cap, u64 bits)
{
	return ((u32)cap & bits) == 0;
}

/* `required` (which the CPU can set), those of `wanted` that it can, and what it insists on. */
static inline u32 vmx_controls(vmx_control_cap cap, u64 required, u64 wanted)
{
	return (u32)(required | (wanted & (cap >> 32)) | (u32)cap);
}

/*
 * Calls `report` once for each thing Umbra needs that this CPU lacks, with a text that names it and
 * says what can be done. Returns how many.
 */
u32 vmx_requirements_check(const struct vmx_capabilities *caps,
			   void (*report)(void *ctx, const char *what, const char *advice),
			   void *ctx);
