/* SPDX-License-Identifier: BSD-2-Clause */
/* For the two ways in, of 32 and of 64 bits: early_tables.S, made to fit where the image is. */
#pragma once

/* The tables whose entries count from the image's start, one behind the other. */
#define EARLY_TABLES_SIZE (6 * 4096)

	/* With the image's physical address; changes rcx and the register for the entry. */
	.macro	locate_early_tables image, entry
	mov	$(EARLY_TABLES_SIZE / 8), %ecx
1:	cmpl	$0, (\entry)
	je	2f
	add	\image, (\entry)
2:	add	$8, \entry
	loop	1b
	.endm
