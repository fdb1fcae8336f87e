/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Registers that VM entries and exits load or leave alone, by L1's controls: which, and what
 * becomes of their values on the way into L2 and back.
 */
#pragma once

#include "nested/caps.h"
#include "nested/vmcs12.h"

struct nested_vmcs;

enum { SWITCHED_COUNT = 10 };

/* Which of them a CPU has, a bit for each, and the controls of vmcs02 for these. */
struct switched_set {
	u32 present;
	u64 entry_controls, exit_controls;
};

/* What L1's controls do with each: a bit a register. */
struct switched_plan {
	u32 present;
	u32 entry_loads;
	u32 exit_loads;
	u32 saves;
	bool rare_entry; /* an MSR list, IA32_PERF_GLOBAL_CTRL, or I/O bitmaps */
	bool rare_exit;  /* the same, or a barrier on this CPU */
};

/* What this CPU has. */
void switched_init(const struct vmx_capabilities *vmx, struct switched_set *out);

/* What L1's controls come to. */
void switched_plan(const struct switched_set *set, const struct vmcs12 *v,
		   struct switched_plan *plan);

/*
 * What L2 takes over from L1, while vmcs01 is current; and then L2's registers, into vmcs02. Values
 * are SWITCHED_COUNT.
 */
void switched_read_l1(const struct switched_plan *plan, u64 *out);
void switched_enter(struct nested_vmcs *vmcs, const u64 *l1);

/* What an exit saves: vmcs02 has it. */
void switched_save(struct nested_vmcs *vmcs);

/* What L1 takes over from the current VMCS; and then L1's registers, into vmcs01. */
void switched_read_kept(const struct switched_plan *plan, u64 *out);
void switched_leave(const struct nested_vmcs *vmcs, const u64 *kept);

/* IA32_PERF_GLOBAL_CTRL, the same way; and when L2 has not begun. */
void perf_global_ctrl_enter(struct nested_vmcs *vmcs);
void perf_global_ctrl_undo(const struct nested_vmcs *vmcs);
void perf_global_ctrl_save(struct vmcs12 *v);
void perf_global_ctrl_leave(const struct vmcs12 *v);
