/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Stopping all other CPUs, for a reset and for a panic. They stay in VMX root operation, where INIT
 * is blocked (SDM "Restrictions on VMX Operation") and nothing of the guest's runs.
 */
#pragma once

#include "smp/cpu.h"

/*
 * Makes this CPU the only one to go on: the others stop at their next exit, which the NMI and the
 * INIT that they are sent now will be, or where they are about to enter the guest, and are waited
 * for a little. One that waits for a start-up IPI is no danger and takes neither: the IPI would be
 * its exit. Only the first CPU to call this returns; it may call it again.
 */
void stop_others(void);

/* Whether another CPU wants this one to stop. */
static inline bool stop_is_due(void)
{
	return __atomic_load_n(&this_cpu()->stop, __ATOMIC_RELAXED);
}

/* So it does, for good. */
_Noreturn void stop_here(void);
