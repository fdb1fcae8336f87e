/* SPDX-License-Identifier: BSD-2-Clause */
/* Everything Umbra needs of a CPU, as a list to read top down. */
#include <x86/msr.h>
#include <x86/vmx.h>

#include "vmx/capabilities.h"

typedef const struct vmx_capabilities *caps_t;

static bool vmx(caps_t c)
{
	return c->has_vmx;
}

/* SDM "Enabling and Entering VMX Operation": unlocked is fine, Umbra then enables and locks. */
static bool not_locked_out(caps_t c)
{
	return !(c->feature_control & FEATURE_CONTROL_LOCK) ||
	       (c->feature_control & FEATURE_CONTROL_VMX_OUTSIDE_SMX);
}

static bool true_controls(caps_t c)
{
	return c->basic & VMX_BASIC_TRUE_CTLS;
}

static bool ept(caps_t c)
{
	return vmx_can_set(c->primary, CPU_SECONDARY_CONTROLS) &&
	       vmx_can_set(c->secondary, CPU2_EPT);
}

static bool ept_format(caps_t c)
{
	const u64 needed =
		EPT_CAP_WALK_4 | EPT_CAP_WB | EPT_CAP_2M | EPT_CAP_INVEPT | EPT_CAP_INVEPT_SINGLE;

	return !ept(c) || (c->ept_vpid & needed) == needed;
}

static bool unrestricted_guest(caps_t c)
{
	return vmx_can_set(c->secondary, CPU2_UNRESTRICTED_GUEST);
}

/* INVVPID too, for what INIT and changes of CR0 and CR4 flush. */
static bool vpid(caps_t c)
{
	const u64 needed = VPID_CAP_INVVPID | VPID_CAP_SINGLE;

	return vmx_can_set(c->secondary, CPU2_VPID) && (c->ept_vpid & needed) == needed;
}

/* Without it the guest's INIT-SIPI-SIPI would have to be caught in the local APIC. */
static bool wait_for_sipi(caps_t c)
{
	return c->misc & VMX_MISC_WAIT_SIPI;
}

static bool msr_bitmaps(caps_t c)
{
	return vmx_can_set(c->primary, CPU_USE_MSR_BITMAPS);
}

static bool efer_and_pat(caps_t c)
{
	return vmx_can_set(c->exit,
			   EXIT_SAVE_EFER | EXIT_LOAD_EFER | EXIT_SAVE_PAT | EXIT_LOAD_PAT) &&
	       vmx_can_set(c->entry, ENTRY_LOAD_EFER | ENTRY_LOAD_PAT);
}

static bool virtual_nmis(caps_t c)
{
	return vmx_can_set(c->pin, PIN_NMI_EXITING | PIN_VIRTUAL_NMIS) &&
	       vmx_can_set(c->primary, CPU_NMI_WINDOW_EXITING);
}

/* CR3 accesses would exit on every context switch; only the first VT-x CPUs insist on that. */
static bool free_cr3(caps_t c)
{
	return vmx_can_clear(c->primary, CPU_CR3_LOAD_EXITING | CPU_CR3_STORE_EXITING);
}

u32 vmx_requirements_check(const struct vmx_capabilities *caps,
			   void (*report)(void *ctx, const char *what, const char *advice),
			   void *ctx)
{
	static const char too_old[] = "this CPU is too old for Umbra";
	static const struct {
		bool (*met)(caps_t);
		const char *what;
		const char *advice;
	} requirements[] = {
		{not_locked_out, "VMX, which the firmware has locked off in IA32_FEATURE_CONTROL",
		 "enable Intel Virtualization Technology in the firmware setup and switch the "
		 "machine off and on"},
		{true_controls, "the \"true\" VMX control capabilities", too_old},
		{ept, "extended page tables (EPT)", too_old},
		{ept_format, "4-level write-back EPT with 2 MiB pages and INVEPT", too_old},
		{unrestricted_guest, "unrestricted guest, which real mode needs", too_old},
		{vpid, "virtual-processor identifiers (VPID) with INVVPID", too_old},
		{wait_for_sipi, "the wait-for-SIPI activity state, which starting CPUs needs",
		 too_old},
		{msr_bitmaps, "MSR bitmaps", too_old},
		{efer_and_pat, "load and save of IA32_EFER and IA32_PAT at VM entry and exit",
		 too_old},
		{virtual_nmis, "NMI exiting with virtual NMIs", too_old},
		{free_cr3, "CR3 access without VM exits", too_old},
	};
	u32 missing = 0;

	if (!vmx(caps)) {
		report(ctx, "VMX (Intel VT-x)",
		       "use an Intel CPU with VT-x; in a virtual machine, enable nested "
		       "virtualisation");
		return 1;
	}
	for (size_t i = 0; i < ARRAY_SIZE(requirements); i++) {
		if (!requirements[i].met(caps)) {
			report(ctx, requirements[i].what, requirements[i].advice);
			missing++;
		}
	}
	return missing;
}
