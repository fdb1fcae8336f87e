/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Supervisor shadow-stack control, bit 7 of an EPTP, and bit 60 of EPT entries. SDM "EPT
 * Violations", "Exit Qualification for EPT Violations", "Accessed and Dirty Flags for EPT".
 */
#include <x86/cr.h>
#include <x86/msr.h>

#include "exits.h"
#include "layout.h"
#include "memory.h"
#include "vmx/eptmap.h"

/* A CALL that goes to the next instruction pushes nothing there. */
L2_CODE(ss_push, "call 1f\nnop\n1: nop");
/* Reads what it lets go. */
L2_CODE(ss_pop, "incsspq %rax");
L2_CODE(ss_read, "mov (%rbx), %rax");
L2_CODE(ss_write, "movq %rax, (%rbx)");

static const u64 GPA = 1ull << 33;
static const u64 SH_STK_EN = BIT(0);
/* SDM "Shadow-Stack Accesses": R/W clear and the dirty flag set make such a page. */
static const u64 PAGE_FLAGS = PTE_P | BIT(5) | BIT(6);
enum { SSP_AT = 0x800, DATA_AT = 0x340, MSR_U_CET = 0x6a0 };

static const u64 LINEAR = EPT_VIOLATION_LINEAR_VALID | EPT_VIOLATION_TRANSLATED;

struct setup {
	struct l2 *l2;
	u64 page; /* what GPA is mapped to, and is mapped at WINDOW_BASE */
	bool user;
};

static bool begin(struct run *t, struct setup *s)
{
	s->user = false;
	s->l2 = l2_begin(t);
	if (!s->l2)
		return false;
	if (!l2_ept(s->l2) || !(vmx_ept_vpid_cap() & EPT_CAP_SHADOW_STACK) ||
	    !(rdmsr(MSR_IA32_VMX_CR4_FIXED1) & CR4_CET) || !l2_enable(CTL_ENTRY, ENTRY_LOAD_CET) ||
	    !l2_enable(CTL_EXIT, EXIT_LOAD_CET)) {
		run_skip(t, "no supervisor shadow-stack control");
		return false;
	}
	vmwrite(VMCS_HOST_S_CET, 0);
	vmwrite(VMCS_HOST_SSP, 0);
	vmwrite(VMCS_HOST_INTERRUPT_SSP_TABLE, 0);
	vmwrite(VMCS_GUEST_INTERRUPT_SSP_TABLE, 0);
	vmcs_set_bits(VMCS_GUEST_CR0, CR0_WP);
	vmcs_set_bits(VMCS_GUEST_CR4, CR4_CET);
	s->page = (u64)vmx_pages(1);
	memory_map(WINDOW_BASE, GPA, PAGE_SIZE, PAGE_SIZE, PAGE_FLAGS);
	return true;
}

static void end(void)
{
	memory_map(WINDOW_BASE, 0, PAGE_SIZE, PAGE_SIZE, 0);
}

static void control(struct setup *s, bool on, u64 more)
{
	vmwrite(VMCS_EPT_POINTER,
		ept_pointer(s->l2->ept) | (on ? (u64)EPTP_SHADOW_STACK : 0) | more);
}

static void run_on(struct setup *s, const u8 *code)
{
	if (s->user)
		l2_goto_user(s->l2, code);
	else
		l2_goto(s->l2, code);
	vmwrite(VMCS_GUEST_S_CET, s->user ? 0 : SH_STK_EN);
	vmwrite(VMCS_GUEST_SSP, WINDOW_BASE + SSP_AT);
	s->l2->regs.rax = 1;
	s->l2->regs.rbx = WINDOW_BASE + DATA_AT;
	l2_run(s->l2);
}

static void check_run(struct run *t, struct setup *s, const char *what, const u8 *code, u64 access,
		      bool allowed, bool on, u64 entry)
{
	const struct l2_exit *e = &s->l2->exit;
	const bool data = code == ss_read || code == ss_write;
	const u64 offset = data ? DATA_AT : code == ss_push ? SSP_AT - 8 : SSP_AT;
	/* Bit 14 is of the page, and defined with the control. */
	const u64 seen = BITS(5, 0) | LINEAR | EPT_VIOLATION_SHADOW_STACK |
			 (on ? (u64)EPT_VIOLATION_SHADOW_STACK_PAGE : 0);
	const u64 wanted =
		access | (entry & EPT_RWX) << 3 | LINEAR |
		(data ? 0 : (u64)EPT_VIOLATION_SHADOW_STACK) |
		(on && (entry & EPT_SHADOW_STACK) ? (u64)EPT_VIOLATION_SHADOW_STACK_PAGE : 0);

	run_on(s, code);
	CHECK(t, e->reason == (allowed ? REASON_VMCALL : REASON_EPT_VIOLATION),
	      "%s, control %u, entry %lx: exit %x, interruption %x(%x)", what, on, entry, e->reason,
	      e->intr_info, e->intr_error);
	if (allowed || e->reason != REASON_EPT_VIOLATION)
		return;
	CHECK_EQ(t, e->qualification & seen, wanted);
	CHECK_EQ(t, e->physical, GPA + offset);
	CHECK_EQ(t, e->linear, WINDOW_BASE + offset);
}

/* What a page with this entry may be used for, with the control and without. */
static void check_entry(struct run *t, struct setup *s, u64 entry, bool on, bool shadow_stack)
{
	check_run(t, s, "push", ss_push, EPT_VIOLATION_WRITE,
		  on && !s->user ? shadow_stack : entry & EPT_WRITE, on, entry);
	check_run(t, s, "pop", ss_pop, EPT_VIOLATION_READ,
		  on && !s->user ? shadow_stack : entry & EPT_READ, on, entry);
	/* Other accesses go by the other rights. */
	check_run(t, s, "read", ss_read, EPT_VIOLATION_READ, entry & EPT_READ, on, entry);
}

static void check_entries(struct run *t, struct setup *s)
{
	static const u64 rights[] = {0, EPT_READ, EPT_READ | EPT_WRITE, EPT_READ | EPT_EXEC};

	for (unsigned on = 0; on < 2; on++) {
		control(s, on, 0);
		for (unsigned i = 0; i < 2 * ARRAY_SIZE(rights); i++) {
			const u64 mark = i & 1 ? (u64)EPT_SHADOW_STACK : 0;
			const u64 entry = rights[i / 2] | mark;

			ept_map_page(s->l2->ept, GPA, s->page, entry);
			check_entry(t, s, entry, on, mark && (entry & EPT_READ));
		}
	}
}

PROBE_CASE(sss_rights, "vmx.sss.rights", CASE_EACH_CPU)
{
	struct setup s;

	if (!begin(t, &s))
		return;
	check_entries(t, &s);
	/* Pushed there, and nowhere else. */
	control(&s, true, 0);
	ept_map_page(s.l2->ept, GPA, s.page, EPT_READ | EPT_SHADOW_STACK);
	*(u64 *)(s.page + SSP_AT - 8) = 0;
	run_on(&s, ss_push);
	CHECK_EXIT(t, s.l2, REASON_VMCALL);
	CHECK_EQ(t, *(u64 *)(s.page + SSP_AT - 8), (u64)ss_push + 5);
	CHECK_EQ(t, vmread(VMCS_GUEST_SSP), WINDOW_BASE + SSP_AT - 8);
	/* Not for writes of another kind. */
	memory_map(WINDOW_BASE, GPA, PAGE_SIZE, PAGE_SIZE, PAGE_FLAGS | PTE_W);
	check_run(t, &s, "write", ss_write, EPT_VIOLATION_WRITE, false, true,
		  EPT_READ | EPT_SHADOW_STACK);
	end();
}

/* A user shadow stack asks for no more than any access. */
PROBE_CASE(sss_user, "vmx.sss.user", CASE_EACH_CPU)
{
	struct setup s;

	if (!begin(t, &s))
		return;
	memory_map(WINDOW_BASE, GPA, PAGE_SIZE, PAGE_SIZE, PAGE_FLAGS | PTE_U);
	s.user = true;
	wrmsr(MSR_U_CET, SH_STK_EN);
	check_entries(t, &s);
	wrmsr(MSR_U_CET, 0);
	end();
}

/* The right is all entries' to read, all but the page's to write, and marked in the page's alone.
 */
PROBE_CASE(sss_levels, "vmx.sss.levels", CASE_EACH_CPU)
{
	const u64 good = EPT_READ | EPT_SHADOW_STACK;
	struct setup s;

	if (!begin(t, &s))
		return;
	control(&s, true, 0);
	for (unsigned level = 2; level < EPT_LEVELS; level++) {
		u64 *slot, old;

		ept_map_page(s.l2->ept, GPA, s.page, good);
		slot = ept_slot(s.l2->ept, GPA, level);
		old = *slot;
		run_on(&s, ss_push);
		CHECK_EXIT(t, s.l2, REASON_VMCALL);
		*slot = old & ~(u64)EPT_WRITE;
		ept_flush(s.l2->ept);
		run_on(&s, ss_push);
		CHECK_EXIT(t, s.l2, REASON_EPT_VIOLATION);
		run_on(&s, ss_pop);
		CHECK_EXIT(t, s.l2, REASON_EPT_VIOLATION);
		run_on(&s, ss_read);
		CHECK_EXIT(t, s.l2, REASON_VMCALL);
		*slot = old | EPT_SHADOW_STACK;
		ept_map_page(s.l2->ept, GPA, s.page, EPT_READ | EPT_WRITE);
		run_on(&s, ss_push);
		CHECK_EXIT(t, s.l2, REASON_EPT_VIOLATION);
		*slot = old;
		ept_flush(s.l2->ept);
	}
	end();
}

PROBE_CASE(sss_large, "vmx.sss.large_page", CASE_EACH_CPU)
{
	const u64 offset_mask = 2 * MIB - 1;
	struct setup s;
	u64 *slot;

	if (!begin(t, &s))
		return;
	control(&s, true, 0);
	memory_map(WINDOW_BASE, GPA + (s.page & offset_mask), PAGE_SIZE, PAGE_SIZE, PAGE_FLAGS);
	slot = ept_slot(s.l2->ept, GPA, 2);
	for (unsigned marked = 0; marked < 2; marked++) {
		*slot = ALIGN_DOWN(s.page, 2 * MIB) | EPT_LARGE | EPT_READ |
			ept_memtype_bits(MEMTYPE_WB) | (marked ? (u64)EPT_SHADOW_STACK : 0);
		ept_flush(s.l2->ept);
		run_on(&s, ss_push);
		CHECK_EXIT(t, s.l2, marked ? REASON_VMCALL : REASON_EPT_VIOLATION);
	}
	end();
}

/* After the hypervisor has granted the right, L2 goes on where it was; one map, the control off. */
PROBE_CASE(sss_resume, "vmx.sss.fault_and_resume", CASE_EACH_CPU)
{
	struct setup s;

	if (!begin(t, &s))
		return;
	control(&s, true, 0);
	ept_map_page(s.l2->ept, GPA, s.page, 0);
	run_on(&s, ss_push);
	CHECK_EXIT(t, s.l2, REASON_EPT_VIOLATION);
	ept_map_page(s.l2->ept, GPA, s.page, EPT_READ | EPT_WRITE);
	l2_run(s.l2);
	CHECK_EXIT(t, s.l2, REASON_EPT_VIOLATION);
	ept_map_page(s.l2->ept, GPA, s.page, EPT_READ | EPT_SHADOW_STACK);
	l2_run(s.l2);
	CHECK_EXIT(t, s.l2, REASON_VMCALL);
	control(&s, false, 0);
	ept_flush(s.l2->ept);
	run_on(&s, ss_push);
	CHECK_EXIT(t, s.l2, REASON_EPT_VIOLATION);
	control(&s, true, 0);
	ept_flush(s.l2->ept);
	run_on(&s, ss_push);
	CHECK_EXIT(t, s.l2, REASON_VMCALL);
	end();
}

PROBE_CASE(sss_ad, "vmx.sss.accessed_dirty", CASE_EACH_CPU)
{
	const u64 flags = EPT_ACCESSED | EPT_DIRTY, entry = EPT_READ | EPT_SHADOW_STACK;
	struct setup s;
	u64 *leaf;

	if (!begin(t, &s))
		return;
	SKIP_UNLESS(t, vmx_ept_vpid_cap() & EPT_CAP_AD, "no A/D flags");
	control(&s, true, EPTP_AD);
	ept_map_page(s.l2->ept, GPA, s.page, entry);
	leaf = ept_slot(s.l2->ept, GPA, 1);
	/* Read as anything else, then written as a shadow stack. */
	run_on(&s, ss_read);
	CHECK_EXIT(t, s.l2, REASON_VMCALL);
	CHECK_EQ(t, *leaf & flags, EPT_ACCESSED);
	run_on(&s, ss_push);
	CHECK_EXIT(t, s.l2, REASON_VMCALL);
	CHECK_EQ(t, *leaf & flags, flags);
	/* Written at once. */
	ept_map_page(s.l2->ept, GPA, s.page, entry);
	run_on(&s, ss_push);
	CHECK_EXIT(t, s.l2, REASON_VMCALL);
	CHECK_EQ(t, *leaf & flags, flags);
	/* A violation sets nothing. */
	ept_map_page(s.l2->ept, GPA, s.page, EPT_READ | EPT_WRITE);
	run_on(&s, ss_push);
	CHECK_EXIT(t, s.l2, REASON_EPT_VIOLATION);
	CHECK_EQ(t, *leaf & flags, 0);
	/* Read by a pop: accessed at least. */
	ept_map_page(s.l2->ept, GPA, s.page, entry);
	run_on(&s, ss_pop);
	CHECK_EXIT(t, s.l2, REASON_VMCALL);
	CHECK_EQ(t, *leaf & EPT_ACCESSED, EPT_ACCESSED);
	end();
}
