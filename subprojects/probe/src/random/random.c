/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Random rounds: a virtual machine in a random mode, its VMCS near the valid, random code. On the
 * bare machine and under a hypervisor the digests must be equal.
 *
 *   rounds=N first=N   which rounds; each can be run alone
 *   block=N            a digest after so many
 *   detail=N           from round N on, everything done (#) and seen (=)
 */
#include "random/choice.h"
#include "random/code.h"
#include "random/mutate.h"
#include "random/record.h"

enum { DEFAULT_ROUNDS = 500, DEFAULT_BLOCK = 100, EVENTS_PER_ROUND = 3 };

static u64 entries, exits;

static void use_vmcs(struct world *w)
{
	unsigned slot = (unsigned)choice_below(WORLD_SLOTS);

	if (one_in(4)) {
		CHECK(w->t, try_vmclear(w->vmcs[slot]) == VM_OK, "VMCLEAR failed");
		w->launched[slot] = false;
		if (slot == w->slot)
			w->l2->launched = false;
	}
	world_select(w, slot);
	record_step("VMCS", slot, w->l2->launched);
}

static void mutate(struct world *w)
{
	static void (*const ways[])(struct world *) = {
		mutate_guest,   mutate_guest,     mutate_guest,   mutate_control,
		mutate_control, mutate_control,   mutate_control, mutate_host,
		mutate_event,   mutate_msr_lists, mutate_execute,
	};
	u64 count = one_in(4) ? 2 + choice_below(3) : choice_below(3);

	while (count--)
		CHOICE_OF(ways)(w);
}

static enum world_mode choose_mode(const struct world *w)
{
	enum world_mode mode;

	do
		mode = one_in(3) ? MODE_LONG : (enum world_mode)choice_below(MODE_COUNT);
	while (!world_can(w, mode));
	return mode;
}

static void run_round(struct world *w, u64 seed, u64 round)
{
	enum world_mode mode;

	choice_begin(seed, round);
	use_vmcs(w);
	mode = choose_mode(w);
	record_round(round, mode);
	world_restore_cpu();
	world_reset(w, mode);
	code_write(w->memory + WORLD_CODE);
	record_code(w->memory + WORLD_CODE);
	code_choose_registers(&w->l2->regs);
	mutate(w);
	for (unsigned i = 0; i < EVENTS_PER_ROUND; i++) {
		entries++;
		mutate_tame();
		l2_run(w->l2);
		record_outcome(w);
		if (w->l2->entry != VM_OK || (w->l2->exit.reason & EXIT_REASON_ENTRY_FAIL))
			break;
		exits++;
		if (w->l2->exit.reason == REASON_PREEMPTION_TIMER || one_in(3))
			break;
		/* Go on behind the instruction, perhaps with an event; right or wrong. */
		l2_skip(w->l2);
		if (one_in(4))
			mutate_event(w);
		else if (one_in(4))
			mutate_control(w);
	}
	mutate_undo(w);
}

PROBE_CASE(random_rounds, "vmx.random", CASE_ONCE)
{
	u64 first = cmdline_number("first", 0);
	u64 rounds = cmdline_number("rounds", DEFAULT_ROUNDS);
	u64 block = cmdline_number("block", DEFAULT_BLOCK);
	u64 seed = cmdline_number("seed", 1);
	u64 detail = cmdline_number("detail", ~0ull);
	struct world *w = world_begin(t);

	if (!w)
		return;
	entries = exits = 0;
	record_begin();
	for (u64 round = first; round < first + rounds; round++) {
		record_detail(round >= detail);
		run_round(w, seed, round);
		if ((round + 1 - first) % block == 0)
			print("= vmx.random rounds %lu-%lu: digest %lx\n", round + 1 - block, round,
			      record_digest());
	}
	world_restore_cpu();
	print("= vmx.random: %lu entries, %lu exits\n", entries, exits);
	CHECK(t, entries >= rounds && (exits || rounds < DEFAULT_ROUNDS),
	      "%lu entries, %lu exits of %lu rounds", entries, exits, rounds);
}
