/* SPDX-License-Identifier: BSD-2-Clause */
/* Umbra's counters at one moment, and what changes between two. sample.c asks Umbra, the rest is
 * pure. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include <umbra/interface.h>

#include <x86/vmx.h>

struct cpu_sample {
	uint64_t exits[REASON_COUNT];
	uint64_t l2_exits[REASON_COUNT];
	uint64_t word[UMBRA_RESULTS]; /* enum umbra_cpu */
};

struct sample {
	double time; /* seconds, of a clock that only goes on */
	uint64_t fact[UMBRA_RESULTS];
	uint64_t dma_units, dma_faults;
	uint32_t cpus;
	struct cpu_sample cpu[];
};

/* A new one, for all CPUs; ends the program when memory is short. free() takes it back. */
struct sample *sample_take(void);

/* Between two samples, of one CPU or of all. */
struct change {
	double seconds;
	uint64_t exits[REASON_COUNT];
	uint64_t l2_exits[REASON_COUNT];
	uint64_t all_exits;
	uint64_t all_l2_exits;
	uint64_t l2_entries;  /* VMLAUNCH and VMRESUME */
	uint64_t by_umbra;    /* exits of L2 after which L2 went on without L1 */
	uint64_t vmcs_access; /* VMREADs and VMWRITEs that exited: past the shadow VMCS */
	uint64_t ept02_faults;
	uint64_t evicted;
	/* As it is at the end. */
	uint64_t ept02_pages;
	uint64_t vmcs_cached;
	uint64_t pool_used;
	uint64_t hidden_reads, hidden_writes, unexpected;
	bool shadowing;
};

enum { ALL_CPUS = -1 };

struct change change_between(const struct sample *before, const struct sample *after, int cpu);

/* The reasons with exits, of both kinds, most frequent first; returns how many. */
unsigned int change_reasons(const struct change *change, unsigned int reasons[REASON_COUNT]);

/* For each second. */
double change_rate(const struct change *change, uint64_t count);

/* "CPUID", …; of a reason that this program does not know its number is told by the caller. */
const char *reason_name(unsigned int reason);
