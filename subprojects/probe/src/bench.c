/* SPDX-License-Identifier: BSD-2-Clause */
#include "bench.h"

#include <x86/vmx.h>

#include "layout.h"
#include "string.h"
#include "umbra.h"

u64 bench_samples[BENCH_SAMPLES];

static const u64 unknown = ~0ull;

/* Before, after nothing, after the operation: asking is not free. */
static struct snapshot {
	u64 of[BENCH_COUNTS];
} begun, again, counts, counts_before;

/* Of this CPU. Bochs 2.7 stops at a VMCALL that nobody answers. */
static struct umbra_answer ask(u64 function, u64 which)
{
	if (!cmdline_flag("counts"))
		return (struct umbra_answer){0};
	return umbra_ask(0, function, 0, which);
}

static u64 sum_of_exits(u64 function)
{
	u64 sum = 0;

	for (u64 reason = 0; reason < REASON_COUNT; reason += UMBRA_RESULTS) {
		const struct umbra_answer a = ask(function, reason);

		if (!a.known)
			return unknown;
		for (u64 i = 0; i < UMBRA_RESULTS; i++)
			sum += a.result[i];
	}
	return sum;
}

static void take(struct snapshot *s)
{
	const struct umbra_answer a = ask(UMBRA_ASK_VMCS_COUNTS, 0);

	s->of[BENCH_EXITS] = sum_of_exits(UMBRA_ASK_EXITS);
	s->of[BENCH_L2_EXITS] = sum_of_exits(UMBRA_ASK_L2_EXITS);
	for (u64 i = 0; i < BENCH_COUNTS - BENCH_VMREADS; i++)
		s->of[BENCH_VMREADS + i] = a.known ? a.result[i] : unknown;
}

void bench_count_begin(void)
{
	take(&begun);
	take(&again);
}

void bench_count_end(void)
{
	struct snapshot end;

	take(&end);
	counts_before = counts;
	for (unsigned i = 0; i < BENCH_COUNTS; i++)
		counts.of[i] =
			end.of[i] == unknown ? unknown : end.of[i] - 2 * again.of[i] + begun.of[i];
}

void bench_count_subtract_last(void)
{
	for (unsigned i = 0; i < BENCH_COUNTS; i++)
		if (counts.of[i] != unknown)
			counts.of[i] -= counts_before.of[i];
}

static void sort(u64 *a, size_t n)
{
	for (size_t i = 1; i < n; i++)
		for (size_t j = i; j && a[j - 1] > a[j]; j--) {
			u64 v = a[j];

			a[j] = a[j - 1];
			a[j - 1] = v;
		}
}

void bench_report(const char *name, size_t n)
{
	sort(bench_samples, n);
	print("# bench %s %lu %lu", name, bench_samples[0], bench_samples[n / 2]);
	for (unsigned i = 0; i < BENCH_COUNTS; i++) {
		if (counts.of[i] == unknown)
			print(" -");
		else
			print(" %lu", counts.of[i]);
	}
	print("\n");
}

void bench_run(void)
{
	u32 msr = (u32)cmdline_number("benchmsr", MSR_IA32_FEATURE_CONTROL);
	u64 value;

	BENCH_MEASURE("empty", (void)0, (void)0);
	BENCH_MEASURE("cpuid", (void)0, cpuid(0, 0));
	if (try_rdmsr(msr, &value).raised) {
		print("# bench rdmsr %x faults\n", msr);
	} else {
		BENCH_MEASURE("rdmsr", (void)0, rdmsr(msr));
	}
	/* Of the MSRs whose writes exit, one that takes its own value. */
	value = rdmsr(MSR_IA32_APIC_BASE);
	BENCH_MEASURE("wrmsr", (void)0, wrmsr(MSR_IA32_APIC_BASE, value));
	if (cpuid(1, 0).ecx & BIT(26)) {
		write_cr4(read_cr4() | CR4_OSXSAVE);
		value = xgetbv(0);
		BENCH_MEASURE("xsetbv", (void)0, xsetbv(0, value));
		write_cr4(BASE_CR4);
	}
	bench_vmx();
}
