/* SPDX-License-Identifier: BSD-2-Clause */
#include "attack/others.h"

#include "apic.h"
#include "layout.h"
#include "power.h"
#include "timer.h"

enum {
	PATIENCE_US = 30000000, /* for a step of the attacker, and for the counter to move */
	COUNTER_WAIT_US = 1000000,
};

/* What the counting CPU and the attacker tell each other. */
static struct {
	struct attacker *attacker;
	volatile u64 count;
	volatile bool stop;
} watch;

/* On the second CPU: a hang of the attacker's must not go unseen, nor unnamed. */
static void count_and_watch(void *unused)
{
	u64 step = watch.attacker->step, deadline = timer_deadline(PATIENCE_US);

	(void)unused;
	while (!watch.stop) {
		watch.count++;
		if (watch.attacker->step != step) {
			step = watch.attacker->step;
			deadline = timer_deadline(PATIENCE_US);
		}
		if (rdtsc() > deadline)
			panic("%s: seed %lu step %lu does not end", watch.attacker->t->c->name,
			      watch.attacker->seed, step);
	}
}

bool others_begin(struct attacker *a)
{
	watch.attacker = a;
	watch.stop = false;
	if (smp_count() < 2)
		return false;
	smp_start_work(smp_cpu(1), count_and_watch, NULL);
	return true;
}

static void check_counting(struct attacker *a)
{
	const u64 before = watch.count;

	for (u64 end = timer_deadline(COUNTER_WAIT_US); watch.count == before && rdtsc() < end;)
		cpu_pause();
	STEP_CHECK(a, watch.count != before, "CPU 1 has stopped counting at %lu", before);
}

void others_end(struct attacker *a)
{
	check_counting(a);
	watch.stop = true;
	STEP_CHECK(a, smp_finish_work(smp_cpu(1)), "CPU 1 does not end its work");
}

/* The counting CPU is not in VMX operation, where INIT would be held back. */
void others_restart(struct attacker *a, unsigned inits)
{
	struct cpu *cpu = smp_cpu(1);

	smp_prepare_restart(cpu);
	while (--inits)
		apic_send(cpu->apic_id, APIC_INIT);
	smp_send_init(cpu->apic_id);
	smp_send_sipi(cpu->apic_id);
	smp_send_sipi(cpu->apic_id);
	/* Its work is still there: it takes it up again. */
	STEP_CHECK(a, smp_wait_online(COUNTER_WAIT_US), "CPU 1 did not start again");
	check_counting(a);
}

void others_disturb(struct attacker *a)
{
	enum { RESTART_RARELY = 64, BURST = 8 };
	const u32 self = this_cpu()->index;
	const struct cpu *other;

	if (smp_count() < 2)
		return;
	other = smp_cpu((self + 1 + (u32)choice_below(smp_count() - 1)) % smp_count());
	switch (choice_below(4)) {
	case 0:
		for (u64 n = choice_below(BURST); n; n--)
			apic_send(other->apic_id, APIC_NMI);
		break;
	case 1:
		apic_send(other->apic_id, (u32)APIC_STARTUP | (u32)choice_below(256));
		break;
	case 2:
		apic_send_shorthand((u32)APIC_NMI | (u32)APIC_TO_OTHERS);
		break;
	default:
		if (a->alone && one_in(RESTART_RARELY))
			others_restart(a, 1 + (unsigned)choice_below(3));
		break;
	}
	if (a->alone)
		check_counting(a);
}
