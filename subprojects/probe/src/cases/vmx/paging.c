/* SPDX-License-Identifier: BSD-2-Clause */
/* L2 in the other modes: unrestricted guest, PAE, compatibility mode. */
#include "exits.h"
#include "layout.h"
#include "vmx/modes.h"

L2_CODE_MODE(16, pg_real_code, "movw $0x1234, %ax\nmovw %ax, 0x700\nmovw %cs, %bx\ncpuid");
L2_CODE_MODE(16, pg_real_int, "int $0x21\nnop");
L2_CODE_MODE(16, pg_real_gp, "movw $0xffff, %bx\nmovw (%bx), %ax");
L2_CODE_MODE(16, pg_real_vmx, "vmptrst 0x10(%bx,%si)");
L2_CODE_MODE(16, pg_real_to_protected, "movl %cr0, %eax\norb $1, %al\nmovl %eax, %cr0\ncpuid");
L2_CODE_MODE(32, prot_code, "movl $0x89abcdef, %eax\npushl %eax\npopl %edx\ncpuid");
L2_CODE_MODE(32, prot_paging,
	     "movl %ecx, %cr3\nmovl %cr0, %eax\norl $0x80000000, %eax\n"
	     "movl %eax, %cr0\nmovl (%ebx), %edx\nandl $0x7fffffff, %eax\n"
	     "movl %eax, %cr0\ncpuid");
L2_CODE_MODE(32, pae_read, "movl (%ebx), %eax");
L2_CODE_MODE(32, pae_cr3, "movl %ecx, %cr3\nmovl (%ebx), %eax");
L2_CODE_MODE(32, prot_vmread, "vmread %ecx, 8(%eax,%edx,4)");

PROBE_CASE(paging_real, "vmx.paging.real_mode", CASE_EACH_CPU)
{
	struct l2 *l2 = l2_begin(t);
	u8 *page;

	if (!l2)
		return;
	SKIP_UNLESS(t, l2_unrestricted(l2), "no unrestricted guest");
	page = l2_goto_real(l2, pg_real_code);
	l2_run(l2);
	CHECK_EXIT_QUAL(t, l2, REASON_CPUID, 0);
	CHECK_EQ(t, *(u16 *)(page + 0x700), 0x1234);
	CHECK_EQ(t, l2->regs.rbx & 0xffff, 0);
	CHECK_EQ(t, vmread(VMCS_GUEST_CR0) & (CR0_PE | CR0_PG), 0);
	/* Through the real-mode vectors. */
	page = l2_goto_real(l2, pg_real_int);
	*(u16 *)(page + 0x21 * 4) = L2_REAL_IP + 3;
	*(u16 *)(page + 0x21 * 4 + 2) = 0;
	l2_run(l2);
	CHECK_EXIT(t, l2, REASON_VMCALL);
	CHECK_EQ(t, l2->exit.rsp, L2_REAL_SP - 6);
	CHECK_EQ(t, *(u16 *)(page + L2_REAL_SP - 6), L2_REAL_IP + 2);
	/* Injected: no error code is pushed, or reported, in real mode. */
	page = l2_goto_real(l2, pg_real_int);
	*(u16 *)(page + 13 * 4) = L2_REAL_IP + 3;
	l2_inject((u32)INTR_INFO_VALID | INTR_TYPE_HW_EXCEPTION | VECTOR_GP, 0, 0);
	l2_run(l2);
	CHECK_EXIT(t, l2, REASON_VMCALL);
	CHECK_EQ(t, *(u16 *)(page + L2_REAL_SP - 6), L2_REAL_IP);
	l2_goto_real(l2, pg_real_gp);
	l2_run(l2);
	CHECK_EXIT(t, l2, REASON_EXCEPTION_NMI);
	CHECK_EQ(t, l2->exit.intr_info & ~(INTR_INFO_NMI_UNBLOCK | INTR_INFO_ERROR_CODE),
		 INTR_INFO_VALID | INTR_TYPE_HW_EXCEPTION | VECTOR_GP);
	/* "VMX instructions … real-address mode: #UD", which comes before the exit. */
	l2_goto_real(l2, pg_real_vmx);
	l2_run(l2);
	CHECK_EXCEPTION(t, l2, VECTOR_UD, 0, 0);
	l2_goto_real(l2, pg_real_to_protected);
	l2_run(l2);
	CHECK_EXIT(t, l2, REASON_CPUID);
	CHECK_EQ(t, vmread(VMCS_GUEST_CR0) & (CR0_PE | CR0_PG), CR0_PE);
}

/* "Bit 11 is 0 if … bit 0 (PE) is clear in the CR0 field": Bochs 2.7's tigerlake lets it be 1. */
PROBE_CASE(paging_real_inject, "vmx.paging.real_mode_inject_code", CASE_EACH_CPU | CASE_EXPLICIT)
{
	struct l2 *l2 = l2_begin(t);

	if (!l2)
		return;
	SKIP_UNLESS(t, l2_unrestricted(l2), "no unrestricted guest");
	l2_goto_real(l2, pg_real_int);
	l2_inject((u32)INTR_INFO_VALID | INTR_TYPE_HW_EXCEPTION | (u32)INTR_INFO_ERROR_CODE |
			  VECTOR_GP,
		  0, 0);
	CHECK_VM(t, l2_run(l2), VM_FAIL(VMERR_ENTRY_INVALID_CONTROL));
}

/* "Bit 11 is always 0 if the VM exit occurred while … in real-address mode": not in Bochs 2.7. */
PROBE_CASE(paging_real_error, "vmx.paging.real_mode_error_code", CASE_EACH_CPU | CASE_EXPLICIT)
{
	struct l2 *l2 = l2_begin(t);

	if (!l2)
		return;
	SKIP_UNLESS(t, l2_unrestricted(l2), "no unrestricted guest");
	l2_goto_real(l2, pg_real_gp);
	l2_run(l2);
	CHECK_EXIT(t, l2, REASON_EXCEPTION_NMI);
	CHECK_EQ(t, l2->exit.intr_info & INTR_INFO_ERROR_CODE, 0);
}

PROBE_CASE(paging_protected, "vmx.paging.no_paging", CASE_EACH_CPU)
{
	struct l2 *l2 = l2_begin(t);

	if (!l2)
		return;
	SKIP_UNLESS(t, l2_unrestricted(l2), "no unrestricted guest");
	l2_goto_protected(l2, prot_code);
	l2_run(l2);
	CHECK_EXIT_QUAL(t, l2, REASON_CPUID, 0);
	CHECK_EQ(t, l2->regs.rdx, 0x89abcdef);
	/* Paging and PE may be 0 now, but paging not without PE. */
	vmcs_set_bits(VMCS_GUEST_CR0, CR0_PG);
	vmcs_clear_bits(VMCS_GUEST_CR0, CR0_PE);
	l2_run(l2);
	CHECK_EXIT(t, l2, REASON_ENTRY_FAIL_GUEST | (u32)EXIT_REASON_ENTRY_FAIL);
}

/* The very first entry with a VMCS: nothing that an earlier one left in it can help. */
PROBE_CASE(paging_first_efer, "vmx.paging.first_efer", CASE_EACH_CPU)
{
	struct l2 *l2 = l2_begin(t);

	if (!l2)
		return;
	SKIP_UNLESS(t, l2_unrestricted(l2), "no unrestricted guest");
	L2_NEED(t, CTL_ENTRY, ENTRY_LOAD_EFER);
	l2_goto_protected(l2, prot_code);
	vmwrite(VMCS_GUEST_EFER, ~0ull);
	l2_run(l2);
	CHECK_EXIT(t, l2, REASON_ENTRY_FAIL_GUEST | (u32)EXIT_REASON_ENTRY_FAIL);
	vmwrite(VMCS_GUEST_EFER, 0);
	l2_run(l2);
	CHECK_EXIT(t, l2, REASON_CPUID);
}

/* "VM-exit instruction information" and qualification of a 32-bit guest. */
PROBE_CASE(paging_vmread32, "vmx.paging.vmread_32bit", CASE_EACH_CPU)
{
	struct l2 *l2 = l2_begin(t);

	if (!l2)
		return;
	SKIP_UNLESS(t, l2_unrestricted(l2), "no unrestricted guest");
	l2_goto_protected(l2, prot_vmread);
	l2_run(l2);
	CHECK_EXIT_QUAL(t, l2, REASON_VMREAD, 8);
	CHECK_EQ(t, l2->exit.info & (INFO_MEMORY | INFO_REG2_MASK),
		 INFO_SCALE_4 | INFO_ADDRESS_32 | INFO_SEGMENT(SEG_DS) | INFO_INDEX(2) |
			 INFO_BASE(0) | INFO_REG2(1));
	CHECK_EQ(t, l2->exit.length, 5);
}

/* L2 turns paging on and off by itself; tables of its own, 32-bit and then PAE. */
PROBE_CASE(paging_toggle, "vmx.paging.toggle", CASE_EACH_CPU)
{
	struct l2 *l2 = l2_begin(t);
	u32 *directory;
	u64 *pdpt, *pd, *page;

	if (!l2)
		return;
	SKIP_UNLESS(t, l2_unrestricted(l2), "no unrestricted guest");
	directory = vmx_pages(1);
	page = vmx_pages(1);
	*page = 0x11223344;
	for (u32 i = 0; i < 1024; i++)
		directory[i] = i << 22 | (u32)(PTE_PS | PTE_P | PTE_W);
	/* 32-bit paging, 4 MiB pages: 1 GiB above is the same memory again. */
	for (u32 i = 0; i < 256; i++)
		directory[256 + i] = directory[i];
	l2_goto_protected(l2, prot_paging);
	vmcs_set_bits(VMCS_GUEST_CR4, CR4_PSE);
	l2->regs.rcx = (u64)directory;
	l2->regs.rbx = (1ull << 30) + (u64)page;
	l2_run(l2);
	CHECK_EXIT(t, l2, REASON_CPUID);
	CHECK_EQ(t, l2->regs.rdx, 0x11223344);
	/* PAE: PDPTEs come from memory when paging is turned on. */
	pdpt = vmx_pages(1);
	pd = vmx_pages(1);
	for (u64 i = 0; i < 512; i++)
		pd[i] = i << 21 | PTE_PS | PTE_P | PTE_W;
	pdpt[0] = (u64)pd | PTE_P;
	pdpt[2] = (u64)pd | PTE_P;
	l2_goto_protected(l2, prot_paging);
	vmcs_set_bits(VMCS_GUEST_CR4, CR4_PAE);
	l2->regs.rcx = (u64)pdpt;
	l2->regs.rbx = (2ull << 30) + (u64)page;
	l2_run(l2);
	CHECK_EXIT(t, l2, REASON_CPUID);
	CHECK_EQ(t, l2->regs.rdx, 0x11223344);
}

/* SDM "Checks on Guest Page-Directory-Pointer-Table Entries"; from memory without EPT. */
PROBE_CASE(paging_pae, "vmx.paging.pae", CASE_EACH_CPU)
{
	struct l2 *l2 = l2_begin(t);
	u64 *pdpt, *page;

	if (!l2)
		return;
	page = vmx_pages(1);
	*page = 0x55667788;
	l2_goto_pae(l2, pae_read);
	l2->regs.rbx = (u64)page;
	l2_run(l2);
	CHECK_EXIT(t, l2, REASON_VMCALL);
	CHECK_EQ(t, l2->regs.rax, 0x55667788);
	/* Reserved bits: the qualification is 2. */
	pdpt = l2_goto_pae(l2, pae_read);
	pdpt[1] |= BIT(1);
	l2_run(l2);
	CHECK_EXIT_QUAL(t, l2, REASON_ENTRY_FAIL_GUEST | (u32)EXIT_REASON_ENTRY_FAIL, 2);
	/* Not present: nothing is reserved. */
	pdpt[1] = BIT(1) | BIT(5);
	l2->regs.rbx = (u64)page;
	l2_run(l2);
	CHECK_EXIT(t, l2, REASON_VMCALL);
	/* MOV to CR3 with a bad table is L2's #GP. */
	pdpt = l2_goto_pae(l2, pae_cr3);
	l2->regs.rcx = (u64)pdpt;
	l2->regs.rbx = (u64)page;
	l2_run(l2);
	CHECK_EXIT(t, l2, REASON_VMCALL);
	CHECK_EQ(t, l2->regs.rax, 0x55667788);
}

PROBE_CASE(paging_pae_ept, "vmx.paging.pae_ept", CASE_EACH_CPU)
{
	struct l2 *l2 = l2_begin(t);
	u64 *pdpt, *page;

	if (!l2)
		return;
	L2_NEED_EPT(t, l2);
	page = vmx_pages(1);
	*page = 0x99aabbcc;
	pdpt = l2_goto_pae(l2, pae_read);
	/* The fields count at the entry, not the table in memory. */
	pdpt[0] = 0;
	l2->regs.rbx = (u64)page;
	l2_run(l2);
	CHECK_EXIT(t, l2, REASON_VMCALL);
	CHECK_EQ(t, l2->regs.rax, 0x99aabbcc);
	l2_goto_pae(l2, pae_read);
	vmcs_set_bits(VMCS_GUEST_PDPTE0 + 6, BIT(1));
	l2_run(l2);
	CHECK_EXIT_QUAL(t, l2, REASON_ENTRY_FAIL_GUEST | (u32)EXIT_REASON_ENTRY_FAIL, 2);
	/* MOV to CR3 reads them from memory, into the fields. */
	pdpt = l2_goto_pae(l2, pae_cr3);
	pdpt[3] = 0;
	l2->regs.rcx = (u64)pdpt;
	l2->regs.rbx = (u64)page;
	l2_run(l2);
	CHECK_EXIT(t, l2, REASON_VMCALL);
	CHECK_EQ(t, vmread(VMCS_GUEST_PDPTE0 + 6), 0);
	CHECK_EQ(t, vmread(VMCS_GUEST_PDPTE0), pdpt[0]);
}

L2_CODE_MODE(32, pg_compat_code, "movl $0x7fffffff, %eax\naddl $1, %eax\ncpuid");
L2_CODE_MODE(32, pg_compat_vmcall, "");
L2_CODE_MODE(32, pg_compat_vmxoff, "vmxoff");

PROBE_CASE(paging_compat, "vmx.paging.compatibility_mode", CASE_EACH_CPU)
{
	struct l2 *l2 = l2_begin(t);

	if (!l2)
		return;
	l2_goto_compat(l2, pg_compat_code);
	l2_run(l2);
	CHECK_EXIT(t, l2, REASON_CPUID);
	CHECK_EQ(t, l2->regs.rax, 0x80000000);
	/* VMCALL exits in any mode; the others are #UD in compatibility mode. */
	l2_goto_compat(l2, pg_compat_vmcall);
	l2_run(l2);
	CHECK_EXIT(t, l2, REASON_VMCALL);
	l2_goto_compat(l2, pg_compat_vmxoff);
	l2_run(l2);
	CHECK_EXCEPTION(t, l2, VECTOR_UD, 0, 0);
}
