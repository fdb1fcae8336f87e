/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The EFI program's way in, and the place from which each CPU goes on as a guest. This code runs at
 * the addresses that the firmware gave the image, with the firmware's tables in the lower half of
 * the address space; C runs at IMAGE_BASE. Everything here is relative to RIP.
 */
#include "mm/layout.h"

#define EFER_MSR             0xc0000080
#define EFER_NXE_BIT         11
#define CR4_LA57_BIT         12
#define SYSTEM_CONSOLE_OUT   64
#define CONSOLE_OUTPUT_STRING 8
#define SYSTEM_BOOT_SERVICES 96
#define BOOT_START_IMAGE     208
#define SHADOW_SPACE         32		/* the Microsoft calling convention's, for the called */
/* Above the shadow space: struct efi_plan, and registers that a way out of C does not restore. */
#define PLAN_BRIDGE          SHADOW_SPACE
#define PLAN_NEXT            (SHADOW_SPACE + 8)
#define SAVED_SYSTEM         (SHADOW_SPACE + 16)
#define SAVED_CR3            (SHADOW_SPACE + 24)
#define FRAME                (SHADOW_SPACE + 40)
#define EFI_UNSUPPORTED      0x8000000000000003
#define EFI_LOAD_ERROR       0x8000000000000001

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

/* EFI_STATUS efi_entry(EFI_HANDLE image, EFI_SYSTEM_TABLE *system) */
	.globl	efi_entry
efi_entry:
	save_registers
	sub	$FRAME, %rsp			/* aligned */
	mov	%cr4, %rax
	bt	$CR4_LA57_BIT, %rax
	jc	five_levels
	mov	%rcx, %r12			/* image */
	mov	%rdx, %r13			/* system */
	lea	image_start(%rip), %r14		/* its physical address */
	mov	%cr3, %r15			/* the firmware's */
	enable_nx

	/* The firmware's lower half; the first 4 GiB at DIRECT_BASE; the image at IMAGE_BASE. */
	mov	%r15, %rsi
	and	$~0xfff, %rsi
	lea	early_pml4(%rip), %rdi
	mov	%rdi, %rbx
	mov	$256, %ecx
	rep movsq
	lea	early_pdpt(%rip), %rax
	or	$3, %rax
	mov	%rax, (256 * 8)(%rbx)
	lea	early_pdpt_image(%rip), %rax
	or	$3, %rax
	mov	%rax, (511 * 8)(%rbx)

	lea	early_pdpt(%rip), %rdx
	lea	early_pd(%rip), %rax
	or	$3, %rax
	mov	$4, %ecx
1:	mov	%rax, (%rdx)
	add	$0x1000, %rax
	add	$8, %rdx
	loop	1b
	lea	early_pd(%rip), %rdx
	mov	$0x83, %eax			/* present, writable, 2 MiB */
	mov	$2048, %ecx
1:	mov	%rax, (%rdx)
	add	$0x200000, %rax
	add	$8, %rdx
	loop	1b

	lea	early_pdpt_image(%rip), %rdx
	lea	early_pd_image(%rip), %rax
	or	$3, %rax
	mov	%rax, (510 * 8)(%rdx)
	lea	early_pd_image(%rip), %rdx
	lea	efi_pt_image(%rip), %rax
	or	$3, %rax
	mov	%rax, (%rdx)
	add	$0x1000, %rax
	mov	%rax, 8(%rdx)
	lea	efi_pt_image(%rip), %rdx
	lea	3(%r14), %rax
	mov	$1024, %ecx
1:	mov	%rax, (%rdx)
	add	$0x1000, %rax
	add	$8, %rdx
	loop	1b
	mov	%rbx, %cr3

	/* u64 efi_main(image, system, load_base, firmware_cr3, struct efi_plan *) */
	mov	%r12, %rdi
	mov	%r13, %rsi
	mov	%r14, %rdx
	mov	%r15, %rcx
	lea	PLAN_BRIDGE(%rsp), %r8
	mov	%r13, SAVED_SYSTEM(%rsp)
	mov	%r15, SAVED_CR3(%rsp)
	mov	%rsp, efi_way_out_rsp(%rip)
	mov	$efi_main, %rax
	call	*%rax
efi_after_main:
	mov	SAVED_SYSTEM(%rsp), %r13
	mov	SAVED_CR3(%rsp), %r15
	mov	PLAN_BRIDGE(%rsp), %rax	/* 0: Umbra stays out of it */
	test	%rax, %rax
	jz	1f
	mov	%rax, %cr3
	call	go_on_as_guest
	jmp	2f
1:	mov	%r15, %cr3
2:	mov	PLAN_NEXT(%rsp), %rcx
	mov	$EFI_LOAD_ERROR, %rax
	test	%rcx, %rcx
	jz	3f
	xor	%edx, %edx
	xor	%r8d, %r8d
	mov	SYSTEM_BOOT_SERVICES(%r13), %rax
	call	*BOOT_START_IMAGE(%rax)
3:	add	$FRAME, %rsp
	restore_registers
	ret

/* Umbra's tables have four levels, and the number cannot change in 64-bit mode. */
five_levels:
	mov	SYSTEM_CONSOLE_OUT(%rdx), %rcx
	lea	five_levels_text(%rip), %rdx
	call	*CONSOLE_OUTPUT_STRING(%rcx)
	mov	$EFI_UNSUPPORTED, %rax
	jmp	3b

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

	.section .rodata
	.balign 2
five_levels_text:
	/* "umbra: error: this firmware uses 5-level paging …; switch it off …" in UTF-16 */
	.short	117, 109, 98, 114, 97, 58, 32, 101, 114, 114, 111, 114
	.short	58, 32, 116, 104, 105, 115, 32, 102, 105, 114, 109, 119
	.short	97, 114, 101, 32, 117, 115, 101, 115, 32, 53, 45, 108
	.short	101, 118, 101, 108, 32, 112, 97, 103, 105, 110, 103, 44
	.short	32, 117, 110, 100, 101, 114, 32, 119, 104, 105, 99, 104
	.short	32, 85, 109, 98, 114, 97, 32, 99, 97, 110, 110, 111
	.short	116, 32, 115, 116, 97, 114, 116, 59, 32, 115, 119, 105
	.short	116, 99, 104, 32, 105, 116, 32, 111, 102, 102, 32, 105
	.short	110, 32, 116, 104, 101, 32, 102, 105, 114, 109, 119, 97
	.short	114, 101, 32, 115, 101, 116, 117, 112, 13, 10, 0

	.section .bss
	.balign 4096
efi_pt_image:
	.skip	2 * 4096
	.globl	efi_way_out_rsp
efi_way_out_rsp:
	.skip	8
