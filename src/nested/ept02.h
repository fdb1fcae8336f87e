/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * ept02 = ept12 ∩ ept01: what L2 runs on, filled on EPT violations, per CPU. Since ept01 is the
 * identity, L1's addresses need no translation but a check.
 */
#pragma once

#include <x86/types.h>

enum {
	EPT02_ROOTS = 4,
	EPT02_FAULT_AROUND = 16, /* 4 KiB pages mapped for one fault */
	EPT02_RESERVE = 32,      /* tables each CPU is sure of: enough for any one instruction */
};

struct cpu;

struct ept02_root {
	u64 eptp12; /* 0: unused */
	u64 last_use;
	u64 *table;
};

struct ept02 {
	struct ept02_root root[EPT02_ROOTS];
	void *reserve[EPT02_RESERVE];
	u32 last;     /* the root used last */
	u32 reserved; /* how many of them are free */
	u64 clock;
	u64 faults; /* violations resolved without L1 */
};

/* What an EPT violation or misconfiguration of L2 came to. */
enum ept02_result {
	EPT02_MAPPED,       /* L2 may try again */
	EPT02_VIOLATION,    /* L1's: ept12 does not allow it */
	EPT02_MISCONFIG,    /* L1's: ept12 is malformed there */
	EPT02_HIDDEN_WRITE, /* ept12 allows the write, but leads to Umbra's memory */
	EPT02_NO_MEMORY,    /* no page for a table: drop something and try again */
};

/* Takes the CPU's reserve. False: out of memory. */
bool ept02_init(struct cpu *cpu);

/* The EPTP for L2 under this EPTP of L1's. */
u64 ept02_eptp(struct cpu *cpu, u64 eptp12);

/*
 * Maps the page of L2's address `gpa` under eptp12 for an access (bits of the exit qualification).
 * For EPT02_VIOLATION, *rights has what ept12 does allow, as EPT_READ | EPT_WRITE | EPT_EXEC.
 */
enum ept02_result ept02_fault(struct cpu *cpu, u64 eptp12, paddr_t gpa, u64 access, u64 *rights);

/* INVEPT: what was cached of one ept12, or of all. Nothing needs to be invalidated beside. */
void ept02_drop(struct cpu *cpu, u64 eptp12);
void ept02_drop_all(struct cpu *cpu);
