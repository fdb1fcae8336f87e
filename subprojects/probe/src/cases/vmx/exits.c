/* SPDX-License-Identifier: BSD-2-Clause */
#include "exits.h"

void check_insn_exit(struct run *t, int line, struct l2 *l2, const struct insn_exit *e)
{
	const struct l2_exit *x = &l2->exit;

	l2_goto(l2, e->code);
	l2_run(l2);
	/*
	 * "If the instruction has no displacement (for example, has a register operand), zero":
	 * Bochs 2.7 stores whatever its decoder has left; vmx.exit.register_qualification tries it.
	 */
	if (e->info & INFO_REG)
		check_exit(t, line, l2, e->reason);
	else
		check_exit_qual(t, line, l2, e->reason, e->qualification);
	if (l2->entry != VM_OK || x->reason != e->reason)
		return;
	check_equal(t, line, "instruction length", x->length, e->length);
	check_equal(t, line, "RIP offset", x->rip - l2->start, 0);
	check_equal(t, line, "instruction information", x->info & e->info_mask, e->info);
	check_equal(t, line, "IDT-vectoring information", x->idt_info & INTR_INFO_VALID, 0);
}

void check_no_exit(struct run *t, int line, struct l2 *l2, const u8 *code)
{
	l2_goto(l2, code);
	l2_run(l2);
	check_exit(t, line, l2, REASON_VMCALL);
}

void check_exception(struct run *t, int line, struct l2 *l2, u8 vector, u32 error, u64 offset)
{
	const struct l2_exit *x = &l2->exit;
	bool has_error = BIT(vector) & (BIT(8) | BITS(14, 10) | BIT(17) | BIT(21));
	bool software = vector == VECTOR_BP || vector == VECTOR_OF;
	u32 info = vector | (software ? INTR_TYPE_SW_EXCEPTION : INTR_TYPE_HW_EXCEPTION) |
		   (has_error ? (u32)INTR_INFO_ERROR_CODE : 0) | (u32)INTR_INFO_VALID;

	check_exit(t, line, l2, REASON_EXCEPTION_NMI);
	if (l2->entry != VM_OK || x->reason != REASON_EXCEPTION_NMI)
		return;
	check_equal(t, line, "interruption information", x->intr_info & ~INTR_INFO_NMI_UNBLOCK,
		    info);
	if (has_error)
		check_equal(t, line, "error code", x->intr_error, error);
	check_equal(t, line, "RIP offset", x->rip - l2->start, offset);
	check_equal(t, line, "IDT-vectoring information", x->idt_info & INTR_INFO_VALID, 0);
}

void check_user_fault(struct run *t, int line, struct l2 *l2, const u8 *code, u8 vector)
{
	l2_goto_user(l2, code);
	l2_run(l2);
	check_exception(t, line, l2, vector, 0, 0);
}
