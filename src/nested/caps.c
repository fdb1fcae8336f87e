/* SPDX-License-Identifier: BSD-2-Clause */
#include "nested/caps.h"

#include <x86/cr.h>
#include <x86/memtype.h>
#include <x86/msr.h>
#include <x86/vmx.h>

/*
 * Of each word: the bits that were 1 on the first VT-x CPUs and must be 1 unless the true controls
 * say otherwise, and of these the ones that they let L1 clear (CR3 accesses, debug controls). SDM
 * "Reserved Controls and Default Settings".
 */
static const struct {
	u32 default1;
	u32 may_clear;
} defaults[CONTROL_WORDS] = {
	[CONTROL_WORD_PIN] = {0x16, 0},
	[CONTROL_WORD_PRIMARY] = {0x0401e172, CPU_CR3_LOAD_EXITING | CPU_CR3_STORE_EXITING},
	[CONTROL_WORD_EXIT] = {0x36dff, EXIT_SAVE_DEBUG_CONTROLS},
	[CONTROL_WORD_ENTRY] = {0x11ff, ENTRY_LOAD_DEBUG_CONTROLS},
};

static const u64 misc_implemented = VMX_MISC_PREEMPTION_RATE | VMX_MISC_SAVE_LMA | VMX_MISC_HLT |
				    VMX_MISC_SHUTDOWN | VMX_MISC_WAIT_SIPI | VMX_MISC_CR3_TARGETS |
				    VMX_MISC_VMWRITE_RO | VMX_MISC_ZERO_LEN_INJECT;
static const u64 ept_vpid_implemented =
	EPT_CAP_EXEC_ONLY | EPT_CAP_WALK_4 | EPT_CAP_UC | EPT_CAP_WB | EPT_CAP_2M | EPT_CAP_1G |
	EPT_CAP_AD | EPT_CAP_ADV_VIOLATION | EPT_CAP_SHADOW_STACK | EPT_CAP_INVEPT |
	EPT_CAP_INVEPT_SINGLE | EPT_CAP_INVEPT_ALL | VPID_CAP_INVVPID | VPID_CAP_ADDRESS |
	VPID_CAP_SINGLE | VPID_CAP_ALL | VPID_CAP_SINGLE_GLOBALS;

/* Must-be-1 bits are the default-1 class less those that may be cleared, here as in hardware. */
static vmx_control_cap offer(vmx_control_cap hardware, enum control_word word, u64 taken)
{
	const u32 default1 = defaults[word].default1;
	const u64 implemented =
		taken | controls_with(word, CONTROL_UMBRAS) | controls_with(word, CONTROL_EMULATED);
	const u64 allowed1 = ((hardware >> 32) & implemented) | default1;
	const u64 allowed0 = (default1 & ~defaults[word].may_clear) | (hardware & allowed1);

	return allowed1 << 32 | allowed0;
}

static bool offers(const struct nested_caps *caps, u32 needs)
{
	if (needs == NEEDS_NOTHING)
		return true;
	if (needs < CONTROL_COUNT)
		return vmx_can_set(caps->control[control_info[needs].word],
				   control_info[needs].bit);
	return (caps->misc & VMX_MISC_CR3_TARGETS) >> 16 > needs - NEEDS_CR3_TARGET0;
}

/* State that an entry loads has to leave with an exit, as on all CPUs there are. */
static void drop_unpaired(struct nested_caps *caps)
{
	static const struct {
		u64 entry, exit;
	} pairs[] = {
		{ENTRY_LOAD_CET, EXIT_LOAD_CET},          {ENTRY_LOAD_PKRS, EXIT_LOAD_PKRS},
		{ENTRY_LOAD_LBR_CTL, EXIT_CLEAR_LBR_CTL}, {ENTRY_LOAD_BNDCFGS, EXIT_CLEAR_BNDCFGS},
		{ENTRY_LOAD_UINV, EXIT_CLEAR_UINV},
	};

	for (size_t i = 0; i < ARRAY_SIZE(pairs); i++) {
		if (vmx_can_set(caps->entry, pairs[i].entry) &&
		    vmx_can_set(caps->exit, pairs[i].exit))
			continue;
		caps->entry &= ~(pairs[i].entry << 32);
		caps->exit &= ~(pairs[i].exit << 32);
	}
}

/* A word of controls exists with the control that activates it, which is of no use without any. */
static void drop_empty(vmx_control_cap *activating, u64 bit, vmx_control_cap *activated)
{
	if (!vmx_can_set(*activating, bit))
		*activated = 0;
	if (!(*activated >> 32))
		*activating &= ~(bit << 32);
}

void nested_caps_init(struct nested_caps *out, const struct vmx_capabilities *hardware,
		      u32 revision, unsigned int maxphyaddr, u32 untested)
{
	u32 highest_index = 0;

	*out = (struct nested_caps){
		.basic = revision | PAGE_SIZE << 32 | (u64)MEMTYPE_WB << 50 | VMX_BASIC_INS_OUTS |
			 VMX_BASIC_TRUE_CTLS,
		.misc = hardware->misc & misc_implemented,
		.ept_vpid = hardware->ept_vpid & ept_vpid_implemented,
		.cr0_fixed0 = hardware->cr0_fixed0,
		.cr0_fixed1 = hardware->cr0_fixed1,
		.cr4_fixed0 = hardware->cr4_fixed0,
		.cr4_fixed1 = hardware->cr4_fixed1 & ~(CR4_SMXE | CR4_FRED),
		.maxphyaddr = (u8)maxphyaddr,
	};
	for (u32 word = 0; word < CONTROL_WORDS; word++) {
		out->taken[word] = controls_with((enum control_word)word, CONTROL_TAKEN) |
				   controls_untested((enum control_word)word, untested);
		out->control[word] =
			offer(hardware->control[word], (enum control_word)word, out->taken[word]);
	}
	drop_unpaired(out);
	drop_empty(&out->primary, CPU_TERTIARY_CONTROLS, &out->tertiary);
	drop_empty(&out->exit, EXIT_SECONDARY_CONTROLS, &out->exit2);
	if (!hardware->perf_global_ctrl) {
		out->entry &= ~(ENTRY_LOAD_PERF_GLOBAL_CTRL << 32);
		out->exit &= ~((EXIT_LOAD_PERF_GLOBAL_CTRL | EXIT_SAVE_PERF_GLOBAL_CTRL) << 32);
	}
	/* It logs what sets dirty flags. */
	if (!(out->ept_vpid & EPT_CAP_AD))
		out->secondary &= ~(CPU2_PML << 32);
	/* Umbra writes exit information into a shadow VMCS: VMWRITE must reach read-only fields. */
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
		out->has_field[f] = offers(out, field_info[f].needs);
		if (out->has_field[f] && field_info[f].policy == POLICY_GUEST)
			field_set_add(&out->guest_state, (enum vmcs12_field)f);
		if (out->has_field[f] && VMCS_FIELD_INDEX(field_info[f].encoding) > highest_index)
			highest_index = VMCS_FIELD_INDEX(field_info[f].encoding);
	}
	out->vmcs_enum = highest_index << 1;
}

bool nested_caps_msr(const struct nested_caps *caps, u32 msr, u64 *value)
{
	/* The older MSRs insist on the whole default-1 class. */
	const u64 values[] = {
		[0] = caps->basic,
		[MSR_IA32_VMX_PINBASED_CTLS - MSR_IA32_VMX_BASIC] =
			caps->pin | defaults[CONTROL_WORD_PIN].default1,
		[MSR_IA32_VMX_PROCBASED_CTLS - MSR_IA32_VMX_BASIC] =
			caps->primary | defaults[CONTROL_WORD_PRIMARY].default1,
		[MSR_IA32_VMX_EXIT_CTLS - MSR_IA32_VMX_BASIC] =
			caps->exit | defaults[CONTROL_WORD_EXIT].default1,
		[MSR_IA32_VMX_ENTRY_CTLS - MSR_IA32_VMX_BASIC] =
			caps->entry | defaults[CONTROL_WORD_ENTRY].default1,
		[MSR_IA32_VMX_MISC - MSR_IA32_VMX_BASIC] = caps->misc,
		[MSR_IA32_VMX_CR0_FIXED0 - MSR_IA32_VMX_BASIC] = caps->cr0_fixed0,
		[MSR_IA32_VMX_CR0_FIXED1 - MSR_IA32_VMX_BASIC] = caps->cr0_fixed1,
		[MSR_IA32_VMX_CR4_FIXED0 - MSR_IA32_VMX_BASIC] = caps->cr4_fixed0,
		[MSR_IA32_VMX_CR4_FIXED1 - MSR_IA32_VMX_BASIC] = caps->cr4_fixed1,
		[MSR_IA32_VMX_VMCS_ENUM - MSR_IA32_VMX_BASIC] = caps->vmcs_enum,
		[MSR_IA32_VMX_PROCBASED_CTLS2 - MSR_IA32_VMX_BASIC] = caps->secondary,
		[MSR_IA32_VMX_EPT_VPID_CAP - MSR_IA32_VMX_BASIC] = caps->ept_vpid,
		[MSR_IA32_VMX_TRUE_PINBASED_CTLS - MSR_IA32_VMX_BASIC] = caps->pin,
		[MSR_IA32_VMX_TRUE_PROCBASED_CTLS - MSR_IA32_VMX_BASIC] = caps->primary,
		[MSR_IA32_VMX_TRUE_EXIT_CTLS - MSR_IA32_VMX_BASIC] = caps->exit,
		[MSR_IA32_VMX_TRUE_ENTRY_CTLS - MSR_IA32_VMX_BASIC] = caps->entry,
		[MSR_IA32_VMX_VMFUNC - MSR_IA32_VMX_BASIC] = caps->vmfunc,
		[MSR_IA32_VMX_PROCBASED_CTLS3 - MSR_IA32_VMX_BASIC] = caps->tertiary >> 32,
		[MSR_IA32_VMX_EXIT_CTLS2 - MSR_IA32_VMX_BASIC] = caps->exit2 >> 32,
	};

	if (msr < MSR_IA32_VMX_BASIC || msr - MSR_IA32_VMX_BASIC >= ARRAY_SIZE(values))
		return false;
	*value = values[msr - MSR_IA32_VMX_BASIC];
	/* The last three exist only with what they are about. */
	return msr < MSR_IA32_VMX_VMFUNC || *value;
}
