/* SPDX-License-Identifier: BSD-2-Clause */
/* Stands in for src/mm/layout.h: Umbra's own memory in the simulated machine of machine.h. */
#pragma once

#include <x86/types.h>

/* Anything but Umbra's own memory ends the test. */
void *phys_to_virt(paddr_t pa);
paddr_t virt_to_phys(const void *va);

static inline size_t image_size(void)
{
	return 256 * KIB;
}

static inline u64 image_digest(void)
{
	return 0x1234567;
}
