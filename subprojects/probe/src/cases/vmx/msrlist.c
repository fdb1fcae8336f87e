/* SPDX-License-Identifier: BSD-2-Clause */
/* SDM "Loading MSRs" of entries and exits, "Saving MSRs". */
#include "apic.h"
#include "entries.h"
#include "exits.h"

struct msr_entry {
	u32 msr, reserved;
	u64 value;
};
_Static_assert(sizeof(struct msr_entry) == 16, "SDM: 128 bits");

enum { AREA_ENTRIES = 256 };

L2_CODE(list_cpuid, "cpuid");
L2_CODE(list_time, "rdtsc; mov %eax, %esi; mov %edx, %edi; cpuid");

static struct msr_entry *set_area(u64 count_field, u64 address_field, u64 count)
{
	struct msr_entry *area = vmx_pages(1);

	vmwrite(count_field, count);
	vmwrite(address_field, (u64)area);
	return area;
}

static struct msr_entry *entry_load(u64 count)
{
	return set_area(VMCS_VM_ENTRY_MSR_LOAD_COUNT, VMCS_VM_ENTRY_MSR_LOAD_ADDR, count);
}

PROBE_CASE(list_roundtrip, "vmx.msrlist.load_store", CASE_EACH_CPU)
{
	struct l2 *l2 = l2_begin(t);
	struct msr_entry *load, *store, *host;

	if (!l2)
		return;
	load = entry_load(3);
	store = set_area(VMCS_VM_EXIT_MSR_STORE_COUNT, VMCS_VM_EXIT_MSR_STORE_ADDR, 3);
	host = set_area(VMCS_VM_EXIT_MSR_LOAD_COUNT, VMCS_VM_EXIT_MSR_LOAD_ADDR, 2);
	load[0] = (struct msr_entry){MSR_IA32_KERNEL_GS_BASE, 0, 0x111122223333};
	load[1] = (struct msr_entry){MSR_IA32_LSTAR, 0, 0xffff800000001000};
	/* Twice the same: in the order of the list. */
	load[2] = (struct msr_entry){MSR_IA32_LSTAR, 0, 0xffff800000002000};
	store[0] = (struct msr_entry){MSR_IA32_KERNEL_GS_BASE, 0, 1};
	store[1] = (struct msr_entry){MSR_IA32_LSTAR, 0, 2};
	store[2] = (struct msr_entry){MSR_IA32_FMASK, 0, 3};
	host[0] = (struct msr_entry){MSR_IA32_KERNEL_GS_BASE, 0, 0x5000};
	host[1] = (struct msr_entry){MSR_IA32_LSTAR, 0, 0x6000};
	wrmsr(MSR_IA32_FMASK, 0x4321);
	L2_EXITS(t, l2, list_cpuid, REASON_CPUID, 0);
	CHECK_EQ(t, store[0].value, 0x111122223333);
	CHECK_EQ(t, store[1].value, 0xffff800000002000);
	CHECK_EQ(t, store[2].value, 0x4321);
	CHECK_EQ(t, store[0].msr, MSR_IA32_KERNEL_GS_BASE);
	CHECK_EQ(t, rdmsr(MSR_IA32_KERNEL_GS_BASE), 0x5000);
	CHECK_EQ(t, rdmsr(MSR_IA32_LSTAR), 0x6000);
	/* The list may change between entries. */
	load[2].value = 0x777000;
	L2_EXITS(t, l2, list_cpuid, REASON_CPUID, 0);
	CHECK_EQ(t, store[1].value, 0x777000);
	wrmsr(MSR_IA32_FMASK, 0);
	wrmsr(MSR_IA32_LSTAR, 0);
	wrmsr(MSR_IA32_KERNEL_GS_BASE, 0);
}

/* Each reason for "VM-entry failure due to MSR loading", and which entry it was. */
PROBE_CASE(list_entry_fail, "vmx.msrlist.entry_load_failure", CASE_EACH_CPU)
{
	static const struct msr_entry bad[] = {
		{MSR_IA32_FS_BASE, 0, 0},
		{MSR_IA32_GS_BASE, 0, 0},
		{0x802, 0, 0},
		{0x8ff, 0, 0},
		/* The upper half of the first quadword is reserved. */
		{MSR_IA32_LSTAR, 1, 0},
		{MSR_IA32_LSTAR, 0x80000000, 0},
		/* What WRMSR faults on. */
		{MSR_IA32_LSTAR, 0, 0x8000000000000000},
		{MSR_IA32_PAT, 0, 2},
		{0x40000000, 0, 0},
		{MSR_IA32_VMX_BASIC, 0, 0},
		{MSR_IA32_EFER, 0, 2},
		{MSR_IA32_XSS, 0, 0x8000000000000000},
	};
	struct l2 *l2 = l2_begin(t);
	struct msr_entry *load;
	u64 lstar = rdmsr(MSR_IA32_LSTAR);

	if (!l2)
		return;
	load = entry_load(3);
	for (unsigned i = 0; i < ARRAY_SIZE(bad); i++)
		for (u64 at = 1; at <= 3; at++) {
			for (unsigned n = 0; n < 3; n++)
				load[n] =
					(struct msr_entry){MSR_IA32_KERNEL_GS_BASE, 0, 0x9000 + n};
			load[at - 1] = bad[i];
			ENTRY(VMCS_VM_ENTRY_MSR_LOAD_COUNT, 3, BAD_MSR(at));
			/* Behind the count: not looked at. */
			ENTRY(VMCS_VM_ENTRY_MSR_LOAD_COUNT, at - 1, ENTERED);
		}
	/* "VM entry may have loaded MSRs before the failing one": those stay. */
	CHECK_EQ(t, rdmsr(MSR_IA32_KERNEL_GS_BASE), 0x9001);
	CHECK_EQ(t, rdmsr(MSR_IA32_LSTAR), lstar);
	wrmsr(MSR_IA32_KERNEL_GS_BASE, 0);
}

PROBE_CASE(list_many, "vmx.msrlist.many_entries", CASE_EACH_CPU)
{
	struct l2 *l2 = l2_begin(t);
	struct msr_entry *load, *store;

	if (!l2)
		return;
	/* IA32_VMX_MISC recommends at least 512 * (N + 1); 256 fit into a page. */
	load = entry_load(AREA_ENTRIES);
	store = set_area(VMCS_VM_EXIT_MSR_STORE_COUNT, VMCS_VM_EXIT_MSR_STORE_ADDR, AREA_ENTRIES);
	for (unsigned i = 0; i < AREA_ENTRIES; i++) {
		load[i] = (struct msr_entry){MSR_IA32_KERNEL_GS_BASE, 0, i};
		store[i] = (struct msr_entry){MSR_IA32_KERNEL_GS_BASE, 0, 7};
	}
	L2_EXITS(t, l2, list_cpuid, REASON_CPUID, 0);
	CHECK_EQ(t, store[0].value, AREA_ENTRIES - 1);
	CHECK_EQ(t, store[AREA_ENTRIES - 1].value, AREA_ENTRIES - 1);
	wrmsr(MSR_IA32_KERNEL_GS_BASE, 0);
}

/* SDM "VM Exits": MSRs are saved before host state is loaded, so the time is that of the exit. */
PROBE_CASE(list_time_of_exit, "vmx.msrlist.store_time", CASE_EACH_CPU)
{
	/* A tick is an instruction or a cycle; what software adds is more than an exit takes. */
	enum { EXIT_TICKS = 1000 };
	struct l2 *l2 = l2_begin(t);
	struct msr_entry *store;

	if (!l2)
		return;
	store = set_area(VMCS_VM_EXIT_MSR_STORE_COUNT, VMCS_VM_EXIT_MSR_STORE_ADDR, 3);
	for (unsigned n = 0; n < 3; n++) {
		store[0] = (struct msr_entry){MSR_IA32_TSC, 0, 1};
		store[1] = (struct msr_entry){MSR_IA32_KERNEL_GS_BASE, 0, 1};
		store[2] = (struct msr_entry){MSR_IA32_TSC, 0, 1};
		L2_EXITS(t, l2, list_time, REASON_CPUID, 0);
		u64 now = rdtsc(), left = l2->regs.rdi << 32 | l2->regs.rsi;

		CHECK(t, store[0].value - left < EXIT_TICKS, "L2 leaves at %lx, stored %lx", left,
		      store[0].value);
		CHECK(t, store[0].value <= store[2].value && store[2].value < now,
		      "stored %lx and %lx, then %lx", store[0].value, store[2].value, now);
	}
	/* Nothing is stored any more. */
	vmwrite(VMCS_VM_EXIT_MSR_STORE_COUNT, 0);
	store[0].value = 1;
	L2_EXITS(t, l2, list_time, REASON_CPUID, 0);
	CHECK_EQ(t, store[0].value, 1);
}

enum { ENTRIES = 3000, LATEST = 700 };

/* The entry that is next, on the other CPU. */
static volatile u64 entry;

/* One NMI for each, a little later every time. */
static void send_nmis(void *apic_id)
{
	for (u64 n = 1; n <= ENTRIES; n++) {
		while (entry < n)
			cpu_pause();
		for (u64 wait = n % LATEST; wait; wait--)
			cpu_pause();
		apic_send((u32)(u64)apic_id, APIC_NMI);
	}
}

/*
 * SDM "VM Entries", "Loading MSRs": whatever ends the run, and however early, the MSRs that the
 * exit stores are those that the entry loaded. An NMI may arrive at any moment of an entry.
 */
PROBE_CASE(list_nmi, "vmx.msrlist.nmi_at_the_entry", CASE_ONCE)
{
	struct msr_entry *load, *store, *host;
	const u64 nmi_count = this_cpu()->nmi_count;
	unsigned nmis = 0, wrong = 0;
	struct l2 *l2;

	SKIP_UNLESS(t, smp_count() > 1, "one CPU");
	l2 = l2_begin(t);
	if (!l2)
		return;
	l2->quiet = true;
	load = entry_load(1);
	store = set_area(VMCS_VM_EXIT_MSR_STORE_COUNT, VMCS_VM_EXIT_MSR_STORE_ADDR, 1);
	host = set_area(VMCS_VM_EXIT_MSR_LOAD_COUNT, VMCS_VM_EXIT_MSR_LOAD_ADDR, 1);
	host[0] = (struct msr_entry){MSR_IA32_KERNEL_GS_BASE, 0, 0x5000};
	entry = 0;
	smp_start_work(smp_cpu(1), send_nmis, (void *)(u64)this_cpu()->apic_id);
	for (u64 i = 1; i <= ENTRIES; i++) {
		load[0] = (struct msr_entry){MSR_IA32_KERNEL_GS_BASE, 0, i << 16};
		store[0] = (struct msr_entry){MSR_IA32_KERNEL_GS_BASE, 0, 1};
		l2_goto(l2, list_cpuid);
		entry = i;
		/* An emulator may look for NMIs only every so many instructions. */
		for (u64 wait = probe_random() % 64; wait; wait--)
			asm volatile("nop");
		l2_run(l2);
		nmis += l2->entry == VM_OK && l2->exit.reason == REASON_EXCEPTION_NMI;
		wrong += l2->entry != VM_OK || store[0].value != i << 16 ||
			 rdmsr(MSR_IA32_KERNEL_GS_BASE) != 0x5000;
		/* The exit of an NMI blocks others until an IRET, such as that of a handler. */
		TRY("ud2", :);
	}
	CHECK(t, smp_finish_work(smp_cpu(1)), "CPU 1 failed");
	/* How many came outside L2 differs from machine to machine, and later cases show the count.
	 */
	this_cpu()->nmi_count = nmi_count;
	CHECK(t, nmis, "no NMI has come in L2");
	CHECK(t, !wrong, "%u of %u times another value", wrong, (unsigned)ENTRIES);
	wrmsr(MSR_IA32_KERNEL_GS_BASE, 0);
}
