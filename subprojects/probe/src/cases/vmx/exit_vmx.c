/* SPDX-License-Identifier: BSD-2-Clause */
/* VMX instructions in L2, and the instructions on GDTR, IDTR, LDTR and TR: exits with operands. */
#include "exits.h"
#include "features.h"

L2_CODE(vmx_vmclear, "vmclear 0x10(%rbx,%rcx,2)");
L2_CODE(vmx_vmptrld, "vmptrld (%rsi)");
L2_CODE(vmx_vmptrst, "vmptrst -8(%rbp)");
L2_CODE(vmx_vmxon, "vmxon %fs:0x1000(%r12)");
L2_CODE(vmx_vmxoff, "vmxoff");
L2_CODE(vmx_vmlaunch, "vmlaunch");
L2_CODE(vmx_vmresume, "vmresume");
L2_CODE(vmx_vmread_reg, "vmread %rdx, %r11");
L2_CODE(vmx_vmread_mem, "vmread %r9, 0x7f(%r8)");
L2_CODE(vmx_vmwrite_reg, "vmwrite %rsp, %rax");
L2_CODE(vmx_vmwrite_mem, "vmwrite (%r15,%r14,8), %rdi");
L2_CODE(vmx_invept, "invept (%ebx), %r10");
L2_CODE(vmx_invvpid, "invvpid %gs:(,%rdx,4), %rcx");
L2_CODE(vmx_rip_relative, "vmptrld 0x1234(%rip)");

L2_CODE(desc_sgdt, "sgdt 0x20(%rdi)");
L2_CODE(desc_sidt, "sidt (%rdi)");
L2_CODE(desc_lgdt, "lgdt (%rdi,%rax,1)");
L2_CODE(desc_lidt, "lidt -1(%rdi)");
L2_CODE(desc_sldt, "sldt %ebx");
L2_CODE(desc_sldt_mem, "sldt 2(%rdi)");
L2_CODE(desc_str, "str %r8d");
L2_CODE(desc_lldt, "lldt %cx");
L2_CODE(desc_ltr, "ltr 6(%rdi)");

#define BASE_ONLY(reg) \
	(INFO_ADDRESS_64 | INFO_SEGMENT(SEG_DS) | (u32)INFO_NO_INDEX | INFO_BASE(reg))

static const struct insn_exit vmx_rows[] = {
	{vmx_vmclear, REASON_VMCLEAR, 0x10, 6, INFO_MEMORY,
	 INFO_SCALE_2 | INFO_ADDRESS_64 | INFO_SEGMENT(SEG_DS) | INFO_INDEX(1) | INFO_BASE(3)},
	{vmx_vmptrld, REASON_VMPTRLD, 0, 3, INFO_MEMORY_BASE, BASE_ONLY(6)},
	{vmx_vmptrst, REASON_VMPTRST, -8ull, 4, INFO_MEMORY_BASE,
	 INFO_ADDRESS_64 | INFO_SEGMENT(SEG_SS) | (u32)INFO_NO_INDEX | INFO_BASE(5)},
	{vmx_vmxon, REASON_VMXON, 0x1000, 11, INFO_MEMORY_BASE,
	 INFO_ADDRESS_64 | INFO_SEGMENT(SEG_FS) | (u32)INFO_NO_INDEX | INFO_BASE(12)},
	{vmx_vmxoff, REASON_VMXOFF, 0, 3, 0, 0},
	{vmx_vmlaunch, REASON_VMLAUNCH, 0, 3, 0, 0},
	{vmx_vmresume, REASON_VMRESUME, 0, 3, 0, 0},
	{vmx_vmread_reg, REASON_VMREAD, 0, 4, (u32)INFO_REG1_MASK | INFO_REG2_MASK,
	 INFO_REG | INFO_REG1(11) | INFO_REG2(2)},
	{vmx_vmread_mem, REASON_VMREAD, 0x7f, 5, INFO_MEMORY_BASE | INFO_REG2_MASK,
	 BASE_ONLY(8) | INFO_REG2(9)},
	{vmx_vmwrite_reg, REASON_VMWRITE, 0, 3, (u32)INFO_REG1_MASK | INFO_REG2_MASK,
	 INFO_REG | INFO_REG1(4) | INFO_REG2(0)},
	{vmx_vmwrite_mem, REASON_VMWRITE, 0, 5, INFO_MEMORY | INFO_REG2_MASK,
	 INFO_SCALE_8 | INFO_ADDRESS_64 | INFO_SEGMENT(SEG_DS) | INFO_INDEX(14) | INFO_BASE(15) |
		 INFO_REG2(7)},
};

PROBE_CASE(exit_register_qualification, "vmx.exit.register_qualification",
	   CASE_EACH_CPU | CASE_EXPLICIT)
{
	struct l2 *l2 = l2_begin(t);

	if (!l2)
		return;
	L2_EXITS(t, l2, vmx_vmread_reg, REASON_VMREAD, 0);
	L2_EXITS(t, l2, vmx_vmwrite_reg, REASON_VMWRITE, 0);
	L2_NEED(t, CTL_CPU2, CPU2_DESCRIPTOR_TABLE_EXITING);
	L2_EXITS(t, l2, desc_sldt, REASON_LDTR_TR, 0);
	L2_EXITS(t, l2, desc_lldt, REASON_LDTR_TR, 0);
}

static const struct insn_exit inv_rows[] = {
	{vmx_invept, REASON_INVEPT, 0, 7, INFO_MEMORY_BASE | INFO_REG2_MASK,
	 INFO_ADDRESS_32 | INFO_SEGMENT(SEG_DS) | (u32)INFO_NO_INDEX | INFO_BASE(3) |
		 INFO_REG2(10)},
	{vmx_invvpid, REASON_INVVPID, 0, 11,
	 (u32)(BITS(1, 0) | BITS(10, 7) | BITS(22, 15) | BIT(27)) | INFO_REG2_MASK,
	 INFO_SCALE_4 | INFO_ADDRESS_64 | INFO_SEGMENT(SEG_GS) | INFO_INDEX(2) | INFO_NO_BASE |
		 INFO_REG2(1)},
};

/* "VMX instructions … cause VM exits": before any check of privilege or operands. */
PROBE_CASE(exit_vmx, "vmx.exit.vmx_instructions", CASE_EACH_CPU)
{
	struct l2 *l2 = l2_begin(t);

	if (!l2)
		return;
	for (unsigned i = 0; i < ARRAY_SIZE(vmx_rows); i++) {
		check_insn_exit(t, __LINE__, l2, &vmx_rows[i]);
		l2_goto_user(l2, vmx_rows[i].code);
		l2_run(l2);
		CHECK_EXIT(t, l2, vmx_rows[i].reason);
	}
	if (vmx_ept_vpid_cap() & EPT_CAP_INVEPT)
		check_insn_exit(t, __LINE__, l2, &inv_rows[0]);
	if (vmx_ept_vpid_cap() & VPID_CAP_INVVPID)
		check_insn_exit(t, __LINE__, l2, &inv_rows[1]);
	/* "… with RIP-relative addressing": the sum with RIP. */
	L2_EXITS(t, l2, vmx_rip_relative, REASON_VMPTRLD, (u64)vmx_rip_relative + 7 + 0x1234);
	CHECK_EQ(t, l2->exit.info & INFO_MEMORY_NOTHING,
		 INFO_ADDRESS_64 | INFO_SEGMENT(SEG_DS) | INFO_NO_INDEX | INFO_NO_BASE);
}

enum { IDENTITY_MASK = 3 << 28 };

static const struct insn_exit desc_rows[] = {
	{desc_sgdt, REASON_GDTR_IDTR, 0x20, 4, INFO_MEMORY_BASE | IDENTITY_MASK, BASE_ONLY(7)},
	{desc_sidt, REASON_GDTR_IDTR, 0, 3, INFO_MEMORY_BASE | IDENTITY_MASK,
	 BASE_ONLY(7) | INFO_IDENTITY(1)},
	{desc_lgdt, REASON_GDTR_IDTR, 0, 4, INFO_MEMORY | IDENTITY_MASK,
	 INFO_ADDRESS_64 | INFO_SEGMENT(SEG_DS) | INFO_INDEX(0) | INFO_BASE(7) | INFO_IDENTITY(2)},
	{desc_lidt, REASON_GDTR_IDTR, -1ull, 4, INFO_MEMORY_BASE | IDENTITY_MASK,
	 BASE_ONLY(7) | INFO_IDENTITY(3)},
	{desc_sldt, REASON_LDTR_TR, 0, 3, (u32)INFO_REG1_MASK | IDENTITY_MASK,
	 INFO_REG | INFO_REG1(3)},
	{desc_sldt_mem, REASON_LDTR_TR, 2, 4, INFO_MEMORY_BASE | IDENTITY_MASK, BASE_ONLY(7)},
	{desc_str, REASON_LDTR_TR, 0, 4, (u32)INFO_REG1_MASK | IDENTITY_MASK,
	 INFO_REG | INFO_REG1(8) | INFO_IDENTITY(1)},
	{desc_lldt, REASON_LDTR_TR, 0, 3, (u32)INFO_REG1_MASK | IDENTITY_MASK,
	 INFO_REG | INFO_REG1(1) | INFO_IDENTITY(2)},
	{desc_ltr, REASON_LDTR_TR, 6, 4, INFO_MEMORY_BASE | IDENTITY_MASK,
	 BASE_ONLY(7) | INFO_IDENTITY(3)},
};

PROBE_CASE(exit_descriptor, "vmx.exit.descriptor_tables", CASE_EACH_CPU)
{
	struct l2 *l2 = l2_begin(t);

	if (!l2)
		return;
	L2_NEED(t, CTL_CPU2, CPU2_DESCRIPTOR_TABLE_EXITING);
	for (unsigned i = 0; i < ARRAY_SIZE(desc_rows); i++)
		check_insn_exit(t, __LINE__, l2, &desc_rows[i]);
	CHECK_USER_FAULT(t, l2, desc_lgdt, VECTOR_GP);
	CHECK_USER_FAULT(t, l2, desc_ltr, VECTOR_GP);
	/* UMIP is off: stores are not privileged. */
	l2_goto_user(l2, desc_sgdt);
	l2_run(l2);
	CHECK_EXIT(t, l2, REASON_GDTR_IDTR);
	l2_disable(CTL_CPU2, CPU2_DESCRIPTOR_TABLE_EXITING);
	CHECK_NO_EXIT(t, l2, desc_str);
	CHECK_EQ(t, l2->regs.r8, vmread(VMCS_GUEST_TR_SELECTOR));
}

L2_CODE(xs_xsaves, "xsaves (%rdi)");
L2_CODE(xs_xrstors, "xrstors 0x40(%rdi)");

PROBE_CASE(exit_xsaves, "vmx.exit.xsaves", CASE_EACH_CPU)
{
	static const struct insn_exit rows[] = {
		{xs_xsaves, REASON_XSAVES, 0, 3, INFO_MEMORY_BASE, BASE_ONLY(7)},
		{xs_xrstors, REASON_XRSTORS, 0x40, 4, INFO_MEMORY_BASE, BASE_ONLY(7)},
	};
	struct l2 *l2;

	SKIP_UNLESS(t, has(FEATURE_XSAVES), "no XSAVES");
	l2 = l2_begin(t);
	if (!l2)
		return;
	vmcs_set_bits(VMCS_GUEST_CR4, CR4_OSXSAVE);
	L2_EXITS(t, l2, xs_xsaves, REASON_EXCEPTION_NMI, 0);
	CHECK_EXCEPTION(t, l2, VECTOR_UD, 0, 0);
	L2_NEED(t, CTL_CPU2, CPU2_XSAVES);
	/* The exit needs a bit both in EDX:EAX and IA32_XSS, and in the bitmap. */
	vmwrite(VMCS_XSS_EXITING_BITMAP, ~0ull);
	if (!rdmsr(MSR_IA32_XSS)) {
		l2_goto(l2, xs_xsaves);
		l2->regs.rdi = (u64)vmx_pages(1);
		l2_run(l2);
		CHECK_EXIT(t, l2, REASON_VMCALL);
		return;
	}
	for (unsigned i = 0; i < ARRAY_SIZE(rows); i++)
		check_insn_exit(t, __LINE__, l2, &rows[i]);
}
