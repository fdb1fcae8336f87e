/* SPDX-License-Identifier: BSD-2-Clause */
/* Control-register accesses that exit: those that touch a bit VMX operation fixes. */
#pragma once

#include "vmx/cr_rules.h"
#include "vmx/vcpu.h"

/* CR4 bits a guest of this CPU can set. */
u64 cr4_supported(const struct vmx_capabilities *vmx);

/* CR0 and CR4 as the guest of the current VMCS reads them, by mask and read shadow. */
u64 guest_cr0(void);
u64 guest_cr4(void);

/*
 * Loads the PDPTE registers for PAE paging with this CR3, guest-physical; bits beyond 31:5 are
 * ignored. False, and nothing done: #GP(0).
 */
bool guest_load_pdptes(const struct vcpu *vcpu, u64 cr3);

/* The CR0 that the guest reads where it does not own it; vmcs01 is current. */
void guest_set_cr0_shadow(struct vcpu *vcpu, u64 value);

/* The same of CR0 and CR4, and what the hardware has for them. */
void guest_set_cr0(struct vcpu *vcpu, u64 value);
void guest_set_cr4(struct vcpu *vcpu, u64 value);
