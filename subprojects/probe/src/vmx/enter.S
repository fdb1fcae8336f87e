/* SPDX-License-Identifier: BSD-2-Clause */
/* Into L2 and back. */
#include "vmx/enter.h"

	/* All but RSP, at the offsets of struct l2_regs, RDI last. */
	.macro	load_regs
	movq	0(%rdi), %rax
	movq	8(%rdi), %rcx
	movq	16(%rdi), %rdx
	movq	24(%rdi), %rbx
	movq	40(%rdi), %rbp
	movq	48(%rdi), %rsi
	movq	64(%rdi), %r8
	movq	72(%rdi), %r9
	movq	80(%rdi), %r10
	movq	88(%rdi), %r11
	movq	96(%rdi), %r12
	movq	104(%rdi), %r13
	movq	112(%rdi), %r14
	movq	120(%rdi), %r15
	movq	56(%rdi), %rdi
	.endm

	/* All status flags: those a failure should clear must be seen cleared. */
	.macro	set_flags
	pushfq
	orl	$0x8d5, (%rsp)
	popfq
	.endm

	.text
	.code64
	/* u64 l2_enter(struct l2_regs *, enum l2_entry): ENTER_EXITED, or RFLAGS if it failed. */
	.globl	l2_enter
l2_enter:
	pushq	%rbx
	pushq	%rbp
	pushq	%r12
	pushq	%r13
	pushq	%r14
	pushq	%r15
	pushq	%rdi
	cmpl	$L2_RESUME_SAME_STACK, %esi
	je	1f
	movl	$ENTER_HOST_RSP, %edx
	vmwrite	%rsp, %rdx
	testl	%esi, %esi
	jnz	1f
	load_regs
	set_flags
	.globl	l2_vmlaunch, l2_vmresume
l2_vmlaunch:
	vmlaunch
	jmp	2f
1:	load_regs
	set_flags
l2_vmresume:
	vmresume
2:	pushfq
	popq	%rax
	jmp	4f
	.pushsection .extable, "a"
	.quad	l2_vmlaunch, 2b
	.quad	l2_vmresume, 2b
	.popsection

	/* Host RIP. */
	.globl	l2_exited
l2_exited:
	pushq	%rdi
	movq	8(%rsp), %rdi
	movq	%rax, 0(%rdi)
	movq	%rcx, 8(%rdi)
	movq	%rdx, 16(%rdi)
	movq	%rbx, 24(%rdi)
	movq	%rbp, 40(%rdi)
	movq	%rsi, 48(%rdi)
	popq	56(%rdi)
	movq	%r8, 64(%rdi)
	movq	%r9, 72(%rdi)
	movq	%r10, 80(%rdi)
	movq	%r11, 88(%rdi)
	movq	%r12, 96(%rdi)
	movq	%r13, 104(%rdi)
	movq	%r14, 112(%rdi)
	movq	%r15, 120(%rdi)
	movl	$ENTER_EXITED, %eax
4:	popq	%rdi
	popq	%r15
	popq	%r14
	popq	%r13
	popq	%r12
	popq	%rbp
	popq	%rbx
	cld
	ret

	/* The gates of L2's IDT. */
	.balign	16
	.globl	l2_gates
l2_gates:
	.set	v, 0
	.rept	256
	.balign	L2_GATE_SIZE
	pushq	$v
	vmcall
	.set	v, v + 1
	.endr

	.section .note.GNU-stack, "", @progbits
