/* SPDX-License-Identifier: BSD-2-Clause */
/* SDM "Instructions That Cause VM Exits Unconditionally". */
#include "vmx/l2.h"

L2_CODE(code_cpuid, "nop\ncpuid");

PROBE_CASE(exit_cpuid, "vmx.exit.cpuid", CASE_EACH_CPU)
{
	struct l2 *l2 = l2_begin(t);

	if (!l2)
		return;
	L2_EXITS(t, l2, code_cpuid, REASON_CPUID, 0);
	CHECK_EQ(t, l2->exit.length, 2);
	CHECK_RIP(t, l2, 1);
	l2_skip(l2);
	l2_run(l2);
	CHECK_EXIT_QUAL(t, l2, REASON_VMCALL, 0);
	CHECK_EQ(t, l2->exit.length, 3);
	CHECK_RIP(t, l2, 3);
}
