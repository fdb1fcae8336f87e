/* SPDX-License-Identifier: BSD-2-Clause */
#include "uptime.h"

#include <time.h>
#include <x86intrin.h>

static double clock_seconds(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC_RAW, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

double uptime_seconds(uint64_t since)
{
	static double frequency;

	if (!(frequency > 0)) {
		const struct timespec pause = {.tv_nsec = 50000000};
		const double start = clock_seconds();
		const uint64_t tsc = __rdtsc();

		nanosleep(&pause, NULL);
		frequency = (double)(__rdtsc() - tsc) / (clock_seconds() - start);
	}
	return frequency > 0 ? (double)(__rdtsc() - since) / frequency : 0;
}
