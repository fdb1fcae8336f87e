/* SPDX-License-Identifier: BSD-2-Clause */
/* The VMCSs of L1's that a CPU has at hand, each with its vmcs02. */
#pragma once

#include "nested/vmcs12.h"

struct nested;
struct vcpu;
struct nested_vmcs;

/* The cached VMCS at this address, or NULL. */
struct nested_vmcs *vmcs12_find(struct nested *nested, paddr_t gpa);

/* Brings it into the cache, where the least recently used one makes room; its revision was checked.
 */
struct nested_vmcs *vmcs12_load(struct vcpu *vcpu, paddr_t gpa);

/* Writes it back to L1's page and forgets it. vmcs01 is current before and after. */
void vmcs12_evict(struct vcpu *vcpu, struct nested_vmcs *vmcs);

/* Fetches what vmcs02 has newer. vmcs01 is current before and after. */
void vmcs12_sync(struct vcpu *vcpu, struct nested_vmcs *vmcs);

/* VMREAD and VMWRITE as L1 sees them. */
u64 vmcs12_read(struct vcpu *vcpu, struct nested_vmcs *vmcs, enum vmcs12_field field);
void vmcs12_write(struct nested_vmcs *vmcs, enum vmcs12_field field, u64 value);
