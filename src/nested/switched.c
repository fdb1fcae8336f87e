/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Registers that VM entries and exits load or leave alone as controls say. The hardware always
 * switches them between vmcs02 and Umbra, so that none of L2's stays on in root mode; what L1's
 * controls ask for is done to the values. SDM "Loading Guest Control Registers, Debug Registers,
 * and MSRs", "Saving Control Registers, Debug Registers, and MSRs" and "Loading Host Control
 * Registers, Debug Registers, MSRs". EFER and the debug registers have rules of their own.
 */
#include <x86/msr.h>

#include "lib/insn.h"
#include "nested/state.h"
#include "vmx/vmcs.h"

struct rule {
	u32 encoding;       /* the guest-state field */
	u8 guest12, host12; /* what L1 has for it, or NONE; an exit without a host field clears */
	u64 entry, exit, save; /* controls; save 0: every exit saves it */
};

enum { NONE = F_COUNT };

static const struct rule rules[SWITCHED_COUNT] = {
	{VMCS_GUEST_PAT, F_GUEST_PAT, F_HOST_PAT, ENTRY_LOAD_PAT, EXIT_LOAD_PAT, EXIT_SAVE_PAT},
	{VMCS_GUEST_BNDCFGS, F_GUEST_BNDCFGS, NONE, ENTRY_LOAD_BNDCFGS, EXIT_CLEAR_BNDCFGS, 0},
	{VMCS_GUEST_S_CET, F_GUEST_S_CET, F_HOST_S_CET, ENTRY_LOAD_CET, EXIT_LOAD_CET, 0},
	{VMCS_GUEST_SSP, F_GUEST_SSP, F_HOST_SSP, ENTRY_LOAD_CET, EXIT_LOAD_CET, 0},
	{VMCS_GUEST_INTERRUPT_SSP_TABLE, F_GUEST_INTERRUPT_SSP_TABLE, F_HOST_INTERRUPT_SSP_TABLE,
	 ENTRY_LOAD_CET, EXIT_LOAD_CET, 0},
	{VMCS_GUEST_PKRS, F_GUEST_PKRS, F_HOST_PKRS, ENTRY_LOAD_PKRS, EXIT_LOAD_PKRS, 0},
	{VMCS_GUEST_LBR_CTL, F_GUEST_LBR_CTL, NONE, ENTRY_LOAD_LBR_CTL, EXIT_CLEAR_LBR_CTL, 0},
	/* Not offered to L1: L2 goes on with what L1 has. */
	{VMCS_GUEST_UINV, NONE, NONE, ENTRY_LOAD_UINV, EXIT_CLEAR_UINV, 0},
};

/* Numbers of the rules whose registers this hardware has. Boot-time constants. */
static u8 used[SWITCHED_COUNT];
static u32 used_count;
static u64 entry_controls, exit_controls;

void switched_init(const struct vmx_capabilities *vmx)
{
	used_count = 0;
	for (u32 i = 0; i < SWITCHED_COUNT; i++) {
		if (!vmx_can_set(vmx->entry, rules[i].entry))
			continue;
		used[used_count++] = (u8)i;
		entry_controls |= rules[i].entry;
		exit_controls |= rules[i].exit & (vmx->exit >> 32);
		/* Save and load go together, or a value of L2's would be lost. */
		exit_controls |= rules[i].save & (vmx->exit >> 32);
	}
}

u64 switched_entry_controls(void)
{
	return entry_controls;
}

u64 switched_exit_controls(void)
{
	return exit_controls;
}

static bool entry_loads(const struct vmcs12 *v, const struct rule *rule)
{
	return rule->guest12 != NONE && (v->f[F_ENTRY_CONTROLS] & rule->entry);
}

static bool exit_loads(const struct vmcs12 *v, const struct rule *rule)
{
	return rule->guest12 != NONE && (v->f[F_EXIT_CONTROLS] & rule->exit);
}

void switched_read_for_entry(const struct vmcs12 *v, struct switched *out)
{
	for (u32 i = 0; i < used_count; i++) {
		const struct rule *rule = &rules[used[i]];

		out->value[i] =
			entry_loads(v, rule) ? v->f[rule->guest12] : vmcs_read(rule->encoding);
	}
}

void switched_read_for_exit(const struct vmcs12 *v, struct switched *out)
{
	for (u32 i = 0; i < used_count; i++) {
		const struct rule *rule = &rules[used[i]];

		if (!exit_loads(v, rule))
			out->value[i] = vmcs_read(rule->encoding);
		else
			out->value[i] = rule->host12 == NONE ? 0 : v->f[rule->host12];
	}
}

void switched_save(struct vmcs12 *v)
{
	for (u32 i = 0; i < used_count; i++) {
		const struct rule *rule = &rules[used[i]];

		if (rule->guest12 != NONE && (!rule->save || (v->f[F_EXIT_CONTROLS] & rule->save)))
			v->f[rule->guest12] = vmcs_read(rule->encoding);
	}
}

void switched_write(const struct switched *values)
{
	for (u32 i = 0; i < used_count; i++)
		vmcs_write(rules[used[i]].encoding, values->value[i]);
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

void perf_global_ctrl_save(struct vmcs12 *v)
{
	if (v->f[F_EXIT_CONTROLS] & EXIT_SAVE_PERF_GLOBAL_CTRL)
		v->f[F_GUEST_PERF_GLOBAL_CTRL] = rdmsr(MSR_IA32_PERF_GLOBAL_CTRL);
}

void perf_global_ctrl_leave(const struct nested_vmcs *vmcs, bool entered)
{
	const struct vmcs12 *v = vmcs->vmcs12;

	if (v->f[F_EXIT_CONTROLS] & EXIT_LOAD_PERF_GLOBAL_CTRL)
		wrmsr_safe(MSR_IA32_PERF_GLOBAL_CTRL, v->f[F_HOST_PERF_GLOBAL_CTRL]);
	else if (!entered && (v->f[F_ENTRY_CONTROLS] & ENTRY_LOAD_PERF_GLOBAL_CTRL))
		wrmsr_safe(MSR_IA32_PERF_GLOBAL_CTRL, vmcs->l1_perf_global_ctrl);
}
