/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The MSR bitmap of vmcs02: L1's and Umbra's intercepts together. L1 may change its page at any
 * time, also while L2 runs on this CPU, so the hardware never sees that page. It would take long to
 * copy all of it for each entry: what is copied are the words that L2's accesses have asked for;
 * all others intercept everything, and the first access that L1 lets through adds its word.
 */
#include "nested/msr_bitmap.h"
#include "lib/string.h"
#include "mm/guest_memory.h"
#include "vmx/msr.h"

void msr_bitmap02_init(struct msr_bitmap02 *bitmap)
{
	bitmap->count = 0;
	memset(bitmap->page, 0xff, PAGE_SIZE);
}

void msr_bitmap02_merge(struct msr_bitmap02 *bitmap, paddr_t bitmap12)
{
	u64 words[MSR_BITMAP02_WORDS];

	guest_memory_read_words(bitmap12, bitmap->index, bitmap->count, words);
	for (u32 i = 0; i < bitmap->count; i++)
		bitmap->page[bitmap->index[i]] = words[i] | msr_bitmap_word(bitmap->index[i]);
}

/* Another word takes the place of the one that has been there longest. */
static void add_word(struct msr_bitmap02 *bitmap, u32 word)
{
	u32 slot = bitmap->count;

	for (u32 i = 0; i < bitmap->count; i++) {
		if (bitmap->index[i] == word)
			return;
	}
	if (slot == MSR_BITMAP02_WORDS) {
		slot = bitmap->next++ % MSR_BITMAP02_WORDS;
		bitmap->page[bitmap->index[slot]] = ~0ull;
	} else {
		bitmap->count++;
	}
	bitmap->index[slot] = (u16)word;
}

enum msr_exit_owner msr_bitmap02_exit(struct msr_bitmap02 *bitmap, paddr_t bitmap12, u32 msr,
				      bool write)
{
	u64 word;
	u32 bit;
	u16 index;

	if (!msr_bitmap_bit(msr, write, &bit))
		return MSR_EXIT_L1;
	index = (u16)(bit / 64);
	guest_memory_read_words(bitmap12, &index, 1, &word);
	if (word >> (bit % 64) & 1)
		return MSR_EXIT_L1;
	if (msr_bitmap_word(index) >> (bit % 64) & 1)
		return MSR_EXIT_UMBRA;
	add_word(bitmap, index);
	bitmap->page[index] = word | msr_bitmap_word(index);
	return MSR_EXIT_AGAIN;
}
