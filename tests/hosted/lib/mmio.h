/* SPDX-License-Identifier: BSD-2-Clause */
/* Stands in for src/lib/mmio.h: registers are the test's. */
#pragma once

#include <x86/types.h>

u32 mmio_read32(const void *at);
u64 mmio_read64(const void *at);
void mmio_write32(void *at, u32 value);
void mmio_write64(void *at, u64 value);
