/* SPDX-License-Identifier: BSD-2-Clause */
#include "vmx/modes.h"

#include "layout.h"
#include "string.h"

enum {
	AR_CODE_REAL = 0x9b,
	AR_DATA_REAL = 0x93,
	AR_TSS32_BUSY = 0x8b,
	REAL_LIMIT = 0xffff,
	PDPTES = 4,
};

static void write_segments(u32 code, u32 data, u32 limit, bool real)
{
	for (enum segment s = SEG_ES; s <= SEG_GS; s++) {
		u16 selector = s == SEG_CS ? SEL_CODE32 : SEL_DATA;

		vmwrite_segment(s, real ? 0 : selector, 0, limit, s == SEG_CS ? code : data);
	}
}

void l2_goto_compat(struct l2 *l2, const void *code)
{
	l2_goto(l2, code);
	vmwrite(VMCS_GUEST_CS_SELECTOR, SEL_CODE32);
	vmwrite(VMCS_GUEST_CS_ACCESS_RIGHTS, AR_CODE32);
}

/* Out of IA-32e mode, in every field that has a part in it. */
static void leave_long_mode(void)
{
	l2_disable(CTL_ENTRY, ENTRY_IA32E_GUEST);
	if (vmx_has(CTL_ENTRY, ENTRY_LOAD_EFER))
		vmwrite(VMCS_GUEST_EFER, 0);
	vmwrite(VMCS_GUEST_CR4, CR4_PAE | rdmsr(MSR_IA32_VMX_CR4_FIXED0));
}

bool l2_unrestricted(struct l2 *l2)
{
	if (!vmx_has(CTL_CPU2, CPU2_UNRESTRICTED_GUEST) || !l2_ept(l2))
		return false;
	leave_long_mode();
	vmwrite(VMCS_GUEST_CR0, (read_cr0() & ~(CR0_PG | CR0_PE)));
	return l2_enable(CTL_CPU2, CPU2_UNRESTRICTED_GUEST);
}

void l2_goto_protected(struct l2 *l2, const void *code)
{
	l2_goto(l2, code);
	vmwrite(VMCS_GUEST_CR0, (read_cr0() & ~CR0_PG) | CR0_PE);
	vmwrite(VMCS_GUEST_CR4, rdmsr(MSR_IA32_VMX_CR4_FIXED0));
	write_segments(AR_CODE32, AR_DATA32, 0xffffffff, false);
}

void *l2_goto_real(struct l2 *l2, const void *code)
{
	u8 *page = vmx_pages(1);

	memcpy(page + L2_REAL_IP, code, L2_REAL_BYTES);
	ept_map_page(l2->ept, 0, (u64)page, EPT_RWX);
	l2_goto(l2, code);
	l2->start = L2_REAL_IP;
	vmwrite(VMCS_GUEST_RIP, L2_REAL_IP);
	vmwrite(VMCS_GUEST_RSP, L2_REAL_SP);
	vmwrite(VMCS_GUEST_CR0, read_cr0() & ~(CR0_PG | CR0_PE));
	vmwrite(VMCS_GUEST_CR4, rdmsr(MSR_IA32_VMX_CR4_FIXED0));
	vmwrite(VMCS_GUEST_IDTR_BASE, 0);
	vmwrite(VMCS_GUEST_IDTR_LIMIT, 0x3ff);
	write_segments(AR_CODE_REAL, AR_DATA_REAL, REAL_LIMIT, true);
	return page;
}

u64 *l2_goto_pae(struct l2 *l2, const void *code)
{
	u64 *pdpt = vmx_pages(1);

	l2_goto(l2, code);
	leave_long_mode();
	for (u64 g = 0; g < PDPTES; g++) {
		u64 *pd = vmx_pages(1);

		for (u64 i = 0; i < 512; i++)
			pd[i] = g << 30 | i << 21 | PTE_PS | PTE_P | PTE_W | PTE_U;
		pdpt[g] = (u64)pd | PTE_P;
		if (l2->ept)
			vmwrite(VMCS_GUEST_PDPTE0 + 2 * g, pdpt[g]);
	}
	vmwrite(VMCS_GUEST_CR0, read_cr0());
	vmwrite(VMCS_GUEST_CR3, (u64)pdpt);
	write_segments(AR_CODE32, AR_DATA32, 0xffffffff, false);
	return pdpt;
}
