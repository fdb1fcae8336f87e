/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What MOV to CR0 and MOV to CR4 do, as data: the faults of SDM "MOV—Move to/from Control
 * Registers" and "Control Registers", and the bits VMX operation fixes (SDM appendix "VMX-Fixed
 * Bits in CR0/CR4"). Pure.
 */
#pragma once

#include <x86/types.h>

#include "vmx/capabilities.h"

/* The guest state the rules look at; cr0 and cr4 as the guest sees them. */
struct cr_state {
	u64 cr0, cr3, cr4;
	u64 efer;
	bool cs_long;  /* CS.L */
	bool tr_16bit; /* TR holds a 16-bit TSS */
};

/* Bits the guest may not change in hardware: unrestricted guest frees PE and PG. */
u64 cr0_host_owned(const struct vmx_capabilities *vmx);
u64 cr4_host_owned(const struct vmx_capabilities *vmx);

/* What CR0 or CR4 must really hold while the guest sees this value. */
u64 cr0_hardware_value(const struct vmx_capabilities *vmx, u64 guest_value);
u64 cr4_hardware_value(const struct vmx_capabilities *vmx, u64 guest_value);

/* False: the write is #GP(0). */
bool cr0_write_valid(const struct cr_state *state, u64 value);

/* `supported`: the bits of CR4 that this CPU has and the guest is offered. */
bool cr4_write_valid(const struct cr_state *state, u64 value, u64 supported);

/* Whether the write loads the PDPTEs anew (SDM "PDPTE Registers"). */
bool cr0_write_loads_pdptes(const struct cr_state *state, u64 value);
bool cr4_write_loads_pdptes(const struct cr_state *state, u64 value);

/* False: loading this PDPTE is #GP(0). maxphyaddr: the width of physical addresses, in bits. */
bool pdpte_valid(u64 pdpte, unsigned int maxphyaddr);
