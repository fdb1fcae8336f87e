/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The EFI program's way in, and the place from which each CPU goes on as a guest. This code runs at
 * the addresses that the firmware gave the image, with the firmware's tables in the lower half of
 * the address space; C runs at IMAGE_BASE. Everything here is relative to RIP.
 */
#include "boot/early_tables.inc"
#include "mm/layout.h"

#define EFER_MSR             0xc0000080
#define EFER_LME_BIT         8
#define EFER_NXE_BIT         11
#define CR0_PG_BIT           31
#define CR4_LA57_BIT         12
#define MULTIBOOT2_MAGIC     0x36d76289
#define BOOT_FREE_PAGES      48
#define BOOT_UNINSTALL_PROTOCOL 144
#define BOOT_START_IMAGE     208
#define BOOT_EXIT            216
#define SHADOW_SPACE         32		/* the Microsoft calling convention's, for the called */
/* Above the shadow space: struct efi_plan, and registers that a way out of C does not restore. */
#define PLAN_BRIDGE          SHADOW_SPACE
#define PLAN_NEXT            (SHADOW_SPACE + 8)
#define PLAN_SERVICES        (SHADOW_SPACE + 16)
#define PLAN_LEAVE           (SHADOW_SPACE + 24)
#define PLAN_INITRD_HANDLE   (SHADOW_SPACE + 32)
#define PLAN_INITRD          (SHADOW_SPACE + 40)
#define PLAN_INFORMATION     (SHADOW_SPACE + 48)
#define PLAN_GIVE_BACK       (SHADOW_SPACE + 56)
#define GIVE_BACK_SIZE       16		/* of one: start, pages */
#define SAVED_CR3            (SHADOW_SPACE + 88)
#define SAVED_STATUS         (SHADOW_SPACE + 96)
#define FRAME                (SHADOW_SPACE + 104)
/* Of struct efi_load_file. */
#define LOAD_FILE_DATA       8
#define LOAD_FILE_SIZE       16
#define EFI_LOAD_ERROR       0x8000000000000001
#define EFI_INVALID_PARAMETER 0x8000000000000002
#define EFI_UNSUPPORTED      0x8000000000000003
#define EFI_BUFFER_TOO_SMALL 0x8000000000000005

	/* What the Microsoft calling convention preserves and C here does not know of. */
	.macro	save_registers
	push	%rbx
	push	%rbp
	push	%rdi
	push	%rsi
	push	%r12
	push	%r13
	push	%r14
	push	%r15
	.endm

	.macro	restore_registers
	pop	%r15
	pop	%r14
	pop	%r13
	pop	%r12
	pop	%rsi
	pop	%rdi
	pop	%rbp
	pop	%rbx
	.endm

	/* Umbra's tables forbid execution, which the firmware may not have switched on. */
	.macro	enable_nx
	mov	$EFER_MSR, %ecx
	rdmsr
	bts	$EFER_NXE_BIT, %eax
	wrmsr
	.endm

	.section .text.boot, "ax"
	.code64

/*
 * From the boot loader, which keeps the boot services: Multiboot2 Specification, "EFI amd64 machine
 * state with boot services enabled". There is nothing to return to.
 */
	.globl	efi_multiboot2_entry
efi_multiboot2_entry:
	cmp	$MULTIBOOT2_MAGIC, %eax
	jne	5f
	cld
	sti				/* as the firmware's programs run */
	and	$~0xf, %rsp
	sub	$8, %rsp
	save_registers
	sub	$FRAME, %rsp
	mov	%ebx, %r12d			/* information */
	xor	%r13d, %r13d
	mov	$efi_main_multiboot2, %rbp
	jmp	enter_c
5:	hlt
	jmp	5b

/* EFI_STATUS efi_entry(EFI_HANDLE image, EFI_SYSTEM_TABLE *system) */
	.globl	efi_entry
efi_entry:
	save_registers
	sub	$FRAME, %rsp			/* aligned */
	mov	%rcx, %r12			/* image */
	mov	%rdx, %r13			/* system */
	mov	$efi_main, %rbp

enter_c:
	lea	image_start(%rip), %r14		/* its physical address */
	mov	%cr3, %r15			/* the firmware's */
	enable_nx

	mov	%r14, early_tables_base(%rip)
	lea	early_tables(%rip), %rdx
	locate_early_tables %r14, %rdx

	/* With five levels, Umbra's four lie below the last entry of one more. */
	lea	early_pml4(%rip), %rbx
	mov	%cr4, %rax
	bt	$CR4_LA57_BIT, %rax
	jnc	1f
	lea	3(%rbx), %rax
	lea	efi_pml5(%rip), %rbx
	mov	%rax, (511 * 8)(%rbx)
1:	mov	%r15, %rsi			/* the firmware's lower half */
	and	$~0xfff, %rsi
	mov	%rbx, %rdi
	mov	$256, %ecx
	rep movsq
	mov	%rbx, %cr3

	/* u64 main(image or information, system, load_base, firmware_cr3, struct efi_plan *) */
	mov	%r12, %rdi
	mov	%r13, %rsi
	mov	%r14, %rdx
	mov	%r15, %rcx
	lea	PLAN_BRIDGE(%rsp), %r8
	mov	%r15, SAVED_CR3(%rsp)
	mov	%rsp, efi_way_out_rsp(%rip)
	call	*%rbp
efi_after_main:
	mov	SAVED_CR3(%rsp), %r15
	mov	PLAN_INFORMATION(%rsp), %rbx
	test	%rbx, %rbx
	jnz	boot_services_have_ended
	mov	PLAN_BRIDGE(%rsp), %rax	/* 0: Umbra stays out of it */
	test	%rax, %rax
	jz	1f
	mov	%rax, %cr3
	call	go_on_as_guest
	jmp	2f
1:	mov	%r15, %cr3
	/* Umbra's memory: nothing runs there any more. */
	lea	PLAN_GIVE_BACK(%rsp), %rbx
	mov	$2, %ebp
6:	mov	(%rbx), %rcx
	mov	8(%rbx), %rdx
	test	%rdx, %rdx
	jz	7f
	mov	PLAN_SERVICES(%rsp), %rax
	call	*BOOT_FREE_PAGES(%rax)
7:	add	$GIVE_BACK_SIZE, %rbx
	dec	%ebp
	jnz	6b

2:	mov	PLAN_NEXT(%rsp), %rcx
	mov	$EFI_LOAD_ERROR, %rax
	mov	%rax, SAVED_STATUS(%rsp)
	test	%rcx, %rcx
	jz	3f
	xor	%edx, %edx
	xor	%r8d, %r8d
	mov	PLAN_SERVICES(%rsp), %rax
	call	*BOOT_START_IMAGE(%rax)
	mov	%rax, SAVED_STATUS(%rsp)

	/* The initrd was for that program, not for what the firmware starts next. */
3:	mov	PLAN_INITRD_HANDLE(%rsp), %rcx
	test	%rcx, %rcx
	jz	4f
	lea	efi_load_file2_guid(%rip), %rdx
	mov	PLAN_INITRD(%rsp), %r8
	mov	PLAN_SERVICES(%rsp), %rax
	call	*BOOT_UNINSTALL_PROTOCOL(%rax)

4:	mov	PLAN_LEAVE(%rsp), %rcx
	test	%rcx, %rcx
	jz	5f
	mov	SAVED_STATUS(%rsp), %rdx
	xor	%r8d, %r8d
	xor	%r9d, %r9d
	mov	PLAN_SERVICES(%rsp), %rax
	call	*BOOT_EXIT(%rax)
5:	mov	SAVED_STATUS(%rsp), %rax
	add	$FRAME, %rsp
	restore_registers
	ret

/*
 * EFI_STATUS load_file(this, path, boot_policy, size *, buffer):
 * "EFI_LOAD_FILE2_PROTOCOL.LoadFile()", for a program that runs as the guest.
 */
	.globl	efi_load_initrd
efi_load_initrd:
	mov	$EFI_UNSUPPORTED, %rax
	test	%r8b, %r8b
	jnz	1f
	mov	$EFI_INVALID_PARAMETER, %rax
	test	%r9, %r9
	jz	1f
	mov	40(%rsp), %r11			/* buffer */
	mov	(%r9), %rdx
	mov	LOAD_FILE_SIZE(%rcx), %r10
	mov	%r10, (%r9)
	mov	$EFI_BUFFER_TOO_SMALL, %rax
	test	%r11, %r11
	jz	1f
	cmp	%r10, %rdx
	jb	1f
	push	%rdi
	push	%rsi
	mov	%r11, %rdi
	mov	LOAD_FILE_DATA(%rcx), %rsi
	mov	%r10, %rcx
	rep movsb
	pop	%rsi
	pop	%rdi
	xor	%eax, %eax
1:	ret

/*
 * With the information in rbx: to boot_entry32, in protected mode without paging, as a boot loader
 * that ends the boot services enters it. SDM "Switching Out of IA-32e Mode Operation".
 */
boot_services_have_ended:
	cli
	mov	%r15, %cr3
	lea	efi_gdt32(%rip), %rax
	mov	%rax, efi_gdt32_pointer + 2(%rip)
	lgdt	efi_gdt32_pointer(%rip)
	lea	boot_entry32(%rip), %rbp
	lea	1f(%rip), %rax
	push	$8
	push	%rax
	lretq
	.code32
1:	mov	$16, %eax
	mov	%eax, %ds
	mov	%eax, %es
	mov	%eax, %fs
	mov	%eax, %gs
	mov	%eax, %ss
	mov	%cr0, %eax
	btr	$CR0_PG_BIT, %eax
	mov	%eax, %cr0
	mov	$EFER_MSR, %ecx
	rdmsr
	btr	$EFER_LME_BIT, %eax
	wrmsr
	mov	$MULTIBOOT2_MAGIC, %eax
	jmp	*%ebp
	.code64

/*
 * _Noreturn void efi_way_out(u64 rsp): back from anywhere below efi_main(), in C, at IMAGE_BASE.
 * The image may have moved meanwhile; the way back is on the firmware's stack.
 */
	.globl	efi_way_out
efi_way_out:
	lea	-8(%rdi), %rsp
	ret

/* void efi_ap_entry(void *bridge): the procedure for the firmware's other CPUs. */
	.globl	efi_ap_entry
efi_ap_entry:
	save_registers
	mov	%cr3, %r15
	mov	%rcx, %rbx
	enable_nx
	mov	%rbx, %cr3
	call	go_on_as_guest
	restore_registers
	ret

/* Returns as the guest, with the firmware's CR3, which r15 holds. */
go_on_as_guest:
	save_registers
	pushf
	cli
	mov	%rsp, %rdi
	lea	1f(%rip), %rsi
	mov	%r15, %rdx
	mov	$efi_virtualise, %rax
	sub	$8, %rsp
	and	$~0xf, %rsp
	call	*%rax				/* does not return */
1:	popf
	restore_registers
	ret

/* _Noreturn void efi_on_own_stack(u64 stack, u64 cr3, void (*function)(void *), void *argument) */
	.globl	efi_on_own_stack
efi_on_own_stack:
	mov	%rdi, %rsp
	mov	%rsi, %cr3
	mov	%rcx, %rdi
	xor	%ebp, %ebp
	call	*%rdx
1:	hlt
	jmp	1b

	.section .data
	.balign 8
efi_gdt32:
	.quad	0
	.quad	0x00cf9b000000ffff		/* 0x08: 32-bit code */
	.quad	0x00cf93000000ffff		/* 0x10: data */
efi_gdt32_pointer:
	.word	. - efi_gdt32 - 1
	.quad	0

	.section .bss
	.balign 4096
efi_pml5:
	.skip	4096
	.globl	efi_way_out_rsp
efi_way_out_rsp:
	.skip	8
