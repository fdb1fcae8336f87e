/* SPDX-License-Identifier: BSD-2-Clause */
/* Paging-structure entries. SDM "4-Level Paging and 5-Level Paging"; of any mode and level. */
#pragma once

#include <x86/types.h>

enum pte : u64 {
	PTE_P = BIT(0),
	PTE_W = BIT(1),
	PTE_U = BIT(2),
	PTE_PWT = BIT(3),
	PTE_PCD = BIT(4),
	PTE_A = BIT(5),
	PTE_D = BIT(6),
	PTE_PS = BIT(7),
	PTE_ADDR = BITS(51, 12),
	PTE_NX = BIT(63),
};

/* SDM "Canonicality Checking", for linear addresses of so many bits. */
static inline bool linear_is_canonical(u64 linear, u8 width)
{
	const unsigned int unused = 64u - width;

	return (u64)((i64)(linear << unused) >> unused) == linear;
}
