/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * With VMCS shadowing, vmcs02 itself is the shadow VMCS while L1 runs. L1's VMREADs and VMWRITEs of
 * the fields below go straight to it: there is nothing to copy, at the price of two VMCLEARs and a
 * VMLAUNCH for each visit of L2 (a VMCS that is a shadow cannot be entered).
 */
#pragma once

#include "nested/vmcs12.h"
#include "vmx/capabilities.h"

struct vcpu;
struct nested_vmcs;

/* Constant once all CPUs are set up: each runs shadow_decide() anew. */
extern bool shadow_on;
extern struct field_set shadow_fields; /* those for which vmcs12 and vmcs02 are the same thing */

/*
 * Once, before shadow_decide(). `wanted`: the option nested.shadow. Stops with a message when
 * memory is short.
 */
void shadow_init(bool wanted);

/*
 * Whether shadowing is used and for which fields: by what all CPUs set up so far can do and
 * nested_caps offers. Before any L1 uses VMX.
 */
void shadow_decide(const struct vmx_capabilities *vmx);

/* For L1's VMXON and VMXOFF: vmcs01's controls. */
void shadow_start(void);
void shadow_stop(void);

/* A new vmcs02 gets L1's values of the shadowed fields. vmcs01 is current before and after. */
void shadow_fill(struct vcpu *vcpu, struct nested_vmcs *vmcs);

/* vmcs12 gets what L1 has made of them. vmcs02 is current. */
void shadow_fetch(struct nested_vmcs *vmcs);

/* The VMCS that L1's VMREAD and VMWRITE mean from now on: NULL for none. vmcs01 is current. */
void shadow_link(const struct nested_vmcs *vmcs);

/* Makes vmcs02 one to enter, and current. */
void shadow_to_vmcs02(struct vcpu *vcpu, struct nested_vmcs *vmcs);

/* And back: vmcs01 is current, vmcs02 L1's shadow. */
void shadow_to_vmcs01(struct vcpu *vcpu, struct nested_vmcs *vmcs);
