/* SPDX-License-Identifier: BSD-2-Clause */
/* SDM appendix "VMX Capability Reporting Facility". */
#include "vmx/vmx.h"

PROBE_CASE(cap_show, "vmx.cap.show", CASE_ONCE | CASE_EXPLICIT)
{
	SKIP_UNLESS(t, vmx_available(), "no VMX");
	for (u32 msr = MSR_IA32_VMX_BASIC; msr <= MSR_IA32_VMX_EXIT_CTLS2; msr++) {
		u64 value;

		if (!try_rdmsr(msr, &value).raised)
			print("# MSR %x %lx\n", msr, value);
	}
	print("# FEATURE_CONTROL %lx\n", rdmsr(MSR_IA32_FEATURE_CONTROL));
}
