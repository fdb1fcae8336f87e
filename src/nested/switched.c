/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Registers that VM entries and exits load or leave alone as controls say. The hardware always
 * switches them between vmcs02 and Umbra, so that none of L2's stays on in root mode; what L1's
 * controls ask for is done to the values. SDM "Loading Guest Control Registers, Debug Registers,
 * and MSRs", "Saving Control Registers, Debug Registers, and MSRs" and "Loading Host Control
 * Registers, Debug Registers, MSRs". EFER has rules of its own.
 */
#include <x86/cr.h>
#include <x86/msr.h>

#include "lib/insn.h"
#include "nested/state.h"
#include "nested/switched.h"
#include "vmx/vmcs.h"

struct rule {
	u32 encoding; /* the guest-state field */
	u8 guest12;   /* what L1 has for it */
	u8 host12;    /* the same, or NONE: the exit loads `value` */
	u64 value;
	u64 entry, exit, save; /* controls; exit or save 0: every exit does */
};

enum { NONE = F_COUNT };

static const struct rule rules[SWITCHED_COUNT] = {
	{VMCS_GUEST_DR7, F_GUEST_DR7, NONE, DR7_INIT, ENTRY_LOAD_DEBUG_CONTROLS, 0,
	 EXIT_SAVE_DEBUG_CONTROLS},
	{VMCS_GUEST_DEBUGCTL, F_GUEST_DEBUGCTL, NONE, 0, ENTRY_LOAD_DEBUG_CONTROLS, 0,
	 EXIT_SAVE_DEBUG_CONTROLS},
	{VMCS_GUEST_PAT, F_GUEST_PAT, F_HOST_PAT, 0, ENTRY_LOAD_PAT, EXIT_LOAD_PAT, EXIT_SAVE_PAT},
	{VMCS_GUEST_BNDCFGS, F_GUEST_BNDCFGS, NONE, 0, ENTRY_LOAD_BNDCFGS, EXIT_CLEAR_BNDCFGS, 0},
	{VMCS_GUEST_S_CET, F_GUEST_S_CET, F_HOST_S_CET, 0, ENTRY_LOAD_CET, EXIT_LOAD_CET, 0},
	{VMCS_GUEST_SSP, F_GUEST_SSP, F_HOST_SSP, 0, ENTRY_LOAD_CET, EXIT_LOAD_CET, 0},
	{VMCS_GUEST_INTERRUPT_SSP_TABLE, F_GUEST_INTERRUPT_SSP_TABLE, F_HOST_INTERRUPT_SSP_TABLE, 0,
	 ENTRY_LOAD_CET, EXIT_LOAD_CET, 0},
	{VMCS_GUEST_PKRS, F_GUEST_PKRS, F_HOST_PKRS, 0, ENTRY_LOAD_PKRS, EXIT_LOAD_PKRS, 0},
	{VMCS_GUEST_LBR_CTL, F_GUEST_LBR_CTL, NONE, 0, ENTRY_LOAD_LBR_CTL, EXIT_CLEAR_LBR_CTL, 0},
	{VMCS_GUEST_UINV, F_GUEST_UINV, NONE, 0, ENTRY_LOAD_UINV, EXIT_CLEAR_UINV, 0},
};

void switched_init(const struct vmx_capabilities *vmx, struct switched_set *out)
{
	*out = (struct switched_set){0};
	for (u32 i = 0; i < SWITCHED_COUNT; i++) {
		if (!vmx_can_set(vmx->entry, rules[i].entry))
			continue;
		out->present |= 1u << i;
		out->entry_controls |= rules[i].entry;
		out->exit_controls |= (rules[i].exit | rules[i].save) & (vmx->exit >> 32);
	}
}

void switched_plan(const struct switched_set *set, const struct vmcs12 *v,
		   struct switched_plan *plan)
{
	const u64 entry = v->f[F_ENTRY_CONTROLS];
	const u64 exit = v->f[F_EXIT_CONTROLS];

	*plan = (struct switched_plan){.present = set->present};
	for (u32 left = set->present; left; left &= left - 1) {
		const u32 i = (u32)__builtin_ctz(left);
		const struct rule *rule = &rules[i];

		if (entry & rule->entry)
			plan->entry_loads |= 1u << i;
		if (!rule->exit || (exit & rule->exit))
			plan->exit_loads |= 1u << i;
		if (!rule->save || (exit & rule->save))
			plan->saves |= 1u << i;
	}
	plan->rare_entry = (entry & ENTRY_LOAD_PERF_GLOBAL_CTRL) ||
			   (v->f[F_PRIMARY_CONTROLS] & CPU_USE_IO_BITMAPS) ||
			   v->f[F_VM_ENTRY_MSR_LOAD_COUNT] || v->f[F_VM_EXIT_MSR_STORE_COUNT];
	plan->rare_exit = (exit & (EXIT_LOAD_PERF_GLOBAL_CTRL | EXIT_SAVE_PERF_GLOBAL_CTRL)) ||
			  v->f[F_VM_EXIT_MSR_STORE_COUNT] || v->f[F_VM_EXIT_MSR_LOAD_COUNT];
}

/*
 * Every entry and exit runs this, so it is unrolled: one short piece of code a rule. The rules from
 * ON_EVERY_CPU on are for newer CPUs, and are skipped by one test if none of them is meant.
 */
enum { ON_EVERY_CPU = 3 };

#define RULES(i, first, end, which, what)                                                          \
	_Pragma("clang loop unroll(full)") for (u32 i = first; i < end; i++) if ((which) >> i & 1) \
		what
#define FOR_EACH_RULE(i, which, what)                                        \
	do {                                                                 \
		RULES(i, 0, ON_EVERY_CPU, which, what);                      \
		if ((which) >> ON_EVERY_CPU)                                 \
			RULES(i, ON_EVERY_CPU, SWITCHED_COUNT, which, what); \
	} while (0)

static inline void read_registers(u32 which, u64 *out)
{
	FOR_EACH_RULE(i, which, out[i] = vmcs_read(rules[i].encoding));
}

void switched_read_l1(const struct switched_plan *plan, u64 *out)
{
	read_registers(plan->present & ~plan->entry_loads, out);
}

static inline void enter_by(const struct rule *rule, struct nested_vmcs *vmcs, bool loads,
			    bool saves, u64 l1)
{
	const enum vmcs12_field f = (enum vmcs12_field)rule->guest12;

	if (field_set_has(&vmcs->stale, f)) {
		/* vmcs02 still has L2's own value, and it need not be in vmcs12: it is saved again.
		 */
		if (loads && saves)
			return;
		vmcs->vmcs12->f[f] = vmcs_read(rule->encoding);
		field_set_remove(&vmcs->stale, f);
	}
	vmcs_write(rule->encoding, loads ? vmcs->vmcs12->f[f] : l1);
}

void switched_enter(struct nested_vmcs *vmcs, const u64 *l1)
{
	const struct switched_plan plan = vmcs->plan;

	FOR_EACH_RULE(
		i, plan.present,
		enter_by(&rules[i], vmcs, plan.entry_loads >> i & 1, plan.saves >> i & 1, l1[i]));
}

void switched_save(struct nested_vmcs *vmcs)
{
	const u32 saves = vmcs->plan.saves;

	FOR_EACH_RULE(i, saves, field_set_add(&vmcs->stale, (enum vmcs12_field)rules[i].guest12));
}

void switched_read_kept(const struct switched_plan *plan, u64 *out)
{
	read_registers(plan->present & ~plan->exit_loads, out);
}

static inline void leave_by(const struct rule *rule, const struct vmcs12 *v, bool loads, u64 kept)
{
	u64 value = kept;

	if (loads)
		value = rule->host12 == NONE ? rule->value : v->f[rule->host12];
	vmcs_write(rule->encoding, value);
}

void switched_leave(const struct nested_vmcs *vmcs, const u64 *kept)
{
	const struct switched_plan plan = vmcs->plan;
	const struct vmcs12 *v = vmcs->vmcs12;

	FOR_EACH_RULE(i, plan.present, leave_by(&rules[i], v, plan.exit_loads >> i & 1, kept[i]));
}

/*
 * IA32_PERF_GLOBAL_CTRL stays L2's over exits that L1 does not see, so it is not the hardware's to
 * load at every entry.
 */
void perf_global_ctrl_enter(struct nested_vmcs *vmcs)
{
	const struct vmcs12 *v = vmcs->vmcs12;

	if (!(v->f[F_ENTRY_CONTROLS] & ENTRY_LOAD_PERF_GLOBAL_CTRL))
		return;
	vmcs->l1_perf_global_ctrl = rdmsr(MSR_IA32_PERF_GLOBAL_CTRL);
	wrmsr_safe(MSR_IA32_PERF_GLOBAL_CTRL, v->f[F_GUEST_PERF_GLOBAL_CTRL]);
}

void perf_global_ctrl_undo(const struct nested_vmcs *vmcs)
{
	if (vmcs->vmcs12->f[F_ENTRY_CONTROLS] & ENTRY_LOAD_PERF_GLOBAL_CTRL)
		wrmsr_safe(MSR_IA32_PERF_GLOBAL_CTRL, vmcs->l1_perf_global_ctrl);
}

void perf_global_ctrl_save(struct vmcs12 *v)
{
	if (v->f[F_EXIT_CONTROLS] & EXIT_SAVE_PERF_GLOBAL_CTRL)
		v->f[F_GUEST_PERF_GLOBAL_CTRL] = rdmsr(MSR_IA32_PERF_GLOBAL_CTRL);
}

void perf_global_ctrl_leave(const struct vmcs12 *v)
{
	if (v->f[F_EXIT_CONTROLS] & EXIT_LOAD_PERF_GLOBAL_CTRL)
		wrmsr_safe(MSR_IA32_PERF_GLOBAL_CTRL, v->f[F_HOST_PERF_GLOBAL_CTRL]);
}
