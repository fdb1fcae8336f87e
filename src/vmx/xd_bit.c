/* SPDX-License-Identifier: BSD-2-Clause */
#include "vmx/xd_bit.h"

#include <x86/cr.h>
#include <x86/msr.h>

#include "mm/layout.h"
#include "mm/pages.h"
#include "smp/panic.h"
#include "vmx/msr.h"
#include "vmx/vmcs.h"

/* The shared bitmap, and writes of EFER exit besides: for CPUs without the XD bit. */
static u64 *bitmap_without_xd;

void xd_bit_init(void)
{
	bitmap_without_xd = pages_alloc(1);
	if (!bitmap_without_xd)
		fail("out of memory for the MSR bitmap");
}

/* The shared one is complete once the guest runs, so that each CPU writes the same here. */
static paddr_t without_xd(void)
{
	for (u32 i = 0; i < PAGE_SIZE / sizeof(u64); i++)
		bitmap_without_xd[i] |= msr_bitmap_word(i);
	msr_bitmap_set(bitmap_without_xd, MSR_IA32_EFER, true);
	return virt_to_phys(bitmap_without_xd);
}

bool xd_bit_may_be(const struct vcpu *vcpu, bool disabled)
{
	return !vcpu->level || disabled == vcpu->xd_disabled;
}

void xd_bit_write(struct vcpu *vcpu, bool disabled)
{
	if (disabled == vcpu->xd_disabled)
		return;
	vcpu->xd_disabled = disabled;
	if (disabled)
		vmwrite64(VMCS_GUEST_EFER, vmread64(VMCS_GUEST_EFER) & ~EFER_NXE);
	vmwrite64(VMCS_MSR_BITMAP, disabled ? without_xd() : msr_bitmap_address());
	/* Translations made with the old meaning of bit 63. */
	invvpid(INVVPID_SINGLE_CONTEXT, vmread16(VMCS_VPID), 0);
}
