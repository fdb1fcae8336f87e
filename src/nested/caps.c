/* SPDX-License-Identifier: BSD-2-Clause */
#include "nested/caps.h"

#include <x86/cr.h>
#include <x86/memtype.h>
#include <x86/msr.h>
#include <x86/vmx.h>

/* Bits that were 1 on the first VT-x CPUs and need be 1 unless the true controls say otherwise. */
enum {
	PIN_DEFAULT1 = 0x16,
	PRIMARY_DEFAULT1 = 0x0401e172,
	EXIT_DEFAULT1 = 0x36dff,
	ENTRY_DEFAULT1 = 0x11ff,
};

/* Of the default-1 bits, those that the true controls let L1 clear: CR3 and debug controls. */
static const u64 primary_may_clear = CPU_CR3_LOAD_EXITING | CPU_CR3_STORE_EXITING;
static const u64 exit_may_clear = EXIT_SAVE_DEBUG_CONTROLS;
static const u64 entry_may_clear = ENTRY_LOAD_DEBUG_CONTROLS;

static const u64 pin_implemented = PIN_EXT_INTR_EXITING | PIN_NMI_EXITING | PIN_VIRTUAL_NMIS |
				   PIN_PREEMPTION_TIMER | PIN_POSTED_INTR;
static const u64 primary_implemented =
	CPU_INTR_WINDOW_EXITING | CPU_TSC_OFFSETTING | CPU_HLT_EXITING | CPU_INVLPG_EXITING |
	CPU_MWAIT_EXITING | CPU_RDPMC_EXITING | CPU_RDTSC_EXITING | CPU_CR3_LOAD_EXITING |
	CPU_CR3_STORE_EXITING | CPU_CR8_LOAD_EXITING | CPU_CR8_STORE_EXITING | CPU_TPR_SHADOW |
	CPU_NMI_WINDOW_EXITING | CPU_MOV_DR_EXITING | CPU_UNCOND_IO_EXITING | CPU_USE_IO_BITMAPS |
	CPU_MONITOR_TRAP_FLAG | CPU_USE_MSR_BITMAPS | CPU_MONITOR_EXITING | CPU_PAUSE_EXITING |
	CPU_SECONDARY_CONTROLS;
static const u64 secondary_implemented =
	CPU2_VIRTUAL_APIC_ACCESSES | CPU2_EPT | CPU2_DESCRIPTOR_TABLE_EXITING | CPU2_RDTSCP |
	CPU2_VIRTUAL_X2APIC | CPU2_VPID | CPU2_WBINVD_EXITING | CPU2_UNRESTRICTED_GUEST |
	CPU2_APIC_REGISTER_VIRT | CPU2_VIRTUAL_INTR_DELIVERY | CPU2_PAUSE_LOOP_EXITING |
	CPU2_RDRAND_EXITING | CPU2_INVPCID | CPU2_RDSEED_EXITING | CPU2_XSAVES | CPU2_TSC_SCALING |
	CPU2_USER_WAIT_PAUSE | CPU2_VM_FUNCTIONS | CPU2_VMCS_SHADOWING | CPU2_PML |
	CPU2_EPT_VIOLATION_VE;
static const u64 exit_implemented =
	EXIT_SAVE_DEBUG_CONTROLS | EXIT_HOST_64BIT | EXIT_ACK_INTR | EXIT_SAVE_PAT | EXIT_LOAD_PAT |
	EXIT_SAVE_EFER | EXIT_LOAD_EFER | EXIT_SAVE_PREEMPTION_TIMER | EXIT_CLEAR_BNDCFGS |
	EXIT_CLEAR_LBR_CTL | EXIT_LOAD_CET | EXIT_LOAD_PKRS | EXIT_LOAD_PERF_GLOBAL_CTRL |
	EXIT_SAVE_PERF_GLOBAL_CTRL;
static const u64 entry_implemented = ENTRY_LOAD_DEBUG_CONTROLS | ENTRY_IA32E_GUEST |
				     ENTRY_LOAD_PAT | ENTRY_LOAD_EFER | ENTRY_LOAD_BNDCFGS |
				     ENTRY_LOAD_CET | ENTRY_LOAD_LBR_CTL | ENTRY_LOAD_PKRS |
				     ENTRY_LOAD_PERF_GLOBAL_CTRL;
static const u64 misc_implemented = VMX_MISC_PREEMPTION_RATE | VMX_MISC_SAVE_LMA | VMX_MISC_HLT |
				    VMX_MISC_SHUTDOWN | VMX_MISC_WAIT_SIPI | VMX_MISC_CR3_TARGETS |
				    VMX_MISC_VMWRITE_RO | VMX_MISC_ZERO_LEN_INJECT;
static const u64 ept_vpid_implemented =
	EPT_CAP_EXEC_ONLY | EPT_CAP_WALK_4 | EPT_CAP_UC | EPT_CAP_WB | EPT_CAP_2M | EPT_CAP_1G |
	EPT_CAP_AD | EPT_CAP_ADV_VIOLATION | EPT_CAP_INVEPT | EPT_CAP_INVEPT_SINGLE |
	EPT_CAP_INVEPT_ALL | VPID_CAP_INVVPID | VPID_CAP_ADDRESS | VPID_CAP_SINGLE | VPID_CAP_ALL |
	VPID_CAP_SINGLE_GLOBALS;

/* Must-be-1 bits are the default-1 class less those that may be cleared, here as in hardware. */
static vmx_control_cap offer(vmx_control_cap hardware, u64 implemented, u64 default1, u64 may_clear)
{
	const u64 allowed1 = ((hardware >> 32) & implemented) | default1;
	const u64 allowed0 = (default1 & ~may_clear) | (hardware & allowed1);

	return allowed1 << 32 | allowed0;
}

/* The older MSRs insist on the whole default-1 class. */
static u64 not_true(vmx_control_cap cap, u64 default1)
{
	return cap | default1;
}

static bool offers(const struct nested_caps *caps, enum field_needs needs)
{
	switch (needs) {
	case NEEDS_NOTHING:
		return true;
	case NEEDS_VPID:
		return vmx_can_set(caps->secondary, CPU2_VPID);
	case NEEDS_POSTED_INTR:
		return vmx_can_set(caps->pin, PIN_POSTED_INTR);
	case NEEDS_VIRTUAL_INTR:
		return vmx_can_set(caps->secondary, CPU2_VIRTUAL_INTR_DELIVERY);
	case NEEDS_TPR_SHADOW:
		return vmx_can_set(caps->primary, CPU_TPR_SHADOW);
	case NEEDS_APIC_ACCESS:
		return vmx_can_set(caps->secondary, CPU2_VIRTUAL_APIC_ACCESSES);
	case NEEDS_EPT:
		return vmx_can_set(caps->secondary, CPU2_EPT);
	case NEEDS_MSR_BITMAP:
		return vmx_can_set(caps->primary, CPU_USE_MSR_BITMAPS);
	case NEEDS_XSAVES:
		return vmx_can_set(caps->secondary, CPU2_XSAVES);
	case NEEDS_TSC_SCALING:
		return vmx_can_set(caps->secondary, CPU2_TSC_SCALING);
	case NEEDS_PLE:
		return vmx_can_set(caps->secondary, CPU2_PAUSE_LOOP_EXITING);
	case NEEDS_PREEMPTION_TIMER:
		return vmx_can_set(caps->pin, PIN_PREEMPTION_TIMER);
	case NEEDS_BNDCFGS:
		return vmx_can_set(caps->entry, ENTRY_LOAD_BNDCFGS);
	case NEEDS_SHADOWING:
		return vmx_can_set(caps->secondary, CPU2_VMCS_SHADOWING);
	case NEEDS_PML:
		return vmx_can_set(caps->secondary, CPU2_PML);
	case NEEDS_VM_FUNCTIONS:
		return vmx_can_set(caps->secondary, CPU2_VM_FUNCTIONS);
	case NEEDS_EPT_VIOLATION_VE:
		return vmx_can_set(caps->secondary, CPU2_EPT_VIOLATION_VE);
	case NEEDS_CET:
		return vmx_can_set(caps->entry, ENTRY_LOAD_CET);
	case NEEDS_PKRS:
		return vmx_can_set(caps->entry, ENTRY_LOAD_PKRS);
	case NEEDS_LBR:
		return vmx_can_set(caps->entry, ENTRY_LOAD_LBR_CTL);
	case NEEDS_PERF_GLOBAL_CTRL:
		return vmx_can_set(caps->entry, ENTRY_LOAD_PERF_GLOBAL_CTRL);
	case NEEDS_CR3_TARGET0:
	case NEEDS_CR3_TARGET1:
	case NEEDS_CR3_TARGET2:
	case NEEDS_CR3_TARGET3:
		return (caps->misc & VMX_MISC_CR3_TARGETS) >> 16 > needs - NEEDS_CR3_TARGET0;
	case NEEDS_COUNT:
		break;
	}
	return false;
}

/* State that an entry loads has to leave with an exit, as on all CPUs there are. */
static void drop_unpaired(struct nested_caps *caps)
{
	static const struct {
		u64 entry, exit;
	} pairs[] = {
		{ENTRY_LOAD_CET, EXIT_LOAD_CET},
		{ENTRY_LOAD_PKRS, EXIT_LOAD_PKRS},
		{ENTRY_LOAD_LBR_CTL, EXIT_CLEAR_LBR_CTL},
		{ENTRY_LOAD_BNDCFGS, EXIT_CLEAR_BNDCFGS},
	};

	for (size_t i = 0; i < ARRAY_SIZE(pairs); i++) {
		if (vmx_can_set(caps->entry, pairs[i].entry) &&
		    vmx_can_set(caps->exit, pairs[i].exit))
			continue;
		caps->entry &= ~(pairs[i].entry << 32);
		caps->exit &= ~(pairs[i].exit << 32);
	}
}

void nested_caps_init(struct nested_caps *out, const struct vmx_capabilities *hardware,
		      u32 revision, unsigned int maxphyaddr)
{
	u32 highest_index = 0;

	*out = (struct nested_caps){
		.pin = offer(hardware->pin, pin_implemented, PIN_DEFAULT1, 0),
		.primary = offer(hardware->primary, primary_implemented, PRIMARY_DEFAULT1,
				 primary_may_clear),
		.secondary = offer(hardware->secondary, secondary_implemented, 0, 0),
		.exit = offer(hardware->exit, exit_implemented, EXIT_DEFAULT1, exit_may_clear),
		.entry = offer(hardware->entry, entry_implemented, ENTRY_DEFAULT1, entry_may_clear),
		.basic = revision | PAGE_SIZE << 32 | (u64)MEMTYPE_WB << 50 | VMX_BASIC_INS_OUTS |
			 VMX_BASIC_TRUE_CTLS,
		.misc = hardware->misc & misc_implemented,
		.ept_vpid = hardware->ept_vpid & ept_vpid_implemented,
		.cr0_fixed0 = hardware->cr0_fixed0,
		.cr0_fixed1 = hardware->cr0_fixed1,
		.cr4_fixed0 = hardware->cr4_fixed0,
		.cr4_fixed1 = hardware->cr4_fixed1 & ~(CR4_SMXE | CR4_FRED),
		.perf_global_ctrl = hardware->perf_global_ctrl,
		.maxphyaddr = (u8)maxphyaddr,
	};
	drop_unpaired(out);
	if (!hardware->perf_global_ctrl) {
		out->entry &= ~(ENTRY_LOAD_PERF_GLOBAL_CTRL << 32);
		out->exit &= ~((EXIT_LOAD_PERF_GLOBAL_CTRL | EXIT_SAVE_PERF_GLOBAL_CTRL) << 32);
	}
	/* It logs what sets dirty flags. */
	if (!(out->ept_vpid & EPT_CAP_AD))
		out->secondary &= ~(CPU2_PML << 32);
	/* Umbra writes the exit information of a shadow VMCS as its L1 may do (SDM "VMCS
	 * Shadowing"). */
	if (!(out->misc & VMX_MISC_VMWRITE_RO))
		out->secondary &= ~(CPU2_VMCS_SHADOWING << 32);
	if (vmx_can_set(out->secondary, CPU2_VM_FUNCTIONS))
		out->vmfunc = VMFUNC_EPTP_SWITCHING;
	/* The timer goes on over Umbra's own exits only if they save it. */
	if (!vmx_can_set(hardware->exit, EXIT_SAVE_PREEMPTION_TIMER))
		out->pin &= ~(PIN_PREEMPTION_TIMER << 32);
	out->basic |= hardware->basic & VMX_BASIC_ANY_ERROR_CODE;
	if (!(hardware->basic & VMX_BASIC_INS_OUTS))
		out->basic &= ~VMX_BASIC_INS_OUTS;
	for (u32 f = 0; f < F_COUNT; f++) {
		out->has_field[f] = offers(out, (enum field_needs)field_info[f].needs);
		if (out->has_field[f] && VMCS_FIELD_INDEX(field_info[f].encoding) > highest_index)
			highest_index = VMCS_FIELD_INDEX(field_info[f].encoding);
	}
	out->vmcs_enum = highest_index << 1;
}

bool nested_caps_msr(const struct nested_caps *caps, u32 msr, u64 *value)
{
	switch (msr) {
	case MSR_IA32_VMX_BASIC:
		*value = caps->basic;
		return true;
	case MSR_IA32_VMX_PINBASED_CTLS:
		*value = not_true(caps->pin, PIN_DEFAULT1);
		return true;
	case MSR_IA32_VMX_PROCBASED_CTLS:
		*value = not_true(caps->primary, PRIMARY_DEFAULT1);
		return true;
	case MSR_IA32_VMX_EXIT_CTLS:
		*value = not_true(caps->exit, EXIT_DEFAULT1);
		return true;
	case MSR_IA32_VMX_ENTRY_CTLS:
		*value = not_true(caps->entry, ENTRY_DEFAULT1);
		return true;
	case MSR_IA32_VMX_MISC:
		*value = caps->misc;
		return true;
	case MSR_IA32_VMX_CR0_FIXED0:
		*value = caps->cr0_fixed0;
		return true;
	case MSR_IA32_VMX_CR0_FIXED1:
		*value = caps->cr0_fixed1;
		return true;
	case MSR_IA32_VMX_CR4_FIXED0:
		*value = caps->cr4_fixed0;
		return true;
	case MSR_IA32_VMX_CR4_FIXED1:
		*value = caps->cr4_fixed1;
		return true;
	case MSR_IA32_VMX_VMCS_ENUM:
		*value = caps->vmcs_enum;
		return true;
	case MSR_IA32_VMX_PROCBASED_CTLS2:
		*value = caps->secondary;
		return true;
	case MSR_IA32_VMX_EPT_VPID_CAP:
		*value = caps->ept_vpid;
		return true;
	case MSR_IA32_VMX_VMFUNC:
		*value = caps->vmfunc;
		return caps->vmfunc;
	case MSR_IA32_VMX_TRUE_PINBASED_CTLS:
		*value = caps->pin;
		return true;
	case MSR_IA32_VMX_TRUE_PROCBASED_CTLS:
		*value = caps->primary;
		return true;
	case MSR_IA32_VMX_TRUE_EXIT_CTLS:
		*value = caps->exit;
		return true;
	case MSR_IA32_VMX_TRUE_ENTRY_CTLS:
		*value = caps->entry;
		return true;
	default:
		return false;
	}
}
