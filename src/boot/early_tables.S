/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The page tables until Umbra is in its home: the first 4 GiB at DIRECT_BASE, the image at
 * IMAGE_BASE; early_map.c adds a screen that lies higher. What the lower half maps, each of the two
 * ways in adds for itself.
 */
#include "boot/early_tables.inc"
#include "mm/layout.h"

#define PRESENT_WRITABLE 3
#define LARGE_PAGE       0x80
#define TABLE(symbol)    (symbol - IMAGE_BASE + PRESENT_WRITABLE)

	/* Entries from first, each as much greater than the one before. */
	.macro	entries count, first, step
	.set	n, 0
	.rept	\count
	.quad	(\first) + n * \step
	.set	n, n + 1
	.endr
	.endm

	.section .data
	.balign 4096
	.globl	early_tables, early_pml4, early_pdpt
early_tables:
early_pml4:
	.skip	256 * 8
	.quad	TABLE(early_pdpt)
	.skip	254 * 8
	.quad	TABLE(early_pdpt_image)
early_pdpt:
	entries	4, TABLE(early_pd), 4096
	.skip	508 * 8
early_pdpt_image:
	.skip	510 * 8
	.quad	TABLE(early_pd_image)
	.skip	8
early_pd_image:
	entries	2, TABLE(early_pt_image), 4096
	.skip	510 * 8
early_pt_image:
	entries	1024, PRESENT_WRITABLE, 4096
	.org	early_tables + EARLY_TABLES_SIZE

early_pd:
	entries	2048, PRESENT_WRITABLE | LARGE_PAGE, 0x200000

/* What the entries count from now: where the image is, or 0. */
	.globl	early_tables_base
early_tables_base:
	.quad	0
