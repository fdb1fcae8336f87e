/* SPDX-License-Identifier: BSD-2-Clause */
/* SDM "EPT Violations", "EPT Misconfigurations", "Accessed and Dirty Flags for EPT". */
#include "exits.h"
#include "layout.h"
#include "memory.h"
#include "string.h"
#include "vmx/eptmap.h"

L2_CODE(ept_read, "mov (%rbx), %rax");
L2_CODE(ept_write, "movq %rax, (%rbx)");
L2_CODE(ept_xchg, "xchg %rax, (%rbx)");
L2_CODE(ept_call, "call *%rbx");
L2_CODE(ept_cpuid, "cpuid");

/* Linear window of L2 (and L1), and the guest-physical pages it maps: above what has RAM. */
static const u64 MISCONFIG_MEMTYPE = 2;

struct setup {
	struct l2 *l2;
	u64 page; /* what GPA is mapped to */
};

/* L2's WINDOW_BASE is guest-physical `gpa`, and that is a page of its own. */
static bool begin(struct run *t, struct setup *s, u64 gpa)
{
	s->l2 = l2_begin(t);
	if (!s->l2)
		return false;
	if (!l2_ept(s->l2)) {
		run_skip(t, "no EPT");
		return false;
	}
	s->page = (u64)vmx_pages(1);
	ept_map_page(s->l2->ept, gpa, s->page, EPT_RWX);
	memory_map(WINDOW_BASE, gpa, PAGE_SIZE, PAGE_SIZE, PTE_P | PTE_W);
	/* The code of ept_call's target: VMCALL. */
	memcpy((void *)(s->page + 0x800), "\x0f\x01\xc1", 3);
	return true;
}

static void end(void)
{
	memory_map(WINDOW_BASE, 0, PAGE_SIZE, PAGE_SIZE, 0);
}

static void run_at(struct l2 *l2, const u8 *code, u64 address)
{
	l2_goto(l2, code);
	l2->regs.rbx = address;
	l2_run(l2);
}

PROBE_CASE(ept_translation, "vmx.ept.translation", CASE_EACH_CPU)
{
	static const u64 gpas[] = {1ull << 32, (1ull << 33) + 0x5000, 0x7fff000ull,
				   (1ull << 34) - 4096};
	struct setup s;

	for (unsigned i = 0; i < ARRAY_SIZE(gpas); i++) {
		vmx_cleanup();
		if (!begin(t, &s, gpas[i]))
			return;
		*(u64 *)(s.page + 0x120) = 0x1234567890 + i;
		run_at(s.l2, ept_read, WINDOW_BASE + 0x120);
		CHECK_EXIT(t, s.l2, REASON_VMCALL);
		CHECK_EQ(t, s.l2->regs.rax, 0x1234567890 + i);
		l2_goto(s.l2, ept_write);
		s.l2->regs.rbx = WINDOW_BASE + 0x128;
		s.l2->regs.rax = 0x42 + i;
		l2_run(s.l2);
		CHECK_EQ(t, *(u64 *)(s.page + 0x128), 0x42 + i);
		run_at(s.l2, ept_call, WINDOW_BASE + 0x800);
		CHECK_EXIT(t, s.l2, REASON_VMCALL);
		CHECK_EQ(t, s.l2->exit.rip, WINDOW_BASE + 0x800);
	}
	end();
}

#define DEFINED_BITS (BITS(5, 0) | EPT_VIOLATION_LINEAR_VALID | EPT_VIOLATION_TRANSLATED)

static void check_violation(struct run *t, int line, struct l2 *l2, u64 qualification, u64 gpa,
			    u64 linear)
{
	check_exit(t, line, l2, REASON_EPT_VIOLATION);
	if (l2->exit.reason != REASON_EPT_VIOLATION)
		return;
	check_equal(t, line, "qualification", l2->exit.qualification & DEFINED_BITS, qualification);
	check_equal(t, line, "guest-physical address", l2->exit.physical, gpa);
	if (qualification & EPT_VIOLATION_LINEAR_VALID)
		check_equal(t, line, "guest-linear address", l2->exit.linear, linear);
	check_equal(t, line, "IDT-vectoring information", l2->exit.idt_info & INTR_INFO_VALID, 0);
}

#define VIOLATION(qualification, gpa, linear) \
	check_violation(t, __LINE__, s.l2, qualification, gpa, linear)

/* Every combination of rights that is no misconfiguration, every access. */
PROBE_CASE(ept_rights, "vmx.ept.rights", CASE_EACH_CPU)
{
	const u64 gpa = 1ull << 33, at = WINDOW_BASE + 0x340, code_at = WINDOW_BASE + 0x800;
	const u64 linear = EPT_VIOLATION_LINEAR_VALID | EPT_VIOLATION_TRANSLATED;
	struct setup s;

	if (!begin(t, &s, gpa))
		return;
	for (u64 rights = 0; rights < 8; rights++) {
		u64 seen = rights << 3 | linear;

		if ((rights & EPT_WRITE && !(rights & EPT_READ)) ||
		    (rights == EPT_EXEC && !(vmx_ept_vpid_cap() & EPT_CAP_EXEC_ONLY)))
			continue;
		ept_map_page(s.l2->ept, gpa, s.page, rights);
		run_at(s.l2, ept_read, at);
		if (rights & EPT_READ)
			CHECK_EXIT(t, s.l2, REASON_VMCALL);
		else
			VIOLATION(EPT_VIOLATION_READ | seen, gpa + 0x340, at);
		run_at(s.l2, ept_write, at);
		if (rights & EPT_WRITE)
			CHECK_EXIT(t, s.l2, REASON_VMCALL);
		else
			VIOLATION(EPT_VIOLATION_WRITE | seen, gpa + 0x340, at);
		run_at(s.l2, ept_call, code_at);
		if (rights & EPT_EXEC)
			CHECK_EXIT(t, s.l2, REASON_VMCALL);
		else
			VIOLATION(EPT_VIOLATION_FETCH | seen, gpa + 0x800, code_at);
	}
	/* No entry at a higher level. */
	for (unsigned level = 2; level <= 3; level++) {
		u64 *slot = ept_slot(s.l2->ept, gpa, level), old = *slot;

		*slot = 0;
		ept_flush(s.l2->ept);
		run_at(s.l2, ept_read, at);
		VIOLATION(EPT_VIOLATION_READ | linear, gpa + 0x340, at);
		/* "The logical AND of the bits in the entries used": taken away above the leaf. */
		*slot = old & ~(u64)EPT_WRITE;
		ept_map_page(s.l2->ept, gpa, s.page, EPT_RWX);
		*slot = old & ~(u64)EPT_WRITE;
		ept_flush(s.l2->ept);
		run_at(s.l2, ept_write, at);
		VIOLATION(EPT_VIOLATION_WRITE | EPT_VIOLATION_WAS_READABLE |
				  EPT_VIOLATION_WAS_EXECUTABLE | linear,
			  gpa + 0x340, at);
		*slot = old;
		ept_flush(s.l2->ept);
	}
	end();
}

/* After the hypervisor has granted the right, L2 goes on where it was. */
PROBE_CASE(ept_resume, "vmx.ept.fault_and_resume", CASE_EACH_CPU)
{
	const u64 gpa = 1ull << 33, at = WINDOW_BASE + 0x10;
	struct setup s;

	if (!begin(t, &s, gpa))
		return;
	*(u64 *)(s.page + 0x10) = 99;
	ept_map_page(s.l2->ept, gpa, s.page, 0);
	run_at(s.l2, ept_xchg, at);
	CHECK_EXIT(t, s.l2, REASON_EPT_VIOLATION);
	/* "Read and write for a read-modify-write" may be reported as both or as one of them. */
	CHECK(t, s.l2->exit.qualification & 3, "qualification %lx", s.l2->exit.qualification);
	ept_map_page(s.l2->ept, gpa, s.page, EPT_READ);
	l2_run(s.l2);
	CHECK_EXIT(t, s.l2, REASON_EPT_VIOLATION);
	CHECK_EQ(t, s.l2->exit.qualification & (EPT_VIOLATION_WRITE | EPT_VIOLATION_WAS_READABLE),
		 EPT_VIOLATION_WRITE | EPT_VIOLATION_WAS_READABLE);
	ept_map_page(s.l2->ept, gpa, s.page, EPT_RWX);
	l2_run(s.l2);
	CHECK_EXIT(t, s.l2, REASON_VMCALL);
	CHECK_EQ(t, s.l2->regs.rax, 99);
	CHECK_EQ(t, *(u64 *)(s.page + 0x10), 0);
	/* Mapped elsewhere. */
	s.page = (u64)vmx_pages(1);
	*(u64 *)(s.page + 0x10) = 77;
	ept_map_page(s.l2->ept, gpa, s.page, EPT_RWX);
	run_at(s.l2, ept_read, at);
	CHECK_EQ(t, s.l2->regs.rax, 77);
	end();
}

/* begin(), and where the page table that maps L2's window is. */
static bool begin_walk(struct run *t, struct setup *s, u64 *table)
{
	if (!begin(t, s, 1ull << 33))
		return false;
	*table = ALIGN_DOWN((u64)memory_entry(WINDOW_BASE, 1), PAGE_SIZE);
	return true;
}

/* "Bit 8: 0 if the access … is to a paging-structure entry as part of a page walk". */
PROBE_CASE(ept_walk, "vmx.ept.page_walk", CASE_EACH_CPU)
{
	const u64 at = WINDOW_BASE + 0x340;
	struct setup s;
	u64 table;

	if (!begin_walk(t, &s, &table))
		return;
	*memory_entry(WINDOW_BASE, 1) |= BIT(5) | BIT(6);
	*ept_slot(s.l2->ept, table, 1) = 0;
	ept_flush(s.l2->ept);
	run_at(s.l2, ept_read, at);
	VIOLATION(EPT_VIOLATION_READ | EPT_VIOLATION_LINEAR_VALID,
		  (u64)memory_entry(WINDOW_BASE, 1), at);
	/* Read-only tables will do as long as no flag has to be set. */
	ept_map_page(s.l2->ept, table, table, EPT_READ);
	run_at(s.l2, ept_read, at);
	CHECK_EXIT(t, s.l2, REASON_VMCALL);
	end();
}

/*
 * "A write for the update of an accessed or dirty flag" in a table that EPT does not let be
 * written: Bochs 2.7 writes it.
 */
PROBE_CASE(ept_walk_write, "vmx.ept.page_walk_write", CASE_EACH_CPU | CASE_EXPLICIT)
{
	const u64 at = WINDOW_BASE + 0x340;
	struct setup s;
	u64 table;

	if (!begin_walk(t, &s, &table))
		return;
	*memory_entry(WINDOW_BASE, 1) &= ~BIT(6);
	ept_map_page(s.l2->ept, table, table, EPT_READ);
	run_at(s.l2, ept_write, at);
	CHECK_EXIT(t, s.l2, REASON_EPT_VIOLATION);
	CHECK_EQ(t, s.l2->exit.physical, (u64)memory_entry(WINDOW_BASE, 1));
	CHECK_EQ(t, s.l2->exit.linear, at);
	CHECK_EQ(t, s.l2->exit.qualification & (EPT_VIOLATION_WRITE | EPT_VIOLATION_TRANSLATED),
		 EPT_VIOLATION_WRITE);
	end();
}

PROBE_CASE(ept_misconfig, "vmx.ept.misconfiguration", CASE_EACH_CPU)
{
	const u64 gpa = 1ull << 33, at = WINDOW_BASE + 0x340;
	struct setup s;
	u64 *leaf, *directory, good, table;

	if (!begin(t, &s, gpa))
		return;
	leaf = ept_slot(s.l2->ept, gpa, 1);
	directory = ept_slot(s.l2->ept, gpa, 2);
	good = *leaf;
	table = *directory;
	const u64 bad_leaves[] = {
		/* Writable but not readable, with and without execution. */
		(good & ~(u64)EPT_RWX) | EPT_WRITE,
		(good & ~(u64)EPT_RWX) | EPT_WRITE | EPT_EXEC,
		/* Reserved memory types. */
		(good & ~(u64)EPT_MEMTYPE) | MISCONFIG_MEMTYPE << EPT_MEMTYPE_SHIFT,
		(good & ~(u64)EPT_MEMTYPE) | 3 << EPT_MEMTYPE_SHIFT,
		(good & ~(u64)EPT_MEMTYPE) | 7 << EPT_MEMTYPE_SHIFT,
		/* Beyond the physical-address width. */
		good | BIT(vmx_address_bits()),
		good | BIT(51),
	};
	for (unsigned i = 0; i < ARRAY_SIZE(bad_leaves); i++) {
		*leaf = bad_leaves[i];
		ept_flush(s.l2->ept);
		run_at(s.l2, ept_read, at);
		CHECK(t, s.l2->exit.reason == REASON_EPT_MISCONFIG, "leaf %lx: exit %x",
		      bad_leaves[i], s.l2->exit.reason);
		CHECK_EQ(t, s.l2->exit.physical, gpa + 0x340);
	}
	if (!(vmx_ept_vpid_cap() & EPT_CAP_EXEC_ONLY)) {
		*leaf = (good & ~(u64)EPT_RWX) | EPT_EXEC;
		ept_flush(s.l2->ept);
		run_at(s.l2, ept_read, at);
		CHECK_EXIT(t, s.l2, REASON_EPT_MISCONFIG);
	}
	*leaf = good;
	/* "Reserved bits" of an entry that refers to a table: 6:3 and the width. */
	for (unsigned bit = 3; bit < 7; bit++) {
		*directory = table | BIT(bit);
		ept_flush(s.l2->ept);
		run_at(s.l2, ept_read, at);
		CHECK(t, s.l2->exit.reason == REASON_EPT_MISCONFIG, "bit %u: exit %x", bit,
		      s.l2->exit.reason);
	}
	/* A large page: bits 20:12 are reserved. */
	*directory = ALIGN_DOWN(s.page, 2 * MIB) | BIT(13) | EPT_LARGE | EPT_RWX |
		     ept_memtype_bits(MEMTYPE_WB);
	ept_flush(s.l2->ept);
	run_at(s.l2, ept_read, at);
	CHECK_EXIT(t, s.l2, REASON_EPT_MISCONFIG);
	/* Not present: whatever the other bits. */
	*directory = table;
	*leaf = BIT(51) | 7 << EPT_MEMTYPE_SHIFT;
	ept_flush(s.l2->ept);
	run_at(s.l2, ept_read, at);
	CHECK_EXIT(t, s.l2, REASON_EPT_VIOLATION);
	*leaf = good;
	ept_flush(s.l2->ept);
	run_at(s.l2, ept_read, at);
	CHECK_EXIT(t, s.l2, REASON_VMCALL);
	end();
}

PROBE_CASE(ept_large, "vmx.ept.large_pages", CASE_EACH_CPU)
{
	const u64 gpa = 5ull << 30;
	struct setup s;
	u64 cap;

	if (!begin(t, &s, gpa + 0x3000))
		return;
	cap = vmx_ept_vpid_cap();
	for (unsigned level = 2; level <= 3; level++) {
		u64 size = ept_level_size(level), offset = s.page & (size - 1);

		if (!(cap & (level == 2 ? EPT_CAP_2M : EPT_CAP_1G)))
			continue;
		*ept_slot(s.l2->ept, gpa, level) = ALIGN_DOWN(s.page, size) | EPT_LARGE | EPT_RWX |
						   ept_memtype_bits(MEMTYPE_WB);
		ept_flush(s.l2->ept);
		memory_map(WINDOW_BASE, gpa + ALIGN_DOWN(offset, PAGE_SIZE), PAGE_SIZE, PAGE_SIZE,
			   PTE_P | PTE_W);
		*(u64 *)(s.page + 0x18) = level * 1111;
		run_at(s.l2, ept_read, WINDOW_BASE + 0x18);
		CHECK_EXIT(t, s.l2, REASON_VMCALL);
		CHECK_EQ(t, s.l2->regs.rax, level * 1111);
		/* Without the right to write, for all of it. */
		*ept_slot(s.l2->ept, gpa, level) &= ~(u64)EPT_WRITE;
		ept_flush(s.l2->ept);
		run_at(s.l2, ept_write, WINDOW_BASE + 0x18);
		VIOLATION(EPT_VIOLATION_WRITE | EPT_VIOLATION_WAS_READABLE |
				  EPT_VIOLATION_WAS_EXECUTABLE | EPT_VIOLATION_LINEAR_VALID |
				  EPT_VIOLATION_TRANSLATED,
			  gpa + offset + 0x18, WINDOW_BASE + 0x18);
		/* A hole in the middle once it is split. */
		ept_map_page(s.l2->ept, gpa + offset, s.page, EPT_RWX);
		run_at(s.l2, ept_write, WINDOW_BASE + 0x18);
		CHECK_EXIT(t, s.l2, REASON_VMCALL);
		CHECK_EQ(t, *(u64 *)(s.page + 0x18), 0);
	}
	end();
}

PROBE_CASE(ept_ad, "vmx.ept.accessed_dirty", CASE_EACH_CPU)
{
	const u64 gpa = 1ull << 33, at = WINDOW_BASE + 0x340;
	struct setup s;
	u64 *leaf, *directory;

	if (!begin(t, &s, gpa))
		return;
	leaf = ept_slot(s.l2->ept, gpa, 1);
	directory = ept_slot(s.l2->ept, gpa, 2);
	run_at(s.l2, ept_write, at);
	CHECK_EQ(t, *leaf & (EPT_ACCESSED | EPT_DIRTY), 0);
	SKIP_UNLESS(t, vmx_ept_vpid_cap() & EPT_CAP_AD, "no A/D flags");
	vmwrite(VMCS_EPT_POINTER, ept_pointer(s.l2->ept) | EPTP_AD);
	ept_flush(s.l2->ept);
	run_at(s.l2, ept_cpuid, at);
	CHECK_EXIT(t, s.l2, REASON_CPUID);
	CHECK_EQ(t, *leaf & (EPT_ACCESSED | EPT_DIRTY), 0);
	run_at(s.l2, ept_read, at);
	CHECK_EQ(t, *leaf & (EPT_ACCESSED | EPT_DIRTY), EPT_ACCESSED);
	CHECK_EQ(t, *directory & EPT_ACCESSED, EPT_ACCESSED);
	run_at(s.l2, ept_write, at);
	CHECK_EQ(t, *leaf & (EPT_ACCESSED | EPT_DIRTY), EPT_ACCESSED | EPT_DIRTY);
	end();
}

/* SDM "INVEPT": its operands. */
PROBE_CASE(ept_invept, "vmx.ept.invept_operands", CASE_EACH_CPU)
{
	struct l2 *l2 = l2_begin(t);
	u64 cap, eptp, bad = VM_FAIL(VMERR_INVALID_INVEPT_INVVPID);

	if (!l2)
		return;
	cap = vmx_ept_vpid_cap();
	L2_NEED_EPT(t, l2);
	SKIP_UNLESS(t, cap & EPT_CAP_INVEPT, "no INVEPT");
	eptp = ept_pointer(l2->ept);
	CHECK_VM(t, try_invept(INVEPT_SINGLE_CONTEXT, eptp, 0),
		 cap & EPT_CAP_INVEPT_SINGLE ? VM_OK : bad);
	CHECK_VM(t, try_invept(INVEPT_ALL_CONTEXT, 0, 0), cap & EPT_CAP_INVEPT_ALL ? VM_OK : bad);
	CHECK_VM(t, try_invept(0, eptp, 0), bad);
	for (u64 type = 3; type < 1ull << 31; type = type * 3 + 1)
		CHECK_VM(t, try_invept(type, eptp, 0), bad);
	/* An EPTP that could not be entered with. */
	CHECK_VM(t, try_invept(INVEPT_SINGLE_CONTEXT, eptp ^ EPTP_WALK_4, 0), bad);
	CHECK_VM(t, try_invept(INVEPT_SINGLE_CONTEXT, eptp | BIT(11), 0), bad);
	CHECK_VM(t, try_invept(INVEPT_SINGLE_CONTEXT, eptp | BIT(vmx_address_bits()), 0), bad);
	CHECK_VM(t, try_invept(INVEPT_SINGLE_CONTEXT, (eptp & ~7ull) | 5, 0), bad);
}
