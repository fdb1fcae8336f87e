/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * "Virtualize IA32_SPEC_CTRL": SDM "Fields Controlling Virtualization of the IA32_SPEC_CTRL MSR",
 * and RDMSR and WRMSR in "Changes to Instruction Behavior in VMX Non-Root Operation".
 */
#include "exits.h"

L2_CODE(spec_read, "rdmsr");
L2_CODE(spec_write, "wrmsr");
L2_CODE(spec_write_read, "wrmsr; xor %eax, %eax; xor %edx, %edx; rdmsr");

enum { IBRS = 1, STIBP = 2, SSBD = 4 };

static struct l2 *spec_begin(struct run *t)
{
	struct l2 *l2 = l2_begin(t);

	if (!l2)
		return NULL;
	if (!l2_enable(CTL_CPU3, CPU3_VIRTUALIZE_SPEC_CTRL) ||
	    !l2_enable(CTL_CPU, CPU_USE_MSR_BITMAPS)) {
		run_skip(t, "no virtual IA32_SPEC_CTRL or no MSR bitmaps");
		return NULL;
	}
	vmwrite(VMCS_MSR_BITMAP, (u64)vmx_pages(1));
	return l2;
}

static u64 run_spec(struct l2 *l2, const u8 *code, u64 value)
{
	l2_goto(l2, code);
	l2->regs.rcx = MSR_IA32_SPEC_CTRL;
	l2->regs.rax = (u32)value;
	l2->regs.rdx = value >> 32;
	l2_run(l2);
	return l2->regs.rdx << 32 | (u32)l2->regs.rax;
}

PROBE_CASE(spec_ctrl_virtual, "vmx.spec_ctrl.mask_and_shadow", CASE_EACH_CPU)
{
	struct l2 *l2 = spec_begin(t);

	if (!l2)
		return;
	for (u64 mask = 0; mask < 8; mask++)
		for (u64 written = 0; written < 8; written++) {
			const u64 of_l1 = mask ^ STIBP, shadow = written ^ IBRS;

			wrmsr(MSR_IA32_SPEC_CTRL, of_l1);
			vmwrite(VMCS_SPEC_CTRL_MASK, mask);
			vmwrite(VMCS_SPEC_CTRL_SHADOW, shadow);
			/* RDMSR returns the shadow. */
			CHECK_EQ(t, run_spec(l2, spec_read, 0), shadow);
			CHECK_EXIT(t, l2, REASON_VMCALL);
			CHECK_EQ(t, rdmsr(MSR_IA32_SPEC_CTRL), of_l1);
			/* WRMSR leaves the bits that are set in the mask as they are. */
			run_spec(l2, spec_write, written);
			CHECK_EXIT(t, l2, REASON_VMCALL);
			CHECK_EQ(t, rdmsr(MSR_IA32_SPEC_CTRL), (of_l1 & mask) | (written & ~mask));
			CHECK_EQ(t, vmread(VMCS_SPEC_CTRL_MASK), mask);
		}
	wrmsr(MSR_IA32_SPEC_CTRL, 0);
}

/* WRMSR writes the shadow, too: not in Bochs 3. It is there at the next entry, and for L1. */
PROBE_CASE(strict_shadow, "vmx.spec_ctrl.strict_shadow", CASE_EACH_CPU | CASE_EXPLICIT)
{
	struct l2 *l2 = spec_begin(t);

	if (!l2)
		return;
	for (u64 written = 0; written < 8; written++) {
		vmwrite(VMCS_SPEC_CTRL_MASK, IBRS);
		vmwrite(VMCS_SPEC_CTRL_SHADOW, written ^ SSBD);
		CHECK_EQ(t, run_spec(l2, spec_write_read, written), written);
		CHECK_EXIT(t, l2, REASON_VMCALL);
		CHECK_EQ(t, vmread(VMCS_SPEC_CTRL_SHADOW), written);
		CHECK_EQ(t, run_spec(l2, spec_read, 0), written);
	}
	wrmsr(MSR_IA32_SPEC_CTRL, 0);
}

/* A value that WRMSR does not take: #GP, and neither the MSR nor the shadow changes. */
static void check_reserved(struct run *t, u64 mask)
{
	struct l2 *l2 = spec_begin(t);

	if (!l2)
		return;
	vmwrite(VMCS_SPEC_CTRL_MASK, mask);
	vmwrite(VMCS_SPEC_CTRL_SHADOW, SSBD);
	for (unsigned bit = 32; bit < 64; bit += 31) {
		run_spec(l2, spec_write, BIT(bit));
		CHECK_EXCEPTION(t, l2, VECTOR_GP, 0, 0);
		CHECK_EQ(t, vmread(VMCS_SPEC_CTRL_SHADOW), SSBD);
		CHECK_EQ(t, rdmsr(MSR_IA32_SPEC_CTRL), 0);
	}
}

/* Bochs 3 looks only at bits that the mask lets through. */
PROBE_CASE(strict_reserved, "vmx.spec_ctrl.strict_reserved_bits", CASE_EACH_CPU | CASE_EXPLICIT)
{
	check_reserved(t, ~0ull);
}

PROBE_CASE(spec_ctrl_reserved, "vmx.spec_ctrl.reserved_bits", CASE_EACH_CPU)
{
	check_reserved(t, 0);
}

/* Two virtual machines, and one without the control, which has the MSR itself. */
PROBE_CASE(spec_ctrl_many, "vmx.spec_ctrl.each_its_own", CASE_EACH_CPU)
{
	struct l2 *l2 = spec_begin(t);
	u64 first, bitmap;

	if (!l2)
		return;
	first = l2->vmcs;
	bitmap = vmread(VMCS_MSR_BITMAP);
	wrmsr(MSR_IA32_SPEC_CTRL, IBRS);
	vmwrite(VMCS_SPEC_CTRL_MASK, IBRS);
	vmwrite(VMCS_SPEC_CTRL_SHADOW, SSBD);
	CHECK_EQ(t, run_spec(l2, spec_write_read, SSBD), SSBD);
	CHECK_EQ(t, rdmsr(MSR_IA32_SPEC_CTRL), IBRS | SSBD);
	l2_new_vmcs(l2);
	l2_enable(CTL_CPU, CPU_USE_MSR_BITMAPS);
	l2_enable(CTL_CPU3, CPU3_VIRTUALIZE_SPEC_CTRL);
	vmwrite(VMCS_MSR_BITMAP, bitmap);
	vmwrite(VMCS_SPEC_CTRL_MASK, 0);
	vmwrite(VMCS_SPEC_CTRL_SHADOW, STIBP);
	CHECK_EQ(t, run_spec(l2, spec_read, 0), STIBP);
	CHECK_EQ(t, run_spec(l2, spec_write_read, STIBP), STIBP);
	CHECK_EQ(t, rdmsr(MSR_IA32_SPEC_CTRL), STIBP);
	l2_disable(CTL_CPU3, CPU3_VIRTUALIZE_SPEC_CTRL);
	CHECK_EQ(t, run_spec(l2, spec_write_read, SSBD), SSBD);
	CHECK_EQ(t, rdmsr(MSR_IA32_SPEC_CTRL), SSBD);
	CHECK_EQ(t, vmread(VMCS_SPEC_CTRL_SHADOW), STIBP);
	/* Nor does it count while the tertiary controls are not active. */
	l2_enable(CTL_CPU3, CPU3_VIRTUALIZE_SPEC_CTRL);
	l2_disable(CTL_CPU, CPU_TERTIARY_CONTROLS);
	CHECK_EQ(t, run_spec(l2, spec_read, 0), SSBD);
	CHECK_VM(t, try_vmclear(l2->vmcs), VM_OK);
	CHECK_VM(t, try_vmptrld(first), VM_OK);
	CHECK_EQ(t, vmread(VMCS_SPEC_CTRL_SHADOW), SSBD);
	wrmsr(MSR_IA32_SPEC_CTRL, 0);
	l2->vmcs = first;
	l2->launched = false;
	CHECK_EQ(t, run_spec(l2, spec_read, 0), SSBD);
}

/* The MSR bitmap comes first. */
PROBE_CASE(spec_ctrl_bitmap, "vmx.spec_ctrl.bitmap", CASE_EACH_CPU)
{
	enum { BYTE = MSR_IA32_SPEC_CTRL / 8, WRITES = 2048 };
	struct l2 *l2 = spec_begin(t);
	u8 *map;

	if (!l2)
		return;
	map = (u8 *)vmread(VMCS_MSR_BITMAP);
	vmwrite(VMCS_SPEC_CTRL_MASK, 0);
	vmwrite(VMCS_SPEC_CTRL_SHADOW, STIBP);
	map[BYTE] = map[BYTE + WRITES] = 1 << (MSR_IA32_SPEC_CTRL % 8);
	run_spec(l2, spec_read, 0);
	CHECK_EXIT_QUAL(t, l2, REASON_RDMSR, 0);
	run_spec(l2, spec_write, SSBD);
	CHECK_EXIT_QUAL(t, l2, REASON_WRMSR, 0);
	CHECK_EQ(t, vmread(VMCS_SPEC_CTRL_SHADOW), STIBP);
	map[BYTE] = 0;
	CHECK_EQ(t, run_spec(l2, spec_read, 0), STIBP);
}
