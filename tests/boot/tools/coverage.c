/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Asks the Umbra below (a coverage build with the option `stats`) which regions of its code have
 * run. One line for 64 counters: `UMBRA-COVERAGE: FIRST HEX`.
 */
#include <stdio.h>

#include <umbra/interface.h>

enum { COUNTERS_PER_CALL = 64 };

int main(void)
{
	uint64_t count = COUNTERS_PER_CALL;

	for (uint64_t first = 0; first < count; first += COUNTERS_PER_CALL) {
		uint64_t answer[UMBRA_RESULTS];

		if (umbra_call(0, UMBRA_ASK_COVERAGE, first, 0, answer) != 0)
			return 1;
		printf("UMBRA-COVERAGE: %llu %llx\n", (unsigned long long)first,
		       (unsigned long long)answer[0]);
		count = answer[1];
	}
	printf("UMBRA-COVERAGE: end\n");
	return 0;
}
