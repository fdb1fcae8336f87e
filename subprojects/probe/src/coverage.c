/* SPDX-License-Identifier: BSD-2-Clause */
/* What a coverage build of Umbra has run, by the VMCALL of its src/vmx/statistics.h. */
#include "probe.h"

enum { STATISTICS_COVERAGE = 4, COUNTERS_PER_CALL = 64 };

static const u64 umbra_magic = 0x6172626d75;

void coverage_report(void)
{
	u64 count = COUNTERS_PER_CALL;

	for (u64 first = 0; first < count; first += COUNTERS_PER_CALL) {
		u64 seen = 0;

		count = first;
		if (TRY("vmcall",
			: "=a"(seen), "+b"(count)
			: "a"(umbra_magic), "c"((u64)STATISTICS_COVERAGE)
			: "rdx")
			    .raised ||
		    count == first) {
			print("# nobody counts coverage here\n");
			return;
		}
		print("UMBRA-COVERAGE: %lu %lx\n", first, seen);
	}
	print("UMBRA-COVERAGE: end\n");
}
