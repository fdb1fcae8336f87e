/* SPDX-License-Identifier: BSD-2-Clause */
/* VMCS shadowing with vmcs02 as the shadow VMCS. SDM "VMCS Shadowing", "VMCS Types". */
#include <x86/vmx.h>

#include "lib/string.h"
#include "mm/layout.h"
#include "nested/alloc.h"
#include "nested/shadow.h"
#include "nested/state.h"
#include "vmx/vmcs.h"

bool shadow_on;
struct field_set shadow_fields;

/* For VMREAD and VMWRITE alike. Bit n set: that of encoding n exits. */
static u8 *bitmap;

/* Guest state, exit information, and the controls that vmcs02 takes unchanged and unchecked. */
static inline bool can_be_shadowed(u32 f)
{
	const u8 policy = field_info[f].policy;

	return policy == POLICY_GUEST || policy == POLICY_EXIT || policy == POLICY_COPY;
}

/* L1 waits while all are copied, so each becomes a few instructions of its own. */
#define FOR_EACH_SHADOWED(f, set)                                                                 \
	_Pragma("clang loop unroll(full)") for (u32 f = 0; f < F_COUNT;                           \
						f++) if (can_be_shadowed(f) &&                    \
							 (field_info[f].needs == NEEDS_NOTHING || \
							  field_set_has(&(set),                   \
									(enum vmcs12_field)f)))

void shadow_init(bool wanted)
{
	bitmap = wanted ? nested_alloc(1) : NULL;
}

void shadow_decide(const struct vmx_capabilities *vmx)
{
	shadow_on = bitmap && vmx_can_set(vmx->secondary, CPU2_VMCS_SHADOWING) &&
		    (vmx->misc & VMX_MISC_VMWRITE_RO);
	shadow_fields = (struct field_set){0};
	if (!shadow_on)
		return;
	memset(bitmap, 0xff, PAGE_SIZE);
	for (u32 f = 0; f < F_COUNT; f++) {
		const u32 first = field_info[f].encoding;
		const u32 last = first + (field_info[f].width == VMCS_WIDTH_64);

		if (!can_be_shadowed(f) || !nested_caps.has_field[f])
			continue;
		field_set_add(&shadow_fields, (enum vmcs12_field)f);
		for (u32 encoding = first; encoding <= last; encoding++)
			bitmap[encoding / 8] &= (u8) ~(1u << (encoding % 8));
	}
}

void shadow_start(void)
{
	if (!shadow_on)
		return;
	vmwrite64(VMCS_VMREAD_BITMAP, virt_to_phys(bitmap));
	vmwrite64(VMCS_VMWRITE_BITMAP, virt_to_phys(bitmap));
	vmcs_set32(VMCS_SECONDARY_CONTROLS, (u32)CPU2_VMCS_SHADOWING);
}

void shadow_stop(void)
{
	if (shadow_on)
		vmcs_clear32(VMCS_SECONDARY_CONTROLS, (u32)CPU2_VMCS_SHADOWING);
}

/* SDM: the indicator may change only while the VMCS is clear. */
static void set_indicator(const struct vcpu *vcpu, const struct nested_vmcs *vmcs, u32 indicator)
{
	vmcs_clear(vmcs->vmcs02);
	*(volatile u32 *)phys_to_virt(vmcs->vmcs02) =
		(u32)(vcpu->vmx.basic & VMX_BASIC_REVISION) | indicator;
}

void shadow_fill(struct vcpu *vcpu, struct nested_vmcs *vmcs)
{
	const struct field_set set = shadow_fields;
	const u64 *values = vmcs->vmcs12->f;

	if (!shadow_on)
		return;
	vmcs_load(vmcs->vmcs02);
	FOR_EACH_SHADOWED(f, set)
	vmcs_write(field_info[f].encoding, values[f]);
	field_set_subtract(&vmcs->dirty, &shadow_fields);
	vmcs_load(vcpu->vmcs01);
	vmcs->stale = shadow_fields;
	set_indicator(vcpu, vmcs, VMCS_SHADOW_INDICATOR);
}

void shadow_fetch(struct nested_vmcs *vmcs)
{
	const struct field_set set = shadow_fields;
	u64 *values = vmcs->vmcs12->f;

	if (!shadow_on)
		return;
	FOR_EACH_SHADOWED(f, set)
	values[f] = vmcs_read(field_info[f].encoding);
}

/* Without a current VMCS the hardware gives VMfailInvalid by itself. */
void shadow_link(const struct nested_vmcs *vmcs)
{
	if (shadow_on)
		vmwrite64(VMCS_VMCS_LINK_POINTER, vmcs ? vmcs->vmcs02 : ~0ull);
}

void shadow_to_vmcs02(struct vcpu *vcpu, struct nested_vmcs *vmcs)
{
	if (shadow_on) {
		set_indicator(vcpu, vmcs, 0);
		vmcs->vmcs02_launched = false;
	}
	vmcs_load(vmcs->vmcs02);
}

void shadow_to_vmcs01(struct vcpu *vcpu, struct nested_vmcs *vmcs)
{
	vmcs_load(vcpu->vmcs01);
	if (shadow_on)
		set_indicator(vcpu, vmcs, VMCS_SHADOW_INDICATOR);
}
