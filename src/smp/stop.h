/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Stopping all other CPUs: for good, for a reset and for a panic, or until they are released, while
 * the machine sleeps. They stay in VMX root operation, where INIT is blocked (SDM "Restrictions on
 * VMX Operation") and nothing of the guest's runs.
 */
#pragma once

#include "smp/cpu.h"

/* What struct cpu's `stop` asks for. */
enum stop {
	STOP_NOT,
	STOP_BEFORE_ENTRY, /* where it would enter the guest, so that it holds no lock */
	STOP_AT_ONCE,      /* for good, wherever it is */
};

/*
 * Makes this CPU the only one to go on. The others stop at their next exit, which the NMI or INIT
 * sent now causes, or before they enter the guest; this waits some milliseconds for them. One in
 * wait-for-SIPI takes neither and does no harm: it stops at its SIPI exit. The first CPU to call
 * this returns, and may call it again; a later one stops here.
 */
void stop_others(void);

/*
 * Has all others stop before they enter the guest again, by an NMI, and waits for them. False: one
 * of them has not, or another CPU is doing the same; all go on.
 */
bool stop_others_for_now(void);

/* They go on; what they were sent is not the guest's to see. */
void stop_release_others(void);

/* Whether another CPU wants this one to stop. */
static inline bool stop_is_due(void)
{
	return __atomic_load_n(&this_cpu()->stop, __ATOMIC_RELAXED) != STOP_NOT;
}

/* Whether it must not even finish what it does. */
static inline bool stop_is_urgent(void)
{
	return __atomic_load_n(&this_cpu()->stop, __ATOMIC_RELAXED) == STOP_AT_ONCE;
}

/* Stops as it is asked to. Returns when it has been released. */
void stop_as_asked(void);

/* For good. */
_Noreturn void stop_here(void);
