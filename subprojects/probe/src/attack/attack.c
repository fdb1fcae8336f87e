/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * attack.alone: one CPU attacks; without hidden= what it sees goes into digests, the same on every
 *   machine of that model. attack.watched: another CPU counts meanwhile. attack.all: all attack.
 *
 *   seed=N first=N steps=N   which steps; each can be run alone
 *   block=N                  a digest after so many
 *   detail=N                 from step N on, everything done and seen
 *   every=N                  ask Umbra (`stats`) after so many whether its memory is untouched
 */
#include "acpi.h"
#include "attack/others.h"
#include "hidden.h"
#include "memory.h"
#include "timer.h"
#include "umbra.h"

enum {
	DEFAULT_STEPS = 20000,
	DEFAULT_BLOCK = 1000,
	DEFAULT_EVERY = 10000,
	REPORTED = 10, /* unexpected exceptions */
};

struct integrity {
	bool known; /* there is someone who answers */
	u64 digest, pages, spoiled;
};

static struct integrity ask(void)
{
	const struct umbra_answer a = umbra_ask(0, UMBRA_ASK_INTEGRITY, 0, 0);

	return (struct integrity){a.known, a.result[0], a.result[1], a.result[2]};
}

static struct integrity before;

static void check_integrity(struct attacker *a)
{
	struct integrity now;

	if (!before.known)
		return;
	now = ask();
	STEP_CHECK(a, now.known, "the answer about integrity is gone");
	STEP_CHECK(a, now.digest == before.digest, "code or constants have changed");
	STEP_CHECK(a, !now.spoiled, "%lu words of unused pages have changed", now.spoiled);
}

static void choose_step(struct attacker *a)
{
	static void (*const plain[])(struct attacker * a) = {
		attack_memory,
		attack_memory,
		attack_memory,
		attack_memory,
		attack_tables,
		attack_user,
		attack_msr,
		attack_msr,
		attack_msr,
		attack_identify,
		attack_control_register,
		attack_control_register,
	};
	static void (*const vmx[])(struct attacker * a) = {
		attack_pointer, attack_field, attack_field, attack_field, attack_invalidate,
	};

	if (!a->compares && one_in(16))
		others_disturb(a);
	else if (!a->w || !one_in(4))
		CHOICE_OF(plain)(a);
	else if (one_in(256))
		attack_vmx_operation(a);
	else if (one_in(6))
		attack_guest(a);
	else
		CHOICE_OF(vmx)(a);
}

static void report_unexpected(struct attacker *a)
{
	const struct fault f = this_cpu()->fault;

	if (a->unexpected++ < REPORTED)
		STEP_CHECK(a, false, "unexpected %s(%x) at %lx, CR2 %lx", vector_name(f.vector),
			   f.error, f.rip, f.cr2);
}

static void run_step(struct attacker *a)
{
	struct cpu *cpu = this_cpu();
	struct context *outer = cpu->guard;
	struct context here;

	choice_begin(a->seed + ((u64)cpu->index << 32), a->step);
	if (context_save(&here)) {
		cpu->guard = outer;
		report_unexpected(a);
		return;
	}
	cpu->guard = &here;
	choose_step(a);
	cpu->guard = outer;
}

static void begin(struct attacker *a, struct run *t)
{
	a->t = t;
	a->seed = cmdline_number("seed", 1);
	a->aims = hidden_range_given(&a->start, &a->end);
	a->scratch = (u64)memory_pages(1);
	a->region = (u64)memory_pages(1);
	a->zeroes = (u64)memory_pages(2);
	a->w = vmx_available() ? world_begin(t) : NULL;
}

static void run_steps(struct attacker *a)
{
	const u64 first = cmdline_number("first", 0),
		  steps = cmdline_number("steps", DEFAULT_STEPS);
	const u64 block = cmdline_number("block", DEFAULT_BLOCK);
	const u64 every = cmdline_number("every", DEFAULT_EVERY);
	const u64 detail = cmdline_number("detail", ~0ull);

	for (a->step = first; a->step < first + steps; a->step++) {
		const u64 done = a->step + 1 - first;

		if (a->compares)
			record_detail(a->step >= detail);
		if (a->compares && a->step >= detail)
			print("#   step %lu\n", a->step);
		run_step(a);
		if (a->compares && done % block == 0)
			print("= attack steps %lu-%lu: digest %lx\n", a->step + 1 - block, a->step,
			      record_digest());
		if (done % every == 0)
			check_integrity(a);
	}
	check_integrity(a);
}

static void say(const struct attacker *a, u64 steps)
{
	print("# attack: CPU %u, %lu steps, seed %lu, %s\n", this_cpu()->index, steps, a->seed,
	      a->aims ? "aimed at hidden memory" : "nothing hidden");
	if (before.known)
		print("# attack: code and constants unchanged, %lu unused pages watched\n",
		      before.pages);
}

static void start(struct attacker *a, struct run *t)
{
	before = ask();
	CHECK(t, !before.spoiled || !before.known, "%lu words spoiled at the beginning",
	      before.spoiled);
	begin(a, t);
}

PROBE_CASE(attack_alone, "attack.alone", CASE_EXPLICIT)
{
	static struct attacker a;

	start(&a, t);
	a.alone = true;
	a.compares = !a.aims;
	record_begin();
	run_steps(&a);
	if (!t->failures)
		say(&a, a.step - cmdline_number("first", 0));
}

PROBE_CASE(attack_watched, "attack.watched", CASE_EXPLICIT)
{
	static struct attacker a;

	SKIP_UNLESS(t, smp_count() > 1, "one CPU");
	start(&a, t);
	a.alone = true;
	others_begin(&a);
	run_steps(&a);
	others_end(&a);
	if (!t->failures)
		say(&a, a.step - cmdline_number("first", 0));
}

static struct attacker all[ACPI_MAX_CPUS];
static u32 attacking;

static void attack_on_this_cpu(void *arg)
{
	struct attacker *a = &all[this_cpu()->index];

	begin(a, arg);
	__atomic_add_fetch(&attacking, 1, __ATOMIC_SEQ_CST);
	while (__atomic_load_n(&attacking, __ATOMIC_SEQ_CST) < smp_count())
		cpu_pause();
	run_steps(a);
	say(a, a->step - cmdline_number("first", 0));
}

/* As long as it makes steps it is well, however long that takes. */
static void wait_for(struct run *t, unsigned cpu)
{
	enum { PATIENCE_US = 30000000 };
	const struct attacker *a = &all[cpu];
	u64 step = a->step, deadline = timer_deadline(PATIENCE_US);

	while (__atomic_load_n(&smp_cpu(cpu)->work, __ATOMIC_ACQUIRE) && rdtsc() < deadline)
		if (a->step != step) {
			step = a->step;
			deadline = timer_deadline(PATIENCE_US);
		}
	CHECK(t, smp_finish_work(smp_cpu(cpu)), "seed %lu: CPU %u in step %lu did not end well",
	      a->seed, cpu, a->step);
}

PROBE_CASE(attack_all, "attack.all", CASE_EXPLICIT)
{
	SKIP_UNLESS(t, smp_count() > 1, "one CPU");
	before = ask();
	attacking = 0;
	/* The table that the windows of all CPUs hang off. */
	attack_map(0, 0, 0);
	for (unsigned i = 1; i < smp_count(); i++)
		smp_start_work(smp_cpu(i), attack_on_this_cpu, t);
	attack_on_this_cpu(t);
	for (unsigned i = 1; i < smp_count(); i++)
		wait_for(t, i);
}
