/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What the KVM client's virtual machines run. Each program is copied to the address it is written
 * for; its registers are the client's to set, except where the way to long mode changes them
 * (RAX, RCX, RDX).
 */
#include "kvm_layout.h"

	.section .rodata

	.macro program name
	.global program_\name, program_\name\()_end
program_\name:
	.endm

	.macro end_program name
program_\name\()_end:
	.endm

/* Address of a label in a program that is loaded at a given address. */
#define AT(base, program, label) ((base) + (label) - (program))

/*
 * Real mode: CPUID ESI times, an interrupt through the vector table, ports of two sizes and a
 * string to a port.
 */
	.code16
	program real
1:	xorl	%eax, %eax
	xorl	%ecx, %ecx
	cpuid
	decl	%esi
	jnz	1b
	movl	%ebx, GUEST_CODE
	movl	%edx, GUEST_CODE + 4
	movl	%ecx, GUEST_CODE + 8
	int	$0x40
	inb	$PORT_ASK, %al
	incb	%al
	outb	%al, $PORT_REPORT
	inl	$PORT_ASK, %eax
	notl	%eax
	outl	%eax, $PORT_REPORT
	movw	$GUEST_CODE, %si
	movw	$12, %cx
	movw	$PORT_REPORT, %dx
	cld
	rep	outsb
	hlt
	.global program_real_handler
program_real_handler:
	movw	$0x5aa5, GUEST_CODE + 12
	iretw
	end_program real

/* Real mode: a running sum of EBX, kept at EDI and reported for ever. */
	.code16
	program sum
1:	addl	%ebx, %eax
	movl	%eax, (%di)
	addw	$4, %di
	outl	%eax, $PORT_REPORT
	jmp	1b
	end_program sum

/* From real mode to long mode, and on at GUEST_CODE with interrupts on. */
	.code16
	program boot64
	lgdtl	GUEST_GDT_POINTER
	lidtl	GUEST_IDT_POINTER
	movl	$GUEST_ROOT, %eax
	movl	%eax, %cr3
	movl	%cr4, %eax
	orl	$0x620, %eax		/* PAE, OSFXSR, OSXMMEXCPT */
	movl	%eax, %cr4
	movl	$0xc0000080, %ecx	/* IA32_EFER.LME */
	rdmsr
	orl	$0x100, %eax
	wrmsr
	movl	%cr0, %eax
	andl	$0x9fffffff, %eax	/* caches on */
	orl	$0x80000001, %eax
	movl	%eax, %cr0
	ljmpl	$SELECTOR_CODE64, $AT(GUEST_BOOT, program_boot64, boot64_long)
	.code64
boot64_long:
	movl	$SELECTOR_DATA, %eax
	movl	%eax, %ds
	movl	%eax, %es
	movl	%eax, %ss
	movl	$GUEST_CODE, %eax
	sti
	jmp	*%rax
	end_program boot64

/*
 * From real mode to 32-bit paging. Write ESI words by one mapping, sum them by another, and read
 * from a page that the handler of the page fault maps.
 */
	.code16
	program protected
	lgdtl	GUEST_GDT_POINTER
	lidtl	GUEST_IDT_POINTER
	movl	$GUEST_ROOT, %eax
	movl	%eax, %cr3
	movl	%cr0, %eax
	andl	$0x9fffffff, %eax
	orl	$0x80000001, %eax
	movl	%eax, %cr0
	ljmpl	$SELECTOR_CODE32, $AT(GUEST_BOOT, program_protected, protected_start)
	.code32
protected_start:
	movl	$SELECTOR_DATA, %eax
	movl	%eax, %ds
	movl	%eax, %es
	movl	%eax, %ss
	movl	%esi, %ecx
1:	movl	%ecx, %eax
	imull	%ecx, %eax
	movl	%eax, GUEST_WINDOW - 4(,%ecx,4)
	decl	%ecx
	jnz	1b
	xorl	%eax, %eax
2:	addl	GUEST_DATA(,%ecx,4), %eax
	incl	%ecx
	cmpl	%esi, %ecx
	jne	2b
	outl	%eax, $PORT_REPORT
	movl	GUEST_WINDOW + 0x1004, %eax
	outl	%eax, $PORT_REPORT
	hlt
	.global program_protected_handler
program_protected_handler:
	pushl	%eax
	movl	%cr2, %eax
	outl	%eax, $PORT_REPORT
	movl	4(%esp), %eax
	outl	%eax, $PORT_REPORT
	movl	$(GUEST_DATA2 | 3), GUEST_TABLE2 + 4
	popl	%eax
	addl	$4, %esp
	iretl
	end_program protected

/* Long mode: CPUID RBP times with everything else in registers, then store them. */
	.code64
	program long
	movq	%r8, %xmm0
	movq	%r15, %xmm15
1:	xorl	%eax, %eax
	cpuid
	decq	%rbp
	jnz	1b
	inl	$PORT_ASK, %eax
	movabsq	$(GUEST_UPPER_HALF + GUEST_DATA), %rbx
	movq	%r8, (%rbx)
	movq	%r9, 8(%rbx)
	movq	%r10, 16(%rbx)
	movq	%r11, 24(%rbx)
	movq	%r12, 32(%rbx)
	movq	%r13, 40(%rbx)
	movq	%r14, 48(%rbx)
	movq	%r15, 56(%rbx)
	movq	%rsi, 64(%rbx)
	movq	%rdi, 72(%rbx)
	movq	%xmm0, 80(%rbx)
	movq	%xmm15, 88(%rbx)
	notl	%eax
	outl	%eax, $PORT_REPORT
	hlt
	end_program long

/* Long mode: provoke exceptions; the handlers report vector and error code, then go on at R15. */
	.code64
	.macro	provoke instruction:vararg
	leaq	9f(%rip), %r15
	\instruction
9:
	.endm
	program exceptions
	provoke	ud2
	xorl	%ecx, %ecx
	provoke	divl %ecx
	provoke	int3
	movl	$0x12345678, %ecx
	provoke	wrmsr
	movl	$0x40001234, %ebx
	provoke	movl %eax, (%rbx)
	movabsq	$0x1234567812345678, %rbx
	provoke	movl (%rbx), %eax
	hlt
exceptions_common:
	movl	(%rsp), %eax
	outl	%eax, $PORT_REPORT
	movl	8(%rsp), %eax
	outl	%eax, $PORT_REPORT
	movq	%cr2, %rax
	outl	%eax, $PORT_REPORT
	addq	$16, %rsp
	movq	%r15, (%rsp)
	iretq
	.global program_exceptions_handlers
	.balign	16
program_exceptions_handlers:
	.set	vector, 0
	.rept	32
	.balign	16
	.if	!((vector == 8) || ((vector >= 10) && (vector <= 14)) || (vector == 17))
	pushq	$0
	.endif
	pushq	$vector
	jmp	exceptions_common
	.set	vector, vector + 1
	.endr
	end_program exceptions

/* Long mode: a device's registers of all sizes, then memory that is for reading alone. */
	.code64
	program mmio
	movl	$GUEST_DEVICE, %ebx
	movl	(%rbx), %eax
	notl	%eax
	movl	%eax, 4(%rbx)
	movq	8(%rbx), %rax
	incq	%rax
	movq	%rax, 16(%rbx)
	movzwl	24(%rbx), %eax
	movb	%ah, 25(%rbx)
	movl	$GUEST_ROM, %ebx
	movl	8(%rbx), %eax
	movl	%eax, 12(%rbx)
	movl	12(%rbx), %eax
	outl	%eax, $PORT_REPORT
	hlt
	end_program mmio

/* Long mode: wait for interrupts; report the count of those that came. */
	.code64
	program interrupts
	xorl	%ebx, %ebx
	cli
	outl	%eax, $PORT_REPORT
	movl	$1000, %ecx
1:	loop	1b
	sti
	nop
2:	hlt
	jmp	2b
	.global program_interrupts_handler
program_interrupts_handler:
	incl	%ebx
	movl	%ebx, %eax
	outl	%eax, $PORT_REPORT
	iretq
	end_program interrupts

/* Long mode with a local APIC: messages RSI times, then its timer, idle and busy. */
	.code64
	program apic
	cli
	movl	$GUEST_APIC, %ebp
	movl	$0x1ff, 0xf0(%rbp)	/* enable it; spurious vector 255 */
	xorl	%ebx, %ebx
	xorl	%edi, %edi
	outl	%eax, $PORT_REPORT
	sti
1:	hlt
	cmpl	%esi, %ebx
	jne	1b
	movl	$VECTOR_TIMER, 0x320(%rbp)	/* LVT: one shot */
	movl	$0xb, 0x3e0(%rbp)		/* divide by 1 */
	movl	%esi, %r12d
2:	cli
	leal	1(%rdi), %r13d
	movl	$TIMER_TICKS, 0x380(%rbp)
	sti
3:	hlt
	cmpl	%r13d, %edi
	jne	3b
	leal	1(%rdi), %r13d
	movl	$TIMER_TICKS, 0x380(%rbp)
4:	cmpl	%r13d, %edi
	jne	4b
	decl	%r12d
	jnz	2b
	movl	%edi, %eax
	outl	%eax, $PORT_REPORT
	.global program_apic_message, program_apic_timer
program_apic_message:
	incl	%ebx
	movl	$0, 0xb0(%rbp)
	movl	%ebx, %eax
	outl	%eax, $PORT_REPORT
	iretq
program_apic_timer:
	incl	%edi
	movl	$0, 0xb0(%rbp)
	iretq
	end_program apic

/* Long mode: RDI times from RSI on, report an MSR and write it with some low bits turned over. */
	.code64
	program msrs
1:	movl	(%rsi), %ecx
	rdmsr
	movl	%eax, %ebx
	outl	%eax, $PORT_REPORT
	movl	%edx, %eax
	outl	%eax, $PORT_REPORT
	movl	4(%rsi), %eax
	xorl	%ebx, %eax
	wrmsr
	addq	$8, %rsi
	decl	%edi
	jnz	1b
	hlt
	end_program msrs

/* Long mode: report the TSC, for ever. */
	.code64
	program tsc
1:	rdtsc
	movl	%edx, %ebx
	outl	%eax, $PORT_REPORT
	movl	%ebx, %eax
	outl	%eax, $PORT_REPORT
	jmp	1b
	end_program tsc

/*
 * Long mode, for ever: change the words at the addresses listed at GUEST_DATA, read those listed
 * at GUEST_DATA2 (both lists end with 0), report.
 */
	.code64
	program touch
1:	movl	$GUEST_DATA, %esi
2:	lodsq
	testq	%rax, %rax
	jz	3f
	incq	(%rax)
	jmp	2b
3:	movl	$GUEST_DATA2, %esi
	xorl	%ebx, %ebx
4:	lodsq
	testq	%rax, %rax
	jz	5f
	addq	(%rax), %rbx
	jmp	4b
5:	movl	%ebx, %eax
	outl	%eax, $PORT_REPORT
	jmp	1b
	end_program touch

/* Long mode: from RDI to RSI, mark each page in its first and last word; then sum these. */
	.code64
	program pages
	movq	%rdi, %rbx
1:	movq	%rbx, %rax
	xorq	%r8, %rax
	movq	%rax, (%rbx)
	notq	%rax
	movq	%rax, 0xff8(%rbx)
	addq	$0x1000, %rbx
	cmpq	%rsi, %rbx
	jne	1b
	outl	%eax, $PORT_REPORT
	xorl	%eax, %eax
2:	addq	(%rdi), %rax
	addq	0xff8(%rdi), %rax
	addq	$0x1000, %rdi
	cmpq	%rsi, %rdi
	jne	2b
	movq	%rax, GUEST_DATA
	outl	%eax, $PORT_REPORT
	end_program pages

/* Long mode: count in each page from RDI to RSI and report; again for ever. */
	.code64
	program sweep
1:	movq	%rdi, %rbx
2:	incq	(%rbx)
	addq	$0x1000, %rbx
	cmpq	%rsi, %rbx
	jne	2b
	outl	%eax, $PORT_REPORT
	jmp	1b
	end_program sweep

/* Long mode: time an instruction that exits, ESI times; list the times at GUEST_DATA. */
	.code64
	.macro	time_instruction instruction:vararg
	movl	$GUEST_DATA, %edi
	cld
1:	rdtsc
	movl	%eax, %r8d
	xorl	%ecx, %ecx
	movl	$99, %eax		/* no leaf and no hypercall */
	\instruction
	rdtsc
	subl	%r8d, %eax
	stosl
	decl	%esi
	jnz	1b
	outl	%eax, $PORT_REPORT
	.endm
	program time_cpuid
	time_instruction cpuid
	end_program time_cpuid
	program time_vmcall
	time_instruction vmcall
	end_program time_vmcall

/* Long mode: a sequence of numbers by which a lost or repeated instruction shows; report each 50th. */
	.code64
	program sequence
	movabsq	$6364136223846793005, %rsi
1:	movl	$50, %ecx
2:	imulq	%rsi, %r8
	incq	%r8
	loop	2b
	movq	%r8, %rax
	shrq	$32, %rax
	outl	%eax, $PORT_REPORT
	jmp	1b
	end_program sequence

/* Long mode: count in memory for ever. */
	.code64
	program count
1:	incq	GUEST_DATA
	jmp	1b
	end_program count

/* The same with interrupts off. */
	.code64
	program count_cli
	cli
1:	incq	GUEST_DATA
	jmp	1b
	end_program count_cli

/*
 * Long mode, on two VCPUs; RDI is 0 or 1. Meet, count R8 times together, then take turns R9 times.
 */
	.code64
	program pair
	lock incl	GUEST_DATA
1:	pause
	cmpl	$2, GUEST_DATA
	jne	1b
	movq	%r8, %rbx
2:	lock incq	GUEST_DATA + 64
	decq	%rbx
	jnz	2b
	movq	%r9, %rbx
3:	pause
	cmpl	%edi, GUEST_DATA + 128
	jne	3b
	incq	GUEST_DATA + 192
	xorl	$1, GUEST_DATA + 128
	decq	%rbx
	jnz	3b
	hlt
	end_program pair

	.section .note.GNU-stack, "", @progbits
