/* SPDX-License-Identifier: BSD-2-Clause */
/* SDM "Exit Qualification for Control-Register Accesses", "… for MOV DR", masks and shadows. */
#include "exits.h"
#include "layout.h"

enum {
	ACCESS_TYPE_SHIFT = 4,
	LMSW_MEMORY = 1 << 6,
	REGISTER_SHIFT = 8,
	LMSW_SOURCE_SHIFT = 16,
	DR_FROM = 1 << 4,
};

static u64 cr_access(unsigned cr, enum cr_access_type type, unsigned reg)
{
	return cr | (u64)type << ACCESS_TYPE_SHIFT | (u64)reg << REGISTER_SHIFT;
}

L2_CODE(cr0_from_rbx, "mov %rbx, %cr0");
L2_CODE(cr0_to_r9, "mov %cr0, %r9");
L2_CODE(cr3_from_r15, "mov %r15, %cr3");
L2_CODE(cr3_to_rsp, "mov %rsp, %r12\nmov %cr3, %rsp");
L2_CODE(cr3_to_rdx, "mov %cr3, %rdx");
L2_CODE(cr4_from_rcx, "mov %rcx, %cr4");
L2_CODE(cr4_to_rbp, "mov %cr4, %rbp");
L2_CODE(cr8_from_r8, "mov %r8, %cr8");
L2_CODE(cr8_to_rsi, "mov %cr8, %rsi");
L2_CODE(cr_clts, "clts");
L2_CODE(cr_lmsw_reg, "lmsw %dx");
L2_CODE(cr_lmsw_mem, "lmsw 4(%rdi)");
L2_CODE(cr_smsw, "smsw %r9d");

PROBE_CASE(exit_cr3, "vmx.exit.cr3", CASE_EACH_CPU)
{
	struct l2 *l2 = l2_begin(t);
	u64 cr3 = read_cr3();

	if (!l2)
		return;
	L2_NEED(t, CTL_CPU, CPU_CR3_LOAD_EXITING | CPU_CR3_STORE_EXITING);
	L2_EXITS(t, l2, cr3_from_r15, REASON_CR_ACCESS, cr_access(3, CR_ACCESS_MOV_TO, 15));
	CHECK_EQ(t, l2->exit.length, 4);
	L2_EXITS(t, l2, cr3_to_rdx, REASON_CR_ACCESS, cr_access(3, CR_ACCESS_MOV_FROM, 2));
	CHECK_EQ(t, l2->exit.length, 3);
	L2_EXITS(t, l2, cr3_to_rsp, REASON_CR_ACCESS, cr_access(3, CR_ACCESS_MOV_FROM, 4));
	CHECK_USER_FAULT(t, l2, cr3_from_r15, VECTOR_GP);
	CHECK_USER_FAULT(t, l2, cr3_to_rdx, VECTOR_GP);
	if (l2_disable(CTL_CPU, CPU_CR3_LOAD_EXITING)) {
		l2_goto(l2, cr3_from_r15);
		l2->regs.r15 = cr3;
		l2_run(l2);
		CHECK_EXIT(t, l2, REASON_VMCALL);
		l2_enable(CTL_CPU, CPU_CR3_LOAD_EXITING);
	}
	if (l2_disable(CTL_CPU, CPU_CR3_STORE_EXITING)) {
		CHECK_NO_EXIT(t, l2, cr3_to_rdx);
		CHECK_EQ(t, l2->regs.rdx, cr3);
	}
}

/* "… if the value is one of the first n CR3-target values, it does not exit." */
PROBE_CASE(exit_cr3_target, "vmx.exit.cr3_targets", CASE_EACH_CPU)
{
	u64 cr3 = read_cr3(), targets;
	struct l2 *l2 = l2_begin(t);

	if (!l2)
		return;
	targets = (rdmsr(MSR_IA32_VMX_MISC) & VMX_MISC_CR3_TARGETS) >> 16;
	L2_NEED(t, CTL_CPU, CPU_CR3_LOAD_EXITING);
	SKIP_UNLESS(t, targets, "no CR3 targets");
	for (u64 i = 0; i < targets && i < 4; i++) {
		for (u64 n = 0; n < targets && n < 4; n++)
			vmwrite(VMCS_CR3_TARGET_VALUE0 + 2 * n, n == i ? cr3 : 0x1000 * (n + 5));
		/* Its own number is in the count, and just not. */
		vmwrite(VMCS_CR3_TARGET_COUNT, i + 1);
		l2_goto(l2, cr3_from_r15);
		l2->regs.r15 = cr3;
		l2_run(l2);
		CHECK_EXIT(t, l2, REASON_VMCALL);
		vmwrite(VMCS_CR3_TARGET_COUNT, i);
		l2_goto(l2, cr3_from_r15);
		l2->regs.r15 = cr3;
		l2_run(l2);
		CHECK_EXIT(t, l2, REASON_CR_ACCESS);
	}
	vmwrite(VMCS_CR3_TARGET_COUNT, targets + 1);
	l2_goto(l2, cr3_from_r15);
	CHECK_VM(t, l2_run(l2), VM_FAIL(VMERR_ENTRY_INVALID_CONTROL));
}

PROBE_CASE(exit_cr8, "vmx.exit.cr8", CASE_EACH_CPU)
{
	struct l2 *l2 = l2_begin(t);

	if (!l2)
		return;
	L2_NEED(t, CTL_CPU, CPU_CR8_LOAD_EXITING | CPU_CR8_STORE_EXITING);
	L2_EXITS(t, l2, cr8_from_r8, REASON_CR_ACCESS, cr_access(8, CR_ACCESS_MOV_TO, 8));
	L2_EXITS(t, l2, cr8_to_rsi, REASON_CR_ACCESS, cr_access(8, CR_ACCESS_MOV_FROM, 6));
	l2_disable(CTL_CPU, CPU_CR8_LOAD_EXITING | CPU_CR8_STORE_EXITING);
	l2_goto(l2, cr8_from_r8);
	l2->regs.r8 = 5;
	l2_run(l2);
	CHECK_EXIT(t, l2, REASON_VMCALL);
	CHECK_EQ(t, read_cr8(), 5);
	CHECK_NO_EXIT(t, l2, cr8_to_rsi);
	CHECK_EQ(t, l2->regs.rsi, 5);
	write_cr8(0);
}

/* Runs a MOV to CR0 or CR4 (or LMSW) with this operand; returns the reason. */
static u32 load(struct l2 *l2, const u8 *code, u64 value)
{
	l2_goto(l2, code);
	l2->regs.rbx = l2->regs.rcx = l2->regs.rdx = value;
	l2_run(l2);
	return l2->exit.reason;
}

/* SDM "Guest/Host Masks and Read Shadows for CR0 and CR4". */
PROBE_CASE(exit_cr0_mask, "vmx.exit.cr0_mask", CASE_EACH_CPU)
{
	struct l2 *l2 = l2_begin(t);
	u64 cr0;

	if (!l2)
		return;
	cr0 = vmread(VMCS_GUEST_CR0);
	CHECK_NO_EXIT(t, l2, cr0_to_r9);
	CHECK_EQ(t, l2->regs.r9, cr0);
	/* The host owns TS and AM, L2 believes TS is 1 and AM 0; MP is the guest's. */
	vmwrite(VMCS_CR0_GUEST_HOST_MASK, CR0_TS | CR0_AM);
	vmwrite(VMCS_CR0_READ_SHADOW, CR0_TS | CR0_MP | CR0_EM);
	CHECK_NO_EXIT(t, l2, cr0_to_r9);
	CHECK_EQ(t, l2->regs.r9, cr0 | CR0_TS);
	CHECK_NO_EXIT(t, l2, cr_smsw);
	CHECK_EQ(t, l2->regs.r9 & 0xffff, (cr0 | CR0_TS) & 0xffff);
	/* Writes that agree with the shadow in the masked bits, whatever the others. */
	CHECK_EQ(t, load(l2, cr0_from_rbx, cr0 | CR0_TS | CR0_MP), REASON_VMCALL);
	CHECK_EQ(t, vmread(VMCS_GUEST_CR0), cr0 | CR0_MP);
	CHECK_EQ(t, load(l2, cr0_from_rbx, cr0), REASON_CR_ACCESS);
	CHECK_EQ(t, l2->exit.qualification, cr_access(0, CR_ACCESS_MOV_TO, 3));
	CHECK_EQ(t, vmread(VMCS_GUEST_CR0), cr0 | CR0_MP);
	CHECK_EQ(t, load(l2, cr0_from_rbx, cr0 | CR0_TS | CR0_AM), REASON_CR_ACCESS);
	CHECK_EQ(t, load(l2, cr0_from_rbx, cr0 | CR0_TS), REASON_VMCALL);
	CHECK_EQ(t, vmread(VMCS_GUEST_CR0), cr0);
}

PROBE_CASE(exit_clts_lmsw, "vmx.exit.clts_lmsw", CASE_EACH_CPU)
{
	struct l2 *l2 = l2_begin(t);
	u64 cr0, page;

	if (!l2)
		return;
	cr0 = vmread(VMCS_GUEST_CR0);
	page = (u64)vmx_pages(1);
	/* "CLTS: if bit 3 is set in both the mask and the read shadow." */
	vmwrite(VMCS_CR0_GUEST_HOST_MASK, CR0_TS);
	vmwrite(VMCS_CR0_READ_SHADOW, CR0_TS);
	L2_EXITS(t, l2, cr_clts, REASON_CR_ACCESS, cr_access(0, CR_ACCESS_CLTS, 0));
	CHECK_EQ(t, l2->exit.length, 2);
	/* Masked, shadow 0: it does nothing. */
	vmwrite(VMCS_CR0_READ_SHADOW, 0);
	vmwrite(VMCS_GUEST_CR0, cr0 | CR0_TS);
	CHECK_NO_EXIT(t, l2, cr_clts);
	CHECK_EQ(t, vmread(VMCS_GUEST_CR0), cr0 | CR0_TS);
	vmwrite(VMCS_CR0_GUEST_HOST_MASK, 0);
	CHECK_NO_EXIT(t, l2, cr_clts);
	CHECK_EQ(t, vmread(VMCS_GUEST_CR0), cr0);

	vmwrite(VMCS_CR0_GUEST_HOST_MASK, CR0_EM);
	CHECK_EQ(t, load(l2, cr_lmsw_reg, CR0_PE | CR0_EM), REASON_CR_ACCESS);
	CHECK_EQ(t, l2->exit.qualification & ~(u64)BITS(11, 8),
		 cr_access(0, CR_ACCESS_LMSW, 0) | (u64)(CR0_PE | CR0_EM) << LMSW_SOURCE_SHIFT);
	CHECK_EQ(t, l2->exit.length, 3);
	*(u16 *)(page + 4) = (u16)(CR0_EM | CR0_MP | 0xfff0);
	l2_goto(l2, cr_lmsw_mem);
	l2->regs.rdi = page;
	l2_run(l2);
	CHECK_EXIT(t, l2, REASON_CR_ACCESS);
	CHECK_EQ(t, l2->exit.qualification & ~(u64)BITS(11, 8),
		 cr_access(0, CR_ACCESS_LMSW, 0) | LMSW_MEMORY |
			 (CR0_EM | CR0_MP | 0xfff0) << LMSW_SOURCE_SHIFT);
	CHECK_EQ(t, l2->exit.linear, page + 4);
	/* It only looks at the low four bits, and cannot clear PE. */
	CHECK_EQ(t, load(l2, cr_lmsw_reg, CR0_MP), REASON_VMCALL);
	CHECK_EQ(t, vmread(VMCS_GUEST_CR0), cr0 | CR0_MP);
	vmwrite(VMCS_CR0_GUEST_HOST_MASK, CR0_PE);
	vmwrite(VMCS_CR0_READ_SHADOW, 0);
	CHECK_EQ(t, load(l2, cr_lmsw_reg, CR0_PE), REASON_CR_ACCESS);
	vmwrite(VMCS_CR0_READ_SHADOW, CR0_PE);
	CHECK_EQ(t, load(l2, cr_lmsw_reg, 0), REASON_VMCALL);
	CHECK_EQ(t, vmread(VMCS_GUEST_CR0), cr0);
}

PROBE_CASE(exit_cr4_mask, "vmx.exit.cr4_mask", CASE_EACH_CPU)
{
	struct l2 *l2 = l2_begin(t);
	u64 cr4;

	if (!l2)
		return;
	cr4 = vmread(VMCS_GUEST_CR4);
	/* VMXE is hidden, as hypervisors do it; PGE is the guest's. */
	vmwrite(VMCS_CR4_GUEST_HOST_MASK, CR4_VMXE | CR4_MCE);
	vmwrite(VMCS_CR4_READ_SHADOW, 0);
	CHECK_NO_EXIT(t, l2, cr4_to_rbp);
	CHECK_EQ(t, l2->regs.rbp, cr4 & ~CR4_VMXE);
	CHECK_EQ(t, load(l2, cr4_from_rcx, (cr4 & ~CR4_VMXE) | CR4_PGE), REASON_VMCALL);
	CHECK_EQ(t, vmread(VMCS_GUEST_CR4), cr4 | CR4_PGE);
	CHECK_EQ(t, load(l2, cr4_from_rcx, cr4), REASON_CR_ACCESS);
	CHECK_EQ(t, l2->exit.qualification, cr_access(4, CR_ACCESS_MOV_TO, 1));
	CHECK_EQ(t, load(l2, cr4_from_rcx, (cr4 & ~CR4_VMXE) | CR4_MCE), REASON_CR_ACCESS);
	/* Without the mask a bit that VMX operation pins is #GP. */
	vmwrite(VMCS_CR4_GUEST_HOST_MASK, 0);
	CHECK_EQ(t, load(l2, cr4_from_rcx, cr4 & ~CR4_VMXE), REASON_EXCEPTION_NMI);
	CHECK_EXCEPTION(t, l2, VECTOR_GP, 0, 0);
	/* With it, the exit comes before the #GP that another bit would get? No: it is checked
	 * after. */
	CHECK_EQ(t, load(l2, cr0_from_rbx, vmread(VMCS_GUEST_CR0) & ~CR0_NE), REASON_EXCEPTION_NMI);
	CHECK_EXCEPTION(t, l2, VECTOR_GP, 0, 0);
}

L2_CODE(dr_to_dr7, "mov %rax, %dr7");
L2_CODE(dr_from_dr6, "mov %dr6, %r11");
L2_CODE(dr_to_dr0, "mov %r9, %dr0");
L2_CODE(dr_from_dr3, "mov %dr3, %rdi");
L2_CODE(dr_to_dr4, "mov %rax, %dr4");

PROBE_CASE(exit_dr, "vmx.exit.mov_dr", CASE_EACH_CPU)
{
	struct l2 *l2 = l2_begin(t);

	if (!l2)
		return;
	L2_NEED(t, CTL_CPU, CPU_MOV_DR_EXITING);
	L2_EXITS(t, l2, dr_to_dr7, REASON_MOV_DR, 7 | 0 << REGISTER_SHIFT);
	CHECK_EQ(t, l2->exit.length, 3);
	L2_EXITS(t, l2, dr_from_dr6, REASON_MOV_DR, 6 | DR_FROM | 11 << REGISTER_SHIFT);
	CHECK_EQ(t, l2->exit.length, 4);
	L2_EXITS(t, l2, dr_to_dr0, REASON_MOV_DR, 0 | 9 << REGISTER_SHIFT);
	L2_EXITS(t, l2, dr_from_dr3, REASON_MOV_DR, 3 | DR_FROM | 7 << REGISTER_SHIFT);
	/*
	 * "MOV DR": such exits "take priority over … general-protection exceptions based on
	 * privilege level, and invalid-opcode exceptions that occur because CR4.DE = 1 and the
	 * instruction specified access to DR4 or DR5".
	 */
	l2_goto_user(l2, dr_from_dr3);
	l2_run(l2);
	CHECK_EXIT_QUAL(t, l2, REASON_MOV_DR, 3 | DR_FROM | 7 << REGISTER_SHIFT);
	vmcs_set_bits(VMCS_GUEST_CR4, CR4_DE);
	l2_goto(l2, dr_to_dr4);
	l2_run(l2);
	CHECK_EXIT(t, l2, REASON_MOV_DR);
	vmcs_clear_bits(VMCS_GUEST_CR4, CR4_DE);
	/* General detect is no such fault either. */
	vmwrite(VMCS_GUEST_DR7, DR7_INIT | DR7_GD);
	L2_EXITS(t, l2, dr_from_dr3, REASON_MOV_DR, 3 | DR_FROM | 7 << REGISTER_SHIFT);
	vmwrite(VMCS_GUEST_DR7, DR7_INIT);
	l2_disable(CTL_CPU, CPU_MOV_DR_EXITING);
	CHECK_NO_EXIT(t, l2, dr_from_dr3);
	/* DR7 is L2's own; the host's comes back as 400h. */
	l2_goto(l2, dr_to_dr7);
	l2->regs.rax = DR7_INIT | 3;
	l2_run(l2);
	CHECK_EXIT(t, l2, REASON_VMCALL);
	CHECK_EQ(t, read_dr7(), DR7_INIT);
	L2_NEED(t, CTL_EXIT, EXIT_SAVE_DEBUG_CONTROLS);
	l2_goto(l2, dr_to_dr7);
	l2->regs.rax = DR7_INIT | 3;
	l2_run(l2);
	CHECK_EXIT(t, l2, REASON_VMCALL);
	CHECK_EQ(t, vmread(VMCS_GUEST_DR7), DR7_INIT | 3);
	CHECK_EQ(t, read_dr7(), DR7_INIT);
}
