/* SPDX-License-Identifier: BSD-2-Clause */
/* One entry per vector, the way into user mode, and saved contexts to come back to. */
#include "layout.h"

	.text
	.code64

	/* 16 bytes each, so that the IDT is filled by arithmetic. */
	.balign	16
	.globl	vector_stubs
vector_stubs:
	.set	v, 0
	.rept	256
	.balign	16
	/* SDM "Exception and Interrupt Reference": these push an error code. */
	.if	(v == 8) || ((v >= 10) && (v <= 14)) || (v == 17) || (v == 21)
	.else
	pushq	$0
	.endif
	pushq	$v
	jmp	vector_common
	.set	v, v + 1
	.endr

vector_common:
	pushq	%rax
	pushq	%rcx
	pushq	%rdx
	pushq	%rbx
	pushq	%rbp
	pushq	%rsi
	pushq	%rdi
	pushq	%r8
	pushq	%r9
	pushq	%r10
	pushq	%r11
	pushq	%r12
	pushq	%r13
	pushq	%r14
	pushq	%r15
	cld
	movq	%rsp, %rdi
	call	trap_dispatch
	popq	%r15
	popq	%r14
	popq	%r13
	popq	%r12
	popq	%r11
	popq	%r10
	popq	%r9
	popq	%r8
	popq	%rdi
	popq	%rsi
	popq	%rbp
	popq	%rbx
	popq	%rdx
	popq	%rcx
	popq	%rax
	addq	$16, %rsp
	iretq

	/* int context_save(struct context *): 0 now, 1 when trap_dispatch comes back to it. */
	.globl	context_save
context_save:
	movq	%rbx, 0(%rdi)
	movq	%rbp, 8(%rdi)
	movq	%r12, 16(%rdi)
	movq	%r13, 24(%rdi)
	movq	%r14, 32(%rdi)
	movq	%r15, 40(%rdi)
	leaq	8(%rsp), %rax
	movq	%rax, 48(%rdi)
	movq	(%rsp), %rax
	movq	%rax, 56(%rdi)
	xorl	%eax, %eax
	ret

	/* void user_enter(rip, rsp, rdi, rflags): leaves for ring 3, returns only by a trap. */
	.globl	user_enter
user_enter:
	pushq	$SEL_UDATA
	pushq	%rsi
	pushq	%rcx
	pushq	$SEL_UCODE64
	pushq	%rdi
	movq	%rdx, %rdi
	iretq

	/* Where a function called in ring 3 returns to. */
	.globl	user_return
user_return:
	int	$VEC_USER_EXIT

	.section .note.GNU-stack, "", @progbits
