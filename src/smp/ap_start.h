/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Starting CPUs for Umbra itself, in real mode at a page below 1 MiB that is Umbra's: application
 * processors before the guest exists, and all of them when the machine wakes up.
 */
#pragma once

#include "mm/memmap.h"
#include "smp/cpu.h"

/* What a started CPU does, on its own stack and with its block loaded. */
struct ap_work {
	void (*prepare)(struct cpu *cpu); /* at once, while the next CPU waits for its turn */
	void (*go)(void);                 /* when they are released; does not return */
	void (*leave)(void);              /* when they are dismissed */
};

/*
 * Tells the APIC ID of every CPU there is but this one, whatever the firmware's tables say, by what
 * comes to the page after a broadcast. They wait for an INIT then.
 */
void ap_call_roll(paddr_t page, void (*found)(u32 apic_id));

/*
 * Starts every CPU in cpus[] but this one; they wait then to be released. `page` is physical, below
 * 1 MiB; 0: there is none, which stops with a message unless this is the only CPU. The same if one
 * does not come: it would be outside Umbra's control.
 */
void ap_start_all(const struct ap_work *work, paddr_t page);

/* They go on. */
void ap_release_all(void);

/* They leave and halt, and any that comes late as well. */
void ap_dismiss_all(void);

/*
 * A CPU that comes to the page in real mode gets to `entry`, on the stack of that block and in
 * Umbra's page tables, of four levels whatever this CPU has, until
 * host_paging_unmap_trampoline(). False: out of memory.
 */
bool ap_prepare_trampoline(paddr_t page, struct cpu *cpu, void (*entry)(struct cpu *cpu));
