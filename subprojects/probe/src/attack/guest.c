/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A hostile L1's virtual machine: every physical address of its VMCS and of its EPT may point at
 * what is not L1's, and L2 runs random privileged code that exits as little as possible.
 */
#include "attack/attack.h"
#include "random/code.h"
#include "random/mutate.h"
#include "string.h"

enum { ENTRIES = 3, SLOTS = 3 };

/* The tables of the world's EPT are not rebuilt for each step: what was there before. */
struct change {
	u64 *slot;
	u64 old;
};

static void aim_ept(struct attacker *a, struct change *change, unsigned level)
{
	static const u64 large[] = {0, 0, EPT_LARGE};
	const u64 gpa = choice_below(WORLD_SIZE / PAGE_SIZE) * PAGE_SIZE;

	change->slot = ept_slot(&a->w->ept, gpa, level);
	change->old = *change->slot;
	*change->slot = attack_target(a) | choice_below(8) |
			ept_memtype_bits((enum memtype)choice_below(8)) | CHOICE_OF(large);
	if (one_in(8))
		*change->slot |= attack_odd_bit();
	record_step("EPT entry", gpa | level, *change->slot);
}

/* Nothing but what the probe stands on exits. */
static void pass_msrs(struct attacker *a)
{
	static const u32 kept[] = {MSR_IA32_TSC, MSR_IA32_APIC_BASE, MSR_IA32_TSC_ADJUST,
				   MSR_IA32_TSC_DEADLINE, MSR_IA32_MISC_ENABLE};
	u8 *bitmap = (u8 *)a->zeroes + PAGE_SIZE;

	/* Of VMX capabilities L2 would read what a hypervisor below offers. */
	if (a->compares || !l2_enable(CTL_CPU, CPU_USE_MSR_BITMAPS))
		return;
	memset(bitmap, 0, PAGE_SIZE);
	for (unsigned i = 0; i < ARRAY_SIZE(kept); i++)
		bitmap[2048 + kept[i] / 8] |= (u8)(1u << kept[i] % 8);
	memset(bitmap + 2048 + MSR_X2APIC_BASE / 8, 0xff, 32);
	if (one_in(2))
		l2_enable(CTL_CPU3, CPU3_MSR_LIST);
	vmwrite(VMCS_MSR_BITMAP, one_in(4) ? attack_target(a) : (u64)bitmap);
}

static void aim_control(struct attacker *a)
{
	static const struct {
		enum vmx_ctl ctl;
		u64 bits;
		u32 field;
	} rows[] = {
		{CTL_CPU, CPU_TPR_SHADOW, VMCS_VIRTUAL_APIC_ADDR},
		{CTL_CPU2, CPU2_VIRTUAL_APIC_ACCESSES, VMCS_APIC_ACCESS_ADDR},
		{CTL_CPU2, CPU2_VMCS_SHADOWING, VMCS_VMREAD_BITMAP},
		{CTL_CPU2, CPU2_VMCS_SHADOWING, VMCS_VMWRITE_BITMAP},
		{CTL_CPU2, CPU2_PML, VMCS_PML_ADDRESS},
		{CTL_CPU2, CPU2_EPT_VIOLATION_VE, VMCS_VE_INFO_ADDR},
		{CTL_CPU2, CPU2_EPT, VMCS_EPT_POINTER},
		{CTL_PIN, PIN_POSTED_INTR, VMCS_POSTED_INTR_DESC_ADDR},
	};
	const unsigned row = (unsigned)choice_below(ARRAY_SIZE(rows));
	u64 target = attack_target(a);

	/*
	 * An exit by #VE, a fault, saves RFLAGS.RF as 1; Bochs 2.7 saves 0. And where EPT paging
	 * structures are in the APIC-access page, the SDM leaves open whether accesses to them
	 * exit.
	 */
	if (a->compares &&
	    (rows[row].field == VMCS_VE_INFO_ADDR || rows[row].field == VMCS_APIC_ACCESS_ADDR))
		return;
	if (!l2_enable(rows[row].ctl, rows[row].bits))
		return;
	if (rows[row].field == VMCS_EPT_POINTER)
		target |= vmread(VMCS_EPT_POINTER) & 0xfff;
	if (rows[row].field == VMCS_VMREAD_BITMAP)
		vmwrite(VMCS_VMWRITE_BITMAP, attack_target(a));
	if (rows[row].field == VMCS_VMWRITE_BITMAP)
		vmwrite(VMCS_VMREAD_BITMAP, attack_target(a));
	record_step("aim", rows[row].field, target);
	vmwrite(rows[row].field, target);
}

static void aim_state(struct attacker *a)
{
	static const u32 fields[] = {
		VMCS_GUEST_CR3,     VMCS_GUEST_PDPTE0, VMCS_GUEST_GDTR_BASE, VMCS_GUEST_IDTR_BASE,
		VMCS_GUEST_TR_BASE, VMCS_GUEST_RIP,    VMCS_GUEST_RSP,
	};

	vmwrite(CHOICE_OF(fields), attack_target(a) | choice_below(16));
}

/* The list of an entry. All ones in one of an exit's are a VMX abort, which ends this CPU. */
static void aim_list(struct attacker *a)
{
	vmwrite(VMCS_VM_ENTRY_MSR_LOAD_ADDR, attack_target(a));
	vmwrite(VMCS_VM_ENTRY_MSR_LOAD_COUNT, 1 + choice_below(2));
}

static void choose_mode(struct attacker *a)
{
	enum world_mode mode;

	do
		mode = one_in(3) ? MODE_LONG : (enum world_mode)choice_below(MODE_COUNT);
	while (!world_can(a->w, mode));
	attack_see(a, "mode", mode);
	world_reset(a->w, mode);
}

/* Memory of L2 that was hidden, whatever L2 did to it, still is; what it read is ones. */
static void run(struct attacker *a)
{
	for (unsigned i = 0; i < ENTRIES; i++) {
		const struct l2 *l2 = a->w->l2;

		mutate_tame();
		l2_run(a->w->l2);
		if (a->compares)
			record_outcome(a->w);
		if (l2->entry != VM_OK || (l2->exit.reason & EXIT_REASON_ENTRY_FAIL))
			return;
		l2_skip(a->w->l2);
		if (one_in(4))
			mutate_event(a->w);
	}
}

void attack_guest(struct attacker *a)
{
	struct change changes[SLOTS] = {0};
	static void (*const ways[])(struct attacker * a) = {aim_control, aim_control, aim_state,
							    aim_list};
	const u64 slot = choice_below(WORLD_SLOTS);
	const unsigned level = one_in(2) ? 1 : 1 + (unsigned)choice_below(3);
	/* Behind a table that is not one there are no entries to aim. */
	u64 count = level > 1 ? 1 : choice_below(SLOTS + 1);

	if (one_in(4)) {
		try_vmclear(a->w->vmcs[slot]);
		a->w->launched[slot] = false;
		if (slot == a->w->slot)
			a->w->l2->launched = false;
	}
	world_select(a->w, (unsigned)slot);
	choose_mode(a);
	code_write(a->w->memory + WORLD_CODE);
	code_choose_registers(&a->w->l2->regs);
	pass_msrs(a);
	for (u64 i = 0; i < count; i++)
		aim_ept(a, &changes[i], level);
	ept_flush(&a->w->ept);
	while (one_in(2))
		CHOICE_OF(ways)(a);
	while (one_in(2))
		mutate_guest(a->w);
	run(a);
	/* In the other order: two may be the same. */
	while (count--)
		*changes[count].slot = changes[count].old;
	ept_flush(&a->w->ept);
	world_restore_cpu();
}
