/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * L1's EPT, read as the CPU would read it; its accessed and dirty flags.
 *
 * What its entries mean hangs on more than the EPTP: with "mode-based execute control for EPT" they
 * have two rights to execute. So an ept12 is named by its EPTP and, in a bit that an EPTP cannot
 * have, that control.
 */
#pragma once

#include <x86/ept.h>
#include <x86/types.h>

enum : u64 { EPT12_MODE_BASED = BIT(11) };
_Static_assert(EPTP_RESERVED_LOW &BIT(11), "no EPTP has EPT12_MODE_BASED");

/* With one of these, entries have more rights than EPT_RWX. */
enum : u64 { EPT12_MORE_RIGHTS = EPT12_MODE_BASED | EPTP_SHADOW_STACK };

enum ept12_result {
	EPT12_PRESENT,
	EPT12_ABSENT,
	EPT12_MISCONFIGURED,
};

/*
 * A walk: the entries from EPT_LEVELS down to `level` have been read. The next walk takes over from
 * it what still holds. All zeros at first.
 */
struct ept12_walk {
	unsigned int level;
	u64 entry[EPT_LEVELS + 1];  /* by level … */
	paddr_t at[EPT_LEVELS + 1]; /* … and where each is */
	/*
	 * What all levels together allow, if present, else 0: of EPT_RWX, with EPT12_MODE_BASED
	 * of EPT_USER_EXEC, and with EPTP_SHADOW_STACK EPT_SHADOW_STACK for all that a supervisor
	 * shadow-stack access may want.
	 */
	u64 rights;
	paddr_t gpa1; /* where it leads, if present: for the address asked for */
	/*
	 * If not 0, what levels 4 to 2 allow on the way of `gpa`, from the last walk; good only
	 * while memory still holds what is in entry[] of these levels.
	 */
	u64 upper;
	u64 eptp12;
	paddr_t gpa;
};

/* Once nested_caps is filled in. */
void ept12_init(void);

/* Walks ept12. In the 2 MiB of the last walk it checks the upper entries, and reads one more. */
enum ept12_result ept12_walk(u64 eptp12, paddr_t gpa, struct ept12_walk *walk);

/* Whether an access by this walk has flags to set, for an EPTP that enables them. */
bool ept12_needs_flags(const struct ept12_walk *walk, bool write);

/* Sets them, in `walk` too. False: an entry has changed meanwhile, and some may be set. */
bool ept12_set_flags(struct ept12_walk *walk, bool write);
