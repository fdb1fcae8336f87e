/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A virtual machine for a case: a VMCS that enters, code for it, and what its exits say.
 *
 * The L2 that l2_begin() makes is in 64-bit mode at CPL 0 with this kernel's page tables, GDT, TSS
 * and GS, a stack of its own, IF clear, and an IDT of its own whose gates VMCALL (l2_delivered()).
 * Every exception exits, external interrupts and NMIs too, HLT, and all MSRs; nothing else does
 * that the capability MSRs let be.
 */
#pragma once

#include "vmx/vmx.h"

/* SDM "MOV—Move to/from Control Registers" and others number registers so; enter.S knows it. */
struct l2_regs {
	u64 rax, rcx, rdx, rbx, unused_rsp, rbp, rsi, rdi, r8, r9, r10, r11, r12, r13, r14, r15;
};
_Static_assert(offsetof(struct l2_regs, r15) == 120, "enter.S knows the layout");

/* The exit-information fields, whole, as the last exit left them. */
struct l2_exit {
	u32 reason;
	u64 qualification;
	u32 intr_info, intr_error;
	u32 idt_info, idt_error;
	u32 length, info;
	u64 linear, physical;
	/* Guest state that nearly every check wants. */
	u64 rip, rsp, rflags;
	u32 interruptibility, activity;
};

struct l2 {
	struct l2_regs regs; /* RSP is in the VMCS */
	struct l2_exit exit;
	struct run *t;
	u64 vmcs; /* physical address */
	bool launched;
	bool quiet; /* entries and exits leave no line in the transcript */
	u64 entry;  /* outcome of the last VMLAUNCH or VMRESUME: VM_OK if there was an exit */
	u64 start;  /* where l2_goto() last pointed RIP */
	u8 *stack_top;
	struct eptmap *ept; /* l2_ept()'s, or NULL */
};

/*
 * Code for L2: bytes between two symbols, in this kernel's image. It should end an L2's run by an
 * exit; VMCALL is put behind it.
 */
#define L2_CODE(name, text)                                                                  \
	extern const u8 name[];                                                              \
	asm(".pushsection .text.l2, \"ax\"\n.balign 16\n.globl " #name "\n" #name ":\n" text \
	    "\nvmcall\n.popsection\n")

/* vmx_prepare(), vmx_on(), and an L2 as described above. NULL if the case is skipped or failed. */
struct l2 *l2_begin(struct run *t);

/* Another VMCS with the same contents, cleared and current; the first one is left cleared. */
void l2_new_vmcs(struct l2 *l2);

/* Writes the default of every field into the current VMCS. */
void l2_write_defaults(struct l2 *l2);

/* Sets control bits; false if the CPU does not allow it. Turns on what activates the field. */
bool l2_enable(enum vmx_ctl ctl, u64 bits);
/* Clears them; false if they must be 1. */
bool l2_disable(enum vmx_ctl ctl, u64 bits);

#define L2_NEED(t, ctl, bits) SKIP_UNLESS(t, l2_enable(ctl, bits), "no " #bits)

/*
 * Makes L2 start anew: RIP at code, RSP at the top of its stack, RFLAGS 2, active, nothing blocked
 * or pending; no event to inject.
 */
void l2_goto(struct l2 *l2, const void *code);

/* The same, at CPL 3; l2_goto() goes back to CPL 0. */
void l2_goto_user(struct l2 *l2, const void *code);

/* Enters L2 and records the exit. Returns l2->entry. */
u64 l2_run(struct l2 *l2);

/* Only the entry (enter.h): ENTER_EXITED, or RFLAGS if it failed. */
u64 l2_enter(struct l2_regs *regs, u32 how);

/*
 * The exit qualification as every CPU has it. Bochs 3 does not tell bit 6 of EPT violations but
 * fetches, with mode-based execute control, and has that right in bit 13.
 */
u64 l2_qualification(const struct l2_exit *exit);

/* Moves RIP behind the instruction that exited. */
void l2_skip(struct l2 *l2);

/* The next entry injects this; length and error code where the type has them. */
void l2_inject(u32 intr_info, u32 error, u32 length);

/* What the IDT of L2 got. */
struct l2_frame {
	u64 vector; /* pushed by the gate's code; the error code, if any, is next */
	u64 words[6];
};

/* The exit is the VMCALL of an IDT gate: its vector, otherwise -1. */
int l2_delivered(const struct l2 *l2);

/* Then: what is on its stack behind the vector: error code if there is one, RIP, CS, RFLAGS, … */
const u64 *l2_frame(const struct l2 *l2);

/* Checks of the last run. */
void check_exit(struct run *t, int line, const struct l2 *l2, u32 reason);
void check_exit_qual(struct run *t, int line, const struct l2 *l2, u32 reason, u64 qualification);

/* It was an exit with that whole exit-reason field. */
#define CHECK_EXIT(t, l2, reason)            check_exit(t, __LINE__, l2, reason)
#define CHECK_EXIT_QUAL(t, l2, reason, qual) check_exit_qual(t, __LINE__, l2, reason, qual)

/* Runs code from its beginning to an exit that must have this reason and qualification. */
#define L2_EXITS(t, l2, code, reason, qual)                     \
	do {                                                    \
		l2_goto(l2, code);                              \
		l2_run(l2);                                     \
		check_exit_qual(t, __LINE__, l2, reason, qual); \
	} while (0)

/* RIP is where the code that l2_goto() named begins, plus offset. */
#define CHECK_RIP(t, l2, offset) \
	check_equal(t, __LINE__, "RIP offset", (l2)->exit.rip - (l2)->start, offset)
