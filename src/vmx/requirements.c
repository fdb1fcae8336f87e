/* SPDX-License-Identifier: BSD-2-Clause */
/* Everything Umbra needs of a CPU, as a list to read top down. */
#include <x86/msr.h>
#include <x86/vmx.h>

#include "vmx/capabilities.h"

u32 vmx_requirements_check(const struct vmx_capabilities *caps,
			   void (*report)(void *ctx, const char *what, const char *advice),
			   void *ctx)
{
	static const char too_old[] = "this CPU is too old for Umbra";
	/* SDM "Enabling and Entering VMX Operation": unlocked is fine, Umbra enables and locks. */
	const bool locked_out = (caps->feature_control & FEATURE_CONTROL_LOCK) &&
				!(caps->feature_control & FEATURE_CONTROL_VMX_OUTSIDE_SMX);
	const bool ept = vmx_can_set(caps->primary, CPU_SECONDARY_CONTROLS) &&
			 vmx_can_set(caps->secondary, CPU2_EPT);
	const u64 ept_format =
		EPT_CAP_WALK_4 | EPT_CAP_WB | EPT_CAP_2M | EPT_CAP_INVEPT | EPT_CAP_INVEPT_SINGLE;
	/* For what INIT and changes of CR0 and CR4 flush. */
	const u64 invvpid = VPID_CAP_INVVPID | VPID_CAP_SINGLE;
	const struct {
		bool met;
		const char *what;
		const char *advice;
	} requirements[] = {
		{!locked_out, "VMX, which the firmware has locked off in IA32_FEATURE_CONTROL",
		 "enable Intel Virtualization Technology in the firmware setup and switch the "
		 "machine off and on"},
		{caps->basic & VMX_BASIC_TRUE_CTLS, "the \"true\" VMX control capabilities",
		 too_old},
		{ept, "extended page tables (EPT)", too_old},
		{!ept || (caps->ept_vpid & ept_format) == ept_format,
		 "4-level write-back EPT with 2 MiB pages and INVEPT", too_old},
		{vmx_can_set(caps->secondary, CPU2_UNRESTRICTED_GUEST),
		 "unrestricted guest, which real mode needs", too_old},
		{vmx_can_set(caps->secondary, CPU2_VPID) && (caps->ept_vpid & invvpid) == invvpid,
		 "virtual-processor identifiers (VPID) with INVVPID", too_old},
		/* Or INIT-SIPI-SIPI of the guest's would have to be caught in the local APIC. */
		{caps->misc & VMX_MISC_WAIT_SIPI,
		 "the wait-for-SIPI activity state, which starting CPUs needs", too_old},
		{vmx_can_set(caps->primary, CPU_USE_MSR_BITMAPS), "MSR bitmaps", too_old},
		{vmx_can_set(caps->exit,
			     EXIT_SAVE_EFER | EXIT_LOAD_EFER | EXIT_SAVE_PAT | EXIT_LOAD_PAT) &&
			 vmx_can_set(caps->entry, ENTRY_LOAD_EFER | ENTRY_LOAD_PAT),
		 "load and save of IA32_EFER and IA32_PAT at VM entry and exit", too_old},
		{vmx_can_set(caps->pin, PIN_NMI_EXITING | PIN_VIRTUAL_NMIS) &&
			 vmx_can_set(caps->primary, CPU_NMI_WINDOW_EXITING),
		 "NMI exiting with virtual NMIs", too_old},
		/* They would exit on every context switch; the first VT-x CPUs insist on that. */
		{vmx_can_clear(caps->primary, CPU_CR3_LOAD_EXITING | CPU_CR3_STORE_EXITING),
		 "CR3 access without VM exits", too_old},
	};
	u32 missing = 0;

	if (!caps->has_vmx) {
		report(ctx, "VMX (Intel VT-x)",
		       "use an Intel CPU with VT-x; in a virtual machine, enable nested "
		       "virtualisation");
		return 1;
	}
	for (size_t i = 0; i < ARRAY_SIZE(requirements); i++) {
		if (!requirements[i].met) {
			report(ctx, requirements[i].what, requirements[i].advice);
			missing++;
		}
	}
	return missing;
}
