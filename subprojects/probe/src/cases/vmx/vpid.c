/* SPDX-License-Identifier: BSD-2-Clause */
/* SDM "INVVPID", "Caching Translation Information": operands, and no L2 sees another's entries. */
#include "exits.h"
#include "layout.h"
#include "memory.h"
#include "vmx/eptmap.h"

L2_CODE(vpid_read, "mov (%rbx), %rax");

PROBE_CASE(vpid_operands, "vmx.vpid.invvpid_operands", CASE_EACH_CPU)
{
	u64 cap = 0, bad = VM_FAIL(VMERR_INVALID_INVEPT_INVVPID);
	struct l2 *l2 = l2_begin(t);
	static const u64 caps[] = {VPID_CAP_ADDRESS, VPID_CAP_SINGLE, VPID_CAP_ALL,
				   VPID_CAP_SINGLE_GLOBALS};

	if (!l2)
		return;
	cap = vmx_ept_vpid_cap();
	SKIP_UNLESS(t, cap & VPID_CAP_INVVPID, "no INVVPID");
	for (u64 type = 0; type < 4; type++) {
		bool has = cap & caps[type];
		struct invvpid_descriptor d = {.vpid = 1};

		CHECK_VM(t, try_invvpid(type, 1, 0x1000), has ? VM_OK : bad);
		/* VPID 0 is the host's; type 2 does not look at it. */
		CHECK_VM(t, try_invvpid(type, 0, 0x1000),
			 has && type == INVVPID_ALL_CONTEXT ? VM_OK : bad);
		/* Non-canonical: only type 0 looks at it. */
		CHECK_VM(t, try_invvpid(type, 1, 0x8000000000000000),
			 has && type != INVVPID_ADDRESS ? VM_OK : bad);
		/* "If INVVPID_DESC[63:16] ≠ 0": for every type. */
		for (unsigned i = 0; i < 3; i++) {
			d.vpid = 1 | 0x8000ull << 16 * (i + 1);
			CHECK_VM(t,
				 VMX_INSN("invvpid %[d], %[t]",
					  : [d] "m"(d), [t] "r"(type)
					  : "memory"),
				 bad);
		}
	}
	for (u64 type = 4; type < 1ull << 31; type = type * 5 + 1)
		CHECK_VM(t, try_invvpid(type, 1, 0), bad);
}

/* Reads WINDOW_BASE in L2. */
static u64 window(struct run *t, struct l2 *l2)
{
	l2_goto(l2, vpid_read);
	l2->regs.rbx = WINDOW_BASE;
	l2_run(l2);
	CHECK_EXIT(t, l2, REASON_VMCALL);
	return l2->regs.rax;
}

static void map(u64 page)
{
	*memory_entry(WINDOW_BASE, 1) = page | PTE_P | PTE_W;
}

/* L2 with its own tag, after L1's tables changed and INVVPID, sees the change; L1 after INVLPG. */
static void invalidate_and_read(struct run *t, u64 type)
{
	struct l2 *l2 = l2_begin(t);
	u64 *a, *b;

	if (!l2)
		return;
	L2_NEED(t, CTL_CPU2, CPU2_VPID);
	vmwrite(VMCS_VPID, 7);
	a = vmx_pages(1);
	b = vmx_pages(1);
	*a = 0xa;
	*b = 0xb;
	map((u64)a);
	invlpg(WINDOW_BASE);
	CHECK_VM(t, try_invvpid(INVVPID_ALL_CONTEXT, 7, 0), VM_OK);
	CHECK_EQ(t, window(t, l2), 0xa);
	CHECK_EQ(t, *(volatile u64 *)WINDOW_BASE, 0xa);
	map((u64)b);
	CHECK_VM(t, try_invvpid(type, 7, WINDOW_BASE), VM_OK);
	CHECK_EQ(t, window(t, l2), 0xb);
	invlpg(WINDOW_BASE);
	CHECK_EQ(t, *(volatile u64 *)WINDOW_BASE, 0xb);
	memory_map(WINDOW_BASE, 0, PAGE_SIZE, PAGE_SIZE, 0);
	CHECK_VM(t, try_invvpid(INVVPID_ALL_CONTEXT, 7, 0), VM_OK);
}

PROBE_CASE(vpid_address, "vmx.vpid.invvpid_address", CASE_EACH_CPU)
{
	invalidate_and_read(t, INVVPID_ADDRESS);
}

PROBE_CASE(vpid_single, "vmx.vpid.invvpid_single", CASE_EACH_CPU)
{
	invalidate_and_read(t, INVVPID_SINGLE_CONTEXT);
}

PROBE_CASE(vpid_all, "vmx.vpid.invvpid_all", CASE_EACH_CPU)
{
	invalidate_and_read(t, INVVPID_ALL_CONTEXT);
}

PROBE_CASE(vpid_retain, "vmx.vpid.invvpid_retaining_globals", CASE_EACH_CPU)
{
	invalidate_and_read(t, INVVPID_SINGLE_RETAIN_GLOBALS);
}

/* Two tags, the same linear address, two different tables: never the other's page. */
PROBE_CASE(vpid_isolation, "vmx.vpid.isolation", CASE_EACH_CPU)
{
	struct l2 *l2 = l2_begin(t);
	u64 *pages[2], *roots[2];

	if (!l2)
		return;
	L2_NEED(t, CTL_CPU2, CPU2_VPID);
	for (unsigned i = 0; i < 2; i++) {
		u64 *pdpt = vmx_pages(1), *pd = vmx_pages(1), *pt = vmx_pages(1);

		pages[i] = vmx_pages(1);
		*pages[i] = 0x100 + i;
		roots[i] = vmx_pages(1);
		for (unsigned n = 0; n < 512; n++)
			roots[i][n] = ((u64 *)read_cr3())[n];
		roots[i][WINDOW_BASE >> 39 & 511] = (u64)pdpt | PTE_P | PTE_W;
		pdpt[0] = (u64)pd | PTE_P | PTE_W;
		pd[0] = (u64)pt | PTE_P | PTE_W;
		pt[0] = (u64)pages[i] | PTE_P | PTE_W | BIT(8);
	}
	vmcs_set_bits(VMCS_GUEST_CR4, CR4_PGE);
	for (unsigned round = 0; round < 6; round++) {
		vmwrite(VMCS_VPID, 1 + round % 2);
		vmwrite(VMCS_GUEST_CR3, (u64)roots[round % 2]);
		CHECK_EQ(t, window(t, l2), 0x100 + round % 2);
	}
	/* Without VPIDs every entry and exit flushes. */
	l2_disable(CTL_CPU2, CPU2_VPID);
	for (unsigned round = 0; round < 4; round++) {
		vmwrite(VMCS_GUEST_CR3, (u64)roots[round % 2]);
		CHECK_EQ(t, window(t, l2), 0x100 + round % 2);
	}
	CHECK_VM(t, try_invvpid(INVVPID_ALL_CONTEXT, 1, 0), VM_OK);
}
