/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Asks the Umbra below (a coverage build with the option `stats`) which regions of its code have
 * run; see src/vmx/statistics.h. One line for 64 counters: `UMBRA-COVERAGE: FIRST HEX`.
 */
#include <stdint.h>
#include <stdio.h>

enum { STATISTICS_COVERAGE = 4, COUNTERS_PER_CALL = 64 };

static const uint64_t umbra_magic = 0x6172626d75;

int main(void)
{
	uint64_t count = COUNTERS_PER_CALL;

	for (uint64_t first = 0; first < count; first += COUNTERS_PER_CALL) {
		uint64_t seen;

		count = first;
		__asm__ volatile("vmcall"
				 : "=a"(seen), "+b"(count)
				 : "a"(umbra_magic), "c"((uint64_t)STATISTICS_COVERAGE)
				 : "rdx");
		if (count == first)
			return 1;
		printf("UMBRA-COVERAGE: %llu %llx\n", (unsigned long long)first,
		       (unsigned long long)seen);
	}
	printf("UMBRA-COVERAGE: end\n");
	return 0;
}
