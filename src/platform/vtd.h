/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * DMA remapping units: they send all DMA through one map (mm/dma_map.h), which never changes.
 * Legacy mode is enough for that: every unit with second-stage translation has it, and what
 * scalable mode adds, address spaces of processes, is for whoever owns the devices. Faults raise no
 * interrupt, since vectors are the guest's: vtd_poll() looks where Umbra is anyway.
 */
#pragma once

#include <x86/types.h>

/* Forgets all units; before the first vtd_add(). Touches no hardware. */
void vtd_init(void);

/*
 * Adds the unit with registers at [registers, … + size), mapped there, for DMA to addresses below
 * `top` in a map of 2^width bytes. NULL, or why it cannot protect, for people.
 */
const char *vtd_add(void *registers, u64 size, unsigned int width, paddr_t top);

/* Whether firmware uses a unit that was added, for DMA or for interrupts. */
bool vtd_firmware_uses(void);

/* What all units that were added have in common. */
bool vtd_has_1g_pages(void);

/*
 * Makes a root table for each kind of unit that was added, dma_map_root()'s, so that the map may
 * not be short of memory later. False: it is now.
 */
bool vtd_make_tables(void);

/*
 * Takes every unit from whoever has set it up, and turns it on; after S3 again. NULL, or what
 * failed, for people: then no unit is to be relied on.
 */
const char *vtd_start(void);

/* After vtd_start() has failed: as without a unit. */
void vtd_stop(void);

/* Logs and counts faults once in a while, if there are units. Any CPU, often. */
void vtd_poll(void);

/* Units that are on, and faults since boot up to now. */
u32 vtd_units_on(void);
u64 vtd_faults(void);
