/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The attack: random privileged steps against whatever runs below. Each step is harmless for this
 * kernel on a machine that follows the SDM: what it changes it puts back, what may fault is
 * guarded.
 */
#pragma once

#include "probe.h"
#include "random/choice.h"
#include "random/record.h"
#include "random/world.h"

struct attacker {
	struct run *t;
	struct world *w; /* NULL: no VMX here */
	u64 seed;
	volatile u64 step;
	bool alone;     /* the only CPU that attacks */
	bool compares;  /* what it sees is for a digest: another machine must show the same */
	bool aims;      /* there is hidden memory: */
	u64 start, end; /* its first byte, and the one behind the last */
	u64 scratch;    /* a page to do with as one likes */
	u64 region;     /* a page to use as VMX region */
	u64 zeroes;     /* a page of zeroes, and one for an MSR bitmap */
	u64 unexpected; /* exceptions where none was due */
};

/* Fails the case, with what it takes to repeat the step. */
#define STEP_CHECK(a, condition, format, ...)                                               \
	do {                                                                                \
		if (!(condition))                                                           \
			run_fail((a)->t, __LINE__, "seed %lu step %lu: " format, (a)->seed, \
				 (a)->step, ##__VA_ARGS__);                                 \
	} while (0)

/* A physical page to aim at: hidden, absent, ROM, or the scratch page. */
u64 attack_target(const struct attacker *a);
bool attack_hidden(const struct attacker *a, u64 pa);

/* A bit to put into an address: the result is never memory of this kernel's, which is below 4 GiB.
 */
u64 attack_odd_bit(void);

/* Part of the digest, if there is one. */
void attack_see(const struct attacker *a, const char *what, u64 value);
void attack_see_fault(const struct attacker *a, const char *what, struct fault f);

/*
 * Two pages of this CPU's window, mapped to these physical pages with these flags beside present;
 * page tables for it are this CPU's own.
 */
u8 *attack_map(u64 first, u64 second, u64 flags);

/* The kinds of steps, one file each. */
void attack_memory(struct attacker *a);
void attack_tables(struct attacker *a);
void attack_user(struct attacker *a);
void attack_msr(struct attacker *a);
void attack_control_register(struct attacker *a);
void attack_identify(struct attacker *a);
void attack_pointer(struct attacker *a);
void attack_field(struct attacker *a);
void attack_invalidate(struct attacker *a);
void attack_vmx_operation(struct attacker *a);
void attack_guest(struct attacker *a);
