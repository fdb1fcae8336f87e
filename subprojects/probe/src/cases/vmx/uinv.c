/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * UINV, the vector of user interrupts' notifications, in bits 39:32 of IA32_UINTR_MISC. SDM "Guest
 * Register State", "Loading Guest Control Registers, Debug Registers, and MSRs", "Saving Control
 * Registers, Debug Registers, and MSRs", "Loading Host Control Registers, Debug Registers, MSRs".
 */
#include "entries.h"
#include "exits.h"

L2_CODE(uinv_read, "rdmsr");
L2_CODE(uinv_write, "wrmsr");

enum { UITT_SIZE = 0x10, OF_L1 = 0x55, OF_FIELD = 0x66, OF_L2 = 0x77 };

static u64 misc(u8 uinv)
{
	return (u64)uinv << 32 | UITT_SIZE;
}

/* L1 has its own vector, the field another; L2 reads and writes the MSR without an exit. */
static struct l2 *uinv_begin(struct run *t)
{
	struct l2 *l2 = l2_begin(t);

	if (!l2)
		return NULL;
	if (!vmx_has(CTL_ENTRY, ENTRY_LOAD_UINV) || !vmx_has(CTL_EXIT, EXIT_CLEAR_UINV) ||
	    !l2_enable(CTL_CPU, CPU_USE_MSR_BITMAPS)) {
		run_skip(t, "no UINV or no MSR bitmaps");
		return NULL;
	}
	vmwrite(VMCS_MSR_BITMAP, (u64)vmx_pages(1));
	wrmsr(MSR_IA32_UINTR_MISC, misc(OF_L1));
	vmwrite(VMCS_GUEST_UINV, OF_FIELD);
	return l2;
}

static void uinv_end(void)
{
	wrmsr(MSR_IA32_UINTR_MISC, 0);
}

static u64 l2_reads(struct run *t, struct l2 *l2)
{
	l2_goto(l2, uinv_read);
	l2->regs.rcx = MSR_IA32_UINTR_MISC;
	l2_run(l2);
	CHECK_EXIT(t, l2, REASON_VMCALL);
	return l2->regs.rdx << 32 | (u32)l2->regs.rax;
}

static void l2_writes(struct run *t, struct l2 *l2, u64 value)
{
	l2_goto(l2, uinv_write);
	l2->regs.rcx = MSR_IA32_UINTR_MISC;
	l2->regs.rax = (u32)value;
	l2->regs.rdx = value >> 32;
	l2_run(l2);
	CHECK_EXIT(t, l2, REASON_VMCALL);
}

PROBE_CASE(uinv_both, "vmx.uinv.load_and_clear", CASE_EACH_CPU)
{
	struct l2 *l2 = uinv_begin(t);

	if (!l2)
		return;
	l2_enable(CTL_ENTRY, ENTRY_LOAD_UINV);
	l2_enable(CTL_EXIT, EXIT_CLEAR_UINV);
	CHECK_EQ(t, l2_reads(t, l2), misc(OF_FIELD));
	CHECK_EQ(t, vmread(VMCS_GUEST_UINV), OF_FIELD);
	/* Only UINV is cleared. */
	CHECK_EQ(t, rdmsr(MSR_IA32_UINTR_MISC), misc(0));
	l2_writes(t, l2, misc(OF_L2));
	CHECK_EQ(t, vmread(VMCS_GUEST_UINV), OF_L2);
	CHECK_EQ(t, rdmsr(MSR_IA32_UINTR_MISC), misc(0));
	/* What L1 has does not matter to an entry that loads. */
	wrmsr(MSR_IA32_UINTR_MISC, misc(OF_L1));
	CHECK_EQ(t, l2_reads(t, l2), misc(OF_L2));
	uinv_end();
}

PROBE_CASE(uinv_load, "vmx.uinv.load_only", CASE_EACH_CPU)
{
	struct l2 *l2 = uinv_begin(t);

	if (!l2)
		return;
	l2_enable(CTL_ENTRY, ENTRY_LOAD_UINV);
	l2_disable(CTL_EXIT, EXIT_CLEAR_UINV);
	CHECK_EQ(t, l2_reads(t, l2), misc(OF_FIELD));
	CHECK_EQ(t, rdmsr(MSR_IA32_UINTR_MISC), misc(OF_FIELD));
	l2_writes(t, l2, misc(OF_L2));
	CHECK_EQ(t, rdmsr(MSR_IA32_UINTR_MISC), misc(OF_L2));
	CHECK_EQ(t, vmread(VMCS_GUEST_UINV), OF_L2);
	uinv_end();
}

PROBE_CASE(uinv_clear, "vmx.uinv.clear_only", CASE_EACH_CPU)
{
	struct l2 *l2 = uinv_begin(t);

	if (!l2)
		return;
	l2_disable(CTL_ENTRY, ENTRY_LOAD_UINV);
	l2_enable(CTL_EXIT, EXIT_CLEAR_UINV);
	CHECK_EQ(t, l2_reads(t, l2), misc(OF_L1));
	/* Saved whatever the controls say, as the CPU could load it. */
	CHECK_EQ(t, vmread(VMCS_GUEST_UINV), OF_L1);
	CHECK_EQ(t, rdmsr(MSR_IA32_UINTR_MISC), misc(0));
	CHECK_EQ(t, l2_reads(t, l2), misc(0));
	CHECK_EQ(t, vmread(VMCS_GUEST_UINV), 0);
	uinv_end();
}

PROBE_CASE(uinv_neither, "vmx.uinv.neither", CASE_EACH_CPU)
{
	struct l2 *l2 = uinv_begin(t);

	if (!l2)
		return;
	l2_disable(CTL_ENTRY, ENTRY_LOAD_UINV);
	l2_disable(CTL_EXIT, EXIT_CLEAR_UINV);
	CHECK_EQ(t, l2_reads(t, l2), misc(OF_L1));
	CHECK_EQ(t, rdmsr(MSR_IA32_UINTR_MISC), misc(OF_L1));
	l2_writes(t, l2, misc(OF_L2));
	CHECK_EQ(t, rdmsr(MSR_IA32_UINTR_MISC), misc(OF_L2));
	CHECK_EQ(t, vmread(VMCS_GUEST_UINV), OF_L2);
	uinv_end();
}

/* SDM "Checks on Guest Register State": bits 15:8 must be 0, if it is loaded. */
PROBE_CASE(uinv_check, "vmx.uinv.check", CASE_EACH_CPU)
{
	struct l2 *l2 = uinv_begin(t);

	if (!l2)
		return;
	l2_enable(CTL_ENTRY, ENTRY_LOAD_UINV);
	for (unsigned bit = 8; bit < 16; bit++)
		ENTRY(VMCS_GUEST_UINV, BIT(bit), BAD_GUEST);
	ENTRY(VMCS_GUEST_UINV, 0xff, ENTERED);
	l2_disable(CTL_ENTRY, ENTRY_LOAD_UINV);
	ENTRY(VMCS_GUEST_UINV, 0x100, ENTERED);
	ENTRY_STILL_GOOD();
	uinv_end();
}

/* The lists of MSRs take their places before and after: SDM "Loading MSRs", "Saving MSRs". */
PROBE_CASE(uinv_lists, "vmx.uinv.msr_lists", CASE_EACH_CPU)
{
	struct l2 *l2 = uinv_begin(t);
	u64 *load, *store, *host;

	if (!l2)
		return;
	l2_enable(CTL_ENTRY, ENTRY_LOAD_UINV);
	l2_enable(CTL_EXIT, EXIT_CLEAR_UINV);
	load = vmx_pages(1);
	store = load + 2;
	host = load + 4;
	load[0] = store[0] = host[0] = MSR_IA32_UINTR_MISC;
	load[1] = 0x2200000030;
	host[1] = 0x3300000040;
	vmwrite(VMCS_VM_ENTRY_MSR_LOAD_ADDR, (u64)load);
	vmwrite(VMCS_VM_EXIT_MSR_STORE_ADDR, (u64)store);
	vmwrite(VMCS_VM_EXIT_MSR_LOAD_ADDR, (u64)host);
	vmwrite(VMCS_VM_ENTRY_MSR_LOAD_COUNT, 1);
	CHECK_EQ(t, l2_reads(t, l2), 0x2200000030);
	CHECK_EQ(t, rdmsr(MSR_IA32_UINTR_MISC), 0x30);
	vmwrite(VMCS_VM_ENTRY_MSR_LOAD_COUNT, 0);
	vmwrite(VMCS_VM_EXIT_MSR_STORE_COUNT, 1);
	l2_writes(t, l2, misc(OF_L2));
	CHECK_EQ(t, store[1], misc(OF_L2));
	vmwrite(VMCS_VM_EXIT_MSR_LOAD_COUNT, 1);
	l2_writes(t, l2, misc(OF_L2));
	CHECK_EQ(t, rdmsr(MSR_IA32_UINTR_MISC), 0x3300000040);
	uinv_end();
}
