/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The way in: the Multiboot2 header, GRUB's 32-bit entry, and the few instructions from there to
 * long mode. See the Multiboot2 specification, "OS image format" and "I386 machine state".
 */
#include "boot/early_tables.inc"
#include "mm/layout.h"

	.section .multiboot2, "a"
	.balign 8
header:
	.long	0xe85250d6			/* magic */
	.long	0				/* architecture: i386 protected mode */
	.long	header_end - header
	.long	-(0xe85250d6 + 0 + (header_end - header))

	.balign 8				/* information request, optional: what Umbra can use */
	.word	1, 1
	.long	8 + 4 * 5
	.long	6, 8, 14, 15, 17		/* mmap, framebuffer, RSDPs, EFI map */
	.balign 8				/* modules on page boundaries */
	.word	6, 1
	.long	8
	.balign 8				/* relocatable: anywhere in 2 MiB … 2 GiB, lowest first */
	.word	10, 0
	.long	24
	.long	0x200000, 0x7fffffff, 0x200000, 1
	.balign 8				/* optional: under UEFI keep the boot services */
	.word	7, 1
	.long	8
	.balign 8				/* optional: and enter there, in 64-bit mode */
	.word	9, 1
	.long	12
	.long	efi_multiboot2_paddr
	.balign 8				/* end */
	.word	0, 0
	.long	8
header_end:

	.section .text.boot, "ax"
	.code32
	.globl	boot_entry32
boot_entry32:
	cli
	cld
	cmp	$0x36d76289, %eax
	jne	halt32

	/*
	 * Where are we? GRUB gives no stack and says the load base only in a tag; the reserved word
	 * of the information structure (offset 4) serves as a one-entry stack.
	 */
	lea	8(%ebx), %esp
	call	1f
1:	pop	%ebp
	sub	$(1b - IMAGE_BASE), %ebp	/* ebp = physical address of image_start */
	mov	%ebx, %edi			/* edi = information structure, later the argument */

#define PHYS(symbol) (symbol - IMAGE_BASE)(%ebp)

	mov	$0x80000000, %eax
	cpuid
	cmp	$0x80000001, %eax
	jb	no_long_mode
	mov	$0x80000001, %eax
	cpuid
	test	$(1 << 29), %edx		/* LM */
	jz	no_long_mode
	test	$(1 << 20), %edx		/* NX */
	jnz	2f
	mov	$0x1a0, %ecx			/* IA32_MISC_ENABLE: firmware set XD Bit Disable */
	rdmsr
	and	$~(1 << 2), %edx
	wrmsr
2:	cmp	%ebp, PHYS(early_tables_base)	/* done by efi_entry.S already? */
	je	3f
	mov	%ebp, PHYS(early_tables_base)
	lea	PHYS(early_tables), %edx
	locate_early_tables %ebp, %edx
3:	lea	PHYS(early_pml4), %edx
	mov	(256 * 8)(%edx), %eax		/* the first 4 GiB at 0, too */
	mov	%eax, (%edx)
	mov	%edx, %cr3
	mov	$(1 << 5), %eax			/* PAE, and no LA57 or CET of the firmware's */
	mov	%eax, %cr4
	mov	$0xc0000080, %ecx		/* IA32_EFER */
	rdmsr
	or	$((1 << 8) | (1 << 11)), %eax	/* LME, NXE */
	wrmsr
	mov	%cr0, %eax
	or	$0x80010021, %eax		/* PG, WP, NE, PE */
	and	$~0x6000000c, %eax		/* caches on, no x87 traps */
	mov	%eax, %cr0

	/* A far jump needs the load base added: build its operand where the GDT pointer lies. */
	lea	PHYS(early_gdt), %eax
	mov	%eax, PHYS(early_gdt_pointer + 2)
	lgdt	PHYS(early_gdt_pointer)
	lea	PHYS(early_far_pointer), %edx
	lea	PHYS(entry64), %eax
	mov	%eax, (%edx)
	ljmp	*(%edx)

no_long_mode:
	lea	PHYS(no_long_mode_text), %esi
	/* Neither console exists yet: COM1 as the firmware left it, and the VGA text page. */
	mov	$0xb8000, %edi
3:	lodsb
	test	%al, %al
	jz	halt32
	mov	$0x3f8, %edx
	out	%al, %dx
	mov	$0x0f, %ah
	stosw
	mov	$0x4000, %ecx			/* one character time, roughly */
4:	loop	4b
	jmp	3b

halt32:
	cli
	hlt
	jmp	halt32

	.code64
entry64:
	mov	$0x10, %eax
	mov	%eax, %ss
	mov	%eax, %ds
	mov	%eax, %es
	xor	%eax, %eax
	mov	%eax, %fs
	mov	%eax, %gs
	mov	%edi, %edi			/* upper halves are undefined after the switch */
	mov	%ebp, %esi
	mov	$early_stack_top, %rsp
	xor	%ebp, %ebp
	mov	$boot_main, %rax
	call	*%rax
5:	cli
	hlt
	jmp	5b

/*
 * void boot_switch_home(void *home, const void *image, size_t size, u64 cr3)
 *
 * Copies the running image (stack included) and goes on in the copy: nothing may be written
 * between the copy and the switch, so there is no C here.
 */
	.globl	boot_switch_home
boot_switch_home:
	mov	%rcx, %r8
	mov	%rdx, %rcx
	rep movsb
	mov	%r8, %cr3
	ret

	.section .rodata
no_long_mode_text:
	.asciz	"umbra: error: this CPU has no 64-bit mode. Umbra needs an x86-64 CPU with VT-x.\r\n"

	.section .data
	.balign 8
early_gdt:
	.quad	0
	.quad	0x00af9b000000ffff		/* 0x08: 64-bit code */
	.quad	0x00cf93000000ffff		/* 0x10: data */
early_gdt_end:
early_gdt_pointer:
	.word	early_gdt_end - early_gdt - 1
	.long	0
	.balign 4
early_far_pointer:
	.long	0
	.word	0x08

	.section .bss
	.balign 16
	.globl	early_stack_bottom, early_stack_top
early_stack_bottom:
	.skip	16384
early_stack_top:
