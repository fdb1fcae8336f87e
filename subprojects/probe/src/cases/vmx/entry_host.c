/* SPDX-License-Identifier: BSD-2-Clause */
/* SDM "Checks on Host Control Registers, MSRs and SSP", "… Segment and Descriptor-Table Registers".
 */
#include "entries.h"
#include "features.h"

static const u64 BAD = VM_FAIL(VMERR_ENTRY_INVALID_HOST_STATE);

PROBE_CASE(entry_host_cr, "vmx.entry.host_control_registers", CASE_EACH_CPU)
{
	struct l2 *l2 = l2_begin(t);

	if (!l2)
		return;
	check_control_registers(t, __LINE__, l2, VMCS_HOST_CR0, BAD);
	/* "If the host address-space size VM-exit control is 1: bit 5 of CR4 is 1." */
	ENTRY_FLIP(VMCS_HOST_CR4, CR4_PAE, FAIL_7_OR_8);
	ENTRY_STILL_GOOD();
}

PROBE_CASE(entry_host_canonical, "vmx.entry.host_addresses", CASE_EACH_CPU)
{
	static const u32 fields[] = {
		VMCS_HOST_SYSENTER_ESP, VMCS_HOST_SYSENTER_EIP, VMCS_HOST_FS_BASE,
		VMCS_HOST_GS_BASE,      VMCS_HOST_TR_BASE,      VMCS_HOST_GDTR_BASE,
		VMCS_HOST_IDTR_BASE,
	};
	struct l2 *l2 = l2_begin(t);

	if (!l2)
		return;
	for (unsigned i = 0; i < ARRAY_SIZE(fields); i++) {
		ENTRY(fields[i], NONCANONICAL, BAD);
		ENTRY(fields[i], first_non_canonical(), BAD);
		ENTRY(fields[i], ~first_non_canonical(), BAD);
	}
	ENTRY(VMCS_HOST_RIP, NONCANONICAL, FAIL_7_OR_8);
	ENTRY(VMCS_HOST_RIP, first_non_canonical(), FAIL_7_OR_8);
	ENTRY_STILL_GOOD();
}

PROBE_CASE(entry_host_selectors, "vmx.entry.host_selectors", CASE_EACH_CPU)
{
	struct l2 *l2 = l2_begin(t);

	if (!l2)
		return;
	for (u32 field = VMCS_HOST_ES_SELECTOR; field <= VMCS_HOST_TR_SELECTOR; field += 2)
		for (unsigned bit = 0; bit < 3; bit++)
			ENTRY_FLIP(field, BIT(bit), BAD);
	ENTRY(VMCS_HOST_CS_SELECTOR, 0, BAD);
	ENTRY(VMCS_HOST_TR_SELECTOR, 0, BAD);
	/* SS may be 0, as it must not be for a 32-bit host. */
	ENTRY(VMCS_HOST_SS_SELECTOR, 0, ENTERED);
	ENTRY(VMCS_HOST_DS_SELECTOR, 0, ENTERED);
	ENTRY(VMCS_HOST_ES_SELECTOR, 0, ENTERED);
	ENTRY_STILL_GOOD();
}

PROBE_CASE(entry_host_msrs, "vmx.entry.host_msrs", CASE_EACH_CPU)
{
	static const u8 bad_types[] = {2, 3, 8, 0xf, 0x10, 0x80, 0xff};
	struct l2 *l2 = l2_begin(t);

	if (!l2)
		return;
	if (l2_enable(CTL_EXIT, EXIT_LOAD_PAT)) {
		for (unsigned i = 0; i < ARRAY_SIZE(bad_types); i++) {
			ENTRY(VMCS_HOST_PAT, bad_types[i], BAD);
			ENTRY(VMCS_HOST_PAT, (u64)bad_types[i] << 56, BAD);
		}
		l2_disable(CTL_EXIT, EXIT_LOAD_PAT);
		ENTRY(VMCS_HOST_PAT, 2, ENTERED);
	}
	if (l2_enable(CTL_EXIT, EXIT_LOAD_EFER)) {
		ENTRY_FLIP(VMCS_HOST_EFER, EFER_LME, BAD);
		ENTRY_FLIP(VMCS_HOST_EFER, EFER_LMA, BAD);
		ENTRY_FLIP(VMCS_HOST_EFER, EFER_LMA | EFER_LME, BAD);
		ENTRY_FLIP(VMCS_HOST_EFER, BIT(1), BAD);
		ENTRY_FLIP(VMCS_HOST_EFER, BIT(9), BAD);
		ENTRY_FLIP(VMCS_HOST_EFER, BIT(63), BAD);
		l2_disable(CTL_EXIT, EXIT_LOAD_EFER);
		ENTRY(VMCS_HOST_EFER, 2, ENTERED);
	}
	ENTRY_STILL_GOOD();
}

/* SDM "Checks Related to Address-Space Size": this host is in IA-32e mode. */
PROBE_CASE(entry_host_size, "vmx.entry.host_address_space", CASE_EACH_CPU)
{
	struct l2 *l2 = l2_begin(t);

	if (!l2)
		return;
	l2_disable(CTL_EXIT, EXIT_LOAD_EFER);
	ENTRY_FLIP(VMCS_EXIT_CONTROLS, EXIT_HOST_64BIT, FAIL_7_OR_8);
	ENTRY_STILL_GOOD();
}
