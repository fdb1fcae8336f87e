/* SPDX-License-Identifier: BSD-2-Clause */
/* Umbra's interface for its guest (umbra/interface.h), on a machine without it and on one with. */
#include "features.h"
#include "layout.h"
#include "probe.h"
#include "umbra.h"

/* The first leaf, or 0. */
static u32 find_leaves(void)
{
	for (u32 leaf = UMBRA_CPUID_FIRST; leaf <= UMBRA_CPUID_LAST; leaf += UMBRA_CPUID_STEP) {
		const struct cpuid c = cpuid(leaf, 0);

		if (c.ebx == UMBRA_SIGNATURE_EBX && c.ecx == UMBRA_SIGNATURE_ECX &&
		    c.edx == UMBRA_SIGNATURE_EDX)
			return leaf;
	}
	return 0;
}

/* For ring 3. */
static u64 token;
static u64 answer, results[UMBRA_RESULTS];

static void user_ask(void *unused)
{
	(void)unused;
	answer = umbra_call(token, UMBRA_ASK_FACTS, 0, 0, results);
}

static void user_read_token(void *unused)
{
	(void)unused;
	asm volatile("rdmsr" : : "c"(UMBRA_MSR_TOKEN) : "rax", "rdx");
}

static void check_refused(struct run *t, u64 number)
{
	token = number;
	CHECK_UD(t, umbra_ask(number, UMBRA_ASK_FACTS, 0, 0).fault);
	CHECK_UD(t, user_call(user_ask, NULL, 0));
}

/* SDM "CPUID": no such leaves; "RDMSR": #GP; "VMCALL": #UD outside VMX operation. */
PROBE_CASE(interface_off, "interface.off", CASE_EACH_CPU)
{
	u64 value;

	SKIP_UNLESS(t, !umbra_ask(0, UMBRA_ASK_FACTS, 0, 0).known, "answered by the option stats");
	CHECK_EQ(t, find_leaves(), 0);
	CHECK_GP(t, try_rdmsr(UMBRA_MSR_TOKEN, &value));
	CHECK_GP(t, try_wrmsr(UMBRA_MSR_TOKEN, 0));
	CHECK_GP(t, user_call(user_read_token, NULL, 0));
	check_refused(t, 0);
	check_refused(t, ~0ull);
}

/* With hv-leaves=on: for ring 0 the token, and for whoever has it an answer. */
PROBE_CASE(interface_on, "interface.on", CASE_EXPLICIT | CASE_EACH_CPU)
{
	static u64 first_token;
	const u32 leaf = find_leaves();
	struct umbra_answer a;
	u64 value = 0;

	CHECK_EQ(t, leaf, UMBRA_CPUID_FIRST);
	CHECK_EQ(t, cpuid(leaf, 0).eax, leaf + 1);
	CHECK_EQ(t, cpuid(leaf + 1, 0).eax, UMBRA_INTERFACE_VERSION);
	CHECK(t, !cpuid(leaf + 2, 0).eax && !cpuid(leaf + 2, 0).edx, "there is a third leaf");
	/* No kernel changes its ways. */
	CHECK(t, !(cpuid(1, 0).ecx & CPUID_1_ECX_HYPERVISOR), "leaf 1 tells of a hypervisor");

	CHECK_OK(t, try_rdmsr(UMBRA_MSR_TOKEN, &value));
	CHECK_GP(t, try_wrmsr(UMBRA_MSR_TOKEN, value));
	CHECK_GP(t, user_call(user_read_token, NULL, 0));
	CHECK(t, value && ~value, "the token is %lx", value);
	if (!first_token)
		first_token = value;
	CHECK_EQ(t, value, first_token);

	a = umbra_ask(value, UMBRA_ASK_FACTS, 0, 0);
	CHECK(t, a.known, "ring 0 is not answered");
	CHECK_EQ(t, a.rax, smp_count());
	token = value;
	CHECK_OK(t, user_call(user_ask, NULL, 0));
	CHECK_EQ(t, answer, smp_count());
	CHECK_EQ(t, results[UMBRA_FACT_MEMORY], a.result[UMBRA_FACT_MEMORY]);
	/* What is for tests alone is not answered. */
	CHECK_EQ(t, umbra_ask(value, UMBRA_ASK_INTEGRITY, 0, 0).rax, UMBRA_ERROR);
	for (unsigned bit = 0; bit < 64; bit += 9)
		check_refused(t, value ^ BIT(bit));
	check_refused(t, 0);
}
