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
 * Makes this CPU the only one to go on: the others stop at their next exit, which the NMI and the
 * INIT that they are sent now will be, or where they are about to enter the guest, and are waited
 * for a little. One that waits for a start-up IPI is no danger and takes neither: the IPI would be
 * its exit. Only the first CPU to call this returns; it may call it again.
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
