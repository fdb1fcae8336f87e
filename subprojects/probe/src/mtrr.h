/* SPDX-License-Identifier: BSD-2-Clause */
/* The memory type range registers. */
#pragma once

#include <x86/types.h>

enum {
	/* 11 fixed, DEF_TYPE, and at most 255 pairs; no processor comes near. */
	MTRR_MSRS = 12 + 2 * 255,
};

/* The numbers of all MTRRs this CPU has; returns how many. */
unsigned mtrr_list(u32 msrs[MTRR_MSRS]);
