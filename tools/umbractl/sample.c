/* SPDX-License-Identifier: BSD-2-Clause */
#include "sample.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "umbra.h"

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* An Umbra with fewer reasons than this program knows has had no exit of the others. */
static void ask_exits(enum umbra_function function, uint32_t cpu, uint64_t exits[REASON_COUNT])
{
	uint64_t some[UMBRA_RESULTS];

	for (unsigned int first = 0; first < REASON_COUNT; first += UMBRA_RESULTS) {
		const unsigned int left = REASON_COUNT - first;

		if (umbra_ask(function, cpu, first, some, NULL))
			memcpy(exits + first, some,
			       (left < UMBRA_RESULTS ? left : UMBRA_RESULTS) * sizeof(*some));
	}
}

struct sample *sample_take(void)
{
	uint64_t fact[UMBRA_RESULTS] = {0}, dma[UMBRA_RESULTS] = {0}, cpus = 0;
	struct sample *sample;

	umbra_ask(UMBRA_ASK_FACTS, 0, 0, fact, &cpus);
	umbra_ask(UMBRA_ASK_DMA, 0, 0, dma, NULL);
	sample = calloc(1, sizeof(*sample) + cpus * sizeof(sample->cpu[0]));
	if (!sample) {
		fputs("umbractl: out of memory\n", stderr);
		exit(CODE_TROUBLE);
	}
	memcpy(sample->fact, fact, sizeof(fact));
	sample->dma_units = dma[0];
	sample->dma_faults = dma[1];
	sample->cpus = (uint32_t)cpus;
	sample->time = now();
	for (uint32_t i = 0; i < sample->cpus; i++) {
		struct cpu_sample *cpu = &sample->cpu[i];

		ask_exits(UMBRA_ASK_EXITS, i, cpu->exits);
		ask_exits(UMBRA_ASK_L2_EXITS, i, cpu->l2_exits);
		umbra_ask(UMBRA_ASK_CPU, i, 0, cpu->word, NULL);
	}
	return sample;
}
