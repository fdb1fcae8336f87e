/* SPDX-License-Identifier: BSD-2-Clause */
/* The VMCSs of L1's that a CPU has at hand, each with its vmcs02. */
#pragma once

#include "nested/vmcs12.h"

struct nested;
struct vcpu;
struct nested_vmcs;

/* For each of them: vmcs12 with the state beside it, vmcs02, and an MSR bitmap. */
enum { VMCS12_PAGES = 3 };

/* Room for one more; false: out of memory. */
bool vmcs12_add(struct nested *nested);

/* Gives back the room beyond VMCS12_CACHE_MIN, of which nothing is in use. */
void vmcs12_trim(struct nested *nested);

/* The cached VMCS at this address, or NULL; whatever L1 takes for an address. */
struct nested_vmcs *vmcs12_find(struct nested *nested, paddr_t gpa);

/*
 * Brings it into the cache, which grows while memory is plentiful; else the least recently used one
 * makes room. Its revision was checked.
 */
struct nested_vmcs *vmcs12_load(struct vcpu *vcpu, paddr_t gpa);

/* Writes it back to L1's page and forgets it. vmcs01 is current before and after. */
void vmcs12_evict(struct vcpu *vcpu, struct nested_vmcs *vmcs);

/*
 * VMREAD as L1 sees it: may load vmcs02 meanwhile; vmcs01 is current before and after. VMWRITE:
 * changes vmcs12 alone, cut to the field's width, and notes what has to be done anew.
 */
u64 vmcs12_read(struct vcpu *vcpu, struct nested_vmcs *vmcs, enum vmcs12_field field);
void vmcs12_write(struct nested_vmcs *vmcs, enum vmcs12_field field, u64 value);
