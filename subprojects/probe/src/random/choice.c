/* SPDX-License-Identifier: BSD-2-Clause */
#include "random/choice.h"

#include "acpi.h"
#include "cpu.h"

static u64 states[ACPI_MAX_CPUS];

/* The finaliser of MurmurHash3, over a counter: SplitMix64. */
u64 choice(void)
{
	u64 z = states[this_cpu()->index] += 0x9e3779b97f4a7c15;

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
	z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
	return z ^ (z >> 31);
}

void choice_begin(u64 seed, u64 round)
{
	states[this_cpu()->index] = seed * 0xd1342543de82ef95 + round * 0x2545f4914f6cdd1d;
	choice();
}

u64 choice_near(u64 value, unsigned bits)
{
	static const u64 edges[] = {
		0,
		1,
		0x7f,
		0x80,
		0xff,
		0xfff,
		0x1000,
		0x7fff,
		0x8000,
		0xffff,
		0x10000,
		0x7fffffff,
		0x80000000,
		0xffffffff,
		0x100000000,
		0x7fffffffffff,
		0x800000000000,
		0xffff7fffffffffff,
		0xffff800000000000,
		~0ull,
	};
	u64 mask = bits == 64 ? ~0ull : (1ull << bits) - 1;

	switch (choice_below(8)) {
	case 0:
	case 1:
	case 2:
	case 3:
		return value ^ 1ull << choice_below(bits);
	case 4:
		return value ^ 1ull << choice_below(bits) ^ 1ull << choice_below(bits);
	case 5:
	case 6:
		return CHOICE_OF(edges) & mask;
	default:
		return choice() & mask;
	}
}
