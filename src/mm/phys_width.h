/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * How wide physical addresses are. Multi-key memory encryption (TME-MK) takes the upper bits of an
 * address for the identifier of a key: with another key they name the same memory (Intel
 * Architecture Memory Encryption Technologies Specification). Only addresses without a key are
 * memory to Umbra and its guest, or a page of Umbra's would have names that no map hides.
 */
#pragma once

#include <x86/types.h>

/* CPUID.80000008H:EAX[7:0]: what paging-structure entries and most MSRs take. */
u8 phys_width_address(void);

/* The same without the bits that are a key's. */
u8 phys_width_memory(void);
