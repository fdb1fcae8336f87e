/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * SDM "VMX Instruction Reference": outside VMX operation every one of them is #UD, VMXON too
 * while CR4.VMXE is 0; that holds on a machine without VMX, and on one that hides it.
 */
#include "features.h"
#include "layout.h"
#include "probe.h"
#include "vmx/list.h"

static u64 operand[2];

#define HIDDEN_INSTRUCTIONS(X) \
	VMX_INSTRUCTIONS(X)    \
	X(vmfunc, "vmfunc")    \
	X(getsec, "getsec")

#define OPERANDS [m] "+m"(operand), [b] "+r"(b)
#define INPUTS   [a] "r"(a)

#define USER_FUNCTION(name, text)                                                \
	static void user_##name(void *unused)                                    \
	{                                                                        \
		u64 a = 0, b = 0;                                                \
		(void)unused;                                                    \
		asm volatile(text:OPERANDS : INPUTS, "a"(0), "c"(0) : "memory"); \
	}
HIDDEN_INSTRUCTIONS(USER_FUNCTION)

PROBE_CASE(vmxhidden_kernel, "vmxhidden.ring0", CASE_EACH_CPU)
{
	u64 a = 0, b = 0;

#define KERNEL_CHECK(name, text) \
	CHECK_UD(t, TRY(text, : OPERANDS : INPUTS, "a"(0), "c"(0) : "memory"));
	HIDDEN_INSTRUCTIONS(KERNEL_CHECK)
}

PROBE_CASE(vmxhidden_user, "vmxhidden.ring3", CASE_EACH_CPU)
{
#define USER_CHECK(name, text) CHECK_UD(t, user_call(user_##name, NULL, 0));
	HIDDEN_INSTRUCTIONS(USER_CHECK)
}

PROBE_CASE(vmxhidden_vmxe, "vmxhidden.vmxe_cannot_be_set", CASE_EACH_CPU)
{
	SKIP_UNLESS(t, !has(FEATURE_VMX), "CPUID has VMX");
	CHECK_GP(t, try_write_cr4(BASE_CR4 | CR4_VMXE));
	CHECK_EQ(t, read_cr4(), BASE_CR4);
}

PROBE_CASE(vmxhidden_msrs, "vmxhidden.capability_msrs", CASE_EACH_CPU)
{
	u64 value;

	SKIP_UNLESS(t, !has(FEATURE_VMX), "CPUID has VMX");
	for (u32 msr = MSR_IA32_VMX_BASIC; msr <= MSR_IA32_VMX_EXIT_CTLS2; msr++) {
		CHECK(t, try_rdmsr(msr, &value).vector == VECTOR_GP, "RDMSR %x does not fault",
		      msr);
		CHECK(t, try_wrmsr(msr, 0).vector == VECTOR_GP, "WRMSR %x does not fault", msr);
	}
}
