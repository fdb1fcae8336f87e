/* SPDX-License-Identifier: BSD-2-Clause */
/* From a loader's 32-bit protected mode, or an AP's real mode, to C in long mode. */
#include "layout.h"

	/* Multiboot2 specification, "OS image format". */
	.section .multiboot2, "a"
	.balign 8
	.globl	own_header
own_header:
header:
	.long	0xe85250d6
	.long	0
	.long	header_end - header
	.long	-(0xe85250d6 + (header_end - header))
	.word	0, 0
	.long	8
header_end:

	/* XEN_ELFNOTE_PHYS32_ENTRY: the 32-bit entry of the PVH boot protocol. */
	.section .note.Xen, "a", @note
	.balign 4
	.long	4, 8, 18
	.asciz	"Xen"
	.quad	pvh_entry

	.text
	.code32
	.globl	multiboot2_entry
multiboot2_entry:
	cmpl	$0x36d76289, %eax
	jne	stop32
	movl	$BOOT_KIND_MULTIBOOT2, %ebp
	jmp	common_entry

pvh_entry:
	movl	$BOOT_KIND_PVH, %ebp

common_entry:
	cli
	cld
	lgdt	boot_gdtr
	movl	$SEL_DATA, %eax
	movl	%eax, %ds
	movl	%eax, %es
	movl	%eax, %ss
	movl	$boot_stack_top, %esp

	/* The first 4 GiB, in 2 MiB pages; user mode may use them too, for its cases. */
	movl	$boot_pd + 7, %eax
	movl	$boot_pdpt, %edi
	movl	$4, %ecx
1:	movl	%eax, (%edi)
	addl	$4096, %eax
	addl	$8, %edi
	loop	1b
	movl	$boot_pdpt + 7, boot_pml4
	movl	$0x87, %eax
	movl	$boot_pd, %edi
	movl	$2048, %ecx
1:	movl	%eax, (%edi)
	addl	$0x200000, %eax
	addl	$8, %edi
	loop	1b

	call	enter_long_mode
	ljmp	$SEL_CODE64, $boot64

/* Turns paging and long mode on; the caller then jumps to a 64-bit code segment. */
enter_long_mode:
	movl	$BASE_CR4, %eax
	movl	%eax, %cr4
	movl	$boot_pml4, %eax
	movl	%eax, %cr3
	movl	$MSR_NUM_EFER, %ecx
	rdmsr
	btsl	$EFER_LME_BIT, %eax
	wrmsr
	/* CR0 whole: INIT leaves CD and NW set. */
	movl	$BASE_CR0, %eax
	movl	%eax, %cr0
	ret

stop32:
	cli
	hlt
	jmp	stop32

	/* Where the trampoline comes to. */
ap_start32:
	movl	$SEL_DATA, %eax
	movl	%eax, %ds
	movl	%eax, %es
	movl	%eax, %ss
	lock incl ap_arrivals
	/* One AP is started at a time, and takes the stack put out for it; a late one finds none. */
	xorl	%eax, %eax
	xchgl	%eax, ap_stack
	testl	%eax, %eax
	jz	stop32
	movl	%eax, %esp
	call	enter_long_mode
	ljmp	$SEL_CODE64, $ap64

	.code64
boot64:
	xorl	%eax, %eax
	movl	%eax, %fs
	movl	%eax, %gs
	movl	%ebp, %edi
	movl	%ebx, %esi
	xorl	%ebp, %ebp
	call	probe_main
1:	cli
	hlt
	jmp	1b

ap64:
	xorl	%eax, %eax
	movl	%eax, %fs
	movl	%eax, %gs
	xorl	%ebp, %ebp
	movq	ap_cpu, %rdi
	call	ap_main
1:	cli
	hlt
	jmp	1b

	/* Copied to a page below 1 MiB; runs at offset 0 of the segment SIPI chose. */
	.section .rodata
	.code16
	.globl	trampoline, trampoline_end
trampoline:
	cli
	cld
	movw	%cs, %ax
	movw	%ax, %ds
	lgdtl	trampoline_gdtr - trampoline
	movl	$0x11, %eax
	movl	%eax, %cr0
	ljmpl	*(trampoline_far - trampoline)
	.balign	8
trampoline_far:
	.long	ap_start32
	.word	SEL_CODE32
	.balign	8
trampoline_gdtr:
	.word	boot_gdt_end - boot_gdt - 1
	.long	boot_gdt
trampoline_end:

	.code64
	.section .data
	.balign	16
	.globl	boot_gdt, boot_gdt_end
boot_gdt:
	.quad	0
	.quad	0x00af9b000000ffff
	.quad	0x00cf93000000ffff
	.quad	0x00cf9b000000ffff
	.quad	0x00cff3000000ffff
	.quad	0x00affb000000ffff
	.quad	0x00009b000000ffff
	.quad	0x000093000000ffff
boot_gdt_end:
boot_gdtr:
	.word	boot_gdt_end - boot_gdt - 1
	.quad	boot_gdt

	.globl	ap_stack, ap_cpu, ap_arrivals
	.balign	8
ap_cpu:
	.quad	0
ap_stack:
	.long	0
ap_arrivals:
	.long	0

	.bss
	.balign	4096
	.globl	boot_pml4
boot_pml4:
	.skip	4096
boot_pdpt:
	.skip	4096
boot_pd:
	.skip	4 * 4096
	.skip	16384
boot_stack_top:

	.section .note.GNU-stack, "", @progbits
