/* SPDX-License-Identifier: BSD-2-Clause */
/* Starting the application processors for Umbra itself, before the guest exists. */
#pragma once

#include "mm/memmap.h"
#include "smp/cpu.h"

/* What a started CPU does, on its own stack and with its block loaded. */
struct ap_work {
	void (*prepare)(struct cpu *cpu); /* at once, while the next CPU waits for its turn */
	void (*go)(void);                 /* when all CPUs are started; does not return */
};

/*
 * Starts every CPU in cpus[] but this one. `avoid` are ranges in use below 1 MiB. Stops with a
 * message if one does not come: it would be outside Umbra's control.
 */
void ap_start_all(const struct ap_work *work, const struct memmap *map, const struct range *avoid,
		  size_t n_avoid);
