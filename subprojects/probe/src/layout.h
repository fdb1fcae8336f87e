/* SPDX-License-Identifier: BSD-2-Clause */
/* What C and assembly share: selectors, CPU bits needed before C runs, structure offsets. */
#pragma once

#define SEL_CODE64  0x08
#define SEL_DATA    0x10
#define SEL_CODE32  0x18
#define SEL_UDATA   0x23
#define SEL_UCODE64 0x2b
#define SEL_CODE16  0x30
#define SEL_DATA16  0x38
#define SEL_TSS64   0x40
/* Only in the GDT of the 32-bit world (legacy.c). */
#define SEL_TSS_A 0x40
#define SEL_TSS_B 0x48
#define SEL_TSS_C 0x50

#define BOOT_KIND_MULTIBOOT2 1
#define BOOT_KIND_PVH        2

/* PE, ET, NE, WP, PG: what this kernel runs with. */
#define BASE_CR0 0x80010031
/* PAE, OSFXSR: XSETBV's cases add OSXSAVE. */
#define BASE_CR4 0x220

#define MSR_NUM_EFER 0xc0000080
#define EFER_LME_BIT 8

/* Vectors of our own. */
#define VEC_USER_EXIT 0x80
#define VEC_WAKE      0xf0
#define VEC_TEST      0xe0
#define VEC_SPURIOUS  0xff

/* Real-mode code sits in two pages below 1 MiB: the APs' trampoline, then the round trips'. */
#define LOW_REAL_OFFSET 0x1000
#define LOW_PAGES       2

/* Linear address of the task switches with paging; no memory is there. */
#define PAGED_ADDRESS 0x40000000
