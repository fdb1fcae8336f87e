/* SPDX-License-Identifier: BSD-2-Clause */
/* Starting CPUs and interrupting each other. */
#include "acpi.h"
#include "apic.h"
#include "hidden.h"
#include "layout.h"
#include "memory.h"
#include "probe.h"
#include "timer.h"

enum {
	IPI_WAIT_US = 1000000,
	SETTLE_US = 1000,
	RESTART_WAIT_US = 2000000,
	CPUS_CHECKED = 64,
};

PROBE_CASE(smp_all_started, "smp.all_started", CASE_ONCE)
{
	CHECK_EQ(t, smp_count(), smp_expected());
	CHECK_EQ(t, smp_arrivals(), smp_count() - 1);
	CHECK(t, rdmsr(MSR_IA32_APIC_BASE) & APIC_BASE_BSP, "the first CPU is not marked as BSP");
}

static void count_in(void *arg)
{
	__atomic_add_fetch((u32 *)arg, 1, __ATOMIC_SEQ_CST);
}

PROBE_CASE(smp_run_on_all, "smp.run_on_all", CASE_ONCE)
{
	u32 n = 0;

	CHECK(t, smp_run_all(count_in, &n), "a CPU failed");
	CHECK_EQ(t, n, smp_count());
}

/* SDM "MP Initialization Protocol": a SIPI counts only in the wait-for-SIPI state. */
PROBE_CASE(smp_second_sipi, "smp.sipi_to_running_cpu_ignored", CASE_ONCE)
{
	u32 before = smp_arrivals();

	SKIP_UNLESS(t, smp_count() > 1, "one CPU");
	for (unsigned i = 1; i < smp_count(); i++) {
		u32 n = 0;

		smp_send_sipi(smp_cpu(i)->apic_id);
		timer_wait(SETTLE_US);
		CHECK(t, smp_run_on(smp_cpu(i), count_in, &n) && n == 1, "CPU %u is gone", i);
	}
	CHECK_EQ(t, smp_arrivals(), before);
}

PROBE_CASE(smp_init_restart, "smp.init_sipi_restart", CASE_EXPLICIT)
{
	SKIP_UNLESS(t, smp_count() > 1, "one CPU");
	for (unsigned i = 1; i < smp_count(); i++) {
		struct cpu *cpu = smp_cpu(i);
		u32 before = smp_arrivals();
		u32 n = 0;

		smp_prepare_restart(cpu);
		smp_send_init(cpu->apic_id);
		CHECK_EQ(t, smp_arrivals(), before);
		smp_send_sipi(cpu->apic_id);
		CHECK(t, smp_wait_online(RESTART_WAIT_US), "CPU %u did not come back", i);
		CHECK(t, smp_run_on(cpu, count_in, &n) && n == 1, "CPU %u does not work", i);
		CHECK_EQ(t, smp_arrivals(), before + 1);
	}
}

/*
 * SDM "Logical Destination Mode in x2APIC Mode": made by the CPU of its ID, and read-only. In Bochs
 * 2.7 it is 0 on every CPU.
 */
PROBE_CASE(smp_x2apic_ldr, "smp.x2apic_logical_id", CASE_EACH_CPU | CASE_EXPLICIT)
{
	const u32 id = apic_id();

	SKIP_UNLESS(t, apic_is_x2apic(), "no x2APIC mode");
	CHECK_EQ(t, apic_read(APIC_REG_LDR), id >> 4 << 16 | 1u << (id & 15));
}

/* Systems for processors that need no pause send INIT and two SIPIs at short intervals. */
PROBE_CASE(smp_start_fast, "smp.start_without_pauses", CASE_ONCE)
{
	enum { BETWEEN_SIPIS_US = 10 };

	SKIP_UNLESS(t, smp_count() > 1, "one CPU");
	for (unsigned i = 1; i < smp_count(); i++) {
		struct cpu *cpu = smp_cpu(i);
		const u32 sipi = (u32)APIC_STARTUP | (u32)(memory_low() >> PAGE_SHIFT);
		u32 n = 0;

		smp_prepare_restart(cpu);
		apic_send(cpu->apic_id, APIC_INIT);
		apic_send(cpu->apic_id, sipi);
		timer_wait(BETWEEN_SIPIS_US);
		apic_send(cpu->apic_id, sipi);
		CHECK(t, smp_wait_online(RESTART_WAIT_US), "CPU %u did not start", i);
		CHECK(t, smp_run_on(cpu, count_in, &n) && n == 1, "CPU %u does not work", i);
	}
}

/*
 * SDM "Issuing Interprocessor Interrupts", "all excluding self": firmware starts its CPUs so. Only
 * one finds a stack; each is started once more by itself.
 */
PROBE_CASE(smp_start_together, "smp.start_by_broadcast", CASE_ONCE)
{
	enum { ROUNDS = 2 };
	const u32 others = smp_count() - 1;
	const u32 sipi = (u32)APIC_STARTUP | (u32)(memory_low() >> PAGE_SHIFT);
	const u32 before = smp_arrivals();

	SKIP_UNLESS(t, others, "one CPU");
	for (u32 round = 1; round <= ROUNDS; round++) {
		apic_send_shorthand((u32)APIC_INIT | APIC_TO_OTHERS);
		timer_wait(SETTLE_US);
		apic_send_shorthand(sipi | APIC_TO_OTHERS);
		timer_wait(SETTLE_US);
		CHECK_EQ(t, smp_arrivals(), before + round * others);
	}
	for (unsigned i = 1; i <= others; i++) {
		struct cpu *cpu = smp_cpu(i);
		u32 n = 0;

		smp_prepare_restart(cpu);
		smp_send_init(cpu->apic_id);
		smp_send_sipi(cpu->apic_id);
		CHECK(t, smp_wait_online(RESTART_WAIT_US), "CPU %u did not start", i);
		CHECK(t, smp_run_on(cpu, count_in, &n) && n == 1, "CPU %u does not work", i);
	}
}

static struct {
	volatile bool in_handler;
	volatile bool armed;
} nmi_before_init;

static void stay_in_handler(struct cpu *cpu)
{
	if (cpu->index != 1 || !nmi_before_init.armed)
		return;
	nmi_before_init.in_handler = true;
	while (nmi_before_init.armed)
		cpu_pause();
}

/*
 * SDM "Processor State After Reset": an INIT leaves the CPU in one state, whatever it did before.
 * An NMI that was blocked then is not of the CPU that starts anew, and NMIs are not blocked there.
 */
PROBE_CASE(smp_init_nmi, "smp.init_in_nmi_handler", CASE_ONCE)
{
	struct cpu *cpu;
	u64 nmis, deadline;

	SKIP_UNLESS(t, smp_count() > 1, "one CPU");
	cpu = smp_cpu(1);
	nmi_before_init.in_handler = false;
	nmi_before_init.armed = true;
	cpu->nmi_hook = stay_in_handler;
	apic_send(cpu->apic_id, APIC_NMI);
	deadline = timer_deadline(IPI_WAIT_US);
	while (!nmi_before_init.in_handler && rdtsc() < deadline)
		cpu_pause();
	CHECK(t, nmi_before_init.in_handler, "no NMI");
	nmis = cpu->nmi_count;
	apic_send(cpu->apic_id, APIC_NMI);
	timer_wait(SETTLE_US);
	smp_prepare_restart(cpu);
	smp_send_init(cpu->apic_id);
	nmi_before_init.armed = false;
	cpu->nmi_hook = NULL;
	smp_send_sipi(cpu->apic_id);
	CHECK(t, smp_wait_online(RESTART_WAIT_US), "CPU 1 did not start");
	timer_wait(SETTLE_US);
	CHECK_EQ(t, cpu->nmi_count, nmis);
	apic_send(cpu->apic_id, APIC_NMI);
	timer_wait(SETTLE_US);
	CHECK_EQ(t, cpu->nmi_count, nmis + 1);
}

static void look_at_hidden(void *arg)
{
	struct run *t = arg;
	u64 start, end;

	if (!hidden_range_given(&start, &end))
		return;
	/* The table in place of the firmware's takes memory, too, so that both ends may differ. */
	start += ALIGN_DOWN((end - start) / 2, PAGE_SIZE);
	CHECK_EQ(t, *(const volatile u64 *)start, ~0ull);
	CHECK_GP(t, TRY("movb $0, (%0)", : : "r"(start) : "memory"));
}

/*
 * unlisted= is the APIC ID of a CPU that is there, and that the MADT does not list as enabled. It
 * starts as any other does, and a hypervisor has it, too; others are not offered to come later.
 */
PROBE_CASE(smp_unlisted, "smp.unlisted_cpu", CASE_EXPLICIT)
{
	const u32 id = (u32)cmdline_number("unlisted", 0);
	struct acpi_cpus list;
	u64 start, end;

	SKIP_UNLESS(t, id, "no unlisted= on the command line");
	CHECK(t, acpi_cpus(&list), "no MADT");
	for (unsigned i = 0; i < list.count; i++)
		CHECK(t, list.apic_id[i] != id, "listed as enabled");
	if (hidden_range_given(&start, &end))
		CHECK_EQ(t, list.to_come, 0);
	if (t->failures)
		return;
	CHECK(t, smp_add(id), "no start");
	if (!t->failures)
		CHECK(t, smp_run_on(smp_cpu(smp_count() - 1), look_at_hidden, t), "no look");
}

static void wait_for_count(struct cpu *cpu, u8 vector, u32 want)
{
	irq_enable();
	for (u64 end = timer_deadline(IPI_WAIT_US); cpu->irq_count[vector] < want && rdtsc() < end;)
		cpu_pause();
	irq_disable();
}

struct ipi_order {
	u32 target;
	u32 command;
};

static void send_ipi(void *arg)
{
	const struct ipi_order *o = arg;

	apic_send(o->target, o->command);
}

static void await_test_vector(void *arg)
{
	wait_for_count(this_cpu(), VEC_TEST, *(u32 *)arg);
}

PROBE_CASE(smp_ipi_matrix, "smp.ipi.each_to_each", CASE_ONCE)
{
	for (unsigned from = 0; from < smp_count(); from++) {
		for (unsigned to = 0; to < smp_count(); to++) {
			struct cpu *target = smp_cpu(to);
			struct ipi_order o = {target->apic_id, APIC_FIXED | VEC_TEST};
			u32 want = target->irq_count[VEC_TEST] + 1;

			CHECK(t, smp_run_on(smp_cpu(from), send_ipi, &o), "CPU %u failed", from);
			CHECK(t, smp_run_on(target, await_test_vector, &want), "CPU %u failed", to);
			CHECK(t, target->irq_count[VEC_TEST] == want, "from %u to %u: %u, not %u",
			      from, to, target->irq_count[VEC_TEST], want);
		}
	}
}

static void check_broadcast(struct run *t, u32 shorthand, bool self)
{
	u32 before[CPUS_CHECKED];
	unsigned n = smp_count() < CPUS_CHECKED ? smp_count() : CPUS_CHECKED;

	for (unsigned i = 0; i < n; i++)
		before[i] = smp_cpu(i)->irq_count[VEC_TEST];
	apic_send_shorthand(APIC_FIXED | VEC_TEST | shorthand);
	for (unsigned i = 0; i < n; i++) {
		u32 want = before[i] + (i || self);

		CHECK(t, smp_run_on(smp_cpu(i), await_test_vector, &want), "CPU %u failed", i);
		CHECK(t, smp_cpu(i)->irq_count[VEC_TEST] == want, "CPU %u has %u, not %u", i,
		      smp_cpu(i)->irq_count[VEC_TEST], want);
	}
}

PROBE_CASE(smp_ipi_shorthands, "smp.ipi.shorthands", CASE_ONCE)
{
	check_broadcast(t, APIC_TO_ALL, true);
	check_broadcast(t, APIC_TO_OTHERS, false);
}
