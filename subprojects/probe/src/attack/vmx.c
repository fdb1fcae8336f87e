/* SPDX-License-Identifier: BSD-2-Clause */
/* VMX instructions whose operands, physical or in memory, are aimed at. */
#include "attack/attack.h"
#include "layout.h"
#include "string.h"

/* Back to where the other steps expect to be. */
static void settle(struct attacker *a)
{
	world_select(a->w, a->w->slot);
}

static void see_outcome(struct attacker *a, const char *what, u64 outcome)
{
	attack_see(a, what, outcome);
	STEP_CHECK(a, !(outcome & VM_BAD_FLAGS), "%s: %s", what, vm_outcome_name(outcome));
}

static u64 choose_pointer(const struct attacker *a)
{
	u64 pa = one_in(4) ? a->region : attack_target(a);

	if (one_in(8))
		pa |= choice_below(PAGE_SIZE);
	if (one_in(8))
		pa |= attack_odd_bit();
	if (pa == a->region && one_in(2))
		vmx_prepare_region((void *)pa);
	return pa;
}

/* A pointer to anything but a page prepared for it is refused, or its use goes nowhere. */
void attack_pointer(struct attacker *a)
{
	const u64 pa = choose_pointer(a);
	u64 current = 0, outcome;

	switch (choice_below(4)) {
	case 0:
		outcome = try_vmptrld(pa);
		see_outcome(a, "VMPTRLD", outcome);
		STEP_CHECK(a, outcome != VM_OK || !attack_hidden(a, pa), "VMPTRLD %lx", pa);
		break;
	case 1:
		/* Success is no leak: its writes may go nowhere, as where there is no memory. */
		see_outcome(a, "VMCLEAR", try_vmclear(pa));
		break;
	case 2:
		see_outcome(a, "VMXON", try_vmxon(&pa));
		break;
	default:
		world_reset(a->w, MODE_LONG);
		l2_enable(CTL_CPU2, CPU2_VMCS_SHADOWING);
		vmwrite(VMCS_VMCS_LINK_POINTER, pa);
		outcome = l2_run(a->w->l2);
		see_outcome(a, "entry", outcome);
		break;
	}
	see_outcome(a, "VMPTRST", try_vmptrst(&current));
	STEP_CHECK(a, !attack_hidden(a, current), "the current VMCS is at %lx", current);
	try_vmclear(a->region);
	settle(a);
}

static bool is_host_field(u64 field)
{
	return (field >> 10 & 3) == 3;
}

static u64 any_field(void)
{
	switch (choice_below(3)) {
	case 0:
		return choice_near(VMCS_GUEST_RIP, 15);
	case 1:
		return choice();
	default:
		/* Width, kind, index, and sometimes the high half. */
		return choice_below(4) << 13 | choice_below(3) << 10 | choice_below(0x40);
	}
}

/* Bochs 2.7 ends itself at the high half of a field that has none, if that is of natural width. */
static u64 choose_field(void)
{
	const u64 field = any_field();

	return (field >> 13 & 3) == 3 ? field & ~1ull : field;
}

/* Fields by register and by memory operands that cross into hidden memory. */
void attack_field(struct attacker *a)
{
	const u64 first = attack_target(a), second = attack_target(a);
	u8 *p = attack_map(first, second, PTE_W) +
		(one_in(2) ? PAGE_SIZE - choice_below(9) : choice_below(PAGE_SIZE));
	const u64 field = choose_field();
	u64 value = choice();

	memset((void *)a->scratch, 0, PAGE_SIZE);
	switch (choice_below(5)) {
	case 0:
		see_outcome(a, "VMREAD m",
			    VMX_INSN("vmread %[f], (%[p])",
				     : [f] "r"(field), [p] "r"(p)
				     : "memory"));
		break;
	case 1:
		if (!is_host_field(field))
			see_outcome(a, "VMWRITE m",
				    VMX_INSN("vmwrite (%[p]), %[f]",
					     : [f] "r"(field), [p] "r"(p)
					     : "memory"));
		break;
	case 2:
		if (!is_host_field(field))
			see_outcome(a, "VMWRITE", try_vmwrite(field, value));
		break;
	case 3:
		see_outcome(a, "VMPTRST m", VMX_INSN("vmptrst (%[p])", : [p] "r"(p) : "memory"));
		break;
	default:
		see_outcome(a, "VMREAD", try_vmread(field, &value));
		break;
	}
}

void attack_invalidate(struct attacker *a)
{
	u8 *p = attack_map(attack_target(a), attack_target(a), PTE_W) + PAGE_SIZE -
		choice_below(2 * 16 + 1);
	const u64 type = one_in(8) ? choice() : choice_below(5);
	const u64 pa = attack_target(a);

	memset((void *)a->scratch, 0, PAGE_SIZE);
	switch (choice_below(4)) {
	case 0:
		see_outcome(a, "INVEPT m",
			    VMX_INSN("invept (%[p]), %[t]",
				     : [p] "r"(p), [t] "r"(type)
				     : "memory"));
		break;
	case 1:
		see_outcome(a, "INVVPID m",
			    VMX_INSN("invvpid (%[p]), %[t]",
				     : [p] "r"(p), [t] "r"(type)
				     : "memory"));
		break;
	case 2:
		see_outcome(a, "INVEPT", try_invept(type, pa | choice_below(0x80), one_in(8)));
		break;
	default:
		see_outcome(a, "INVVPID", try_invvpid(type, (u16)choice_below(4), choice()));
		break;
	}
}

/* Out of VMX operation and in again, with a region that is none. */
void attack_vmx_operation(struct attacker *a)
{
	const u64 own = vmx_region();
	u64 pa = choose_pointer(a);

	for (unsigned slot = 0; slot < WORLD_SLOTS; slot++) {
		see_outcome(a, "VMCLEAR", try_vmclear(a->w->vmcs[slot]));
		a->w->launched[slot] = false;
	}
	a->w->l2->launched = false;
	see_outcome(a, "VMXOFF", try_vmxoff());
	if (attack_hidden(a, pa) || pa == a->region) {
		const u64 outcome = try_vmxon(&pa);

		see_outcome(a, "VMXON", outcome);
		STEP_CHECK(a, outcome != VM_OK || !attack_hidden(a, pa), "VMXON %lx", pa);
		if (outcome == VM_OK)
			see_outcome(a, "VMXOFF", try_vmxoff());
	}
	see_outcome(a, "VMXON", try_vmxon(&own));
	settle(a);
}
