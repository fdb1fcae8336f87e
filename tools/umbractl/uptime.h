/* SPDX-License-Identifier: BSD-2-Clause */
/* The time since the TSC had a value. */
#pragma once

#include <stdint.h>

/* Measures the TSC's frequency against Linux's clock; takes 50 ms the first time. */
double uptime_seconds(uint64_t since);
