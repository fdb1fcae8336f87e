/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What INT 15h runs in a chainloaded guest: the memory-map functions go to Umbra by VMCALL (see
 * boot/int15_hook.c), all others to the BIOS. Copied to offset 0 of a segment of its own.
 */
	.section .rodata
	.balign	16
	.code16
	.globl	int15_stub_start, int15_stub_vmcall, int15_stub_old_vector, int15_stub_end
int15_stub_start:
	cmp	$0xe820, %ax
	je	1f
	cmp	$0xe801, %ax
	je	1f
	cmp	$0x88, %ah
	je	1f
	ljmp	*%cs:(int15_stub_old_vector - int15_stub_start)
1:
int15_stub_vmcall:
	vmcall				/* sets the registers and CF in the flags to be popped */
	iret
int15_stub_old_vector:
	.word	0, 0
int15_stub_end:
