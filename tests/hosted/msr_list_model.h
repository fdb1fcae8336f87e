/* SPDX-License-Identifier: BSD-2-Clause */
/* Random MSR lists, worked off by nested/msr_list.c and by SDM "Loading MSRs", "Saving MSRs". */
#pragma once

#include "machine.h"

/* Once, before the first run. */
void msr_list_model_init(void);

/* Ends the test if the two differ. */
void msr_list_model_run(struct rng *rng);
