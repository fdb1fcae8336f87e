/* SPDX-License-Identifier: BSD-2-Clause */
#include "vmx/cr_rules.h"

#include <x86/cr.h>
#include <x86/msr.h>

u64 cr0_host_owned(const struct vmx_capabilities *vmx)
{
	return vmx->cr0_fixed0 & ~(CR0_PE | CR0_PG);
}

/* VMXE is pinned by VMX operation; SMXE and FRED are kept at 0, as CPUID does not offer them. */
u64 cr4_host_owned(const struct vmx_capabilities *vmx)
{
	return vmx->cr4_fixed0 | CR4_VMXE | CR4_SMXE | CR4_FRED;
}

u64 cr0_hardware_value(const struct vmx_capabilities *vmx, u64 guest_value)
{
	return guest_value | cr0_host_owned(vmx);
}

u64 cr4_hardware_value(const struct vmx_capabilities *vmx, u64 guest_value)
{
	return guest_value | vmx->cr4_fixed0;
}

bool cr0_write_valid(const struct cr_state *state, u64 value)
{
	const bool enables_paging = !(state->cr0 & CR0_PG) && (value & CR0_PG);
	const bool disables_paging = (state->cr0 & CR0_PG) && !(value & CR0_PG);

	if (value >> 32)
		return false;
	if ((value & CR0_PG) && !(value & CR0_PE))
		return false;
	if ((value & CR0_NW) && !(value & CR0_CD))
		return false;
	if (enables_paging && (state->efer & EFER_LME) &&
	    (!(state->cr4 & CR4_PAE) || state->cs_long || state->tr_16bit))
		return false;
	if (disables_paging &&
	    ((state->cr4 & CR4_PCIDE) || ((state->efer & EFER_LMA) && state->cs_long)))
		return false;
	return (value & CR0_WP) || !(state->cr4 & CR4_CET);
}

bool cr4_write_valid(const struct cr_state *state, u64 value, u64 supported)
{
	const bool long_mode = state->efer & EFER_LMA;
	const u64 changed = state->cr4 ^ value;

	if (value & ~supported)
		return false;
	if (long_mode && (!(value & CR4_PAE) || (changed & CR4_LA57)))
		return false;
	if ((changed & value & CR4_PCIDE) && (!long_mode || (state->cr3 & BITS(11, 0))))
		return false;
	return !(value & CR4_CET) || (state->cr0 & CR0_WP);
}

bool cr0_write_loads_pdptes(const struct cr_state *state, u64 value)
{
	return (value & CR0_PG) && (state->cr4 & CR4_PAE) && !(state->efer & EFER_LME) &&
	       ((state->cr0 ^ value) & (CR0_CD | CR0_NW | CR0_PG));
}

bool cr4_write_loads_pdptes(const struct cr_state *state, u64 value)
{
	return (state->cr0 & CR0_PG) && (value & CR4_PAE) && !(state->efer & EFER_LMA) &&
	       ((state->cr4 ^ value) & (CR4_PAE | CR4_PGE | CR4_PSE | CR4_SMEP));
}

bool pdpte_valid(u64 pdpte, unsigned int maxphyaddr)
{
	const u64 reserved = BITS(63, maxphyaddr) | BITS(8, 5) | BITS(2, 1);

	return !(pdpte & BIT(0)) || !(pdpte & reserved);
}
