/* SPDX-License-Identifier: BSD-2-Clause */
#include "probe.h"

#include "layout.h"

enum { SAMPLES = 101 };

static u64 samples[SAMPLES];

static void sort(u64 *a, size_t n)
{
	for (size_t i = 1; i < n; i++)
		for (size_t j = i; j && a[j - 1] > a[j]; j--) {
			u64 v = a[j];

			a[j] = a[j - 1];
			a[j - 1] = v;
		}
}

static void report(const char *name)
{
	sort(samples, SAMPLES);
	print("# bench %s %lu %lu\n", name, samples[0], samples[SAMPLES / 2]);
}

/* The instruction between two RDTSCs, SAMPLES times; the empty one says what the frame costs. */
#define MEASURE(name, ...)                                  \
	do {                                                \
		for (unsigned i_ = 0; i_ < SAMPLES; i_++) { \
			u64 start_ = rdtsc();               \
			__VA_ARGS__;                        \
			samples[i_] = rdtsc() - start_;     \
		}                                           \
		report(name);                               \
	} while (0)

void bench_run(void)
{
	u32 msr = (u32)cmdline_number("benchmsr", MSR_IA32_FEATURE_CONTROL);
	u64 value;

	MEASURE("empty", (void)0);
	MEASURE("cpuid", cpuid(0, 0));
	if (try_rdmsr(msr, &value).raised)
		print("# bench rdmsr %x faults\n", msr);
	else
		MEASURE("rdmsr", rdmsr(msr));
	if (cpuid(1, 0).ecx & BIT(26)) {
		write_cr4(read_cr4() | CR4_OSXSAVE);
		value = xgetbv(0);
		MEASURE("xsetbv", xsetbv(0, value));
		write_cr4(BASE_CR4);
	}
}
