/* SPDX-License-Identifier: BSD-2-Clause */
/* SDM "APIC Virtualization and Virtual Interrupts". */
#include "exits.h"
#include "layout.h"
#include "memory.h"
#include "string.h"
#include "vmx/eptmap.h"

L2_CODE(va_cr8_write, "mov %rax, %cr8");
L2_CODE(va_cr8_read, "mov %cr8, %rax");
L2_CODE(va_cr8_lower, "mov %rax, %cr8\nnop");
L2_CODE(va_read, "movl (%rbx), %eax");
L2_CODE(va_write, "movl %eax, (%rbx)");
L2_CODE(va_call, "call *%rbx");
L2_CODE(va_rdmsr, "rdmsr");
L2_CODE(va_wrmsr, "wrmsr");
L2_CODE(va_sti, "sti\nnop\nnop");

enum {
	VTPR = 0x80,
	VEOI = 0xb0,
	VLDR = 0xd0,
	VICR_LO = 0x300,
	VISR = 0x100,
	VIRR = 0x200,
	ACCESS_READ = 0 << 12,
	ACCESS_WRITE = 1 << 12,
	ACCESS_FETCH = 2 << 12,
};

/* TPR shadow on, with a virtual-APIC page; NULL if the case is over. */
static u32 *begin(struct run *t, struct l2 **out)
{
	struct l2 *l2 = l2_begin(t);
	u32 *page;

	*out = l2;
	if (!l2)
		return NULL;
	if (!l2_enable(CTL_CPU, CPU_TPR_SHADOW)) {
		run_skip(t, "no TPR shadow");
		return NULL;
	}
	page = vmx_pages(1);
	vmwrite(VMCS_VIRTUAL_APIC_ADDR, (u64)page);
	vmwrite(VMCS_TPR_THRESHOLD, 0);
	return page;
}

/* begin(), and an APIC-access page; these secondary controls are on, or the case is over. */
static u32 *begin_access(struct run *t, struct l2 **l2, u64 controls, u64 *access)
{
	u32 *page = begin(t, l2);

	if (!page)
		return NULL;
	if (!l2_enable(CTL_CPU2, CPU2_VIRTUAL_APIC_ACCESSES | controls)) {
		run_skip(t, "no such APIC virtualization");
		return NULL;
	}
	*access = (u64)vmx_pages(1);
	vmwrite(VMCS_APIC_ACCESS_ADDR, *access);
	return page;
}

static void run_with(struct l2 *l2, const u8 *code, u64 rax, u64 rbx)
{
	l2_goto(l2, code);
	l2->regs.rax = rax;
	l2->regs.rbx = rbx;
	l2_run(l2);
}

PROBE_CASE(apic_tpr, "vmx.exit.tpr_shadow", CASE_EACH_CPU)
{
	struct l2 *l2;
	u32 *page = begin(t, &l2);

	if (!page)
		return;
	write_cr8(9);
	run_with(l2, va_cr8_write, 5, 0);
	CHECK_EXIT(t, l2, REASON_VMCALL);
	CHECK_EQ(t, page[VTPR / 4], 0x50);
	CHECK_EQ(t, read_cr8(), 9);
	page[VTPR / 4] = 0x7c;
	run_with(l2, va_cr8_read, 0, 0);
	CHECK_EQ(t, l2->regs.rax, 7);
	/* #GP for reserved bits all the same. */
	run_with(l2, va_cr8_write, 16, 0);
	CHECK_EXCEPTION(t, l2, VECTOR_GP, 0, 0);
	/* Below the threshold after the write: trap-like. */
	page[VTPR / 4] = 0x70;
	vmwrite(VMCS_TPR_THRESHOLD, 4);
	run_with(l2, va_cr8_lower, 4, 0);
	CHECK_EXIT(t, l2, REASON_VMCALL);
	page[VTPR / 4] = 0x70;
	run_with(l2, va_cr8_lower, 3, 0);
	CHECK_EXIT_QUAL(t, l2, REASON_TPR_BELOW_THRESHOLD, 0);
	CHECK_RIP(t, l2, 4);
	CHECK_EQ(t, page[VTPR / 4], 0x30);
	write_cr8(0);
}

PROBE_CASE(apic_access, "vmx.exit.apic_access", CASE_EACH_CPU)
{
	struct l2 *l2;
	u64 access;
	u32 *page = begin_access(t, &l2, 0, &access);

	if (!page)
		return;
	memory_map(WINDOW_BASE, access, PAGE_SIZE, PAGE_SIZE, PTE_P | PTE_W);
	for (unsigned ept = 0; ept < 2; ept++) {
		if (ept && !l2_ept(l2))
			break;
		page[VTPR / 4] = 0x60;
		run_with(l2, va_read, 0, WINDOW_BASE + VTPR);
		CHECK_EXIT(t, l2, REASON_VMCALL);
		CHECK_EQ(t, l2->regs.rax, 0x60);
		run_with(l2, va_write, 0x40, WINDOW_BASE + VTPR);
		CHECK_EXIT(t, l2, REASON_VMCALL);
		CHECK_EQ(t, page[VTPR / 4], 0x40);
		run_with(l2, va_read, 0, WINDOW_BASE + VLDR);
		CHECK_EXIT_QUAL(t, l2, REASON_APIC_ACCESS, VLDR | ACCESS_READ);
		CHECK_RIP(t, l2, 0);
		run_with(l2, va_write, 0, WINDOW_BASE + VEOI);
		CHECK_EXIT_QUAL(t, l2, REASON_APIC_ACCESS, VEOI | ACCESS_WRITE);
		/* Other pages are not concerned. */
		run_with(l2, va_read, 0, access + PAGE_SIZE);
		CHECK_EXIT(t, l2, REASON_VMCALL);
	}
	memory_map(WINDOW_BASE, 0, PAGE_SIZE, PAGE_SIZE, 0);
}

/* An instruction fetch: Bochs 2.7 ends itself. */
PROBE_CASE(apic_fetch, "vmx.exit.apic_access_fetch", CASE_EACH_CPU | CASE_EXPLICIT)
{
	struct l2 *l2;
	u64 access;

	if (!begin_access(t, &l2, 0, &access))
		return;
	run_with(l2, va_call, 0, access + 0x400);
	CHECK_EXIT_QUAL(t, l2, REASON_APIC_ACCESS, 0x400 | ACCESS_FETCH);
}

PROBE_CASE(apic_registers, "vmx.exit.apic_register_virtualization", CASE_EACH_CPU)
{
	struct l2 *l2;
	u64 access;
	u32 *page = begin_access(t, &l2, CPU2_APIC_REGISTER_VIRT, &access);

	if (!page)
		return;
	page[VLDR / 4] = 0x12000000;
	run_with(l2, va_read, 0, access + VLDR);
	CHECK_EXIT(t, l2, REASON_VMCALL);
	CHECK_EQ(t, l2->regs.rax, 0x12000000);
	/* Writes happen in the page, then exit, after the instruction. */
	run_with(l2, va_write, 0x34000000, access + VLDR);
	CHECK_EXIT_QUAL(t, l2, REASON_APIC_WRITE, VLDR);
	CHECK_RIP(t, l2, 2);
	CHECK_EQ(t, page[VLDR / 4], 0x34000000);
	/* Not in the list of registers. */
	run_with(l2, va_read, 0, access + 0x390);
	CHECK_EXIT(t, l2, l2->exit.reason == REASON_VMCALL ? REASON_VMCALL : REASON_APIC_ACCESS);
	run_with(l2, va_write, 0, access + 0x100);
	CHECK_EXIT_QUAL(t, l2, REASON_APIC_ACCESS, 0x100 | ACCESS_WRITE);
}

PROBE_CASE(apic_x2apic, "vmx.exit.virtual_x2apic", CASE_EACH_CPU)
{
	struct l2 *l2;
	u32 *page = begin(t, &l2);

	if (!page)
		return;
	L2_NEED(t, CTL_CPU2, CPU2_VIRTUAL_X2APIC);
	L2_NEED(t, CTL_CPU, CPU_USE_MSR_BITMAPS);
	vmwrite(VMCS_MSR_BITMAP, (u64)vmx_pages(1));
	page[VTPR / 4] = 0x90;
	l2_goto(l2, va_rdmsr);
	l2->regs.rcx = MSR_X2APIC_BASE + VTPR / 16;
	l2_run(l2);
	CHECK_EXIT(t, l2, REASON_VMCALL);
	CHECK_EQ(t, l2->regs.rax, 0x90);
	l2_goto(l2, va_wrmsr);
	l2->regs.rcx = MSR_X2APIC_BASE + VTPR / 16;
	l2->regs.rax = 0x20;
	l2_run(l2);
	CHECK_EXIT(t, l2, REASON_VMCALL);
	CHECK_EQ(t, page[VTPR / 4], 0x20);
	CHECK_EQ(t, read_cr8(), 0);
	/* Reserved bits: #GP, as of the real one. */
	l2_goto(l2, va_wrmsr);
	l2->regs.rcx = MSR_X2APIC_BASE + VTPR / 16;
	l2->regs.rax = 0x100;
	l2_run(l2);
	CHECK_EXCEPTION(t, l2, VECTOR_GP, 0, 0);
}

PROBE_CASE(apic_virtual_interrupt, "vmx.exit.virtual_interrupts", CASE_EACH_CPU)
{
	enum { VECTOR = 0x75 };
	struct l2 *l2;
	u64 access;
	u32 *page = begin_access(t, &l2, CPU2_VIRTUAL_INTR_DELIVERY, &access);

	if (!page)
		return;
	for (unsigned i = 0; i < 4; i++)
		vmwrite(VMCS_EOI_EXIT_BITMAP0 + 2 * i, 0);
	/* Requested, not yet allowed: no delivery. */
	page[(VIRR + VECTOR / 32 * 16) / 4] = 1u << VECTOR % 32;
	vmwrite(VMCS_GUEST_INTERRUPT_STATUS, VECTOR);
	run_with(l2, va_read, 0, (u64)page);
	CHECK_EXIT(t, l2, REASON_VMCALL);
	CHECK_EQ(t, vmread(VMCS_GUEST_INTERRUPT_STATUS), VECTOR);
	/* Allowed: the CPU moves it from VIRR to VISR and goes through the IDT, without an exit. */
	l2_goto(l2, va_sti);
	l2_run(l2);
	CHECK_EQ(t, (u64)l2_delivered(l2), VECTOR);
	CHECK_EQ(t, l2_frame(l2)[0], l2->start + 2);
	CHECK_EQ(t, vmread(VMCS_GUEST_INTERRUPT_STATUS), VECTOR << 8);
	CHECK_EQ(t, page[(VIRR + VECTOR / 32 * 16) / 4], 0);
	CHECK_EQ(t, page[(VISR + VECTOR / 32 * 16) / 4], 1u << VECTOR % 32);
	/* Its EOI: nothing, unless the bitmap has it. */
	run_with(l2, va_write, 0, access + VEOI);
	CHECK_EXIT(t, l2, REASON_VMCALL);
	CHECK_EQ(t, vmread(VMCS_GUEST_INTERRUPT_STATUS), 0);
	CHECK_EQ(t, page[(VISR + VECTOR / 32 * 16) / 4], 0);
	page[(VISR + VECTOR / 32 * 16) / 4] = 1u << VECTOR % 32;
	vmwrite(VMCS_GUEST_INTERRUPT_STATUS, VECTOR << 8);
	vmwrite(VMCS_EOI_EXIT_BITMAP0 + VECTOR / 64 * 2, BIT(VECTOR % 64));
	run_with(l2, va_write, 0, access + VEOI);
	CHECK_EXIT_QUAL(t, l2, REASON_VIRTUALIZED_EOI, VECTOR);
	CHECK_RIP(t, l2, 2);
	CHECK_EQ(t, vmread(VMCS_GUEST_INTERRUPT_STATUS), 0);
	/* VTPR holds it back. */
	page[VTPR / 4] = 0x70;
	page[(VIRR + VECTOR / 32 * 16) / 4] = 1u << VECTOR % 32;
	vmwrite(VMCS_GUEST_INTERRUPT_STATUS, VECTOR);
	l2_goto(l2, va_sti);
	l2_run(l2);
	CHECK_EXIT(t, l2, REASON_VMCALL);
	CHECK_EQ(t, (u64)l2_delivered(l2), -1ull);
}
