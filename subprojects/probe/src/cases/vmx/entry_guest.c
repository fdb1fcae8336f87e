/* SPDX-License-Identifier: BSD-2-Clause */
/* SDM "Checks on Guest Control Registers, Debug Registers, and MSRs", "… RIP, RFLAGS", "Guest
 * Non-Register State". */
#include "entries.h"
#include "vmx/eptmap.h"

PROBE_CASE(entry_guest_cr, "vmx.entry.guest_control_registers", CASE_EACH_CPU)
{
	struct l2 *l2 = l2_begin(t);

	if (!l2)
		return;
	check_control_registers(t, __LINE__, l2, VMCS_GUEST_CR0, BAD_GUEST);
	/* IA-32e mode needs PAE. */
	ENTRY_FLIP(VMCS_GUEST_CR4, CR4_PAE, BAD_GUEST);
	ENTRY_STILL_GOOD();
}

PROBE_CASE(entry_guest_msrs, "vmx.entry.guest_msrs", CASE_EACH_CPU)
{
	struct l2 *l2 = l2_begin(t);

	if (!l2)
		return;
	ENTRY(VMCS_GUEST_SYSENTER_ESP, NONCANONICAL, BAD_GUEST);
	ENTRY(VMCS_GUEST_SYSENTER_EIP, NONCANONICAL, BAD_GUEST);
	if (l2_enable(CTL_ENTRY, ENTRY_LOAD_DEBUG_CONTROLS)) {
		for (unsigned bit = 32; bit < 64; bit++)
			ENTRY_FLIP(VMCS_GUEST_DR7, BIT(bit), BAD_GUEST);
		if (l2_disable(CTL_ENTRY, ENTRY_LOAD_DEBUG_CONTROLS))
			ENTRY(VMCS_GUEST_DEBUGCTL, BIT(40), ENTERED);
	}
	if (l2_enable(CTL_ENTRY, ENTRY_LOAD_PAT)) {
		ENTRY(VMCS_GUEST_PAT, 2, BAD_GUEST);
		ENTRY(VMCS_GUEST_PAT, 8ull << 32, BAD_GUEST);
		l2_disable(CTL_ENTRY, ENTRY_LOAD_PAT);
		ENTRY(VMCS_GUEST_PAT, 2, ENTERED);
	}
	if (l2_enable(CTL_ENTRY, ENTRY_LOAD_EFER)) {
		ENTRY_FLIP(VMCS_GUEST_EFER, BIT(1), BAD_GUEST);
		ENTRY_FLIP(VMCS_GUEST_EFER, BIT(63), BAD_GUEST);
		ENTRY_FLIP(VMCS_GUEST_EFER, EFER_LMA, BAD_GUEST);
		ENTRY_FLIP(VMCS_GUEST_EFER, EFER_LME, BAD_GUEST);
		ENTRY_FLIP(VMCS_GUEST_EFER, EFER_LME | EFER_LMA, BAD_GUEST);
		l2_disable(CTL_ENTRY, ENTRY_LOAD_EFER);
		ENTRY(VMCS_GUEST_EFER, 2, ENTERED);
	}
	ENTRY_STILL_GOOD();
}

PROBE_CASE(entry_guest_rip, "vmx.entry.guest_rip_rflags", CASE_EACH_CPU)
{
	struct l2 *l2 = l2_begin(t);

	if (!l2)
		return;
	for (unsigned bit = 0; bit < 64; bit++)
		if (bit == 1 || bit == 3 || bit == 5 || bit == 15 || bit == 17 || bit >= 22)
			ENTRY(VMCS_GUEST_RFLAGS, RFLAGS_FIXED ^ BIT(bit), BAD_GUEST);
	/* "IF must be 1" to inject an external interrupt. */
	ENTRY(VMCS_VM_ENTRY_INTR_INFO, (u32)INTR_INFO_VALID | 0x80, BAD_GUEST);
	/* Compatibility mode: bits 63:32 of RIP must be 0. */
	vmwrite(VMCS_GUEST_CS_ACCESS_RIGHTS, 0xc09b);
	ENTRY(VMCS_GUEST_RIP, BIT(32), BAD_GUEST);
	ENTRY(VMCS_GUEST_RSP, 0x1000, ENTERED);
}

PROBE_CASE(entry_guest_tables, "vmx.entry.guest_descriptor_tables", CASE_EACH_CPU)
{
	struct l2 *l2 = l2_begin(t);

	if (!l2)
		return;
	ENTRY(VMCS_GUEST_GDTR_BASE, NONCANONICAL, BAD_GUEST);
	ENTRY(VMCS_GUEST_IDTR_BASE, NONCANONICAL, BAD_GUEST);
	ENTRY(VMCS_GUEST_GDTR_LIMIT, BIT(16), BAD_GUEST);
	ENTRY(VMCS_GUEST_IDTR_LIMIT, BIT(31), BAD_GUEST);
	ENTRY(VMCS_GUEST_IDTR_LIMIT, 0xffff, ENTERED);
}

PROBE_CASE(entry_activity, "vmx.entry.activity_state", CASE_EACH_CPU)
{
	struct l2 *l2 = l2_begin(t);
	u64 misc;

	if (!l2)
		return;
	misc = rdmsr(MSR_IA32_VMX_MISC);
	ENTRY(VMCS_GUEST_ACTIVITY_STATE, 4, BAD_GUEST);
	ENTRY(VMCS_GUEST_ACTIVITY_STATE, 0xffffffff, BAD_GUEST);
	if (!(misc & VMX_MISC_HLT))
		ENTRY(VMCS_GUEST_ACTIVITY_STATE, ACTIVITY_HLT, BAD_GUEST);
	if (!(misc & VMX_MISC_SHUTDOWN))
		ENTRY(VMCS_GUEST_ACTIVITY_STATE, ACTIVITY_SHUTDOWN, BAD_GUEST);
	if (!(misc & VMX_MISC_WAIT_SIPI))
		ENTRY(VMCS_GUEST_ACTIVITY_STATE, ACTIVITY_WAIT_SIPI, BAD_GUEST);
	/* "Must be active if there is blocking by STI or MOV SS." */
	vmwrite(VMCS_GUEST_INTERRUPTIBILITY, INTERRUPTIBILITY_MOV_SS);
	for (u32 state = ACTIVITY_HLT; state <= ACTIVITY_WAIT_SIPI; state++)
		ENTRY(VMCS_GUEST_ACTIVITY_STATE, state, BAD_GUEST);
	vmwrite(VMCS_GUEST_INTERRUPTIBILITY, 0);
	/* What may not be injected into shutdown and wait-for-SIPI. */
	if (misc & VMX_MISC_SHUTDOWN) {
		vmwrite(VMCS_GUEST_ACTIVITY_STATE, ACTIVITY_SHUTDOWN);
		ENTRY(VMCS_VM_ENTRY_INTR_INFO,
		      (u32)INTR_INFO_VALID | INTR_TYPE_HW_EXCEPTION | VECTOR_DB, BAD_GUEST);
	}
	if (misc & VMX_MISC_WAIT_SIPI) {
		vmwrite(VMCS_GUEST_ACTIVITY_STATE, ACTIVITY_WAIT_SIPI);
		ENTRY(VMCS_VM_ENTRY_INTR_INFO, (u32)INTR_INFO_VALID | INTR_TYPE_NMI | VECTOR_NMI,
		      BAD_GUEST);
	}
	vmwrite(VMCS_GUEST_ACTIVITY_STATE, ACTIVITY_ACTIVE);
	ENTRY_STILL_GOOD();
}

PROBE_CASE(entry_interruptibility, "vmx.entry.interruptibility", CASE_EACH_CPU)
{
	struct l2 *l2 = l2_begin(t);

	if (!l2)
		return;
	for (unsigned bit = 5; bit < 32; bit++)
		ENTRY(VMCS_GUEST_INTERRUPTIBILITY, BIT(bit), BAD_GUEST);
	/* "Blocking by SMI must be 0 if not in SMM"; STI needs IF, and goes not with MOV SS. */
	ENTRY(VMCS_GUEST_INTERRUPTIBILITY, INTERRUPTIBILITY_SMI, BAD_GUEST);
	ENTRY(VMCS_GUEST_INTERRUPTIBILITY, INTERRUPTIBILITY_STI, BAD_GUEST);
	vmwrite(VMCS_GUEST_RFLAGS, RFLAGS_FIXED | RFLAGS_IF);
	ENTRY(VMCS_GUEST_INTERRUPTIBILITY, INTERRUPTIBILITY_STI | INTERRUPTIBILITY_MOV_SS,
	      BAD_GUEST);
	vmwrite(VMCS_GUEST_RFLAGS, RFLAGS_FIXED | RFLAGS_IF);
	ENTRY(VMCS_GUEST_INTERRUPTIBILITY, INTERRUPTIBILITY_STI, ENTERED);
	ENTRY(VMCS_GUEST_INTERRUPTIBILITY, INTERRUPTIBILITY_MOV_SS, ENTERED);
	/* Injections that these block. */
	vmwrite(VMCS_GUEST_RFLAGS, RFLAGS_FIXED | RFLAGS_IF);
	vmwrite(VMCS_GUEST_INTERRUPTIBILITY, INTERRUPTIBILITY_STI);
	ENTRY(VMCS_VM_ENTRY_INTR_INFO, (u32)INTR_INFO_VALID | 0x80, BAD_GUEST);
	vmwrite(VMCS_GUEST_INTERRUPTIBILITY, INTERRUPTIBILITY_MOV_SS);
	ENTRY(VMCS_VM_ENTRY_INTR_INFO, (u32)INTR_INFO_VALID | 0x80, BAD_GUEST);
	ENTRY(VMCS_VM_ENTRY_INTR_INFO, (u32)INTR_INFO_VALID | INTR_TYPE_NMI | VECTOR_NMI,
	      BAD_GUEST);
	vmwrite(VMCS_GUEST_INTERRUPTIBILITY, 0);
	ENTRY_STILL_GOOD();
}

PROBE_CASE(entry_pending_debug, "vmx.entry.pending_debug", CASE_EACH_CPU)
{
	struct l2 *l2 = l2_begin(t);

	if (!l2)
		return;
	for (unsigned bit = 4; bit < 32; bit++)
		if (bit != 12 && bit != 14 && bit != 16)
			ENTRY(VMCS_GUEST_PENDING_DEBUG, BIT(bit), BAD_GUEST);
	ENTRY_STILL_GOOD();
}

PROBE_CASE(entry_link, "vmx.entry.vmcs_link_pointer", CASE_EACH_CPU)
{
	struct l2 *l2 = l2_begin(t);
	u64 page;

	if (!l2)
		return;
	page = (u64)vmx_pages(1);
	ENTRY(VMCS_VMCS_LINK_POINTER, page | 8, BAD_GUEST_Q(4));
	ENTRY(VMCS_VMCS_LINK_POINTER, page | BIT(vmx_address_bits()), BAD_GUEST_Q(4));
	/* "The 32 bits … must contain the … VMCS revision identifier", bit 31 the shadowing
	 * control. */
	ENTRY(VMCS_VMCS_LINK_POINTER, page, BAD_GUEST_Q(4));
	vmx_prepare_region((void *)page);
	*(u32 *)page ^= 1;
	ENTRY(VMCS_VMCS_LINK_POINTER, page, BAD_GUEST_Q(4));
	*(u32 *)page ^= 1 | BIT(31);
	ENTRY(VMCS_VMCS_LINK_POINTER, page, BAD_GUEST_Q(4));
	/* The current VMCS. */
	ENTRY(VMCS_VMCS_LINK_POINTER, l2->vmcs, BAD_GUEST_Q(4));
	ENTRY_STILL_GOOD();
}
