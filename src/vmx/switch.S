/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * VM exit and VM entry. The host stack is empty whenever the guest runs, so HOST_RSP is constant
 * and the guest's registers always lie at its top.
 */
#include "smp/cpu.h"
#include "smp/registers.inc"
#include "vmx/switch.h"

	/* trap.c sends code that an NMI or #MC interrupted from `first` to `last` back to `first`. */
	.macro	RESTART first, last
	.pushsection .restart, "a"
	.quad	\first, \last
	.popsection
	.endm

	/* Before the look at events, since it takes a while and cannot be begun anew. */
	.macro	flush_l1d_if_due
	testl	$ENTRY_FLUSH_L1D << CPU_ENTRY_WORK_SHIFT, %gs:CPU_PENDING_EVENTS_OFFSET
	jz	9f
	cmpq	$0, %gs:VCPU_LEVEL_OFFSET
	je	9f
	save_registers
	call_c	speculation_flush_l1d
	load_registers
9:
	.endm

	/*
	 * The last look, and the entry by VMRESUME or VMLAUNCH. An NMI or #MC that hits between the
	 * two would wait in pending_events for an exit that may never come. trap.c sends code
	 * interrupted here back to the look; once the entry has begun, an NMI is held by the CPU
	 * and exits from the guest. The same look stops this CPU when another one takes the machine
	 * down, whatever the exit was, and finds out whether the CPU has anything to clear.
	 *
	 * Between VERW and the entry nothing may be loaded but the guest's own, so the look comes
	 * first; an NMI in between, whose handler does load, starts both anew.
	 */
	.macro	enter_by instruction
	RESTART	1f, 2f
	RESTART	4f, 5f
1:	testl	$CPU_DUE | CPU_ENTRY_WORK, %gs:CPU_PENDING_EVENTS_OFFSET
	jnz	3f
2:	\instruction
	jmp	entry_failed
3:	flush_l1d_if_due
4:	testl	$CPU_DUE, %gs:CPU_PENDING_EVENTS_OFFSET
	jnz	\instruction\()_is_late
	verw	writable_selector(%rip)
5:	\instruction
	jmp	entry_failed
	.endm

	.section .rodata
	.balign	2
	/* For VERW, which clears buffers in its form with a memory operand. */
writable_selector:
	.word	SELECTOR_DATA

	.text
	.balign	64
	.globl	switch_vm_exit, switch_last_look
switch_vm_exit:
	save_registers
	call_c	exit_handle
	load_registers
switch_last_look:
	enter_by vmresume

vmresume_is_late:
	save_registers
	call_c	event_deliver_late
	load_registers
	jmp	switch_last_look

entry_failed:
	save_registers
	call_c	exit_entry_failed	/* returns only with L1's VMCS current */
	load_registers
	jmp	switch_last_look

	.globl	switch_launch
switch_launch:
	mov	%rdi, %rsp
	load_registers
	mov	%gs:CPU_STACK_TOP_OFFSET, %rsp
launch_last_look:
	enter_by vmlaunch

	/* What came may have ended L2 before it began: then L1's VMCS is current, and launched. */
vmlaunch_is_late:
	save_registers
	call_c	event_deliver_late
	test	%al, %al
	load_registers
	jnz	switch_last_look
	jmp	launch_last_look
