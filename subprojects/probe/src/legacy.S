/* SPDX-License-Identifier: BSD-2-Clause */
/* Out of long mode and back, and the code that runs there (legacy.h). */
#include "layout.h"

#define ARG_BODY	0
#define ARG_VECTOR	4
#define ARG_ERROR	8
#define ARG_EIP		12
#define ARG_IN(n)	(16 + 4 * (n))
#define ARG_OUT(n)	(48 + 4 * (n))

#define CR0_PE		0x1
#define CR0_NW		0x20000000
#define CR0_PG		0x80000000
#define CR4_PAE		0x20
#define CR4_PCIDE	0x20000
#define EFLAGS_NT	0x4000

/* Offsets in the real-mode page. */
#define REAL_RESULTS	0x700
#define REAL_STACK	0x1000

	.text
	.code64
	/* void legacy_enter(struct legacy_args *) */
	.globl	legacy_enter
legacy_enter:
	pushq	%rbx
	pushq	%rbp
	pushq	%r12
	pushq	%r13
	pushq	%r14
	pushq	%r15
	pushfq
	cli
	movq	%rsp, saved_rsp
	movq	%cr0, %rax
	movq	%rax, saved_cr0
	movq	%cr3, %rax
	movq	%rax, saved_cr3
	movq	%cr4, %rax
	movq	%rax, saved_cr4
	movl	%edi, legacy_args_pointer
	movl	%edi, %ebx
	lgdt	legacy_gdtr
	pushq	$SEL_CODE32
	pushq	$enter32
	lretq

	.code32
enter32:
	movl	$SEL_DATA, %eax
	movl	%eax, %ds
	movl	%eax, %es
	movl	%eax, %ss
	movl	%eax, %fs
	movl	%eax, %gs
	movl	$stack_top, %esp
	movl	%cr0, %eax
	andl	$~CR0_PG, %eax
	movl	%eax, %cr0
	movl	$MSR_NUM_EFER, %ecx
	rdmsr
	btrl	$EFER_LME_BIT, %eax
	wrmsr
	lidt	legacy_idtr
	movl	$0, legacy_fixup
	call	*ARG_BODY(%ebx)

leave32:
	movl	$stack_top, %esp
	lgdt	legacy_gdtr
	pushl	$2
	popfl
	/* Paging may be on: body_pae's. */
	movl	%cr0, %eax
	andl	$~CR0_PG, %eax
	movl	%eax, %cr0
	movl	saved_cr4, %eax
	movl	%eax, %cr4
	movl	saved_cr3, %eax
	movl	%eax, %cr3
	movl	$MSR_NUM_EFER, %ecx
	rdmsr
	btsl	$EFER_LME_BIT, %eax
	wrmsr
	movl	saved_cr0, %eax
	movl	%eax, %cr0
	ljmp	$SEL_CODE64, $leave64

	.code64
leave64:
	movq	saved_rsp, %rsp
	popfq
	popq	%r15
	popq	%r14
	popq	%r13
	popq	%r12
	popq	%rbp
	popq	%rbx
	ret

	/* Exceptions: with a fixup set, note what it was and go there; otherwise end the body. */
	.code32
	.balign	16
	.globl	legacy_stubs
legacy_stubs:
	.set	v, 0
	.rept	32
	.balign	16
	.if	(v == 8) || ((v >= 10) && (v <= 14)) || (v == 17) || (v == 21)
	.else
	pushl	$0
	.endif
	pushl	$v
	jmp	stub_common
	.set	v, v + 1
	.endr

stub_common:
	pushl	%eax
	pushl	%ebx
	/* EBX, EAX, vector, error, EIP, CS, EFLAGS */
	cmpl	$2, 8(%esp)
	je	2f
	cmpl	$0, legacy_fixup
	je	1f
	movl	8(%esp), %eax
	shll	$16, %eax
	orl	12(%esp), %eax
	movl	%eax, legacy_outcome
	movl	legacy_fixup, %eax
	movl	%eax, 16(%esp)
	movl	$0, legacy_fixup
2:	popl	%ebx
	popl	%eax
	addl	$8, %esp
	iret
1:	movl	legacy_args_pointer, %ebx
	movl	8(%esp), %eax
	movl	%eax, ARG_VECTOR(%ebx)
	movl	12(%esp), %eax
	movl	%eax, ARG_ERROR(%ebx)
	movl	16(%esp), %eax
	movl	%eax, ARG_EIP(%ebx)
	jmp	leave32

	/* Runs one instruction; OUT(slot) is vector << 16 | error code, or all ones. EBX: args. */
	.macro	try32 slot, insn:vararg
	movl	$-1, legacy_outcome
	movl	$9f, legacy_fixup
	\insn
9:	movl	$0, legacy_fixup
	movl	legacy_outcome, %eax
	movl	%eax, ARG_OUT(\slot)(%ebx)
	.endm

	.globl	body_nothing
body_nothing:
	movl	%cr0, %eax
	movl	%eax, ARG_OUT(0)(%ebx)
	ret

	.globl	body_cpuid
body_cpuid:
	pushl	%ebx
	movl	$0x80000001, %eax
	cpuid
	popl	%ebx
	movl	%edx, ARG_OUT(0)(%ebx)
	ret

	.globl	body_cr_faults
body_cr_faults:
	movl	%cr0, %ecx
	orl	$CR0_PG, %ecx
	andl	$~CR0_PE, %ecx
	try32	0, movl %ecx, %cr0
	movl	%cr0, %ecx
	orl	$CR0_NW, %ecx
	try32	1, movl %ecx, %cr0
	movl	%cr4, %ecx
	orl	$CR4_PCIDE, %ecx
	try32	2, movl %ecx, %cr4
	movl	%cr4, %ecx
	orl	$0x80000000, %ecx
	try32	3, movl %ecx, %cr4

	/* Long mode enabled, PAE not: paging cannot be turned on. */
	movl	$MSR_NUM_EFER, %ecx
	rdmsr
	btsl	$EFER_LME_BIT, %eax
	movl	%eax, %esi
	movl	%edx, %edi
	try32	4, wrmsr
	movl	%cr4, %eax
	andl	$~CR4_PAE, %eax
	movl	%eax, %cr4
	movl	%cr0, %ecx
	orl	$CR0_PG, %ecx
	try32	5, movl %ecx, %cr0
	movl	%cr4, %eax
	orl	$CR4_PAE, %eax
	movl	%eax, %cr4
	movl	$MSR_NUM_EFER, %ecx
	movl	%esi, %eax
	movl	%edi, %edx
	btrl	$EFER_LME_BIT, %eax
	wrmsr
	movl	%cr0, %eax
	movl	%eax, ARG_OUT(6)(%ebx)
	movl	%cr4, %eax
	movl	%eax, ARG_OUT(7)(%ebx)
	ret

	/* IN(0): page-directory-pointer table, IN(1): one with a reserved bit set. */
	.globl	body_pae
body_pae:
	movl	ARG_IN(1)(%ebx), %eax
	movl	%eax, %cr3
	movl	%cr0, %ecx
	orl	$CR0_PG, %ecx
	try32	0, movl %ecx, %cr0
	movl	ARG_IN(0)(%ebx), %eax
	movl	%eax, %cr3
	try32	1, movl %ecx, %cr0
	movl	ARG_IN(1)(%ebx), %ecx
	try32	2, movl %ecx, %cr3
	movl	%cr0, %eax
	movl	%eax, ARG_OUT(3)(%ebx)
	movl	%cr3, %eax
	movl	%eax, ARG_OUT(4)(%ebx)
	ret

	.globl	body_real
body_real:
	lidt	real_idtr
	/* FS keeps base 0 and 4 GiB over the change. */
	ljmp	$SEL_CODE16, $(real_entry - real_start)
real_back:
	movl	$SEL_DATA, %eax
	movl	%eax, %ds
	movl	%eax, %es
	movl	%eax, %ss
	movl	%eax, %fs
	movl	$stack_top - 4, %esp
	lidt	legacy_idtr
	movl	legacy_args_pointer, %ebx
	movl	legacy_low, %esi
	addl	$REAL_RESULTS, %esi
	leal	ARG_OUT(0)(%ebx), %edi
	movl	$16, %ecx
	rep movsl
	ret

	/* Task switches. A is the task these run in; B is what C put in its TSS. */
	.macro	enter_task_a
	movl	$SEL_TSS_A, %eax
	ltr	%ax
	clts
	.endm

	.globl	body_task_jmp
body_task_jmp:
	enter_task_a
	movl	$0x11112222, %esi
	ljmp	$SEL_TSS_B, $0
	movl	%esi, ARG_OUT(0)(%ebx)
	movl	%cr0, %eax
	movl	%eax, ARG_OUT(1)(%ebx)
	xorl	%eax, %eax
	str	%ax
	movl	%eax, ARG_OUT(2)(%ebx)
	ret

	.globl	body_task_call
body_task_call:
	enter_task_a
	movl	$0x11112222, %esi
	lcall	$SEL_TSS_B, $0
	jmp	task_call_done

	.globl	body_task_int
body_task_int:
	enter_task_a
	movl	$0x11112222, %esi
	int	$0x30
task_call_done:
	movl	%esi, ARG_OUT(0)(%ebx)
	movl	%cr0, %eax
	movl	%eax, ARG_OUT(1)(%ebx)
	xorl	%eax, %eax
	str	%ax
	movl	%eax, ARG_OUT(2)(%ebx)
	pushfl
	popl	%eax
	movl	%eax, ARG_OUT(3)(%ebx)
	ret

	/*
	 * With paging. IN(0): CR3, IN(1): CR4. What it finds at PAGED_ADDRESS changes with CR3; the
	 * TSS of C is in the page after that, which is absent.
	 */
	.globl	body_task_paged
body_task_paged:
	enter_task_a
	movl	ARG_IN(1)(%ebx), %eax
	movl	%eax, %cr4
	movl	ARG_IN(0)(%ebx), %eax
	movl	%eax, %cr3
	movl	%cr0, %eax
	orl	$CR0_PG, %eax
	movl	%eax, %cr0
	try32	3, ljmp $SEL_TSS_C, $0
	movl	%cr2, %eax
	movl	%eax, ARG_OUT(4)(%ebx)
	movl	PAGED_ADDRESS, %eax
	movl	%eax, ARG_OUT(5)(%ebx)
	movl	$0x11112222, %esi
	ljmp	$SEL_TSS_B, $0
	movl	PAGED_ADDRESS, %eax
	movl	%eax, ARG_OUT(6)(%ebx)
	movl	%cr3, %eax
	movl	%eax, ARG_OUT(7)(%ebx)
	movl	%esi, ARG_OUT(0)(%ebx)
	movl	%cr0, %eax
	movl	%eax, ARG_OUT(1)(%ebx)
	xorl	%eax, %eax
	str	%ax
	movl	%eax, ARG_OUT(2)(%ebx)
	ret

	/*
	 * With paging, and a GDT elsewhere. IN(0): CR3, IN(1): CR4, IN(2): the task register, IN(3)
	 * and IN(4): limit in bits 31:16, and base.
	 */
	.globl	body_task_gdt
body_task_gdt:
	movl	ARG_IN(2)(%ebx), %eax
	ltr	%ax
	clts
	movl	ARG_IN(1)(%ebx), %eax
	movl	%eax, %cr4
	movl	ARG_IN(0)(%ebx), %eax
	movl	%eax, %cr3
	movl	%cr0, %eax
	orl	$CR0_PG, %eax
	movl	%eax, %cr0
	lgdt	(ARG_IN(3) + 2)(%ebx)
	movl	$0x11112222, %esi
	ljmp	$SEL_TSS_B, $0
	jmp	task_call_done

	/* #GP(0xfff8) through a task gate: B finds the error code on its stack. */
	.globl	body_task_fault
body_task_fault:
	enter_task_a
	movl	$0xfff8, %eax
	movl	$task_call_done, %edx
	movl	$0x11112222, %esi
	movl	%eax, %es
	ud2

	/* Faults of the switch itself. IN(0): where TSS A's descriptor is. */
	.globl	body_task_busy
body_task_busy:
	enter_task_a
	try32	0, ljmp $SEL_TSS_A, $0
	try32	1, ljmp $SEL_TSS_B, $0
	try32	2, ljmp $SEL_TSS_C, $0
	/* IRET in a nested task, the link naming a TSS that is not busy. */
	pushfl
	orl	$EFLAGS_NT, (%esp)
	popfl
	try32	3, iret
	pushfl
	andl	$~EFLAGS_NT, (%esp)
	popfl
	ret

	/* Task B: OUT(8…) is what it sees; then back the way it came. */
	.macro	task_b_looks
	movl	legacy_args_pointer, %ebx
	movl	%esi, ARG_OUT(8)(%ebx)
	pushfl
	popl	%eax
	movl	%eax, ARG_OUT(9)(%ebx)
	xorl	%eax, %eax
	str	%ax
	movl	%eax, ARG_OUT(10)(%ebx)
	movl	%esp, ARG_OUT(11)(%ebx)
	movl	%cr0, %eax
	movl	%eax, ARG_OUT(12)(%ebx)
	.endm

	.globl	task_b_jmp, task_b_iret, task_b_error, task_b_paged
task_b_jmp:
	task_b_looks
	ljmp	$SEL_TSS_A, $0
	ud2

task_b_paged:
	task_b_looks
	movl	PAGED_ADDRESS, %eax
	movl	%eax, ARG_OUT(14)(%ebx)
	movl	%cr3, %eax
	movl	%eax, ARG_OUT(15)(%ebx)
	ljmp	$SEL_TSS_A, $0
	ud2

task_b_iret:
	task_b_looks
	iret
	ud2

task_b_error:
	popl	%eax
	movl	legacy_args_pointer, %ebx
	movl	%eax, ARG_OUT(13)(%ebx)
	task_b_looks
	/* The fault would come again: continue where the faulting task left word (EDX). */
	movl	legacy_tss + 48, %eax
	movl	%eax, legacy_tss + 32
	iret
	ud2

	/* The real-mode page: code at 0, results, interrupt table, stack. */
	.code16
	.globl	real_start, real_end
real_start:
real_entry:
	movw	$SEL_DATA16, %ax
	movw	%ax, %ds
	movw	%ax, %es
	movw	%ax, %ss
	movw	%ax, %gs
	movl	$REAL_STACK, %esp
	movl	%cr0, %eax
	andl	$~CR0_PE, %eax
	movl	%eax, %cr0
	ljmpw	*(real_far - real_start)
real_here:
	movw	%cs, %ax
	movw	%ax, %ds
	movw	%ax, %es
	movw	%ax, %ss

	/* 0: CR0 as seen here */
	movl	%cr0, %eax
	movl	%eax, REAL_RESULTS
	/* 1: software interrupt */
	int	$0x20
	/* 2: #UD */
	movw	$2, real_skip - real_start
	ud2
	/* 3: #DE */
	xorl	%edx, %edx
	movl	$1, %eax
	xorl	%ecx, %ecx
	movw	$3, real_skip - real_start
	divl	%ecx
	/* 4: beyond the 64 KiB limit; PG without PE; no such MSR: three #GP */
	movw	$3, real_skip - real_start
	movw	0xffff, %ax
	movl	%cr0, %eax
	orl	$CR0_PG, %eax
	movl	%eax, %cr0
	movw	$2, real_skip - real_start
	movl	$0xdeadbeef, %ecx
	rdmsr
	/* 5: CPUID */
	xorl	%eax, %eax
	cpuid
	movl	%ebx, REAL_RESULTS + 20
	/* 6: a segment is its number times 16 */
	movw	%ds, %ax
	incw	%ax
	movw	%ax, %gs
	movl	%gs:(real_magic - real_start - 16), %eax
	movl	%eax, REAL_RESULTS + 24
	/* 7: above 1 MiB through FS, loaded in protected mode */
	movl	$real_magic, %esi
	movl	%fs:(%esi), %eax
	movl	%eax, REAL_RESULTS + 28
	/* 8: FLAGS as PUSHF shows them */
	pushfl
	popl	%eax
	movl	%eax, REAL_RESULTS + 32

	movl	%cr0, %eax
	orl	$CR0_PE, %eax
	movl	%eax, %cr0
	ljmpl	$SEL_CODE32, $real_back

	.globl	real_int, real_ud, real_de, real_gp
real_int:
	incl	REAL_RESULTS + 4
	iretw
real_ud:
	incl	REAL_RESULTS + 8
	jmp	real_skip_it
real_de:
	incl	REAL_RESULTS + 12
	jmp	real_skip_it
real_gp:
	incl	REAL_RESULTS + 16
real_skip_it:
	pushw	%bp
	pushw	%ax
	movw	%sp, %bp
	movw	real_skip - real_start, %ax
	addw	%ax, 4(%bp)
	popw	%ax
	popw	%bp
	iretw

	.balign	4
	.globl	real_far, real_magic
real_far:
	.word	real_here - real_start
	.word	0
real_magic:
	.long	0x600dcafe
real_skip:
	.word	0
real_end:

	.code64
	.section .data
	.balign	8
	.globl	legacy_low, real_idtr, legacy_args_pointer, legacy_fixup, legacy_outcome
legacy_gdtr:
	.word	16 * 8 - 1
	.quad	legacy_gdt
legacy_idtr:
	.word	64 * 8 - 1
	.long	legacy_idt
	.balign	8
real_idtr:
	.word	64 * 4 - 1
	.quad	0
	.balign	8
legacy_low:
	.long	0
legacy_args_pointer:
	.long	0
legacy_fixup:
	.long	0
legacy_outcome:
	.long	0
saved_rsp:
	.quad	0
saved_cr0:
	.quad	0
saved_cr3:
	.quad	0
saved_cr4:
	.quad	0

	.bss
	.balign	16
	.skip	4096
stack_top:

	.section .note.GNU-stack, "", @progbits
