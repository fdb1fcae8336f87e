/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Umbra's own address space, the same on every CPU.
 *
 *   DIRECT_BASE + pa   memory and MMIO, writable, never executable; Umbra's image is absent there
 *   IMAGE_BASE         Umbra's image: text RX, constants R, data RW
 */
#pragma once

#define DIRECT_BASE 0xffff800000000000
#define IMAGE_BASE  0xffffffff80000000

#ifndef __ASSEMBLER__
#include <x86/types.h>

/* Section bounds, from umbra.lds; all are page-aligned. */
extern u8 image_start[], image_end[];
extern u8 text_start[], text_end[];
extern u8 rodata_start[], rodata_end[];
extern u8 data_start[], data_end[];

static inline size_t image_size(void)
{
	return (size_t)(image_end - image_start);
}

/* A number that changes with any byte of text and constants, which nothing may write. */
static inline u64 image_digest(void)
{
	u64 digest = 0xcbf29ce484222325;

	for (const u64 *p = (const u64 *)(const void *)text_start;
	     p < (const u64 *)(const void *)rodata_end; p++) {
		digest = (digest ^ *p) * 0x100000001b3;
		digest ^= digest >> 29;
	}
	return digest;
}

/* The direct map: valid for any physical address host_paging_init() mapped. */
static inline void *phys_to_virt(paddr_t pa)
{
	return (void *)(DIRECT_BASE + pa);
}

/* Only for pointers into the direct map, not into the image. */
static inline paddr_t virt_to_phys(const void *va)
{
	return (paddr_t)va - DIRECT_BASE;
}
#endif
