/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * VM exit and VM entry. The host stack is empty whenever the guest runs, so HOST_RSP is constant
 * and the guest's registers always lie at its top.
 */
#include "config.h"
#include "smp/cpu.h"

	/* struct guest_regs, from its end; the RSP slot only keeps the numbering. */
	.macro	save_guest
	push	%r15
	push	%r14
	push	%r13
	push	%r12
	push	%r11
	push	%r10
	push	%r9
	push	%r8
	push	%rdi
	push	%rsi
	push	%rbp
	push	%rbx			/* placeholder for RSP */
	push	%rbx
	push	%rdx
	push	%rcx
	push	%rax
	.endm

	.macro	load_guest
	pop	%rax
	pop	%rcx
	pop	%rdx
	pop	%rbx
	pop	%rbp			/* placeholder for RSP */
	pop	%rbp
	pop	%rsi
	pop	%rdi
	pop	%r8
	pop	%r9
	pop	%r10
	pop	%r11
	pop	%r12
	pop	%r13
	pop	%r14
	pop	%r15
	.endm

	.macro	call_c function
	mov	%rsp, %rdi
	xor	%ebp, %ebp		/* backtraces end here */
	call	\function
	.endm

	/* trap.c sends code that an NMI or #MC interrupted from `first` to `last` back to `first`. */
	.macro	RESTART first, last
	.pushsection .restart, "a"
	.quad	\first, \last
	.popsection
	.endm

	RESTART	switch_last_look, switch_vmresume
	RESTART	switch_launch_last_look, switch_vmlaunch

	.text
	.balign	64
	.globl	switch_vm_exit
switch_vm_exit:
	save_guest
	call_c	exit_handle
	load_guest
	/*
	 * An NMI or #MC that hits between this look and the entry would wait in pending_events for
	 * an exit that may never come. trap.c sends code interrupted here back to the look; once
	 * VMRESUME has begun, an NMI is held by the CPU and exits from the guest.
	 */
switch_last_look:
	testb	$(PENDING_NMI | PENDING_MC), %gs:CPU_PENDING_EVENTS_OFFSET
	jnz	1f
switch_vmresume:
	vmresume
2:	save_guest
	call_c	exit_entry_failed	/* returns only with L1's VMCS current */
	load_guest
	jmp	switch_last_look

1:	save_guest
	call_c	event_deliver_late
	load_guest
	jmp	switch_last_look

#if UMBRA_NESTED
	/* vmcs02's way in: the same, with L2's handler. */
	.balign	64
	.globl	switch_vm_exit_l2
switch_vm_exit_l2:
	save_guest
	call_c	nested_exit_handle
	load_guest
	jmp	switch_last_look
#endif

	.globl	switch_launch
switch_launch:
	mov	%rdi, %rsp
	load_guest
	mov	%gs:CPU_STACK_TOP_OFFSET, %rsp
switch_launch_last_look:
	testb	$(PENDING_NMI | PENDING_MC), %gs:CPU_PENDING_EVENTS_OFFSET
	jnz	1f
switch_vmlaunch:
	vmlaunch
	jmp	2b

	/* What came may have ended L2 before it began: then L1's VMCS is current, and launched. */
1:	save_guest
	call_c	event_deliver_late
	test	%al, %al
	load_guest
	jnz	switch_last_look
	jmp	switch_launch_last_look
