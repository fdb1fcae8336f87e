/* SPDX-License-Identifier: BSD-2-Clause */
/* Page allocation and the page tables all CPUs share. */
#pragma once

#include "defs.h"

/* Where cases map what they need; nothing is there by itself. */
static const u64 WINDOW_BASE = 512ull << 30;

/* And where the screen is mapped. */
static const u64 SCREEN_WINDOW = 1536ull << 30;

static const u64 LARGE_PAGE = 2ull << 20;

/* Finds the heap and the low pages in the memory map. */
void memory_init(void);

/* n zeroed pages, physically contiguous below 4 GiB, mapped at their address; never freed. */
void *memory_pages(size_t n);

/* LOW_PAGES pages below 1 MiB for real-mode code. */
paddr_t memory_low(void);

/*
 * Maps [va, va + size) to pa with the given PTE flags (PTE_P included), page_size 4 KiB or 2 MiB,
 * and flushes it on this CPU. Tables are made as needed.
 */
void memory_map(u64 va, paddr_t pa, u64 size, u64 page_size, u64 flags);

/*
 * The entry that maps va at the given level (1: 4 KiB page, 2: 2 MiB, …), its tables made as
 * needed. The caller flushes.
 */
u64 *memory_entry(u64 va, unsigned level);
