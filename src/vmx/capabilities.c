/* SPDX-License-Identifier: BSD-2-Clause */
#include "vmx/capabilities.h"

#include <x86/msr.h>
#include <x86/vmx.h>

void vmx_capabilities_from(struct vmx_capabilities *out, bool has_vmx, u64 (*read)(u32 msr))
{
	u32 to_true = 0; /* from the MSR of a control word to that of its true capabilities */

	*out = (struct vmx_capabilities){.has_vmx = has_vmx};
	if (!has_vmx)
		return;
	out->feature_control = read(MSR_IA32_FEATURE_CONTROL);
	out->basic = read(MSR_IA32_VMX_BASIC);
	out->misc = read(MSR_IA32_VMX_MISC);
	out->cr0_fixed0 = read(MSR_IA32_VMX_CR0_FIXED0);
	out->cr0_fixed1 = read(MSR_IA32_VMX_CR0_FIXED1);
	out->cr4_fixed0 = read(MSR_IA32_VMX_CR4_FIXED0);
	out->cr4_fixed1 = read(MSR_IA32_VMX_CR4_FIXED1);
	if (out->basic & VMX_BASIC_TRUE_CTLS)
		to_true = MSR_IA32_VMX_TRUE_PINBASED_CTLS - MSR_IA32_VMX_PINBASED_CTLS;
	out->pin = read(MSR_IA32_VMX_PINBASED_CTLS + to_true);
	out->primary = read(MSR_IA32_VMX_PROCBASED_CTLS + to_true);
	out->exit = read(MSR_IA32_VMX_EXIT_CTLS + to_true);
	out->entry = read(MSR_IA32_VMX_ENTRY_CTLS + to_true);
	if (vmx_can_set(out->primary, CPU_SECONDARY_CONTROLS))
		out->secondary = read(MSR_IA32_VMX_PROCBASED_CTLS2);
	/* SDM "Tertiary Processor-Based VM-Execution Controls", "Secondary VM-Exit Controls": the
	   MSRs say in 64 bits what may be 1. */
	if (vmx_can_set(out->primary, CPU_TERTIARY_CONTROLS))
		out->tertiary = read(MSR_IA32_VMX_PROCBASED_CTLS3) << 32;
	if (vmx_can_set(out->exit, EXIT_SECONDARY_CONTROLS))
		out->exit2 = read(MSR_IA32_VMX_EXIT_CTLS2) << 32;
	/* SDM "VPID and EPT Capabilities": the MSR exists only with one of the two. */
	if ((out->secondary >> 32) & (CPU2_EPT | CPU2_VPID))
		out->ept_vpid = read(MSR_IA32_VMX_EPT_VPID_CAP);
}

/* What all CPUs may set, and what any of them insists on. */
static vmx_control_cap common_controls(vmx_control_cap a, vmx_control_cap b)
{
	const u64 allowed1 = (a & b) >> 32;

	return allowed1 << 32 | ((u32)(a | b) & allowed1);
}

static u64 lesser(u64 a, u64 b, u64 mask)
{
	return (a & mask) < (b & mask) ? a & mask : b & mask;
}

void vmx_capabilities_intersect(struct vmx_capabilities *common, const struct vmx_capabilities *cpu)
{
	const u64 basic_flags = VMX_BASIC_INS_OUTS | VMX_BASIC_TRUE_CTLS | VMX_BASIC_ANY_ERROR_CODE;
	const u64 misc_numbers =
		VMX_MISC_PREEMPTION_RATE | VMX_MISC_CR3_TARGETS | VMX_MISC_MSR_LIST_MAX;
	const bool same_rate = !((common->misc ^ cpu->misc) & VMX_MISC_PREEMPTION_RATE);

	common->has_vmx &= cpu->has_vmx;
	common->basic &= cpu->basic | ~basic_flags;
	for (u32 word = 0; word < CONTROL_WORDS; word++)
		common->control[word] = common_controls(common->control[word], cpu->control[word]);
	/* Software computes times from one CPU's rate and may use them on another. */
	if (!same_rate)
		common->pin &= ~(PIN_PREEMPTION_TIMER << 32);
	common->misc = (common->misc & cpu->misc & ~misc_numbers) |
		       (common->misc & VMX_MISC_PREEMPTION_RATE) |
		       lesser(common->misc, cpu->misc, VMX_MISC_CR3_TARGETS) |
		       lesser(common->misc, cpu->misc, VMX_MISC_MSR_LIST_MAX);
	common->ept_vpid &= cpu->ept_vpid;
	common->cr0_fixed0 |= cpu->cr0_fixed0;
	common->cr0_fixed1 &= cpu->cr0_fixed1;
	common->cr4_fixed0 |= cpu->cr4_fixed0;
	common->cr4_fixed1 &= cpu->cr4_fixed1;
	common->perf_global_ctrl &= cpu->perf_global_ctrl;
}
