/* SPDX-License-Identifier: BSD-2-Clause */
/* The instructions of vmx32.h. ESI: the operation; EBX: legacy_args. */
#include "layout.h"
#include "vmx/enter.h"

#define ARG_IN(n)	(16 + 4 * (n))
#define OP_KIND		0
#define OP_A		4
#define OP_B		8
#define OP_RESULT	12
#define OP_OPERAND	16
#define OP_SIZE		32
#define FAULT		0x40000000
#define STATUS_FLAGS	0x8d5
#define CR0_PG		0x80000000
#define SEL_VMX_CODE16	0x48
#define SEL_VMX_DATA16	0x50

	.text
	.code32
	/* IN(0): CR3, IN(1): CR4, IN(2): the list, IN(3): how many. */
	.globl	body_vmx32
body_vmx32:
	movl	ARG_IN(1)(%ebx), %eax
	movl	%eax, %cr4
	movl	ARG_IN(0)(%ebx), %eax
	movl	%eax, %cr3
	movl	%cr0, %eax
	orl	$CR0_PG, %eax
	movl	%eax, %cr0
	movl	ARG_IN(2)(%ebx), %esi
	movl	ARG_IN(3)(%ebx), %edi
next:
	testl	%edi, %edi
	jz	done
	movl	OP_A(%esi), %ecx
	movl	OP_B(%esi), %edx
	movl	$-1, legacy_outcome
	movl	$op_end, legacy_fixup
	movl	OP_KIND(%esi), %eax
	/* All status flags set: success must clear them. */
	pushl	$STATUS_FLAGS | 2
	popfl
	jmp	*op_table(, %eax, 4)

op_vmxon:
	vmxon	OP_OPERAND(%esi)
	jmp	op_end
op_vmclear:
	vmclear	OP_OPERAND(%esi)
	jmp	op_end
op_vmptrld:
	vmptrld	OP_OPERAND(%esi)
	jmp	op_end
op_vmptrst:
	vmptrst	OP_OPERAND(%esi)
	jmp	op_end
op_vmread:
	vmread	%ecx, %edx
	movl	%edx, OP_B(%esi)
	jmp	op_end
op_vmwrite:
	vmwrite	%edx, %ecx
	jmp	op_end
op_vmread_memory:
	vmread	%ecx, OP_OPERAND(%esi)
	jmp	op_end
op_vmwrite_memory:
	vmwrite	OP_OPERAND(%esi), %ecx
	jmp	op_end
op_invept:
	invept	OP_OPERAND(%esi), %ecx
	jmp	op_end
op_invvpid:
	invvpid	OP_OPERAND(%esi), %ecx
	jmp	op_end
op_vmlaunch:
	pushal
	movl	$ENTER_HOST_RSP, %edx
	vmwrite	%esp, %edx
	pushl	$STATUS_FLAGS | 2
	popfl
	vmlaunch
	jmp	entry_failed
op_vmresume:
	pushal
	movl	$ENTER_HOST_RSP, %edx
	vmwrite	%esp, %edx
	pushl	$STATUS_FLAGS | 2
	popfl
	vmresume
entry_failed:
	/* LEA keeps the flags. */
	leal	32(%esp), %esp
	movl	$0, OP_B(%esi)
	jmp	op_end
	.globl	vmx32_exited
vmx32_exited:
	popal
	movl	$1, OP_B(%esi)
	jmp	op_end
op_vmxoff:
	vmxoff
	jmp	op_end
op_vmcall:
	vmcall
	jmp	op_end
op_vmptrst_16bit:
	movl	$SEL_VMX_DATA16, %eax
	movl	%eax, %fs
	movl	$OP_OPERAND, %ecx
	pushl	$STATUS_FLAGS | 2
	popfl
	ljmp	$SEL_VMX_CODE16, $0

op_end:
	pushfl
	popl	%eax
	andl	$STATUS_FLAGS, %eax
	cmpl	$-1, legacy_outcome
	je	1f
	movl	legacy_outcome, %eax
	orl	$FAULT, %eax
1:	movl	%eax, OP_RESULT(%esi)
	movl	$0, legacy_fixup
	addl	$OP_SIZE, %esi
	decl	%edi
	jmp	next
done:
	ret

	/* The segment SEL_VMX_CODE16 begins here, SEL_VMX_DATA16 at the operation. */
	.code16
	.globl	vmx16_code
vmx16_code:
	movw	%cx, %bx
	vmptrst	%fs:(%bx)
	ljmpl	$SEL_CODE32, $vmx16_back
	.code32
vmx16_back:
	pushfl
	movl	$SEL_DATA, %eax
	movl	%eax, %fs
	movl	legacy_args_pointer, %ebx
	popfl
	jmp	op_end

	.section .rodata
	.balign	4
op_table:
	.long	op_vmxon, op_vmclear, op_vmptrld, op_vmptrst
	.long	op_vmread, op_vmwrite, op_vmread_memory, op_vmwrite_memory
	.long	op_invept, op_invvpid, op_vmlaunch, op_vmresume
	.long	op_vmxoff, op_vmcall, op_vmptrst_16bit

	.section .note.GNU-stack, "", @progbits
