/* SPDX-License-Identifier: BSD-2-Clause */
/* vmcs02's way in: as switch_vm_exit, with L2's handler; the way back is the same. */
#include "smp/registers.inc"

	.text
	.balign	64
	.globl	switch_vm_exit_l2
switch_vm_exit_l2:
	save_registers
	call_c	nested_exit_handle
	load_registers
	jmp	switch_last_look
