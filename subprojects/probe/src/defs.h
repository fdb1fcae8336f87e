/* SPDX-License-Identifier: BSD-2-Clause */
/* The architecture, and the few numbers only this kernel needs. */
#pragma once

#include <x86/cr.h>
#include <x86/msr.h>
#include <x86/paging.h>
#include <x86/types.h>

static const u64 DR6_B0 = BIT(0);
static const u64 DR6_B1 = BIT(1);

/* The MSR of the APIC register at offset 16 * n is this plus n. */
static const u32 MSR_X2APIC_BASE = 0x800;
