/* SPDX-License-Identifier: BSD-2-Clause */
/* How `bench` measures; vmx/bench.c does so inside VMX operation. */
#pragma once

#include "probe.h"

enum { BENCH_SAMPLES = 101 };

/* Ticks of one operation, each time it ran. bench_report() sorts them. */
extern u64 bench_samples[BENCH_SAMPLES];

/*
 * What Umbra's statistics say an operation took: exits of its guest, exits of the guest's guest,
 * and the VMREADs, VMWRITEs, VMPTRLDs and VMCLEARs that Umbra executed.
 */
enum bench_count {
	BENCH_EXITS,
	BENCH_L2_EXITS,
	BENCH_VMREADS,
	BENCH_VMWRITES,
	BENCH_VMPTRLDS,
	BENCH_VMCLEARS,
	BENCH_COUNTS,
};

/* The counts between the two calls. Without statistics from Umbra they are unknown. */
void bench_count_begin(void);
void bench_count_end(void);

/* Leaves of the last counts only what they are above the ones before. */
void bench_count_subtract_last(void);

/* Prints minimum and median of the first n samples, and the last counts. */
void bench_report(const char *name, size_t n);

/*
 * Between two RDTSCs, `samples` times, each after `prepare`, and once more to count. The operation
 * is everything that follows.
 */
#define BENCH_MEASURE_N(name, n, prepare, ...)                \
	do {                                                  \
		for (size_t i_ = 0; i_ < (n); i_++) {         \
			prepare;                              \
			u64 start_ = rdtsc();                 \
			__VA_ARGS__;                          \
			bench_samples[i_] = rdtsc() - start_; \
		}                                             \
		prepare;                                      \
		bench_count_begin();                          \
		__VA_ARGS__;                                  \
		bench_count_end();                            \
		bench_report(name, n);                        \
	} while (0)
#define BENCH_MEASURE(name, prepare, ...) BENCH_MEASURE_N(name, BENCH_SAMPLES, prepare, __VA_ARGS__)

/* The rows that need VMX. */
void bench_vmx(void);
