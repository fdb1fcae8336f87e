/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Is Umbra still below, and as it was? It answers VMCALL (option `stats`, src/vmx/statistics.h);
 * without it the instruction is a fault, and this program ends by a signal.
 */
#include <stdint.h>
#include <stdio.h>

enum { STATISTICS_CHECK = 7 };

static const uint64_t umbra_magic = 0x6172626d75;

int main(void)
{
	uint64_t digest, pages = 0, spoiled = ~0ull;

	__asm__ volatile("vmcall"
			 : "=a"(digest), "+b"(pages), "+d"(spoiled)
			 : "a"(umbra_magic), "c"((uint64_t)STATISTICS_CHECK));
	printf("UMBRA-BELOW: digest %llx, %llu words changed\n", (unsigned long long)digest,
	       (unsigned long long)spoiled);
	return spoiled != 0;
}
