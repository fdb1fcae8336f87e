/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Which values MSRs may have, by CPUID and the SDM. To write a value to the CPU and see whether it
 * faults would let it act in root mode: BTS, LBRs and counters run from one instruction to the
 * next.
 */
#pragma once

#include <x86/paging.h>
#include <x86/types.h>

#include "vmx/msr_table.h"

/* What a CPU's registers have; the bits of those it lacks are 0. */
struct msr_bits {
	u64 debugctl;
	u64 lbr_ctl;
	u64 perf_global_ctrl;
	u8 linear_width; /* 48, or 57 if the CPU has 5-level paging */
};

/* Reads this CPU's CPUID. Privileged; never faults. */
void msr_bits_read(struct msr_bits *out);

/* Whether WRMSR would take the value. */
bool msr_value_valid(const struct msr_bits *bits, enum msr_value rule, u64 value);

/* SDM "Programming the PAT". */
static inline bool pat_is_valid(u64 pat)
{
	for (unsigned int i = 0; i < 8; i++, pat >>= 8) {
		const u8 type = (u8)pat;

		if (type > 7 || type == 2 || type == 3)
			return false;
	}
	return true;
}
