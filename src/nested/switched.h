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
 * With vmcs01 current: L1's values of the registers that the entry leaves alone, SWITCHED_COUNT of
 * them; then, with vmcs02 current: gives it L2's values, or those of L1.
 */
void switched_read_l1(const struct switched_plan *plan, u64 *out);
void switched_enter(struct nested_vmcs *vmcs, const u64 *l1);

/* After an exit: vmcs02 has the newer values of what L1's exit controls save. */
void switched_save(struct nested_vmcs *vmcs);

/*
 * The current VMCS's values of the registers that the exit leaves alone; then, with vmcs01 current:
 * L1's host values, or those kept.
 */
void switched_read_kept(const struct switched_plan *plan, u64 *out);
void switched_leave(const struct nested_vmcs *vmcs, const u64 *kept);

/*
 * IA32_PERF_GLOBAL_CTRL, if L1's controls say so: loads L2's and remembers L1's; puts that back
 * when L2 has not begun; saves L2's at an exit; loads L1's host value.
 */
void perf_global_ctrl_enter(struct nested_vmcs *vmcs);
void perf_global_ctrl_undo(const struct nested_vmcs *vmcs);
void perf_global_ctrl_save(struct vmcs12 *v);
void perf_global_ctrl_leave(const struct vmcs12 *v);
