/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The virtual machine of the random rounds. Its 64 KiB of memory are its own: an L2 that goes
 * astray meets EPT violations, never the probe, and nothing it can read depends on where the probe
 * lies.
 */
#pragma once

#include "vmx/eptmap.h"
#include "vmx/l2.h"

/* Guest-physical addresses, and linear ones: every paging mode maps them to themselves. */
enum world_map {
	WORLD_IVT = 0, /* real mode's vectors; handlers behind them */
	WORLD_CODE = 0x1000,
	WORLD_STACK = 0x2000,  /* one page; the top is 0x3000 */
	WORLD_TABLES = 0x3000, /* GDT and TSS */
	WORLD_IDT64 = 0x4000,
	WORLD_IDT32 = 0x5000,
	WORLD_DATA = 0x6000,
	WORLD_APIC_ACCESS = 0x7000,
	WORLD_READ_ONLY = 0x8000,
	WORLD_HANDLERS = 0x9000,
	WORLD_PML4 = 0xa000,
	WORLD_PDPT = 0xb000,
	WORLD_PD = 0xc000,
	WORLD_PAE_PDPT = 0xd000,
	WORLD_PAGE_DIRECTORY = 0xe000,
	WORLD_SIZE = 0xf000, /* the last page of the 64 KiB is not there */
};

enum world_mode {
	MODE_LONG,
	MODE_COMPATIBILITY,
	MODE_PAE,
	MODE_32BIT,
	MODE_FLAT, /* protected, no paging */
	MODE_REAL,
	MODE_V86,
	MODE_COUNT,
};

enum { WORLD_SLOTS = 12 }; /* more VMCSs than a hypervisor below may want to keep */

struct world {
	struct l2 *l2;
	struct run *t;
	u8 *memory; /* WORLD_SIZE bytes */
	struct eptmap ept;
	u64 *virtual_apic;
	u64 *msr_lists; /* three, 512 bytes apart: entry load, exit store, exit load */
	u64 vmcs[WORLD_SLOTS];
	bool launched[WORLD_SLOTS];
	unsigned slot;
	bool unrestricted;
};

/* NULL: the case was skipped, or failed. */
struct world *world_begin(struct run *t);

/* Makes this slot's VMCS current. */
void world_select(struct world *w, unsigned slot);

/* Memory, guest state and controls as at the beginning of a round; host state is left alone. */
void world_reset(struct world *w, enum world_mode mode);

/* Whether this page may be executed: EPT_EXEC, EPT_USER_EXEC, both or none; until the next reset.
 */
void world_set_execute(struct world *w, unsigned page, u64 rights);

/* Makes all linear addresses supervisor-mode ones where there is paging; until the next reset. */
void world_set_supervisor(struct world *w);

/* Registers of the CPU's that L2 may have changed and no exit restores. */
void world_restore_cpu(void);

/* Whether the CPU can run this mode as L2. */
bool world_can(const struct world *w, enum world_mode mode);
