/* SPDX-License-Identifier: BSD-2-Clause */
#include "mm/mtrr.h"

static const u64 FIXED_END = 0x100000;

/* UC loses no correctness anywhere, which makes it the answer to every undefined overlap. */
static enum memtype combine(enum memtype a, enum memtype b)
{
	if (a == b)
		return a;
	if ((a == MEMTYPE_WT && b == MEMTYPE_WB) || (a == MEMTYPE_WB && b == MEMTYPE_WT))
		return MEMTYPE_WT;
	return MEMTYPE_UC;
}

/* Fixed-range registers in their order; each holds eight types for eight equal pieces. */
static const struct {
	paddr_t start;
	u64 piece;
	u32 msr, count;
} fixed_ranges[] = {
	{0, 64 * KIB, MSR_IA32_MTRR_FIX64K_00000, 1},
	{0x80000, 16 * KIB, MSR_IA32_MTRR_FIX16K_80000, 2},
	{0xc0000, 4 * KIB, MSR_IA32_MTRR_FIX4K_C0000, 8},
};

/* The fixed-range register's place in state->fixed, or -1. */
static int fixed_index(const struct mtrr_state *state, u32 msr)
{
	u32 first = 0;

	for (size_t i = 0; (state->cap & MTRR_CAP_FIX) && i < ARRAY_SIZE(fixed_ranges); i++) {
		if (msr - fixed_ranges[i].msr < fixed_ranges[i].count)
			return (int)(first + msr - fixed_ranges[i].msr);
		first += fixed_ranges[i].count;
	}
	return -1;
}

static bool is_variable(const struct mtrr_state *state, u32 msr)
{
	return msr >= MSR_IA32_MTRR_PHYSBASE0 && msr < MSR_IA32_MTRR_PHYSBASE0 + 2u * state->count;
}

u64 *mtrr_register(struct mtrr_state *state, u32 msr)
{
	const u32 pair = (msr - MSR_IA32_MTRR_PHYSBASE0) / 2;
	const int fixed = fixed_index(state, msr);

	if (msr == MSR_IA32_MTRR_DEF_TYPE)
		return &state->def_type;
	if (is_variable(state, msr))
		return (msr & 1) ? &state->var_mask[pair] : &state->var_base[pair];
	return fixed < 0 ? NULL : &state->fixed[fixed];
}

static bool type_valid(const struct mtrr_state *state, u64 type)
{
	switch (type) {
	case MEMTYPE_UC:
	case MEMTYPE_WT:
	case MEMTYPE_WP:
	case MEMTYPE_WB:
		return true;
	case MEMTYPE_WC:
		return state->cap & MTRR_CAP_WC;
	default:
		return false;
	}
}

/* Bits a physical address cannot have; all of the upper ones are reserved in a variable pair. */
static u64 beyond_maxphyaddr(const struct mtrr_state *state)
{
	return state->maxphyaddr >= 64 ? 0 : ~0ull << state->maxphyaddr;
}

bool mtrr_wrmsr_valid(const struct mtrr_state *state, u32 msr, u64 value)
{
	static const u64 def_reserved = BITS(63, 12) | BITS(9, 8);

	if (msr == MSR_IA32_MTRR_DEF_TYPE)
		return !(value & def_reserved) && type_valid(state, value & MTRR_DEF_TYPE);

	if (is_variable(state, msr)) {
		if (value & beyond_maxphyaddr(state))
			return false;
		if (msr & 1)
			return !(value & BITS(10, 0));
		return !(value & BITS(11, 8)) && type_valid(state, value & MTRR_BASE_TYPE);
	}

	if (fixed_index(state, msr) < 0)
		return false;
	for (unsigned int shift = 0; shift < 64; shift += 8) {
		if (!type_valid(state, (value >> shift) & 0xff))
			return false;
	}
	return true;
}

/* The running result over the parts of a range. */
struct verdict {
	enum memtype type;
	bool uniform;
	bool any;
};

static void verdict_add(struct verdict *v, enum memtype type, bool uniform)
{
	if (!v->any) {
		*v = (struct verdict){.type = type, .uniform = uniform, .any = true};
		return;
	}
	v->uniform = v->uniform && uniform && v->type == type;
	v->type = combine(v->type, type);
}

static void add_fixed(const struct mtrr_state *state, struct verdict *v, paddr_t start, paddr_t end)
{
	const u64 *registers = state->fixed;

	for (size_t i = 0; i < ARRAY_SIZE(fixed_ranges); i++) {
		const u64 piece = fixed_ranges[i].piece;
		const u64 count = 8 * fixed_ranges[i].count;

		for (; start < end; start = ALIGN_DOWN(start, piece) + piece) {
			const u64 n = (start - fixed_ranges[i].start) / piece;

			if (n >= count)
				break;
			verdict_add(v, (enum memtype)(registers[n / 8] >> (8 * (n % 8)) & 0xff),
				    true);
		}
		registers += fixed_ranges[i].count;
	}
}

/*
 * `start` is a multiple of `size`, a power of two. Then the address bits below `size` take every
 * value in the block, and a mask that looks at any of them matches a part of it only.
 */
static void add_variable(const struct mtrr_state *state, struct verdict *v, paddr_t start, u64 size)
{
	enum memtype deflt = (enum memtype)(state->def_type & MTRR_DEF_TYPE);
	enum memtype whole = deflt, part = deflt;
	bool any_whole = false, any_part = false, part_differs = false;

	for (unsigned int i = 0; i < state->count; i++) {
		u64 mask = state->var_mask[i];
		if (!(mask & MTRR_MASK_VALID))
			continue;
		mask &= BITS(63, 12);
		if ((start ^ state->var_base[i]) & mask & ~(size - 1))
			continue;
		enum memtype type = (enum memtype)(state->var_base[i] & MTRR_BASE_TYPE);
		if (mask & (size - 1)) {
			part = any_part ? combine(part, type) : type;
			any_part = true;
			part_differs = part_differs || type != deflt;
		} else {
			whole = any_whole ? combine(whole, type) : type;
			any_whole = true;
		}
	}
	if (!any_part) {
		verdict_add(v, whole, true);
		return;
	}
	/*
	 * combine() only ever makes a type stricter, so if all partial registers together do not
	 * change the type, no subset of them does. The default type takes no part in an overlap:
	 * where it rules outside of the partial registers each of them must give just that type.
	 */
	enum memtype all = combine(whole, part);
	verdict_add(v, all, any_whole ? all == whole : !part_differs);
}

enum memtype mtrr_type_of_range(const struct mtrr_state *state, paddr_t start, u64 size,
				bool *uniform)
{
	struct verdict v = {.any = false};
	paddr_t end = start + size;

	if (!(state->def_type & MTRR_DEF_ENABLE)) {
		*uniform = true;
		return MEMTYPE_UC;
	}
	if ((state->cap & MTRR_CAP_FIX) && (state->def_type & MTRR_DEF_FIXED_ENABLE) &&
	    start < FIXED_END) {
		paddr_t fixed_end = end < FIXED_END ? end : FIXED_END;
		add_fixed(state, &v, start, fixed_end);
		start = fixed_end;
	}
	while (start < end) {
		u64 block = start ? start & -start : BIT(63);
		while (block > end - start)
			block >>= 1;
		add_variable(state, &v, start, block);
		start += block;
	}
	*uniform = v.uniform;
	return v.type;
}
