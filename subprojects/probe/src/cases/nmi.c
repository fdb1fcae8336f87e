/* SPDX-License-Identifier: BSD-2-Clause */
/* SDM "Nonmaskable Interrupt (NMI)" and "Handling Multiple NMIs": none lost, none twice. */
#include "apic.h"
#include "layout.h"
#include "probe.h"
#include "timer.h"

enum {
	NMI_WAIT_US = 2000000,
	SETTLE_US = 2000,
	STRESS_ROUNDS = 200,
	STRESS_CPUS = 256,
	HANDLER_CPUIDS = 200,
	HLT_ROUNDS = 20,
	HLT_ATTEMPTS = 100,
	LAST_EXIT_ALIGNMENTS = 16,
	LAST_EXIT_ROUNDS = 100 * LAST_EXIT_ALIGNMENTS,
};

static bool await_nmi(const struct cpu *cpu, u64 want, bool busy)
{
	for (u64 end = timer_deadline(NMI_WAIT_US); cpu->nmi_count < want; cpu_pause()) {
		if (busy)
			cpuid(0, 0);
		if (rdtsc() > end)
			return false;
	}
	return true;
}

PROBE_CASE(nmi_self, "nmi.self", CASE_EACH_CPU)
{
	struct cpu *cpu = this_cpu();
	u64 before = cpu->nmi_count;

	for (u64 i = 1; i <= 50; i++) {
		apic_send(cpu->apic_id, APIC_NMI);
		CHECK(t, await_nmi(cpu, before + i, false), "NMI %lu did not come", i);
	}
	timer_wait(SETTLE_US);
	CHECK_EQ(t, cpu->nmi_count, before + 50);
}

struct stress {
	struct barrier start;
	u32 running;
	u32 rounds;
	u32 lost;
	u32 locked[STRESS_CPUS];
	u64 sent[STRESS_CPUS];
};

static void stress(void *arg)
{
	struct stress *s = arg;
	unsigned n = smp_count();
	unsigned target = this_cpu()->index;

	barrier_wait(&s->start, n);
	for (u32 i = 0; i < s->rounds && !s->lost; i++) {
		struct cpu *to;
		u64 want;

		/* Every CPU in turn, self included; two senders at once could merge their NMIs. */
		target = (target + 1) % n;
		to = smp_cpu(target);
		while (__atomic_exchange_n(&s->locked[target], 1, __ATOMIC_ACQUIRE))
			cpuid(0, 0);
		want = to->nmi_count + 1;
		apic_send(to->apic_id, APIC_NMI);
		s->sent[target]++;
		if (!await_nmi(to, want, true)) {
			print("# NMI %u from CPU %u to CPU %u is lost\n", i, this_cpu()->index,
			      target);
			__atomic_add_fetch(&s->lost, 1, __ATOMIC_RELAXED);
		}
		__atomic_store_n(&s->locked[target], 0, __ATOMIC_RELEASE);
	}
	/* Receive until all others have sent theirs. */
	__atomic_sub_fetch(&s->running, 1, __ATOMIC_ACQ_REL);
	while (__atomic_load_n(&s->running, __ATOMIC_ACQUIRE))
		cpuid(0, 0);
}

PROBE_CASE(nmi_stress, "nmi.stress", CASE_ONCE)
{
	static struct stress s;
	u64 before[STRESS_CPUS] = {0};

	s = (struct stress){
		.running = smp_count(),
		.rounds = (u32)cmdline_number("nmirounds", STRESS_ROUNDS),
	};
	for (unsigned i = 0; i < smp_count(); i++) {
		before[i] = smp_cpu(i)->nmi_count;
		smp_cpu(i)->nmi_max_depth = 0;
	}
	CHECK(t, smp_run_all(stress, &s), "a CPU failed");
	timer_wait(SETTLE_US);
	CHECK_EQ(t, s.lost, 0);
	for (unsigned i = 0; i < smp_count(); i++) {
		u64 received = smp_cpu(i)->nmi_count - before[i];

		CHECK(t, received == s.sent[i], "CPU %u got %lu of %lu NMIs", i, received,
		      s.sent[i]);
		CHECK(t, smp_cpu(i)->nmi_max_depth <= 1, "CPU %u: NMIs nested", i);
	}
}

static struct {
	u64 count_in_handler;
	bool done;
} nested;

/* First NMI: sends another to the same CPU, and gives it every chance to come too early. */
static void send_in_handler(struct cpu *cpu)
{
	if (nested.done)
		return;
	nested.done = true;
	apic_send(cpu->apic_id, APIC_NMI);
	for (unsigned i = 0; i < HANDLER_CPUIDS; i++)
		cpuid(0, 0);
	timer_wait(SETTLE_US);
	nested.count_in_handler = cpu->nmi_count;
}

PROBE_CASE(nmi_nested, "nmi.nested_blocking", CASE_EACH_CPU)
{
	struct cpu *cpu = this_cpu();
	u64 before = cpu->nmi_count;

	nested.done = false;
	nested.count_in_handler = 0;
	cpu->nmi_max_depth = 0;
	cpu->nmi_hook = send_in_handler;
	apic_send(cpu->apic_id, APIC_NMI);
	CHECK(t, await_nmi(cpu, before + 2, false), "%lu NMIs of 2 came", cpu->nmi_count - before);
	timer_wait(SETTLE_US);
	cpu->nmi_hook = NULL;
	CHECK_EQ(t, nested.count_in_handler, before + 1);
	CHECK_EQ(t, cpu->nmi_max_depth, 1);
	CHECK_EQ(t, cpu->nmi_count, before + 2);
}

/* Two sent while blocked: one is remembered, "subsequent NMIs are lost". */
static void send_two_in_handler(struct cpu *cpu)
{
	if (nested.done)
		return;
	nested.done = true;
	apic_send(cpu->apic_id, APIC_NMI);
	cpuid(0, 0);
	apic_send(cpu->apic_id, APIC_NMI);
	for (unsigned i = 0; i < HANDLER_CPUIDS; i++)
		cpuid(0, 0);
}

PROBE_CASE(nmi_merge, "nmi.two_while_blocked_are_one", CASE_EACH_CPU)
{
	struct cpu *cpu = this_cpu();
	u64 before = cpu->nmi_count;

	nested.done = false;
	cpu->nmi_max_depth = 0;
	cpu->nmi_hook = send_two_in_handler;
	apic_send(cpu->apic_id, APIC_NMI);
	CHECK(t, await_nmi(cpu, before + 2, false), "%lu NMIs of 2 came", cpu->nmi_count - before);
	timer_wait(SETTLE_US);
	cpu->nmi_hook = NULL;
	CHECK_EQ(t, cpu->nmi_max_depth, 1);
	CHECK_EQ(t, cpu->nmi_count, before + 2);
}

struct halt {
	struct cpu *sleeper;
	bool awake;
	u64 sent;
};

/*
 * An emulated or loaded machine may be slow to reach HLT, and an NMI that comes before it leaves
 * the CPU asleep: then another is sent. Where one was enough, exactly one must have come.
 */
static void wake_by_nmi(void *arg)
{
	struct halt *h = arg;

	do {
		timer_wait(SETTLE_US);
		if (__atomic_load_n(&h->awake, __ATOMIC_ACQUIRE))
			break;
		apic_send(h->sleeper->apic_id, APIC_NMI);
		h->sent++;
	} while (h->sent < HLT_ATTEMPTS);
}

static void halt(void *arg)
{
	struct halt *h = arg;

	/* IF is 0: only an NMI ends it. */
	asm volatile("hlt" : : : "memory");
	__atomic_store_n(&h->awake, true, __ATOMIC_RELEASE);
}

static void check_halt(struct run *t, const struct halt *h, u64 before)
{
	u64 received;

	timer_wait(SETTLE_US);
	received = h->sleeper->nmi_count - before;
	CHECK(t, h->awake, "CPU %u still sleeps", h->sleeper->index);
	CHECK(t, h->sent, "CPU %u woke up by itself", h->sleeper->index);
	CHECK(t, received && received <= h->sent, "CPU %u got %lu of %lu NMIs", h->sleeper->index,
	      received, h->sent);
}

PROBE_CASE(nmi_hlt, "nmi.in_hlt", CASE_ONCE)
{
	SKIP_UNLESS(t, smp_count() > 1, "one CPU");
	for (unsigned i = 1; i < smp_count(); i++) {
		for (unsigned round = 0; round < HLT_ROUNDS; round++) {
			struct halt h = {.sleeper = this_cpu()};
			u64 before = h.sleeper->nmi_count;

			smp_start_work(smp_cpu(i), wake_by_nmi, &h);
			halt(&h);
			CHECK(t, smp_finish_work(smp_cpu(i)), "CPU %u failed", i);
			check_halt(t, &h, before);
		}
	}
}

PROBE_CASE(nmi_hlt_ap, "nmi.in_hlt_other_cpus", CASE_ONCE)
{
	SKIP_UNLESS(t, smp_count() > 1, "one CPU");
	for (unsigned i = 1; i < smp_count(); i++) {
		struct halt h = {.sleeper = smp_cpu(i)};
		u64 before = h.sleeper->nmi_count;

		smp_start_work(h.sleeper, halt, &h);
		wake_by_nmi(&h);
		CHECK(t, smp_finish_work(h.sleeper), "CPU %u failed", i);
		check_halt(t, &h, before);
	}
}

struct last_exit {
	struct cpu *target;
	u32 round; /* that the target is in */
	bool lost;
};

/* The NMI of each round, at another moment of the target's exit. */
static void send_around_exit(void *arg)
{
	struct last_exit *e = arg;

	for (u32 i = 1; i <= LAST_EXIT_ROUNDS; i++) {
		while (__atomic_load_n(&e->round, __ATOMIC_ACQUIRE) < i) {
			if (__atomic_load_n(&e->lost, __ATOMIC_ACQUIRE))
				return;
			cpu_pause();
		}
		for (u32 delay = 0; delay < i / LAST_EXIT_ALIGNMENTS; delay++)
			cpu_pause();
		apic_send(e->target->apic_id, APIC_NMI);
	}
}

/*
 * A hypervisor that notes an NMI for its next entry must not do so when it has already looked: the
 * guest may not exit again. An emulator switches between CPUs every few instructions, and what it
 * gets to in that time is shifted as well.
 */
PROBE_CASE(nmi_last_exit, "nmi.around_the_last_exit", CASE_ONCE)
{
	struct last_exit e = {.target = this_cpu()};
	const u64 before = e.target->nmi_count;
	u32 round;

	SKIP_UNLESS(t, smp_count() > 1, "one CPU");
	smp_start_work(smp_cpu(1), send_around_exit, &e);
	for (round = 1; round <= LAST_EXIT_ROUNDS; round++) {
		__atomic_store_n(&e.round, round, __ATOMIC_RELEASE);
		for (u32 i = 0; i < round % LAST_EXIT_ALIGNMENTS; i++)
			asm volatile("");
		cpuid(0, 0);
		if (!await_nmi(e.target, before + round, false))
			break;
	}
	__atomic_store_n(&e.lost, round <= LAST_EXIT_ROUNDS, __ATOMIC_RELEASE);
	CHECK(t, smp_finish_work(smp_cpu(1)), "CPU 1 failed");
	CHECK(t, !e.lost, "the NMI of round %u did not come", round);
	CHECK_EQ(t, e.target->nmi_count, before + LAST_EXIT_ROUNDS);
}

/* An exception in the handler returns by IRET and so ends the blocking: SDM, same section. */
static void fault_in_handler(struct cpu *cpu)
{
	if (nested.done)
		return;
	nested.done = true;
	apic_send(cpu->apic_id, APIC_NMI);
	(void)TRY("ud2", ::: "memory");
	for (unsigned i = 0; i < HANDLER_CPUIDS && cpu->nmi_max_depth < 2; i++)
		cpuid(0, 0);
	nested.count_in_handler = cpu->nmi_count;
}

PROBE_CASE(nmi_iret, "nmi.iret_unblocks", CASE_EACH_CPU)
{
	struct cpu *cpu = this_cpu();
	u64 before = cpu->nmi_count;

	nested.done = false;
	cpu->nmi_max_depth = 0;
	cpu->nmi_hook = fault_in_handler;
	apic_send(cpu->apic_id, APIC_NMI);
	CHECK(t, await_nmi(cpu, before + 2, false), "%lu NMIs of 2 came", cpu->nmi_count - before);
	cpu->nmi_hook = NULL;
	CHECK_EQ(t, nested.count_in_handler, before + 2);
	CHECK_EQ(t, cpu->nmi_max_depth, 2);
}
