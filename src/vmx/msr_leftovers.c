/* SPDX-License-Identifier: BSD-2-Clause */
/* What firmware, or who had the CPU before, may have left running on it. */
#include <x86/msr.h>

#include "lib/insn.h"
#include "vmx/msr.h"

/* Of a range that the CPU does not have, not even the first one can be read. */
static void clear_row(const struct msr_policy *row)
{
	u64 value;

	for (u32 msr = row->first; msr <= row->last; msr += msr_stride(row)) {
		if (!rdmsr_safe(msr, &value))
			return;
		if (value)
			wrmsr_safe(msr, 0);
	}
}

void msr_clear_leftovers(u64 xss_allowed)
{
	u64 value;

	for (u32 i = 0; i < msr_table_rows; i++) {
		if (msr_table[i].clear)
			clear_row(&msr_table[i]);
	}
	if (rdmsr_safe(MSR_IA32_XSS, &value) && (value & ~xss_allowed))
		wrmsr_safe(MSR_IA32_XSS, value & xss_allowed);
}
