/* SPDX-License-Identifier: BSD-2-Clause */
/* Random use of ept02 by an L1 that may write anything into its ept12, checked against the SDM. */
#pragma once

#include "machine.h"
#include "nested/ept02.h"

struct ept02_model_options {
	u64 ept_vpid;     /* what L1 is offered, of IA32_VMX_EPT_VPID_CAP */
	u64 pages;        /* for ept02, beside each CPU's reserve */
	u64 largest_page; /* of ept01's */
	unsigned int steps;
	u64 seed; /* for the tables to begin with; not 0 */
};

/* Ends the test at the first broken property. machine_memory_init() comes before. */
void ept02_model_run(const struct ept02_model_options *options, struct rng *random);

/*
 * How many of so many pages, far from each other, ept02 can have mapped at once with nothing but
 * the CPU's reserve, when Umbra does about a lack of pages what it does.
 */
unsigned int ept02_model_map_at_once(unsigned int pages);

enum { EPT02_MODEL_GUEST_PAGES = 24, EPT02_MODEL_OWN_PAGES = EPT02_RESERVE + 160 };
