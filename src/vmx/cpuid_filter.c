/* SPDX-License-Identifier: BSD-2-Clause */
#include "vmx/cpuid_filter.h"

#include <umbra/interface.h>

#include <x86/cr.h>
#include <x86/vmx.h>

enum { LEAF_FEATURES = 1, LEAF_EXTENDED_FEATURES = 7, LEAF_XSAVE = 0xd, LEAF_KEY_LOCKER = 0x19 };
enum { MASK_XSAVE = 5, HYPERVISOR_RANGE = 4 };

static const struct cpuid_leaf *find_leaf(u32 leaf)
{
	static const struct cpuid_leaf unknown = {.kind = CPUID_LEAF_UNKNOWN};

	if (leaf < CPUID_BASIC_LEAVES)
		return &cpuid_basic_leaves[leaf];
	if (leaf - CPUID_EXTENDED < CPUID_EXTENDED_LEAVES)
		return &cpuid_extended_leaves[leaf - CPUID_EXTENDED];
	return &unknown;
}

static bool pt_is_contained(const struct vmx_capabilities *vmx)
{
	return (vmx->misc & VMX_MISC_PT) && vmx_can_set(vmx->entry, ENTRY_LOAD_RTIT_CTL) &&
	       vmx_can_set(vmx->exit, EXIT_CLEAR_RTIT_CTL) &&
	       vmx_can_set(vmx->secondary, CPU2_PT_GUEST_PHYSICAL);
}

static bool is_met(enum cpuid_need need, const struct vmx_capabilities *vmx,
		   const struct cpuid_options *options)
{
	/* What a single secondary control enables; 0, for a need of nothing, every CPU meets. */
	static const u64 secondary[CPUID_NEED_COUNT] = {
		[CPUID_NEED_RDTSCP] = CPU2_RDTSCP,   [CPUID_NEED_INVPCID] = CPU2_INVPCID,
		[CPUID_NEED_XSAVES] = CPU2_XSAVES,   [CPUID_NEED_USER_WAIT] = CPU2_USER_WAIT_PAUSE,
		[CPUID_NEED_PCONFIG] = CPU2_PCONFIG,
	};

	switch (need) {
	case CPUID_NEED_NESTED:
		return options->nested;
	case CPUID_NEED_HYPERVISOR:
		return options->hypervisor;
	case CPUID_NEED_PT:
		return !options->nested && pt_is_contained(vmx);
	case CPUID_NEED_LBR:
		return vmx_can_set(vmx->entry, ENTRY_LOAD_LBR_CTL) &&
		       vmx_can_set(vmx->exit, EXIT_CLEAR_LBR_CTL);
	case CPUID_NEED_MSR_LIST:
		return vmx_can_set(vmx->primary, CPU_TERTIARY_CONTROLS) &&
		       vmx_can_set(vmx->tertiary, CPU3_MSR_LIST);
	default:
		return vmx_can_set(vmx->secondary, secondary[need]);
	}
}

static void set_field(struct cpuid *mask, const struct cpuid_feature *f, bool shown)
{
	u32 *word = &mask->word[f->reg];
	const u32 bits = (u32)BITS(f->last, f->first);

	*word = shown ? *word | bits : *word & ~bits;
}

static void make_masks(struct cpuid_hidden *out, const struct vmx_capabilities *vmx,
		       const struct cpuid_options *options)
{
	for (u32 i = 0; options->all && i < CPUID_MASKS; i++)
		out->mask[i] = (struct cpuid){.word = {~0u, ~0u, ~0u, ~0u}};
	for (u32 i = 0; i < cpuid_feature_count; i++) {
		const struct cpuid_feature *f = &cpuid_features[i];

		set_field(&out->mask[find_leaf(f->leaf)->mask + f->subleaf], f,
			  f->verdict != CPUID_HIDDEN && is_met(f->need, vmx, options));
	}
}

static void make_components(struct cpuid_hidden *out, const struct vmx_capabilities *vmx,
			    const struct cpuid_options *options)
{
	out->xcr0 = out->xss = options->all ? ~0ull : 0;
	for (u32 i = 0; i < cpuid_component_count; i++) {
		const struct cpuid_component *c = &cpuid_components[i];
		u64 *word = c->supervisor ? &out->xss : &out->xcr0;

		*word &= ~BIT(c->bit);
		if (c->verdict != CPUID_HIDDEN && is_met(c->need, vmx, options))
			*word |= BIT(c->bit);
	}
	/* SDM "IA32_XSS": there is none without XSAVES. */
	if (!is_met(CPUID_NEED_XSAVES, vmx, options))
		out->xss = 0;
	out->mask[MASK_XSAVE] =
		(struct cpuid){.word = {(u32)out->xcr0, ~0u, ~0u, (u32)(out->xcr0 >> 32)}};
	out->mask[MASK_XSAVE + 1].ecx = (u32)out->xss;
	out->mask[MASK_XSAVE + 1].edx = (u32)(out->xss >> 32);
}

static bool leaf_passes(const struct cpuid_leaf *leaf, const struct vmx_capabilities *vmx,
			const struct cpuid_options *options)
{
	switch (leaf->kind) {
	case CPUID_LEAF_DATA:
		return true;
	case CPUID_LEAF_DETAILS:
		return is_met(leaf->need, vmx, options);
	case CPUID_LEAF_UNKNOWN:
		return options->all;
	default:
		return false;
	}
}

struct cpuid_hidden cpuid_hidden_features(const struct vmx_capabilities *vmx,
					  const struct cpuid_options *options, u32 last_basic,
					  u32 last_extended)
{
	struct cpuid_hidden out = {
		.last_basic = last_basic,
		.last_extended = last_extended,
		.options = *options,
		.leaf14 = !is_met(CPUID_NEED_PT, vmx, options),
	};

	for (u32 leaf = 0; leaf <= last_basic && leaf < 64; leaf++) {
		if (leaf_passes(find_leaf(leaf), vmx, options))
			out.passed |= BIT(leaf);
	}
	make_masks(&out, vmx, options);
	make_components(&out, vmx, options);
	return out;
}

struct cpuid cpuid_known_bits(u32 mask)
{
	struct cpuid known = {0};

	for (u32 i = 0; i < cpuid_feature_count; i++) {
		const struct cpuid_feature *f = &cpuid_features[i];

		if (find_leaf(f->leaf)->mask + f->subleaf == mask)
			set_field(&known, f, true);
	}
	for (u32 i = 0; i < cpuid_component_count; i++) {
		const struct cpuid_component *c = &cpuid_components[i];

		if (mask == MASK_XSAVE + (u32)c->supervisor)
			*(c->supervisor ? &known.ecx : &known.eax) |= (u32)BIT(c->bit);
	}
	if (mask == MASK_XSAVE)
		known.ebx = known.ecx = ~0u;
	return known;
}

/* umbra/interface.h. The other leaves of the range are zeros. */
static bool is_own(u32 leaf, const struct cpuid_hidden *hidden)
{
	return hidden->options.own && leaf - hidden->options.own < UMBRA_CPUID_STEP;
}

static struct cpuid own_leaf(u32 index, u32 first)
{
	switch (index) {
	case 0:
		return (struct cpuid){.word = {first + 1, UMBRA_SIGNATURE_EBX, UMBRA_SIGNATURE_ECX,
					       UMBRA_SIGNATURE_EDX}};
	case 1:
		return (struct cpuid){.eax = UMBRA_INTERFACE_VERSION};
	default:
		return (struct cpuid){0};
	}
}

u32 cpuid_effective_leaf(u32 leaf, const struct cpuid_hidden *hidden)
{
	if (leaf <= hidden->last_basic)
		return leaf;
	if (leaf >= CPUID_EXTENDED && leaf <= hidden->last_extended)
		return leaf;
	if (is_own(leaf, hidden) || (hidden->options.hypervisor && leaf >> 28 == HYPERVISOR_RANGE))
		return leaf;
	return hidden->last_basic;
}

static void set_bit(u32 *word, u64 bit, bool on)
{
	*word = on ? *word | (u32)bit : *word & ~(u32)bit;
}

static void apply(struct cpuid *answer, const struct cpuid *mask)
{
	for (u32 i = 0; i < ARRAY_SIZE(answer->word); i++)
		answer->word[i] &= mask->word[i];
}

static void filter_xsave(struct cpuid *answer, u32 subleaf, const struct cpuid_hidden *hidden)
{
	if (subleaf < 2) {
		apply(answer, &hidden->mask[MASK_XSAVE + subleaf]);
		if (subleaf == 0 && hidden->xsave_size)
			answer->ecx = hidden->xsave_size;
	} else if (subleaf > 63 || !((hidden->xcr0 | hidden->xss) >> subleaf & 1)) {
		*answer = (struct cpuid){0};
	}
}

/* Bits that report the state of whoever executes CPUID, which is Umbra. */
static void set_guests_bits(struct cpuid *answer, u32 leaf, const struct cpuid_guest *guest,
			    const struct cpuid_hidden *hidden)
{
	switch (leaf) {
	case LEAF_FEATURES:
		set_bit(&answer->ecx, CPUID_1_ECX_OSXSAVE, guest->cr4 & CR4_OSXSAVE);
		break;
	case LEAF_EXTENDED_FEATURES:
		set_bit(&answer->ecx, CPUID_7_ECX_OSPKE, guest->cr4 & CR4_PKE);
		break;
	case LEAF_KEY_LOCKER:
		set_bit(&answer->ebx, CPUID_19_EBX_AESKLE, hidden->aeskle && (guest->cr4 & CR4_KL));
		break;
	case CPUID_EXTENDED + LEAF_FEATURES:
		if (!guest->in_64bit_mode)
			answer->edx &= ~(u32)CPUID_81_EDX_SYSCALL;
		if (guest->xd_disabled)
			answer->edx &= ~(u32)CPUID_81_EDX_NX;
		break;
	default:
		break;
	}
}

void cpuid_filter(struct cpuid *answer, u32 leaf, u32 subleaf, const struct cpuid_guest *guest,
		  const struct cpuid_hidden *hidden)
{
	const struct cpuid_leaf *row = find_leaf(leaf);
	const u32 index = row->subleaves ? subleaf : 0;

	if (cpuid_passes(leaf, hidden))
		return;
	switch (row->kind) {
	case CPUID_LEAF_DATA:
		break;
	case CPUID_LEAF_XSAVE:
		filter_xsave(answer, subleaf, hidden);
		break;
	case CPUID_LEAF_BITS:
		if (index == 0 || index < row->subleaves) {
			apply(answer, &hidden->mask[row->mask + index]);
			if (index == 0)
				set_guests_bits(answer, leaf, guest, hidden);
			break;
		}
		if (!hidden->options.all)
			*answer = (struct cpuid){0};
		break;
	case CPUID_LEAF_UNKNOWN:
		if (is_own(leaf, hidden))
			*answer = own_leaf(leaf - hidden->options.own, hidden->options.own);
		else if (!hidden->options.all &&
			 !(hidden->options.hypervisor && leaf >> 28 == HYPERVISOR_RANGE))
			*answer = (struct cpuid){0};
		break;
	default:
		*answer = (struct cpuid){0};
		break;
	}
}
