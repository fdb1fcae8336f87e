/* SPDX-License-Identifier: BSD-2-Clause */
/* SDM "Event Injection": what L2's IDT gets, and what happens when it cannot. */
#include "exits.h"
#include "layout.h"
#include "memory.h"
#include "vmx/eptmap.h"

#define EVENT(type, vector) ((u32)INTR_INFO_VALID | (type) | (vector))
#define WITH_CODE           ((u32)INTR_INFO_ERROR_CODE)

enum {
	GATE_PRESENT_BIT = 47,
	GATE_DPL_BIT = 45,
	ERROR_CODES = 0x27d00, /* #DF, #TS to #PF, #AC */
};

L2_CODE(inj_nop, "nop\nnop\nnop");
L2_CODE(inj_iret, "iretq");
L2_CODE(inj_iret_self, "mov %rsp, %rax\npushq $0x10\npushq %rax\npushfq\npushq $8\n"
		       "leaq 1f(%rip), %rax\npushq %rax\niretq\n1: nop\nnop");

static u64 *gate(unsigned vector)
{
	return (u64 *)vmread(VMCS_GUEST_IDTR_BASE) + (size_t)2 * vector;
}

/* Injects at the beginning of inj_nop, with IF as given. */
static void inject(struct l2 *l2, u32 info, u32 error, u32 length, u64 rflags)
{
	l2_goto(l2, inj_nop);
	vmwrite(VMCS_GUEST_RFLAGS, RFLAGS_FIXED | rflags);
	l2_inject(info, error, length);
	l2_run(l2);
}

PROBE_CASE(event_external, "vmx.event.external_interrupt", CASE_EACH_CPU)
{
	struct l2 *l2 = l2_begin(t);

	if (!l2)
		return;
	for (u32 vector = 32; vector < 256; vector += vector < 40 || vector > 250 ? 1 : 7) {
		inject(l2, EVENT(INTR_TYPE_EXTERNAL, vector), 0, 0, RFLAGS_IF);
		CHECK_EQ(t, (u64)l2_delivered(l2), vector);
		CHECK_EQ(t, l2_frame(l2)[0], l2->start);
		CHECK_EQ(t, l2_frame(l2)[1], SEL_CODE64);
		CHECK_EQ(t, l2_frame(l2)[2], RFLAGS_FIXED | RFLAGS_IF);
		/* Through an interrupt gate; the valid bit is cleared by the exit. */
		CHECK_EQ(t, l2->exit.rflags, RFLAGS_FIXED);
		CHECK_EQ(t, vmread(VMCS_VM_ENTRY_INTR_INFO) & INTR_INFO_VALID, 0);
		CHECK_EQ(t, l2->exit.idt_info & INTR_INFO_VALID, 0);
	}
}

/* The exception bitmap is for exceptions that occur, not for those that are injected. */
PROBE_CASE(event_exception, "vmx.event.exceptions", CASE_EACH_CPU)
{
	struct l2 *l2 = l2_begin(t);
	u64 cr2 = read_cr2();

	if (!l2)
		return;
	for (u32 vector = 0; vector < 20; vector++) {
		bool code = ERROR_CODES & BIT(vector);
		const u64 *frame;

		if (vector == VECTOR_NMI || vector == 9 || vector == 15)
			continue;
		inject(l2, EVENT(INTR_TYPE_HW_EXCEPTION, vector) | (code ? WITH_CODE : 0), 0x5a5c,
		       0, 0);
		CHECK_EQ(t, (u64)l2_delivered(l2), vector);
		frame = l2_frame(l2);
		if (code) {
			CHECK_EQ(t, frame[0], 0x5a5c);
			frame++;
		}
		CHECK_EQ(t, frame[0], l2->start);
		CHECK_EQ(t, frame[1], SEL_CODE64);
	}
	/* "The VM entry does not modify CR2." */
	CHECK_EQ(t, read_cr2(), cr2);
}

/* SDM "Information for VM Exits That Occur During Event Delivery". */
static void check_vectoring(struct run *t, struct l2 *l2, u8 vector, u32 error, u32 idt_info)
{
	CHECK_EXIT(t, l2, REASON_EXCEPTION_NMI);
	CHECK_EQ(t, l2->exit.intr_info & ~INTR_INFO_NMI_UNBLOCK,
		 INTR_INFO_VALID | INTR_INFO_ERROR_CODE | INTR_TYPE_HW_EXCEPTION | vector);
	CHECK_EQ(t, l2->exit.intr_error, error);
	CHECK_EQ(t, l2->exit.idt_info & ~INTR_INFO_NMI_UNBLOCK, idt_info);
	CHECK_RIP(t, l2, 0);
}

PROBE_CASE(event_software, "vmx.event.software", CASE_EACH_CPU)
{
	static const struct {
		u32 info;
		u64 vector;
	} rows[] = {
		{EVENT(INTR_TYPE_SW_INTERRUPT, 0x80), 0x80},
		{EVENT(INTR_TYPE_SW_INTERRUPT, 13), 13},
		{EVENT(INTR_TYPE_SW_EXCEPTION, 3), 3},
		{EVENT(INTR_TYPE_SW_EXCEPTION, 4), 4},
		{EVENT(INTR_TYPE_PRIV_SW_EXC, 1), 1},
	};
	struct l2 *l2 = l2_begin(t);

	if (!l2)
		return;
	for (unsigned i = 0; i < ARRAY_SIZE(rows); i++)
		for (u32 length = 1; length <= 15; length += 7) {
			inject(l2, rows[i].info, 0, length, 0);
			CHECK_EQ(t, (u64)l2_delivered(l2), rows[i].vector);
			/* "The value pushed … RIP … plus the VM-entry instruction length". */
			CHECK_EQ(t, l2_frame(l2)[0], l2->start + length);
		}
	/* From CPL 3 the gate's DPL counts for software interrupts. */
	*gate(0x80) &= ~(3ull << GATE_DPL_BIT);
	l2_goto_user(l2, inj_nop);
	l2_inject(rows[0].info, 0, 2);
	l2_run(l2);
	check_vectoring(t, l2, VECTOR_GP, 0x80 * 8 + 2, rows[0].info);
}

PROBE_CASE(event_delivery_fault, "vmx.event.delivery_fault", CASE_EACH_CPU)
{
	struct l2 *l2 = l2_begin(t);
	u32 info;

	if (!l2)
		return;
	for (unsigned v = 0; v < 256; v++)
		*gate(v) &= ~BIT(GATE_PRESENT_BIT);
	/* EXT is 1 for what is external to the program, 0 for INT n. */
	info = EVENT(INTR_TYPE_EXTERNAL, 0x77);
	inject(l2, info, 0, 0, RFLAGS_IF);
	check_vectoring(t, l2, VECTOR_NP, 0x77 * 8 + 3, info);
	info = EVENT(INTR_TYPE_SW_INTERRUPT, 0x78);
	inject(l2, info, 0, 2, 0);
	check_vectoring(t, l2, VECTOR_NP, 0x78 * 8 + 2, info);
	CHECK_EQ(t, l2->exit.length, 2);
	info = EVENT(INTR_TYPE_SW_EXCEPTION, VECTOR_BP);
	inject(l2, info, 0, 1, 0);
	check_vectoring(t, l2, VECTOR_NP, VECTOR_BP * 8 + 2, info);
	CHECK_EQ(t, l2->exit.length, 1);
	info = EVENT(INTR_TYPE_HW_EXCEPTION, VECTOR_GP) | WITH_CODE;
	inject(l2, info, 0x1230, 0, 0);
	check_vectoring(t, l2, VECTOR_NP, VECTOR_GP * 8 + 3, info);
	CHECK_EQ(t, l2->exit.idt_error, 0x1230);
	info = EVENT(INTR_TYPE_HW_EXCEPTION, VECTOR_UD);
	inject(l2, info, 0, 0, 0);
	check_vectoring(t, l2, VECTOR_NP, VECTOR_UD * 8 + 3, info);

	/* #NP not intercepted: contributory upon contributory is #DF, whose exit has no vectoring.
	 */
	vmwrite(VMCS_EXCEPTION_BITMAP, (u32)BIT(VECTOR_DF));
	inject(l2, EVENT(INTR_TYPE_HW_EXCEPTION, VECTOR_GP) | WITH_CODE, 0, 0, 0);
	CHECK_EXCEPTION(t, l2, VECTOR_DF, 0, 0);
	/* "… encounters … #DF … not intercepted": a triple fault, without any information. */
	vmwrite(VMCS_EXCEPTION_BITMAP, 0);
	inject(l2, EVENT(INTR_TYPE_HW_EXCEPTION, VECTOR_GP) | WITH_CODE, 0, 0, 0);
	CHECK_EXIT_QUAL(t, l2, REASON_TRIPLE_FAULT, 0);
	CHECK_EQ(t, l2->exit.idt_info & INTR_INFO_VALID, 0);
}

PROBE_CASE(event_delivery_page, "vmx.event.delivery_page_fault", CASE_EACH_CPU)
{
	struct l2 *l2 = l2_begin(t);
	u32 info = EVENT(INTR_TYPE_EXTERNAL, 0x66);

	if (!l2)
		return;
	memory_map(WINDOW_BASE, 0, PAGE_SIZE, PAGE_SIZE, 0);
	l2_goto(l2, inj_nop);
	vmwrite(VMCS_GUEST_RFLAGS, RFLAGS_FIXED | RFLAGS_IF);
	vmwrite(VMCS_GUEST_RSP, WINDOW_BASE + 0x800);
	l2_inject(info, 0, 0);
	l2_run(l2);
	check_vectoring(t, l2, VECTOR_PF, 2, info);
	CHECK_EQ(t, l2->exit.qualification, WINDOW_BASE + 0x7f8);
	CHECK_EQ(t, l2->exit.rsp, WINDOW_BASE + 0x800);
	/* What hypervisors do: the page is there now, the event is injected again. */
	memory_map(WINDOW_BASE, (u64)vmx_pages(1), PAGE_SIZE, PAGE_SIZE, PTE_P | PTE_W);
	l2_inject(l2->exit.idt_info, 0, 0);
	l2_run(l2);
	CHECK_EQ(t, (u64)l2_delivered(l2), 0x66);
	CHECK_EQ(t, l2_frame(l2)[0], l2->start);
	memory_map(WINDOW_BASE, 0, PAGE_SIZE, PAGE_SIZE, 0);
}

/* The same with EPT: the violation is an exit during delivery. */
PROBE_CASE(event_delivery_ept, "vmx.event.delivery_ept_violation", CASE_EACH_CPU)
{
	struct l2 *l2 = l2_begin(t);
	u32 info = EVENT(INTR_TYPE_HW_EXCEPTION, VECTOR_GP) | WITH_CODE;
	u64 page;

	if (!l2)
		return;
	L2_NEED_EPT(t, l2);
	page = (u64)vmx_pages(1);
	*ept_slot(l2->ept, page, 1) &= ~(u64)EPT_WRITE;
	ept_flush(l2->ept);
	l2_goto(l2, inj_nop);
	vmwrite(VMCS_GUEST_RSP, page + 0x400);
	l2_inject(info, 0x4448, 0);
	l2_run(l2);
	CHECK_EXIT(t, l2, REASON_EPT_VIOLATION);
	CHECK_EQ(t, l2->exit.qualification & 0x1bf,
		 EPT_VIOLATION_WRITE | EPT_VIOLATION_WAS_READABLE | EPT_VIOLATION_WAS_EXECUTABLE |
			 EPT_VIOLATION_LINEAR_VALID | EPT_VIOLATION_TRANSLATED);
	CHECK_EQ(t, l2->exit.physical, page + 0x3f8);
	CHECK_EQ(t, l2->exit.linear, page + 0x3f8);
	CHECK_EQ(t, l2->exit.idt_info & ~INTR_INFO_NMI_UNBLOCK, info);
	CHECK_EQ(t, l2->exit.idt_error, 0x4448);
	ept_map_page(l2->ept, page, page, EPT_RWX);
	l2_inject(l2->exit.idt_info & ~(u32)INTR_INFO_NMI_UNBLOCK, l2->exit.idt_error, 0);
	l2_run(l2);
	CHECK_EQ(t, (u64)l2_delivered(l2), VECTOR_GP);
	CHECK_EQ(t, l2_frame(l2)[0], 0x4448);
}

PROBE_CASE(event_hlt, "vmx.event.into_hlt", CASE_EACH_CPU)
{
	struct l2 *l2 = l2_begin(t);

	if (!l2)
		return;
	SKIP_UNLESS(t, rdmsr(MSR_IA32_VMX_MISC) & VMX_MISC_HLT, "no HLT state");
	l2_goto(l2, inj_nop);
	vmwrite(VMCS_GUEST_RFLAGS, RFLAGS_FIXED | RFLAGS_IF);
	vmwrite(VMCS_GUEST_ACTIVITY_STATE, ACTIVITY_HLT);
	l2_inject(EVENT(INTR_TYPE_EXTERNAL, 0x55), 0, 0);
	l2_run(l2);
	CHECK_EQ(t, (u64)l2_delivered(l2), 0x55);
	CHECK_EQ(t, l2_frame(l2)[0], l2->start);
	CHECK_EQ(t, l2->exit.activity, ACTIVITY_ACTIVE);
}

/* An event and an open window: the event is delivered first, and closes the window. */
PROBE_CASE(event_with_window, "vmx.event.with_interrupt_window", CASE_EACH_CPU)
{
	struct l2 *l2 = l2_begin(t);

	if (!l2)
		return;
	L2_NEED(t, CTL_CPU, CPU_INTR_WINDOW_EXITING);
	inject(l2, EVENT(INTR_TYPE_EXTERNAL, 0x44), 0, 0, RFLAGS_IF);
	CHECK_EQ(t, (u64)l2_delivered(l2), 0x44);
	/* A trap gate leaves IF: the window opens at the handler's first instruction. */
	*gate(0x44) |= BIT(40);
	inject(l2, EVENT(INTR_TYPE_EXTERNAL, 0x44), 0, 0, RFLAGS_IF);
	CHECK_EXIT_QUAL(t, l2, REASON_INTERRUPT_WINDOW, 0);
	CHECK(t, l2->exit.rip != l2->start, "the event was not delivered");
	CHECK_EQ(t, *(const u64 *)l2->exit.rsp, l2->start);
	CHECK_EQ(t, l2->exit.idt_info & INTR_INFO_VALID, 0);
}

/* SDM "Virtual NMIs": injection blocks, IRET of L2 unblocks, the window exit waits for it. */
PROBE_CASE(event_virtual_nmi, "vmx.event.virtual_nmi", CASE_EACH_CPU)
{
	struct l2 *l2 = l2_begin(t);
	u64 *entry, handler = (u64)inj_iret;

	if (!l2)
		return;
	L2_NEED(t, CTL_PIN, PIN_VIRTUAL_NMIS);
	inject(l2, EVENT(INTR_TYPE_NMI, VECTOR_NMI), 0, 0, 0);
	CHECK_EQ(t, (u64)l2_delivered(l2), VECTOR_NMI);
	CHECK_EQ(t, l2_frame(l2)[0], l2->start);
	CHECK_EQ(t, l2->exit.interruptibility, INTERRUPTIBILITY_NMI);
	/* IRET ends it. */
	l2_goto(l2, inj_iret_self);
	vmwrite(VMCS_GUEST_INTERRUPTIBILITY, INTERRUPTIBILITY_NMI);
	l2_run(l2);
	CHECK_EXIT(t, l2, REASON_VMCALL);
	CHECK_EQ(t, l2->exit.interruptibility, 0);
	L2_NEED(t, CTL_CPU, CPU_NMI_WINDOW_EXITING);
	/* Open at the entry; closed until the IRET. */
	L2_EXITS(t, l2, inj_nop, REASON_NMI_WINDOW, 0);
	CHECK_RIP(t, l2, 0);
	l2_goto(l2, inj_iret_self);
	vmwrite(VMCS_GUEST_INTERRUPTIBILITY, INTERRUPTIBILITY_NMI);
	l2_run(l2);
	CHECK_EXIT_QUAL(t, l2, REASON_NMI_WINDOW, 0);
	CHECK_EQ(t, l2->exit.interruptibility, 0);
	CHECK_EQ(t, l2->exit.rip, *(const u64 *)(l2->exit.rsp - 40));
	/* Injected with the window wanted: handler, IRET, window. */
	entry = gate(VECTOR_NMI);
	entry[0] = (entry[0] & BITS(47, 16)) | (handler & 0xffff) | (handler >> 16 & 0xffff) << 48;
	inject(l2, EVENT(INTR_TYPE_NMI, VECTOR_NMI), 0, 0, 0);
	CHECK_EXIT_QUAL(t, l2, REASON_NMI_WINDOW, 0);
	CHECK_RIP(t, l2, 0);
}
