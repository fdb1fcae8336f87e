/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * ACPI "Waking and Sleeping": after S3 every CPU begins as after RESET, outside VMX operation, and
 * memory is as it was: what a hypervisor had hidden still is, and VMX works. sleeprounds= tells how
 * often.
 */
#include "acpi.h"
#include "apic.h"
#include "hidden.h"
#include "layout.h"
#include "memory.h"
#include "power.h"
#include "probe.h"
#include "timer.h"
#include "vmx/l2.h"

enum {
	DEFAULT_ROUNDS = 3,
	WAKE_STATUS = 1 << 15,
	HIDDEN_STEP = 16,
};

L2_CODE(sleep_cpuid, "cpuid");

struct look {
	struct run *t;
	bool hides;
	u64 start, end;
};

/* Leaves this CPU in VMX operation with a current, launched VMCS, for the next sleep to end. */
static void look_at_vmx(struct run *t)
{
	u64 current = 0;
	struct l2 *l2;

	if (!vmx_available())
		return;
	CHECK(t, !(read_cr4() & CR4_VMXE), "CR4.VMXE is set");
	if (!vmx_prepare(t))
		return;
	CHECK_VM(t, try_vmxoff(), VM_UD);
	if (!vmx_on(t))
		return;
	CHECK_VM(t, try_vmptrst(&current), VM_OK);
	CHECK_EQ(t, current, ~0ull);
	CHECK_VM(t, try_vmxoff(), VM_OK);
	l2 = l2_begin(t);
	if (l2)
		L2_EXITS(t, l2, sleep_cpuid, REASON_CPUID, 0);
}

static void look(void *arg)
{
	const struct look *o = arg;

	for (u64 pa = o->start; o->hides && pa < o->end; pa += HIDDEN_STEP * PAGE_SIZE) {
		const u64 seen = *(const volatile u64 *)pa;

		CHECK(o->t, seen == ~0ull, "%lx holds %lx", pa, seen);
		CHECK_GP(o->t, TRY("movb $0, (%0)", : : "r"(pa) : "memory"));
		if (o->t->failures)
			return;
	}
	look_at_vmx(o->t);
}

static void look_everywhere(struct look *o)
{
	for (unsigned i = 0; i < smp_count(); i++)
		CHECK(o->t, smp_run_on(smp_cpu(i), look, o), "CPU %u: no look around", i);
}

/* What the CPU that wakes is given to do: back to where it fell asleep, by an exception. */
static void go_back(void *context)
{
	this_cpu()->guard = context;
	asm volatile("ud2");
}

static bool fall_asleep(const struct acpi_sleep *s3)
{
	struct cpu *cpu = this_cpu();
	struct context *outer = cpu->guard;
	struct context here;

	if (context_save(&here)) {
		cpu->guard = outer;
		cpu->work = NULL;
		return true;
	}
	/* The real-mode code that start-up IPIs begin at can do with this start, too. */
	smp_prepare_restart(cpu);
	cpu->work_arg = &here;
	__atomic_store_n(&cpu->work, go_back, __ATOMIC_RELEASE);
	if (s3->pm1a_status)
		outw(s3->pm1a_status, WAKE_STATUS);
	asm volatile("wbinvd" : : : "memory");
	power_sleep(s3);
	cpu->work = NULL;
	return false;
}

PROBE_CASE(sleep_s3, "sleep.s3", CASE_EXPLICIT)
{
	const u64 rounds = cmdline_number("sleeprounds", DEFAULT_ROUNDS);
	struct look o = {.t = t};
	struct acpi_sleep s3;

	SKIP_UNLESS(t, acpi_sleep("_S3_", &s3), "no S3");
	SKIP_UNLESS(t, acpi_set_waking_vector((u32)memory_low()), "no FACS");
	o.hides = hidden_range_given(&o.start, &o.end);
	look_everywhere(&o);
	for (u64 i = 1; i <= rounds && !t->failures; i++) {
		const u32 before = smp_arrivals();

		CHECK(t, acpi_set_waking_vector((u32)memory_low()), "no FACS");
		CHECK(t, fall_asleep(&s3), "not asleep");
		if (t->failures)
			return;
		pic_mask();
		CHECK(t, rdmsr(MSR_IA32_APIC_BASE) & APIC_BASE_BSP, "woken on another CPU");
		CHECK_EQ(t, smp_arrivals(), before + 1);
		for (unsigned n = 1; n < smp_count(); n++)
			CHECK(t, smp_restart(smp_cpu(n)), "CPU %u did not come back", n);
		look_everywhere(&o);
		print("# sleep.s3: round %lu\n", i);
	}
}
