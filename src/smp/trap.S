/* SPDX-License-Identifier: BSD-2-Clause */
/* One stub a vector, all 16 bytes long, and the common path into trap_handle(). */
#include "smp/registers.inc"

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
	save_registers
	mov	%rsp, %rdi
	sub	$8, %rsp			/* as the ABI aligns it */
	call	trap_handle
	add	$8, %rsp
	load_registers
	add	$16, %rsp
	iretq
