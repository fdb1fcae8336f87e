/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * From Umbra's 64-bit mode to the flat 32-bit mode without paging that a kernel begins in. It is
 * copied to a page whose linear address is its physical one (SDM "Switching Out of IA-32e Mode
 * Operation"). rdi = that address.
 */
	.section .text.boot, "ax"
	.code64
/* The only one in the image, and for a CPU that has not run the guest yet. */
	.globl	boot_vmxoff
boot_vmxoff:
	vmxoff
	ret

	.section .rodata
	.balign	16
	.globl	bare_stub_start, bare_stub_parameters, bare_stub_end
	.code64
bare_stub_start:
	lgdt	bare_stub_parameters(%rip)
	lidt	no_idt(%rip)
	lea	1f(%rip), %rax
	push	$0x10				/* GUEST_SELECTOR_CODE */
	push	%rax
	lretq
	.code32
1:	mov	$0x18, %eax			/* GUEST_SELECTOR_DATA */
	mov	%eax, %ds
	mov	%eax, %es
	mov	%eax, %fs
	mov	%eax, %gs
	mov	%eax, %ss
	mov	%cr0, %eax
	and	$0x7fffffff, %eax		/* PG, alone at first */
	mov	%eax, %cr0
	xor	%eax, %eax
	xor	%edx, %edx
	mov	$0xc0000080, %ecx		/* IA32_EFER */
	wrmsr
	mov	%eax, %cr4
	mov	%eax, %cr3
	mov	$0x11, %eax			/* ET, PE */
	mov	%eax, %cr0
	/* The registers, and as the last word the kernel's entry. */
	lea	(bare_stub_parameters + 10 - bare_stub_start)(%edi), %esp
	xor	%ecx, %ecx
	xor	%edi, %edi
	xor	%ebp, %ebp
	pop	%esi
	pop	%ebx
	pop	%eax
	cld
	ret

	.balign	8
no_idt:
	.word	0
	.quad	0
	.balign	8
bare_stub_parameters:
	.word	0				/* the GDT: limit, base */
	.quad	0
	.long	0, 0, 0				/* esi, ebx, eax */
	.long	0				/* eip */
bare_stub_end:
