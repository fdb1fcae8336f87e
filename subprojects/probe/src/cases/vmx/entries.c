/* SPDX-License-Identifier: BSD-2-Clause */
#include "entries.h"

L2_CODE(entry_code, "nop");

_Static_assert(VMCS_GUEST_CR3 == VMCS_GUEST_CR0 + 2 && VMCS_GUEST_CR4 == VMCS_GUEST_CR0 + 4 &&
		       VMCS_HOST_CR3 == VMCS_HOST_CR0 + 2 && VMCS_HOST_CR4 == VMCS_HOST_CR0 + 4,
	       "check_control_registers() counts on it");

static u64 outcome(const struct l2 *l2)
{
	const struct l2_exit *e = &l2->exit;

	if (l2->entry != VM_OK)
		return l2->entry;
	if (e->reason == (REASON_ENTRY_FAIL_GUEST | (u32)EXIT_REASON_ENTRY_FAIL))
		return BAD_GUEST_Q(e->qualification);
	if (e->reason == (REASON_ENTRY_FAIL_MSR | (u32)EXIT_REASON_ENTRY_FAIL))
		return BAD_MSR(e->qualification);
	return e->reason & EXIT_REASON_ENTRY_FAIL ? ~0ull : ENTERED;
}

/* Where l2_goto() is not asked to restore it, the caller's values of guest state must stay. */
void check_entry(struct run *t, int line, struct l2 *l2, u64 field, u64 value, u64 want)
{
	u64 old = vmread(field), got;

	vmwrite(VMCS_GUEST_RIP, (u64)entry_code);
	vmwrite(field, value);
	l2_run(l2);
	got = outcome(l2);
	vmwrite(field, old);
	if (want == FAIL_7_OR_8 && (got == VM_FAIL(VMERR_ENTRY_INVALID_CONTROL) ||
				    got == VM_FAIL(VMERR_ENTRY_INVALID_HOST_STATE)))
		return;
	if (got != want)
		run_fail(t, line,
			 "field %lx = %lx: %s, exit %x qualification %lx; expected outcome %lx",
			 field, value, vm_outcome_name(l2->entry), l2->exit.reason,
			 l2->exit.qualification, want);
}

void check_control_registers(struct run *t, int line, struct l2 *l2, u64 cr0_field, u64 want)
{
	const u64 cr3_field = cr0_field + 2, cr4_field = cr0_field + 4;
	const u64 must0 = rdmsr(MSR_IA32_VMX_CR0_FIXED0);
	const u64 must4 = rdmsr(MSR_IA32_VMX_CR4_FIXED0);
	const u64 may4 = rdmsr(MSR_IA32_VMX_CR4_FIXED1);

	for (unsigned bit = 0; bit < 64; bit++) {
		if (must0 & BIT(bit))
			check_entry_flip(t, line, l2, cr0_field, BIT(bit), want);
		if (must4 & BIT(bit))
			check_entry_flip(t, line, l2, cr4_field, BIT(bit), want);
		if (!(may4 & BIT(bit)))
			check_entry_flip(t, line, l2, cr4_field, BIT(bit), want);
	}
	for (unsigned bit = vmx_address_bits(); bit < 64; bit++)
		check_entry_flip(t, line, l2, cr3_field, BIT(bit), want);
}
