/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * SDM "RDMSRLIST—Read List of Model Specific Registers", "WRMSRLIST", and what the tertiary control
 * "enable MSR-list instructions" and the MSR bitmap make of them.
 */
#include "exits.h"
#include "features.h"
#include "layout.h"
#include "string.h"
#include "vmx/eptmap.h"

#define RDMSRLIST ".byte 0xf2, 0x0f, 0x01, 0xc6"
#define WRMSRLIST ".byte 0xf3, 0x0f, 0x01, 0xc6"

L2_CODE(list_rdmsrlist, RDMSRLIST);
L2_CODE(list_wrmsrlist, WRMSRLIST);

enum { LENGTH = 4, QUADRANT = 1024, NO_MSR = 0x1fff, UNTOUCHED = 0x5a5a5a5a };

static const u32 plain[] = {MSR_IA32_STAR, MSR_IA32_LSTAR, MSR_IA32_FMASK, MSR_IA32_KERNEL_GS_BASE};
enum { PLAIN = ARRAY_SIZE(plain), ALL_OF_PLAIN = (1 << PLAIN) - 1 };

/* A table of numbers, one of values, and L2's MSR bitmap. */
struct lists {
	u64 number[64];
	u64 value[64];
	u8 *map;
};

static void name(struct lists *lists, const u32 *msrs, unsigned count)
{
	for (unsigned i = 0; i < 64; i++) {
		lists->number[i] = i < count ? msrs[i] : NO_MSR;
		lists->value[i] = UNTOUCHED;
	}
}

static void set_plain(void)
{
	for (unsigned i = 0; i < PLAIN; i++)
		wrmsr(plain[i], 0x1000 * (i + 1));
}

static void clear_plain(void)
{
	for (unsigned i = 0; i < PLAIN; i++)
		wrmsr(plain[i], 0);
}

static struct l2 *list_begin(struct run *t, struct lists **lists)
{
	struct l2 *l2 = l2_begin(t);

	if (!l2)
		return NULL;
	if (!l2_enable(CTL_CPU3, CPU3_MSR_LIST) || !l2_enable(CTL_CPU, CPU_USE_MSR_BITMAPS)) {
		run_skip(t, "no MSR-list instructions or no MSR bitmaps");
		return NULL;
	}
	*lists = vmx_pages(1);
	(*lists)->map = vmx_pages(1);
	vmwrite(VMCS_MSR_BITMAP, (u64)(*lists)->map);
	name(*lists, plain, PLAIN);
	set_plain();
	return l2;
}

static void intercept(struct lists *lists, bool write, u32 msr)
{
	lists->map[(write ? 2 * QUADRANT : 0) + (msr >> 31 ? QUADRANT : 0) + (msr & 0x1fff) / 8] |=
		(u8)(1u << (msr & 7));
}

static void run_list(struct l2 *l2, struct lists *lists, bool write, u64 which)
{
	l2_goto(l2, write ? list_wrmsrlist : list_rdmsrlist);
	l2->regs.rcx = which;
	l2->regs.rsi = (u64)lists->number;
	l2->regs.rdi = (u64)lists->value;
	l2_run(l2);
}

/* "Enable MSR-list instructions": if it is 0, they cause #UD. */
PROBE_CASE(list_disabled, "vmx.exit.msr_list_disabled", CASE_EACH_CPU)
{
	struct lists *lists;
	struct l2 *l2 = list_begin(t, &lists);

	if (!l2)
		return;
	l2_disable(CTL_CPU3, CPU3_MSR_LIST);
	for (unsigned write = 0; write < 2; write++) {
		run_list(l2, lists, write, 1);
		CHECK_EXCEPTION(t, l2, VECTOR_UD, 0, 0);
	}
	l2_disable(CTL_CPU, CPU_TERTIARY_CONTROLS);
	run_list(l2, lists, false, 1);
	CHECK_EXCEPTION(t, l2, VECTOR_UD, 0, 0);
	clear_plain();
}

PROBE_CASE(list_read, "vmx.exit.msr_list_read", CASE_EACH_CPU)
{
	struct lists *lists;
	struct l2 *l2 = list_begin(t, &lists);

	if (!l2)
		return;
	for (u64 which = 0; which <= ALL_OF_PLAIN; which++) {
		name(lists, plain, PLAIN);
		run_list(l2, lists, false, which);
		CHECK_EXIT(t, l2, REASON_VMCALL);
		CHECK_EQ(t, l2->regs.rcx, 0);
		CHECK_EQ(t, l2->regs.rsi, (u64)lists->number);
		for (unsigned i = 0; i < PLAIN; i++)
			CHECK_EQ(t, lists->value[i], which >> i & 1 ? 0x1000 * (i + 1) : UNTOUCHED);
	}
	clear_plain();
}

PROBE_CASE(list_write, "vmx.exit.msr_list_write", CASE_EACH_CPU)
{
	struct lists *lists;
	struct l2 *l2 = list_begin(t, &lists);

	if (!l2)
		return;
	for (u64 which = 0; which <= ALL_OF_PLAIN; which++) {
		clear_plain();
		for (unsigned i = 0; i < PLAIN; i++)
			lists->value[i] = 0x700000 + i;
		run_list(l2, lists, true, which);
		CHECK_EXIT(t, l2, REASON_VMCALL);
		CHECK_EQ(t, l2->regs.rcx, 0);
		for (unsigned i = 0; i < PLAIN; i++)
			CHECK_EQ(t, rdmsr(plain[i]), which >> i & 1 ? 0x700000 + i : 0);
	}
	clear_plain();
}

/* The third of four is intercepted: two are done, and the exit tells which is next. */
PROBE_CASE(list_bitmap, "vmx.exit.msr_list_bitmap", CASE_EACH_CPU)
{
	struct lists *lists;
	struct l2 *l2 = list_begin(t, &lists);

	if (!l2)
		return;
	intercept(lists, false, plain[2]);
	run_list(l2, lists, false, ALL_OF_PLAIN);
	CHECK_EXIT_QUAL(t, l2, REASON_RDMSRLIST, plain[2]);
	CHECK_EQ(t, l2->exit.length, LENGTH);
	CHECK_RIP(t, l2, 0);
	CHECK_EQ(t, l2->regs.rcx, 0xc);
	CHECK_EQ(t, lists->value[1], 0x2000);
	CHECK_EQ(t, lists->value[2], UNTOUCHED);
	/* Software does it, clears the bit, and lets the guest go on. */
	l2->regs.rcx &= ~4ull;
	l2_run(l2);
	CHECK_EXIT(t, l2, REASON_VMCALL);
	CHECK_EQ(t, lists->value[2], UNTOUCHED);
	CHECK_EQ(t, lists->value[3], 0x4000);

	intercept(lists, true, plain[2]);
	for (unsigned i = 0; i < PLAIN; i++)
		lists->value[i] = 0x123456789000 + i;
	lists->value[0] = 1;
	lists->value[2] = 0xfedcba9876543210;
	run_list(l2, lists, true, ALL_OF_PLAIN);
	CHECK_EXIT_QUAL(t, l2, REASON_WRMSRLIST, plain[2]);
	CHECK_EQ(t, vmread(VMCS_MSR_DATA), 0xfedcba9876543210);
	CHECK_EQ(t, l2->exit.length, LENGTH);
	CHECK_RIP(t, l2, 0);
	CHECK_EQ(t, l2->regs.rcx, 0xc);
	CHECK_EQ(t, rdmsr(plain[1]), 0x123456789001);
	CHECK_EQ(t, rdmsr(plain[2]), 0x3000);
	/* Outside of the bitmap's ranges every MSR exits. */
	lists->number[0] = 0x40000000;
	run_list(l2, lists, false, 1);
	CHECK_EXIT_QUAL(t, l2, REASON_RDMSRLIST, 0x40000000);
	run_list(l2, lists, true, 1);
	CHECK_EXIT_QUAL(t, l2, REASON_WRMSRLIST, 0x40000000);
	clear_plain();
}

/* Without MSR bitmaps all of them exit, before anything is done. */
PROBE_CASE(list_no_bitmap, "vmx.exit.msr_list_without_bitmap", CASE_EACH_CPU)
{
	struct lists *lists;
	struct l2 *l2 = list_begin(t, &lists);

	if (!l2)
		return;
	l2_disable(CTL_CPU, CPU_USE_MSR_BITMAPS);
	run_list(l2, lists, false, 6);
	CHECK_EXIT(t, l2, REASON_RDMSRLIST);
	CHECK_EQ(t, l2->regs.rcx, 6);
	CHECK_EQ(t, lists->value[1], UNTOUCHED);
	run_list(l2, lists, true, 6);
	CHECK_EXIT(t, l2, REASON_WRMSRLIST);
	CHECK_EQ(t, l2->regs.rcx, 6);
	CHECK_EQ(t, rdmsr(plain[1]), 0x2000);
	clear_plain();
}

/*
 * MSRs that a hypervisor below keeps from its guest or shows it in another way: by the list they
 * read as by RDMSR, and what WRMSR refuses is refused.
 */
static const u32 kept[] = {MSR_IA32_LSTAR,         MSR_IA32_FEATURE_CONTROL, MSR_IA32_PAT,
			   MSR_IA32_MTRR_DEF_TYPE, MSR_IA32_VMX_CR0_FIXED0,  MSR_IA32_APIC_BASE,
			   MSR_IA32_EFER,          MSR_IA32_SYSENTER_EIP};
enum { KEPT = ARRAY_SIZE(kept), ALL_KEPT = (1 << KEPT) - 1 };

PROBE_CASE(list_kept, "vmx.exit.msr_list_kept_msrs", CASE_EACH_CPU)
{
	struct lists *lists;
	struct l2 *l2 = list_begin(t, &lists);

	if (!l2)
		return;
	vmwrite(VMCS_GUEST_SYSENTER_EIP, 0xffff800000000777);
	name(lists, kept, KEPT);
	run_list(l2, lists, false, ALL_KEPT);
	CHECK_EXIT(t, l2, REASON_VMCALL);
	CHECK_EQ(t, l2->regs.rcx, 0);
	CHECK_RIP(t, l2, LENGTH);
	for (unsigned i = 0; i < KEPT - 1; i++)
		CHECK_EQ(t, lists->value[i], rdmsr(kept[i]));
	CHECK_EQ(t, lists->value[KEPT - 1], 0xffff800000000777);
	/* The same back again: two of them cannot be written. */
	run_list(l2, lists, true, ALL_KEPT & ~0x12);
	CHECK_EXIT(t, l2, REASON_VMCALL);
	run_list(l2, lists, true, ALL_KEPT & ~2);
	CHECK_EXCEPTION(t, l2, VECTOR_GP, 0, 0);
	CHECK_EQ(t, l2->regs.rcx, ALL_KEPT & ~0xf);
	run_list(l2, lists, true, 3);
	CHECK_EXCEPTION(t, l2, VECTOR_GP, 0, 0);
	CHECK_EQ(t, l2->regs.rcx, 2);
	clear_plain();
}

PROBE_CASE(list_faults, "vmx.exit.msr_list_faults", CASE_EACH_CPU)
{
	struct lists *lists;
	struct l2 *l2 = list_begin(t, &lists);

	if (!l2)
		return;
	for (unsigned write = 0; write < 2; write++) {
		name(lists, plain, PLAIN);
		for (unsigned i = 0; i < PLAIN; i++)
			lists->value[i] = 0x9000;
		/* One that does not exist, behind one that does. */
		run_list(l2, lists, write, 0x11);
		CHECK_EXCEPTION(t, l2, VECTOR_GP, 0, 0);
		CHECK_EQ(t, l2->regs.rcx, 0x10);
		/* Bits 63:32 of an entry are reserved. */
		lists->number[1] |= BIT(32);
		run_list(l2, lists, write, 3);
		CHECK_EXCEPTION(t, l2, VECTOR_GP, 0, 0);
		CHECK_EQ(t, l2->regs.rcx, 2);
		/* Both tables are aligned. */
		l2_goto(l2, write ? list_wrmsrlist : list_rdmsrlist);
		l2->regs.rcx = 1;
		l2->regs.rsi = (u64)lists->number + 4;
		l2->regs.rdi = (u64)lists->value;
		l2_run(l2);
		CHECK_EXCEPTION(t, l2, VECTOR_GP, 0, 0);
		l2_goto_user(l2, write ? list_wrmsrlist : list_rdmsrlist);
		l2_run(l2);
		CHECK_EXCEPTION(t, l2, VECTOR_GP, 0, 0);
	}
	/* The value of an MSR that a hypervisor below keeps goes where no memory is, and nowhere.
	 */
	for (unsigned i = 0; i < 2; i++) {
		lists->number[0] = i ? MSR_IA32_FEATURE_CONTROL : MSR_IA32_LSTAR;
		l2_goto(l2, list_rdmsrlist);
		l2->regs.rcx = 1;
		l2->regs.rsi = (u64)lists->number;
		l2->regs.rdi = 0x8000000000000000;
		l2_run(l2);
		CHECK_EXCEPTION(t, l2, VECTOR_GP, 0, 0);
		CHECK_EQ(t, l2->regs.rcx, 1);
		l2_goto(l2, list_rdmsrlist);
		l2->regs.rcx = 1;
		l2->regs.rsi = (u64)lists->number;
		l2->regs.rdi = 0x7ffffffff000;
		l2_run(l2);
		CHECK_EXCEPTION(t, l2, VECTOR_PF, 2, 0);
		CHECK_EQ(t, l2->exit.qualification, 0x7ffffffff000);
		CHECK_EQ(t, l2->regs.rcx, 1);
	}
	clear_plain();
}

/* The table of values is where L2's EPT lets nobody write: a violation, in the same iteration. */
PROBE_CASE(list_ept, "vmx.exit.msr_list_ept", CASE_EACH_CPU)
{
	static const u32 msrs[] = {MSR_IA32_LSTAR, MSR_IA32_FEATURE_CONTROL,
				   MSR_IA32_MTRR_DEF_TYPE};
	enum { VIOLATION_BITS = 0x1bf }; /* the access, the rights, the linear address */
	struct lists *lists;
	struct l2 *l2 = list_begin(t, &lists);
	u64 *table, *other;

	if (!l2)
		return;
	L2_NEED_EPT(t, l2);
	table = vmx_pages(1);
	name(lists, msrs, ARRAY_SIZE(msrs));
	for (unsigned i = 0; i < ARRAY_SIZE(msrs); i++) {
		ept_map_page(l2->ept, (u64)table, (u64)table, EPT_READ);
		table[i] = UNTOUCHED;
		l2_goto(l2, list_rdmsrlist);
		l2->regs.rcx = 1u << i;
		l2->regs.rsi = (u64)lists->number;
		l2->regs.rdi = (u64)table;
		l2_run(l2);
		CHECK_EXIT(t, l2, REASON_EPT_VIOLATION);
		CHECK_EQ(t, l2->exit.qualification & VIOLATION_BITS, 0x18a);
		CHECK_EQ(t, l2->exit.linear, (u64)(table + i));
		CHECK_EQ(t, l2->exit.physical, (u64)(table + i));
		CHECK_RIP(t, l2, 0);
		CHECK_EQ(t, l2->regs.rcx, 1u << i);
		CHECK_EQ(t, table[i], UNTOUCHED);
		/* With another page there it goes on. */
		other = vmx_pages(1);
		ept_map_page(l2->ept, (u64)table, (u64)other, EPT_RWX);
		l2_run(l2);
		CHECK_EXIT(t, l2, REASON_VMCALL);
		CHECK_EQ(t, other[i], rdmsr(msrs[i]));
		CHECK_EQ(t, table[i], UNTOUCHED);
	}
	clear_plain();
}

/* "Allow delivery of any pending interrupts or traps" after each: TF traps with RIP still there. */
PROBE_CASE(list_trap, "vmx.exit.msr_list_single_step", CASE_EACH_CPU)
{
	static const u32 msrs[] = {MSR_IA32_FEATURE_CONTROL, MSR_IA32_LSTAR,
				   MSR_IA32_MTRR_DEF_TYPE};
	struct lists *lists;
	struct l2 *l2 = list_begin(t, &lists);
	u64 left = 7;

	if (!l2)
		return;
	name(lists, msrs, ARRAY_SIZE(msrs));
	l2_goto(l2, list_rdmsrlist);
	l2->regs.rcx = left;
	l2->regs.rsi = (u64)lists->number;
	l2->regs.rdi = (u64)lists->value;
	vmwrite(VMCS_GUEST_RFLAGS, RFLAGS_FIXED | RFLAGS_TF);
	while (left) {
		l2_run(l2);
		CHECK_EXIT(t, l2, REASON_EXCEPTION_NMI);
		CHECK_EQ(t, l2->exit.intr_info & INTR_INFO_VECTOR, VECTOR_DB);
		left &= left - 1;
		CHECK_EQ(t, l2->regs.rcx, left);
		if (left)
			CHECK_RIP(t, l2, 0);
		vmwrite(VMCS_GUEST_PENDING_DEBUG, 0);
	}
	for (unsigned i = 0; i < ARRAY_SIZE(msrs); i++)
		CHECK_EQ(t, lists->value[i], rdmsr(msrs[i]));
	clear_plain();
}

static struct fault try_list(struct lists *lists, bool write, u64 *which)
{
	return write ? try_wrmsrlist(lists->number, lists->value, which)
		     : try_rdmsrlist(lists->number, lists->value, which);
}

/* Outside of any virtual machine of its own. */
PROBE_CASE(list_alone, "msr.list_instructions", CASE_EACH_CPU)
{
	static struct lists lists;
	u64 which;

	if (!has(FEATURE_MSRLIST)) {
		which = 0;
		CHECK_UD(t, try_list(&lists, false, &which));
		CHECK_UD(t, try_list(&lists, true, &which));
		return;
	}
	set_plain();
	name(&lists, kept, KEPT);
	if (!vmx_available())
		lists.number[1] = lists.number[4] = MSR_IA32_STAR;
	which = ALL_KEPT;
	CHECK_OK(t, try_list(&lists, false, &which));
	CHECK_EQ(t, which, 0);
	for (unsigned i = 0; i < KEPT; i++)
		CHECK_EQ(t, lists.value[i], rdmsr((u32)lists.number[i]));
	which = ALL_KEPT & ~0x12;
	CHECK_OK(t, try_list(&lists, true, &which));
	CHECK_EQ(t, which, 0);
	if (vmx_available()) {
		which = ALL_KEPT & ~2;
		CHECK_GP(t, try_list(&lists, true, &which));
		CHECK_EQ(t, which, ALL_KEPT & ~0xf);
	}
	lists.number[2] = NO_MSR;
	which = 7;
	CHECK_GP(t, try_list(&lists, false, &which));
	CHECK_EQ(t, which, 4);
	clear_plain();
}
