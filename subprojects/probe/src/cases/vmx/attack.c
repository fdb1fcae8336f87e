/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A hostile L1: every physical address in a VMCS and in VMX instructions aimed at the memory of the
 * hypervisor below, at device registers, at ROM and at nothing. Whatever the outcome: no byte of
 * hidden memory is seen, and this kernel, like the hypervisor, goes on. Only with hidden=.
 */
#include "entries.h"
#include "hidden.h"
#include "layout.h"
#include "memory.h"
#include "vmx/eptmap.h"

/* 32 bits at an offset where the local APIC has a register: it takes nothing else. */
L2_CODE(attack_read, "movl 0x30(%rbx), %eax");
L2_CODE(attack_write, "movq $0, (%rbx)");
L2_CODE(attack_call, "call *%rbx");
L2_CODE(attack_cpuid, "cpuid");
L2_CODE(attack_cr8, "mov %cr8, %rax\nmov %rax, %cr8\ncpuid");
L2_CODE(attack_io, "movl $0x80, %edx\noutb %al, %dx\nmovl $0x174, %ecx\nrdmsr\ncpuid");

enum {
	TARGETS = 7,
	/* Bochs ends itself when anyone, a hypervisor too, copies out of its local APIC. */
	PLAIN_TARGETS = TARGETS - 1,
	PATIENCE = 100000,
};

static const u64 VGA = 0xa0000, LOCAL_APIC = 0xfee00000, ROM = 0xfffff000;

/* Physical pages to aim at; the first three are hidden. */
static bool targets(struct run *t, u64 *list)
{
	u64 start, end;

	if (!hidden_range(t, &start, &end))
		return false;
	list[0] = start;
	list[1] = ALIGN_DOWN(start + (end - start) / 2, PAGE_SIZE);
	list[2] = end - PAGE_SIZE;
	list[3] = VGA;
	list[4] = ROM;
	list[5] = BIT(vmx_address_bits() - 1);
	list[6] = LOCAL_APIC;
	return true;
}

static bool is_hidden(unsigned i)
{
	return i < 3;
}

/* A run that may end in any way, but ends. */
static void run_any(struct l2 *l2, const u8 *code, u64 rbx)
{
	l2_goto(l2, code);
	l2->regs.rbx = rbx;
	if (l2_enable(CTL_PIN, PIN_PREEMPTION_TIMER))
		vmwrite(VMCS_PREEMPTION_TIMER_VALUE, PATIENCE);
	l2_run(l2);
}

/* For each target another: what the last one has left is gone. */
static struct l2 *begin(struct run *t)
{
	vmx_cleanup();
	return l2_begin(t);
}

/* The virtual machine still works, and hidden memory still reads as ones. */
static void check_alive(struct run *t, const u64 *list)
{
	struct l2 *l2;

	l2 = begin(t);
	if (!l2)
		return;
	run_any(l2, attack_cpuid, 0);
	CHECK_EXIT(t, l2, REASON_CPUID);
	memory_map(WINDOW_BASE, list[0], PAGE_SIZE, PAGE_SIZE, PTE_P | PTE_W);
	CHECK_EQ(t, *(volatile u64 *)WINDOW_BASE, ~0ull);
	memory_map(WINDOW_BASE, 0, PAGE_SIZE, PAGE_SIZE, 0);
}

static struct l2 *begin_ept(struct run *t)
{
	struct l2 *l2 = begin(t);

	if (l2 && !l2_ept(l2)) {
		run_skip(t, "no EPT");
		return NULL;
	}
	return l2;
}

PROBE_CASE(attack_leaf, "vmx.attack.ept_leaf", CASE_EACH_CPU)
{
	const u64 gpa = 8ull << 30;
	u64 list[TARGETS];

	if (!targets(t, list))
		return;
	for (unsigned i = 0; i < TARGETS; i++)
		for (unsigned level = 1; level <= 3; level++) {
			struct l2 *l2 = begin_ept(t);
			u64 size = ept_level_size(level);

			if (!l2)
				return;
			*ept_slot(l2->ept, gpa, level) =
				ALIGN_DOWN(list[i], size) | EPT_RWX | (level > 1 ? EPT_LARGE : 0) |
				ept_memtype_bits(is_hidden(i) ? MEMTYPE_WB : MEMTYPE_UC);
			ept_flush(l2->ept);
			memory_map(WINDOW_BASE, gpa + (list[i] & (size - 1)), PAGE_SIZE, PAGE_SIZE,
				   PTE_P | PTE_W);
			run_any(l2, attack_read, WINDOW_BASE);
			if (is_hidden(i) && l2->entry == VM_OK && l2->exit.reason == REASON_VMCALL)
				CHECK_EQ(t, l2->regs.rax, 0xffffffff);
			if (!is_hidden(i))
				continue;
			run_any(l2, attack_write, WINDOW_BASE + 8);
			run_any(l2, attack_call, WINDOW_BASE);
			CHECK(t, l2->exit.reason != REASON_CPUID, "hidden code ran");
		}
	memory_map(WINDOW_BASE, 0, PAGE_SIZE, PAGE_SIZE, 0);
	check_alive(t, list);
}

/* EPT paging structures themselves. */
PROBE_CASE(attack_tables, "vmx.attack.ept_tables", CASE_EACH_CPU)
{
	u64 list[TARGETS];

	if (!targets(t, list))
		return;
	for (unsigned i = 0; i < PLAIN_TARGETS; i++) {
		struct l2 *l2 = begin_ept(t);

		if (!l2)
			return;
		vmwrite(VMCS_EPT_POINTER, list[i] | (ept_pointer(l2->ept) & 0xfff));
		run_any(l2, attack_cpuid, 0);
		CHECK(t, l2->entry != VM_OK || l2->exit.reason != REASON_CPUID,
		      "ran on tables at %lx", list[i]);
		try_invept(INVEPT_SINGLE_CONTEXT, list[i] | (ept_pointer(l2->ept) & 0xfff), 0);
		vmwrite(VMCS_EPT_POINTER, ept_pointer(l2->ept));
		for (unsigned level = 2; level <= 4; level++) {
			u64 *slot = ept_slot(l2->ept, (u64)attack_cpuid, level), old = *slot;

			*slot = list[i] | EPT_RWX;
			ept_flush(l2->ept);
			run_any(l2, attack_cpuid, 0);
			CHECK(t, l2->entry != VM_OK || l2->exit.reason != REASON_CPUID,
			      "ran on a table at %lx", list[i]);
			*slot = old;
			ept_flush(l2->ept);
		}
		run_any(l2, attack_cpuid, 0);
		CHECK_EXIT(t, l2, REASON_CPUID);
	}
	check_alive(t, list);
}

/* L2's own paging structures, with and without EPT. */
PROBE_CASE(attack_cr3, "vmx.attack.guest_cr3", CASE_EACH_CPU)
{
	u64 list[TARGETS];

	if (!targets(t, list))
		return;
	for (unsigned i = 0; i < PLAIN_TARGETS; i++)
		for (unsigned ept = 0; ept < 2; ept++) {
			struct l2 *l2 = begin(t);

			if (!l2 || (ept && !l2_ept(l2)))
				return;
			vmwrite(VMCS_GUEST_CR3, list[i]);
			run_any(l2, attack_cpuid, 0);
			CHECK(t, l2->entry != VM_OK || l2->exit.reason != REASON_CPUID,
			      "ran on page tables at %lx", list[i]);
		}
	check_alive(t, list);
}

/* What the CPU reads and writes for a VMCS: bitmaps, the virtual-APIC page, the access page. */
PROBE_CASE(attack_pages, "vmx.attack.control_pages", CASE_EACH_CPU)
{
	static const struct {
		enum vmx_ctl ctl;
		u64 bits;
		u32 field;
		const u8 *code;
	} rows[] = {
		{CTL_CPU, CPU_USE_IO_BITMAPS, VMCS_IO_BITMAP_A, attack_io},
		{CTL_CPU, CPU_USE_IO_BITMAPS, VMCS_IO_BITMAP_B, attack_io},
		{CTL_CPU, CPU_USE_MSR_BITMAPS, VMCS_MSR_BITMAP, attack_io},
		{CTL_CPU, CPU_TPR_SHADOW, VMCS_VIRTUAL_APIC_ADDR, attack_cr8},
		{CTL_CPU2, CPU2_VIRTUAL_APIC_ACCESSES, VMCS_APIC_ACCESS_ADDR, attack_cpuid},
		{CTL_CPU2, CPU2_VMCS_SHADOWING, VMCS_VMREAD_BITMAP, attack_cpuid},
		{CTL_CPU2, CPU2_PML, VMCS_PML_ADDRESS, attack_cpuid},
		{CTL_PIN, PIN_POSTED_INTR, VMCS_POSTED_INTR_DESC_ADDR, attack_cpuid},
		{CTL_CPU2, CPU2_EPT_VIOLATION_VE, VMCS_VE_INFO_ADDR, attack_cpuid},
	};
	u64 list[TARGETS];

	if (!targets(t, list))
		return;
	for (unsigned r = 0; r < ARRAY_SIZE(rows); r++)
		for (unsigned i = 0; i < PLAIN_TARGETS; i++) {
			struct l2 *l2 = begin(t);

			if (!l2)
				return;
			if (!l2_enable(rows[r].ctl, rows[r].bits))
				break;
			if (rows[r].field == VMCS_IO_BITMAP_A ||
			    rows[r].field == VMCS_IO_BITMAP_B) {
				vmwrite(VMCS_IO_BITMAP_A, (u64)vmx_pages(1));
				vmwrite(VMCS_IO_BITMAP_B, (u64)vmx_pages(1));
			}
			if (rows[r].field == VMCS_VMREAD_BITMAP)
				vmwrite(VMCS_VMWRITE_BITMAP, (u64)vmx_pages(1));
			if (rows[r].field == VMCS_VIRTUAL_APIC_ADDR)
				vmwrite(VMCS_TPR_THRESHOLD, 0);
			vmwrite(rows[r].field, list[i]);
			run_any(l2, rows[r].code, 0);
			/* A shadow there would show what is in the page, or overwrite it. */
			if (is_hidden(i) && rows[r].field == VMCS_VIRTUAL_APIC_ADDR &&
			    l2->entry == VM_OK && l2->exit.reason == REASON_CPUID)
				CHECK_EQ(t, l2->regs.rax, 0xf);
		}
	check_alive(t, list);
}

/* Only the list of the entry: all ones in one of the exit's are a VMX abort, which ends this CPU.
 */
PROBE_CASE(attack_area, "vmx.attack.msr_area", CASE_EACH_CPU)
{
	u64 list[TARGETS];

	if (!targets(t, list))
		return;
	for (unsigned i = 0; i < PLAIN_TARGETS; i++) {
		struct l2 *l2 = begin(t);

		if (!l2)
			return;
		vmwrite(VMCS_VM_ENTRY_MSR_LOAD_COUNT, 1);
		vmwrite(VMCS_VM_ENTRY_MSR_LOAD_ADDR, list[i]);
		run_any(l2, attack_cpuid, 0);
		if (is_hidden(i))
			CHECK(t, l2->entry != VM_OK || l2->exit.reason != REASON_CPUID,
			      "an area at %lx was used", list[i]);
	}
	check_alive(t, list);
}

/* VMX regions: VMCLEAR writes, the others read. */
PROBE_CASE(attack_regions, "vmx.attack.regions", CASE_EACH_CPU)
{
	u64 list[TARGETS];

	if (!targets(t, list))
		return;
	for (unsigned i = 0; i < PLAIN_TARGETS; i++) {
		struct l2 *l2;
		u64 pointer;

		vmx_cleanup();
		if (!vmx_prepare(t))
			return;
		CHECK(t, try_vmxon(&list[i]) != VM_OK, "VMXON region %lx", list[i]);
		l2 = begin(t);
		if (!l2)
			return;
		CHECK(t, try_vmptrld(list[i]) != VM_OK, "VMPTRLD %lx", list[i]);
		pointer = 0;
		try_vmptrst(&pointer);
		CHECK_EQ(t, pointer, l2->vmcs);
		/* Its writes may go nowhere, as where there is no memory: success is no leak. */
		try_vmclear(list[i]);
		vmwrite(VMCS_VMCS_LINK_POINTER, list[i]);
		run_any(l2, attack_cpuid, 0);
		CHECK(t, l2->entry != VM_OK || l2->exit.reason != REASON_CPUID, "link pointer %lx",
		      list[i]);
	}
	check_alive(t, list);
}
