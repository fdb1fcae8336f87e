/* SPDX-License-Identifier: BSD-2-Clause */
/* Time by the TSC, its rate measured once against the PIT. */
#pragma once

#include <x86/types.h>

/* Measures the rate; without a working PIT, 1 GHz is assumed. */
void timer_init(void);

/* TSC ticks in one microsecond, at least 1. */
u64 timer_ticks_per_us(void);

/* The TSC us microseconds from now. */
u64 timer_deadline(u64 us);

/* Waits us microseconds. */
void timer_wait(u64 us);
