/* SPDX-License-Identifier: BSD-2-Clause */
/* SDM "Treatment of Task Switches", "Exit Qualification for Task Switches": none is ever done. */
#include "exits.h"
#include "layout.h"
#include "legacy.h"
#include "string.h"
#include "vmx/modes.h"

/* Of the GDT; OLD is where L2's TR says it is. */
enum {
	TS_OLD = 0x40,
	TS_NEW = 0x48,
	TS_SHORT = 0x50,
	TS_ABSENT = 0x58,
	TS_GATE = 0x60,
	TS_GATE_ABSENT = 0x68,
	TS_GATE_TO_ABSENT = 0x70,
	TS_GDT_SIZE = 0x80,
};

/* Of the IDT. */
enum { TS_VECTOR = 0x40, TS_VECTOR_ABSENT = 0x41, TS_VECTOR_TO_ABSENT = 0x42 };

/* SDM "Exit Qualification for Task Switches", bits 31:30. */
#define BY_CALL(selector) ((u64)(selector))
#define BY_IRET(selector) ((u64)(selector) | 1ull << 30)
#define BY_JMP(selector)  ((u64)(selector) | 2ull << 30)
#define BY_GATE(selector) ((u64)(selector) | 3ull << 30)

enum {
	TSS_AVAILABLE = 0x89,
	TSS_BUSY = 0x8b,
	TSS_NOT_PRESENT = 0x09,
	TASK_GATE_USER = 0xe5,
	TASK_GATE = 0x85,
	TASK_GATE_NOT_PRESENT = 0x65,
	INTERRUPT_GATE = 0x8e,
	LIMIT = sizeof(struct tss32) - 1,
	AR_CODE32_USER = 0xc0fb,
	AR_DATA32_USER = 0xc0f3,
	EXT = 1,
	IDT = 2,
};

L2_CODE_MODE(32, ts_jmp, "ljmp $0x48, $0");
L2_CODE_MODE(32, ts_call, "lcall $0x48, $0");
L2_CODE_MODE(32, ts_jmp_gate, "ljmp $0x60, $0");
L2_CODE_MODE(32, ts_call_gate, "lcall $0x60, $0");
L2_CODE_MODE(32, ts_jmp_busy, "ljmp $0x40, $0");
L2_CODE_MODE(32, ts_jmp_short, "ljmp $0x50, $0");
L2_CODE_MODE(32, ts_jmp_absent, "ljmp $0x58, $0");
L2_CODE_MODE(32, ts_jmp_gate_absent, "ljmp $0x68, $0");
L2_CODE_MODE(32, ts_call_gate_to_absent, "lcall $0x70, $0");
L2_CODE_MODE(32, ts_iret, "iret");
L2_CODE_MODE(32, ts_int, "int $0x40");
L2_CODE_MODE(32, ts_int_absent, "int $0x41");
L2_CODE_MODE(32, ts_int3, "int3");
L2_CODE_MODE(32, ts_ud, "ud2");
L2_CODE_MODE(32, ts_gp, "movl $0x1234, %ecx\nmovl %ecx, %ds");
L2_CODE_MODE(32, ts_nop, "nop");

struct tasks {
	struct l2 *l2;
	u64 *gdt, *idt;
	struct tss32 *old;
};

static u64 descriptor(u64 base, u64 limit, u64 type)
{
	return (limit & 0xffff) | (base & 0xffffff) << 16 | type << 40 | (base >> 24 & 0xff) << 56;
}

static u64 task_gate(u16 selector, u64 type)
{
	return (u64)selector << 16 | type << 40;
}

/* A 32-bit L2 whose vector 0x40, and #BP, #UD, #GP and NMI, are task gates. False: it is over. */
static bool begin(struct run *t, struct tasks *s)
{
	static const u8 through_gate[] = {VECTOR_NMI, VECTOR_BP, VECTOR_UD, VECTOR_GP, TS_VECTOR};
	struct tss32 *new;
	extern const u8 l2_gates[];

	s->l2 = l2_begin(t);
	if (!s->l2)
		return false;
	s->gdt = vmx_pages(1);
	s->idt = vmx_pages(1);
	s->old = vmx_pages(1);
	new = vmx_pages(1);
	l2_goto_pae(s->l2, ts_nop);
	memcpy(s->gdt, this_cpu()->gdt, TS_OLD);
	s->gdt[TS_OLD / 8] = descriptor((u64)s->old, LIMIT, TSS_BUSY);
	s->gdt[TS_NEW / 8] = descriptor((u64) new, LIMIT, TSS_AVAILABLE);
	s->gdt[TS_SHORT / 8] = descriptor((u64) new, LIMIT - 1, TSS_AVAILABLE);
	s->gdt[TS_ABSENT / 8] = descriptor((u64) new, LIMIT, TSS_NOT_PRESENT);
	s->gdt[TS_GATE / 8] = task_gate(TS_NEW, TASK_GATE);
	s->gdt[TS_GATE_ABSENT / 8] = task_gate(TS_NEW, TASK_GATE_NOT_PRESENT);
	s->gdt[TS_GATE_TO_ABSENT / 8] = task_gate(TS_ABSENT, TASK_GATE);
	for (u64 v = 0; v < 256; v++) {
		u64 handler = (u64)l2_gates + v * 16;

		s->idt[v] = (handler & 0xffff) | (u64)SEL_CODE32 << 16 | (u64)INTERRUPT_GATE << 40 |
			    (handler >> 16 & 0xffff) << 48;
	}
	for (unsigned i = 0; i < ARRAY_SIZE(through_gate); i++)
		s->idt[through_gate[i]] = task_gate(TS_NEW, TASK_GATE);
	s->idt[TS_VECTOR_ABSENT] = task_gate(TS_NEW, TASK_GATE_NOT_PRESENT);
	s->idt[TS_VECTOR_TO_ABSENT] = task_gate(TS_ABSENT, TASK_GATE);
	vmwrite(VMCS_GUEST_GDTR_BASE, (u64)s->gdt);
	vmwrite(VMCS_GUEST_GDTR_LIMIT, TS_GDT_SIZE - 1);
	vmwrite(VMCS_GUEST_IDTR_BASE, (u64)s->idt);
	vmwrite(VMCS_GUEST_IDTR_LIMIT, 256 * 8 - 1);
	vmwrite_segment(SEG_TR, TS_OLD, (u64)s->old, LIMIT, TSS_BUSY);
	vmwrite(VMCS_EXCEPTION_BITMAP, 0);
	return true;
}

static void run_at(struct tasks *s, const u8 *code, u64 rflags)
{
	l2_goto_compat(s->l2, code);
	vmwrite(VMCS_GUEST_RFLAGS, RFLAGS_FIXED | rflags);
	l2_run(s->l2);
}

/* A task-switch exit that leaves everything as it was. vectoring: what was being delivered, or 0.
 */
static void check_switch(struct run *t, int line, struct tasks *s, u64 qualification, u32 length,
			 u32 vectoring, u64 offset)
{
	const struct l2_exit *x = &s->l2->exit;

	check_exit_qual(t, line, s->l2, REASON_TASK_SWITCH, qualification);
	if (s->l2->entry != VM_OK || x->reason != REASON_TASK_SWITCH)
		return;
	if (length)
		check_equal(t, line, "instruction length", x->length, length);
	check_equal(t, line, "IDT-vectoring information",
		    vectoring ? x->idt_info & ~INTR_INFO_NMI_UNBLOCK
			      : x->idt_info & INTR_INFO_VALID,
		    vectoring);
	check_equal(t, line, "RIP offset", x->rip - s->l2->start, offset);
	check_equal(t, line, "interruption information", x->intr_info & INTR_INFO_VALID, 0);
	check_equal(t, line, "TR", vmread(VMCS_GUEST_TR_SELECTOR), TS_OLD);
	check_equal(t, line, "TSS descriptor", s->gdt[TS_NEW / 8] >> 40 & 0xff, TSS_AVAILABLE);
	check_equal(t, line, "CR0.TS", vmread(VMCS_GUEST_CR0) & CR0_TS, 0);
}

#define SWITCHES(code, rflags, qualification, length, vectoring, offset)                 \
	do {                                                                             \
		run_at(&s, code, rflags);                                                \
		check_switch(t, __LINE__, &s, qualification, length, vectoring, offset); \
	} while (0)

PROBE_CASE(ts_instructions, "vmx.task.instructions", CASE_EACH_CPU)
{
	struct tasks s;

	if (!begin(t, &s))
		return;
	SWITCHES(ts_jmp, 0, BY_JMP(TS_NEW), 7, 0, 0);
	SWITCHES(ts_call, 0, BY_CALL(TS_NEW), 7, 0, 0);
	/* The selector is the TSS's, also by way of a gate. */
	SWITCHES(ts_jmp_gate, 0, BY_JMP(TS_NEW), 7, 0, 0);
	SWITCHES(ts_call_gate, 0, BY_CALL(TS_NEW), 7, 0, 0);
	/* IRET goes to the busy TSS that the link names. */
	s.old->link = TS_SHORT;
	s.gdt[TS_SHORT / 8] = descriptor((u64)s.old, LIMIT, TSS_BUSY);
	SWITCHES(ts_iret, RFLAGS_NT, BY_IRET(TS_SHORT), 1, 0, 0);
}

#define SW_INTERRUPT(vector) ((u32)INTR_INFO_VALID | INTR_TYPE_SW_INTERRUPT | (vector))
#define SW_EXCEPTION(vector) ((u32)INTR_INFO_VALID | INTR_TYPE_SW_EXCEPTION | (vector))
#define HW_EXCEPTION(vector) ((u32)INTR_INFO_VALID | INTR_TYPE_HW_EXCEPTION | (vector))
#define EXTERNAL(vector)     ((u32)INTR_INFO_VALID | INTR_TYPE_EXTERNAL | (vector))
#define NMI                  ((u32)INTR_INFO_VALID | INTR_TYPE_NMI | VECTOR_NMI)

/* SDM "Information for VM Exits That Occur During Event Delivery": a task gate in the IDT. */
PROBE_CASE(ts_events, "vmx.task.gate_in_idt", CASE_EACH_CPU)
{
	struct tasks s;

	if (!begin(t, &s))
		return;
	SWITCHES(ts_int, 0, BY_GATE(TS_NEW), 2, SW_INTERRUPT(TS_VECTOR), 0);
	SWITCHES(ts_int3, 0, BY_GATE(TS_NEW), 1, SW_EXCEPTION(VECTOR_BP), 0);
	SWITCHES(ts_ud, 0, BY_GATE(TS_NEW), 0, HW_EXCEPTION(VECTOR_UD), 0);
	SWITCHES(ts_gp, 0, BY_GATE(TS_NEW), 0, HW_EXCEPTION(VECTOR_GP) | (u32)INTR_INFO_ERROR_CODE,
		 5);
	CHECK_EQ(t, s.l2->exit.idt_error, 0x1234);
	/* In the exception bitmap: that is the exit, and no task switch is attempted. */
	vmwrite(VMCS_EXCEPTION_BITMAP, (u32)BIT(VECTOR_UD));
	run_at(&s, ts_ud, 0);
	CHECK_EXCEPTION(t, s.l2, VECTOR_UD, 0, 0);
}

static void inject(struct tasks *s, u32 info, u32 length, u64 rflags)
{
	l2_goto_compat(s->l2, ts_nop);
	vmwrite(VMCS_GUEST_RFLAGS, RFLAGS_FIXED | rflags);
	l2_inject(info, 0, length);
	l2_run(s->l2);
}

#define INJECTED(info, length, rflags)                                           \
	do {                                                                     \
		inject(&s, info, length, rflags);                                \
		check_switch(t, __LINE__, &s, BY_GATE(TS_NEW), length, info, 0); \
	} while (0)

PROBE_CASE(ts_injected, "vmx.task.injected_event", CASE_EACH_CPU)
{
	struct tasks s;

	if (!begin(t, &s))
		return;
	INJECTED(EXTERNAL(TS_VECTOR), 0, RFLAGS_IF);
	INJECTED(NMI, 0, 0);
	/* Its delivery has blocked NMIs; IRET ends that. */
	TRY("ud2", :);
	INJECTED(HW_EXCEPTION(VECTOR_UD), 0, 0);
	INJECTED(SW_INTERRUPT(TS_VECTOR), 2, 0);
	INJECTED(SW_EXCEPTION(VECTOR_BP), 1, 0);
}

/* "The following checks are performed … before there is any possibility of a VM exit". */
PROBE_CASE(ts_checks, "vmx.task.checks_before_the_exit", CASE_EACH_CPU)
{
	struct tasks s;

	if (!begin(t, &s))
		return;
	vmwrite(VMCS_EXCEPTION_BITMAP, 0xffffffff);
	run_at(&s, ts_jmp_busy, 0);
	CHECK_EXCEPTION(t, s.l2, VECTOR_GP, TS_OLD, 0);
	run_at(&s, ts_jmp_short, 0);
	CHECK_EXCEPTION(t, s.l2, VECTOR_TS, TS_SHORT, 0);
	run_at(&s, ts_jmp_absent, 0);
	CHECK_EXCEPTION(t, s.l2, VECTOR_NP, TS_ABSENT, 0);
	run_at(&s, ts_jmp_gate_absent, 0);
	CHECK_EXCEPTION(t, s.l2, VECTOR_NP, TS_GATE_ABSENT, 0);
	run_at(&s, ts_call_gate_to_absent, 0);
	CHECK_EXCEPTION(t, s.l2, VECTOR_NP, TS_ABSENT, 0);
	/* IRET: the linked TSS must be busy. */
	s.old->link = TS_NEW;
	run_at(&s, ts_iret, RFLAGS_NT);
	CHECK_EXCEPTION(t, s.l2, VECTOR_TS, TS_NEW, 0);
	/* "… and that exception causes a VM exit, information about the event … is recorded". */
	run_at(&s, ts_int_absent, 0);
	CHECK_EXIT(t, s.l2, REASON_EXCEPTION_NMI);
	CHECK_EQ(t, s.l2->exit.intr_info & ~INTR_INFO_NMI_UNBLOCK,
		 HW_EXCEPTION(VECTOR_NP) | (u32)INTR_INFO_ERROR_CODE);
	CHECK_EQ(t, s.l2->exit.intr_error, TS_VECTOR_ABSENT * 8 + IDT);
	CHECK_EQ(t, s.l2->exit.idt_info, SW_INTERRUPT(TS_VECTOR_ABSENT));
	inject(&s, EXTERNAL(TS_VECTOR_TO_ABSENT), 0, RFLAGS_IF);
	CHECK_EXIT(t, s.l2, REASON_EXCEPTION_NMI);
	CHECK_EQ(t, s.l2->exit.intr_info & ~INTR_INFO_NMI_UNBLOCK,
		 HW_EXCEPTION(VECTOR_NP) | (u32)INTR_INFO_ERROR_CODE);
	CHECK_EQ(t, s.l2->exit.intr_error, TS_ABSENT | EXT);
	CHECK_EQ(t, s.l2->exit.idt_info, EXTERNAL(TS_VECTOR_TO_ABSENT));
}

/* "Privilege-levels checks are performed on the task gate", not for events from outside. */
PROBE_CASE(ts_privilege, "vmx.task.privilege", CASE_EACH_CPU)
{
	struct tasks s;

	if (!begin(t, &s))
		return;
	for (unsigned user_gate = 0; user_gate < 2; user_gate++) {
		s.idt[TS_VECTOR] = task_gate(TS_NEW, user_gate ? TASK_GATE_USER : TASK_GATE);
		vmwrite(VMCS_EXCEPTION_BITMAP, (u32)BIT(VECTOR_GP));
		l2_goto_compat(s.l2, ts_int);
		vmwrite_segment(SEG_CS, SEL_CODE32 | 3, 0, 0xffffffff, AR_CODE32_USER);
		vmwrite_segment(SEG_SS, SEL_UDATA, 0, 0xffffffff, AR_DATA32_USER);
		l2_run(s.l2);
		if (user_gate) {
			check_switch(t, __LINE__, &s, BY_GATE(TS_NEW), 2, SW_INTERRUPT(TS_VECTOR),
				     0);
			continue;
		}
		CHECK_EXIT(t, s.l2, REASON_EXCEPTION_NMI);
		CHECK_EQ(t, s.l2->exit.intr_error, TS_VECTOR * 8 + IDT);
		CHECK_EQ(t, s.l2->exit.idt_info, SW_INTERRUPT(TS_VECTOR));
	}
	/* #UD at CPL 3 goes through the gate of DPL 0. */
	l2_goto_compat(s.l2, ts_ud);
	vmwrite_segment(SEG_CS, SEL_CODE32 | 3, 0, 0xffffffff, AR_CODE32_USER);
	vmwrite_segment(SEG_SS, SEL_UDATA, 0, 0xffffffff, AR_DATA32_USER);
	l2_run(s.l2);
	check_switch(t, __LINE__, &s, BY_GATE(TS_NEW), 0, HW_EXCEPTION(VECTOR_UD), 0);
}

/* "… in IA-32e mode, a general-protection exception occurs." */
PROBE_CASE(ts_ia32e, "vmx.task.ia32e_mode", CASE_EACH_CPU)
{
	struct l2 *l2 = l2_begin(t);
	u64 *gdt;

	if (!l2)
		return;
	gdt = vmx_pages(1);
	memcpy(gdt, this_cpu()->gdt, TS_GDT_SIZE);
	gdt[TS_GATE / 8] = task_gate(TS_OLD, TASK_GATE);
	vmwrite(VMCS_GUEST_GDTR_BASE, (u64)gdt);
	l2_goto_compat(l2, ts_jmp_busy);
	l2_run(l2);
	CHECK_EXCEPTION(t, l2, VECTOR_GP, TS_OLD, 0);
	l2_goto_compat(l2, ts_call_gate);
	l2_run(l2);
	CHECK_EXCEPTION(t, l2, VECTOR_GP, TS_GATE, 0);
	l2_goto_compat(l2, ts_iret);
	vmwrite(VMCS_GUEST_RFLAGS, RFLAGS_FIXED | RFLAGS_NT);
	l2_run(l2);
	CHECK_EXCEPTION(t, l2, VECTOR_GP, 0, 0);
}
