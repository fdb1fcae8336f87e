/* SPDX-License-Identifier: BSD-2-Clause */
/* What the probe leaves in memory for who comes after a reset, a Linux program for instance. */
#pragma once

#include <stdint.h>

/* "UMBRKEPT" */
#define KEPT_MAGIC 0x5450454b52424d55ull

struct kept {
	uint64_t magic;
	uint64_t length; /* bytes of text */
	uint64_t digest; /* of these: FNV-1a, 64 bits */
	char text[];
};
_Static_assert(sizeof(struct kept) == 24, "whoever reads it may be built apart");

#define KEPT_DIGEST_EMPTY 0xcbf29ce484222325ull

static inline uint64_t kept_digest(uint64_t digest, char c)
{
	return (digest ^ (uint8_t)c) * 0x100000001b3ull;
}
