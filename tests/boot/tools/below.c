/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Is Umbra still below, and as it was? With the option `stats` it says so; without, VMCALL is a
 * fault, and this program ends by a signal.
 */
#include <stdio.h>

#include <umbra/interface.h>

int main(void)
{
	uint64_t answer[UMBRA_RESULTS] = {0, 0, ~0ull};

	umbra_call(0, UMBRA_ASK_INTEGRITY, 0, 0, answer);
	printf("UMBRA-BELOW: digest %llx, %llu words changed\n", (unsigned long long)answer[0],
	       (unsigned long long)answer[2]);
	return answer[2] != 0;
}
