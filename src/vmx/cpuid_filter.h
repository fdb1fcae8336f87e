/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What CPUID tells the guest: the CPU's own answer without what the policy (cpuid_table.h) does not
 * show. Pure: what a CPU's VMX can do and the boot options make masks, once; an exit uses them.
 */
#pragma once

#include <x86/cpuid.h>
#include <x86/types.h>

#include "vmx/capabilities.h"
#include "vmx/cpuid_table.h"

struct cpuid_options {
	bool all;        /* show what the policy does not know, too */
	bool hypervisor; /* show the hypervisor below, and let the guest use its MSRs and VMCALL */
	bool nested;     /* VMX is offered */
	u32 own;         /* the first leaf of Umbra's own; 0: there are none */
};

/* What one CPU shows. Zeros: nothing at all. */
struct cpuid_hidden {
	u64 passed; /* leaves 0 to 63 whose answers pass as they are */
	u32 last_basic, last_extended;
	struct cpuid_options options;
	bool leaf14;    /* Intel PT is hidden */
	bool aeskle;    /* AES Key Locker works once CR4.KL is set */
	u64 xcr0, xss;  /* components that may be shown if the CPU has them */
	u32 xsave_size; /* of all shown components of XCR0; 0: as the CPU says */
	struct cpuid mask[CPUID_MASKS];
};

/* The guest's own state that answers depend on. */
struct cpuid_guest {
	u64 cr4;
	bool in_64bit_mode;
	bool xd_disabled; /* by IA32_MISC_ENABLE */
};

/* For a CPU whose highest leaves are these. */
struct cpuid_hidden cpuid_hidden_features(const struct vmx_capabilities *vmx,
					  const struct cpuid_options *options, u32 last_basic,
					  u32 last_extended);

/* The bits of a subleaf that have a row. `mask` is the subleaf's number, below CPUID_MASKS. */
struct cpuid cpuid_known_bits(u32 mask);

/*
 * SDM "CPUID", "INPUT EAX": a leaf above the highest one, or of a range that there is not, answers
 * as the highest basic leaf. A CPU without a hypervisor has nothing at 40000000H.
 */
u32 cpuid_effective_leaf(u32 leaf, const struct cpuid_hidden *hidden);

/* Adjusts the CPU's answer for a leaf of cpuid_effective_leaf()'s, in place. */
void cpuid_filter(struct cpuid *answer, u32 leaf, u32 subleaf, const struct cpuid_guest *guest,
		  const struct cpuid_hidden *hidden);

/* True where the answer needs neither of the two above. */
static inline bool cpuid_passes(u32 leaf, const struct cpuid_hidden *hidden)
{
	return leaf < 64 && hidden->passed >> leaf & 1;
}

/* The rest is in cpuid.c, it executes CPUID. */
struct vcpu;

/* Before the first cpuid_setup(). */
void cpuid_set_options(bool all, bool hypervisor, bool own_leaves);

/* Makes vcpu->cpuid_hidden for the CPU it is called on, whose VMX capabilities have been read. */
void cpuid_setup(struct vcpu *vcpu);

/* Names what stays hidden because the policy does not know it, and the hypervisor below. */
void cpuid_report(const struct vcpu *vcpu);

/* The bits of IA32_XSS that the guest may set: the components that CPUID shows it. */
u64 cpuid_xss_mask(const struct vcpu *vcpu);
