/* SPDX-License-Identifier: BSD-2-Clause */
/* Device registers in memory, each access one instruction of its size. */
#pragma once

#include <x86/types.h>

static inline u32 mmio_read32(const void *at)
{
	return *(const volatile u32 *)at;
}

static inline u64 mmio_read64(const void *at)
{
	return *(const volatile u64 *)at;
}

static inline void mmio_write32(void *at, u32 value)
{
	*(volatile u32 *)at = value;
}

static inline void mmio_write64(void *at, u64 value)
{
	*(volatile u64 *)at = value;
}
