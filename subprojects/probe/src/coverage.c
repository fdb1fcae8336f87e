/* SPDX-License-Identifier: BSD-2-Clause */
/* What a coverage build of Umbra has run. */
#include "probe.h"
#include "umbra.h"

enum { COUNTERS_PER_CALL = 64 };

void coverage_report(void)
{
	u64 count = COUNTERS_PER_CALL;

	for (u64 first = 0; first < count; first += COUNTERS_PER_CALL) {
		const struct umbra_answer a = umbra_ask(0, UMBRA_ASK_COVERAGE, first, 0);

		if (!a.known) {
			print("# nobody counts coverage here\n");
			return;
		}
		print("UMBRA-COVERAGE: %lu %lx\n", first, a.result[0]);
		count = a.result[1];
	}
	print("UMBRA-COVERAGE: end\n");
}
