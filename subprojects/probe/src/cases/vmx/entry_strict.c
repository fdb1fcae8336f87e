/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Checks on guest state that Bochs 2.7 does not make: they run only when named. Under a hypervisor
 * that leaves such checks to the CPU they show the CPU.
 */
#include "entries.h"

#define NMI ((u32)INTR_INFO_VALID | INTR_TYPE_NMI | VECTOR_NMI)

/* "Bits reserved in the IA32_DEBUGCTL MSR must be 0 in the field for that register." */
PROBE_CASE(strict_debugctl, "vmx.entry.strict_debugctl", CASE_EACH_CPU | CASE_EXPLICIT)
{
	struct l2 *l2 = l2_begin(t);

	if (!l2)
		return;
	L2_NEED(t, CTL_ENTRY, ENTRY_LOAD_DEBUG_CONTROLS);
	ENTRY(VMCS_GUEST_DEBUGCTL, BIT(3), BAD_GUEST);
	ENTRY(VMCS_GUEST_DEBUGCTL, BIT(40), BAD_GUEST);
}

/* "Bits 63:N must be identical if … IA-32e mode guest … is 1 and the L bit … for CS is 1." */
PROBE_CASE(strict_rip, "vmx.entry.strict_rip", CASE_EACH_CPU | CASE_EXPLICIT)
{
	struct l2 *l2 = l2_begin(t);

	if (!l2)
		return;
	ENTRY(VMCS_GUEST_RIP, NONCANONICAL, BAD_GUEST);
	ENTRY(VMCS_GUEST_RIP, BIT(62), BAD_GUEST);
}

/* "HLT: … external interrupt, NMI, hardware exception #DB or #MC, other event": no others. */
PROBE_CASE(strict_hlt, "vmx.entry.strict_hlt_injection", CASE_EACH_CPU | CASE_EXPLICIT)
{
	struct l2 *l2 = l2_begin(t);

	if (!l2)
		return;
	vmwrite(VMCS_GUEST_ACTIVITY_STATE, ACTIVITY_HLT);
	ENTRY(VMCS_VM_ENTRY_INTR_INFO, (u32)INTR_INFO_VALID | INTR_TYPE_HW_EXCEPTION | VECTOR_UD,
	      BAD_GUEST);
	l2_inject(0, 0, 2);
	ENTRY(VMCS_VM_ENTRY_INTR_INFO, (u32)INTR_INFO_VALID | INTR_TYPE_SW_INTERRUPT | 0x40,
	      BAD_GUEST);
}

/* "Bit 3 must be 0 if virtual NMIs is 1, the valid bit … is 1, and the … type … 2 (NMI)." */
PROBE_CASE(strict_nmi, "vmx.entry.strict_nmi_blocked", CASE_EACH_CPU | CASE_EXPLICIT)
{
	struct l2 *l2 = l2_begin(t);

	if (!l2)
		return;
	L2_NEED(t, CTL_PIN, PIN_VIRTUAL_NMIS);
	vmwrite(VMCS_GUEST_INTERRUPTIBILITY, INTERRUPTIBILITY_NMI);
	ENTRY(VMCS_VM_ENTRY_INTR_INFO, NMI, BAD_GUEST);
}

/*
 * Reserved bits above 31. "If … blocking by STI, … by MOV SS, or the activity state is HLT: bit 14
 * (BS) must be 1 if TF … is 1 and BTF … is 0; must be 0 if TF is 0 or BTF is 1."
 */
PROBE_CASE(strict_pending, "vmx.entry.strict_pending_debug", CASE_EACH_CPU | CASE_EXPLICIT)
{
	struct l2 *l2 = l2_begin(t);

	if (!l2)
		return;
	for (unsigned bit = 32; bit < 64; bit++)
		ENTRY(VMCS_GUEST_PENDING_DEBUG, BIT(bit), BAD_GUEST);
	vmwrite(VMCS_GUEST_INTERRUPTIBILITY, INTERRUPTIBILITY_MOV_SS);
	ENTRY(VMCS_GUEST_PENDING_DEBUG, PENDING_DEBUG_BS, BAD_GUEST);
	vmwrite(VMCS_GUEST_RFLAGS, RFLAGS_FIXED | RFLAGS_TF);
	ENTRY(VMCS_GUEST_PENDING_DEBUG, 0, BAD_GUEST);
	ENTRY(VMCS_GUEST_PENDING_DEBUG, PENDING_DEBUG_BS, ENTERED);
}

/* "Reserved bits in the secondary VM-exit controls must be 0", in all 64: Bochs 3 looks at 32. */
PROBE_CASE(strict_wide_controls, "vmx.entry.strict_64bit_controls", CASE_EACH_CPU | CASE_EXPLICIT)
{
	static const enum vmx_ctl wide[] = {CTL_CPU3, CTL_EXIT2};
	struct l2 *l2 = l2_begin(t);

	if (!l2)
		return;
	l2->quiet = true;
	for (unsigned i = 0; i < ARRAY_SIZE(wide); i++) {
		if (!vmx_ctl_exists(wide[i]) || !l2_enable(wide[i], 0))
			continue;
		for (unsigned bit = 32; bit < 64; bit++)
			ENTRY(vmx_ctl_field(wide[i]), BIT(bit),
			      VM_FAIL(VMERR_ENTRY_INVALID_CONTROL));
	}
	l2->quiet = false;
}
