/* SPDX-License-Identifier: BSD-2-Clause */
/* SDM "MSR-Bitmap Address": RDMSR and WRMSR of L2. */
#include "exits.h"
#include "layout.h"
#include "string.h"

L2_CODE(msr_rdmsr, "rdmsr");
L2_CODE(msr_wrmsr, "wrmsr");

enum { QUADRANT = 1024 };

static void run_msr(struct l2 *l2, bool write, u32 msr, u64 value)
{
	l2_goto(l2, write ? msr_wrmsr : msr_rdmsr);
	l2->regs.rcx = msr | 0xabcd00000000;
	l2->regs.rax = (u32)value;
	l2->regs.rdx = value >> 32;
	l2_run(l2);
}

static u8 *bitmap_byte(u8 *map, bool write, u32 msr)
{
	return map + (write ? 2 * QUADRANT : 0) + (msr >> 31 ? QUADRANT : 0) + (msr & 0x1fff) / 8;
}

PROBE_CASE(exit_msr, "vmx.exit.msr_without_bitmap", CASE_EACH_CPU)
{
	static const u32 msrs[] = {MSR_IA32_TSC, MSR_IA32_SYSENTER_CS, MSR_IA32_EFER, 0x1fff,
				   0x2000,       0x40000000,           0xc0001fff,    0xc0002000,
				   0xffffffff};
	struct l2 *l2 = l2_begin(t);

	if (!l2)
		return;
	for (unsigned i = 0; i < ARRAY_SIZE(msrs); i++) {
		run_msr(l2, false, msrs[i], 0);
		CHECK_EXIT_QUAL(t, l2, REASON_RDMSR, 0);
		CHECK_EQ(t, l2->exit.length, 2);
		run_msr(l2, true, msrs[i], 0);
		CHECK_EXIT_QUAL(t, l2, REASON_WRMSR, 0);
		CHECK_EQ(t, l2->exit.length, 2);
	}
	CHECK_USER_FAULT(t, l2, msr_rdmsr, VECTOR_GP);
	CHECK_USER_FAULT(t, l2, msr_wrmsr, VECTOR_GP);
}

/* One bit at a time, in each of the four quadrants, at their edges. */
PROBE_CASE(exit_msr_bitmap, "vmx.exit.msr_bitmap", CASE_EACH_CPU)
{
	static const u32 msrs[] = {MSR_IA32_SYSENTER_CS, MSR_IA32_SYSENTER_EIP, MSR_IA32_LSTAR,
				   MSR_IA32_FMASK};
	struct l2 *l2 = l2_begin(t);
	u8 *map;

	if (!l2)
		return;
	L2_NEED(t, CTL_CPU, CPU_USE_MSR_BITMAPS);
	map = vmx_pages(1);
	vmwrite(VMCS_MSR_BITMAP, (u64)map);
	for (unsigned i = 0; i < ARRAY_SIZE(msrs); i++) {
		u32 msr = msrs[i];
		u64 before = rdmsr(msr);

		for (unsigned write = 0; write < 2; write++) {
			u8 *byte = bitmap_byte(map, write, msr);

			memset(map, 0, PAGE_SIZE);
			run_msr(l2, write, msr, before);
			CHECK(t, l2->exit.reason == REASON_VMCALL, "MSR %x, %u: exit %x", msr,
			      write, l2->exit.reason);
			*byte = (u8)(1u << (msr & 7));
			run_msr(l2, write, msr, before);
			CHECK(t, l2->exit.reason == (write ? REASON_WRMSR : REASON_RDMSR),
			      "MSR %x, %u with its bit: exit %x", msr, write, l2->exit.reason);
			memset(map, 0xff, PAGE_SIZE);
			*byte = (u8) ~(1u << (msr & 7));
			run_msr(l2, write, msr, before);
			CHECK(t, l2->exit.reason == REASON_VMCALL,
			      "MSR %x, %u with all but its bit: exit %x", msr, write,
			      l2->exit.reason);
		}
	}
}

/* "… or the value of ECX is not in the ranges": those exit whatever the bitmap says. */
PROBE_CASE(exit_msr_range, "vmx.exit.msr_outside_ranges", CASE_EACH_CPU)
{
	static const u32 msrs[] = {0x2000,     0x7fffffff, 0x80000000,
				   0xbfffffff, 0xc0002000, 0xffffffff};
	struct l2 *l2 = l2_begin(t);

	if (!l2)
		return;
	L2_NEED(t, CTL_CPU, CPU_USE_MSR_BITMAPS);
	vmwrite(VMCS_MSR_BITMAP, (u64)vmx_pages(1));
	for (unsigned i = 0; i < ARRAY_SIZE(msrs); i++) {
		run_msr(l2, false, msrs[i], 0);
		CHECK_EXIT_QUAL(t, l2, REASON_RDMSR, 0);
		run_msr(l2, true, msrs[i], 0);
		CHECK_EXIT_QUAL(t, l2, REASON_WRMSR, 0);
	}
	/* In range, no such MSR: L2's own #GP. */
	run_msr(l2, false, 0x1fff, 0);
	CHECK_EXCEPTION(t, l2, VECTOR_GP, 0, 0);
	run_msr(l2, true, 0xc0001fff, 0);
	CHECK_EXCEPTION(t, l2, VECTOR_GP, 0, 0);
}

/* What L2 writes directly is the CPU's, and stays when the VM exits. */
PROBE_CASE(exit_msr_direct, "vmx.exit.msr_direct", CASE_EACH_CPU)
{
	struct l2 *l2 = l2_begin(t);
	u64 lstar = rdmsr(MSR_IA32_LSTAR);

	if (!l2)
		return;
	L2_NEED(t, CTL_CPU, CPU_USE_MSR_BITMAPS);
	vmwrite(VMCS_MSR_BITMAP, (u64)vmx_pages(1));
	run_msr(l2, true, MSR_IA32_LSTAR, 0xffff800012345678);
	CHECK_EXIT(t, l2, REASON_VMCALL);
	CHECK_EQ(t, rdmsr(MSR_IA32_LSTAR), 0xffff800012345678);
	wrmsr(MSR_IA32_LSTAR, 0x7654321);
	run_msr(l2, false, MSR_IA32_LSTAR, 0);
	CHECK_EQ(t, l2->regs.rax, 0x7654321);
	CHECK_EQ(t, l2->regs.rdx, 0);
	wrmsr(MSR_IA32_LSTAR, lstar);
	/* SYSENTER and FS base are guest state of the VMCS. */
	run_msr(l2, true, MSR_IA32_SYSENTER_EIP, 0x1122334455);
	CHECK_EXIT(t, l2, REASON_VMCALL);
	CHECK_EQ(t, vmread(VMCS_GUEST_SYSENTER_EIP), 0x1122334455);
	CHECK_EQ(t, rdmsr(MSR_IA32_SYSENTER_EIP), 0);
	run_msr(l2, true, MSR_IA32_FS_BASE, 0x99887766);
	CHECK_EXIT(t, l2, REASON_VMCALL);
	CHECK_EQ(t, vmread(VMCS_GUEST_FS_BASE), 0x99887766);
	CHECK_EQ(t, rdmsr(MSR_IA32_FS_BASE), 0);
}
