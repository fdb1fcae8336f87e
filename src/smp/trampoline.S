/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Where a CPU begins that was started or woken: real mode, at a page below 1 MiB into which this
 * code is copied. From there straight to long mode and the `entry` of ap_prepare_trampoline(). SDM
 * "Initializing IA-32e Mode".
 */
#include "smp/cpu.h"

	.section .rodata
	.balign	16
	.code16
	.globl	trampoline_start, trampoline_end, trampoline_parameters
trampoline_start:
	cli
	cld
	mov	$0x80000001, %eax
	cpuid
	test	$(1 << 20), %edx		/* NX; see boot/entry.S */
	jnz	1f
	mov	$0x1a0, %ecx			/* IA32_MISC_ENABLE: XD Bit Disable */
	rdmsr
	and	$~(1 << 2), %edx
	wrmsr
1:
	mov	%cs, %ax
	mov	%ax, %ds
	/* ebx = linear address of this page */
	xor	%ebx, %ebx
	mov	%ax, %bx
	shl	$4, %ebx

	/* The GDT pointer and the far pointer need linear addresses. */
	lea	(gdt - trampoline_start)(%ebx), %eax
	mov	%eax, gdt_pointer - trampoline_start + 2
	lea	(long_mode - trampoline_start)(%ebx), %eax
	mov	%eax, far_pointer - trampoline_start
	lgdtl	gdt_pointer - trampoline_start

	mov	$(1 << 5), %eax			/* CR4.PAE, and four levels */
	mov	%eax, %cr4
	mov	parameter_cr3 - trampoline_start, %eax
	mov	%eax, %cr3
	mov	$0xc0000080, %ecx		/* IA32_EFER: LME, NXE */
	rdmsr
	or	$0x900, %eax
	wrmsr
	mov	%cr0, %eax
	or	$0x80010021, %eax		/* PG, WP, NE, PE */
	and	$~0x6000000c, %eax		/* CD, NW, EM, TS off */
	mov	%eax, %cr0
	ljmpl	*(far_pointer - trampoline_start)

	.code64
long_mode:
	mov	$0x10, %eax
	mov	%eax, %ss
	mov	%ebx, %ebx
	mov	(parameter_cpu - trampoline_start)(%rbx), %rdi
	mov	(parameter_entry - trampoline_start)(%rbx), %rdx
	mov	CPU_STACK_TOP_OFFSET(%rdi), %rsp
	xor	%ebp, %ebp
	jmp	*%rdx

	.balign	8
gdt:
	.quad	0
	.quad	0x00af9b000000ffff
	.quad	0x00cf93000000ffff
gdt_pointer:
	.word	. - gdt - 1
	.long	0
	.balign	4
far_pointer:
	.long	0
	.word	0x08

	.balign	8
trampoline_parameters:
parameter_cr3:
	.quad	0
parameter_cpu:
	.quad	0
parameter_entry:
	.quad	0
trampoline_end:

/*
 * The roll call: each CPU that comes here leaves its APIC ID plus 1 in the answer as soon as that
 * is 0, and waits for an INIT.
 */
	.code16
	.globl	roll_call_start, roll_call_end, roll_call_answer
roll_call_start:
	cli
	mov	%cs, %ax
	mov	%ax, %ds
	xor	%eax, %eax
	cpuid
	cmp	$0xb, %eax			/* SDM "CPUID", leaf 0BH: EDX, all of the ID */
	jb	1f
	mov	$0xb, %eax
	xor	%ecx, %ecx
	cpuid
	test	%ebx, %ebx			/* 0: the leaf is not there */
	jnz	2f
1:	mov	$1, %eax
	cpuid
	mov	%ebx, %edx
	shr	$24, %edx
2:	inc	%edx
3:	pause
	xor	%eax, %eax
	lock cmpxchg %edx, roll_call_answer - roll_call_start
	jnz	3b
4:	hlt
	jmp	4b
	.balign	4
roll_call_answer:
	.long	0
roll_call_end:
