/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Pages for ept02 tables that one CPU at a time may borrow. Where the shared pool is used up, a CPU
 * has its own reserve, which nearly every instruction of L2's is content with; the largest ones
 * take more. One loan is enough for any of them, so L2 makes progress on one CPU after the other,
 * in the order in which they asked. A CPU that has to wait waits as L2 or L1, never in Umbra.
 */
#pragma once

#include "nested/ept02.h"

enum { LOAN_PAGES = EPT02_LARGEST - EPT02_RESERVE };

/* Takes the pages, once. */
void loan_init(void);

/*
 * Asks for the loan, or asks once more. True: it is in the CPU's reserve from now on. False: the
 * CPU is in the queue, and has to go on without.
 */
bool loan_ask(struct ept02 *ept02);

/* Gives it back, out of the CPU's reserve, which has to be complete; or leaves the queue. */
void loan_end(struct ept02 *ept02);

/* Does anyone wait for it? */
bool loan_is_wanted(void);
