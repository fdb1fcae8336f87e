/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The VMX that L1 sees: what the hardware has and Umbra implements. Pure; the same for all CPUs,
 * what one of them lacks is not offered on any. SDM appendix "VMX Capability Reporting Facility".
 */
#pragma once

#include "nested/fields.h"
#include "vmx/capabilities.h"

struct nested_caps {
	union { /* the "true" ones */
		struct {
			vmx_control_cap pin, primary, secondary, exit, entry, tertiary, exit2;
		};
		vmx_control_cap control[CONTROL_WORDS];
	};
	u64 taken[CONTROL_WORDS]; /* the controls that vmcs02 takes from L1 as they are */
	u64 basic;
	u64 misc;
	u64 ept_vpid;
	u64 vmfunc; /* IA32_VMX_VMFUNC; 0: there is none */
	u64 cr0_fixed0, cr0_fixed1;
	u64 cr4_fixed0, cr4_fixed1;
	u64 vmcs_enum;
	bool has_field[F_COUNT];
	struct field_set guest_state; /* of these, what vmcs02 takes and gives back as it is */
	u8 maxphyaddr;
};

/*
 * `revision`: the VMCS revision identifier L1 gets. `untested`: what the option of that name asks
 * for, a bit for each of enum untested.
 */
void nested_caps_init(struct nested_caps *out, const struct vmx_capabilities *hardware,
		      u32 revision, unsigned int maxphyaddr, u32 untested);

/* A read of one of the capability MSRs, IA32_VMX_BASIC …; false: #GP(0), there is none. */
bool nested_caps_msr(const struct nested_caps *caps, u32 msr, u64 *value);
