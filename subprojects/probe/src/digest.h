/* SPDX-License-Identifier: BSD-2-Clause */
/* A number that stands for a sequence of others: for comparing two runs, not against an attacker.
 */
#pragma once

#include <x86/types.h>

/* FNV-1a, by words, and the high bits brought down. */
#define DIGEST_EMPTY 0xcbf29ce484222325ull

static inline u64 digest_add(u64 digest, u64 value)
{
	digest = (digest ^ value) * 0x100000001b3;
	return digest ^ digest >> 29;
}
