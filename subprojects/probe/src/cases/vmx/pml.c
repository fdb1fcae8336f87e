/* SPDX-License-Identifier: BSD-2-Clause */
/* SDM "Accessed and Dirty Flags for EPT", "Page-Modification Logging". */
#include "exits.h"
#include "vmx/eptmap.h"

L2_CODE(ad_read, "mov (%rbx), %rax");
L2_CODE(ad_write, "mov %rax, (%rbx)");
L2_CODE(ad_read_then_write, "mov (%rbx), %rax\nmov %rax, (%rbx)");
L2_CODE(ad_call, "call *%rbx");
L2_CODE(ad_nop, "nop");

/* Linear and guest-physical; no memory is there. Its neighbours are mapped as well. */
static const u64 GPA = 0x80040000;
enum { NEIGHBOURS = 16, LOG_ENTRIES = 512 };

static const u64 AD = EPT_ACCESSED | EPT_DIRTY;

struct flags {
	struct l2 *l2;
	u64 pages;
	u64 *leaf; /* of GPA; NEIGHBOURS of them in a row */
	u64 *log;  /* of begin_log() */
};

static void run_at(struct l2 *l2, const u8 *code, u64 address)
{
	l2_goto(l2, code);
	l2->regs.rbx = address;
	l2_run(l2);
}

static bool begin(struct run *t, struct flags *s)
{
	s->l2 = l2_begin(t);
	if (!s->l2)
		return false;
	if (!l2_ept(s->l2) || !(vmx_ept_vpid_cap() & EPT_CAP_AD)) {
		run_skip(t, "no accessed and dirty flags");
		return false;
	}
	s->pages = (u64)vmx_pages(NEIGHBOURS);
	s->leaf = ept_slot(s->l2->ept, GPA, 1);
	for (u64 i = 0; i < NEIGHBOURS; i++) {
		s->leaf[i] = (s->pages + i * PAGE_SIZE) | EPT_RWX | ept_memtype_bits(MEMTYPE_WB);
		((u8 *)s->pages)[i * PAGE_SIZE] = 0xc3; /* RET */
	}
	vmwrite(VMCS_EPT_POINTER, ept_pointer(s->l2->ept) | EPTP_AD);
	ept_flush(s->l2->ept);
	return true;
}

static u64 flags_at(const struct flags *s, unsigned level)
{
	return *ept_slot(s->l2->ept, GPA, level) & AD;
}

PROBE_CASE(ad_levels, "vmx.ept.ad_levels", CASE_EACH_CPU)
{
	struct flags s;

	if (!begin(t, &s))
		return;
	run_at(s.l2, ad_nop, 0);
	CHECK_EXIT(t, s.l2, REASON_VMCALL);
	CHECK_EQ(t, s.leaf[0] & AD, 0);
	run_at(s.l2, ad_read, GPA);
	for (unsigned level = 1; level <= EPT_LEVELS; level++)
		CHECK_EQ(t, flags_at(&s, level), EPT_ACCESSED);
	for (unsigned i = 1; i < NEIGHBOURS; i++)
		CHECK_EQ(t, s.leaf[i] & AD, 0);
	run_at(s.l2, ad_write, GPA);
	CHECK_EQ(t, flags_at(&s, 1), AD);
	/* The dirty flag is the leaf's alone. */
	for (unsigned level = 2; level <= EPT_LEVELS; level++)
		CHECK_EQ(t, flags_at(&s, level), EPT_ACCESSED);
	run_at(s.l2, ad_call, GPA + 2 * PAGE_SIZE);
	CHECK_EXIT(t, s.l2, REASON_VMCALL);
	CHECK_EQ(t, s.leaf[2] & AD, EPT_ACCESSED);
	run_at(s.l2, ad_read_then_write, GPA + 3 * PAGE_SIZE);
	CHECK_EQ(t, s.leaf[3] & AD, AD);
	run_at(s.l2, ad_write, GPA + 4 * PAGE_SIZE);
	CHECK_EQ(t, s.leaf[4] & AD, AD);
	CHECK_EQ(t, s.leaf[1] & AD, 0);
	CHECK_EQ(t, s.leaf[5] & AD, 0);
	/* Cleared and flushed they are set again. */
	s.leaf[0] &= ~AD;
	ept_flush(s.l2->ept);
	run_at(s.l2, ad_read, GPA);
	CHECK_EQ(t, s.leaf[0] & AD, EPT_ACCESSED);
	run_at(s.l2, ad_write, GPA);
	CHECK_EQ(t, s.leaf[0] & AD, AD);
	/* A violation sets nothing. */
	s.leaf[6] &= ~(u64)EPT_WRITE;
	ept_flush(s.l2->ept);
	run_at(s.l2, ad_write, GPA + 6 * PAGE_SIZE);
	CHECK_EXIT(t, s.l2, REASON_EPT_VIOLATION);
	CHECK_EQ(t, s.leaf[6] & AD, 0);
	/* Bit 6 of the pointer clear: neither. */
	vmwrite(VMCS_EPT_POINTER, ept_pointer(s.l2->ept));
	ept_flush(s.l2->ept);
	run_at(s.l2, ad_write, GPA + 7 * PAGE_SIZE);
	CHECK_EXIT(t, s.l2, REASON_VMCALL);
	CHECK_EQ(t, s.leaf[7] & AD, 0);
}

/* "Processor accesses to guest paging-structure entries are treated as writes". */
PROBE_CASE(ad_walk, "vmx.ept.ad_page_walk", CASE_EACH_CPU)
{
	struct flags s;
	u64 root, *slot;

	if (!begin(t, &s))
		return;
	root = read_cr3();
	slot = ept_slot(s.l2->ept, root, 1);
	ept_flush(s.l2->ept);
	run_at(s.l2, ad_nop, 0);
	CHECK_EXIT(t, s.l2, REASON_VMCALL);
	CHECK_EQ(t, *slot & AD, AD);
	*slot &= ~(u64)EPT_WRITE;
	ept_flush(s.l2->ept);
	run_at(s.l2, ad_nop, 0);
	CHECK_EXIT(t, s.l2, REASON_EPT_VIOLATION);
	CHECK_EQ(t, s.l2->exit.physical & ~(PAGE_SIZE - 1), root);
	CHECK_EQ(t, s.l2->exit.qualification & (BITS(5, 1) | EPT_VIOLATION_TRANSLATED),
		 EPT_VIOLATION_WRITE | EPT_VIOLATION_WAS_READABLE | EPT_VIOLATION_WAS_EXECUTABLE);
	CHECK_RIP(t, s.l2, 0);
}

/*
 * "If such an access causes an EPT violation, the processor sets both bit 0 and bit 1 of the exit
 * qualification." Bochs 2.7 sets bit 1.
 */
PROBE_CASE(ad_walk_qualification, "vmx.ept.ad_walk_qualification", CASE_EACH_CPU | CASE_EXPLICIT)
{
	struct flags s;

	if (!begin(t, &s))
		return;
	*ept_slot(s.l2->ept, read_cr3(), 1) &= ~(u64)EPT_WRITE;
	ept_flush(s.l2->ept);
	run_at(s.l2, ad_nop, 0);
	CHECK_EXIT(t, s.l2, REASON_EPT_VIOLATION);
	CHECK_EQ(t, s.l2->exit.qualification & BITS(2, 0),
		 EPT_VIOLATION_READ | EPT_VIOLATION_WRITE);
}

/* A large page has flags of its own, and one for all of it. */
PROBE_CASE(ad_large, "vmx.ept.ad_large_page", CASE_EACH_CPU)
{
	const u64 gpa = 0x90000000;
	struct flags s;
	u64 *entry;

	if (!begin(t, &s))
		return;
	entry = ept_slot(s.l2->ept, gpa, 2);
	*entry = ALIGN_DOWN(s.pages, 2 * MIB) | EPT_LARGE | EPT_RWX | ept_memtype_bits(MEMTYPE_WB);
	ept_flush(s.l2->ept);
	run_at(s.l2, ad_read, gpa + 5 * PAGE_SIZE);
	CHECK_EXIT(t, s.l2, REASON_VMCALL);
	CHECK_EQ(t, *entry & AD, EPT_ACCESSED);
	run_at(s.l2, ad_write, gpa + (s.pages & (2 * MIB - 1)));
	CHECK_EXIT(t, s.l2, REASON_VMCALL);
	CHECK_EQ(t, *entry & AD, AD);
	CHECK_EQ(t, *ept_slot(s.l2->ept, gpa, 3) & AD, EPT_ACCESSED);
}

static bool begin_log(struct run *t, struct flags *s)
{
	if (!begin(t, s))
		return false;
	if (!l2_enable(CTL_CPU2, CPU2_PML)) {
		run_skip(t, "no page-modification logging");
		return false;
	}
	s->log = vmx_pages(1);
	vmwrite(VMCS_PML_ADDRESS, (u64)s->log);
	/* All that L2 needs to run is dirty already, and nothing of this is in the log. */
	l2_disable(CTL_CPU2, CPU2_PML);
	run_at(s->l2, ad_read, GPA + (NEIGHBOURS - 1) * PAGE_SIZE);
	CHECK_EXIT(t, s->l2, REASON_VMCALL);
	run_at(s->l2, ad_call, GPA + (NEIGHBOURS - 1) * PAGE_SIZE);
	CHECK_EXIT(t, s->l2, REASON_VMCALL);
	l2_enable(CTL_CPU2, CPU2_PML);
	vmwrite(VMCS_PML_INDEX, LOG_ENTRIES - 1);
	return true;
}

PROBE_CASE(pml_log, "vmx.pml.log", CASE_EACH_CPU)
{
	struct flags s;

	if (!begin_log(t, &s))
		return;
	for (u64 i = 0; i < 5; i++) {
		u64 index = LOG_ENTRIES - 1 - i;

		/* Reading logs nothing; the first write does, and no other. */
		run_at(s.l2, ad_read, GPA + i * PAGE_SIZE + 0x340);
		CHECK_EXIT(t, s.l2, REASON_VMCALL);
		CHECK_EQ(t, vmread(VMCS_PML_INDEX), index);
		run_at(s.l2, ad_write, GPA + i * PAGE_SIZE + 0x340);
		CHECK_EXIT(t, s.l2, REASON_VMCALL);
		CHECK_EQ(t, ALIGN_DOWN(s.log[index], PAGE_SIZE), GPA + i * PAGE_SIZE);
		CHECK_EQ(t, vmread(VMCS_PML_INDEX), index - 1);
		run_at(s.l2, ad_write, GPA + i * PAGE_SIZE + 0x350);
		CHECK_EXIT(t, s.l2, REASON_VMCALL);
		CHECK_EQ(t, vmread(VMCS_PML_INDEX), index - 1);
	}
	/* Clean again: logged again. */
	s.leaf[2] &= ~(u64)EPT_DIRTY;
	ept_flush(s.l2->ept);
	run_at(s.l2, ad_write, GPA + 2 * PAGE_SIZE);
	CHECK_EQ(t, s.log[LOG_ENTRIES - 6], GPA + 2 * PAGE_SIZE);
	CHECK_EQ(t, vmread(VMCS_PML_INDEX), LOG_ENTRIES - 7);
	/* Down to entry 0, whose successor is FFFFH. */
	vmwrite(VMCS_PML_INDEX, 0);
	run_at(s.l2, ad_write, GPA + 6 * PAGE_SIZE);
	CHECK_EXIT(t, s.l2, REASON_VMCALL);
	CHECK_EQ(t, s.log[0], GPA + 6 * PAGE_SIZE);
	CHECK_EQ(t, vmread(VMCS_PML_INDEX), 0xffff);
}

/* "If the value of the PML index is not in the range 0–511, there is a page-modification log-full
 * event": before the access, and before any flag is set. */
PROBE_CASE(pml_full, "vmx.pml.full", CASE_EACH_CPU)
{
	static const u64 indices[] = {0xffff, LOG_ENTRIES, 0x8000};
	struct flags s;
	u64 *word;

	if (!begin_log(t, &s))
		return;
	word = (u64 *)(s.pages + PAGE_SIZE + 0x18);
	for (unsigned i = 0; i < ARRAY_SIZE(indices); i++) {
		*word = 7;
		vmwrite(VMCS_PML_INDEX, indices[i]);
		l2_goto(s.l2, ad_write);
		s.l2->regs.rbx = GPA + PAGE_SIZE + 0x18;
		s.l2->regs.rax = 8;
		l2_run(s.l2);
		CHECK_EXIT_QUAL(t, s.l2, REASON_PML_FULL, 0);
		CHECK_RIP(t, s.l2, 0);
		CHECK_EQ(t, s.leaf[1] & AD, 0);
		CHECK_EQ(t, *word, 7);
		CHECK_EQ(t, vmread(VMCS_PML_INDEX), indices[i]);
	}
	/* With room again the access is made. */
	vmwrite(VMCS_PML_INDEX, LOG_ENTRIES - 1);
	l2_run(s.l2);
	CHECK_EXIT(t, s.l2, REASON_VMCALL);
	CHECK_EQ(t, *word, 8);
	CHECK_EQ(t, ALIGN_DOWN(s.log[LOG_ENTRIES - 1], PAGE_SIZE), GPA + PAGE_SIZE);
}

/* "The guest-physical address of the access, 4-KByte aligned": Bochs 2.7 writes all of it. */
PROBE_CASE(pml_aligned, "vmx.pml.aligned_entry", CASE_EACH_CPU | CASE_EXPLICIT)
{
	struct flags s;

	if (!begin_log(t, &s))
		return;
	run_at(s.l2, ad_write, GPA + 0x340);
	CHECK_EXIT(t, s.l2, REASON_VMCALL);
	CHECK_EQ(t, s.log[LOG_ENTRIES - 1], GPA);
}

/*
 * "Before allowing a guest-physical access, the processor may determine that it first needs to set
 * an accessed or dirty flag for EPT. When this happens, the processor examines the PML index."
 * Bochs 2.7 does for every write.
 */
PROBE_CASE(pml_full_dirty, "vmx.pml.full_needs_a_flag_to_set", CASE_EACH_CPU | CASE_EXPLICIT)
{
	struct flags s;

	if (!begin_log(t, &s))
		return;
	run_at(s.l2, ad_write, GPA + PAGE_SIZE);
	CHECK_EXIT(t, s.l2, REASON_VMCALL);
	/* A page that is dirty needs no entry, one without the right to write is a violation. */
	vmwrite(VMCS_PML_INDEX, 0xffff);
	run_at(s.l2, ad_write, GPA + PAGE_SIZE + 0x18);
	CHECK_EXIT(t, s.l2, REASON_VMCALL);
	s.leaf[3] &= ~(u64)EPT_WRITE;
	ept_flush(s.l2->ept);
	run_at(s.l2, ad_write, GPA + 3 * PAGE_SIZE);
	CHECK_EXIT(t, s.l2, REASON_EPT_VIOLATION);
}
