/* SPDX-License-Identifier: BSD-2-Clause */
/* Random choices of one round, on each CPU. They depend on the seed and its number alone. */
#pragma once

#include <x86/types.h>

/* Starts the sequence of this round. */
void choice_begin(u64 seed, u64 round);

u64 choice(void);

/* 0 … n - 1 */
static inline u64 choice_below(u64 n)
{
	return choice() % n;
}

static inline bool one_in(u64 n)
{
	return choice_below(n) == 0;
}

#define CHOICE_OF(array) ((array)[choice_below(ARRAY_SIZE(array))])

/* A value near another of so many bits: bits flipped, an edge of some range, or anything. */
u64 choice_near(u64 value, unsigned bits);
