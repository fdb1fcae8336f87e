/* SPDX-License-Identifier: BSD-2-Clause */
/* MSRs the guest does not reach directly: hidden ones, and those whose writes Umbra must see. */
#pragma once

#include "smp/cpu.h"

/* Builds the MSR bitmap that all CPUs share; stops with a message when memory is short. */
void msr_bitmap_init(void);
paddr_t msr_bitmap_address(void);

/* Takes over this CPU's MTRRs as the guest's first view of them. */
void msr_init_cpu(struct cpu *cpu);
