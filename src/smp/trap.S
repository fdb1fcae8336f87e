/* SPDX-License-Identifier: BSD-2-Clause */
/* One stub a vector, all 16 bytes long, and the common path into trap_handle(). */

	.text
	.balign 16
	.globl	trap_stubs
trap_stubs:
vector = 0
	.rept	32
	.balign 16
	/* SDM "Error Code": #DF, #TS, #NP, #SS, #GP, #PF, #AC, #CP push one themselves. */
	.if	!(vector == 8 || (vector >= 10 && vector <= 14) || vector == 17 || vector == 21)
	push	$0
	.endif
	push	$vector
	jmp	trap_common
vector = vector + 1
	.endr

trap_common:
	cld
	push	%rax
	push	%rcx
	push	%rdx
	push	%rbx
	push	%rbp
	push	%rsi
	push	%rdi
	push	%r8
	push	%r9
	push	%r10
	push	%r11
	push	%r12
	push	%r13
	push	%r14
	push	%r15
	mov	%rsp, %rdi
	call	trap_handle
	pop	%r15
	pop	%r14
	pop	%r13
	pop	%r12
	pop	%r11
	pop	%r10
	pop	%r9
	pop	%r8
	pop	%rdi
	pop	%rsi
	pop	%rbp
	pop	%rbx
	pop	%rdx
	pop	%rcx
	pop	%rax
	add	$16, %rsp
	iretq
