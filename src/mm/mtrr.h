/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Memory type range registers as data (SDM "Memory Type Range Registers (MTRRs)"): which writes
 * the processor accepts, and what type the registers give a range. No MSR is touched here.
 */
#pragma once

#include <x86/memtype.h>
#include <x86/msr.h>
#include <x86/types.h>

enum {
	MTRR_FIXED_COUNT = 11,
	MTRR_VAR_MAX = 16,
};

/* Fields of the registers, whose addresses are in x86/msr.h. */
enum mtrr_bits : u64 {
	MTRR_CAP_VCNT = BITS(7, 0),
	MTRR_CAP_FIX = BIT(8),
	MTRR_CAP_WC = BIT(10),
	MTRR_DEF_TYPE = BITS(7, 0),
	MTRR_DEF_FIXED_ENABLE = BIT(10),
	MTRR_DEF_ENABLE = BIT(11),
	MTRR_BASE_TYPE = BITS(7, 0),
	MTRR_MASK_VALID = BIT(11),
};

struct mtrr_state {
	u64 cap;
	u64 def_type;
	u64 fixed[MTRR_FIXED_COUNT]; /* 64K_00000, 16K_80000, 16K_A0000, 4K_C0000 … 4K_F8000 */
	u64 var_base[MTRR_VAR_MAX];
	u64 var_mask[MTRR_VAR_MAX];
	u8 count;      /* variable pairs in use, at most MTRR_VAR_MAX */
	u8 maxphyaddr; /* bits of an address without those of a key: phys_width_memory() */
};

/*
 * The register behind `msr`, inside `state`, or NULL if `msr` is no writable MTRR that this
 * processor has. IA32_MTRRCAP is read-only and therefore NULL too.
 */
u64 *mtrr_register(struct mtrr_state *state, u32 msr);

/*
 * Whether WRMSR of `value` to `msr` is accepted. False is the processor's #GP(0): not an MTRR it
 * has, read-only, a reserved bit, a reserved memory type, or WC where it is not supported.
 */
bool mtrr_wrmsr_valid(const struct mtrr_state *state, u32 msr, u64 value);

/*
 * Memory type of [start, start + size), both multiples of 4 KiB, size not 0, no wrap. If the whole
 * range has one type, *uniform is true. Otherwise *uniform is false and the result is a type that
 * is safe for every part: UC, or WT where only WT and WB meet. A block of more than one page that
 * is uniform only by several registers side by side may be reported as not uniform; a single 4 KiB
 * page is never reported so.
 *
 * "MTRR Precedences" leaves overlaps other than with UC, and of WT with WB, undefined: UC here.
 */
enum memtype mtrr_type_of_range(const struct mtrr_state *state, paddr_t start, u64 size,
				bool *uniform);
