/* SPDX-License-Identifier: BSD-2-Clause */
/* The MSR bitmap of a vmcs02, and who an exit for an MSR belongs to. */
#pragma once

#include <x86/types.h>

/* 64-bit words that hold L1's bits, at most. */
enum { MSR_BITMAP02_WORDS = 64 };

/* The MSR bitmap of a vmcs02. */
struct msr_bitmap02 {
	u64 *page; /* what the hardware uses; a word not in index[] intercepts everything */
	u32 count; /* words in index[] */
	u32 next;  /* the slot to replace next, once all are used */
	u16 index[MSR_BITMAP02_WORDS]; /* their numbers in the page */
};

/* One without bits of L1's: everything exits. */
void msr_bitmap02_init(struct msr_bitmap02 *bitmap);

/* For each entry: reads L1's bitmap anew. */
void msr_bitmap02_merge(struct msr_bitmap02 *bitmap, paddr_t bitmap12);

/* Whose an exit of L2 for an MSR is, L1 using a bitmap. */
enum msr_exit_owner {
	MSR_EXIT_L1,
	MSR_EXIT_UMBRA, /* L1 lets it through, Umbra does not */
	MSR_EXIT_AGAIN, /* nobody's: L2 may do it by itself now */
};
enum msr_exit_owner msr_bitmap02_exit(struct msr_bitmap02 *bitmap, paddr_t bitmap12, u32 msr,
				      bool write);
