/* SPDX-License-Identifier: BSD-2-Clause */
/* What a round did and what came of it: a digest, and if asked for every line. */
#pragma once

#include "random/world.h"

/* Once for a case. */
void record_begin(void);

/* Whether to print from now on. */
void record_detail(bool detail);

/* The digest of all since record_begin() or the last call. */
u64 record_digest(void);

/* At the beginning of a round. */
void record_round(u64 round, unsigned mode);

/* Something this round does; printed only. */
void record_step(const char *what, u64 a, u64 b);

/* The first instructions that the round runs; printed only. */
void record_code(const u8 *code);

/* A change to the VMCS: more than one may be wrong, and then the SDM leaves open which is told. */
void record_change(u32 field, u64 value);

/* Something the CPU answered: part of the digest. */
void record_see(const char *what, u64 value);

/* The outcome of the last entry, as far as the SDM defines it. */
void record_outcome(const struct world *w);
