/* SPDX-License-Identifier: BSD-2-Clause */
/* Random use of ept02 by an L1 that may write anything into its ept12, checked against the SDM. */
#pragma once

#include "machine.h"
#include "nested/ept02.h"

struct ept02_model_options {
	u64 ept_vpid;     /* what L1 is offered, of IA32_VMX_EPT_VPID_CAP */
	u64 pages;        /* for ept02, beside each CPU's reserve */
	u64 largest_page; /* of ept01's */
	bool mode_based;  /* L1 uses mode-based execute control */
	unsigned int steps;
	u64 seed; /* for the tables to begin with; not 0 */
};

/* Ends the test at the first broken property. machine_memory_init() comes before. */
void ept02_model_run(const struct ept02_model_options *options, struct rng *random);

/* Begins anew with three CPUs, each with an L2, and no pages in the pool. */
void ept02_model_run_short(void);

/*
 * An instruction of that CPU's L2 that needs so many pages at once, far from each other, tried from
 * its beginning. False: Umbra has begun anew for want of tables, as nested/l2_memory.c does.
 */
bool ept02_model_instruction(unsigned int cpu, unsigned int pages);

/* The CPU's part in the loan, and how it ends when L2 is left. */
enum ept02_loan ept02_model_loan(unsigned int cpu);
void ept02_model_leave(unsigned int cpu);

enum { EPT02_MODEL_GUEST_PAGES = 24, EPT02_MODEL_OWN_PAGES = EPT02_LARGEST + 160 };
